"""What a FITS file says it holds, read from its raw bytes, and whether its checksums agree.

The FITS library is not asked: a damaged header can make it claim terabytes, hang, or kill the
process, and it reads changed data without complaint. So headers are walked here first, every
size is held against the file, and CHECKSUM and DATASUM (FITS standard 4.0, appendix J) are
verified where a file carries them. Only then may the library open the file.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np

from bayes_ddp.files.errors import BadFileError

__all__ = ["BLOCK", "MAX_BYTES", "Hdu", "data_sum", "scan", "verify_checksums"]

BLOCK = 2880
MAX_HEADER_BLOCKS = 4000  # 144,000 cards; a DESI coadd has some hundred
MAX_HDUS = 1000
MAX_AXES = 16
MAX_BYTES = 4 * 2**30
MAX_ELEMENTS = 10**9
MAX_TABLE_BYTES = 64 * 2**30  # read by column, so no more of it is in memory than is asked for
CHUNK = 2**13 * BLOCK

_PIECE = 2**20  # bytes, in which padding is read

_CARD = re.compile(r"([A-Z0-9_-]{1,8}) *= *('(?:[^']|'')*'|[^/ ]+)")
_FORM = re.compile(r"(\d*)([LXBIJKAEDCMPQ])(\d*)")
_WIDTH = dict(L=1, B=1, I=2, J=4, K=8, A=1, E=4, D=8, C=8, M=16, P=8, Q=16)
_BITPIX = (8, 16, 32, 64, -32, -64)


@dataclass(frozen=True)
class Hdu:
    """One header-data unit: where its bytes are and what its header claims."""

    index: int
    name: str
    start: int
    header_bytes: int
    data_bytes: int
    cards: dict[str, str] = field(repr=False)

    def columns(self) -> dict[str, int]:
        """Name -> bytes of each column of a table; empty for an image."""
        rows, count = int(self.cards.get("NAXIS2", 0)), int(self.cards.get("TFIELDS", 0))
        return {
            self.cards.get(f"TTYPE{i}", "").strip(): rows * _width(self.cards[f"TFORM{i}"])
            for i in range(1, count + 1)
            if "XTENSION" in self.cards and self.cards["XTENSION"].strip() == "BINTABLE"
        }

    @property
    def label(self) -> str:
        """How messages call it, e.g. ``HDU 3 (B_FLUX)``."""
        return f"HDU {self.index} ({self.name})" if self.name else f"HDU {self.index}"


def scan(plain: Path, path: Path | None = None) -> list[Hdu]:
    """Every HDU of a file, with all sizes checked; no data is read.

    plain : the bytes. path : how messages call the file, where that is another one.

    Raises BadFileError if the file is no plain FITS file, is cut short, or claims sizes beyond
    4 GiB or 1e9 elements in one image, 64 GiB or 1e9 rows in one table.
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
                raise BadFileError(f"{path} has over {MAX_HDUS} HDUs, more than are read here.")
            header = _read_header(path, stream, start, index=len(found))
            hdu = _measure(path, header, start, index=len(found))
            end = hdu.start + hdu.header_bytes + hdu.data_bytes
            if end > size:
                raise BadFileError(
                    f"{path}, {hdu.label}: cut short, the header asks for {end} bytes and the "
                    f"file has {size}. Fetch it again."
                )
            found.append(hdu)
            start = end
    return found


def _is_padding(stream: BinaryIO, start: int) -> bool:
    """Whether nothing but padding follows: NUL, blank, end of line or end of file (SUB)."""
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
    """The HDU that begins with this header; raises BadFileError for impossible claims."""
    if not header.isascii() or not header.decode("ascii").isprintable():
        raise BadFileError(
            f"{path}, HDU {index}: its header is not printable ASCII, as FITS asks. The file is "
            "damaged: fetch it again."
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
    if cards.get("XTENSION", "").strip() == "BINTABLE":
        _check_table(where, cards, shape)
        _bound(where, shape[1], data, limit=MAX_TABLE_BYTES)
    else:
        _bound(where, elements, data, limit=MAX_BYTES)
    if cards.get("ZIMAGE") == "T":  # tile-compressed: what it unpacks to counts too
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
    """Keyword -> value as text, the first of each; strings without their quotes."""
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
            f"{where}: claims {elements} elements or rows, {data} bytes; at most {MAX_ELEMENTS} "
            f"and {limit} are read of one HDU. Cut the file into smaller ones."
        )


def _check_table(where: str, cards: dict[str, str], shape: list[int]) -> None:
    """Raises BadFileError unless the columns fill a row: the library trusts these numbers."""
    fields = _integer(where, cards, "TFIELDS")
    width = 0
    for i in range(min(max(fields, 0), 999)):
        match = _FORM.match(cards.get(f"TFORM{i + 1}", ""))
        if not match or (match[2] == "A" and match[3] and int(match[3]) == 0):
            raise BadFileError(
                f"{where}: TFORM{i + 1} = {cards.get(f'TFORM{i + 1}')!r} is no column format. "
                "Fetch the file again."
            )
        width += _width(match[0])
    if len(shape) != 2 or not 0 <= fields <= 999 or width != shape[0]:
        raise BadFileError(
            f"{where}: {fields} columns of together {width} bytes do not fill rows of "
            f"{shape[:1]} bytes. The header is damaged: fetch the file again."
        )


def _width(form: str) -> int:
    """Bytes per row of a column of this format, such as ``3E``."""
    match = _FORM.match(form)
    assert match
    repeat = int(match[1] or 1)
    return -(-repeat // 8) if match[2] == "X" else repeat * _WIDTH[match[2]]


def verify_checksums(plain: Path, hdus: list[Hdu] | None = None, path: Path | None = None) -> int:
    """Number of HDUs whose checksums were found and agree.

    HDUs without the cards, or with empty ones, pass: the standard calls them undefined. Raises
    BadFileError naming the first HDU whose bytes are not those that were written.
    """
    verified = 0
    path = path or plain
    with plain.open("rb") as stream:
        for hdu in scan(plain) if hdus is None else hdus:
            whole = hdu.cards.get("CHECKSUM", "").strip("0 ")
            data = hdu.cards.get("DATASUM", "").strip()
            if not whole and not data:
                continue
            stream.seek(hdu.start)
            of_header = data_sum(_pieces(stream, hdu.header_bytes))
            of_data = data_sum(_pieces(stream, hdu.data_bytes))
            good = not data or (data.isdigit() and int(data) == of_data)
            good &= not whole or _fold(of_header + of_data) == 0xFFFFFFFF
            if not good:
                raise BadFileError(
                    f"{path}, {hdu.label}: its bytes do not agree with their checksum, so it was "
                    "damaged or edited after writing. Fetch it again, or, if it was edited on "
                    "purpose, write the checksums anew (fitscheck --write)."
                )
            verified += 1
    return verified


def _pieces(stream: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0:
        piece = stream.read(min(size, CHUNK))
        if not piece:
            return
        yield piece
        size -= len(piece)


def data_sum(pieces: Iterable[bytes]) -> int:
    """32-bit ones-complement sum of big-endian words, as FITS defines DATASUM.

    Each piece but the last has a multiple of four bytes; the last is padded with zeros.

    >>> data_sum([bytes([0, 0, 0, 1]), bytes([1])]) == 1 + 2**24
    True
    """
    total = 0
    for piece in pieces:
        padded = piece + b"\0" * (-len(piece) % 4)
        total += int(np.frombuffer(padded, ">u4").sum(dtype=np.uint64))
    return _fold(total)


def _fold(total: int) -> int:
    while total > 0xFFFFFFFF:  # end-around carry
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total
