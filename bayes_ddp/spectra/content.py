"""Arrays and number of spectra of a user's file: a table, FITS images or an npz archive."""

import re
import zipfile
from pathlib import Path

import numpy as np

from bayes_ddp.files.compressed import suffix
from bayes_ddp.files.errors import BadFileError
from bayes_ddp.files.fits import open_fits, scan_fits
from bayes_ddp.files.paths import check_file
from bayes_ddp.spectra.image import has_spectrum_image, is_spectrum_image, read_image
from bayes_ddp.tables.arrays import Content, read_arrays

__all__ = ["count_spectra", "read_content"]


def read_content(path: Path, *, wave: str = "wave", flux: str = "flux") -> Content:
    """The arrays of a file: of the table that has the wavelengths, else of its images.

    wave, flux : names of the arrays with the wavelengths and the fluxes, in any case.

    Raises BadFileError for files that cannot be read, and for npz archives with Python objects.
    """
    ending = suffix(check_file(path))
    if ending in (".fits", ".fit"):
        with open_fits(path) as file:
            columns = [file.columns(hdu)[0] for hdu in range(len(file.names))]
            image = has_spectrum_image(file)
        if image and not any(wave.lower() in map(str.lower, names) for names in columns):
            return read_image(path, wave=wave, flux=flux)
    if ending == ".npz":
        objects = [name for name, (_, dtype) in _npz_headers(path).items() if dtype.hasobject]
        if objects:
            raise BadFileError(
                f"{path} cannot be read as npz: {objects} contain Python objects, which are not "
                "unpickled for safety. Save them as numbers or as text of type str."
            )
    return read_arrays(path, wave)


def count_spectra(path: Path, *, wave: str, flux: str) -> int:
    """Number of spectra in a file; only the headers of npz and FITS files are read.

    wave, flux : names of the arrays, in any case.

    Raises BadFileError for files that cannot be read or have no such array.
    """
    match suffix(check_file(path)):
        case ".npz":
            shape = _npz_headers(path).get(flux.lower(), (None, None))[0]
        case ".fits" | ".fit":
            shape = _fits_shape(path, wave, flux)
        case _:
            shape = None
    if shape is None:
        shape = read_content(path, wave=wave, flux=flux).get(flux).shape
    return shape[0] if len(shape) > 1 else 1


def _npz_headers(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Lower-case name -> (shape, dtype) of the arrays of an archive; empty if it is damaged."""
    found: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                with archive.open(member) as stream:
                    one = np.lib.format.read_magic(stream) == (1, 0)
                    header = "read_array_header_1_0" if one else "read_array_header_2_0"
                    shape, _, dtype = getattr(np.lib.format, header)(stream)
                found[member.lower().removesuffix(".npy")] = shape, dtype
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return {}
    return found


def _fits_shape(path: Path, wave: str, flux: str) -> tuple[int, ...] | None:
    """Shape of the fluxes of a FITS file from its headers; None if they do not determine it.

    (row, pixel) or (pixel,) of a table; (1,) of an image.
    """
    for hdu in scan_fits(path):
        forms = {
            hdu.cards.get(f"TTYPE{i}", "").strip().lower(): hdu.cards.get(f"TFORM{i}", "")
            for i in range(1, int(hdu.cards.get("TFIELDS", 0)) + 1)
        }
        if wave.lower() in forms and flux.lower() in forms:
            repeat = re.match(r"\d*", forms[flux.lower()])
            pixels = int(repeat[0] or 1) if repeat else 1
            rows = int(hdu.cards["NAXIS2"])
            return (rows,) if pixels == 1 else (rows, pixels)
    return (1,) if any(map(is_spectrum_image, scan_fits(path))) else None
