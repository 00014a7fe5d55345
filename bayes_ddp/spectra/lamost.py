"""LAMOST low-resolution files of any data release, one star each, become ``RawSpectra``.

There are two layouts. Up to release 7 the primary HDU is an image: row 0 has the flux, row 1 its
inverse variance and row 3 the and-mask; wavelengths are ``10**(COEFF0 + COEFF1 * i)`` (row 2 is a
sub-continuum spectrum, not the wavelength). From release 8 on an extension COADD has a table of
one row with the columns FLUX, IVAR, WAVELENGTH, ANDMASK, ORMASK and NORMALIZATION. Both have their
cards in the primary header; wavelengths are vacuum and heliocentric.

Pixels are rejected by the and-mask, not by the or-mask: the survey's co-addition already omits a
pixel from an exposure in which it is bad and lowers its ``ivar``; the or-mask would also reject
the good exposures. In 176 files of DR1 both choices are equivalent: 2616 and 2648 of 687,104
pixels have a bit set, and all of them have ``ivar = 0``.

A spectrum is cut into the two arms from which it was merged, within 5700-5980 Å, which is masked
(see ``masks``), because their resolutions differ. The survey's velocities are 4-6 km/s too small
(Tian et al. 2015; Schönrich & Aumer 2017); the residual velocity of the fit absorbs this offset.

Sources: the files themselves, and the data production descriptions of the releases (lamost.org).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bayes_ddp.files.errors import BadFileError
from bayes_ddp.files.fits import FitsFile, open_fits
from bayes_ddp.flags import WARN
from bayes_ddp.spectra.loggrid import LogGrid, first_pixel, integer, is_number, numbers
from bayes_ddp.spectra.masks import Band
from bayes_ddp.spectra.pixels import clean_pixels
from bayes_ddp.spectra.raw import RawSpectra
from bayes_ddp.spectra.survey import Survey, count_one
from bayes_ddp.spectra.velocities import from_redshift
from bayes_ddp.tables.names import find_name, missing_column
from bayes_ddp.tables.read import read_columns
from bayes_ddp.tables.repeats import distinct_names
from bayes_ddp.tables.values import UNKNOWN_ID, identifiers

__all__ = ["LAMOST", "is_lamost", "read_lamost"]

GRID = LogGrid(first=35_670, cut=37_664, last=39_600)  # 3690, 5840 and 9120 Å
FWHM = {"B": 2.8, "R": 4.5}
"""Gaussian LSF, Å, from G dwarfs of DR1 against physical spectra; fibres differ by 10 %."""

PRIOR_FLOOR = 5.0
"""km/s, added in quadrature to the velocity error of the header to set the velocity's prior."""

_NUMBERS = ("COEFF0", "COEFF1", "Z", "Z_ERR", "RA", "DEC", "OBSID", "SPID", "FIBERID")
_BANDS = "UGRIZ"
_SNR = (*(f"SN_{b}" for b in _BANDS), *(f"SNR{b}" for b in _BANDS))  # early and later releases
_GAIA = "GAIA_SOURCE_ID"
_CATALOG = ("filename", "obsid")


def read_lamost(
    spectra: Sequence[Path],
    catalog: Path | None = None,
    redshifts: Sequence[Path] | None = None,
    *,
    columns: Mapping[str, str] | None = None,
) -> RawSpectra:
    """Spectra of LAMOST files, in the order of the files.

    Parameters
    ----------
    spectra
        spec-*.fits files; releases may be mixed.
    catalog
        Optional table (CSV, ECSV or FITS) with the columns ``filename`` and ``obsid``: DR1 headers
        lack OBSID.
    redshifts
        Refused for this survey: each header has its redshift.
    columns
        Names of the two columns in the catalogue, if they differ.

    Raises BadFileError for files that cannot be read or are on another wavelength grid.
    """
    if redshifts:
        raise BadFileError("LAMOST files contain their redshift: leave the redshift files out.")
    if not spectra:
        raise BadFileError("No spectrum file was given. Name at least one spec-*.fits.")
    known = _read_obsids(catalog, columns or {}) if catalog is not None else {}
    stars = [_read_star(Path(path)) for path in spectra]
    headers = [star.header for star in stars]
    flux = np.stack([star.flux for star in stars])
    ivar = np.stack([star.ivar for star in stars])
    redshift, error = numbers(headers, "Z"), numbers(headers, "Z_ERR")
    vrad, vrad_err, warn = from_redshift(redshift, error, PRIOR_FLOOR)
    edge = GRID.cut - GRID.first
    fwhm = np.where(np.arange(flux.shape[1]) < edge, FWHM["B"], FWHM["R"])
    content = _columns(spectra, headers, known)
    content["SPECID"], doubled = distinct_names(content["SPECID"])
    return RawSpectra(
        survey="lamost",
        arms=GRID.arms(flux, ivar, np.broadcast_to(fwhm, flux.shape)),
        vrad=vrad,
        vrad_err=vrad_err,
        ebv=np.full(len(stars), np.nan),
        warn=warn | doubled | GRID.warnings(ivar) | np.array([star.warn for star in stars]),
        key=("SPECID",),
        columns=content,
    )


def is_lamost(file: FitsFile) -> bool:
    """Whether a file has the cards of one of the two layouts."""
    header = file.header(0)
    image = {"COEFF0", "CLASS"} <= set(header)
    return image or ("COADD" in file and {"CLASS", "LMJD"} <= set(header))


@dataclass(frozen=True)
class _Star:
    flux: np.ndarray  # on the whole grid
    ivar: np.ndarray
    warn: int
    header: dict[str, Any]


def _read_star(path: Path) -> _Star:
    with open_fits(path) as file:
        header = file.header(0)
        part = _coadd if "COADD" in file else _image
        log_wave, flux, ivar, masked = part(path, file, header)
    wrong = [k for k in (*_NUMBERS, *_SNR) if not is_number(header.get(k))]
    if wrong:
        raise BadFileError(
            f"{path}: {wrong} are not numbers in its header. The file is damaged: fetch it again."
        )
    start = first_pixel(path, log_wave)
    flux, ivar, mended = clean_pixels(flux[None], ivar[None], masked[None])
    warn = int(WARN.NONFINITE_INPUT) if mended[0] else 0
    if str(header["CLASS"]).strip() != "STAR":
        warn |= int(WARN.NOT_STAR)
    return _Star(GRID.place(flux[0], start), GRID.place(ivar[0], start), warn, header)


def _image(path: Path, file: FitsFile, header: Mapping[str, Any]) -> tuple[np.ndarray, ...]:
    """(log10 wavelength, flux, ivar, masked), each [pixel], of a file of release 1 to 7."""
    missing = [key for key in ("COEFF0", "COEFF1", "CLASS", "Z") if key not in header]
    if missing or header.get("NAXIS") != 2 or header["NAXIS2"] < 5:
        raise BadFileError(
            f"{path} is no LAMOST spectrum: no COADD table, and no LAMOST image in the primary "
            f"HDU (missing {missing or 'five rows'}). Give spec-*.fits files of the "
            "low-resolution survey."
        )
    image = file.image(0)
    try:
        log_wave = float(header["COEFF0"]) + float(header["COEFF1"]) * np.arange(image.shape[1])
    except (TypeError, ValueError):
        raise BadFileError(
            f"{path}: COEFF0 = {header['COEFF0']!r}, COEFF1 = {header['COEFF1']!r} are no "
            "numbers. The file is damaged: fetch it again."
        ) from None
    return log_wave, image[0], image[1], image[3] != 0


def _coadd(path: Path, file: FitsFile, header: Mapping[str, Any]) -> tuple[np.ndarray, ...]:
    """(log10 wavelength, flux, ivar, masked), each [pixel], of a file of release 8 or later."""
    table = {name.upper(): values for name, values in file.table("COADD").items()}
    names = ("WAVELENGTH", "FLUX", "IVAR", "ANDMASK")
    missing = [n for n in names if n not in table] + [k for k in ("CLASS", "Z") if k not in header]
    if missing:
        raise BadFileError(
            f"{path}, HDU COADD: {missing} are in neither its columns ({list(table)}) "
            "nor the primary header. Give spec-*.fits files of LAMOST's low-resolution survey; "
            "SDSS is survey 'sdss'."
        )
    wave, *rest = (np.asarray(table[name]).reshape(-1) for name in names)
    if len(table["FLUX"]) != 1 or len({wave.size, *(values.size for values in rest)}) > 1:
        raise BadFileError(
            f"{path}, HDU COADD: {len(table['FLUX'])} rows with {[v.size for v in (wave, *rest)]} "
            f"values in {list(names)}, where one row with equally many is due. Fetch it again."
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log10(wave.astype(float)), rest[0], rest[1], rest[2] != 0


def _columns(
    spectra: Sequence[Path], headers: list[dict[str, Any]], known: dict[str, int]
) -> dict[str, np.ndarray]:
    names = [Path(path).name for path in spectra]
    columns = {
        "OBSID": np.array(
            [
                max(integer(h.get("OBSID")), known.get(n.removesuffix(".gz"), -1))
                for h, n in zip(headers, names, strict=True)
            ]
        ),
        "SPECID": np.array([_identifier(h, n) for h, n in zip(headers, names, strict=True)]),
        "TARGET_RA": numbers(headers, "RA"),
        "TARGET_DEC": numbers(headers, "DEC"),
        "SPECTYPE": np.array([str(h["CLASS"]).strip() for h in headers]),
        "SUBCLASS": np.array([str(h.get("SUBCLASS", "")).strip() for h in headers]),
        **{f"SN_{b}": numbers(headers, f"SN_{b}", f"SNR{b}") for b in _BANDS},
        "SRCFILE": np.array(names),
    }
    if any(_GAIA in header for header in headers):
        columns[_GAIA] = np.array([integer(header.get(_GAIA)) for header in headers])
    return columns


def _identifier(header: dict[str, Any], name: str) -> str:
    """Night, plate, spectrograph, fibre, such as ``55862-B6212_sp06-003``; else the file name."""
    night, spectrograph, fibre = (integer(header.get(key)) for key in ("LMJD", "SPID", "FIBERID"))
    plate = str(header.get("PLANID") or "").strip()
    if min(night, spectrograph, fibre) < 0 or (is_number(plate) and integer(plate) < 0):
        return Path(name.removesuffix(".gz")).stem
    return f"{night}-{plate}_sp{spectrograph:02d}-{fibre:03d}"


def _read_obsids(path: Path, columns: Mapping[str, str]) -> dict[str, int]:
    """File name -> OBSID from a table; rows without either are left out."""
    table = read_columns(path)
    found = [find_name(columns.get(name, name), table) for name in _CATALOG]
    for name, column in zip(_CATALOG, found, strict=True):
        if column is None:
            raise missing_column(path, columns.get(name, name), table, known=_CATALOG)
    files, numbers = (table[str(column)] for column in found)
    obsid = identifiers(numbers, f"{path}: column {found[1]}")
    return {
        Path(str(name)).name.removesuffix(".gz"): int(number)
        for name, number in zip(files.tolist(), obsid, strict=True)
        if str(name) and number != UNKNOWN_ID
    }


LAMOST = Survey(
    name="lamost",
    title="LAMOST",
    read=read_lamost,
    recognise=is_lamost,
    count=count_one,
    catalog_columns=_CATALOG,
    lsf_sd=0.10,  # the LSF is not measured; fibres differ
    vrad_floor=3.4,  # repeats scatter by 3.6 km/s where the noise alone gives 1.1
    bands=(
        *(
            Band(f"Hg {line:.0f}", line - 4.0, line + 4.0, "sky", "mask", continuum=True)
            for line in (4359.6, 5462.3)
        ),
        Band("blue end", 0.0, 3900.0, "instrument", "mask", continuum=True),
        Band("arm join", 5700.0, 5980.0, "instrument", "mask", continuum=True),
        Band("red end", 8950.0, 20000.0, "instrument", "mask", continuum=True),
    ),
)
