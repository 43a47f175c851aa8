"""From a training run to a model that can be given away."""

from collections.abc import Mapping
from pathlib import Path

from vqbn.errors import InputError
from vqbn.runs.config import decisive
from vqbn.runs.exported import EXTRA_STATE
from vqbn.runs.loaded import Loaded
from vqbn.runs.model_folder import write_model_folder
from vqbn.runs.records import read_record
from vqbn.runs.task import Task


def export(loaded: Loaded, task: Task, expdir: str | Path, out: str | Path, data: str = "", terms: str = "") -> None:
    """Write a model folder of a training run.

    Args:
        loaded: the run's model.
        task: what was trained.
        expdir: the run's folder, whose scores go into the model's card where there are any.
        out: the folder to write.
        data: what it was trained on, in words, for the card.
        terms: the licence that the model is given away under, for the card.

    Raises:
        InputError: nothing is quantised yet, or what the model's input was made with is missing.
    """
    if getattr(loaded.model.bottleneck, "quantizing", True) is False:
        raise InputError(f"{loaded.path}: from before the first clustering: nothing is quantised; train on")
    expdir = Path(expdir)
    scores = read_record(expdir / "scores.json", {}, "score the run again") if (expdir / "scores.json").exists() else {}
    front_end = task.front_end(loaded)
    described = {key: value for key, value in loaded.about.items() if key not in ("config", "update")}
    about = {
        "task": task.name,
        "config": decisive(loaded.config, task.keys),
        "model": described,
        "front_end": front_end.settings,
        "training": {
            "run": expdir.absolute().name,
            "update": loaded.update,
            "averaged": loaded.averaged,
            "data": data,
            "scores": scores,
        },
    }
    state = {name: value for name, value in loaded.model.state_dict().items() if not name.endswith(EXTRA_STATE)}
    write_model_folder(out, about, state, front_end.arrays, card(about, task, Path(out).absolute().name, terms))


def card(about: Mapping[str, object], task: Task, name: str, terms: str) -> str:
    """README.md of a model folder: what it is, where it comes from, its scores, how to use it."""
    training = about["training"]
    weights = "averaged weights" if training["averaged"] else "weights of the last update"
    head = ["library_name: vqbn", *([f"license: {terms}"] if terms else []), "tags:", f"- {task.name}"]
    settings = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in about["front_end"].items())
    facts = {
        "Run": f"{training['run']}, update {training['update']:,}, {weights}",
        "Trained on": training["data"] or "not said",
        "Licence": terms or "not said",
        "Input": settings or "as the model",
    }
    return "\n".join(
        [
            *("---", *head, "---", ""),
            *(
                f"# {name}",
                "",
                f"A model of the task `{task.name}` with a vector-quantised bottleneck, made by vqbn.",
                "",
            ),
            *(f"- {what}: {fact}." for what, fact in facts.items()),
            *("", *score_table(training["scores"], task)),
            *("```python", "import vqbn", "", f'model = vqbn.load("{name}")', task.example, "```", ""),
        ]
    )


def score_table(scores: Mapping[str, Mapping[str, float]], task: Task) -> list[str]:
    """A Markdown table of a run's scores, a column for each set; nothing where there are none."""
    lines = []
    for key, row in task.score_rows.items():
        values = [found.get(key) for found in scores.values()]
        if any(value is not None for value in values):
            cells = ("–" if value is None else f"{row.scale * value:,.{row.digits}f}" for value in values)
            lines.append(f"| {row.name.strip()} | {' | '.join(cells)} |")
    return [f"| | {' | '.join(scores)} |", "| :-- |" + " --: |" * len(scores), *lines, ""] if lines else []
