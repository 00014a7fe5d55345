"""A column of the mock with the source of its values, and the columns that several tables share.

FITS column names are case-insensitive, so the magnitudes of the Legacy Surveys are LS_G, LS_R and
LS_Z, distinct from Gaia's G.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bayes_ddp.mock.draw import Mock
from bayes_ddp.tables.columns import Column

__all__ = [
    "ASTROMETRY",
    "EBV",
    "FIRST_SOURCE",
    "SOURCE_ID",
    "TARGETID",
    "Field",
    "Values",
    "band_column",
    "constant",
    "numbered",
    "seen",
    "true",
]

Values = Callable[[Mock, int], np.ndarray]
"""(stars, number of their first row) -> [star], or [star n] for a type such as ``25f8``."""

_BAND_NAMES = {"Ks": "KS", "g": "LS_G", "r": "LS_R", "z": "LS_Z"}
_FIRST_TARGET = np.int64(39_627_000_000_000_000)
FIRST_SOURCE = np.int64(1_000_000_000_000_000_000)
"""SOURCE_ID of the first row."""


@dataclass(frozen=True)
class Field:
    """One column of a table of the mock, and the function that gives its values."""

    column: Column
    values: Values


def band_column(band: str) -> str:
    """A band's part of a column's name.

    >>> band_column("G"), band_column("g")
    ('G', 'LS_G')
    """
    return _BAND_NAMES.get(band, band)


def seen(name: str) -> Values:
    """Values of a measured quantity."""
    return lambda mock, first: mock.seen[name]


def true(name: str) -> Values:
    """Values of a true quantity."""
    return lambda mock, first: mock.truth[name]


def numbered(first_number: np.int64) -> Values:
    """Whole numbers that count the rows of the file from ``first_number``."""
    return lambda mock, first: first_number + first + np.arange(len(mock))


def constant(value: object) -> Values:
    """The same value in every row."""
    return lambda mock, first: np.full(len(mock), value)


TARGETID = Field(
    Column("TARGETID", "", "i8", description="identifier of the target"), numbered(_FIRST_TARGET)
)
SOURCE_ID = Field(
    Column("SOURCE_ID", "", "i8", description="identifier in the mock's Gaia"),
    numbered(FIRST_SOURCE),
)
EBV = Field(
    Column("EBV", "mag", description="reddening through all of the dust, mapped"), seen("ebv")
)
ASTROMETRY = (
    Field(
        Column("PARALLAX", "mas", description="parallax, without zero-point offset"),
        seen("parallax"),
    ),
    Field(Column("PARALLAX_ERROR", "mas"), seen("astrometric_error")),
    Field(
        Column("PARALLAX_ZERO_POINT", "mas", description="to be subtracted from PARALLAX"),
        constant(0.0),
    ),
    Field(
        Column("PMRA", "mas yr-1", description="proper motion in RA times cos Dec"), seen("pmra")
    ),
    Field(Column("PMRA_ERROR", "mas yr-1"), seen("astrometric_error")),
    Field(Column("PMDEC", "mas yr-1"), seen("pmdec")),
    Field(Column("PMDEC_ERROR", "mas yr-1"), seen("astrometric_error")),
)
"""Measured parallax and proper motion with their errors."""
