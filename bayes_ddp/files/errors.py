"""The errors and the warning that files raise: not to be read, not to be replaced, to be noted."""

import difflib
from collections.abc import Iterable

__all__ = ["BadFileError", "InputWarning", "OutputError", "did_you_mean"]


class BadFileError(ValueError):
    """A file that must not, or cannot, be read; the message says why and what to do."""


class OutputError(ValueError):
    """A file or result that must not be replaced; the message says why and what to do."""


class InputWarning(UserWarning):
    """An input that is used, but not as it stands or not as expected; the message says why."""


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """A sentence with a blank before it that names the nearest of ``known``; empty without one.

    >>> did_you_mean("deis", ["desi", "lamost"])
    " Did you mean 'desi'?"
    """
    near = difflib.get_close_matches(str(name), list(known), n=1)
    return f" Did you mean '{near[0]}'?" if near else ""
