"""ESPnet's hybrid model with the bottleneck's loss and statistics."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from espnet2.asr.espnet_model import ESPnetASRModel
from espnet2.torch_utils.device_funcs import force_gatherable
from torch import Tensor

from vqbn import perplexity
from vqbn.bottleneck import BottleneckOutput
from vqbn.errors import InputError
from vqbn.espnet2.encoders import BottleneckEncoder


class VQASRModel(ESPnetASRModel):
    """`model: vqbn`: adds the bottleneck's loss to ESPnet's, and to its statistics.

    - `loss_vq`: the bottleneck's loss before its weight.
    - `perplexity`, `codes_used`: of the codes of one batch; ESPnet's reporter averages them over batches. What an
      evaluation counted is in `code_counts`, of which `VQTrainer` reports `epoch_perplexity` and `epoch_codes_used`
      over the whole set.
    - `vq_cer_ctc`, `vq_acc`, in evaluation: ESPnet's `cer_ctc` and `acc`, made worse by 1 before the first clustering,
      so that `best_model_criterion` never takes an epoch whose model quantises nothing.

    Args:
        args, kwargs: of `ESPnetASRModel`.
        vq_weight: weight of the bottleneck's loss. ESPnet's CTC loss is a mean over utterances, not over tokens: the
            same balance as in the recipes of vqbn takes the mean number of tokens of an utterance.

    Raises:
        InputError: the encoder has no bottleneck.

    Attributes:
        code_counts: int64 (num_codebooks, K), how often each code was used since evaluation began; None in training
            and where nothing was quantised.
    """

    def __init__(self, *args, vq_weight: float = 1.0, **kwargs):
        super().__init__(*args, **kwargs)
        if not isinstance(self.encoder, BottleneckEncoder):
            raise InputError(
                f"model: found vqbn with the encoder {type(self.encoder).__name__}, expected vqbn_deepspeech2 or "
                "vqbn_wrapped: give one of them, or model: espnet"
            )
        if isinstance(vq_weight, bool) or not isinstance(vq_weight, int | float) or not vq_weight >= 0:
            raise InputError(f"model_conf: vq_weight: found {vq_weight!r}, expected a number of at least 0")
        self.vq_weight = vq_weight
        self.code_counts: Tensor | None = None

    def train(self, mode: bool = True) -> "VQASRModel":
        """Set the mode, and count codes anew."""
        self.code_counts = None
        return super().train(mode)

    def forward(
        self, speech: Tensor, speech_lengths: Tensor, text: Tensor, text_lengths: Tensor, **kwargs
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """The loss, the statistics and the weight of a batch, as `ESPnetASRModel.forward` gives them."""
        with third_output(self.encoder) as caught:
            loss, stats, weight = super().forward(speech, speech_lengths, text, text_lengths, **kwargs)
        codes: BottleneckOutput = caught[-1]
        loss = loss + self.vq_weight * codes.loss
        stats |= {"loss": loss.detach(), "loss_vq": codes.loss.detach(), **self._use(codes), **self._criteria(stats)}
        loss, stats, weight = force_gatherable((loss, stats, weight), loss.device)
        return loss, stats, weight

    def _criteria(self, stats: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
        """What tells the best epoch from those without quantisation."""
        warm_up = 0.0 if getattr(self.encoder.bottleneck, "quantizing", True) else 1.0
        signs = {} if self.training else {"cer_ctc": 1, "acc": -1}
        return {
            f"vq_{name}": stats[name] + sign * warm_up for name, sign in signs.items() if stats.get(name) is not None
        }

    def _use(self, codes: BottleneckOutput) -> dict[str, Tensor]:
        """How the batch uses the codebooks; nothing where nothing is quantised."""
        if codes.indices is None or not self.encoder.bottleneck.quantizing:
            return {}
        size = self.encoder.bottleneck.codebook_size
        columns = codes.indices.flatten(0, -2).T
        counts = torch.stack([column[column >= 0].bincount(minlength=size) for column in columns])
        if not self.training:
            self.code_counts = counts if self.code_counts is None else self.code_counts + counts
        return code_use(counts)


def code_use(counts: Tensor, prefix: str = "") -> dict[str, Tensor]:
    """Statistics for the reporter: mean perplexity over codebooks, codes used in all of them together.

    Args:
        counts: (num_codebooks, K).
        prefix: of the names.
    """
    return {
        f"{prefix}perplexity": perplexity(counts).mean().float(),
        f"{prefix}codes_used": (counts > 0).sum().float(),
    }


@contextmanager
def third_output(encoder: torch.nn.Module) -> Iterator[list]:
    """A list that every forward of an encoder within the block appends its third output to."""
    caught: list = []
    handle = encoder.register_forward_hook(lambda module, inputs, outputs: caught.append(outputs[2]))
    try:
        yield caught
    finally:
        handle.remove()
