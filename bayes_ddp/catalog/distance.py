"""Distance posteriors to a table: one row per star, 16, 50 and 84 % of every quantity."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from astropy.table import Table

from bayes_ddp.catalog.columns import COLUMNS, table_column
from bayes_ddp.catalog.orbits import LEVELS, add_identifiers, add_quantiles
from bayes_ddp.galaxy.records import DistancePosterior
from bayes_ddp.labels import LABELS
from bayes_ddp.tables.columns import Column

__all__ = ["DISTANCE_COLUMNS", "distance_table", "dominated_by"]

_QUANTITIES = (
    ("dist", Column("DIST", "kpc", description="distance")),
    ("ebv", Column("EBV_STAR", "mag", description="E(B-V) in front of the star, scale of SFD")),
    ("m_g", Column("M_G", "mag", description="absolute magnitude in Gaia G, primary")),
    ("m_ks", Column("M_KS", "mag", description="absolute magnitude in 2MASS Ks, primary")),
    ("mass", Column("MASS", "solMass", description="present mass, primary")),
    ("age", Column("AGE", "Gyr", description="age, NaN where not constrained")),
)
"""Quantity of the record -> its columns ``_P16``, ``_P50`` and ``_P84``."""

DISTANCE_COLUMNS = (
    Column("LNDIST_ERR", ucd="stat.stdev;pos.distance", description="standard deviation of ln d"),
    Column(
        "DIST_BY",
        dtype="U8",
        ucd="meta.code",
        description="what dominates the distance: parallax, labels or prior",
    ),
    Column(
        "F_PARALLAX",
        ucd="stat.value",
        description="share of the information on 1/d that is the parallax's",
    ),
    Column(
        "P_BINARY",
        ucd="stat.probability",
        description="probability of a companion that gives light",
    ),
    Column("PHOT_CHI2", ucd="stat.fit.chi2", description="chi2 of the magnitudes, mean of draws"),
    Column("PHOT_BANDS", "", "i4", ucd="meta.number", description="magnitudes that were used"),
    Column("DIST_ESS", ucd="meta.number", description="effective number of proposals"),
    Column(
        "LABEL_PRIOR",
        ucd="stat.value",
        description="largest share of the prior in the precision of Teff, log g, [M/H]",
    ),
)
"""Single columns of the table."""

_PARALLAX_DOMINATES = 0.5


def dominated_by(posterior: DistancePosterior) -> np.ndarray:
    """[star], ``parallax``, ``labels`` or ``prior``; empty without a distance."""
    share, bands = posterior.diagnostics["f_parallax"], posterior.diagnostics["bands"]
    return np.where(
        np.isnan(share),
        "",
        np.where(share > _PARALLAX_DOMINATES, "parallax", np.where(bands > 0, "labels", "prior")),
    )


def distance_table(
    posterior: DistancePosterior,
    identifiers: Mapping[str, np.ndarray],
    warn: np.ndarray | None = None,
) -> Table:
    """The table of distances.

    identifiers : column -> [star], put first. warn : [star], bits of the fit, which are added.

    Labels with the suffixes ``_DIST`` and ``_DIST_ERR`` are those of the joint posterior.
    """
    table = Table()
    add_identifiers(table, identifiers)
    shown = dict(posterior.quantities)
    known = posterior.diagnostics["age_known"] == 1
    shown["age"] = np.where(known, shown["age"], np.nan)
    whole = replace(posterior, quantities=shown)
    for name, column in _QUANTITIES:
        add_quantiles(table, column, whole.quantiles(name, LEVELS))
    values = _single(posterior)
    for column in DISTANCE_COLUMNS:
        table[column.name] = table_column(column, values[column.name])
    for i, name in enumerate(posterior.label_names):
        _add_label(table, name, posterior.labels[..., i])
    bits = next(column for column in COLUMNS if column.name == "WARN")
    more = np.zeros(len(posterior), np.int64) if warn is None else np.asarray(warn, np.int64)
    table["WARN"] = table_column(bits, posterior.warn | more)
    return table


def _single(posterior: DistancePosterior) -> dict[str, np.ndarray]:
    figures = posterior.diagnostics
    missing = np.isnan(posterior["dist"]).any(axis=0)
    values = {
        "LNDIST_ERR": np.std(np.log(posterior["dist"]), axis=0),
        "F_PARALLAX": figures["f_parallax"],
        "P_BINARY": figures["p_binary"],
        "PHOT_CHI2": np.where(figures["bands"] > 0, figures["chi2"], np.nan),
        "DIST_ESS": figures["ess"],
        "LABEL_PRIOR": figures["prior_share"],
    }
    found = {name: np.where(missing, np.nan, value) for name, value in values.items()}
    found["DIST_BY"] = np.where(missing, "", dominated_by(posterior))
    found["PHOT_BANDS"] = figures["bands"].astype(np.int32)
    return found


def _add_label(table: Table, name: str, draws: np.ndarray) -> None:
    row = next((label for label in LABELS if label.name == name), None)
    upper, unit = (row.column, row.unit) if row else (name.upper(), "")
    text = row.description if row else name
    for end, ucd, values, what in (
        ("_DIST", "stat.mean", draws.mean(axis=0), f"{text} with photometry, parallax"),
        ("_DIST_ERR", "stat.stdev", draws.std(axis=0), "its standard deviation"),
    ):
        column = Column(upper + end, unit, ucd=ucd, description=what[:68])
        table[column.name] = table_column(column, values)
