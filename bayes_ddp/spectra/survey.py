"""The record of a survey: its reader and all settings that differ between surveys.

Each record is defined in the file of its reader and listed in ``surveys``. A new survey needs a
file with a reader and a record, and an entry in that list.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bayes_ddp.files.fits import FitsFile
from bayes_ddp.files.paths import check_file
from bayes_ddp.spectra.masks import Band
from bayes_ddp.spectra.raw import RawSpectra

__all__ = ["Survey", "count_one"]


@dataclass(frozen=True)
class Survey:
    """One survey, or another source of spectra.

    Parameters
    ----------
    name
        Key of ``SURVEYS`` and value of [input] survey.
    title
        Name in texts.
    read
        The reader: ``read(paths, catalog=None, redshifts=())`` returns the ``RawSpectra`` of all
        files in their order, and raises BadFileError for a file that it cannot read. With
        ``needs_layout`` it is called with ``layout=Layout(...)`` as well.
    recognise
        Whether an open FITS file is a spectrum file of this survey, by its headers.
    count
        Number of spectra in a file, from its headers only if the format allows that. With
        ``needs_layout`` it takes ``layout=Layout(...)`` as well.
    lsf_sd
        Prior standard deviation of the factor on the width of the LSF, the same for each arm.
    vrad_floor
        km/s, scatter of the velocities of repeated spectra in excess of their noise, due to the
        wavelength calibration. It is added in quadrature to the catalogue's VRAD_ERR only; 0 if
        it is not known.
    edge_pixels
        Number of pixels at either end of each arm that are not fitted.
    bands
        Wavelength bands of this survey only, in addition to ``masks.BANDS``.
    suffixes
        Suffixes of files other than FITS that belong to this survey.
    file_kind
        Noun for one of its files in texts, such as "coadd" or "spectrum".
    catalog_columns
        Names that the reader takes from ``catalog``; the reader then has the option ``columns``,
        their names in the file. Empty for a survey without a catalogue.
    needs_layout
        Whether a ``Layout`` must define the arrays of a file.
    """

    name: str
    title: str
    read: Callable[..., RawSpectra]
    recognise: Callable[[FitsFile], bool]
    count: Callable[..., int]
    lsf_sd: float
    vrad_floor: float = 0.0
    edge_pixels: int = 0
    bands: tuple[Band, ...] = ()
    suffixes: tuple[str, ...] = ()
    file_kind: str = "spectrum"
    catalog_columns: tuple[str, ...] = ()
    needs_layout: bool = False


def count_one(path: Path) -> int:
    """One, for surveys with one spectrum per file; BadFileError if there is no such file."""
    check_file(path)
    return 1
