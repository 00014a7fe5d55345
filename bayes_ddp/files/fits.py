"""FITS files, opened only after they were checked.

Headers are walked and sizes bounded before the library sees the file; checksums are verified where
they are; what gzip packed is unpacked. Arrays come out in native byte order and text as ``str``.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fitsio
import numpy as np

from bayes_ddp.files.compressed import unpacked
from bayes_ddp.files.errors import BadFileError
from bayes_ddp.files.paths import check_file
from bayes_ddp.files.structure import MAX_BYTES, Hdu, scan, verify_checksums

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
        return np.char.rstrip(np.char.decode(array, "ascii", "replace"))
    if array.dtype.kind == "U":
        array = np.char.rstrip(array)
    return np.asarray(array, array.dtype.newbyteorder("="))


@dataclass(frozen=True)
class FitsFile:
    """An open, checked FITS file; ``names`` are its extension names in order."""

    path: Path
    names: tuple[str, ...]
    _handle: Any
    _hdus: tuple[Hdu, ...]

    def __contains__(self, hdu: str) -> bool:
        return hdu in self.names

    def header(self, hdu: str | int = 0) -> dict[str, Any]:
        """Keyword -> value of one header."""
        found = self._get(hdu)
        try:
            header = found.read_header()
            return {str(key): header[key] for key in header.keys() if key}
        except (OSError, ValueError) as error:
            raise self._unreadable(hdu, error) from None

    def image(self, hdu: str | int) -> np.ndarray:
        """The image of one HDU, native byte order; BadFileError if there is none."""
        data = self._read(hdu)
        if data is None or data.dtype.names is not None:
            raise BadFileError(f"{self.path}, HDU {hdu} holds no image. Is this the right file?")
        return native(data)

    def table(self, hdu: str | int, columns: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
        """Column name -> values of one table, native byte order.

        With ``columns`` only those, as far as they exist; else all but variable-length ones.
        """
        found = self._get(hdu)
        if found.get_exttype() not in ("BINARY_TBL", "ASCII_TBL"):
            raise BadFileError(f"{self.path}, HDU {hdu} holds no table. Is this the right file?")
        wanted = [name for name in found.get_colnames() if not columns or name in columns]
        if not found.get_nrows() or not wanted:
            return {name: np.zeros(0) for name in wanted}
        self._bound(hdu, wanted)
        data = self._read(hdu, columns=wanted)
        lost = [name for name in wanted if name not in data.dtype.names]
        if lost:
            raise self._unreadable(hdu, ValueError(f"columns {lost} have no proper name"))
        plain = [name for name in wanted if data.dtype[name].kind != "O"]
        return {name: native(data[name]) for name in plain}

    def columns(self, hdu: str | int) -> tuple[list[str], int]:
        """(names of the columns, number of rows) of a table; no names for an image."""
        found = self._get(hdu)
        if found.get_exttype() not in ("BINARY_TBL", "ASCII_TBL"):
            return [], 0
        return list(found.get_colnames()), int(found.get_nrows())

    def _get(self, hdu: str | int) -> Any:
        if hdu not in self.names if isinstance(hdu, str) else not 0 <= hdu < len(self.names):
            raise BadFileError(
                f"{self.path} has no HDU {hdu!r}; it has {[n for n in self.names if n]}. Is this "
                "the right kind of file?"
            )
        return self._handle[hdu]

    def _bound(self, hdu: str | int, wanted: list[str]) -> None:
        index = self.names.index(hdu) if isinstance(hdu, str) else hdu
        columns = self._hdus[index].columns()
        size = sum(columns.get(name, 0) for name in wanted)
        if size > MAX_BYTES:
            raise BadFileError(
                f"{self.path}, HDU {hdu}: {len(wanted)} columns of {size} bytes are needed and at "
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
def open_fits(path: str | os.PathLike[str]) -> Iterator[FitsFile]:
    """A checked FITS file, plain or packed by gzip: name, sizes and, where present, checksums.

    Raises BadFileError, with the reason, before the FITS library has seen a bad file.
    """
    path = check_file(path)
    with unpacked(path) as plain:
        hdus = scan(plain, path)
        verify_checksums(plain, hdus, path)
        try:
            handle = fitsio.FITS(str(plain), "r")
        except (OSError, ValueError) as error:
            raise BadFileError(
                f"{path} cannot be read as FITS ({error}). Fetch it again."
            ) from None
        with handle:
            if len(handle) != len(hdus):
                raise BadFileError(
                    f"{path}: {len(hdus)} HDUs by their sizes, {len(handle)} by the FITS library. "
                    "The file is damaged: fetch it again."
                )
            yield FitsFile(path, tuple(hdu.name for hdu in hdus), handle, tuple(hdus))


def scan_fits(path: str | os.PathLike[str]) -> list[Hdu]:
    """Every HDU of a FITS file, from its headers alone: no data is read, no checksum verified.

    Raises BadFileError as ``scan`` does.
    """
    path = check_file(path)
    with unpacked(path) as plain:
        return scan(plain, path)


def safe_card(text: object) -> str:
    """Text that may go into a FITS header: printable ASCII, at most 68 characters.

    >>> safe_card("a width of 5 Å")
    'a width of 5 ?'
    """
    line = " ".join(str(text).split())
    return "".join(c if " " <= c <= "~" else "?" for c in line)[:68]
