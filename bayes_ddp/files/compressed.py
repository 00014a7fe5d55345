"""Gzip-compressed inputs (.gz) are decompressed into a temporary directory.

The FITS library decompresses into memory without a limit. Here the bytes are written to a
temporary file of limited size, which is then checked like any other.
"""

import gzip
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from bayes_ddp.files.errors import BadFileError
from bayes_ddp.files.structure import MAX_BYTES

__all__ = ["suffix", "unpacked"]

_MAGIC = b"\x1f\x8b"
_PIECE = 2**22


def suffix(path: Path) -> str:
    """The lower-case suffix of a file name without ``.gz``, which identifies the format.

    >>> suffix(Path("spec-55862-B6212_sp06-003.fits.gz"))
    '.fits'
    """
    return Path(path.name.lower().removesuffix(".gz")).suffix


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The file itself, or a decompressed copy of a gzip file that is removed afterwards.

    The path is absolute, since readers of tables expand a leading ``~``. The copy is in the
    directory for temporary files (TMPDIR). Raises BadFileError for a file that cannot be
    decompressed or whose content exceeds 4 GiB.
    """
    with path.open("rb") as stream:
        packed = stream.read(2) == _MAGIC
    if not packed:
        yield Path.cwd() / path
        return
    with tempfile.TemporaryDirectory(prefix="bayes-ddp-") as folder:
        copy = Path(folder) / f"unpacked{suffix(path)}"
        try:
            with gzip.open(path) as source, copy.open("wb") as target:
                _copy(path, source, target, free=shutil.disk_usage(folder).free)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise BadFileError(f"{path} cannot be unpacked: {error}. Fetch it again.") from None
        yield copy


def _copy(path: Path, source: gzip.GzipFile, target: BinaryIO, *, free: int) -> None:
    size = 0
    while piece := source.read(_PIECE):
        size += len(piece)
        if size > MAX_BYTES:
            raise BadFileError(
                f"{path} unpacks to more than {MAX_BYTES} bytes, the limit for compressed files. "
                "Unpack it yourself (gunzip) if that size is right."
            )
        if size > free:
            raise BadFileError(
                f"{path} unpacks to more than the {free} free bytes of {tempfile.gettempdir()}. "
                "Set TMPDIR to a larger folder, or unpack it yourself (gunzip)."
            )
        target.write(piece)
