"""Which paths may be opened, and writing a file at once or not at all.

A path must name an existing regular file, and must not be one that the FITS library would take
for a filter expression, a clobber mark or an address.
"""

import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from glob import glob
from pathlib import Path

from bayes_ddp.files.errors import BadFileError

__all__ = ["atomic_write", "check_file", "expand", "write_atomic"]

_FORBIDDEN = re.compile(r"[\[\]()!|\x00-\x1f]|://|^-")


def check_file(path: str | os.PathLike[str]) -> Path:
    """The path, if it may be opened.

    Raises BadFileError for names with ``[ ] ( ) ! |``, ``://``, control characters or a leading
    ``-``, and for anything but an existing regular file.
    """
    text = os.fspath(path)
    if _FORBIDDEN.search(text) or Path(text).name.startswith("-"):
        raise BadFileError(
            f"{text!r} is refused as a file name: [ ] ( ) ! |, '://', control characters and a "
            "leading '-' have a meaning of their own in FITS libraries. Rename the file."
        )
    try:
        status = os.stat(text)
    except OSError as error:
        raise BadFileError(f"{text} cannot be opened: {error.strerror}. Check the path.") from None
    if not stat.S_ISREG(status.st_mode):
        raise BadFileError(f"{text} is no regular file. Name the file itself.")
    return Path(text)


def expand(name: str | os.PathLike[str], base: Path | None = None) -> list[str]:
    """The files that a name with * or ? stands for, sorted; any other name as the only one.

    base : folder from which a relative name starts; the current one by default. A name that
        matches no file gives an empty list.
    """
    text = os.fspath(name)
    place = text if base is None else str(base / text)
    return sorted(glob(place)) if any(c in text for c in "*?") else [place]


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its name when the block ends without error.

    The suffix stays, so that writers know the format. On an error nothing is left behind.
    """
    target = Path(path)
    token = f"{os.getpid()}-{secrets.token_hex(4)}"
    temporary = target.with_name(f".{target.stem}-{token}{target.suffix}")
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, target)
        _sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: Path, data: bytes | str) -> None:
    """Put ``data`` at ``path`` so that a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)
