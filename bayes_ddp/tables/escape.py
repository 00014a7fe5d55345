"""Text beyond printable ASCII is escaped in columns of FITS tables; column names are checked.

FITS tables store printable ASCII only, and FITS readers remove trailing blanks. A column with
other characters or with trailing blanks is written with the escapes of Python's codec
``unicode_escape``. Cards ESCAPE01, ESCAPE02... name such columns, and the readers of this package
decode them. Other columns are written unchanged.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["check_column_name", "escape_cards", "escaped", "to_fits", "unescaped"]

_CODEC = "unicode_escape"
_LONGEST = 64  # characters of a column name; a card has 68, and the suffix _IN may be added


def escaped(values: np.ndarray) -> bool:
    """Whether this text must be escaped in FITS; False for arrays that are not text."""
    if values.dtype.kind != "U" or not values.size:
        return False
    codes = np.ascontiguousarray(values).view(np.uint32)
    if not (((codes >= 32) & (codes < 127)) | (codes == 0)).all():
        return True
    return bool(np.char.endswith(values, " ").any())


def to_fits(values: np.ndarray) -> np.ndarray:
    r"""The values in a type that FITS has: text as ASCII bytes, escaped if ``escaped`` is true.

    Signed bytes and long floats, which FITS does not have, become int16 and float64.

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
    """The columns of a table with their escapes decoded, the inverse of ``to_fits``.

    header : keyword -> value. content : column name, in any case -> values.
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
    """Raise ValueError for a name that a column of a FITS table cannot have."""
    printable = all(" " <= c <= "~" for c in name)
    if not printable or name != name.strip() or not 0 < len(name.replace("'", "''")) <= _LONGEST:
        raise ValueError(
            f"{name!r} cannot be the name of a column in FITS, which takes 1 to {_LONGEST} "
            "printable ASCII characters without blanks around them. Rename it."
        )


def _each(values: np.ndarray, change: Any) -> np.ndarray:
    """``change`` applied to every text, once per distinct text."""
    unique, index = np.unique(values, return_inverse=True)
    return np.array([change(str(text)) for text in unique])[index].reshape(values.shape)


def _escape(text: str) -> str:
    safe = text.encode(_CODEC).decode("ascii")
    return safe[:-1] + "\\x20" if safe.endswith(" ") else safe


def _unescape(text: str) -> str:
    try:
        return text.encode("ascii").decode(_CODEC)
    except ValueError:  # the file was edited and the text has no valid escapes
        return text
