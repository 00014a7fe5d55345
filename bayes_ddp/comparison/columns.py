"""Columns of a table with labels, their errors and S/N are found by their usual names.

``prepared`` converts a table to numbers, with NaN for unknown values. Impossible numbers count as
unknown: in dex and km/s an absolute value of at least 99 (99, 99.9, 99.99, 999, -999, -9999 ...),
Teff below 1000 K, errors below zero, errors of Teff of at least 9999 K, and S/N of at most -99.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from bayes_ddp.files.errors import BadFileError
from bayes_ddp.labels import ELEMENTS, LABELS, Label
from bayes_ddp.tables.match import IDENTIFIERS, POSITIONS
from bayes_ddp.tables.names import find_name, missing_column, parse_columns
from bayes_ddp.tables.read import Content
from bayes_ddp.tables.values import real, truth, whole

__all__ = ["SNR_OTHER", "SNR_OURS", "column_name", "error_name", "known_names", "prepared"]

SNR_OTHER = ("snrg", "sn_g", "snr_g", "sn_b", "snr_b", "snr_med", "snr")
SNR_OURS = ("sn_g", "snr_b", "snr_g", "snr")

_ALSO = {
    "feh": ("fe_h", "[fe/h]", "__fe_h_", "m_h", "[m/h]", "__m_h_"),
    "teff": ("t_eff",),
    "logg": ("log_g", "log(g)", "log_g_"),
    "vmic": ("vmicro",),
}
_FILLER = 99.0
_COOLEST = 1000.0  # K
_LARGEST_ERROR = 9999.0  # K


def names_of(row: Label) -> tuple[str, ...]:
    """Lower-case names of a label's column, best first, including those of VizieR."""
    element = row.name.removesuffix("_fe")
    abundance = (f"[{element}/fe]", f"__{element}_fe_") if element in ELEMENTS else ()
    return (row.name, row.column.lower(), *_ALSO.get(row.name, ()), *abundance)


def column_name(content: Mapping[str, object], row: Label) -> str | None:
    """The column of a label, under any of its usual names; None if there is none."""
    return next((name for name in names_of(row) if name in content), None)


def error_name(content: Mapping[str, object], column: str) -> str | None:
    """The column with the errors of another one; None if there is none."""
    names = (
        *(f"{column}_{ending}" for ending in ("err", "error", "unc", "sigma")),
        *(f"{start}_{column}" for start in ("e", "err", "sigma")),
        *((f"e{column}",) if column.startswith("_") else ()),  # e__Fe_H_ of __Fe_H_
    )
    return next((name for name in names if name in content), None)


def known_names() -> tuple[str, ...]:
    """All names that a column map may contain: labels, errors, S/N, identifiers and positions."""
    labels = [row.name for row in LABELS]
    more = ("ra", "dec", "pmra", "pmdec", "ref_epoch", "success", "rvs_warn", "warn")
    return (*labels, *(f"{name}_err" for name in labels), "snr", *IDENTIFIERS, *more)


def prepared(
    content: Content, path: Path, columns: Iterable[str] = (), *, option: str, xh: str = ""
) -> Content:
    """The table with labels, errors, S/N and [X/H] as numbers, NaN if unknown; flags as bool.

    Parameters
    ----------
    content
        Table from ``read_columns``.
    path
        Name of the file in messages.
    columns
        Pairs such as ``teff=pred_Teff``: name that is read, and name of the column.
    option
        Name of the option of these pairs in messages.
    xh
        Pattern of the names of columns of [X/H].

    Raises BadFileError for text in such a column, with column, row and cell, and for a missing
    column of the map; ValueError for an invalid map.
    """
    table = _mapped(content, path, parse_columns(columns, known_names(), option=option))
    result = dict(table)
    for row in LABELS:
        column = column_name(table, row)
        error = error_name(table, column) if column else None
        if column:
            values = _numbers(table[column], f"{path}: column {column}")
            result[column] = _label(values, row)
        if error:
            values = _numbers(table[error], f"{path}: column {error}")
            result[error] = _error(values, row)
    for name in (*SNR_OTHER, *SNR_OURS):
        if name in table:
            values = _numbers(table[name], f"{path}: column {name}")
            result[name] = np.where(values > -_FILLER, values, np.nan)
    for element in ("fe", *ELEMENTS) if xh else ():
        name = xh.lower().format(element=element)
        if name in table:
            values = _numbers(table[name], f"{path}: column {name}")
            result[name] = np.where(np.abs(values) < _FILLER, values, np.nan)
    if "success" in table:
        result["success"] = truth(table["success"], f"{path}: column success")
    for name in ("rvs_warn", "warn"):
        if name in table:
            result[name] = whole(table[name], f"{path}: column {name}", unknown=-1)
    return result


def _numbers(values: np.ndarray, label: str) -> np.ndarray:
    """[row] float64; BadFileError for a column with several values in a row."""
    if values.ndim != 1:
        raise BadFileError(
            f"{label} has {values[:1].size} values in each row, and one is compared. Name another "
            "column with --columns."
        )
    return real(values, label)


def _label(values: np.ndarray, row: Label) -> np.ndarray:
    good = values >= _COOLEST if row.unit == "K" else np.abs(values) < _FILLER
    return np.where(good, values, np.nan)


def _error(values: np.ndarray, row: Label) -> np.ndarray:
    largest = _LARGEST_ERROR if row.unit == "K" else _FILLER
    return np.where((values >= 0) & (values < largest), values, np.nan)


def _mapped(content: Content, path: Path, columns: Mapping[str, str]) -> Content:
    """The table with the mapped columns under the names that are read.

    A mapped label uses the errors of its own column, not those of another column of that label.
    """
    found = dict(content)
    drop: set[str] = set()
    more: Content = {}
    for name, column in columns.items():
        source = find_name(column, content)
        if source is None:
            raise missing_column(path, column, content, known=known_names())
        more[name] = content[source]
        row = next((row for row in LABELS if row.name == name), None)
        if row is not None:
            drop |= {n for n in names_of(row) if n in content}
            drop |= {e for n in names_of(row) if (e := error_name(content, n))}
            error = error_name(content, source)
            if error and f"{name}_err" not in columns:
                more[f"{name}_err"] = content[error]
        elif name == "snr":
            drop |= {*SNR_OTHER, *SNR_OURS}
        elif name in ("ra", "dec"):
            drop |= set(POSITIONS)
    return {name: values for name, values in found.items() if name not in drop} | more
