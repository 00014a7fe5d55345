"""Column cards, header values and checksums of the FITS tables of this package.

Units, descriptions and UCDs are the cards TUNITn, TCOMMn and TUCDn. Checksums have a fixed date,
so that the same table gives the same bytes.
"""

import re
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from astropy.io import fits

from bayes_ddp.files.fits import safe_card
from bayes_ddp.files.outputs import EPOCH
from bayes_ddp.tables.columns import Column

__all__ = ["add_checksums", "card_value", "column_cards", "read_column_cards"]

# FITS does not have these units, and readers warn about an unknown TUNIT. They are written in
# brackets before the description.
_NO_FITS_UNIT = ("dex",)

_WIDTH = 68  # characters of text on one card


def column_cards(columns: Iterable[Column]) -> dict[str, str]:
    """Keyword -> text of the column cards of a table with these columns, in their order.

    An empty unit, description or UCD has no card.

    >>> column_cards([Column("LOGG", "dex", description="gravity"), Column("AGE", "Gyr")])
    {'TCOMM1': '[dex] gravity', 'TUNIT2': 'Gyr'}
    """
    cards: dict[str, str] = {}
    for number, column in enumerate(columns, 1):
        unit, description = column.unit, column.description
        if unit in _NO_FITS_UNIT:
            unit, description = "", f"[{unit}] {description}"
        texts = {"TUNIT": unit, "TCOMM": description, "TUCD": column.ucd}
        cards |= {f"{key}{number}": safe_card(text) for key, text in texts.items() if text}
    return cards


def read_column_cards(
    header: Mapping[str, Any], content: Mapping[str, np.ndarray]
) -> dict[str, Column]:
    """Name -> column record of a table, the inverse of ``column_cards``.

    header : keyword -> value. content : name -> values, from which the dtype is taken.
    """
    numbers = {str(header[k]).strip(): k[5:] for k in header if re.fullmatch("TTYPE[0-9]+", k)}
    columns = {}
    for name, values in content.items():
        unit, description, ucd = (
            str(header.get(f"{key}{numbers[name]}", "")).strip()
            for key in ("TUNIT", "TCOMM", "TUCD")
        )
        for known in _NO_FITS_UNIT:
            first, _, rest = description.partition(" ")
            if first == f"[{known}]":
                unit, description = known, rest
        dtype = values.dtype.str[1:]
        columns[name] = Column(name, unit, dtype, ucd=ucd, description=description)
    return columns


def card_value(value: Any) -> bool | int | float | str:
    """The value in a form that a FITS header can store.

    Text longer than one card continues on the next (CONTINUE). Characters beyond ASCII become
    escapes, so that different texts stay different.
    """
    if isinstance(value, bool | int) or (isinstance(value, float) and np.isfinite(value)):
        return value
    text = str(value).encode("ascii", "backslashreplace").decode("ascii")
    return " ".join(safe_card(line) for line in textwrap.wrap(text, _WIDTH))


def add_checksums(hdus: Iterable[fits.PrimaryHDU | fits.BinTableHDU]) -> None:
    """Set CHECKSUM and DATASUM in the headers of finished HDUs, with a fixed date."""
    for hdu in hdus:
        hdu.add_checksum(when=EPOCH)
