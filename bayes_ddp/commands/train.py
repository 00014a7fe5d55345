"""The command ``train``: the distributed emulators are trained and validated again."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bayes_ddp.emulator.training import train_model

__all__ = ["train_models"]


def train_models(
    names: Sequence[str] | None, models: Path, *, progress: Callable[[str], None]
) -> tuple[dict[str, Any], str]:
    """(figures, text) of the models ``names``; without any, of every model that has a train.toml.

    models : the folder that holds them and the pack ``physics-lte``. Rewrites their files.
    """
    chosen = names or sorted(path.parent.name for path in models.glob("*/train.toml"))
    figures, lines = {}, []
    for name in chosen:
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
    return figures, "\n".join(lines)
