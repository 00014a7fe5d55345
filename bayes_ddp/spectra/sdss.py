"""SDSS, SEGUE, BOSS and eBOSS files spec-PLATE-MJD-FIBER.fits become ``RawSpectra``.

HDU 1 is a table with a row per pixel: flux (1e-17 erg/s/cm2/Å), loglam, ivar, and_mask, or_mask,
wdisp, sky, model. HDU 2 has one row about the object (spAll for BOSS, specObj before): CLASS,
SUBCLASS, Z, Z_ERR, ZWARNING, ELODIE_Z, plate, night, fibre, position. Wavelengths are vacuum and
heliocentric. "Lite" files have the same first HDUs.

``wdisp`` is the sigma of the line-spread function in pixels of 1e-4 dex, measured from arc lines,
as a function of wavelength; a pixel without it is masked. The fit has one free factor on this
width per spectrograph arm: spectra are cut at 6000 Å, in the middle of the overlap of the arms at
the dichroic (5900-6150 Å in SDSS, 5650-6350 Å in BOSS).

Only those bits of the and-mask are used that reject a pixel; others, such as a bright neighbour on
the detector, describe the whole fibre. The velocity is that of the ELODIE templates if it is
valid, else the pipeline's redshift. An error of 5 km/s is added in quadrature, since repeated
observations of SEGUE scatter by about 4 km/s (Yanny et al. 2009). With ZWARNING set the error is
30 km/s.

Source: data model "spec" of SDSS (data.sdss.org), Bolton et al. (2012).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bayes_ddp.files.errors import BadFileError
from bayes_ddp.files.fits import FitsFile, open_fits
from bayes_ddp.flags import WARN
from bayes_ddp.spectra.loggrid import STEP, LogGrid, first_pixel, integer, is_number, numbers
from bayes_ddp.spectra.lsf import FWHM_PER_SIGMA
from bayes_ddp.spectra.pixels import clean_pixels
from bayes_ddp.spectra.raw import RawSpectra
from bayes_ddp.spectra.survey import Survey, count_one
from bayes_ddp.spectra.velocities import from_redshift
from bayes_ddp.spectra.widths import UNKNOWN_FWHM, usable_widths
from bayes_ddp.tables.repeats import distinct_names
from bayes_ddp.tables.values import whole

__all__ = ["SDSS", "is_sdss", "read_sdss"]

GRID = LogGrid(first=35_500, cut=37_782, last=40_200)  # 3548, 6000 and 10471 Å
PRIOR_FLOOR = 5.0
"""km/s, added in quadrature to the velocity error of the redshift to set the velocity's prior."""

_REJECTED = sum(1 << bit for bit in (18, 22, 23, 24, 25))
"""FULLREJECT, NOSKY, BRIGHTSKY, NODATA, COMBINEREJ of the survey's SPPIXMASK."""
_FEW_WIDTHS = 0.05
"""Largest fraction of pixels without ``wdisp`` for which the star has no ``LSF_WARN``."""
_NO_OBJECT = (1 << 0) | (1 << 7) | (1 << 9)
"""SKY, UNPLUGGED, NODATA of the survey's ZWARNING."""

_PIXELS = ("FLUX", "LOGLAM", "IVAR", "AND_MASK", "WDISP")
_IDENTIFIERS = ("PLATE", "MJD", "FIBERID")
_TEXTS = ("CLASS", "SUBCLASS", "SPECOBJID")
_NEEDED = (*_IDENTIFIERS, "CLASS", "Z", "Z_ERR")
_KEPT = (
    *_NEEDED,
    "SUBCLASS",
    "ZWARNING",
    "ELODIE_Z",
    "ELODIE_Z_ERR",
    "PLUG_RA",
    "PLUG_DEC",
    "RA",
    "DEC",
    "SPECOBJID",
    "THING_ID",
    "SN_MEDIAN_ALL",
)


def read_sdss(
    spectra: Sequence[Path],
    catalog: Path | None = None,
    redshifts: Sequence[Path] | None = None,
) -> RawSpectra:
    """Spectra of SDSS or BOSS files, in the order of the files.

    spectra : spec-PLATE-MJD-FIBER.fits files. catalog, redshifts : refused for this survey.

    Raises BadFileError for files that cannot be read or are on another wavelength grid.
    """
    if catalog is not None or redshifts:
        raise BadFileError(
            "SDSS files contain their redshift: leave the catalogue and the redshift files out."
        )
    if not spectra:
        raise BadFileError("No spectrum file was given. Name at least one spec-*.fits.")
    stars = [_read_star(Path(path)) for path in spectra]
    rows = [star.row for star in stars]
    flux = np.stack([star.flux for star in stars])
    ivar = np.stack([star.ivar for star in stars])
    doubtful = np.array([(_bits(row) & ~_NO_OBJECT) != 0 for row in rows])
    vrad, vrad_err, warn = from_redshift(*_redshift(rows), PRIOR_FLOOR, doubtful=doubtful)
    columns = _columns(spectra, rows)
    columns["SPECID"], doubled = distinct_names(columns["SPECID"])
    raw = RawSpectra(
        survey="sdss",
        arms=GRID.arms(flux, ivar, _filled(np.stack([star.fwhm for star in stars]))),
        vrad=vrad,
        vrad_err=vrad_err,
        ebv=np.full(len(stars), np.nan),
        warn=warn | doubled | GRID.warnings(ivar) | np.array([star.warn for star in stars]),
        key=("SPECID",),
        columns=columns,
    )
    return usable_widths(raw)


def is_sdss(file: FitsFile) -> bool:
    """Whether a file has the columns LOGLAM and WDISP of this format."""
    if len(file.names) < 3:
        return False
    names, _ = file.columns(1)
    return {"LOGLAM", "WDISP"} <= {name.upper() for name in names}


@dataclass(frozen=True)
class _Star:
    flux: np.ndarray  # on the whole grid
    ivar: np.ndarray
    fwhm: np.ndarray  # Å, 0 where unknown
    warn: int
    row: dict[str, Any]


def _read_star(path: Path) -> _Star:
    with open_fits(path) as file:
        if len(file.names) < 3:
            raise BadFileError(
                f"{path} has {len(file.names)} HDUs, and an SDSS spectrum has a table of pixels "
                "in HDU 1 and one about the object in HDU 2. Give spec-PLATE-MJD-FIBER.fits files."
            )
        pixels = {name.upper(): values for name, values in file.table(1).items()}
        about = {name.upper(): values for name, values in file.table(2).items()}
    missing = [n for n in _PIXELS if n not in pixels] + [n for n in _NEEDED if n not in about]
    if missing or len(about["Z"]) != 1:
        raise BadFileError(
            f"{path}: HDU 1 and 2 lack {missing or 'a single row about the object'}; they have "
            f"{list(pixels)} and {list(about)}. Give spec-PLATE-MJD-FIBER.fits files as SDSS "
            "releases them."
        )
    row = {name: _cell(path, name, about[name]) for name in _KEPT if name in about}
    flux, log_wave, ivar, mask, wdisp = _vectors(path, pixels)
    start = first_pixel(path, log_wave)
    width = np.asarray(wdisp, float)
    known = np.isfinite(width) & (width > 0)
    bits = whole(mask, f"{path}, HDU 1: column and_mask", unknown=_REJECTED)
    rejected = (bits & _REJECTED) != 0
    masked, offered = rejected | ~known, ~rejected & (ivar > 0)
    clean, weight, mended = clean_pixels(flux[None], ivar[None], masked[None])
    wave = 10 ** (STEP * (start + np.arange(width.size)))
    step = wave * np.log(10) * STEP  # Å per pixel
    fwhm = FWHM_PER_SIGMA * np.where(known, width, 0.0) * step
    warn = int(WARN.NONFINITE_INPUT) if mended[0] else 0
    if (offered & ~known).sum() > _FEW_WIDTHS * offered.sum():
        warn |= int(WARN.LSF_WARN)
    if str(row["CLASS"]).strip() != "STAR":
        warn |= int(WARN.NOT_STAR)
    if _bits(row) & _NO_OBJECT:
        warn |= int(WARN.BADFIBER)
    flux, ivar, fwhm = (GRID.place(values, start) for values in (clean[0], weight[0], fwhm))
    return _Star(flux, ivar, fwhm, warn, row)


def _vectors(path: Path, pixels: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The columns ``_PIXELS``, each [pixel], from rows or from one row of vectors."""
    values = [np.asarray(pixels[name]) for name in _PIXELS]
    shapes = {name: value.shape for name, value in zip(_PIXELS, values, strict=True)}
    single = all(value.ndim == 1 or 1 in value.shape for value in values)
    if not single or len({value.size for value in values}) > 1 or not values[0].size:
        raise BadFileError(
            f"{path}, HDU 1: its columns have the shapes {shapes}, and one value per pixel is "
            "needed, as many in each. Give spec-PLATE-MJD-FIBER.fits files as SDSS releases them."
        )
    wrong = [n for n, v in zip(_PIXELS, values, strict=True) if v.dtype.kind not in "iuf"]
    if wrong:
        raise BadFileError(f"{path}, HDU 1: {wrong} have no numbers. Fetch the file again.")
    return [value.reshape(-1) for value in values]


def _cell(path: Path, name: str, values: np.ndarray) -> Any:
    """The single value of a column about the object."""
    cell = np.asarray(values)
    if cell.size != 1:
        raise BadFileError(
            f"{path}, HDU 2: {name} has {cell.size} values, and one is needed. Give "
            "spec-PLATE-MJD-FIBER.fits files as SDSS releases them."
        )
    value = cell.reshape(-1)[0].item()
    if name not in _TEXTS and not is_number(value):
        raise BadFileError(f"{path}, HDU 2: {name} = {value!r} is no number. Fetch it again.")
    return value


def _bits(row: Mapping[str, Any]) -> int:
    """ZWARNING of a row; 0 if it is unknown."""
    return max(integer(row.get("ZWARNING")), 0)


def _redshift(rows: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """(redshift, error), [star]: ELODIE's if it was fitted, else the pipeline's, else NaN.

    A negative error is the pipeline's code for a failed fit, whose redshift is not used.
    """
    error = numbers(rows, "ELODIE_Z_ERR")
    elodie = np.where(error > 0, numbers(rows, "ELODIE_Z"), np.nan)
    known = np.isfinite(elodie)
    general, general_error = numbers(rows, "Z"), numbers(rows, "Z_ERR")
    general = np.where(general_error < 0, np.nan, general)
    return np.where(known, elodie, general), np.where(known, error, general_error)


def _filled(fwhm: np.ndarray) -> np.ndarray:
    """Widths [star pixel], interpolated over pixels without one."""
    result = np.empty_like(fwhm)
    index = np.arange(fwhm.shape[1])
    for star, row in enumerate(fwhm):
        known = row > 0
        filled = np.interp(index, index[known], row[known]) if known.any() else UNKNOWN_FWHM
        result[star] = filled
    return result


def _columns(spectra: Sequence[Path], rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    names = [_identifier(row, Path(path).name) for row, path in zip(rows, spectra, strict=True)]
    columns: dict[str, np.ndarray] = {
        "SPECID": np.array(names),
        **{name: np.array([integer(row[name]) for row in rows]) for name in _IDENTIFIERS},
        "TARGET_RA": numbers(rows, "PLUG_RA", "RA"),
        "TARGET_DEC": numbers(rows, "PLUG_DEC", "DEC"),
        "SPECTYPE": _texts(rows, "CLASS"),
        "SUBCLASS": _texts(rows, "SUBCLASS"),
        "ZWARNING": np.array([integer(row.get("ZWARNING", 0)) for row in rows]),
        "SRCFILE": np.array([Path(path).name for path in spectra]),
    }
    if any("SPECOBJID" in row for row in rows):  # a number or text, as the release has it
        columns["SPECOBJID"] = _texts(rows, "SPECOBJID")
    if any("THING_ID" in row for row in rows):
        columns["THING_ID"] = np.array([integer(row.get("THING_ID")) for row in rows])
    if any("SN_MEDIAN_ALL" in row for row in rows):
        columns["SN_MEDIAN_ALL"] = numbers(rows, "SN_MEDIAN_ALL")
    return columns


def _identifier(row: Mapping[str, Any], name: str) -> str:
    """Plate, night, fibre, such as ``3586-55181-0001``; the file's name if one is unknown."""
    plate, night, fibre = (integer(row[key]) for key in _IDENTIFIERS)
    if min(plate, night, fibre) < 0:
        return Path(name.removesuffix(".gz")).stem
    return f"{plate}-{night}-{fibre:04d}"


def _texts(rows: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    return np.array([str(row.get(name, "")).strip() for row in rows])


SDSS = Survey(
    name="sdss",
    title="SDSS",
    read=read_sdss,
    recognise=is_sdss,
    count=count_one,
    lsf_sd=0.05,  # from the arc lines
    vrad_floor=4.0,  # repeats of SEGUE (Yanny et al. 2009)
)
