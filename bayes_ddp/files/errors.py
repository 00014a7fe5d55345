"""The error that every unreadable or untrusted file raises, and the warning about edited ones."""

__all__ = ["BadFileError", "EditedFileWarning"]


class BadFileError(ValueError):
    """A file that must not, or cannot, be read; the message says why and what to do."""


class EditedFileWarning(UserWarning):
    """A file that is read although it is not as it was first written; the message says why."""
