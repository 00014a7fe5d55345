"""FITS files are opened after their headers, sizes and checksums have been checked.

Headers are parsed and sizes are bounded before the FITS library opens the file; checksums are
verified if present; gzip files are decompressed. Arrays have native byte order and text is
``str``. Tables are read from their bytes (``rows``), headers and images by the library.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fitsio
import numpy as np

from bayes_ddp.files.checksums import verify_checksums
from bayes_ddp.files.compressed import unpacked
from bayes_ddp.files.errors import BadFileError
from bayes_ddp.files.fields import Field
from bayes_ddp.files.paths import check_file, library_name
from bayes_ddp.files.rows import Rows, memory_of, read_rows, text_of
from bayes_ddp.files.structure import MAX_BYTES, Hdu, scan

__all__ = [
    "FitsFile",
    "native",
    "open_fits",
    "safe_card",
    "scan_fits",
]


def native(array: np.ndarray) -> np.ndarray:
    """The same values in the byte order of this machine, text as ``str`` without padding."""
    if array.dtype.kind == "S":
        return text_of(array)
    if array.dtype.kind == "U":
        array = np.char.rstrip(array)
    return np.asarray(array, array.dtype.newbyteorder("="))


@dataclass(frozen=True)
class FitsFile:
    """An open, checked FITS file; ``names`` are its extension names in order."""

    path: Path
    names: tuple[str, ...]
    _plain: Path
    _handle: Any
    _hdus: tuple[Hdu, ...]

    def __contains__(self, hdu: str) -> bool:
        return hdu in self.names

    def header(self, hdu: str | int = 0) -> dict[str, Any]:
        """Keyword -> value of one header; BadFileError if the HDU is missing or unreadable."""
        found = self._get(hdu)
        try:
            header = found.read_header()
            return {str(key): header[key] for key in header.keys() if key}
        except (OSError, ValueError) as error:
            raise self._unreadable(hdu, error) from None

    def image(self, hdu: str | int) -> np.ndarray:
        """The image of one HDU, native byte order; BadFileError if there is none.

        An integer image with pixels equal to BLANK is returned as float64 with NaN there.
        """
        data = self._read(hdu)
        if data is None or data.dtype.names is not None:
            raise BadFileError(f"{self.path}, HDU {hdu} has no image. Is this the right file?")
        data = native(data)
        blank = blank_of(self._hdus[self._index(hdu)].cards)
        if blank is None:
            return data
        unknown = data == (int(blank) if data.dtype.kind in "iu" else data.dtype.type(blank))
        return np.where(unknown, np.nan, data.astype(float)) if unknown.any() else data

    def table(self, hdu: str | int, columns: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
        """Column name -> values [row ...] of one table, native byte order.

        columns : names to read; names that do not exist are ignored. By default all columns but
            those of variable length.

        Unknown values (TNULL, undefined logicals) are NaN, or masked for types without NaN.
        Raises BadFileError if the HDU is not a table and for columns that cannot be read.
        """
        found = self._hdus[self._index(hdu)]
        where = f"{self.path}, HDU {hdu}"
        if not found.kind:
            raise BadFileError(f"{where} has no table. Is this the right file?")
        if found.cards.get("ZTABLE") == "T":
            raise BadFileError(f"{where} is a compressed table. Unpack it first (funpack).")
        wanted = [
            field
            for field in found.columns()
            if (field.name in columns if columns else field.code not in "PQ")
        ]
        names = [field.name for field in wanted]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise BadFileError(f"{where} has several columns {twice}. Rename all but one of each.")
        self._bound(where, wanted, found.rows)
        rows = Rows(found.start + found.header_bytes, int(found.cards["NAXIS1"]), found.rows)
        return read_rows(self._plain, rows, wanted, where=where)

    def columns(self, hdu: str | int) -> tuple[list[str], int]:
        """(names of the columns, number of rows) of a table; ([], 0) for an image."""
        found = self._hdus[self._index(hdu)]
        names = [field.name for field in found.columns()]
        return names, found.rows if names else 0

    def _index(self, hdu: str | int) -> int:
        if hdu not in self.names if isinstance(hdu, str) else not 0 <= hdu < len(self.names):
            raise BadFileError(
                f"{self.path} has no HDU {hdu!r}; it has {[n for n in self.names if n]}. Is this "
                "the right kind of file?"
            )
        return self.names.index(hdu) if isinstance(hdu, str) else hdu

    def _get(self, hdu: str | int) -> Any:
        return self._handle[self._index(hdu)]

    def _bound(self, where: str, wanted: Sequence[Field], rows: int) -> None:
        size = sum(rows * memory_of(field) for field in wanted)
        if size > MAX_BYTES:
            raise BadFileError(
                f"{where}: {len(wanted)} columns of {size} bytes are needed and at "
                f"most {MAX_BYTES} are read at once. Cut the table into smaller ones."
            )

    def _read(self, hdu: str | int, **options: Any) -> Any:
        found = self._get(hdu)
        try:
            return found.read(**options)
        except (OSError, ValueError, KeyError) as error:
            raise self._unreadable(hdu, error) from None

    def _unreadable(self, hdu: str | int, error: Exception) -> BadFileError:
        reason = " ".join(str(error).split())[:200]
        return BadFileError(f"{self.path}, HDU {hdu} cannot be read: {reason}. Fetch it again.")


@contextmanager
def open_fits(path: str | os.PathLike[str], *, edited: bool = False) -> Iterator[FitsFile]:
    """Context manager of a FITS file, plain or gzip-compressed, after its checks.

    Its name, its sizes and, if present, its checksums are verified before the FITS library opens
    it. Raises BadFileError with the reason.

    edited : accept tables that were written again with a copied checksum (``verify_checksums``).
    """
    path = check_file(path)
    with unpacked(path) as plain:
        hdus = scan(plain, path)
        verify_checksums(plain, hdus, path, edited=edited)
        with library_name(plain) as name, _opened(name, path) as handle:
            if len(handle) != len(hdus):
                raise BadFileError(
                    f"{path}: the headers give {len(hdus)} HDUs and the FITS library finds "
                    f"{len(handle)}. The file is damaged: fetch it again."
                )
            yield FitsFile(path, tuple(hdu.name for hdu in hdus), plain, handle, tuple(hdus))


def _opened(name: str, path: Path) -> Any:
    """The handle of the FITS library; BadFileError if it cannot open the file."""
    try:
        return fitsio.FITS(name, "r")
    except (OSError, ValueError) as error:
        raise BadFileError(f"{path} cannot be read as FITS ({error}). Fetch it again.") from None


def scan_fits(path: str | os.PathLike[str]) -> list[Hdu]:
    """Every HDU of a FITS file, from its headers; neither data nor checksums are read.

    Raises BadFileError as ``scan`` does.
    """
    path = check_file(path)
    with unpacked(path) as plain:
        return scan(plain, path)


def blank_of(cards: Mapping[str, str]) -> float | None:
    """The value that marks an unknown pixel of an integer image; None if there is none."""
    text = cards.get("BLANK", cards.get("ZBLANK"))
    if text is None or int(cards.get("ZBITPIX", cards["BITPIX"])) < 0:
        return None
    try:
        return float(cards.get("BZERO", 0)) + float(cards.get("BSCALE", 1)) * int(text)
    except ValueError:
        return None


def safe_card(text: object) -> str:
    """Text that may go into a FITS header: printable ASCII, at most 68 characters.

    >>> safe_card("a width of 5 Å")
    'a width of 5 ?'
    """
    line = " ".join(str(text).split())
    return "".join(c if " " <= c <= "~" else "?" for c in line)[:68]
