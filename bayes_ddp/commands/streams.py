"""Output streams and exit status of the command line: encodings, closed pipes, errors.

A character that is not in the encoding of the terminal is written as ASCII: ``A`` for Å, and an
escape of Python for letters of names, so that names stay different.
"""

import codecs
import contextlib
import os
import sys
from collections.abc import Callable

__all__ = ["run_command"]

_ASCII = dict(zip("Å²³±×µ−–…≤≥", "A 2 3 +- x u - - ... <= >=".split(), strict=True))
"""Characters of the program's own texts -> ASCII."""


def run_command(action: Callable[[], object]) -> None:
    """Call ``action``; an error that the user can correct gives one sentence and exit status 1.

    A pipe that is closed by its reader, such as head, is not an error.
    """
    _prepare_streams()
    try:
        try:
            action()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _discard()
    except (ValueError, OSError, RuntimeError, KeyError) as error:
        if os.environ.get("BAYES_DDP_TRACEBACK"):
            raise
        _discard()
        _complain(_sentence(error))
        sys.exit(1)
    except KeyboardInterrupt:
        _discard()
        _complain("stopped; the same command goes on from here.")
        sys.exit(130)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}. Check the path."
    return str(error.args[0] if isinstance(error, KeyError) and error.args else error)


def _complain(text: str) -> None:
    with contextlib.suppress(OSError):  # stderr may be closed
        print(f"bayes-ddp: {text}", file=sys.stderr, flush=True)


def _prepare_streams() -> None:
    codecs.register_error("bayes_ddp", _to_ascii)
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:  # closed: the next file that is opened would get its descriptor
            empty = os.open(os.devnull, os.O_WRONLY)
            os.dup2(empty, descriptor)
            setattr(sys, name, open(descriptor, "w", encoding="utf-8", closefd=False))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="bayes_ddp")


def _to_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    plain = (_ASCII.get(c) or c.encode("ascii", "backslashreplace").decode() for c in text)
    return "".join(plain), error.end


def _discard() -> None:
    """Redirect the rest of stdout to the null device; flushing it at exit would fail again."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
