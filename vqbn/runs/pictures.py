"""A run's pictures beside the report's figures: `<name>_seed<N>_<picture>.png`."""

import shutil
from pathlib import Path

from vqbn.files import replacing


def keep_pictures(expdir: str | Path, figures: str | Path) -> None:
    """Copy the PNG files of a run's `images/` into the report's figures.

    Args:
        expdir: the run's folder, `<name>_seed<N>`.
        figures: the folder that gets them; older ones of the same run are replaced.

    Raises:
        OSError: a file can't be written.
    """
    run = Path(expdir).absolute()
    for picture in sorted((run / "images").glob("*.png")):
        with replacing(Path(figures) / f"{run.name}_{picture.name}") as temporary:
            shutil.copyfile(picture, temporary)


def keep_first_pictures(expdir: str | Path, figures: str | Path, name: str, seed: int) -> None:
    """As `keep_pictures`, unless those of a lower seed of the same name are kept: one seed's are enough."""
    if not any(kept_pictures(figures, name, lower) for lower in range(seed)):
        keep_pictures(expdir, figures)


def kept_pictures(figures: str | Path, name: str, seed: int) -> list[Path]:
    """The files that `keep_pictures` made of the run of this name and seed, sorted."""
    return sorted(Path(figures).glob(f"{name}_seed{seed}_*.png"))
