"""ESPnet's trainer, with what a codebook needs between epochs."""

from pathlib import Path

import torch
import torch.distributed as dist
from espnet2.train.trainer import Trainer

from vqbn import VQBottleneck
from vqbn.errors import InputError
from vqbn.espnet2.model import code_use
from vqbn.espnet2.safe import check_states


class VQTrainer(Trainer):
    """Reports how a whole evaluation set uses the codes; says in one line why a run can't be resumed."""

    @classmethod
    def validate_one_epoch(cls, model, iterator, reporter, options, distributed_option) -> None:
        """As ESPnet's; then `epoch_perplexity` and `epoch_codes_used` over all batches of all processes."""
        super().validate_one_epoch(
            model=model,
            iterator=iterator,
            reporter=reporter,
            options=options,
            distributed_option=distributed_option,
        )
        counts = counted(getattr(model, "module", model))
        if counts is None:
            return
        if distributed_option.distributed:
            dist.all_reduce(counts)
        if counts.any():
            reporter.register(code_use(counts, "epoch_"))
            reporter.next()

    @staticmethod
    def resume(checkpoint, model, *args, **kwargs) -> None:
        """As ESPnet's.

        Raises:
            InputError: the checkpoint does not fit the model, or could run code.
        """
        check_states(checkpoint)
        try:
            Trainer.resume(checkpoint, model, *args, **kwargs)
        except (RuntimeError, KeyError, ValueError, EOFError) as error:
            first = " ".join(str(error).split())[:200]
            raise InputError(
                f"{checkpoint}: does not fit this configuration ({first}); give the configuration that it was trained "
                f"with, another --output_dir, or remove {Path(checkpoint).parent}"
            ) from error


def counted(model: torch.nn.Module) -> torch.Tensor | None:
    """Codes counted in this process's share of an evaluation, maybe none; None for a model that doesn't quantise."""
    bottleneck = getattr(model.encoder, "bottleneck", None)
    if not (isinstance(bottleneck, VQBottleneck) and bottleneck.quantizing):
        return None
    if model.code_counts is not None:
        return model.code_counts.clone()
    return torch.zeros(
        bottleneck.num_codebooks, bottleneck.codebook_size, dtype=torch.int64, device=bottleneck.codebook.device
    )
