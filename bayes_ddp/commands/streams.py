"""The command line's streams and exit status: text on any terminal, pipes that close, errors.

A character that the terminal's encoding lacks is written as ASCII: ``A`` for Å, and Python's
escape for letters of names, so that names stay different.
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
    """Call ``action``; one sentence and exit status 1 for anything the user can mend.

    A reader of a pipe that has what it wanted, such as head, is no error.
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
    with contextlib.suppress(OSError):  # nobody reads stderr
        print(f"bayes-ddp: {text}", file=sys.stderr, flush=True)


def _prepare_streams() -> None:
    codecs.register_error("bayes_ddp", _to_ascii)
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:  # closed: a file of results would be opened under its number
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
    """Send what stdout still holds nowhere; else it is an error once more at the exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
