"""Any text in the columns of FITS tables, which hold printable ASCII only, and their names.

A column with other letters, or with blanks at the end, which FITS readers cut off, is written
with the escapes of Python's codec ``unicode_escape``. Cards ESCAPE01, ESCAPE02... name such
columns, and the readers of this package undo it. A column of plain text is written as it is.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["check_column_name", "escape_cards", "escaped", "to_fits", "unescaped"]

_CODEC = "unicode_escape"
_LONGEST = 64  # of a name of a column; a card has 68 characters, and _IN may be added


def escaped(values: np.ndarray) -> bool:
    """Whether FITS can hold this text with escapes only; False for anything but text."""
    if values.dtype.kind != "U" or not values.size:
        return False
    codes = np.ascontiguousarray(values).view(np.uint32)
    if not (((codes >= 32) & (codes < 127)) | (codes == 0)).all():
        return True
    return bool(np.char.endswith(values, " ").any())


def to_fits(values: np.ndarray) -> np.ndarray:
    r"""The values as FITS can hold them: text as ASCII bytes, escaped where ``escaped`` says so.

    Signed bytes and long floats, which FITS does not have, become the next type that it has.

    >>> to_fits(np.array(["\u03b1 Cen", "a\\b"])).tolist()
    [b'\\u03b1 Cen', b'a\\\\b']
    """
    if values.dtype.kind == "U":
        plain = values if not escaped(values) else _each(values, _escape)
        return np.char.encode(plain, "ascii")
    wider = {"i1": "i2", "f16": "f8"}
    return values.astype(wider.get(values.dtype.str[1:], values.dtype), copy=False)


def unescaped(
    header: Mapping[str, Any], content: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The columns of a table with their text as it was before ``to_fits``.

    header : keyword -> value. content : name of a column, in any case -> values.
    """
    marked = {
        str(header[key]).strip().lower() for key in header if re.fullmatch("ESCAPE[0-9]+", key)
    }
    return {
        name: _each(values, _unescape)
        if name.lower() in marked and values.dtype.kind == "U" and values.size
        else values
        for name, values in content.items()
    }


def escape_cards(content: Mapping[str, np.ndarray]) -> dict[str, tuple[str, str]]:
    """Keyword -> (value, comment) of the cards that name the escaped columns of a table."""
    names = [name for name, values in content.items() if escaped(values)]
    comment = "its text has escapes of Python"
    return {f"ESCAPE{number:02d}": (name, comment) for number, name in enumerate(names, 1)}


def check_column_name(name: str) -> None:
    """Raise ValueError for a name that no column of a FITS table can have."""
    printable = all(" " <= c <= "~" for c in name)
    if not printable or name != name.strip() or not 0 < len(name.replace("'", "''")) <= _LONGEST:
        raise ValueError(
            f"{name!r} cannot be the name of a column in FITS, which takes 1 to {_LONGEST} "
            "printable ASCII characters without blanks around them. Rename it."
        )


def _each(values: np.ndarray, change: Any) -> np.ndarray:
    """``change`` of every text; equal texts are changed once."""
    unique, index = np.unique(values, return_inverse=True)
    return np.array([change(str(text)) for text in unique])[index].reshape(values.shape)


def _escape(text: str) -> str:
    safe = text.encode(_CODEC).decode("ascii")
    return safe[:-1] + "\\x20" if safe.endswith(" ") else safe


def _unescape(text: str) -> str:
    try:
        return text.encode("ascii").decode(_CODEC)
    except ValueError:  # edited since: as it is
        return text
