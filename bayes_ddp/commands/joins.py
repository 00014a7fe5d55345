"""Rows of a second table that belong to the stars of a catalogue."""

from pathlib import Path

import numpy as np

from bayes_ddp.files.errors import BadFileError
from bayes_ddp.tables.match import IDENTIFIERS, match_rows
from bayes_ddp.tables.read import Content, read_columns

__all__ = ["identifiers_of", "joined_table", "names_of"]

_NAMES = ("specid", "name", "targetid", "obsid", "source_id", "id")


def joined_table(
    columns: Content, catalogue: Path, table: Path, *, hdu: str | None
) -> tuple[Content, np.ndarray, str]:
    """(columns of the table, its row of each star, by what they match); -1 where it has none.

    columns : of the catalogue. hdu : extension of the table.

    Raises BadFileError if no star is in the table.
    """
    theirs = read_columns(table, hdu)
    match = match_rows(columns, theirs, names=(str(catalogue), str(table)))
    if not len(match.ours):
        raise BadFileError(
            f"No star of {catalogue} is in {table} (tried: {match.by}). Give a table with "
            "TARGETID, SOURCE_ID or positions of the same stars; --hdu names its extension."
        )
    rows = np.full(len(next(iter(columns.values()))), -1)
    rows[match.ours] = match.theirs
    return theirs, rows, match.by


def names_of(columns: Content, known: set[str] | None = None) -> np.ndarray:
    """[star], the identifier of each row as text.

    known : identifiers of draws; the first column that has any of them is taken. Without it the
    first identifier column, or row numbers.

    Raises BadFileError if no column has any of ``known``.
    """
    for column in (name for name in _NAMES if name in columns):
        names = np.array([str(x) for x in columns[column].tolist()])
        if known is None or not known.isdisjoint(names.tolist()):
            return names
    if known is not None:
        raise BadFileError(
            f"No draws belong to a star of the catalogue by any of {', '.join(_NAMES).upper()}. "
            "Give the draws that were made with it."
        )
    return np.arange(1, len(next(iter(columns.values()))) + 1).astype(str)


def identifiers_of(columns: Content, names: np.ndarray) -> dict[str, np.ndarray]:
    """Identifier columns of the catalogue, upper case; ``ID`` with ``names`` without any."""
    found = {name.upper(): columns[name] for name in IDENTIFIERS if name in columns}
    return found or {"ID": names}
