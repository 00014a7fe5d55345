"""DESI spectra, with velocities from an RVS catalogue or from redrock, become ``RawSpectra``.

Coadds of a healpix or of a tile (coadd-*.fits) have a row per target, spectra-*.fits a row per
exposure. Every row of every file is returned: galaxies, missing velocities and dead fibres have
bits of ``WARN``. A file of another kind, or a damaged one, is an error. All files share one
wavelength grid per arm; an arm that a file lacks has ``ivar = 0``.

SPECID identifies a spectrum independently of the other input files: TARGETID, SURVEY, PROGRAM and
HEALPIX, then the tile and the group of a coadd by tile, then exposure and fibre. A repeated name,
for example from a file that is listed twice, gets the suffix ``#2``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bayes_ddp.files.errors import BadFileError
from bayes_ddp.files.fits import FitsFile, open_fits
from bayes_ddp.flags import WARN
from bayes_ddp.spectra.desi.catalog import coadd_group
from bayes_ddp.spectra.desi.columns import FIBERMAP_NAMES, align, cleaned, passed_columns
from bayes_ddp.spectra.desi.velocity import Tables, find_velocities
from bayes_ddp.spectra.lsf import resolution_fwhm
from bayes_ddp.spectra.pixels import clean_pixels
from bayes_ddp.spectra.raw import RawArm, RawSpectra, concatenate
from bayes_ddp.spectra.widths import UNKNOWN_FWHM, usable_widths
from bayes_ddp.tables.repeats import distinct_names
from bayes_ddp.tables.values import UNKNOWN_ID

__all__ = ["DESI_WAVE", "read_desi"]

DESI_WAVE = {
    "B": 3600.0 + 0.8 * np.arange(2751),
    "R": 5760.0 + 0.8 * np.arange(2326),
    "Z": 7520.0 + 0.8 * np.arange(2881),
}
"""Wavelengths of the arms, Å vacuum, barycentric."""


def read_desi(
    spectra: Sequence[Path],
    catalog: Path | None = None,
    redshifts: Sequence[Path] | None = None,
    *,
    matrices: bool = False,
    columns: Mapping[str, str] | None = None,
) -> RawSpectra:
    """All rows of DESI files, in the order of the files.

    Parameters
    ----------
    spectra
        coadd-*.fits or spectra-*.fits files.
    catalog
        FITS table RVTAB (or the first table) with TARGETID, VRAD and VRAD_ERR in km/s. SURVEY,
        PROGRAM, HEALPIX, PRIMARY, RR_SPECTYPE, SUCCESS, RVS_WARN, SN_B, SN_R and SN_Z are used if
        present, and the extensions FIBERMAP and GAIA of mwsall-pix-*.fits.
    redshifts
        redrock-*.fits files, for the stars that the catalogue lacks and for SPECTYPE.
    matrices
        Whether to keep the resolution matrices, which have three times the size of all other
        arrays. A fit needs only their widths.
    columns
        Expected name -> name in the catalogue, such as ``{"VRAD": "rv"}``.

    Raises BadFileError for files that cannot be read or lack an HDU.
    """
    if not spectra:
        raise BadFileError("No spectrum file was given. Name at least one coadd-*.fits.")
    parts = [_read_file(Path(path), matrices) for path in spectra]
    shared = align([part.columns for part in parts])
    raw = concatenate(
        [replace(part, columns=columns) for part, columns in zip(parts, shared, strict=True)]
    )
    tables = Tables(catalog, tuple(redshifts or ()), dict(columns or {}))
    found = find_velocities(raw.columns, tables)
    names, doubled = distinct_names(raw.columns["SPECID"])
    raw = replace(
        raw,
        vrad=found.vrad,
        vrad_err=found.vrad_err,
        ebv=found.columns.get("EBV", raw.ebv),
        warn=raw.warn | found.warn | doubled,
        columns=raw.columns | found.columns | {"SPECID": names},
    )
    return usable_widths(raw)


def _read_file(path: Path, matrices: bool) -> RawSpectra:
    """The spectra of one file, with velocities NaN."""
    with open_fits(path) as file:
        present = [arm for arm in DESI_WAVE if f"{arm}_FLUX" in file]
        if not present or "FIBERMAP" not in file:
            raise BadFileError(
                f"{path} lacks {'HDU FIBERMAP' if present else 'HDUs B_FLUX, R_FLUX, Z_FLUX'}; it "
                f"has {[name for name in file.names if name]}. Give a coadd-*.fits or "
                "spectra-*.fits of a DESI data release, not its redrock file or a camera-combined "
                "copy."
            )
        fibermap = cleaned(file.table("FIBERMAP", FIBERMAP_NAMES), f"{path}, HDU FIBERMAP")
        group = coadd_group(file)
        header = file.header(0)
        arms = {arm: _read_arm(file, arm, matrices) for arm in present}
    if "TARGETID" not in fibermap:
        raise BadFileError(f"{path}, HDU FIBERMAP has no column TARGETID. Fetch the file again.")
    count = len(fibermap["TARGETID"])
    unknown = np.flatnonzero(fibermap["TARGETID"] == UNKNOWN_ID)
    if len(unknown):
        raise BadFileError(
            f"{path}, HDU FIBERMAP: row {unknown[0] + 1} has no TARGETID. Fetch the file again."
        )
    for name, arm in arms.items():
        if len(arm.flux) != count:
            raise BadFileError(
                f"{path}, HDU {name}_FLUX has {len(arm.flux)} rows, but FIBERMAP has {count} "
                "TARGETIDs. Fetch the file again."
            )
    columns = _columns(path, fibermap, group)
    columns = {"SPECID": _names(columns, header), **columns}
    blocks = [arms[a].raw(a) if a in arms else _empty_arm(a, count) for a in DESI_WAVE]
    nothing = np.full(count, np.nan)
    return RawSpectra(
        survey="desi",
        arms=tuple(blocks),
        vrad=nothing,
        vrad_err=nothing,
        ebv=columns["EBV"],
        warn=_warnings(blocks, list(arms.values()), columns, fibermap=fibermap),
        key=("SPECID",),
        columns=columns,
    )


def _warnings(
    blocks: list[RawArm], arms: list["_Arm"], columns: dict, *, fibermap: dict
) -> np.ndarray:
    """[star] int64, warnings from pixels, fibre and object type."""
    usable = np.stack([np.any(arm.ivar > 0, axis=1) for arm in blocks])
    warn = np.where(~usable.any(axis=0), int(WARN.NODATA), 0)
    warn |= np.where(usable.any(axis=0) & ~usable.all(axis=0), int(WARN.MISSING_ARM), 0)
    mended = np.any([arm.mended for arm in arms], axis=0)
    warn |= np.where(mended, int(WARN.NONFINITE_INPUT), 0)
    warn |= np.where(columns["COADD_FIBERSTATUS"] != 0, int(WARN.BADFIBER), 0)
    kind = fibermap.get("OBJTYPE", np.full(len(warn), "TGT"))
    return warn | np.where(kind == "SKY", int(WARN.NOT_STAR), 0)


@dataclass(frozen=True)
class _Arm:
    """One arm of a file with cleaned pixels; fwhm is NaN for an unusable resolution matrix."""

    flux: np.ndarray
    ivar: np.ndarray
    mended: np.ndarray
    fwhm: np.ndarray
    resolution: np.ndarray | None

    def raw(self, name: str) -> RawArm:
        known = np.isfinite(self.fwhm).all(axis=1, keepdims=True)
        return RawArm(
            name,
            DESI_WAVE[name],
            self.flux,
            np.where(known, self.ivar, np.float32(0)),  # without an LSF it cannot be fitted
            np.where(known, self.fwhm, UNKNOWN_FWHM),
            self.resolution,
        )


def _read_arm(file: FitsFile, arm: str, matrices: bool) -> _Arm:
    grid = DESI_WAVE[arm]
    wave = file.image(f"{arm}_WAVELENGTH")
    if wave.shape != grid.shape or np.max(np.abs(wave - grid)) > 0.01:
        raise BadFileError(
            f"{file.path}, HDU {arm}_WAVELENGTH: {wave.size} pixels from {wave.min():.1f} to "
            f"{wave.max():.1f} Å, but DESI coadds have {grid.size} rising from {grid[0]:.1f} to "
            f"{grid[-1]:.1f} Å by 0.8. Give a coadd of a data release."
        )
    flux, ivar = file.image(f"{arm}_FLUX"), file.image(f"{arm}_IVAR")
    mask = file.image(f"{arm}_MASK") if f"{arm}_MASK" in file else np.zeros(flux.shape, np.int32)
    resolution = file.image(f"{arm}_RESOLUTION")
    shape = (len(flux), grid.size)
    matrix = resolution.shape
    fits = flux.shape == ivar.shape == mask.shape == shape
    if not fits or len(matrix) != 3 or (matrix[0], matrix[2]) != shape or matrix[1] < 5:
        raise BadFileError(
            f"{file.path}, arm {arm}: the shapes of FLUX {flux.shape}, IVAR {ivar.shape}, MASK "
            f"{mask.shape} and RESOLUTION {matrix} do not match. Fetch the file again."
        )
    resolution = np.where(np.isfinite(resolution), resolution, np.float32(0))
    cleaned = clean_pixels(flux, ivar, mask != 0)
    fwhm = resolution_fwhm(resolution, grid)
    return _Arm(*cleaned, fwhm, resolution if matrices else None)


def _empty_arm(name: str, count: int) -> RawArm:
    wave = DESI_WAVE[name]
    nothing = np.zeros((count, wave.size), np.float32)
    return RawArm(name, wave, nothing, nothing, np.full(nothing.shape, UNKNOWN_FWHM))


def _columns(path: Path, fibermap: dict, group: dict[str, Any]) -> dict[str, np.ndarray]:
    count = len(fibermap["TARGETID"])
    tile = fibermap.get("TILEID", np.full(count, -1)).astype(np.int64)  # of each exposure
    return {
        "TARGETID": fibermap["TARGETID"].astype(np.int64),
        **{name: np.full(count, group[name]) for name in ("SURVEY", "PROGRAM", "HEALPIX")},
        "TILEID": np.full(count, group["TILEID"]) if group["TILEID"] >= 0 else tile,
        **passed_columns(fibermap),
        "SRCFILE": np.full(count, path.name),
    }


def _names(columns: dict[str, np.ndarray], header: dict[str, Any]) -> np.ndarray:
    """[star] text, SPECID before repeats are numbered.

    Coadds of one tile differ by their group: cumulative, one night, or one exposure.
    """
    keys = ("TARGETID", "SURVEY", "PROGRAM", "HEALPIX")
    names = ["|".join(map(str, key)) for key in zip(*(columns[k] for k in keys), strict=True)]
    if names and columns["HEALPIX"][0] < 0:
        kind, value = (str(header.get(card, "")).strip() for card in ("SPGRP", "SPGRPVAL"))
        tiles = columns["TILEID"]
        names = [f"{n}|tile{t}|{kind}{value}" for n, t in zip(names, tiles, strict=True)]
    if "EXPID" in columns:
        fibre = columns.get("FIBER", np.full(len(names), -1))
        exposure = columns["EXPID"]
        names = [f"{n}|exp{e}|{f}" for n, e, f in zip(names, exposure, fibre, strict=True)]
    return np.array(names, str)
