"""The keys of a line autoencoder's training, with the defaults of the authors' ScribbleLens experiment."""

from vqbn.runs.keys import BOTTLENECK, OPTIMISATION, RUNNING, choice, count, folder, set_keys, task_key, with_defaults

KEYS = (
    task_key("handwriting"),
    folder("dump", "The folder of packed lines that stage 2 made: <set>/, info.json, alphabet.json."),
    *set_keys("a folder of --dump"),
    count("conv_channels", 64, "Channels of the encoder's first convolution; the last ones have 8 times as many."),
    count("lstm_size", 32, "Units of an LSTM layer in each direction."),
    count("mixer_size", 64, "Channels of the mixer of neighbouring latents."),
    count("pixelcnn_channels", 64, "Channels of the decoder."),
    count("pixelcnn_layers", 7, "Gated layers of the decoder."),
    choice("bottleneck", "vq", ("vq", "linear"), "vq quantises; linear is no bottleneck."),
    *with_defaults(
        BOTTLENECK,
        {
            "vq_codebook_size": 4096,
            "vq_code_dim": 128,
            "reestimation_start": 357,
            "reestimation_until": 9079,
            "reestimation_every": 178,
        },
    ),
    *with_defaults(
        OPTIMISATION,
        {"learning_rate": 2e-3, "max_updates": 26700, "gradient_clip": 10.0, "validate_every": 178},
    ),
    count("chunk_columns", 128, "Columns per chunk, a multiple of 4; narrower lines are padded."),
    count("chunks_per_line", 4, "Random chunks of each line in an epoch."),
    count("batch_columns", 4096, "Columns per batch of whole lines in an evaluation.", decides=False),
    *RUNNING,
)
