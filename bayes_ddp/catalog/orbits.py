"""Orbit posteriors to a table: 16, 50 and 84 % of every quantity, one row per star."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from astropy.table import Table

from bayes_ddp.catalog.columns import COLUMNS, table_column
from bayes_ddp.galaxy.columns import ORBIT_COLUMNS, PLACE_COLUMNS, UNBOUND_COLUMNS
from bayes_ddp.galaxy.records import OrbitPosterior
from bayes_ddp.tables.columns import Column

__all__ = ["LEVELS", "add_identifiers", "add_quantiles", "orbit_table"]

LEVELS = (0.16, 0.5, 0.84)
_TEXTS = ("16 % quantile", "median", "84 % quantile")


def orbit_table(
    posterior: OrbitPosterior,
    identifiers: Mapping[str, np.ndarray],
    masses: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> Table:
    """The table of orbits.

    identifiers : column -> [star], put first. masses : name of a selection -> (posterior mass,
    its Monte Carlo error), as columns ``P_NAME`` and ``P_NAME_ERR``.
    """
    table = Table()
    add_identifiers(table, identifiers)
    for column in (*ORBIT_COLUMNS, *PLACE_COLUMNS):
        add_quantiles(table, column, posterior.quantiles(column.name.lower(), LEVELS))
    for column in UNBOUND_COLUMNS:
        table[column.name] = table_column(
            replace(column, ucd="stat.probability"), posterior.diagnostics[column.name.lower()]
        )
    for name, (mass, error) in masses.items():
        upper = f"P_{name.upper()}"
        text = "share of the posterior in this selection"
        table[upper] = table_column(Column(upper, ucd="stat.probability", description=text), mass)
        table[f"{upper}_ERR"] = table_column(
            Column(f"{upper}_ERR", ucd="stat.error", description="its Monte Carlo error"), error
        )
    with np.errstate(invalid="ignore", divide="ignore"):
        size = posterior.ess
    table["ORBIT_ESS"] = table_column(
        Column("ORBIT_ESS", ucd="meta.number", description="effective number of draws"), size
    )
    warn = next(column for column in COLUMNS if column.name == "WARN")
    table["WARN"] = table_column(warn, posterior.warn)
    return table


def add_identifiers(table: Table, identifiers: Mapping[str, np.ndarray]) -> None:
    """Add columns [star] of identifiers to a table."""
    known = {column.name: column for column in COLUMNS}
    for name, values in identifiers.items():
        column = known.get(name, Column(name, "", description="identifier"))
        table[name] = table_column(replace(column, dtype=values.dtype.str[1:]), values)


def add_quantiles(table: Table, column: Column, values: np.ndarray) -> None:
    """Add the columns ``_P16``, ``_P50`` and ``_P84`` of one quantity; values : [level star]."""
    for level, text, row in zip(LEVELS, _TEXTS, values, strict=True):
        name = f"{column.name}_P{round(100 * level)}"
        shown = f"{text} of the {column.description}"[:68]
        table[name] = table_column(
            replace(column, name=name, ucd="stat.value", description=shown), row
        )
