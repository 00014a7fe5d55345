"""A finished run read back: its catalogue, and the spectra of some of its stars."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from astropy.table import Table

from bayes_ddp.catalog.fits import read_catalogue
from bayes_ddp.emulator.network import Card
from bayes_ddp.flags import FATAL, UNTRAINED, WARN
from bayes_ddp.pipeline.plan import plan
from bayes_ddp.pipeline.work import Setup, load_task
from bayes_ddp.spectra.raw import RawSpectra

__all__ = ["finished_catalogue", "spectra_of", "usable_rows"]

_EXCLUDED = FATAL | UNTRAINED | WARN.NOT_CONVERGED


def finished_catalogue(output: Path, card: Card) -> Table:
    """The catalogue of a finished run; ValueError where there is none, or of other weights."""
    path = output / "catalogue.fits"
    if not path.is_file():
        raise ValueError(f"{output} holds no catalogue.fits: finish 'bayes-ddp run' first.")
    table = read_catalogue(path)
    made_with = str(table.meta.get("EMUSHA"))
    if made_with != card.sha256:
        raise ValueError(
            f"{output} was fitted with weights {made_with[:12]}, and {card.name} now has "
            f"{card.sha256[:12]}: run it again."
        )
    return table


def usable_rows(table: Table, snr: float) -> np.ndarray:
    """Rows of well fitted stars whose median S/N over all arms is above ``snr``, if it is known.

    The S/N of spectra without errors is not, and these stars are all used.
    """
    columns = [name for name in table.colnames if name.startswith("SNR_")]
    ratio = np.nan_to_num(np.stack([np.asarray(table[name]) for name in columns], axis=1))
    warn = np.asarray(table["WARN"])
    fitted = (warn & int(_EXCLUDED)) == 0
    unknown = (warn & int(WARN.NO_ERRORS)) != 0
    return np.flatnonzero(fitted & (unknown | (np.median(ratio, axis=1) > snr)))


def spectra_of(
    setup: Setup, table: Table, rows: np.ndarray
) -> Iterator[tuple[RawSpectra, np.ndarray]]:
    """(spectra, their rows of the catalogue) of each task of a run that has chosen stars.

    table : the catalogue. rows : its rows that are chosen.

    Raises ValueError where a task of the run does not have the catalogue's stars.
    """
    key = "SPECID" if "SPECID" in table.colnames else "NAME"
    names = {str(name): row for row, name in enumerate(table[key])}
    wanted = set(rows.tolist())
    for task in plan(setup.run):
        raw = load_task(setup, task)
        at = np.array([names.get(name, -1) for name in raw.identifiers()], int)
        if (at < 0).any():
            lost = raw.identifiers()[int(np.argmin(at))]
            raise ValueError(
                f"{task.path} holds {lost}, which is not in the catalogue: the run file or its "
                "input has changed since. Run it again."
            )
        use = np.array([row in wanted for row in at], bool)
        if use.any():
            yield raw.take(np.flatnonzero(use)), at[use]
