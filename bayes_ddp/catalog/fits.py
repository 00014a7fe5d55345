"""The catalogue as a file: one FITS binary table that says by itself what is in it.

Units, UCDs and descriptions are plain cards (TUNIT, TUCD, TCOMM), the warning bits are spelt out
in the header, and the same table gives the same bytes.
"""

import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import Column as TableColumn
from astropy.table import Table

from bayes_ddp.files.errors import BadFileError
from bayes_ddp.files.fits import open_fits, safe_card
from bayes_ddp.files.paths import atomic_write
from bayes_ddp.flags import describe

__all__ = ["EXTENSION", "read_catalogue", "write_catalogue"]

EXTENSION = "CATALOGUE"

# Units that FITS does not have stand before the description: as TUNIT every reader would warn.
_NO_FITS_UNIT = ("dex",)

# A checksum card carries the time of day; a fixed one keeps reruns identical.
_EPOCH = "1970-01-01T00:00:00"


def write_catalogue(table: Table, path: Path, provenance: Mapping[str, Any]) -> None:
    """Write a catalogue as FITS; the same table gives the same bytes.

    Parameters
    ----------
    table
        From ``make_catalogue``, or stacked from several.
    provenance : FITS keyword -> text or number
        Versions, emulator and its hash, seed, CALSCALE: what it takes to make the file again.

    Raises ValueError for a keyword that FITS does not have, or masked values.
    """
    if table.has_masked_columns:
        masked = [name for name in table.colnames if hasattr(table[name], "mask")]
        raise ValueError(f"Columns {masked} are masked: fill them, with NaN where not known.")
    hdu = fits.BinTableHDU(_records(table), name=EXTENSION)
    for number, column in enumerate(table.itercols(), 1):
        unit, text = str(column.unit or ""), column.description or ""
        if unit in _NO_FITS_UNIT:
            unit, text = "", f"[{unit}] {text}"
        texts = {"TUNIT": unit, "TCOMM": text, "TUCD": column.meta.get("ucd", "")}
        for key, text in texts.items():
            if text:
                hdu.header[f"{key}{number}"] = safe_card(text)
    warnings = {f"WARNB{bit:02d}": f"{name} {text}" for name, bit, text in describe()}
    for key, value in {**table.meta, **provenance, **warnings}.items():
        if not re.fullmatch(r"[A-Z0-9_-]{1,8}", key):
            raise ValueError(f"'{key}' is no FITS keyword: take at most 8 of A-Z, 0-9, - and _.")
        hdu.header[key] = _card_value(value)
    hdus = fits.HDUList([fits.PrimaryHDU(), hdu])
    for part in hdus:
        part.add_checksum(when=_EPOCH)
    with atomic_write(path) as temporary:
        hdus.writeto(temporary)


def _records(table: Table) -> np.ndarray:
    """The table as a structured array; text becomes ASCII, which is all that FITS can hold."""
    content = {}
    for column in table.itercols():
        values = np.asarray(column)
        text = np.char.encode(values, "ascii", "replace") if values.dtype.kind == "U" else values
        content[column.name] = text
    kinds = [(name, values.dtype, values.shape[1:]) for name, values in content.items()]
    records = np.empty(len(table), kinds)
    for name, values in content.items():
        records[name] = values
    return records


def _card_value(value: Any) -> bool | int | float | str:
    """What a header can hold; text beyond one card goes on in the next (CONTINUE)."""
    if isinstance(value, bool | int) or (isinstance(value, float) and np.isfinite(value)):
        return value
    return " ".join(safe_card(line) for line in textwrap.wrap(str(value), 68))


_STRUCTURE = re.compile(
    "XTENSION|BITPIX|NAXIS[0-9]*|PCOUNT|GCOUNT|TFIELDS|EXTNAME|CHECKSUM|DATASUM|CONTINUE|"
    "(TTYPE|TFORM|TUNIT|TDIM|TCOMM|TUCD|TZERO|TSCAL|TNULL|TDISP)[0-9]+"
)


def read_catalogue(path: Path) -> Table:
    """A catalogue as it was made: units, descriptions, UCDs (``column.meta["ucd"]``), header.

    Raises BadFileError for files that cannot be trusted or hold no catalogue.
    """
    with open_fits(path) as file:
        if EXTENSION not in file:
            raise BadFileError(
                f"{path} has no extension {EXTENSION}; it has {[n for n in file.names if n]}. "
                "Give a catalogue that run or fit wrote."
            )
        header, content = file.header(EXTENSION), file.table(EXTENSION)
    table = Table(meta={k: v for k, v in header.items() if not _STRUCTURE.fullmatch(k)})
    numbers = {str(header[k]).strip(): k[5:] for k in header if re.fullmatch("TTYPE[0-9]+", k)}
    for name, values in content.items():
        unit, text, ucd = (
            str(header.get(f"{key}{numbers[name]}", "")).strip()
            for key in ("TUNIT", "TCOMM", "TUCD")
        )
        for known in _NO_FITS_UNIT:
            if text.startswith(f"[{known}] "):
                unit, text = known, text.removeprefix(f"[{known}] ")
        table[name] = TableColumn(
            values,
            unit=u.Unit(unit) if unit else None,
            description=text or None,
            meta={"ucd": ucd},
        )
    return table
