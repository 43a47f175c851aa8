"""The keys of an image autoencoder's training, with the defaults of the authors' CIFAR-10 experiment."""

from vqbn.runs.keys import (
    BOTTLENECK,
    OPTIMISATION,
    RUNNING,
    count,
    flag,
    folder,
    positive,
    set_keys,
    task_key,
    with_defaults,
)

KEYS = (
    task_key("images"),
    folder("images", "The folder of packed images that stage 0 made: <set>.npy and images.json."),
    *set_keys("a file of --images"),
    count("channels", 256, "Channels of encoder and decoder."),
    count("residual_blocks", 2, "Residual blocks in the encoder, and in the decoder."),
    count("residual_channels", 256, "Channels between a residual block's two convolutions."),
    count(
        "pixels_per_image",
        0,
        "Pixels of each image that an update's loss is of, drawn anew each time; 0: all. Scores are always of all.",
        least=0,
    ),
    *with_defaults(
        BOTTLENECK,
        {
            "vq_codebook_size": 128,
            "vq_code_dim": 256,
            "vq_num_codebooks": 8,
            "vq_codebook_init": "uniform",
            "reestimation_start": 743,
            "reestimation_until": 37101,
            "reestimation_every": 371,
        },
    ),
    *with_defaults(
        OPTIMISATION,
        {
            "learning_rate": 5e-4,
            "max_updates": 742000,
            "batch_size": 128,
            "gradient_clip": 0.0,
            "validate_every": 3710,
        },
    ),
    positive(
        "codebook_rate_factor", 1.0, "Times learning_rate: the codebooks' step size, where codebook_learning_rate is 0."
    ),
    flag("channels_last", True, "Keep images with the channels innermost, which convolutions are faster with."),
    count("eval_batch_size", 500, "Images per batch of an evaluation.", decides=False),
    *RUNNING,
)
