"""Values of the columns of a FITS table, decoded from its bytes.

Row length and column formats come from the header, which has been checked against the file. No
FITS library is used, so that the values of a column do not depend on the columns read with it.

An unknown value is never a number: TNULL becomes NaN, or a masked value for types without NaN
(integers beyond 2^53, logicals). Integers keep all 64 bits if TSCAL and TZERO are whole numbers;
other scaled columns are float64.

Source: FITS standard 4.0, sections 7.2 and 7.3.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import BinaryIO

import numpy as np

from bayes_ddp.files.errors import BadFileError
from bayes_ddp.files.fields import Field

__all__ = ["EXACT", "Rows", "memory_of", "read_rows", "scaled", "text_of"]

EXACT = 2**53
"""Largest magnitude up to which float64 represents every integer exactly."""

_CHUNK = 2**24  # bytes per read
_LARGEST_POWER = 300  # of ten, of TSCAL, TZERO and TNULL

_TYPES = dict(L="u1", X="u1", B="u1", I=">i2", J=">i4", K=">i8")
_TYPES |= dict(E=">f4", D=">f8", C=">c8", M=">c16")
_UNSIGNED = {("B", -128): "i1", ("I", 2**15): "u2", ("J", 2**31): "u4", ("K", 2**63): "u8"}
"""(code, TZERO) -> integer type that FITS defines by this convention only."""


@dataclass(frozen=True)
class Rows:
    """Position of the rows of a table in the file: first byte, bytes per row, number of rows."""

    start: int
    length: int
    count: int


def memory_of(field: Field) -> int:
    """Upper bound on the bytes in memory per row of a column; for text, the bytes in the file."""
    plain = field.scale is None and field.zero is None and field.null is None
    if field.code in "ACMPQ" or (plain and field.code in "LBIJKED" and not field.ascii):
        return field.width
    return field.count if field.code == "X" else 8 * field.count


def read_rows(
    path: Path, rows: Rows, fields: Sequence[Field], *, where: str
) -> dict[str, np.ndarray]:
    """Column name -> values [row ...] in native byte order, text as ``str``.

    path : an uncompressed file. fields : columns of one table. where : file and HDU in messages.

    Raises BadFileError for columns of variable length, for TSCAL, TZERO and TNULL that are not
    numbers, for cells of an ASCII table that are not numbers, and for a file that ends too early.
    """
    for field in fields:
        if field.code in "PQ":
            raise BadFileError(
                f"{where}: column {field.name} has arrays of variable length, which are not read "
                "here. Save the table with arrays of one length."
            )
    stored = {field.name: _zeros(field, rows.count) for field in fields}
    with path.open("rb") as stream:
        for first, piece in _pieces(stream, rows, fields, where=where):
            for name, values in piece.items():
                stored[name][first : first + len(values)] = values
    return {field.name: _values(field, stored[field.name], where) for field in fields}


def _zeros(field: Field, count: int) -> np.ndarray:
    """Zeros [row ...] of the type of a column; empty text or [row, 0] if it has no bytes."""
    if field.width:
        return np.zeros(count, _dtype(field))
    return np.zeros(count, "S1") if field.code == "A" else np.zeros((count, 0), "u1")


def _dtype(field: Field) -> np.dtype:
    """NumPy type of one row of a column in the file."""
    if field.ascii or field.code == "A":
        return np.dtype((f"S{field.width if field.ascii else field.letters}", field.shape))
    if field.code == "X":
        return np.dtype(("u1", (field.width,)))
    return np.dtype((_TYPES[field.code], field.shape))


def _pieces(
    stream: BinaryIO, rows: Rows, fields: Sequence[Field], *, where: str
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """(first row, column name -> stored values) of successive blocks of rows."""
    fields = [field for field in fields if field.width]
    if rows.length > _CHUNK:  # long rows: read only the bytes of these columns
        for row in range(rows.count):
            found = {}
            for field in fields:
                stream.seek(rows.start + row * rows.length + field.offset)
                found[field.name] = np.frombuffer(
                    _exactly(stream, field.width, where), _dtype(field), count=1
                )
            yield row, found
        return
    step = _CHUNK // max(rows.length, 1)
    record = np.dtype(
        {
            "names": [field.name for field in fields],
            "formats": [_dtype(field) for field in fields],
            "offsets": [field.offset for field in fields],
            "itemsize": rows.length,
        }
    )
    stream.seek(rows.start)
    for first in range(0, rows.count if fields else 0, step):
        count = min(step, rows.count - first)
        piece = np.frombuffer(_exactly(stream, count * rows.length, where), record, count=count)
        yield first, {field.name: piece[field.name] for field in fields}


def _exactly(stream: BinaryIO, size: int, where: str) -> bytes:
    found = stream.read(size)
    if len(found) != size:
        raise BadFileError(f"{where}: the file ends within the table. Fetch it again.")
    return found


def _values(field: Field, stored: np.ndarray, where: str) -> np.ndarray:
    """Values of one column from its stored bytes: text, logicals, bits or scaled numbers."""
    if field.code == "A":
        return text_of(stored)
    if field.code == "L":
        unknown = (stored != ord("T")) & (stored != ord("F"))
        value = stored == ord("T")
        return np.ma.masked_array(value, unknown) if unknown.any() else value
    if field.code == "X":
        bits = np.unpackbits(stored, axis=-1)[:, : field.count].astype(bool)
        return bits.reshape(len(stored), *field.shape)
    label = f"{where}: column {field.name}"
    if field.ascii:
        numbers, unknown = _parsed(field, text_of(stored), label)
    else:
        numbers, unknown = stored.astype(stored.dtype.newbyteorder("=")), np.zeros(0, bool)
        if field.null is not None and field.code in "BIJK":
            unknown = numbers == _whole(field.null, "TNULL", label)
    scale, zero = (
        _decimal(text, key, label)
        for text, key in ((field.scale or "1", "TSCAL"), (field.zero or "0", "TZERO"))
    )
    if scale == 0:
        raise BadFileError(f"{label} has TSCAL = 0, so that its values are lost. Fetch it again.")
    return scaled(numbers, unknown, (scale, zero), code="" if field.ascii else field.code)


def scaled(
    stored: np.ndarray, unknown: np.ndarray, rule: tuple[Decimal, Decimal], *, code: str = ""
) -> np.ndarray:
    """``scale * stored + zero``; unknown values are NaN or masked.

    stored : numbers in native byte order. unknown : bool of the same shape, or empty if all values
    are known. rule : (scale, zero). code : letter of TFORMn, for the convention of unsigned
    integers.
    """
    scale, zero = rule
    values = stored
    if (scale, zero) != (1, 0):
        whole = scale == scale.to_integral_value() and zero == zero.to_integral_value()
        exact = _exact(stored, int(scale), int(zero), code=code) if whole else None
        with np.errstate(invalid="ignore", over="ignore"):  # signalling NaN, overflow to infinity
            kind = complex if stored.dtype.kind == "c" else float
            product = stored.astype(kind) * float(scale) + float(zero)
        values = product if exact is None else exact
    if not unknown.any():
        return values
    if values.dtype.kind in "iu" and np.any(_magnitude(values[~unknown]) > EXACT):
        filled = np.where(unknown, 0 if values.dtype.kind == "u" else -1, values)
        return np.ma.masked_array(filled.astype(values.dtype), unknown)
    return np.where(unknown, np.nan, values.astype(float))


def _exact(stored: np.ndarray, scale: int, zero: int, *, code: str) -> np.ndarray | None:
    """``scale * stored + zero`` of integers; None if the result exceeds 64 bits."""
    if stored.dtype.kind not in "iu":
        return None
    kind = _UNSIGNED.get((code, zero)) if scale == 1 else None
    ends = [scale * int(end) + zero for end in (stored.min(), stored.max())] if stored.size else []
    low, high = min(ends, default=0), max(ends, default=0)
    if kind is None:
        kind = "i8" if -(2**63) <= low and high < 2**63 else "u8"
    if kind == "u8" and (low < 0 or high >= 2**64):
        return None
    # Arithmetic modulo 2^64 is exact if the result fits into 64 bits.
    modulus = 2**64
    bits = stored.astype("i8").view("u8") if stored.dtype.kind == "i" else stored.astype("u8")
    bits = bits * np.uint64(scale % modulus) + np.uint64(zero % modulus)
    return bits.astype(kind) if kind == "u8" else bits.view("i8").astype(kind)


def _magnitude(values: np.ndarray) -> np.ndarray:
    """Absolute values as unsigned integers, also of -2^63."""
    if values.dtype.kind == "u":
        return values
    bits = values.astype("i8").view("u8")
    return np.where(values < 0, ~bits + np.uint64(1), bits)


def _parsed(field: Field, text: np.ndarray, label: str) -> tuple[np.ndarray, np.ndarray]:
    """(numbers, mask of unknown ones) of a column of an ASCII table; empty cells are unknown."""
    text = np.char.strip(text)
    unknown = (text == "") | (text == (field.null or "").strip())
    text = np.where(unknown, "0", np.char.replace(np.char.upper(text), "D", "E"))
    try:
        if field.code == "I":
            return text.astype(np.int64), unknown
        numbers = text.astype(float)
    except (ValueError, OverflowError):
        raise BadFileError(
            f"{label}: row {_first_bad(text, field.code) + 1} is no number. The file is damaged: "
            "fetch it again."
        ) from None
    if field.letters:  # Fw.d and the like: without a decimal point the last d digits are decimals
        bare = (np.char.find(text, ".") < 0) & ~unknown
        numbers = np.where(bare, numbers / 10.0**field.letters, numbers)
    return numbers, unknown


def _first_bad(text: np.ndarray, code: str) -> int:
    for row, cell in enumerate(text.tolist()):
        try:
            int(np.int64(int(cell))) if code == "I" else float(cell)
        except (ValueError, OverflowError):
            return row
    return 0


def _decimal(text: str, key: str, label: str) -> Decimal:
    try:
        value = Decimal(text.strip().upper().replace("D", "E"))
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite() or value.adjusted() > _LARGEST_POWER:
        raise BadFileError(f"{label} has {key} = {text!r}, which is no number. Fetch it again.")
    return value


def _whole(text: str, key: str, label: str) -> int:
    value = _decimal(text, key, label)
    if value != value.to_integral_value():
        raise BadFileError(f"{label} has {key} = {text!r}, which is no integer. Fetch it again.")
    return int(value)


def text_of(stored: np.ndarray) -> np.ndarray:
    """Text as ``str`` without padding; a zero byte ends the string.

    >>> text_of(np.array([b"ab  ", b"c"])).tolist()
    ['ab', 'c']
    """
    if stored.dtype.kind == "S" and stored.dtype.itemsize and stored.size:
        letters = np.ascontiguousarray(stored).view("u1").reshape(-1, stored.dtype.itemsize)
        ended = np.logical_or.accumulate(letters == 0, axis=1)
        cut = np.where(ended, 0, letters).astype("u1").view(stored.dtype)
        stored = cut.reshape(stored.shape)
    return np.char.rstrip(np.char.decode(stored, "utf-8", "backslashreplace"))
