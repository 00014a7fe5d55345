"""The command ``train``: the distributed emulators are trained and validated again."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bayes_ddp.commands.correct import correct_model, load_settings
from bayes_ddp.commands.correct.settings import is_correction
from bayes_ddp.emulator.card import load_emulator, read_card
from bayes_ddp.emulator.training import train_model

__all__ = ["train_correction", "train_models"]

Progress = Callable[[str], None]


def train_models(
    names: Sequence[str] | None, models: Path, *, data: Path | None, progress: Progress
) -> tuple[dict[str, Any], str]:
    """(figures, text) of the models ``names``; without any, of every model that has a train.toml.

    models : the folder that holds them and the pack ``physics-lte``. Rewrites their files. data :
    folder of the labelled spectra that corrections are learned from.

    Corrections come last, and are learned again where their base has changed.
    """
    chosen = names or sorted(path.parent.name for path in models.glob("*/train.toml"))
    corrected = [name for name in chosen if _is_corrected(models / name)]
    figures, lines = {}, []
    for name in (name for name in chosen if name not in corrected):
        card = train_model(models / name, models / "physics-lte", progress=progress)
        training, validation = card["training"], card["validation"]
        figures[name] = {"training": training, "validation": validation}
        left_out = validation.get("held_out", validation["cross_validation"])
        mean, median = left_out["mean_and_median_rms"]
        lines.append(
            f"{name}: {training['spectra']} spectra, {training['reference_points']} reference "
            f"points; flux rms of stars left out {100 * mean:.2f} % (mean), "
            f"{100 * median:.2f} % (median)"
        )
    for name in corrected:
        folder = models / name
        if _is_current(folder):
            lines.append(f"{name}: its base has not changed; kept")
            continue
        found, text = train_correction(
            folder / "train.toml", None, data=data, folds=None, progress=progress
        )
        figures[name] = found
        lines.append(text)
    return figures, "\n".join(lines)


def train_correction(
    file: Path, output: Path | None, *, data: Path | None, folds: int | None, progress: Progress
) -> tuple[dict[str, Any], str]:
    """(figures, text) of the correction that a file describes, written into its folder.

    output : another folder. data : where relative paths start. folds : in place of the file's.
    """
    settings = load_settings(file, data=data)
    if folds is not None:
        settings = replace(settings, folds=folds)
    beside = file.resolve().parent.parent / settings.base
    if beside.is_dir():
        settings = replace(settings, base=str(beside))
    return correct_model(output or file.parent, settings, progress=progress)


def _is_corrected(folder: Path) -> bool:
    return (folder / "train.toml").is_file() and is_correction(folder / "train.toml")


def _is_current(folder: Path) -> bool:
    """Whether a correction exists and was learned on the present weights of its base."""
    try:
        return load_emulator(folder).card is not None and "base_sha256" in read_card(folder)
    except (ValueError, OSError):
        return False
