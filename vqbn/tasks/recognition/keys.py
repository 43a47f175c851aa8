"""The keys of a recogniser's training."""

from dataclasses import replace

from vqbn.runs.keys import (
    BOTTLENECK,
    OPTIMISATION,
    PEER,
    RUNNING,
    Key,
    choice,
    count,
    flag,
    folder,
    only_with,
    set_keys,
    task_key,
)

KEYS = (
    task_key("recognition"),
    folder("dump", "The folder of features that stage 2 made: <set>/, tokens.txt, cmvn.ark."),
    *set_keys("a folder of --dump"),
    Key(
        "cmvn",
        "global",
        str,
        "global or speaker",
        "Normalise features by the training set's mean and variance, or by each speaker's own, which stage 2 takes "
        "with its option of the same name.",
        lambda value: value in ("global", "speaker"),
        since_first=True,
    ),
    replace(
        choice(
            "token_type",
            "phn",
            ("phn", "char", "bpe"),
            "What is recognised: the alignment's phones, or the transcript's characters or pieces (chunk_frames 0).",
        ),
        since_first=True,
    ),
    Key(
        "tokens",
        "",
        str,
        "a folder, or nothing",
        "With characters or pieces, the folder that vqbn-make-tokens wrote.",
        decides=False,
        path=True,
        formerly="units",
    ),
    *only_with(
        "token_type",
        ("bpe",),
        replace(count("vocab_size", 100, "The vocab_size that the pieces were made with."), since_first=True),
    ),
    count("conv_channels", 32, "Channels of each of the encoder's two convolutions."),
    count("lstm_layers", 4, "Bidirectional LSTM layers of the encoder."),
    count("lstm_size", 320, "Units of an LSTM layer in each direction."),
    flag("latent_mixer", False, "Put the authors' stack of convolutions between bottleneck and head."),
    choice(
        "bottleneck",
        "vq",
        ("vq", "linear", "peer"),
        "vq quantises; linear is the row 'no bottleneck'; peer is another library's layer, for comparison.",
    ),
    *BOTTLENECK,
    *PEER,
    *OPTIMISATION,
    replace(
        choice(
            "ctc_average",
            "item",
            ("item", "token"),
            "What the CTC loss is the mean of: each chunk's loss per token, as in the authors' code, or all tokens.",
        ),
        since_first=True,
    ),
    count("chunk_frames", 64, "Frames per chunk; shorter utterances are padded. 0: whole utterances.", least=0),
    count("chunks_per_utterance", 1, "Random chunks of each utterance in an epoch."),
    count("batch_frames", 24000, "Frames per batch of whole utterances in an evaluation.", decides=False),
    *RUNNING,
    flag("cache_features", True, "Keep the features in memory once read.", decides=False),
)
