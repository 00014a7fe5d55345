"""The columns of the mock's photometry and of its truth."""

import numpy as np

from bayes_ddp.galaxy.columns import ORBIT_COLUMNS
from bayes_ddp.galaxy.light import BANDS
from bayes_ddp.labels import LABELS
from bayes_ddp.mock.components import COMPONENTS
from bayes_ddp.mock.draw import Mock
from bayes_ddp.mock.fields import (
    ASTROMETRY,
    EBV,
    SOURCE_ID,
    TARGETID,
    Field,
    Values,
    band_column,
    seen,
    true,
)
from bayes_ddp.mock.survey import LIMITS_2MASS
from bayes_ddp.tables.columns import Column

__all__ = ["PHOTOMETRY", "TRUTH"]


def _detected(band: str) -> Values:
    return lambda mock, first: np.isfinite(mock.seen[f"mag_{band}"])


PHOTOMETRY = (
    TARGETID,
    SOURCE_ID,
    Field(Column("RA", "deg", description="right ascension, ICRS"), seen("ra")),
    Field(Column("DEC", "deg", description="declination, ICRS"), seen("dec")),
    *(
        Field(
            Column(
                f"MAG_{band_column(band)}",
                "mag",
                description="NaN where not detected"
                if band in LIMITS_2MASS
                else "measured magnitude",
            ),
            seen(f"mag_{band}"),
        )
        for band in BANDS
    ),
    *(Field(Column(f"MAG_ERR_{band_column(band)}", "mag"), seen(f"err_{band}")) for band in BANDS),
    *(
        Field(
            Column(
                f"DETECTED_{band_column(band)}",
                "",
                "bool",
                description=f"brighter than the {limit} mag of 2MASS",
            ),
            _detected(band),
        )
        for band, limit in LIMITS_2MASS.items()
    ),
    EBV,
    *ASTROMETRY,
)
"""Photometry and astrometry, as measured."""


def _component(mock: Mock, first: int) -> np.ndarray:
    return np.array([part.name for part in COMPONENTS])[mock.truth["component"]]


def _degrees(name: str) -> Values:
    return lambda mock, first: np.degrees(mock.truth[name])


def _axis(name: str, index: int) -> Values:
    return lambda mock, first: mock.truth[name][:, index]


# The mock's files write units as the FITS standard does, and no unit where it has none.
_FITS_UNITS = {"dex": "", "km/s": "km s-1"}

_STAR = (
    Field(
        Column("COMPONENT", "", "S8", description="population the star was drawn from"), _component
    ),
    Field(Column("AGE", "Gyr"), true("age")),
    Field(Column("MASS_INI", "solMass", description="mass at birth"), true("mass_ini")),
    Field(Column("MASS", "solMass", description="mass now"), true("mass")),
    Field(
        Column("LOG_LUM", description="log10 of the luminosity over the Sun's"), true("log_lum")
    ),
    Field(Column("EEP", description="equivalent evolutionary point of MIST"), true("eep")),
    *(
        Field(
            Column(row.column, _FITS_UNITS.get(row.unit, row.unit), description=row.description),
            true(row.name),
        )
        for row in LABELS
    ),
    Field(Column("FEH_EFF", description="metallicity of the isochrone"), true("feh_eff")),
    Field(
        Column("BINARY", "", "bool", description="an unresolved pair; labels are of the primary"),
        lambda mock, first: mock.truth["mass_ratio"] > 0,
    ),
    Field(
        Column("MASS_RATIO", description="companion over primary at birth; 0 if single"),
        true("mass_ratio"),
    ),
    *(
        Field(
            Column(
                f"ABS_{band_column(band)}", "mag", description="absolute magnitude of the primary"
            ),
            true(f"m1_{band}"),
        )
        for band in BANDS
    ),
    *(
        Field(
            Column(
                f"ABS2_{band_column(band)}",
                "mag",
                description="absolute magnitude of the companion, NaN if dark",
            ),
            true(f"m2_{band}"),
        )
        for band in BANDS
    ),
)

_POSITION = (
    Field(Column("RA", "deg"), true("ra")),
    Field(Column("DEC", "deg"), true("dec")),
    Field(Column("L", "deg"), _degrees("lon")),
    Field(Column("B", "deg"), _degrees("lat")),
    Field(Column("DISTANCE", "kpc"), true("distance")),
    Field(Column("PARALLAX", "mas"), true("parallax")),
    Field(Column("PMRA", "mas yr-1"), true("pmra")),
    Field(Column("PMDEC", "mas yr-1"), true("pmdec")),
    Field(Column("VRAD", "km s-1"), true("vrad")),
    Field(Column("R", "kpc", description="cylindrical radius"), _axis("position", 0)),
    Field(
        Column("PHI", "rad", description="0 at the Sun, along its rotation"), _axis("position", 1)
    ),
    Field(Column("Z", "kpc"), _axis("position", 2)),
    Field(Column("V_R", "km s-1"), _axis("velocity", 0)),
    Field(Column("V_PHI", "km s-1"), _axis("velocity", 1)),
    Field(Column("V_Z", "km s-1"), _axis("velocity", 2)),
)

TRUTH = (
    TARGETID,
    *_STAR,
    *_POSITION,
    Field(Column("EBV", "mag", description="reddening up to the star"), true("ebv")),
    *(
        Field(
            Column(
                f"MAG_{band_column(band)}", "mag", description="apparent magnitude of the system"
            ),
            true(f"mag_{band}"),
        )
        for band in BANDS
    ),
    *(Field(column, true(column.name)) for column in ORBIT_COLUMNS),
)
"""True values of each star."""
