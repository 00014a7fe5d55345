"""Names of stars as files give them: text without blanks around it, none missing."""

from typing import Any

import numpy as np

__all__ = ["check_text", "clean_names", "filled"]


def clean_names(values: np.ndarray) -> np.ndarray:
    """[star] text without blanks around it; empty where a name is None, NaN or masked."""
    mask = np.ma.getmaskarray(values)
    given = [_text(value) for value in np.ma.getdata(values).tolist()]
    return np.where(mask, "", np.array(given, str))


def filled(names: np.ndarray, made: np.ndarray) -> np.ndarray:
    """[star] the names, and those of ``made`` where they are empty."""
    return np.where(names == "", made, names)


def check_text(names: np.ndarray) -> None:
    """Raise ValueError for text that no file can hold: zero characters, or no Unicode."""
    for name in names.tolist():
        if "\0" in name or any("\ud800" <= c <= "\udfff" for c in name):
            raise ValueError(
                f"The name {name!a} has characters that cannot be written to a file. Rename the "
                "star."
            )


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    return text.strip()
