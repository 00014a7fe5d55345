"""The list of surveys whose spectra can be read, and recognition of the survey of a file.

``SURVEYS`` has one record per survey. Records are tried in their order: formats with the strictest
criteria come first and tables of any origin last.
"""

from collections.abc import Mapping
from pathlib import Path

from bayes_ddp.files.compressed import suffix
from bayes_ddp.files.errors import did_you_mean
from bayes_ddp.files.fits import open_fits
from bayes_ddp.files.paths import check_file
from bayes_ddp.spectra.desi.survey import DESI
from bayes_ddp.spectra.lamost import LAMOST
from bayes_ddp.spectra.sdss import SDSS
from bayes_ddp.spectra.survey import Survey
from bayes_ddp.spectra.table import TABLE
from bayes_ddp.tables.names import parse_columns

__all__ = ["SURVEYS", "catalog_columns", "find_survey", "recognise"]

SURVEYS: dict[str, Survey] = {survey.name: survey for survey in (DESI, LAMOST, SDSS, TABLE)}


def find_survey(name: str) -> Survey:
    """The record of one survey; ValueError with the nearest name for an unknown one."""
    if name in SURVEYS:
        return SURVEYS[name]
    hint = did_you_mean(name, SURVEYS)
    raise ValueError(f"{name!r} is not a survey.{hint} Surveys: {list(SURVEYS)}.")


def catalog_columns(survey: str, columns: Mapping[str, str], *, catalog: bool) -> dict[str, str]:
    """Name that the survey's reader expects -> name of that column in the catalogue.

    columns : the same mapping, with expected names in any case. catalog : whether there is a
    catalogue.

    Raises ValueError for names that are not read, and for columns without a catalogue.
    """
    names = find_survey(survey).catalog_columns
    if columns and not (names and catalog):
        raise ValueError(
            f"columns {dict(columns)} name those of a catalogue, "
            + ("and none is given: add 'catalog'." if names else f"and '{survey}' takes none.")
        )
    pairs = [f"{name}={column}" for name, column in columns.items()]
    return parse_columns(pairs, names, option="columns") if pairs else {}


def recognise(path: Path) -> Survey:
    """The survey whose format a file has.

    Raises BadFileError for a file that cannot be read, ValueError for one of no known format.
    """
    ending = suffix(check_file(path))
    for survey in SURVEYS.values():
        if ending in survey.suffixes:
            return survey
    with open_fits(path, edited=True) as file:
        for survey in SURVEYS.values():
            if survey.recognise(file):
                return survey
    raise ValueError(
        f"{path} is a FITS file with the HDUs {[name for name in file.names if name]}, which is "
        f"a spectrum file of none of the surveys {list(SURVEYS)}. Name the survey, or look at "
        "the file with bayes-ddp info."
    )
