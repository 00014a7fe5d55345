"""Spectra are read from one-dimensional FITS images, the format of most stellar libraries.

An image contains the flux; the header defines the wavelengths: CRVAL1 at pixel CRPIX1, and the
step CD1_1 or CDELT1. Further images of the same length, such as errors, are named by their
EXTNAME. Without CUNIT1 wavelengths are in Å (another unit is out of range and refused). Air or
vacuum must be set by the user if the header does not define it.

Sources: FITS standard 4.0, section 8; Greisen et al. (2006), A&A 446, 747 (AWAV, WAVE and -LOG);
DC-FLAG of IRAF.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bayes_ddp.files.errors import BadFileError
from bayes_ddp.files.fits import FitsFile, open_fits
from bayes_ddp.files.structure import Hdu
from bayes_ddp.tables.arrays import Content

__all__ = ["has_spectrum_image", "is_spectrum_image", "read_image", "stated_air"]

_NO_WAVELENGTH = (
    "FREQ",
    "ENER",
    "WAVN",
    "VRAD",
    "VOPT",
    "ZOPT",
    "BETA",
    "VELO",
    "PIXEL",
    "MULTISPE",
)
"""Prefixes of CTYPE1 for axes that are not wavelengths, or for several spectra."""


def is_spectrum_image(hdu: Hdu) -> bool:
    """Whether an HDU is an image with an axis of wavelengths and no other axis."""
    cards = hdu.cards
    image = cards.get("XTENSION", "IMAGE").strip() == "IMAGE"
    axes = [int(cards.get(f"NAXIS{i + 1}", 0)) for i in range(int(cards.get("NAXIS", 0)))]
    return image and bool(axes) and axes[0] > 1 and set(axes[1:]) <= {1} and "CRVAL1" in cards


def has_spectrum_image(file: FitsFile) -> bool:
    """Whether the first image of an open file is a spectrum, as in ``is_spectrum_image``."""
    for hdu in range(len(file.names)):
        header = file.header(hdu)
        if int(header.get("NAXIS", 0)) and "TFIELDS" not in header:
            axes = [int(header[f"NAXIS{i + 1}"]) for i in range(int(header["NAXIS"]))]
            named = "CRVAL1" in header or "CRVAL1" in file.header(0)
            return axes[0] > 1 and set(axes[1:]) <= {1} and named
    return False


def read_image(path: Path, *, wave: str = "wave", flux: str = "flux") -> Content:
    """The spectrum of a FITS image, as arrays and metadata by lower-case name.

    Parameters
    ----------
    wave
        Name for the array of wavelengths, which is computed from the header in the unit of CUNIT1.
    flux
        EXTNAME of the image with the flux, and its name in the result. The first image is read if
        none has this name.

    Images of other lengths are left out. Metadata are the cards of the primary header and those
    of the image; ``wave_unit`` is the unit of the wavelengths, if the header has it.

    Raises BadFileError for files that cannot be read, and for axes that are not wavelengths.
    """
    with open_fits(path) as file:
        headers = [file.header(i) for i in range(len(file.names))]
        images = {
            i: file.image(i)
            for i, header in enumerate(headers)
            if int(header.get("NAXIS", 0)) and "TFIELDS" not in header
        }
        names = {i: file.names[i].strip().lower() for i in images}
    if not images:
        raise BadFileError(f"{path} has no image. Name the columns of its tables instead.")
    main = next((i for i, name in names.items() if name == flux.lower()), min(images))
    header = headers[0] | headers[main]
    values = _one_row(f"{path}, {names[main] or f'HDU {main}'}", images[main], header)
    pixels, unit = _wavelengths(path, header, values.size)
    arrays = {wave.lower(): pixels, flux.lower(): values}
    for i, image in images.items():
        if i != main and image.size == values.size:
            arrays.setdefault(names[i] or f"hdu{i}", image.reshape(-1))
    meta = {key.lower(): header[key] for key in header}
    return Content(path, arrays, meta | ({"wave_unit": unit} if unit else {}))


def stated_air(meta: Mapping[str, Any]) -> bool | None:
    """Whether wavelengths are in air, by the cards CTYPE1, AIRORVAC and VACUUM; None without them.

    >>> stated_air({"ctype1": "AWAV-LOG"}), stated_air({"airorvac": "vac"}), stated_air({})
    (True, False, None)
    """
    kind = str(meta.get("ctype1", "")).strip().upper()
    if kind.startswith("AWAV"):
        return True
    if kind.split("-")[0] == "WAVE":
        return False
    medium = str(meta.get("airorvac", "")).strip().lower()
    if medium.startswith(("air", "vac")):
        return medium.startswith("air")
    vacuum = meta.get("vacuum")
    if isinstance(vacuum, bool | int) and vacuum in (0, 1):
        return not vacuum
    return None


def _one_row(where: str, image: np.ndarray, header: Mapping[str, Any]) -> np.ndarray:
    """[pixel] float64 of an image with one axis; BLANK pixels of an integer image are NaN."""
    if image.size != max(image.shape):
        raise BadFileError(
            f"{where}: the image has the shape {image.shape}, and a spectrum has one axis. "
            "Write one spectrum per image, or a table."
        )
    values = image.reshape(-1).astype(float)
    if int(header.get("BITPIX", -32)) > 0 and isinstance(header.get("BLANK"), int):
        stored = (values - header.get("BZERO", 0.0)) / header.get("BSCALE", 1.0)
        values[np.rint(stored) == header["BLANK"]] = np.nan
    return values


def _wavelengths(path: Path, header: Mapping[str, Any], pixels: int) -> tuple[np.ndarray, str]:
    """([pixel] wavelengths in the unit of the header, that unit or an empty text)."""
    kind, unit = (str(header.get(key) or "").strip() for key in ("CTYPE1", "CUNIT1"))
    first, second, algorithm = (*kind.upper().partition("-"),)
    if kind.upper().startswith(_NO_WAVELENGTH) or (second and algorithm not in ("", "LOG")):
        raise BadFileError(
            f"{path}: CTYPE1 = {kind!r}, and the first axis of a spectrum has to be wavelengths, "
            "linear or logarithmic. Convert it (in IRAF: dispcor), or write a table."
        )
    start = _card(path, header, "CRVAL1")
    step = _card(path, header, "CD1_1", "CDELT1")
    reference = _card(path, header, "CRPIX1", default=1.0)
    offset = (np.arange(pixels) + 1 - reference) * step
    if second:  # Greisen et al. (2006), Eq. 5
        return start * np.exp(offset / start), unit
    if unit.lower().startswith(("log", "ln")):
        return start + offset, unit
    if header.get("DC-FLAG") == 1 or "LOG" in first:
        return start + offset, f"log10({unit or 'Angstrom'})"
    if first.startswith("LN"):
        return start + offset, f"ln({unit or 'Angstrom'})"
    return start + offset, unit


def _card(
    path: Path, header: Mapping[str, Any], *keys: str, default: float | None = None
) -> float:
    """The value of the first of these cards that exists; a 0 is skipped if another one follows."""
    found = [header[key] for key in keys if header.get(key) not in (None, "")]
    found = [value for value in found[:-1] if value != 0] + found[-1:]
    value = found[0] if found else default
    if not isinstance(value, int | float) or isinstance(value, bool) or not np.isfinite(value):
        raise BadFileError(
            f"{path}: {' or '.join(keys)} is {value!r}, and wavelengths are computed from CRVAL1 "
            "and CD1_1 or CDELT1, which must be numbers. Correct the header, or write a table."
        )
    if value == 0 and default is None and "CRVAL1" not in keys:
        raise BadFileError(f"{path}: the step {' or '.join(keys)} is 0. Correct the header.")
    return float(value)
