"""From survey files to normalised spectra: the border, one reader a survey, masks, LSF, prepare.

``SURVEYS`` names the readers. Each is called with a list of spectrum files, an optional catalogue
and optional redshift files, and gives a ``RawSpectra``; that of tables also needs a ``Layout``.
"""

from bayes_ddp.spectra.desi.read import read_desi
from bayes_ddp.spectra.lamost import read_lamost
from bayes_ddp.spectra.sdss import read_sdss
from bayes_ddp.spectra.table import read_tables

__all__ = ["SURVEYS"]

SURVEYS = {"desi": read_desi, "lamost": read_lamost, "sdss": read_sdss, "table": read_tables}
