"""The error that every unreadable or untrusted file raises."""

__all__ = ["BadFileError"]


class BadFileError(ValueError):
    """A file that must not, or cannot, be read; the message says why and what to do."""
