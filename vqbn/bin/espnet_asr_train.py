"""vqbn-espnet-asr-train: ESPnet2's ASR training with a bottleneck."""

import logging
import sys

from vqbn.bin.command import command
from vqbn.espnet2.installed import require_espnet
from vqbn.espnet2.options import asks_for_help, training_help


@command("vqbn-espnet-asr-train")
def main(argv: list[str]) -> None:
    """Check, and hand over to ESPnet."""
    if asks_for_help(argv):
        training_help().print_help()
        return
    require_espnet()
    from vqbn.espnet2.task import VQASRTask

    # ESPnet sets up the log itself, as its --log_level says, unless somebody did before.
    logging.getLogger().handlers.clear()
    VQASRTask.main(cmd=argv)


if __name__ == "__main__":
    sys.exit(main())
