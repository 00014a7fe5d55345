"""DESI coadd files, with velocities from an RVS catalogue or from redrock, to ``RawSpectra``.

Every fibre of every file gives one row, whatever is wrong with it: galaxies, missing velocities
and dead fibres carry bits of ``WARN``. A file that is no coadd, or is damaged, is an error.

All DESI coadds share one wavelength grid per arm.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bayes_ddp.flags import WARN
from bayes_ddp.spectra.desi_velocity import coadd_group, find_velocities
from bayes_ddp.spectra.files import BadFileError, FitsFile, clean_pixels, open_fits
from bayes_ddp.spectra.lsf import resolution_fwhm
from bayes_ddp.spectra.spectrum import RawArm, RawSpectra, concatenate

__all__ = ["DESI_WAVE", "read_desi"]

DESI_WAVE = {
    "B": 3600.0 + 0.8 * np.arange(2751),
    "R": 5760.0 + 0.8 * np.arange(2326),
    "Z": 7520.0 + 0.8 * np.arange(2881),
}
"""Wavelengths of the arms, Å vacuum, barycentric."""

_UNKNOWN_FWHM = 1.7  # Å; stands where there is no usable pixel


def read_desi(
    spectra: Sequence[Path],
    catalog: Path | None = None,
    redshifts: Sequence[Path] | None = None,
    *,
    matrices: bool = True,
) -> RawSpectra:
    """All fibres of some DESI coadd files, in the order of the files.

    Parameters
    ----------
    spectra
        coadd-*.fits files.
    catalog
        FITS table RVTAB (or the first table) with TARGETID, VRAD and VRAD_ERR in km/s, and where
        there are SURVEY, PROGRAM, HEALPIX, RR_SPECTYPE, SUCCESS, RVS_WARN.
    redshifts
        redrock-*.fits files, for the stars that the catalogue lacks and for SPECTYPE.
    matrices
        Keep the resolution matrices; their widths are kept in any case.

    Raises BadFileError for files that cannot be read or lack an HDU.
    """
    if not spectra:
        raise BadFileError("No spectrum file was given. Name at least one coadd-*.fits.")
    raw = concatenate([_read_coadd(Path(path), matrices) for path in spectra])
    found = find_velocities(raw.columns, catalog, redshifts or ())
    tiles = bool(np.any(raw.columns["TILEID"] >= 0))  # a target may be on several tiles
    group = ("SURVEY", "PROGRAM", "HEALPIX", *(["TILEID"] if tiles else []))
    return replace(
        raw,
        vrad=found.vrad,
        vrad_err=found.vrad_err,
        warn=raw.warn | found.warn,
        key=("TARGETID", *group),
        columns=raw.columns | found.columns,
    )


def _read_coadd(path: Path, matrices: bool) -> RawSpectra:
    """One file, velocities still unknown."""
    with open_fits(path) as file:
        present = [arm for arm in DESI_WAVE if f"{arm}_FLUX" in file]
        if not present or "FIBERMAP" not in file:
            raise BadFileError(
                f"{path} lacks {'HDU FIBERMAP' if present else 'HDUs B_FLUX, R_FLUX, Z_FLUX'}; it "
                f"has {[name for name in file.names if name]}. Give a coadd-*.fits of a DESI "
                "data release, not its redrock file or a camera-combined copy."
            )
        fibermap = file.table("FIBERMAP")
        group = coadd_group(file)
        arms = {arm: _read_arm(file, arm) for arm in present}
    if "TARGETID" not in fibermap:
        raise BadFileError(f"{path}, HDU FIBERMAP has no column TARGETID. Fetch the file again.")
    count = len(fibermap["TARGETID"])
    for name, arm in arms.items():
        if len(arm.flux) != count:
            raise BadFileError(
                f"{path}, HDU {name}_FLUX has {len(arm.flux)} rows, but FIBERMAP has {count} "
                "TARGETIDs. Fetch the file again."
            )
    blocks = [arms[a].raw(a, matrices) if a in arms else _empty_arm(a, count) for a in DESI_WAVE]
    usable = np.stack([np.any(arm.ivar > 0, axis=1) for arm in blocks])
    warn = np.where(~usable.any(axis=0), int(WARN.NODATA), 0)
    warn |= np.where(usable.any(axis=0) & ~usable.all(axis=0), int(WARN.MISSING_ARM), 0)
    mended = np.any([arm.mended for arm in arms.values()], axis=0)
    warn |= np.where(mended, int(WARN.NONFINITE_INPUT), 0)
    columns = _columns(path, fibermap, group)
    warn |= np.where(columns["COADD_FIBERSTATUS"] != 0, int(WARN.BADFIBER), 0)
    kind = fibermap.get("OBJTYPE", np.full(count, "TGT"))
    warn |= np.where(kind == "SKY", int(WARN.NOT_STAR), 0)
    unknown = np.full(count, np.nan)
    return RawSpectra(
        survey="desi",
        arms=tuple(blocks),
        vrad=unknown,
        vrad_err=unknown,
        ebv=columns["EBV"],
        warn=warn,
        key=("TARGETID",),
        columns=columns,
    )


@dataclass(frozen=True)
class _Arm:
    """One arm as it comes out of a file, pixels cleaned."""

    flux: np.ndarray
    ivar: np.ndarray
    mended: np.ndarray
    fwhm: np.ndarray
    resolution: np.ndarray

    def raw(self, name: str, matrices: bool) -> RawArm:
        known = np.isfinite(self.fwhm).all(axis=1, keepdims=True)
        return RawArm(
            name,
            DESI_WAVE[name],
            self.flux,
            np.where(known, self.ivar, np.float32(0)),  # without an LSF it cannot be fitted
            np.where(known, self.fwhm, _UNKNOWN_FWHM),
            self.resolution if matrices else None,
        )


def _read_arm(file: FitsFile, arm: str) -> _Arm:
    grid = DESI_WAVE[arm]
    wave = file.image(f"{arm}_WAVELENGTH")
    if wave.shape != grid.shape or np.max(np.abs(wave - grid)) > 0.01:
        raise BadFileError(
            f"{file.path}, HDU {arm}_WAVELENGTH: {wave.size} pixels from {wave.min():.1f} to "
            f"{wave.max():.1f} Å, but DESI coadds have {grid.size} from {grid[0]:.1f} to "
            f"{grid[-1]:.1f} Å every 0.8. Give a coadd of a data release."
        )
    flux, ivar = file.image(f"{arm}_FLUX"), file.image(f"{arm}_IVAR")
    mask = file.image(f"{arm}_MASK") if f"{arm}_MASK" in file else np.zeros(flux.shape, np.int32)
    resolution = file.image(f"{arm}_RESOLUTION")
    shape = (len(flux), grid.size)
    matrix = resolution.shape
    fits = flux.shape == ivar.shape == mask.shape == shape
    if not fits or len(matrix) != 3 or (matrix[0], matrix[2]) != shape or matrix[1] < 5:
        raise BadFileError(
            f"{file.path}, arm {arm}: FLUX {flux.shape}, IVAR {ivar.shape}, MASK {mask.shape} and "
            f"RESOLUTION {matrix} do not belong together. Fetch the file again."
        )
    resolution = np.where(np.isfinite(resolution), resolution, np.float32(0))
    cleaned = clean_pixels(flux, ivar, mask != 0)
    return _Arm(*cleaned, resolution_fwhm(resolution, grid), resolution)


def _empty_arm(name: str, count: int) -> RawArm:
    wave = DESI_WAVE[name]
    nothing = np.zeros((count, wave.size), np.float32)
    return RawArm(name, wave, nothing, nothing, np.full(nothing.shape, _UNKNOWN_FWHM))


def _columns(path: Path, fibermap: dict, group: dict[str, Any]) -> dict[str, np.ndarray]:
    count = len(fibermap["TARGETID"])

    def column(names: tuple[str, ...], default: float, kind: type) -> np.ndarray:
        known = [fibermap[name] for name in names if name in fibermap]
        return known[0].astype(kind) if known else np.full(count, default, kind)

    ebv = column(("EBV",), np.nan, float)
    return {
        "TARGETID": fibermap["TARGETID"].astype(np.int64),
        **{name: np.full(count, value) for name, value in group.items()},
        "TARGET_RA": column(("TARGET_RA", "MEAN_FIBER_RA"), np.nan, float),
        "TARGET_DEC": column(("TARGET_DEC", "MEAN_FIBER_DEC"), np.nan, float),
        "COADD_FIBERSTATUS": column(("COADD_FIBERSTATUS", "FIBERSTATUS"), 0, int),
        "EBV": np.where(ebv >= 0, ebv, np.nan),
        "SRCFILE": np.full(count, Path(path).name),
    }
