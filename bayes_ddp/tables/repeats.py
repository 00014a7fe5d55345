"""Rows with the same key: counting them, and names that tell them apart."""

import numpy as np

from bayes_ddp.flags import WARN

__all__ = ["repeats", "told_apart"]


def repeats(code: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """([row] int, how many earlier rows have the same code; [row] bool, whether any other has).

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


def told_apart(names: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """([row] names, ``#2`` and so on behind repeats; [row] int64, ``DOUBLED_ROW`` or 0).

    >>> told_apart(np.array(["a", "b", "a"]))[0].tolist()
    ['a', 'b', 'a#2']
    """
    nth, doubled = repeats(np.unique(names, return_inverse=True)[1])
    apart = [f"{name}#{i + 1}" if i else name for name, i in zip(names, nth, strict=True)]
    return np.array(apart, str), np.where(doubled, int(WARN.DOUBLED_ROW), 0)
