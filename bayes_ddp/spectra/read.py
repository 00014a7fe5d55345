"""Spectra of any survey are read from files by the reader that fits the format of the first."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bayes_ddp.files.paths import expand
from bayes_ddp.spectra.raw import RawSpectra
from bayes_ddp.spectra.survey import Survey
from bayes_ddp.spectra.surveys import SURVEYS, catalog_columns, find_survey, recognise
from bayes_ddp.spectra.table import Layout, layout_of

__all__ = ["expand_files", "read", "survey_of"]

PathLike = str | os.PathLike[str]


def read(
    path: PathLike | Sequence[PathLike],
    *,
    catalog: PathLike | None = None,
    redshifts: PathLike | Sequence[PathLike] = (),
    survey: str | None = None,
    columns: Mapping[str, str] | None = None,
    layout: Layout | Mapping[str, Any] | None = None,
) -> RawSpectra:
    """All spectra in files of one survey, in the order of the files.

    Parameters
    ----------
    path
        One file or several; a name with * or ? means all files that match, sorted.
    catalog
        DESI: FITS table with VRAD. LAMOST: CSV table of file names and OBSID. None for others.
    redshifts
        DESI: redrock files, one or several, with patterns as in ``path``. None for others.
    columns
        Expected name -> name in the catalogue, for columns that differ, such as
        ``{"VRAD": "rv"}``.
    survey
        Key of ``SURVEYS``. By default the survey whose format the first file has; with a
        ``layout``, 'table'.
    layout
        Names of the arrays of a table, as a ``Layout`` or a dict of its fields, such as
        ``{"air": False, "fwhm": 2.5, "error": "sigma"}``. Needed for npz and ECSV files and for
        FITS files that are not in the format of a survey.

    Raises ValueError for options that do not fit the survey and for unknown formats, BadFileError
    for files that cannot be read.
    """
    files = expand_files(path)
    if survey is not None:
        chosen = find_survey(survey)
    elif layout is not None:
        chosen = next(one for one in SURVEYS.values() if one.needs_layout)
    else:
        chosen = recognise(files[0])
    return chosen.read(
        files,
        catalog=None if catalog is None else Path(catalog),
        redshifts=expand_files(redshifts) if redshifts else [],
        **_columns_option(chosen, columns, catalog is not None),
        **_layout_option(chosen, layout, files[0]),
    )


def survey_of(path: PathLike | Sequence[PathLike]) -> Survey:
    """The survey whose format the first file has; names and patterns as in ``read``."""
    return recognise(expand_files(path)[0])


def expand_files(path: PathLike | Sequence[PathLike]) -> list[Path]:
    """The files that match names and patterns with * or ?, sorted within each pattern.

    Raises ValueError for a pattern that matches no file, and for an empty list.
    """
    names = [path] if isinstance(path, str | os.PathLike) else list(path)
    if not names:
        raise ValueError("No file was given. Name at least one spectrum file.")
    files: list[Path] = []
    for name in names:
        found = expand(name)
        if not found:
            raise ValueError(
                f"No file matches {os.fspath(name)!r} (current folder: {Path.cwd()}). Check the "
                "pattern."
            )
        files.extend(map(Path, found))
    return files


def _columns_option(
    survey: Survey, columns: Mapping[str, str] | None, catalog: bool
) -> dict[str, dict[str, str]]:
    """The option ``columns`` of the reader; empty without such columns."""
    found = catalog_columns(survey.name, columns or {}, catalog=catalog)
    return {"columns": found} if found else {}


def _layout_option(
    survey: Survey, layout: Layout | Mapping[str, Any] | None, first: Path
) -> dict[str, Layout]:
    """The option ``layout`` of the reader; empty for a survey that does not need it.

    Raises ValueError if it is missing, or if the survey has its own format.
    """
    if survey.needs_layout and layout is None:
        raise ValueError(
            f"{first} is in the format of no survey, so the names of its arrays have to be given: "
            "pass layout={'air': False, 'wave': ..., 'flux': ..., 'ivar': ..., 'fwhm': ...} "
            "(bayes-ddp info lists its arrays)."
        )
    if not survey.needs_layout and layout is not None:
        raise ValueError(
            f"layout describes tables, and survey = '{survey.name}' has a format of its own. "
            "Leave one of the two out."
        )
    return {} if layout is None else {"layout": layout_of(layout)}
