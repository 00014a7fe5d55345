"""Columns of any table are converted to numbers, truth values and identifiers.

Tables mark unknown cells in many ways, and programs write numbers as text and identifiers as
floating point. A cell that cannot be converted without loss raises an error that names column, row
and cell; unknown cells stay unknown.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from bayes_ddp.files.errors import BadFileError
from bayes_ddp.files.rows import EXACT

__all__ = [
    "FALSE",
    "NULLS",
    "TRUE",
    "UNKNOWN_ID",
    "identifiers",
    "real",
    "truth",
    "typed",
    "whole",
]

NULLS = frozenset(
    "null none nil nan na n/a n.a. #n/a <na> nat - -- --- \\n ? ... masked undef undefined "
    "unknown missing".split()
) | {""}
"""Texts of an unknown cell, lower case, without surrounding blanks."""

TRUE = frozenset(("true", "t", "yes", "y", "1"))
"""Texts of true, lower case."""

FALSE = frozenset(("false", "f", "no", "n", "0"))
"""Texts of false, lower case."""

UNKNOWN_ID = -(2**63)
"""Marks an unknown identifier; no target has this number."""

_EXACT_32 = 2**24
_SUSPECT = 4  # so many values that all fit into float32 are no coincidence


def real(values: np.ndarray, label: str) -> np.ndarray:
    """The column as float64, NaN if unknown.

    label : file and column in messages.

    Raises BadFileError for text that is neither a number nor one of ``NULLS``.
    """
    if values.dtype.kind in "US":
        return _parsed(values, label, kind=float, unknown=np.nan, what="a number")
    if values.dtype.kind not in "iufb":
        raise BadFileError(f"{label} has no numbers ({values.dtype}). Name another column.")
    known = np.asarray(np.ma.getdata(values), float)
    return (
        np.where(np.ma.getmaskarray(values), np.nan, known) if np.ma.is_masked(values) else known
    )


def whole(values: np.ndarray, label: str, *, unknown: int) -> np.ndarray:
    """The column as int64; cells that are unknown or not finite have the value ``unknown``.

    label : file and column in messages.

    Raises BadFileError for text that is no integer, for fractions, for unsigned integers beyond
    63 bits, and for floating point from 2^53 (float32: 2^24).
    """
    kind = values.dtype.kind
    if kind in "US":
        return _parsed(values, label, kind=int, unknown=unknown, what="a whole number")
    if kind not in "iufb":
        raise BadFileError(f"{label} has no whole numbers ({values.dtype}). Name another column.")
    data, mask = np.ma.getdata(values), np.ma.getmaskarray(values)
    if kind == "f":
        mask = mask | ~np.isfinite(data)
        data = np.where(mask, 0, data)
        limit = _EXACT_32 if values.dtype.itemsize <= 4 else EXACT
        _refuse(
            data != np.rint(data),
            data,
            label=label,
            why="is no whole number. Name another column.",
        )
        _refuse(np.abs(data) >= limit, data, label=label, why=_lost(values.dtype))
    elif kind == "u":
        _refuse(
            data >= 2**63,
            data,
            label=label,
            why="is beyond 64 bits with a sign. Name another column.",
        )
    return np.where(mask, unknown, data.astype(np.int64))


def identifiers(values: np.ndarray, label: str) -> np.ndarray:
    """The column as int64, ``UNKNOWN_ID`` if unknown.

    A float64 column is accepted if all numbers are whole and below 2^53, where float64 is exact.
    A float32 column is exact below 2^24. A float64 column that was float32 before has lost digits
    too; it is refused if it has four or more distinct numbers from 2^24 and all fit into float32.

    label : file and column in messages.

    Raises BadFileError for text that is no integer, for fractions, and for floating point that may
    have lost digits.
    """
    found = whole(values, label, unknown=UNKNOWN_ID)
    if values.dtype.kind == "f" and values.dtype.itemsize > 4:
        large = np.unique(found[np.abs(found.astype(float)) >= _EXACT_32])
        large = large[large != UNKNOWN_ID]
        if len(large) >= _SUSPECT and (large.astype(np.float32).astype(np.int64) == large).all():
            _refuse(np.isin(found, large), values, label=label, why=_lost(np.dtype("f4")))
    return found


def truth(values: np.ndarray, label: str) -> np.ndarray:
    """The column as bool, False if unknown; numbers other than 0 are true.

    label : file and column in messages.

    Raises BadFileError for text that is none of ``TRUE``, ``FALSE`` and ``NULLS``.
    """
    if values.dtype.kind in "US":
        return _parsed(values, label, kind=_truth_of, unknown=False, what="true or false")
    numbers = real(values, label)
    return np.isfinite(numbers) & (numbers != 0)


def typed(values: np.ndarray) -> np.ndarray:
    """Text as integers, floats or truth values, if every cell is one or unknown.

    Other text, text of ``NULLS`` alone and numbers with leading zeros stay text; arrays that are
    not text are returned unchanged. Integers with unknown cells are float64 with NaN, or masked
    beyond 2^53.

    >>> typed(np.array(["5000", "null"])).tolist()
    [5000.0, nan]
    >>> typed(np.array(["True", "no"])).tolist()
    [True, False]
    """
    if values.dtype.kind != "U" or values.ndim != 1 or not values.size:
        return values
    cells = np.char.lower(np.char.strip(values))
    empty = np.isin(cells, list(NULLS))
    if empty.all() or any(
        cell[0] == "0" and cell[1:].isdigit() and len(cell) > 1
        for cell in np.unique(cells[~empty]).tolist()
    ):
        return values
    if np.isin(cells[~empty], list((TRUE | FALSE) - {"0", "1"})).all():
        yes = np.isin(cells, list(TRUE))
        return np.ma.masked_array(yes, empty) if empty.any() else yes
    for kind in (np.int64, np.float64):
        try:
            numbers = np.where(empty, "0", cells).astype(kind)
        except (ValueError, OverflowError):
            continue
        if not empty.any():
            return numbers
        if kind is np.int64 and np.abs(numbers.astype(float)).max() >= EXACT:
            return np.ma.masked_array(np.where(empty, -1, numbers), empty)
        return np.where(empty, np.nan, numbers.astype(float))
    return values


def _truth_of(text: str) -> bool:
    if text.lower() in TRUE:
        return True
    if text.lower() in FALSE:
        return False
    raise ValueError


def _parsed(
    values: np.ndarray, label: str, *, kind: Callable, unknown: float | int | bool, what: str
) -> np.ndarray:
    """Values of cells of text, each converted by ``kind``."""
    found: list[Any] = []
    known = False
    for row, cell in enumerate(values.astype(str).reshape(-1).tolist()):
        text = cell.strip()
        try:
            null = text.lower() in NULLS
            found.append(unknown if null else kind(text))
            known |= not null
        except ValueError:
            if not known:
                raise BadFileError(
                    f"{label} has no numbers: row {row + 1} is {cell!r}, which is not {what}. "
                    "Name another column, or correct the cell."
                ) from None
            raise BadFileError(
                f"{label}, row {row + 1}: {cell!r} is not {what}. Correct the cell, or leave "
                "it empty if it is unknown."
            ) from None
    dtype = np.dtype({float: "f8", int: "i8"}.get(kind, "?"))  # type: ignore[call-overload]
    try:
        return np.array(found, dtype).reshape(values.shape)
    except OverflowError:
        raise BadFileError(
            f"{label} has whole numbers beyond 64 bits. Name another column."
        ) from None


def _refuse(wrong: np.ndarray, values: np.ndarray, *, label: str, why: str) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong.reshape(len(wrong), -1).any(axis=1))[0])
        raise BadFileError(f"{label}, row {row + 1}: {np.asarray(values)[row]} {why}")


def _lost(dtype: np.dtype) -> str:
    digits = 7 if dtype.itemsize <= 4 else 15
    return (
        f"in floating point: it keeps {digits} digits of an identifier, so that others were lost. "
        "Save the column as 64-bit integers from the original table."
    )
