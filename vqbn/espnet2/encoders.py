"""ESPnet2 encoders that end in a bottleneck."""

import torch
from espnet2.asr.encoder.abs_encoder import AbsEncoder
from torch import Tensor

from vqbn.bottleneck import BottleneckOutput
from vqbn.errors import InputError
from vqbn.espnet2.configured import build_bottleneck, check_keys
from vqbn.espnet2.delta_features import DeltaFeatures
from vqbn.nets.deepspeech2 import DeepSpeech2Encoder, speech_convolutions
from vqbn.nets.latent_mixer import LatentMixer

EncoderOutput = tuple[Tensor, Tensor, BottleneckOutput]


class BottleneckEncoder(AbsEncoder):
    """An encoder whose outputs have passed a bottleneck.

    A forward gives the quantised vectors, mixed or not, (batch, time, output size), their lengths (batch,), and third,
    where ESPnet's encoders have states, the `BottleneckOutput`. ESPnet's own model drops it; `VQASRModel` does not.

    Args:
        input_dim: dimension of what is quantised.
        code_dim: dimension of the codes.
        bottleneck: "vq" or "linear".
        bottleneck_conf: as `configured.build_bottleneck` takes it.
        latent_mixer: put the authors' `LatentMixer` behind the bottleneck.

    Attributes:
        bottleneck: a `VQBottleneck` or `LinearBottleneck`.
    """

    def __init__(
        self, input_dim: int, code_dim: int, bottleneck: str, bottleneck_conf: dict | None, latent_mixer: bool
    ):
        super().__init__()
        self.bottleneck = build_bottleneck(bottleneck, input_dim, code_dim, bottleneck_conf or {})
        self.mixer = LatentMixer(code_dim) if latent_mixer else None
        self.output_dim = self.mixer.output_dim if self.mixer else code_dim

    def output_size(self) -> int:
        """Dimension of the output."""
        return self.output_dim

    def _quantise(self, encoded: Tensor, lengths: Tensor) -> EncoderOutput:
        codes = self.bottleneck(encoded, lengths=lengths)
        output = codes.quantized if self.mixer is None else self.mixer(codes.quantized, lengths)
        return output, lengths, codes


class VQDeepSpeech2Encoder(BottleneckEncoder):
    """`encoder: vqbn_deepspeech2`: the encoder of the paper's section IV-A, one latent for three frames.

    Args:
        input_size: features per frame.
        conv_channels: channels of each of the two convolutions.
        lstm_layers: bidirectional LSTM layers.
        lstm_size: units of each direction.
        deltas: append delta and delta-delta to the features, as the paper's experiment does.
        cmvn: with `deltas`, a file of Kaldi's global CMVN statistics over features and derivatives; set
            `normalize: null` then. None: ESPnet normalises, and derivatives are of the normalised features.
        code_dim: dimension of the codes.
        bottleneck: "vq" or "linear".
        bottleneck_conf: arguments of `VQBottleneck`.
        latent_mixer: put the authors' convolutions over neighbouring codes behind the bottleneck.

    Raises:
        InputError: a value is wrong, or `cmvn` is of other features.
    """

    def __init__(
        self,
        input_size: int,
        conv_channels: int = 32,
        lstm_layers: int = 4,
        lstm_size: int = 320,
        deltas: bool = True,
        cmvn: str | None = None,
        code_dim: int = 64,
        bottleneck: str = "vq",
        bottleneck_conf: dict | None = None,
        latent_mixer: bool = False,
    ):
        super().__init__(lstm_size, code_dim, bottleneck, bottleneck_conf, latent_mixer)
        if cmvn is not None and not deltas:
            raise InputError(f"encoder_conf: cmvn: found {cmvn}, expected null: its statistics are for deltas: true")
        self.features = DeltaFeatures(input_size, cmvn) if deltas else None
        self.encoder = DeepSpeech2Encoder(
            height=input_size,
            channels=3 if deltas else 1,
            convolutions=speech_convolutions(conv_channels),
            lstm_layers=lstm_layers,
            lstm_size=lstm_size,
        )

    def forward(self, xs_pad: Tensor, ilens: Tensor, prev_states: Tensor | None = None) -> EncoderOutput:
        """Encode and quantise.

        Args:
            xs_pad: (batch, time, input_size).
            ilens: (batch,) valid frames.
            prev_states: not used.
        """
        # Padding beyond the longest item, which data parallel batches have, would come out as latents.
        xs_pad = xs_pad[:, : int(ilens.max())]
        features = xs_pad.unsqueeze(-1) if self.features is None else self.features(xs_pad, ilens)
        return self._quantise(*self.encoder(features, ilens))


class WrappedEncoder(BottleneckEncoder):
    """`encoder: vqbn_wrapped`: any of ESPnet2's encoders with a bottleneck behind it.

    Args:
        input_size: features per frame.
        encoder: the name of the encoder inside, as ESPnet's `encoder:` takes it: conformer, branchformer, ...
        encoder_conf: its own keys.
        code_dim: dimension of the codes.
        bottleneck: "vq" or "linear".
        bottleneck_conf: arguments of `VQBottleneck`.
        latent_mixer: put the authors' convolutions over neighbouring codes behind the bottleneck.

    Raises:
        InputError: there is no such encoder, a key or value is wrong, or it has intermediate CTC losses, whose
            outputs would not pass the bottleneck.
    """

    def __init__(
        self,
        input_size: int,
        encoder: str = "conformer",
        encoder_conf: dict | None = None,
        code_dim: int = 64,
        bottleneck: str = "vq",
        bottleneck_conf: dict | None = None,
        latent_mixer: bool = False,
    ):
        inner = make_encoder(encoder, input_size, encoder_conf or {})
        super().__init__(inner.output_size(), code_dim, bottleneck, bottleneck_conf, latent_mixer)
        self.encoder = inner
        # ESPnet's model looks at this name.
        self.selfattention_layer_type = getattr(inner, "selfattention_layer_type", None)

    def forward(self, xs_pad: Tensor, ilens: Tensor, prev_states: Tensor | None = None) -> EncoderOutput:
        """Encode and quantise.

        Args:
            xs_pad: (batch, time, input_size).
            ilens: (batch,) valid frames.
            prev_states: handed on to the encoder inside.
        """
        encoded, lengths, _ = self.encoder(xs_pad, ilens, prev_states)
        return self._quantise(encoded, lengths)


def make_encoder(name: str, input_size: int, conf: dict) -> torch.nn.Module:
    """One of ESPnet's own encoders.

    Raises:
        InputError: there is no such one, or a key is wrong.
    """
    from espnet2.tasks.asr import encoder_choices

    names = [known for known, kind in encoder_choices.classes.items() if not issubclass(kind, BottleneckEncoder)]
    if name not in names:
        raise InputError(f"encoder_conf: encoder: found '{name}', expected one of {', '.join(names)}")
    kind = encoder_choices.classes[name]
    place = f"encoder_conf: encoder_conf of {name}"
    check_keys(conf, kind, place, ("input_size",))
    if conf.get("interctc_layer_idx"):
        raise InputError(f"{place}: interctc_layer_idx: expected none: its outputs do not pass the bottleneck")
    try:
        return kind(input_size=input_size, **conf)
    except (TypeError, ValueError, AssertionError) as error:
        raise InputError(f"{place}: {' '.join(str(error).split())}") from error
