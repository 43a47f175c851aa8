"""vqbn-espnet-asr-inference: ESPnet2's ASR decoding of a model with a bottleneck."""

import logging
import sys

from vqbn.bin.command import command
from vqbn.espnet2.installed import require_espnet
from vqbn.espnet2.options import asks_for_help, inference_help


@command("vqbn-espnet-asr-inference")
def main(argv: list[str]) -> None:
    """Check, and hand over to ESPnet."""
    if asks_for_help(argv):
        inference_help().print_help()
        return
    require_espnet()
    from espnet2.bin import asr_inference

    import vqbn.espnet2.task  # noqa: F401 - makes our names known to ESPnet
    from vqbn.espnet2.checks import check_decoding

    args = asr_inference.get_parser().parse_args(argv)
    if args.model_tag is None:
        check_decoding(args.asr_train_config, args.asr_model_file)
    logging.getLogger().handlers.clear()
    asr_inference.main(cmd=argv)


if __name__ == "__main__":
    sys.exit(main())
