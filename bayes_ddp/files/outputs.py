"""An existing file is replaced only if this program wrote it and it was not changed since.

A file that a command writes has a mark with the SHA-256 of its content: the cards CREATOR and
BDDPSHA of a FITS file, the first line of a text, a text chunk of a PNG, the last bytes of a netCDF
file, which its readers ignore. Any other file is the user's. Files of a model are known by the
checksum in their card, pages of the documentation by their third line.
"""

import hashlib
import os
import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from astropy.io import fits

from bayes_ddp.files.checksums import CHUNK, check_sha256, read_card_file
from bayes_ddp.files.errors import BadFileError, OutputError
from bayes_ddp.files.paths import atomic_write, check_name, write_atomic
from bayes_ddp.files.structure import scan

__all__ = [
    "EPOCH",
    "PAGE_LINE",
    "check_apart",
    "check_replaceable",
    "is_ours",
    "sign_fits",
    "write_fits",
    "write_page",
    "write_png",
    "write_signed",
    "write_text",
]

EPOCH = "1970-01-01T00:00:00"
"""Date of every checksum card, so that the same content gives the same bytes."""

PAGE_LINE = "*Written by `make docs` from the package's own tables; edit those, not this page.*"

_NAME = "bayes_ddp"
_LINE = re.compile(rb"# Written by bayes_ddp; SHA-256 of the lines below: ([0-9a-f]{64})\n")
_END = 12  # bytes of the last chunk of a PNG, IEND
_CHUNK = b"tEXt" + _NAME.encode() + b"\0"
_TAIL = b"\nbayes_ddp SHA-256 of the bytes before: "
_TAIL_BYTES = len(_TAIL) + 64
_MODEL_FILES = ("card.toml", "index.csv")


def check_replaceable(paths: Iterable[Path]) -> None:
    """Raise OutputError if one of these files exists and this program did not write it.

    A link is followed; a broken link is not ours. Raises BadFileError for a name that cannot be a
    file name.
    """
    for path in paths:
        check_name(path)
        if not os.path.lexists(path):
            continue
        if not is_ours(path):
            raise OutputError(
                f"{path} exists, and was not written by this program or was changed since. Move "
                "it, or choose another output."
            )
        if not os.stat(path).st_mode & 0o222:
            raise OutputError(f"{path} is write-protected. Move it, or choose another output.")


def check_apart(outputs: Iterable[Path], inputs: Iterable[Path | str]) -> None:
    """Raise OutputError if an output is the same file as an input, also through a link."""
    known = [Path(path) for path in inputs if os.path.exists(path)]
    for output in outputs:
        for path in known:
            if os.path.exists(output) and os.path.samefile(output, path):
                raise OutputError(
                    f"{output} would be replaced, and is the same file as the input {path}. "
                    "Choose another output."
                )


def is_ours(path: Path) -> bool:
    """Whether this program wrote the file and it is unchanged; False if it cannot be read."""
    path = Path(path)
    try:
        if not path.is_file():
            return False
        if path.name in _MODEL_FILES or path.suffix == ".safetensors":
            return _is_of_model(path)
        match path.suffix.lower():
            case ".fits":
                return _is_our_fits(path)
            case ".nc":
                return _is_our_netcdf(path)
            case ".png":
                return _is_our_png(path.read_bytes())
            case ".md":
                return PAGE_LINE in path.read_text(encoding="utf-8").splitlines()[:3]
        text = path.read_bytes()
    except (OSError, ValueError):
        return False
    mark = _LINE.match(text)
    return mark is not None and mark[1] == _sha256(text[mark.end() :])


def write_text(path: Path, text: str) -> None:
    """Write a TOML file with the mark in its first line, atomically; missing folders are created.

    Raises OutputError if a file that is not ours has that name.
    """
    check_replaceable([path])
    body = text.encode("utf-8")
    line = f"# Written by {_NAME}; SHA-256 of the lines below: {_sha256(body).decode()}\n"
    write_atomic(path, line.encode() + body)


def write_page(path: Path, text: str) -> None:
    """Write a page of the documentation, whose third line is ``PAGE_LINE``, atomically.

    Raises OutputError if a file that is not ours has that name.
    """
    check_replaceable([path])
    write_atomic(path, text.encode("utf-8"))


def write_png(path: Path, data: bytes) -> None:
    """Write a PNG with the mark in a text chunk, atomically.

    Raises OutputError if a file that is not ours has that name.
    """
    check_replaceable([path])
    write_atomic(path, _signed_png(data))


def write_fits(path: Path, hdus: fits.HDUList) -> None:
    """Write a FITS file with the mark in its primary header, atomically.

    Raises OutputError if a file that is not ours has that name.
    """
    check_replaceable([path])
    with atomic_write(path) as temporary:
        hdus.writeto(temporary)
        sign_fits(temporary)


@contextmanager
def write_signed(path: Path) -> Iterator[Path]:
    """A temporary path for a netCDF file, which gets the mark at its end; else as ``write_text``.

    The file takes the name ``path`` when the block ends without error.
    """
    check_replaceable([path])
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        yield temporary
        mark = _TAIL + _hash_from(temporary, 0)
        with temporary.open("ab") as stream:
            stream.write(mark)


def sign_fits(path: Path) -> None:
    """Add the mark to a finished FITS file whose primary HDU has no data.

    Raises ValueError if the cards of the mark do not fit into the blocks of that header.
    """
    (first, *_) = scan(path)
    with path.open("r+b") as stream:
        header = fits.Header.fromstring(stream.read(first.header_bytes).decode("ascii"))
        header["CREATOR"] = f"{_NAME} {version(_NAME)}"
        header["BDDPSHA"] = _hash_from(path, first.header_bytes).decode()
        hdu = fits.PrimaryHDU(header=header)
        if "CHECKSUM" in header:
            hdu.add_checksum(when=EPOCH)
        block = hdu.header.tostring().encode("ascii")
        if len(block) != first.header_bytes or first.data_bytes:
            raise ValueError(
                f"{path}: its primary header has no room for the cards of its origin."
            )
        stream.seek(0)
        stream.write(block)


def _is_our_fits(path: Path) -> bool:
    try:
        (first, *_) = scan(path)
    except BadFileError:
        return False
    if first.cards.get("CREATOR", "").split()[:1] != [_NAME]:
        return False
    return first.cards.get("BDDPSHA", "").encode() == _hash_from(path, first.header_bytes)


def _is_our_netcdf(path: Path) -> bool:
    end = path.stat().st_size - _TAIL_BYTES
    if end < 0:
        return False
    with path.open("rb") as stream:
        stream.seek(end)
        tail = stream.read()
    return tail == _TAIL + _hash_from(path, 0, end)


def _signed_png(data: bytes) -> bytes:
    """The PNG with the mark as one more chunk before its last one."""
    content = _CHUNK + _sha256(data)
    length, check = struct.pack(">I", len(content) - 4), struct.pack(">I", zlib.crc32(content))
    return data[:-_END] + length + content + check + data[-_END:]


def _is_our_png(data: bytes) -> bool:
    at = data.rfind(_CHUNK)
    return at >= 4 and data == _signed_png(data[: at - 4] + data[-_END:])


def _is_of_model(path: Path) -> bool:
    """Whether the arrays in the folder have the checksum in its card, so that both are ours."""
    card = read_card_file(path.parent)
    if path.name == "mismatch.safetensors":
        return "pixels" in card.get("mismatch", {})
    arrays = [p for p in path.parent.glob("*.safetensors") if p.name != "mismatch.safetensors"]
    for one in arrays if path.name in _MODEL_FILES else [path]:
        check_sha256(one)
    return bool(arrays)


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


def _hash_from(path: Path, start: int, end: int | None = None) -> bytes:
    """SHA-256 of a file from one byte on, up to another or to its end."""
    digest = hashlib.sha256()
    left = (path.stat().st_size if end is None else end) - start
    with path.open("rb") as stream:
        stream.seek(start)
        while left > 0 and (piece := stream.read(min(CHUNK, left))):
            digest.update(piece)
            left -= len(piece)
    return digest.hexdigest().encode()
