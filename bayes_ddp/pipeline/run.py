"""A complete run: tasks, parts, catalogue.

Every part is written before the next group of tasks is read, so that memory does not grow with the
number of files, and a run that was stopped resumes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from bayes_ddp import config
from bayes_ddp.catalog.fits import write_catalogue
from bayes_ddp.emulator.limits import model_limits
from bayes_ddp.files.outputs import write_text
from bayes_ddp.flags import UNTRAINED, WARN
from bayes_ddp.inference.fit import BATCH
from bayes_ddp.inference.forward import narrowest_fwhm
from bayes_ddp.inference.parts import find_parts
from bayes_ddp.pipeline.merge import merge
from bayes_ddp.pipeline.outputs import check_labels_remain, check_outputs, remove_parts
from bayes_ddp.pipeline.plan import TASK_ROWS, Task, groups, plan
from bayes_ddp.pipeline.work import Done, Setup, open_run, provenance, work
from bayes_ddp.spectra.select import check_selected
from bayes_ddp.spectra.widths import BROADEST

__all__ = ["Outcome", "Progress", "existing", "figures", "run"]

Progress = Callable[[str, int, int], None]
"""Callback with (name of the step, number done, total number)."""


@dataclass(frozen=True)
class Outcome:
    """A finished run: its catalogue, the path of the catalogue, its tasks and parts.

    draws : folder of the parts; None if they were not kept. parts : the part files, in order.
    tasks : each with its number of rows in the catalogue, in order.
    """

    setup: Setup
    table: Table
    path: Path
    draws: Path | None
    parts: tuple[Path, ...]
    tasks: tuple[tuple[Task, int], ...]

    def task_of(self, row: int) -> tuple[Task, int]:
        """(task, row among its selected spectra) of a row of the catalogue."""
        for task, rows in self.tasks:
            if row < rows:
                return task, row
            row -= rows
        raise IndexError(f"The catalogue has no row {row}.")


def _quiet(what: str, done: int, total: int) -> None:
    """Show no progress."""


def existing(settings: config.Run) -> Path | None:
    """The existing catalogue that ``skipexisting`` keeps; None if the run must be computed.

    It is kept for any settings of its run, which are in run.toml beside it.
    """
    path = Path(settings.output.directory) / "catalogue.fits"
    return path if settings.input.skipexisting and path.is_file() else None


def run(
    settings: config.Run,
    *,
    progress: Progress = _quiet,
    batch: int = BATCH,
    rows: int = TASK_ROWS,
    overwrite: bool = False,
) -> Outcome:
    """Fit every star of a run and write its catalogue, draws and resolved run file.

    batch : stars that are fitted together. rows : largest number of rows per task. overwrite :
    replace a finished catalogue of other settings.

    Raises ValueError (or a subclass) with one sentence for inputs that cannot be read or are not
    compatible, OutputError for files that must not be replaced, and RuntimeError without float64.
    """
    setup = open_run(settings)
    tasks = plan(settings, rows=rows)
    total = sum(map(len, tasks))
    if not total:
        names = ", ".join(Path(p).name for p in settings.input.spectra[:3])
        number = len(settings.input.spectra)
        raise ValueError(f"{names}: no spectra in {number} files, nothing to fit.")
    check_outputs(settings, overwrite=overwrite)
    output = Path(settings.output.directory)
    folder = output / "draws"
    folder.mkdir(parents=True, exist_ok=True)
    write_text(output / "run.toml", config.dump(settings))
    done: list[Done] = []
    count = 0

    def step(stars: int) -> None:
        nonlocal count
        count += stars
        progress("fitted", count, total)

    for group in groups(tasks, rows=rows):
        done += work(setup, group, folder, batch=batch, progress=step)
    source = settings.input
    check_selected([one.counts for one in done], targetid=source.targetid, minsn=source.minsn)
    return _finish(setup, done, overwrite=overwrite)


def _finish(setup: Setup, done: list[Done], *, overwrite: bool) -> Outcome:
    """Merge the parts, write the catalogue, and remove the parts of earlier settings.

    Earlier parts are kept if no star was fitted.
    """
    output = Path(setup.run.output.directory)
    limits = model_limits(setup.emulator.space, setup.card.table)
    paths = [one.path for one in done]
    table, _ = merge(paths, limits=limits, fatal=setup.fatal)
    _check_widths(setup, table)
    fitted = bool(np.isfinite(np.asarray(table["CHI2"])).any())
    kept = setup.run.output.draws and fitted
    if not fitted:
        remove_parts(output / "draws", paths)
        if not overwrite:
            check_labels_remain(output / "catalogue.fits")
    write_catalogue(table, output / "catalogue.fits", provenance(setup))
    if fitted or overwrite:
        spared = paths if kept else []
        every = find_parts(output / "draws")
        remove_parts(output / "draws", [path for path in every if path not in spared])
    tasks = tuple((one.task, one.counts.kept) for one in done)
    draws = output / "draws" if kept else None
    parts = tuple(paths) if kept else ()
    return Outcome(setup, table, output / "catalogue.fits", draws, parts, tasks)


def _check_widths(setup: Setup, table: Table) -> None:
    """Raise ValueError with a file name if no star was fitted because of the LSF widths."""
    if not len(table):
        return
    warn, lost = np.asarray(table["WARN"]), int(WARN.LSF_WARN | WARN.NODATA)
    candidates = (warn & int(setup.fatal & ~WARN.NODATA)) == 0
    if candidates.any() and ((warn[candidates] & lost) == lost).all():
        first = table["SRCFILE"][int(np.argmax(candidates))]
        raise ValueError(
            f"No spectrum can be fitted (the first is {first}): the FWHM of the line-spread "
            f"function has to be between {narrowest_fwhm(setup.emulator):.2f} Å, since "
            f"{setup.card.name} is {setup.emulator.fwhm:.2f} Å wide, and {BROADEST:g} Å. Use a "
            "model made for this survey, or correct the widths."
        )


def figures(outcome: Outcome) -> dict[str, Any]:
    """Counts of a finished run, for the terminal and for --json."""
    setup = outcome.setup
    warn = np.asarray(outcome.table["WARN"])
    no_star = (warn & int(WARN.NOT_STAR)) != 0
    counted = {str(bit.name): int(np.count_nonzero(warn & int(bit))) for bit in WARN}
    return {
        "rows": len(warn),
        "fitted": int(np.count_nonzero((warn & int(setup.fatal | UNTRAINED)) == 0)),
        "warnings": {name: n for name, n in counted.items() if n},
        "no_star_not_fitted": int(np.count_nonzero(no_star & ((warn & int(setup.fatal)) != 0))),
        "survey": setup.run.input.survey,
        "emulator": setup.card.name,
        "catalogue": str(outcome.path),
        "draws": None if outcome.draws is None else str(outcome.draws),
    }
