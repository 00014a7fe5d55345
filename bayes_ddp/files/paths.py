"""Which paths may be opened, patterns of files, and writing a file at once or not at all.

A name is taken as it is written: brackets, parentheses, ``~`` and the like have no meaning. Only
``*`` and ``?`` do, and only where no file or folder has exactly that name.
"""

import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from bayes_ddp.files.errors import BadFileError

__all__ = ["atomic_write", "check_file", "check_name", "expand", "library_name", "write_atomic"]

_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f]|://")
_PLAIN = re.compile(r"/?\w[\w./-]{0,900}", re.ASCII)
"""A name that means the same to every library."""


def check_file(path: str | os.PathLike[str]) -> Path:
    """The path, if it may be opened.

    Raises BadFileError for addresses (``://``), for names with control characters or with bytes
    that are no UTF-8, and for anything but an existing regular file.
    """
    text = os.fspath(path)
    check_name(text)
    try:
        status = os.stat(text)
    except OSError as error:
        raise BadFileError(f"{text} cannot be opened: {error.strerror}. Check the path.") from None
    if not stat.S_ISREG(status.st_mode):
        raise BadFileError(f"{text} is no regular file. Name the file itself.")
    return Path(text)


def check_name(path: str | os.PathLike[str]) -> None:
    """Raise BadFileError for the path of a file that cannot be written down, or is an address."""
    text = os.fspath(path)
    if _FORBIDDEN.search(text) or not _is_utf8(text):
        raise BadFileError(
            f"{text!a} is refused as a file name: it is an address ('://'), or has control "
            "characters or bytes that are no UTF-8. Give a file of this machine, and rename it "
            "where needed."
        )


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # the bytes of the file system stand in the text as surrogates
        return False
    return True


@contextmanager
def library_name(path: Path) -> Iterator[str]:
    """A name of an existing file that the FITS library takes as nothing but a name.

    CFITSIO interprets ``[ ] ( ) ! |`` and more, and fitsio expands ``~`` and ``$``. A file whose
    name is not plain gets a symbolic link for as long as the block lasts.

    Raises BadFileError where no folder for temporary files has a plain name.
    """
    if _PLAIN.fullmatch(str(path)):
        yield str(path)
        return
    places = [place for place in (tempfile.gettempdir(), "/tmp", "/var/tmp") if _usable(place)]
    if not places:
        raise BadFileError(
            f"{path} is opened by a link in the folder for temporary files, and the name of "
            f"{tempfile.gettempdir()} has special characters too. Set TMPDIR to a folder with a "
            "plain name."
        )
    with tempfile.TemporaryDirectory(prefix="bayes-ddp-", dir=places[0]) as folder:
        link = Path(folder) / "file.fits"
        link.symlink_to(Path.cwd() / path)
        yield str(link)


def _usable(folder: str) -> bool:
    return _PLAIN.fullmatch(folder) is not None and os.access(folder, os.W_OK | os.X_OK)


def expand(name: str | os.PathLike[str], base: Path | None = None) -> list[str]:
    """The files that a name with * or ? stands for, sorted; any other name as the only one.

    base : folder from which a relative name starts; the current one by default. Nothing in its
        name is a pattern. A name that matches no file gives an empty list.

    Where a file or folder has exactly the name that is given, it alone is meant. In a part of the
    name with * or ?, ``[abc]`` stands for one of these letters where nothing has the brackets in
    its name.
    """
    text = os.fspath(name)
    place = text if base is None else str(base / text)
    if not any(c in text for c in "*?") or os.path.lexists(place):
        return [place]
    path = Path(text)
    found = [Path(path.anchor) if path.is_absolute() else base or Path()]
    for part in path.parts[1:] if path.is_absolute() else path.parts:
        found = [one for folder in found for one in _matches(folder, part)]
    return sorted(map(str, found))


def _matches(folder: Path, part: str) -> list[Path]:
    """What one part of a pattern stands for within a folder."""
    if os.path.lexists(folder / part):
        return [folder / part]
    if not any(c in part for c in "*?") or not folder.is_dir():
        return []
    names = [name for name in os.listdir(folder) if part[0] == "." or name[0] != "."]
    for pattern in (part.replace("[", "[[]"), part):
        found = [folder / name for name in names if fnmatchcase(name, pattern)]
        if found:
            return found
    return []


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its name when the block ends without error.

    The suffix stays, so that writers know the format. On an error nothing is left behind.
    """
    target = Path(path)
    token = f"{os.getpid()}-{secrets.token_hex(4)}"
    # 40 characters of the name are enough: a file system allows 255 bytes
    temporary = target.with_name(f".{target.stem[:40]}-{token}{target.suffix}")
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
