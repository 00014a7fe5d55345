"""ECSV tables, FITS tables and npz archives are read as named arrays.

Every file becomes a ``Content``: arrays and metadata by lower-case name. No Python objects are
unpickled, and sizes are bounded before an archive is decompressed.
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bayes_ddp.files.compressed import suffix
from bayes_ddp.files.errors import BadFileError, did_you_mean
from bayes_ddp.files.fits import native, open_fits
from bayes_ddp.files.paths import check_file
from bayes_ddp.files.structure import MAX_BYTES
from bayes_ddp.tables.escape import unescaped
from bayes_ddp.tables.read import lowered, unmasked
from bayes_ddp.tables.text import read_text
from bayes_ddp.tables.values import real

__all__ = ["Content", "read_arrays"]


@dataclass(frozen=True)
class Content:
    """Arrays and metadata of one file by lower-case name.

    ragged : columns of variable length, which are not read.
    """

    path: Path
    arrays: Mapping[str, np.ndarray]
    meta: Mapping[str, Any]
    ragged: tuple[str, ...] = ()

    def get(self, name: str) -> np.ndarray:
        """The array or metadata of this name; BadFileError with the nearest name if missing."""
        key = name.lower()
        if key in self.arrays:
            return self.arrays[key]
        if key in self.meta:
            return np.asarray(self.meta[key])
        if key in self.ragged:
            raise BadFileError(
                f"{self.path}: column '{name}' has arrays of variable length, which are not read "
                "here. Save the table with arrays of one length."
            )
        hint = did_you_mean(key, [*self.arrays, *self.meta])
        raise BadFileError(
            f"{self.path} has no column, array or metadata '{name}'.{hint} Its columns: "
            f"{list(self.arrays)}. Name the right one in [input.table]."
        )

    def numbers(self, name: str) -> np.ndarray:
        """The array as float64, NaN if unknown; BadFileError for cells that are no numbers."""
        return real(self.get(name), f"{self.path}: '{name}'")


def read_arrays(path: Path, wanted: str | None = None) -> Content:
    """All arrays of a .ecsv, .npz or FITS file.

    wanted : column that identifies the table of a FITS file; by default the first table is read.

    Raises BadFileError for other formats and for files that cannot be read.
    """
    check_file(path)
    match suffix(path):
        case ".npz":
            return _npz(path)
        case ".ecsv":
            return _ecsv(path)
        case ".fits" | ".fit":
            return _fits(path, None if wanted is None else wanted.lower())
    raise BadFileError(
        f"{path}: tables of spectra are read from .ecsv, .fits or .npz, not from "
        f"'{path.suffix}'. Save it as one of these."
    )


def _npz(path: Path) -> Content:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MAX_BYTES:
            raise BadFileError(
                f"{path} unpacks to {size} bytes; at most {MAX_BYTES} are read. Split it."
            )
        with np.load(path, allow_pickle=False) as loaded:
            arrays = {name.lower(): native(loaded[name]) for name in loaded.files}
    except BadFileError:
        raise
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise BadFileError(
            f"{path} cannot be read as npz: {_first(error)}. Save it again."
        ) from None
    return Content(path, arrays, {})


def _ecsv(path: Path) -> Content:
    table = read_text(path)
    arrays = {name: unmasked(table[name]) for name in table.colnames}
    meta = {str(key).lower(): value for key, value in table.meta.items()}
    return Content(path, lowered(path, arrays), meta)


def _fits(path: Path, wanted: str | None) -> Content:
    with open_fits(path, edited=True) as file:
        for hdu in range(1, len(file.names)):
            names, _ = file.columns(hdu)
            if names and (wanted is None or wanted in map(str.lower, names)):
                arrays = lowered(path, unescaped(file.header(hdu), file.table(hdu)))
                cards = file.header(0) | file.header(hdu)
                ragged = [name.lower() for name in names if name.lower() not in arrays]
                return Content(
                    path, arrays, {key.lower(): cards[key] for key in cards}, tuple(ragged)
                )
    raise BadFileError(
        f"{path} has no table" + (f" with a column '{wanted}'" if wanted else "") + ". Name the "
        "column of the wavelengths as 'wave' in [input.table]."
    )


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
