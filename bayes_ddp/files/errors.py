"""The errors and the warning that files raise: not to be read, not to be replaced, to be noted."""

__all__ = ["BadFileError", "InputWarning", "OutputError"]


class BadFileError(ValueError):
    """A file that must not, or cannot, be read; the message says why and what to do."""


class OutputError(ValueError):
    """A file or result that must not be replaced; the message says why and what to do."""


class InputWarning(UserWarning):
    """An input that is used, but not as it stands or not as expected; the message says why."""
