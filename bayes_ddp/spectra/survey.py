"""What the package has to know about a survey: one record, in the file of its reader.

``surveys`` collects the records; everything that differs between surveys is looked up in them. A
new survey is a file with a reader and a record, and the record's name in that list.
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
    """One survey, or another origin of spectra.

    Parameters
    ----------
    name
        Key of ``SURVEYS`` and value of [input] survey.
    title
        Its name in texts.
    read
        The reader: ``read(paths, catalog=None, redshifts=())`` gives the ``RawSpectra`` of all
        files in their order, and raises BadFileError for a file that it cannot read. With
        ``needs_layout`` it is called with ``layout=Layout(...)`` as well.
    recognise
        Whether an open FITS file is a spectrum file of this survey, by its headers.
    count
        Number of spectra in a file, from its headers alone where the format allows that. With
        ``needs_layout`` it takes ``layout=Layout(...)`` as well.
    lsf_sd
        Prior standard deviation of the factor on the width of the LSF, the same for each arm.
    vrad_floor
        Scatter of the velocities of one star between its spectra that their noise does not
        explain, km/s: the wavelength calibration. It is part of the catalogue's VRAD_ERR, in
        quadrature, and of nothing else; 0 where it is not known.
    edge_pixels
        Number of pixels at either end of each arm that are not fitted.
    bands
        Bands of wavelength that need care in this survey alone, beside ``masks.BANDS``.
    suffixes
        Endings of files other than FITS that are this survey's.
    file_kind
        What one of its files is, behind the title: a coadd, a spectrum.
    catalog_columns
        Names that the reader takes from ``catalog``; it then has the option ``columns``, what the
        file calls them. Empty for a survey without a catalogue.
    needs_layout
        Whether a ``Layout`` has to say what the arrays of a file are.
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
    """One, of surveys with one spectrum per file; BadFileError where there is no such file."""
    check_file(path)
    return 1
