"""Commands about models: mismatch, physics, train."""

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bayes_ddp.cli.app import Json, app, print_figures, print_message, start_jax

__all__ = ["mismatch", "physics", "train"]


@app.command
def mismatch(
    file: Path,
    /,
    *,
    snr: float = 50.0,
    write: bool = False,
    output: Path | None = None,
    source: str | None = None,
    json: Json = False,
) -> None:
    """Measure where the model does not match real stars, from the fits of a run.

    Two results: the mismatch of each pixel, and the scatter of each label that it causes. Spectra
    without errors, such as those of libraries, give the second one only.

    Parameters
    ----------
    file
        Run file of a finished run.
    snr
        Only stars whose median signal-to-noise ratio exceeds this.
    write
        Put the spectrum into the model's folder and the figures into its card. Later catalogues
        have the scatter of labels in _SYS and in the flags.
    output
        PNG to draw it into. By default pictures/mismatch.png in the run's folder.
    source
        Where the stars come from, for the card. By default the survey's name.
    """
    start_jax()
    from bayes_ddp import config
    from bayes_ddp.commands import mismatch as measuring

    figures, text = measuring.measure(
        config.load(file), snr=snr, write=write, picture=output, source=source
    )
    print_figures(figures, text, json)


@app.command
def physics(
    folders: Annotated[list[Path], Parameter(consume_multiple=True)],
    /,
    *,
    models: Path = Path("models"),
    json: Json = False,
) -> None:
    """Add folders of computed spectra to the pack on which emulators are trained.

    Parameters
    ----------
    folders
        Folders with g_*.npz, ref_*.npz or fine_*.npz. The last go into a pack of their own,
        fine-lte, from which bounds of sharp instruments are computed.
    models
        The models folder of the clone.
    """
    from bayes_ddp.emulator.physics import library as packing
    from bayes_ddp.emulator.physics.points import take_in_fine

    figures = packing.add_spectra(
        folders, models / "physics-lte", models / "held-out", progress=print_message
    )
    figures |= take_in_fine(folders, models / "fine-lte", progress=print_message)
    print_figures(figures, "\n".join(f"{k}: {v}" for k, v in figures.items()), json)


@app.command
def train(
    names: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
    /,
    *,
    correct: Path | None = None,
    data: Path | None = None,
    output: Path | None = None,
    folds: int | None = None,
    models: Path = Path("models"),
    json: Json = False,
) -> None:
    """Train emulators on computed spectra, or correct one on spectra of labelled real stars.

    Without options: train the shipped emulators again from models/physics-lte, learn their
    corrections again, and rewrite their cards.

    With --correct: learn what a model of computed spectra lacks from your own labelled spectra,
    and write a corrected model that bayes-ddp fit takes like any other (docs/training.md).

    Parameters
    ----------
    names
        Models to train; without any, every folder of models/ that has a train.toml.
    correct
        File with a table [correct]: base model, spectra, table of labels and their errors. Shipped
        example: models/desi/train.toml.
    data
        Folder from which the paths in that file start. By default the folder of the file; of
        shipped models the environment variable BAYES_DDP_DATA.
    output
        Folder for the corrected model. By default the folder of the file.
    folds
        Parts of the cross-validation of the correction; 0 leaves it out.
    models
        The models folder of the clone.
    """
    start_jax()
    from bayes_ddp.commands.train import train_correction, train_models

    if data is None and "BAYES_DDP_DATA" in os.environ:
        data = Path(os.environ["BAYES_DDP_DATA"])
    if correct is None:
        figures, text = train_models(names, models, data=data, progress=print_message)
    elif names:
        raise ValueError("Give names of models or --correct FILE, not both.")
    else:
        figures, text = train_correction(
            correct, output, data=data, folds=folds, progress=print_message
        )
    print_figures(figures, text, json)
