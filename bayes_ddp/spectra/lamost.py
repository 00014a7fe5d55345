"""LAMOST low-resolution image files (DR1 to DR7 style: one star a file) to ``RawSpectra``.

Row 0 of the image is flux, row 1 its inverse variance; wavelengths are
``10**(COEFF0 + COEFF1 * i)``, vacuum and heliocentric (row 2 is a sub-continuum spectrum, not the
wavelength). Pixels with a bit in the or-mask (row 4) are masked: in the DR1 files at hand these
are 0.4 % of all pixels, and every one of them has ``ivar = 0`` already, so nothing is lost by it.

A spectrum is cut into the two arms it was merged from, within 5700-5980 Å, which is masked (see
``masks``), because their resolutions differ. The survey's velocities are 4-6 km/s too small
(Tian et al. 2015; Schönrich & Aumer 2017); that is left to the residual velocity of the fit.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bayes_ddp.flags import WARN
from bayes_ddp.spectra.files import BadFileError, check_file, clean_pixels, open_fits
from bayes_ddp.spectra.masks import LIGHT_SPEED, MAX_VRAD, redshift_velocity
from bayes_ddp.spectra.spectrum import RawArm, RawSpectra

__all__ = ["read_lamost"]

STEP = 1e-4  # of log10 wavelength
FIRST, CUT, LAST = 35_670, 37_664, 39_600  # log10(wave) / STEP: 3690, 5840 and 9120 Å
FWHM = {"B": 2.8, "R": 4.5}
"""Gaussian LSF, Å, from G dwarfs of DR1 against physical spectra; fibres differ by 10 %."""

VRAD_FLOOR = 5.0
"""km/s, added in quadrature to the error of the header's redshift."""

_NUMBERS = ("COEFF0", "COEFF1", "Z", "Z_ERR", "RA", "DEC", "OBSID", "SPID", "FIBERID")
_SNR = ("SN_U", "SN_G", "SN_R", "SN_I", "SN_Z")


def read_lamost(
    spectra: Sequence[Path],
    catalog: Path | None = None,
    redshifts: Sequence[Path] | None = None,
) -> RawSpectra:
    """All stars of some LAMOST files, in the order of the files.

    Parameters
    ----------
    spectra
        spec-*.fits files.
    catalog
        Optional CSV table with the columns ``filename`` and ``obsid``: DR1 headers lack OBSID.
    redshifts
        Not for this survey: the redshift stands in each header.

    Raises BadFileError for files that cannot be read or are on another grid.
    """
    if redshifts:
        raise BadFileError("LAMOST files carry their redshift: leave the redshift files out.")
    if not spectra:
        raise BadFileError("No spectrum file was given. Name at least one spec-*.fits.")
    known = _read_obsids(catalog) if catalog is not None else {}
    stars = [_read_star(Path(path)) for path in spectra]
    headers = [star.header for star in stars]
    flux = np.stack([star.flux for star in stars])
    ivar = np.stack([star.ivar for star in stars])
    warn = _pixel_warnings(ivar) | np.array([star.warn for star in stars])
    redshift = _floats(headers, "Z")
    vrad = redshift_velocity(redshift)
    error = np.hypot(LIGHT_SPEED * _floats(headers, "Z_ERR"), VRAD_FLOOR)
    believable = (np.abs(vrad) <= MAX_VRAD) & np.isfinite(error)
    warn |= np.where(believable, 0, int(WARN.BAD_RV))
    return RawSpectra(
        survey="lamost",
        arms=(_arm("B", flux, ivar), _arm("R", flux, ivar)),
        vrad=np.where(believable, vrad, np.nan),
        vrad_err=np.where(believable, error, np.nan),
        ebv=np.full(len(stars), np.nan),
        warn=warn,
        key=("SPECID",),
        columns=_columns(spectra, headers, known),
    )


@dataclass(frozen=True)
class _Star:
    flux: np.ndarray  # on the whole grid, FIRST to LAST
    ivar: np.ndarray
    warn: int
    header: dict[str, Any]


def _read_star(path: Path) -> _Star:
    with open_fits(path) as file:
        header = file.header(0)
        missing = [key for key in ("COEFF0", "COEFF1", "CLASS", "Z") if key not in header]
        if missing or header.get("NAXIS") != 2 or header["NAXIS2"] < 5:
            raise BadFileError(
                f"{path}: the primary HDU is no LAMOST image (missing {missing or 'five rows'}). "
                "Give spec-*.fits files of low-resolution data release 1 to 7."
            )
        image = file.image(0)
    wrong = [k for k in (*_NUMBERS, *_SNR) if not isinstance(header.get(k, 0), int | float)]
    if wrong:
        raise BadFileError(
            f"{path}: {wrong} are no numbers in its header. The file is damaged: fetch it again."
        )
    start = float(header["COEFF0"]) / STEP
    first = round(start)
    if abs(float(header["COEFF1"]) - STEP) > 1e-9 or abs(start - first) > 0.01:
        raise BadFileError(
            f"{path}: COEFF0 = {header['COEFF0']}, COEFF1 = {header['COEFF1']} is off the "
            f"survey's grid (COEFF1 = {STEP}, COEFF0 a multiple of it). Give the file as released."
        )
    flux, ivar, mended = clean_pixels(image[:1], image[1:2], image[4:5] != 0)
    warn = int(WARN.NONFINITE_INPUT) if mended[0] else 0
    if str(header["CLASS"]).strip() != "STAR":
        warn |= int(WARN.NOT_STAR)
    return _Star(_place(flux[0], first), _place(ivar[0], first), warn, header)


def _place(values: np.ndarray, first: int) -> np.ndarray:
    """The values on the whole grid, 0 where the file has none."""
    grid = np.zeros(LAST - FIRST, np.float32)
    low, high = max(first, FIRST), min(first + values.size, LAST)
    if low < high:
        grid[low - FIRST : high - FIRST] = values[low - first : high - first]
    return grid


def _arm(name: str, flux: np.ndarray, ivar: np.ndarray) -> RawArm:
    low, high = (FIRST, CUT) if name == "B" else (CUT, LAST)
    part = slice(low - FIRST, high - FIRST)
    wave = 10 ** (STEP * np.arange(low, high))
    width = np.full(flux[:, part].shape, FWHM[name])
    return RawArm(name, wave, flux[:, part].copy(), ivar[:, part].copy(), width)


def _pixel_warnings(ivar: np.ndarray) -> np.ndarray:
    blue = np.any(ivar[:, : CUT - FIRST] > 0, axis=1)
    red = np.any(ivar[:, CUT - FIRST :] > 0, axis=1)
    missing = np.where(blue != red, int(WARN.MISSING_ARM), 0)
    return missing | np.where(~blue & ~red, int(WARN.NODATA), 0)


def _floats(headers: list[dict[str, Any]], key: str, unknown: float = -9999.0) -> np.ndarray:
    """[star], values of a header card; NaN where it is missing or says 'unknown'."""
    values = np.array([float(h[key]) if h.get(key) is not None else np.nan for h in headers])
    return np.where(values == unknown, np.nan, values)


def _columns(
    spectra: Sequence[Path], headers: list[dict[str, Any]], known: dict[str, int]
) -> dict[str, np.ndarray]:
    names = [Path(path).name for path in spectra]
    return {
        "OBSID": np.array(
            [int(h.get("OBSID", known.get(n, -1))) for h, n in zip(headers, names, strict=True)]
        ),
        "SPECID": np.array([_identifier(h, n) for h, n in zip(headers, names, strict=True)]),
        "TARGET_RA": _floats(headers, "RA"),
        "TARGET_DEC": _floats(headers, "DEC"),
        "SPECTYPE": np.array([str(h["CLASS"]).strip() for h in headers]),
        "SUBCLASS": np.array([str(h.get("SUBCLASS", "")).strip() for h in headers]),
        **{key: _floats(headers, key) for key in _SNR},
        "SRCFILE": np.array(names),
    }


def _identifier(header: dict[str, Any], name: str) -> str:
    """Such as ``55862-B6212_sp06-003``: night, plate, spectrograph, fibre; else the file name."""
    keys = ("LMJD", "PLANID", "SPID", "FIBERID")
    if any(key not in header for key in keys):
        return Path(name).stem
    night, plate, spectrograph, fibre = (header[key] for key in keys)
    return f"{night}-{str(plate).strip()}_sp{int(spectrograph):02d}-{int(fibre):03d}"


def _read_obsids(path: Path) -> dict[str, int]:
    """File name -> OBSID from a CSV table."""
    with check_file(path).open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        missing = {"filename", "obsid"} - set(reader.fieldnames or ())
        if missing:
            raise BadFileError(
                f"{path} has no column {sorted(missing)}: a LAMOST catalogue is a CSV table with "
                "'filename' and 'obsid'."
            )
        return {row["filename"]: int(float(row["obsid"])) for row in reader if row["obsid"]}
