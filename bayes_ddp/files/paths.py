"""Paths that may be opened, patterns of file names, and atomic writing.

Brackets, parentheses, ``~`` and similar characters of a name have no special meaning. Only ``*``
and ``?`` have one, and only if no file or folder has exactly that name.
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
"""A name without characters that a library interprets."""


def check_file(path: str | os.PathLike[str]) -> Path:
    """The path of an existing regular file.

    Raises BadFileError for addresses (``://``), for names with control characters or with bytes
    that are not UTF-8, and for anything but an existing regular file.
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
    """Raise BadFileError for an address (``://``), control characters or bytes not in UTF-8."""
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
    except UnicodeEncodeError:  # Python represents such bytes of a file name as surrogates
        return False
    return True


@contextmanager
def library_name(path: Path) -> Iterator[str]:
    """Context manager of a name of an existing file without characters that CFITSIO interprets.

    CFITSIO interprets ``[ ] ( ) ! |`` and others, and fitsio expands ``~`` and ``$``. A file with
    such a name is opened through a symbolic link that exists until the block ends.

    Raises BadFileError if no directory for temporary files has a plain name.
    """
    if _PLAIN.fullmatch(str(path)):
        yield str(path)
        return
    folders = [one for one in (tempfile.gettempdir(), "/tmp", "/var/tmp") if _usable(one)]
    if not folders:
        raise BadFileError(
            f"{path} is opened by a link in the folder for temporary files, and the name of "
            f"{tempfile.gettempdir()} has special characters too. Set TMPDIR to a folder with a "
            "plain name."
        )
    with tempfile.TemporaryDirectory(prefix="bayes-ddp-", dir=folders[0]) as folder:
        link = Path(folder) / "file.fits"
        link.symlink_to(Path.cwd() / path)
        yield str(link)


def _usable(folder: str) -> bool:
    return _PLAIN.fullmatch(folder) is not None and os.access(folder, os.W_OK | os.X_OK)


def expand(name: str | os.PathLike[str], base: Path | None = None) -> list[str]:
    """The files that match a name with * or ?, sorted; a name without them is returned as it is.

    base : folder of a relative name; the current one by default. Its own name is never a pattern.

    A pattern that matches no file gives an empty list. If a file or folder has exactly the name,
    only that one is returned. In a part of the name with * or ?, ``[abc]`` matches one of these
    letters, unless a file has the brackets in its name.
    """
    text = os.fspath(name)
    full = text if base is None else str(base / text)
    if not any(c in text for c in "*?") or os.path.lexists(full):
        return [full]
    path = Path(text)
    found = [Path(path.anchor) if path.is_absolute() else base or Path()]
    for part in path.parts[1:] if path.is_absolute() else path.parts:
        found = [one for folder in found for one in _matches(folder, part)]
    return sorted(map(str, found))


def _matches(folder: Path, part: str) -> list[Path]:
    """The entries of a folder that match one part of a pattern."""
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
    """Context manager of a temporary path that is renamed to ``path`` if the block succeeds.

    It has the suffix of ``path``, from which writers derive the format. After an error the
    temporary file is removed and ``path`` is unchanged.
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
    """Write ``data`` to ``path`` atomically: readers find the old file or the complete new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)
