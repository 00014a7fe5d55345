"""Simulated coadds are written in the format of DESI.

Names, order and types of the HDUs are those of a real coadd. Checksums have a fixed date, so the
same simulation gives the same bytes.
"""

from pathlib import Path

import numpy as np
from astropy.io import fits

from bayes_ddp.files.outputs import write_fits
from bayes_ddp.spectra.desi.read import DESI_WAVE
from bayes_ddp.spectra.expose import Coadd
from bayes_ddp.tables.fits import add_checksums

__all__ = ["HEALPIX", "PROGRAM", "SURVEY", "write_coadd", "write_rvs_catalog"]

SURVEY, PROGRAM, HEALPIX = "sim", "bright", 27247
"""Group of the simulated coadd; this healpix (nside 64) is at RA 149.5, Dec 1.8."""

_UNITS = {"FLUX": "10**-17 erg/(s cm2 Angstrom)", "IVAR": "10**+34 (s2 cm4 Angstrom2) / erg2"}


def write_coadd(path: Path, coadd: Coadd) -> None:
    """Write a DESI coadd file; its name should begin with ``coadd-``.

    Raises OutputError if a file that is not ours has that name.
    """
    primary = fits.PrimaryHDU()
    primary.header["SPGRP"] = "healpix"
    primary.header["SPGRPVAL"] = HEALPIX
    primary.header["HPXPIXEL"] = HEALPIX
    primary.header["HPXNSIDE"] = 64
    primary.header["HPXNEST"] = True
    primary.header["SURVEY"] = SURVEY
    primary.header["PROGRAM"] = PROGRAM
    hdus = [
        primary,
        _table("FIBERMAP", _fibermap(coadd)),
        _table("EXP_FIBERMAP", _exposures(coadd)),
    ]
    for name, arm in coadd.arms.items():
        images = {
            "WAVELENGTH": DESI_WAVE[name],
            "FLUX": arm.flux,
            "IVAR": arm.ivar,
            "MASK": arm.mask,
            "RESOLUTION": arm.resolution,
        }
        for kind, image in images.items():
            hdu = fits.ImageHDU(image, name=f"{name}_{kind}")
            unit = "Angstrom" if kind == "WAVELENGTH" else _UNITS.get(kind)
            if unit:
                hdu.header["BUNIT"] = unit
            hdus.append(hdu)
    hdus.append(_table("SCORES", _scores(coadd)))
    _write(path, hdus)


def write_rvs_catalog(path: Path, coadd: Coadd) -> None:
    """Write the velocities of a coadd, km/s, as an RVS catalogue (extension RVTAB).

    Raises OutputError if a file that is not ours has that name.
    """
    count = len(coadd.targetid)
    columns = {
        "TARGETID": coadd.targetid,
        "SURVEY": np.full(count, SURVEY),
        "PROGRAM": np.full(count, PROGRAM),
        "HEALPIX": np.full(count, HEALPIX, np.int32),
        "VRAD": coadd.vrad_seen,
        "VRAD_ERR": coadd.vrad_err,
        "RR_SPECTYPE": np.full(count, "STAR"),
        "RVS_WARN": np.zeros(count, np.int64),
        "SUCCESS": np.ones(count, bool),
    }
    _write(path, [fits.PrimaryHDU(), _table("RVTAB", columns)])


def _fibermap(coadd: Coadd) -> dict[str, np.ndarray]:
    count = len(coadd.targetid)
    return {
        "TARGETID": coadd.targetid,
        "COADD_FIBERSTATUS": np.zeros(count, np.int32),
        "TARGET_RA": coadd.ra,
        "TARGET_DEC": coadd.dec,
        "OBJTYPE": np.full(count, "TGT"),
        "EBV": coadd.ebv.astype(np.float32),
        "DESI_TARGET": np.full(count, 1 << 61, np.int64),  # MWS_ANY
        "BGS_TARGET": np.zeros(count, np.int64),
        "MWS_TARGET": np.ones(count, np.int64),
        "COADD_NUMEXP": np.ones(count, np.int16),
        "COADD_EXPTIME": np.full(count, 180.0, np.float32),
    }


def _exposures(coadd: Coadd) -> dict[str, np.ndarray]:
    count = len(coadd.targetid)
    return {
        "TARGETID": coadd.targetid,
        "EXPID": np.ones(count, np.int32),
        "FIBERSTATUS": np.zeros(count, np.int32),
        "EXPTIME": np.full(count, 180.0),
    }


def _scores(coadd: Coadd) -> dict[str, np.ndarray]:
    scores = {"TARGETID": coadd.targetid}
    for name, arm in coadd.arms.items():
        good = (arm.ivar > 0) & (arm.mask == 0)
        flux = np.ma.masked_array(arm.flux, ~good)
        ratio = flux * np.sqrt(arm.ivar)
        for kind, pixels in (("FLUX", flux), ("SNR", ratio)):
            median = np.ma.median(pixels, axis=1).filled(0)
            scores[f"MEDIAN_COADD_{kind}_{name}"] = median.astype(np.float32)
    return scores


def _table(name: str, columns: dict[str, np.ndarray]) -> fits.BinTableHDU:
    fields = [
        (key, "S" + str(value.dtype.itemsize // 4))
        if value.dtype.kind == "U"
        else (key, value.dtype)
        for key, value in columns.items()
    ]
    rows = np.zeros(len(next(iter(columns.values()))), fields)
    for key, value in columns.items():
        rows[key] = value
    return fits.BinTableHDU(rows, name=name)


def _write(path: Path, hdus: list) -> None:
    add_checksums(hdus)
    write_fits(path, fits.HDUList(hdus))
