"""The commands ``run`` and ``fit``: a run, its pictures, and its summary."""

import time
from pathlib import Path
from typing import Any

from bayes_ddp import config
from bayes_ddp.commands import pictures
from bayes_ddp.commands.run_steps import check_steps, run_steps
from bayes_ddp.commands.terminal import no_star_sentence
from bayes_ddp.pipeline import run as pipeline

__all__ = ["run_and_describe"]


def run_and_describe(
    settings: config.Run, *, progress: pipeline.Progress, overwrite: bool = False
) -> tuple[dict[str, Any], str]:
    """(figures, text to print) of a run; a finished one is left alone where settings ask that.

    overwrite : as in ``pipeline.run``.
    """
    there = pipeline.existing(settings)
    if there:
        text = f"{there} exists already: nothing was done. Its settings: run.toml beside it."
        return {"catalogue": str(there), "skipped": True}, text
    began = time.perf_counter()
    if settings.output.pictures:
        pictures.check_pictures(Path(settings.output.directory))
    check_steps(settings)
    outcome = pipeline.run(settings, progress=progress, overwrite=overwrite)
    drawn = pictures.draw(outcome) if settings.output.pictures else []
    more, added = run_steps(outcome, progress=progress)
    figures = (
        pipeline.figures(outcome)
        | more
        | {
            "seconds": time.perf_counter() - began,
            "pictures": [str(p) for p in drawn],
        }
    )
    lines = [
        f"{figures['rows']} spectra, {figures['fitted']} with labels, {figures['seconds']:.1f} s.",
        *(f"  {n} x {name}" for name, n in figures["warnings"].items()),
        f"Catalogue: {outcome.path}",
        *([f"Draws: {outcome.draws}"] if outcome.draws else []),
        *(f"Picture: {p}" for p in drawn),
        *added,
    ]
    if not figures["fitted"]:
        lines.insert(1, "No spectrum got labels: the warnings say why, row by row in WARN.")
        if figures["warnings"].get("NO_CATALOG_ROW") == figures["rows"]:
            lines.insert(2, "Give velocities of these targets: --catalog or --redshifts.")
    if figures["no_star_not_fitted"]:
        number, spectype = figures["no_star_not_fitted"], settings.input.spectype
        lines.insert(1, no_star_sentence(number, spectype))
    return figures, "\n".join(lines)
