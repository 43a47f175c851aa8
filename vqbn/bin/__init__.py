"""One command per step."""

import itertools
import sys

# `python -m vqbn.bin.train` imports this before that module, whose own imports can take seconds.
if sys.argv[:1] == ["-m"]:
    for option, module in itertools.pairwise(sys.orig_argv):
        if option == "-m" and module.startswith("vqbn.bin."):
            from vqbn.bin.start import answer_interrupts, command_name

            answer_interrupts(command_name(module))
