"""CSV, ECSV and FITS tables of any origin are read as arrays by lower-case column name."""

from pathlib import Path
from typing import Any

import numpy as np

from bayes_ddp.files.compressed import suffix
from bayes_ddp.files.errors import BadFileError
from bayes_ddp.files.fits import FitsFile, open_fits
from bayes_ddp.files.paths import check_file
from bayes_ddp.files.rows import EXACT
from bayes_ddp.tables.escape import unescaped
from bayes_ddp.tables.text import read_text
from bayes_ddp.tables.values import identifiers, typed

__all__ = ["Content", "lowered", "read_columns", "unmasked"]

Content = dict[str, np.ndarray]
"""Lower-case column name -> [row]."""

_OURS = ("CATALOGUE", "SPTAB", "RVTAB")


def read_columns(path: Path, hdu: str | None = None) -> Content:
    """Every column of a CSV, ECSV or FITS table; an unknown number is NaN.

    A column of text is converted if every cell is a number, a truth value or a text for an unknown
    one (``values.NULLS``); unknown integers beyond 2^53 and unknown truth values are masked.

    hdu : extension of a FITS file. By default CATALOGUE, SPTAB or RVTAB, else the first. SPTAB of
        a DESI file ``mwsall-pix`` gets identifiers, S/N and flags from the extensions RVTAB and
        GAIA, which match it row by row, and its errors from the diagonal of COVAR.

    Raises BadFileError for files that cannot be read.
    """
    check_file(path)
    if suffix(path) in (".csv", ".ecsv", ".txt"):
        table = read_text(path)
        return _typed(path, {name: unmasked(table[name]) for name in table.colnames})
    with open_fits(path, edited=True) as file:
        if len(file.names) < 2:
            raise BadFileError(f"{path} has no table extension. Give a catalogue or CSV.")
        chosen = hdu or next((name for name in _OURS if name in file), None)
        extension = chosen if chosen else 1
        content = _typed(path, unescaped(file.header(extension), file.table(extension)))
        return content if chosen not in ("SPTAB", "RVTAB") else _desi(file, chosen, content)


def _typed(path: Path, table: Content) -> Content:
    """The columns by lower-case name; text of numbers is converted to numbers."""
    return {name: typed(values) for name, values in lowered(path, table).items()}


def lowered(path: Path, table: Content) -> Content:
    """The columns by lower-case name.

    VizieR names the lower error of an asymmetric pair ``e_Teff`` and the upper one ``E_Teff``; the
    latter keeps its capital E. Raises BadFileError for other names that differ by case alone.
    """
    upper = {
        name: f"E_{name[2:].lower()}"
        for name in table
        if name.startswith("E_") and f"e_{name[2:]}" in table
    }
    found: Content = {}
    for name, values in table.items():
        key = upper.get(name, name.lower())
        if key in found:
            raise BadFileError(
                f"{path} has several columns {key!r} that differ by upper and lower case alone. "
                "Rename all but one of them."
            )
        found[key] = values
    return found


def _desi(file: FitsFile, chosen: str, content: Content) -> Content:
    """The columns of one table of the MWS catalogue, with those of RVTAB and GAIA for its rows.

    Order of COVAR: [Fe/H], [alpha/Fe], log10 vmic, Teff, log g (desi-mws-edr-datamodel, mwsall).
    """
    count = len(next(iter(content.values()), ()))
    more: Content = {}
    wanted = {
        "RVTAB": ("TARGETID", "SURVEY", "PROGRAM", "HEALPIX", "SN_B", "RVS_WARN", "PRIMARY"),
        "GAIA": ("SOURCE_ID",),
    }
    for name, columns in wanted.items():
        if name != chosen and name in file:
            more |= {k.lower(): v for k, v in file.table(name, columns).items()}
    ids = [
        identifiers(part["targetid"], f"{file.path}: column TARGETID")
        for part in (more, content)
        if "targetid" in part
    ]
    same = all(len(values) == count for values in more.values())
    if not same or (len(ids) == 2 and not np.array_equal(ids[0], ids[1])):
        raise BadFileError(
            f"{file.path}: RVTAB and GAIA must match the {count} rows of {chosen} one by one, but "
            "do not. Fetch the file again."
        )
    covariance = content.get("covar")
    if chosen == "SPTAB" and covariance is not None and covariance.size == 25 * count:
        variance = covariance.reshape(count, 25)[:, ::6].astype(float)
        sigma = np.sqrt(np.where(variance > 0, variance, np.nan))
        more |= {"feh_err": sigma[:, 0], "teff_err": sigma[:, 3], "logg_err": sigma[:, 4]}
    return more | content


def unmasked(column: Any) -> np.ndarray:
    """The column with masked cells as NaN or empty text; still masked if neither is possible."""
    if getattr(column, "mask", None) is None:
        return np.asarray(column)
    if column.dtype.kind == "b":
        return np.ma.masked_array(np.ma.filled(column, False), np.ma.getmaskarray(column))
    if column.dtype.kind in "iu" and np.abs(np.ma.filled(column, 0)).max(initial=0) > EXACT:
        filler = -1 if column.dtype.kind == "i" else 0
        return np.ma.masked_array(np.ma.filled(column, filler), np.ma.getmaskarray(column))
    if column.dtype.kind in "iuf":
        return np.ma.filled(column.astype(float), np.nan)
    return np.asarray(np.ma.filled(column, ""))
