"""The catalogue of a run is computed from its part files only.

Parts may have different columns of the input; a missing column is unknown. A spectrum in two
parts, because a file is listed twice, gets the suffix ``#2`` and a warning. Two stars with one
TARGETID and the velocity of one row lose their labels; this is only visible with all parts.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.table import Table, vstack

from bayes_ddp.catalog.table import make_catalogue
from bayes_ddp.emulator.limits import ModelLimits
from bayes_ddp.files.errors import InputWarning
from bayes_ddp.flags import FATAL, WARN
from bayes_ddp.inference.parts import Part, read_part
from bayes_ddp.labels import LABELS
from bayes_ddp.spectra.desi.columns import MISSING
from bayes_ddp.tables.repeats import distinct_names
from bayes_ddp.tables.sky import position_numbers, positions_of

__all__ = ["merge"]


def merge(
    paths: Sequence[Path], *, limits: ModelLimits | None = None, fatal: WARN = FATAL
) -> tuple[Table, dict[str, str | int | float]]:
    """(catalogue, header cards) of parts, in their order.

    limits : trained range and error of each label. fatal : bits of stars without labels.

    Raises ValueError for a part that cannot be read.
    """
    tables, cards, key = [], {}, ""
    for path in paths:
        part = read_part(path)
        if part is None:
            raise ValueError(f"{path} is damaged. Run again: it will be computed again.")
        cards = dict(part.provenance or {})
        key = part.key
        if len(part):
            tables.append(make_catalogue(part, limits=limits, fatal=fatal))
    table = _stacked(tables) if tables else Table()
    if tables:
        names, doubled = distinct_names(np.asarray(table[key]))
        for column, values in ((key, names), ("WARN", np.asarray(table["WARN"]) | doubled)):
            about = table[column]
            table[column] = values
            table[column].description, table[column].meta = about.description, about.meta
        _withdraw(table, _shared_velocities(table))
    return table, cards


def _shared_velocities(table: Table) -> np.ndarray:
    """[row] bool, whether stars at several positions have one TARGETID and one velocity."""
    names = ("TARGETID", "TARGET_RA", "TARGET_DEC", "PMRA", "PMDEC", "REF_EPOCH")
    columns = {n.lower(): np.asarray(table[n]) for n in names if n in table.colnames}
    positions = positions_of(columns, [("target_ra", "target_dec")], where="catalogue")
    velocity = np.asarray(table["VRAD_IN"])
    wrong = np.zeros(len(table), bool)
    if positions is None or "targetid" not in columns:
        return wrong
    trusted = np.isfinite(velocity) & ((np.asarray(table["WARN"]) & int(WARN.BAD_RV)) == 0)
    rows = np.flatnonzero(trusted & positions.known)
    code = np.unique(
        np.stack([columns["targetid"][rows], velocity[rows].view(np.int64)]),
        axis=1,
        return_inverse=True,
    )[1].reshape(-1)
    number = position_numbers(code, positions.take(rows))
    several = np.unique(code[number > 0])
    wrong[rows[np.isin(code, several)]] = True
    return wrong


def _withdraw(table: Table, rows: np.ndarray) -> None:
    """Set the labels of these rows to NaN, with warnings."""
    if not rows.any():
        return
    first = np.asarray(table["TARGETID"])[rows][0]
    warnings.warn(
        f"{rows.sum()} spectra at different positions have one TARGETID and the velocity of one "
        f"row, the first {first}: they have no labels. Give a catalogue with positions "
        "(TARGET_RA, TARGET_DEC).",
        InputWarning,
        stacklevel=2,
    )
    table["WARN"][rows] |= int(WARN.NO_CATALOG_ROW | WARN.DOUBLED_ROW)
    for row in LABELS:
        if row.column in table.colnames:
            table[row.column][rows] = np.nan


def _stacked(tables: list[Table]) -> Table:
    """One table of all rows; columns that a table lacks have the value of ``_missing``."""
    names = list(dict.fromkeys(name for table in tables for name in table.colnames))
    for table in tables:
        for name in names:
            if name not in table.colnames:
                model = next(t[name] for t in tables if name in t.colnames)
                table[name] = np.full(len(table), _missing(name, model.dtype), model.dtype)
                table[name].unit, table[name].description = model.unit, model.description
                table[name].meta = dict(model.meta)
    return vstack([table[names] for table in tables], metadata_conflicts="silent")


def _missing(name: str, dtype: np.dtype) -> float | int | str | bool:
    """The value of a column in rows of a file that does not have it."""
    if name in MISSING:
        return MISSING[name]
    return {"f": np.nan, "i": -1, "u": 0, "b": False}.get(dtype.kind, "")


def part_of(paths: Sequence[Path], row: int) -> tuple[Part, int]:
    """(part, row in it) of a row of the catalogue that ``merge`` computes from these parts."""
    for path in paths:
        part = read_part(path)
        assert part is not None, path
        if row < len(part):
            return part, row
        row -= len(part)
    raise IndexError(f"The parts have no row {row}.")
