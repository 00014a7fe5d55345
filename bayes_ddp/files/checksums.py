"""Checksums: CHECKSUM and DATASUM of FITS files, SHA-256 of files that a ``card.toml`` describes.

The FITS library reads changed data without an error, so the two cards are verified here if a file
has them.

Source: FITS standard 4.0, appendix J.
"""

import hashlib
import tomllib
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from bayes_ddp.files.errors import BadFileError, InputWarning
from bayes_ddp.files.structure import BLOCK, Hdu, scan

__all__ = ["check_sha256", "data_sum", "read_card_file", "sha256_of", "verify_checksums"]

CHUNK = 2**13 * BLOCK


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_sha256(path: Path) -> None:
    """Raise ValueError unless a file has the ``sha256`` of the ``card.toml`` in its folder."""
    if not (path.parent / "card.toml").is_file():
        raise ValueError(f"{path.parent} has no card.toml, so {path.name} cannot be checked.")
    expected = read_card_file(path.parent).get("sha256")
    found = sha256_of(path)
    if found != expected:
        raise ValueError(
            f"{path} is not the file its card describes: sha256 {found[:12]}..., card.toml has "
            f"{str(expected)[:12]}.... Restore both from the same release, or train it again."
        )


def read_card_file(folder: Path) -> dict[str, Any]:
    """The ``card.toml`` of a folder as a dictionary.

    The file is read as UTF-8 in every locale, as TOML requires. Raises ValueError for invalid TOML
    and OSError if there is no such file.
    """
    with open(folder / "card.toml", "rb") as stream:
        return tomllib.load(stream)


def verify_checksums(
    plain: Path,
    hdus: list[Hdu] | None = None,
    path: Path | None = None,
    *,
    edited: bool = False,
) -> int:
    """Number of HDUs whose checksums are present and agree.

    plain : the file whose bytes are summed. hdus : its HDUs, scanned here by default. path : name
        of the file in messages; ``plain`` by default.
    edited : accept a table that was written again by a program that copies the two cards without
        computing them, as Astropy's ``Table.write`` does. Its header does not agree with the
        checksum either; changed data under an unchanged header are damage.

    HDUs without the cards, or with empty ones, are not verified (undefined in the standard).
    Raises BadFileError with the name of the first HDU whose bytes do not agree. Emits
    InputWarning for a table that was edited.
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
            if not good and edited and hdu.kind and not _as_written(of_header, whole, data):
                warnings.warn(
                    f"{path}, {hdu.label}: the table was written again after its checksum was "
                    "computed, and is read without verification. fitscheck --write updates it.",
                    InputWarning,
                    stacklevel=2,
                )
                continue
            if not good:
                raise BadFileError(
                    f"{path}, {hdu.label}: its bytes do not agree with their checksum, so it was "
                    "damaged or edited after writing. Fetch it again, or, if it was edited on "
                    "purpose, update the checksums (fitscheck --write)."
                )
            verified += 1
    return verified


def _as_written(of_header: int, whole: str, data: str) -> bool:
    """Whether CHECKSUM and DATASUM were computed with this header."""
    if not whole or not data.isdigit():
        return False
    return _fold(of_header + int(data)) == 0xFFFFFFFF


def _pieces(stream: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0:
        piece = stream.read(min(size, CHUNK))
        if not piece:
            return
        yield piece
        size -= len(piece)


def data_sum(pieces: Iterable[bytes]) -> int:
    """32-bit ones-complement sum of big-endian words, as FITS defines DATASUM.

    Every piece except the last has a multiple of four bytes; the last is padded with zeros.

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
