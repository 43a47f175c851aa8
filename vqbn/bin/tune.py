"""vqbn-tune: what a recipe's search over settings (run.sh --tune true) tried, and what to put into conf/."""

import argparse
import sys

from vqbn.bin.command import command
from vqbn.errors import InputError
from vqbn.tasks import task_names, task_of_results


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        "vqbn-tune",
        description="Print the settings that a search tried, the best of each variant first (of recognisers: lowest "
        "phone error rate, then lowest loss), and the keys to change in conf/ for it. run.sh --tune true runs the "
        "search.",
        allow_abbrev=False,
    )
    options.add_argument(
        "--results", required=True, metavar="DIR", help="the search's results files, results/<data>/tuning"
    )
    options.add_argument("--set", dest="set_name", default="dev_tune", help="the set to choose on (default: dev_tune)")
    options.add_argument("--task", choices=task_names(), help="what was trained (default: what the runs say)")
    return options


@command("vqbn-tune")
def main(argv: list[str]) -> None:
    """Read, compare, print."""
    args = parser().parse_args(argv)
    from vqbn.reports.tuning import chosen_keys, tuning_table
    from vqbn.runs.results import read_results

    results = read_results(args.results)
    tuned = chosen = None
    if results:
        tuned = task_of_results(results, args.results, args.task).tuned
        chosen = chosen_keys(results, args.set_name, tuned)
    if not chosen:
        raise InputError(f"{args.results}: no results of {args.set_name}; run the recipe with --tune true first")
    print(tuning_table(results, args.set_name, tuned))
    for variant, keys in chosen.items():
        best = "  ".join(f"{key}: {value}" for key, value in keys.items()) or "nothing to change"
        print(f"{variant}: {best}")


if __name__ == "__main__":
    sys.exit(main())
