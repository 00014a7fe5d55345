"""Names of stars from files are stripped of blanks, completed if missing, and checked."""

from typing import Any

import numpy as np

__all__ = ["check_text", "clean_names", "filled"]


def clean_names(values: np.ndarray) -> np.ndarray:
    """[star] text without surrounding blanks; empty for a name that is None, NaN or masked."""
    mask = np.ma.getmaskarray(values)
    texts = [_text(value) for value in np.ma.getdata(values).tolist()]
    return np.where(mask, "", np.array(texts, str))


def filled(names: np.ndarray, made: np.ndarray) -> np.ndarray:
    """[star] the names; an empty one is replaced by that of ``made``."""
    return np.where(names == "", made, names)


def check_text(names: np.ndarray) -> None:
    """Raise ValueError for text that cannot be written to a file: NUL or unpaired surrogates."""
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
