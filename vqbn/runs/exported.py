"""The module of a model folder."""

from torch import nn

from vqbn.errors import InputError
from vqbn.runs.model_folder import ModelFolder
from vqbn.runs.task import Task

# A bottleneck's clock, reservoir and generator, of which only training has use.
EXTRA_STATE = "_extra_state"


def build_exported(folder: ModelFolder, task: Task) -> nn.Module:
    """The module of a model folder, in evaluation mode on the CPU.

    Raises:
        InputError: the weights don't fit the model that config.json describes.
    """
    defaults = {key.name: key.default for key in task.keys}
    # What is trained no more has no schedule, and so no reservoir either.
    config = defaults | folder.about["config"] | {"reestimation": False}
    try:
        model = task.build({"config": config, **folder.about["model"]})
        missing, unexpected = model.load_state_dict(folder.state, strict=False)
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        first = " ".join(str(error).split())[:200]
        raise InputError(f"{folder.path}: its weights don't fit its config.json ({first}); export it again") from error
    wrong = [*unexpected, *(name for name in missing if not name.endswith(EXTRA_STATE))]
    if wrong:
        raise InputError(f"{folder.path}: {wrong[0]!r} is not both in its weights and its config.json; export it again")
    return model.eval()
