"""From parts to the catalogue; nothing but the parts is read.

Parts may have different columns of the input: what one lacks is unknown there. A spectrum that is
in two parts, because a file was given twice, gets ``#2`` behind its identifier and a warning. Two
stars of one TARGETID that have the velocity of one row lose their labels: one part alone cannot
know of the other.
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
from bayes_ddp.tables.repeats import told_apart
from bayes_ddp.tables.sky import place_numbers, places_of

__all__ = ["merge"]


def merge(
    paths: Sequence[Path], *, limits: ModelLimits | None = None, fatal: WARN = FATAL
) -> tuple[Table, dict[str, str | int | float]]:
    """(catalogue, header cards) of parts, in their order.

    limits : what the emulator knows of each label. fatal : bits of stars without labels.

    Raises ValueError for a part that cannot be read.
    """
    tables, cards, key = [], {}, ""
    for path in paths:
        part = read_part(path)
        if part is None:
            raise ValueError(f"{path} is damaged. Run again: it is made afresh.")
        cards = dict(part.provenance or {})
        key = part.key
        if len(part):
            tables.append(make_catalogue(part, limits=limits, fatal=fatal))
    table = _stacked(tables) if tables else Table()
    if tables:
        names, doubled = told_apart(np.asarray(table[key]))
        for column, values in ((key, names), ("WARN", np.asarray(table["WARN"]) | doubled)):
            about = table[column]
            table[column] = values
            table[column].description, table[column].meta = about.description, about.meta
        _withdraw(table, _shared_velocities(table))
    return table, cards


def _shared_velocities(table: Table) -> np.ndarray:
    """[row] bool, whether stars at several places have one TARGETID and one velocity."""
    names = ("TARGETID", "TARGET_RA", "TARGET_DEC", "PMRA", "PMDEC", "REF_EPOCH")
    columns = {n.lower(): np.asarray(table[n]) for n in names if n in table.colnames}
    places = places_of(columns, [("target_ra", "target_dec")], where="catalogue")
    velocity = np.asarray(table["VRAD_IN"])
    wrong = np.zeros(len(table), bool)
    if places is None or "targetid" not in columns:
        return wrong
    trusted = np.isfinite(velocity) & ((np.asarray(table["WARN"]) & int(WARN.BAD_RV)) == 0)
    rows = np.flatnonzero(trusted & places.known)
    code = np.unique(
        np.stack([columns["targetid"][rows], velocity[rows].view(np.int64)]),
        axis=1,
        return_inverse=True,
    )[1].reshape(-1)
    number = place_numbers(code, places.take(rows))
    several = np.unique(code[number > 0])
    wrong[rows[np.isin(code, several)]] = True
    return wrong


def _withdraw(table: Table, rows: np.ndarray) -> None:
    """Take the labels of these rows away, with warnings."""
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
    """One table of all rows; columns that some tables lack say that nothing is known there."""
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
    """What stands in a column where a file does not have it."""
    if name in MISSING:
        return MISSING[name]
    return {"f": np.nan, "i": -1, "u": 0, "b": False}.get(dtype.kind, "")


def part_of(paths: Sequence[Path], row: int) -> tuple[Part, int]:
    """(part, row in it) of a row of the catalogue that ``merge`` makes of these parts."""
    for path in paths:
        part = read_part(path)
        assert part is not None, path
        if row < len(part):
            return part, row
        row -= len(part)
    raise IndexError(f"The parts hold no row {row}.")
