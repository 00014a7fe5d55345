"""The catalogue is written and read as one FITS binary table with a self-describing header.

Units, UCDs and descriptions are plain cards, the header describes every warning bit, and the same
table gives the same bytes.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table

from bayes_ddp.catalog.columns import column_of, table_column
from bayes_ddp.files.errors import BadFileError
from bayes_ddp.files.fits import open_fits
from bayes_ddp.files.outputs import write_fits
from bayes_ddp.flags import describe
from bayes_ddp.tables.escape import check_column_name, escape_cards, to_fits, unescaped
from bayes_ddp.tables.fits import (
    add_checksums,
    card_value,
    column_cards,
    read_column_cards,
)

__all__ = ["EXTENSION", "read_catalogue", "write_catalogue"]

EXTENSION = "CATALOGUE"

# Cards that define the storage of the table. The others belong to the catalogue.
_STRUCTURE = re.compile(
    "XTENSION|BITPIX|NAXIS[0-9]*|PCOUNT|GCOUNT|TFIELDS|EXTNAME|CHECKSUM|DATASUM|CONTINUE|ESCAPE[0-9]+|"
    "(TTYPE|TFORM|TUNIT|TDIM|TCOMM|TUCD|TZERO|TSCAL|TNULL|TDISP)[0-9]+"
)


def write_catalogue(table: Table, path: Path, provenance: Mapping[str, Any]) -> None:
    """Write a catalogue as FITS; the same table gives the same bytes.

    Parameters
    ----------
    table
        From ``make_catalogue``, or stacked from several.
    provenance : FITS keyword -> text or number
        Versions, emulator and its hash, seed, CALSCALE: everything needed to reproduce the file.

    Raises ValueError for an invalid FITS keyword or column name and for masked values; OutputError
    if a file that is not ours has that name.
    """
    if table.has_masked_columns:
        masked = [name for name in table.colnames if hasattr(table[name], "mask")]
        raise ValueError(f"Columns {masked} are masked: fill them, with NaN where not known.")
    for name in table.colnames:
        check_column_name(name)
    hdu = fits.BinTableHDU(_records(table), name=EXTENSION)
    for key, text in column_cards(map(column_of, table.itercols())).items():
        hdu.header[key] = text
    texts = {column.name: np.asarray(column) for column in table.itercols()}
    for key, card in escape_cards(texts).items():
        hdu.header[key] = card
    warnings = {f"WARNB{bit:02d}": f"{name} {text}" for name, bit, text in describe()}
    for key, value in {**table.meta, **provenance, **warnings}.items():
        if not re.fullmatch(r"[A-Z0-9_-]{1,8}", key):
            raise ValueError(f"'{key}' is no FITS keyword: take at most 8 of A-Z, 0-9, - and _.")
        hdu.header[key] = card_value(value)
    hdus = fits.HDUList([fits.PrimaryHDU(), hdu])
    add_checksums(hdus)
    write_fits(path, hdus)


def _records(table: Table) -> np.ndarray:
    """The table as a structured array, with text as escaped ASCII."""
    content = {column.name: to_fits(np.asarray(column)) for column in table.itercols()}
    kinds = [(name, values.dtype, values.shape[1:]) for name, values in content.items()]
    records = np.empty(len(table), kinds)
    for name, values in content.items():
        records[name] = values
    return records


def read_catalogue(path: Path) -> Table:
    """A catalogue as an Astropy table with units, descriptions, UCDs and header.

    UCDs are in ``column.meta["ucd"]``. A catalogue from which rows were selected with Astropy,
    which copies the checksum, is read with an InputWarning. Raises BadFileError for damaged files
    and for files without a catalogue.
    """
    with open_fits(path, edited=True) as file:
        if EXTENSION not in file:
            raise BadFileError(
                f"{path} has no extension {EXTENSION}; it has {[n for n in file.names if n]}. "
                "Give a catalogue that run or fit wrote."
            )
        header = file.header(EXTENSION)
        content = unescaped(header, file.table(EXTENSION))
    table = Table(meta={k: v for k, v in header.items() if not _STRUCTURE.fullmatch(k)})
    for name, column in read_column_cards(header, content).items():
        table[name] = table_column(column, content[name])
    return table
