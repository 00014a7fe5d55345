"""Rows with the same key are counted and get distinct names."""

import numpy as np

from bayes_ddp.flags import WARN

__all__ = ["repeats", "distinct_names"]


def repeats(code: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """([row] int, number of earlier rows with the same code; [row] bool, whether it is repeated).

    code : [row], sortable values.

    >>> [part.tolist() for part in repeats(np.array([4, 5, 4]))]
    [[0, 0, 1], [True, False, True]]
    """
    order = np.argsort(code, kind="stable")
    ordered = code[order]
    first = np.searchsorted(ordered, ordered, "left")
    nth = np.empty(len(code), int)
    nth[order] = np.arange(len(code)) - first
    count = np.empty(len(code), int)
    count[order] = np.searchsorted(ordered, ordered, "right") - first
    return nth, count > 1


def distinct_names(names: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """([row] names with ``#2`` and so on appended to repeats; [row] int64, ``DOUBLED_ROW`` or 0).

    >>> distinct_names(np.array(["a", "b", "a"]))[0].tolist()
    ['a', 'b', 'a#2']
    """
    nth, doubled = repeats(np.unique(names, return_inverse=True)[1])
    apart = [f"{name}#{i + 1}" if i else name for name, i in zip(names, nth, strict=True)]
    return np.array(apart, str), np.where(doubled, int(WARN.DOUBLED_ROW), 0)
