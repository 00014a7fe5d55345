"""The record of DESI, recognition of its spectrum files, and the number of spectra in a file."""

from pathlib import Path

from bayes_ddp.files.errors import BadFileError
from bayes_ddp.files.fits import FitsFile, scan_fits
from bayes_ddp.spectra.desi.catalog import RVS_NAMES
from bayes_ddp.spectra.desi.read import DESI_WAVE, read_desi
from bayes_ddp.spectra.desi.velocity import RVS_FLOOR
from bayes_ddp.spectra.masks import Band
from bayes_ddp.spectra.survey import Survey

__all__ = ["DESI", "count_desi", "is_desi"]


def is_desi(file: FitsFile) -> bool:
    """Whether a file has a FIBERMAP and the flux of at least one arm."""
    return "FIBERMAP" in file and any(f"{arm}_FLUX" in file for arm in DESI_WAVE)


def count_desi(path: Path) -> int:
    """Number of rows of the FIBERMAP of a file; only headers are read.

    Raises BadFileError for files that cannot be read or have no FIBERMAP.
    """
    for hdu in scan_fits(path):
        if hdu.name == "FIBERMAP":
            return int(hdu.cards["NAXIS2"])
    raise BadFileError(
        f"{path} has no HDU FIBERMAP. Give a coadd-*.fits or spectra-*.fits of a DESI data "
        "release."
    )


DESI = Survey(
    name="desi",
    title="DESI",
    read=read_desi,
    recognise=is_desi,
    count=count_desi,
    lsf_sd=0.03,  # the resolution matrices are measured
    vrad_floor=RVS_FLOOR,
    edge_pixels=5,
    bands=(Band("blue end", 3600.0, 3650.0, "instrument", "mask", continuum=True),),
    file_kind="coadd",
    catalog_columns=RVS_NAMES,
)
