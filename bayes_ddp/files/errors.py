"""Exceptions and the warning for input and output files, and the hint on a misspelt name."""

import difflib
from collections.abc import Iterable

__all__ = ["BadFileError", "InputWarning", "OutputError", "did_you_mean"]


class BadFileError(ValueError):
    """An input file must not or cannot be read; the message has the reason and the next step."""


class OutputError(ValueError):
    """An existing file must not be replaced; the message has the reason and the next step."""


class InputWarning(UserWarning):
    """An input is used although it is changed or unexpected; the message has the reason."""


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """A sentence with a leading blank that suggests the nearest known name; empty without one.

    >>> did_you_mean("deis", ["desi", "lamost"])
    " Did you mean 'desi'?"
    """
    near = difflib.get_close_matches(str(name), list(known), n=1)
    return f" Did you mean '{near[0]}'?" if near else ""
