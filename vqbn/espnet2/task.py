"""ESPnet's ASR task with an optimiser that knows the codebook."""

import argparse
from collections.abc import Sequence

import torch
from espnet2.tasks.asr import ASRTask, encoder_choices, model_choices
from espnet2.utils.types import float_or_none, str2bool

from vqbn import VQBottleneck
from vqbn.errors import InputError
from vqbn.espnet2.checks import check_arguments
from vqbn.espnet2.encoders import VQDeepSpeech2Encoder, WrappedEncoder
from vqbn.espnet2.model import VQASRModel
from vqbn.espnet2.options import ALLOW_UNKNOWN_TOKENS, CODEBOOK_LR
from vqbn.espnet2.record import write_record
from vqbn.espnet2.safe import refuse_pickles
from vqbn.espnet2.trainer import VQTrainer

# ESPnet's registries: what reads a YAML, trains and decodes looks there.
encoder_choices.classes.update(vqbn_deepspeech2=VQDeepSpeech2Encoder, vqbn_wrapped=WrappedEncoder)
model_choices.classes.update(vqbn=VQASRModel)
refuse_pickles()


class VQASRTask(ASRTask):
    """`ASRTask`, with a learning rate of the codebook's own, and a clock that follows the optimiser."""

    trainer = VQTrainer

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """ESPnet's, and two of ours."""
        super().add_task_arguments(parser)
        group = parser.add_argument_group(description="Bottleneck related")
        group.add_argument(
            "--codebook_lr",
            type=float_or_none,
            default=None,
            help=CODEBOOK_LR,
        )
        group.add_argument(
            "--allow_unknown_tokens",
            type=str2bool,
            default=False,
            help=ALLOW_UNKNOWN_TOKENS,
        )

    @classmethod
    def build_optimizers(cls, args: argparse.Namespace, model: torch.nn.Module) -> list[torch.optim.Optimizer]:
        """ESPnet's optimiser, with the codebook in a group of its own, which is never decayed.

        The bottleneck counts its updates as this optimiser's steps from now on.

        Raises:
            InputError: there is a learning rate for a codebook that is no parameter.
        """
        optimizers = super().build_optimizers(args, model)
        bottleneck = model.encoder.bottleneck
        codebook = getattr(bottleneck, "codebook", None)
        if isinstance(codebook, torch.nn.Parameter):
            for group in optimizers[0].param_groups:
                group["params"] = [parameter for parameter in group["params"] if parameter is not codebook]
            # A codeword that isn't used would shrink towards zero.
            own = {"params": [codebook], "weight_decay": 0.0}
            if args.codebook_lr is not None:
                own["lr"] = args.codebook_lr
            optimizers[0].add_param_group(own)
        elif args.codebook_lr is not None:
            raise InputError(
                f"codebook_lr: found {args.codebook_lr}, expected nothing: gradients train no codebook of this "
                "bottleneck (bottleneck: linear, or update: ema)"
            )
        if isinstance(bottleneck, VQBottleneck):
            bottleneck.follow(optimizers[0])
        return optimizers

    @classmethod
    def main(cls, args: argparse.Namespace | None = None, cmd: Sequence[str] | None = None) -> None:
        """Check everything that can be known before any work, then hand over to ESPnet.

        Raises:
            InputError: the configuration, the vocabulary or a run to be resumed is wrong.
        """
        if args is None:
            args = cls.get_parser().parse_args(cmd)
        if not args.print_config:
            cls.check_required_command_args(args)
            check_arguments(args)
            # One process of a node writes; collect_stats trains nothing.
            if not args.collect_stats and not args.dist_rank:
                write_record(args.output_dir)
        super().main(args=args, cmd=cmd)
