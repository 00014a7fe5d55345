"""Headers and sizes of a FITS file, parsed from its raw bytes.

A damaged header can make the FITS library allocate terabytes, hang or crash. Headers are therefore
parsed here and every size is compared with the file before the library opens it.

Source: FITS standard 4.0, sections 3 and 4.
"""

import re
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import BinaryIO

from bayes_ddp.files.errors import BadFileError
from bayes_ddp.files.fields import Field, fields_of, kind_of

__all__ = ["BLOCK", "MAX_BYTES", "Hdu", "scan"]

BLOCK = 2880
MAX_HEADER_BLOCKS = 4000  # 144,000 cards; a DESI coadd has some hundred
MAX_HDUS = 1000
MAX_AXES = 16
MAX_BYTES = 4 * 2**30
MAX_ELEMENTS = 10**9
MAX_TABLE_BYTES = 64 * 2**30  # tables are read by column, so only requested columns use memory

_PIECE = 2**20  # bytes per read of the padding

_CARD = re.compile(r"([A-Z0-9_-]{1,8}) *= *('(?:[^']|'')*'|[^/ ]+)")
_BITPIX = (8, 16, 32, 64, -32, -64)


@dataclass(frozen=True)
class Hdu:
    """One header-data unit.

    start : first byte in the file. header_bytes, data_bytes : sizes including padding. cards :
    keyword -> value as text.
    """

    index: int
    name: str
    start: int
    header_bytes: int
    data_bytes: int
    cards: dict[str, str] = field(repr=False)

    @property
    def kind(self) -> str:
        """BINTABLE or TABLE; empty for an image."""
        return kind_of(self.cards)

    @property
    def rows(self) -> int:
        """Number of rows of a table."""
        return int(self.cards.get("NAXIS2", 0))

    def columns(self) -> tuple[Field, ...]:
        """The columns of a table in their order; empty for an image."""
        return fields_of(self.label, self.cards) if self.kind else ()

    @property
    def label(self) -> str:
        """Name of the HDU in messages, such as ``HDU 3 (B_FLUX)``."""
        return f"HDU {self.index} ({self.name})" if self.name else f"HDU {self.index}"


def scan(plain: Path, path: Path | None = None) -> list[Hdu]:
    """Every HDU of a file, with all sizes checked; no data are read.

    plain : an uncompressed file. path : name of the file in messages; ``plain`` by default.

    Raises BadFileError if the file is not an uncompressed FITS file, is cut short, or has sizes
    beyond 4 GiB or 1e9 elements in one image, 64 GiB or 1e9 rows in one table.
    """
    path = path or plain
    size, start = plain.stat().st_size, 0
    found: list[Hdu] = []
    with plain.open("rb") as stream:
        if stream.read(9) != b"SIMPLE  =":
            raise BadFileError(
                f"{path} is no FITS file: it does not begin with 'SIMPLE  ='. If it is compressed "
                "other than by gzip, unpack it first; otherwise fetch it again."
            )
        while start < size and not (found and _is_padding(stream, start)):
            if len(found) == MAX_HDUS:
                raise BadFileError(f"{path} has more HDUs than the limit of {MAX_HDUS}.")
            header = _read_header(path, stream, start, index=len(found))
            hdu = _measure(path, header, start, index=len(found))
            end = hdu.start + hdu.header_bytes + hdu.data_bytes
            if end > size:
                raise BadFileError(
                    f"{path}, {hdu.label}: cut short, the header needs {end} bytes and the file "
                    f"has {size}. Fetch it again."
                )
            found.append(hdu)
            start = end
    return found


def _is_padding(stream: BinaryIO, start: int) -> bool:
    """Whether only padding follows: NUL, blank, end of line or end of file (SUB)."""
    stream.seek(start)
    while piece := stream.read(_PIECE):
        if piece.strip(b"\0 \n\r\x1a"):
            return False
    return True


def _read_header(path: Path, stream: BinaryIO, start: int, *, index: int) -> bytes:
    stream.seek(start)
    header = b""
    for _ in range(MAX_HEADER_BLOCKS):
        block = stream.read(BLOCK)
        if len(block) < BLOCK:
            break
        header += block
        cards = (block[i : i + 80] for i in range(0, BLOCK, 80))
        if any(card.rstrip() == b"END" for card in cards):
            return header
    raise BadFileError(
        f"{path}, HDU {index}: its header has no END within the file and {MAX_HEADER_BLOCKS} "
        "blocks. The file is cut short or damaged: fetch it again."
    )


def _measure(path: Path, header: bytes, start: int, *, index: int) -> Hdu:
    """The HDU that begins with this header; raises BadFileError for impossible sizes."""
    if not header.isascii() or not header.decode("ascii").isprintable():
        raise BadFileError(
            f"{path}, HDU {index}: its header is not printable ASCII, which FITS requires. The "
            "file is damaged: fetch it again."
        )
    cards = _cards(header)
    name = cards.get("EXTNAME", "").strip()
    where = f"{path}, HDU {index}" + (f" ({name})" if name else "")
    if index and "XTENSION" not in cards:
        raise BadFileError(f"{where}: no XTENSION card. The file is damaged: fetch it again.")
    bitpix = _integer(where, cards, "BITPIX")
    axes = _integer(where, cards, "NAXIS")
    if bitpix not in _BITPIX or not 0 <= axes <= MAX_AXES:
        raise BadFileError(
            f"{where}: BITPIX = {bitpix}, NAXIS = {axes} is no image or table. Fetch it again."
        )
    shape = [_integer(where, cards, f"NAXIS{i + 1}") for i in range(axes)]
    extra = _integer(where, cards, "PCOUNT", default=0)
    groups = _integer(where, cards, "GCOUNT", default=1)
    if min([*shape, extra, 0]) < 0 or groups != 1 or cards.get("GROUPS") == "T":
        raise BadFileError(f"{where}: negative sizes or random groups. Fetch the file again.")
    elements = prod(shape) if shape else 0
    data = abs(bitpix) // 8 * (elements + extra)
    if cards.get("XTENSION", "").strip() in ("BINTABLE", "TABLE"):
        if len(shape) != 2 or bitpix != 8:
            raise BadFileError(
                f"{where}: a table cannot have BITPIX = {bitpix}, NAXIS = {axes}. The header is "
                "damaged: fetch the file again."
            )
        fields_of(where, cards)  # raises unless the columns fill the rows
        _bound(where, shape[1], data, limit=MAX_TABLE_BYTES)
    else:
        _bound(where, elements, data, limit=MAX_BYTES)
    if cards.get("ZIMAGE") == "T":  # tile-compressed: bound the decompressed size too
        unpacked = [
            _integer(where, cards, f"ZNAXIS{i + 1}")
            for i in range(min(_integer(where, cards, "ZNAXIS"), MAX_AXES))
        ]
        if unpacked and min(unpacked) < 0:
            raise BadFileError(f"{where}: negative ZNAXISn. Fetch the file again.")
        width = abs(_integer(where, cards, "ZBITPIX")) // 8
        _bound(where, prod(unpacked), width * prod(unpacked), limit=MAX_BYTES)
    return Hdu(index, name, start, len(header), -(-data // BLOCK) * BLOCK, cards)


def _cards(header: bytes) -> dict[str, str]:
    """Keyword -> value as text, the first of each keyword; strings without their quotes."""
    cards: dict[str, str] = {}
    for i in range(0, len(header), 80):
        text = header[i : i + 80].decode("ascii")
        if text.rstrip() == "END":
            break
        match = _CARD.match(text)
        if match:
            value = match[2]
            if value.startswith("'"):
                value = value[1:-1].replace("''", "'").rstrip()
            cards.setdefault(match[1], value)
    return cards


def _integer(where: str, cards: dict[str, str], key: str, *, default: int | None = None) -> int:
    text = cards.get(key)
    if text is None and default is not None:
        return default
    try:
        return int(text or "")
    except ValueError:
        raise BadFileError(
            f"{where}: {key} is {text!r}, not an integer. The header is damaged: fetch the file "
            "again."
        ) from None


def _bound(where: str, elements: int, data: int, *, limit: int) -> None:
    if elements > MAX_ELEMENTS or data > limit:
        raise BadFileError(
            f"{where}: has {elements} elements or rows, {data} bytes; at most {MAX_ELEMENTS} "
            f"and {limit} are read per HDU. Cut the file into smaller ones."
        )
