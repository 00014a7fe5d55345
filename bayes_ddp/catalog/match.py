"""Tables of any origin, and which of their rows are the same star as a row of ours."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from bayes_ddp.spectra.files import BadFileError, check_file, open_fits

__all__ = ["Content", "match_rows", "read_columns"]

Content = dict[str, np.ndarray]
"""Lower-case column name -> [row]."""

_GROUP = ("survey", "program", "healpix")
_SAME = ("obsid", "specid", "miles_id")
_FILE_NAMES = ("srcfile", "filename", "file")


def read_columns(path: Path) -> Content:
    """Every column of a CSV, ECSV or FITS table; an empty cell of a number is NaN.

    Of a FITS file the extension CATALOGUE or RVTAB, else the first. Raises BadFileError for files
    that cannot be read.
    """
    check_file(path)
    if path.suffix in (".csv", ".ecsv", ".txt"):
        try:
            table = Table.read(path, format=f"ascii.{'ecsv' if path.suffix == '.ecsv' else 'csv'}")
        except (ValueError, OSError) as error:
            raise BadFileError(
                f"{path} cannot be read as a table ({str(error).splitlines()[0]}). Give CSV with "
                "one header line, ECSV or FITS."
            ) from None
        content = {name: _unmasked(table[name]) for name in table.colnames}
    else:
        with open_fits(path) as file:
            known = [name for name in ("CATALOGUE", "RVTAB") if name in file]
            if not known and len(file.names) < 2:
                raise BadFileError(f"{path} has no table extension. Give a catalogue or CSV.")
            content = file.table(known[0] if known else 1)
    return {name.lower(): values for name, values in content.items()}


def match_rows(ours: Content, theirs: Content) -> tuple[np.ndarray, np.ndarray, str]:
    """(our rows, their rows, identifier) by the first identifier that matches any row.

    TARGETID with those of SURVEY, PROGRAM, HEALPIX that both have; OBSID and the like; SRCFILE
    against a file name. Where the other table repeats an identifier, its first row counts. Where
    nothing matches, the rows are empty and the third says what was tried.
    """
    tried = []
    for names in _identifiers(ours, theirs):
        text = "+".join(left.upper() for left, _ in names)
        known: dict[tuple[str, ...], int] = {}
        for i, key in enumerate(_keys(theirs, [right for _, right in names])):
            if key is not None:
                known.setdefault(key, i)
        found = [
            (i, known[key])
            for i, key in enumerate(_keys(ours, [left for left, _ in names]))
            if key is not None and key in known
        ]
        if found:
            mine, other = np.array(found).T
            return mine, other, text
        tried.append(text)
    none = np.zeros(0, int)
    return none, none, ", ".join(tried) or "nothing: they share no identifier column"


def _unmasked(column: Any) -> np.ndarray:
    """The column with empty cells as NaN; integers with empty cells become floats."""
    if getattr(column, "mask", None) is None:
        return np.asarray(column)
    if column.dtype.kind in "iuf":
        return np.ma.filled(column.astype(float), np.nan)
    return np.asarray(np.ma.filled(column, ""))


def _identifiers(ours: Content, theirs: Content) -> list[list[tuple[str, str]]]:
    """Ways to match, best first: (our column, their column) pairs that must all agree."""
    ways = []
    if "targetid" in ours and "targetid" in theirs:
        shared = [n for n in _GROUP if n in ours and n in theirs]
        ways.append([("targetid", "targetid"), *((n, n) for n in shared)])
    ways += [[(name, name)] for name in _SAME if name in ours and name in theirs]
    names = [name for name in _FILE_NAMES if name in theirs]
    if "srcfile" in ours and names:
        ways.append([("srcfile", names[0])])
    return ways


def _keys(content: Content, names: Sequence[str]) -> list[tuple[str, ...] | None]:
    """One key per row; None where an identifier is empty, negative or not a number."""
    columns = [[_key(name, value) for value in content[name].tolist()] for name in names]
    return [None if None in key else key for key in zip(*columns, strict=True)]  # type: ignore[misc]


def _key(name: str, value: Any) -> str | None:
    if name in _FILE_NAMES:
        return Path(str(value)).name.removesuffix(".gz") or None
    if isinstance(value, float):  # a whole number in a column with gaps
        return str(int(value)) if np.isfinite(value) and value >= 0 else None
    if isinstance(value, int):
        return str(value) if value >= 0 else None
    return str(value).strip()
