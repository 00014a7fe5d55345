"""The error that every unreadable or untrusted file raises, and the warning about the others."""

__all__ = ["BadFileError", "InputWarning"]


class BadFileError(ValueError):
    """A file that must not, or cannot, be read; the message says why and what to do."""


class InputWarning(UserWarning):
    """An input that is used, but not as it stands or not as expected; the message says why."""
