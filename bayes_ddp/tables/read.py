"""Tables of any origin as arrays by lower-case column name."""

from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from bayes_ddp.files.compressed import suffix, unpacked
from bayes_ddp.files.errors import BadFileError
from bayes_ddp.files.fits import FitsFile, open_fits
from bayes_ddp.files.paths import check_file

__all__ = ["EXACT", "Content", "read_columns"]

Content = dict[str, np.ndarray]
"""Lower-case column name -> [row]."""

_OURS = ("CATALOGUE", "SPTAB", "RVTAB")

EXACT = 2**53  # whole numbers beyond this are rounded in a float64


def read_columns(path: Path, hdu: str | None = None) -> Content:
    """Every column of a CSV, ECSV or FITS table; an empty cell of a number is NaN.

    Of a FITS file the extension ``hdu``, else CATALOGUE, SPTAB or RVTAB, else the first. SPTAB of
    a DESI file ``mwsall-pix`` gets identifiers, S/N and flags from the extensions RVTAB and GAIA,
    which match it row by row, and its errors from the diagonal of COVAR.

    Raises BadFileError for files that cannot be read.
    """
    check_file(path)
    if suffix(path) in (".csv", ".ecsv", ".txt"):
        form = "ascii.ecsv" if suffix(path) == ".ecsv" else "ascii.csv"
        try:
            with unpacked(path) as plain:
                table = Table.read(plain, format=form)
        except BadFileError:
            raise
        except (ValueError, OSError) as error:
            raise BadFileError(
                f"{path} cannot be read as a table ({str(error).splitlines()[0]}). Give CSV with "
                "one header line, ECSV or FITS."
            ) from None
        return {name.lower(): _unmasked(table[name]) for name in table.colnames}
    with open_fits(path) as file:
        if len(file.names) < 2:
            raise BadFileError(f"{path} has no table extension. Give a catalogue or CSV.")
        chosen = hdu or next((name for name in _OURS if name in file), None)
        content = {k.lower(): v for k, v in file.table(chosen if chosen else 1).items()}
        return content if chosen not in ("SPTAB", "RVTAB") else _desi(file, chosen, content)


def _desi(file: FitsFile, chosen: str, content: Content) -> Content:
    """The columns of one table of the MWS catalogue, and what its neighbours know of the rows.

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
    target = more.get("targetid", content.get("targetid"))
    same = all(len(values) == count for values in more.values())
    if not same or np.any(target != content.get("targetid")):
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


def _unmasked(column: Any) -> np.ndarray:
    """The column with empty cells as NaN; identifiers beyond float64 keep -1 there instead."""
    if getattr(column, "mask", None) is None:
        return np.asarray(column)
    if column.dtype.kind in "iu" and np.abs(np.ma.filled(column, 0)).max(initial=0) > EXACT:
        return np.asarray(np.ma.filled(column, -1))
    if column.dtype.kind in "iuf":
        return np.ma.filled(column.astype(float), np.nan)
    return np.asarray(np.ma.filled(column, ""))
