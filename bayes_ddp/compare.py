"""Is a catalogue on the scale of another one? Offsets, scatter and z-scatter, label by label.

The other table may be a survey's labels (CSV, ECSV, FITS), labels of reference stars, or a second
catalogue of ours. Rows are matched by the most specific identifier that both tables have, and the
result says which one that was and which cuts were made.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bayes_ddp.catalog import Content, match_rows, read_columns
from bayes_ddp.labels import LABELS, Label

__all__ = ["ComparisonRow", "ComparisonTable", "Pairs", "compare"]

_SNR_OTHER = ("snrg", "sn_g", "snr_g", "sn_b", "snr_b", "snr")
_SNR_OURS = ("sn_g", "snr_b", "snr_g")
_ALSO = {"feh": ("fe_h", "[fe/h]", "m_h"), "teff": ("t_eff",), "logg": ("log_g",)}
_UNKNOWN = -999.0
"""Surveys write -9999 (or less often -999) for an unknown label."""


@dataclass(frozen=True)
class Pairs:
    """One label of the stars that both tables know, each [star]; errors NaN where not given."""

    ours: np.ndarray
    ours_err: np.ndarray
    theirs: np.ndarray
    theirs_err: np.ndarray


@dataclass(frozen=True)
class ComparisonRow:
    """One label: offset is ours minus theirs, scatters are 1.4826 times the median deviation.

    ``z_scatter`` is the scatter in units of both errors together; ``other_err`` the median error
    of the other table, NaN where it has none.
    """

    label: str
    unit: str
    digits: int
    number: int
    offset: float
    scatter: float
    z_scatter: float
    other_err: float


@dataclass(frozen=True)
class ComparisonTable:
    """Rows, the stars behind them, and how these were matched and selected."""

    rows: tuple[ComparisonRow, ...]
    pairs: dict[str, Pairs]
    matched_by: str
    matched: int
    selected: int
    selection: str

    def rows_as_dict(self) -> dict[str, Any]:
        """What ``format_table`` shows, ready for JSON: None where a number is not known."""
        labels = {}
        for row in self.rows:
            figures = {n: getattr(row, n) for n in ("offset", "scatter", "z_scatter", "other_err")}
            known = {n: float(v) if np.isfinite(v) else None for n, v in figures.items()}
            labels[row.label] = {"unit": row.unit, "number": row.number, **known}
        told = {n: getattr(self, n) for n in ("matched_by", "matched", "selected", "selection")}
        return {**told, "labels": labels}

    def format_table(self) -> str:
        """Plain text, one line per label, columns aligned."""
        lines = [
            f"{self.matched} stars matched by {self.matched_by}, {self.selected} selected: "
            f"{self.selection}",
            f"{'label':<8}{'number':>7}{'offset':>10}{'scatter':>10}{'z-scatter':>11}"
            f"{'their error':>13}  unit",
        ]
        for row in self.rows:
            values = (
                (row.offset, 10),
                (row.scatter, 10),
                (row.z_scatter, 11),
                (row.other_err, 13),
            )
            digits = (row.digits, row.digits, 2, row.digits)
            cells = [
                f"{value:>{width}.{places}f}" if np.isfinite(value) else f"{'-':>{width}}"
                for (value, width), places in zip(values, digits, strict=True)
            ]
            lines.append(f"{row.label:<8}{row.number:>7}{''.join(cells)}  {row.unit}".rstrip())
        return "\n".join(lines)


def compare(
    catalogue_path: Path,
    other_path: Path,
    *,
    snr_min: float | None = 20.0,
    teff_min: float | None = 4000.0,
    teff_max: float | None = 7500.0,
) -> ComparisonTable:
    """Offset, robust scatter and z-scatter of every label that both tables have.

    Parameters
    ----------
    catalogue_path : a catalogue of ours
    other_path
        CSV, ECSV or FITS with labels under their usual names, errors as ``<label>_err``, and
        identifiers: TARGETID (with SURVEY, PROGRAM, HEALPIX where it has them), OBSID, or the
        file name as ``filename`` or ``SRCFILE``. Upper and lower case are the same.
    snr_min
        Stars above this signal-to-noise ratio in g or blue: the other table's, or else ours.
    teff_min, teff_max : K
        Stars whose *other* Teff lies between these. No limit where it is None or its column does
        not exist; ``selection`` says so.

    Raises BadFileError for unreadable files, ValueError where no star or no label is in both.
    """
    ours, theirs = read_columns(Path(catalogue_path)), read_columns(Path(other_path))
    mine, other, matched_by = match_rows(ours, theirs)
    if not len(mine):
        raise ValueError(
            f"No row of {catalogue_path} is in {other_path} (tried {matched_by}). Give both the "
            "same identifiers: TARGETID, OBSID or the spectrum's file name."
        )
    ours = {name: values[mine] for name, values in ours.items()}
    theirs = {name: values[other] for name, values in theirs.items()}
    keep, selection = _select(ours, theirs, snr_min, (teff_min, teff_max))
    pairs = _pairs(ours, theirs, keep)
    if not pairs:
        raise ValueError(
            f"{other_path} shares no label with {catalogue_path}; its columns are "
            f"{sorted(theirs)}. Name them teff, logg, feh, ..."
        )
    return ComparisonTable(
        rows=tuple(_row(row, pairs[row.name]) for row in LABELS if row.name in pairs),
        pairs=pairs,
        matched_by=matched_by,
        matched=len(mine),
        selected=int(keep.sum()),
        selection=selection,
    )


def _pairs(ours: Content, theirs: Content, keep: np.ndarray) -> dict[str, Pairs]:
    """Labels that both tables have, of the rows in ``keep`` where both know them."""
    pairs = {}
    for row in LABELS:
        pair = _pair(ours, theirs, row)
        if pair is not None:
            known = keep & np.isfinite(pair.ours) & np.isfinite(pair.theirs)
            pairs[row.name] = Pairs(*(getattr(pair, n)[known] for n in Pairs.__annotations__))
    return pairs


def _pair(ours: Content, theirs: Content, row: Label) -> Pairs | None:
    """One label from both tables; None where one lacks it."""
    mine, other = row.column.lower(), _column_name(theirs, row)
    if mine not in ours or other is None:
        return None
    ours_err, theirs_err = _numbers(ours, f"{mine}_err"), _numbers(theirs, f"{other}_err")
    return Pairs(
        ours=_numbers(ours, mine),
        ours_err=np.where(ours_err >= 0, ours_err, np.nan),
        theirs=_numbers(theirs, other),
        theirs_err=np.where(theirs_err > 0, theirs_err, np.nan),
    )


def _column_name(content: Content, row: Label) -> str | None:
    names = (row.name, row.column.lower(), *_ALSO.get(row.name, ()))
    return next((name for name in names if name in content), None)


def _numbers(content: Content, name: str) -> np.ndarray:
    """[row] float64; NaN where the column is missing, is no number, or says 'unknown'."""
    count = len(next(iter(content.values())))
    if name not in content or content[name].dtype.kind not in "iuf":
        return np.full(count, np.nan)
    values = content[name].astype(float)
    return np.where(values > _UNKNOWN, values, np.nan)


def _select(
    ours: Content, theirs: Content, snr_min: float | None, teff: tuple[float | None, float | None]
) -> tuple[np.ndarray, str]:
    """([row] bool, what was cut) of the matched rows."""
    keep = np.ones(len(next(iter(ours.values()))), bool)
    told = []
    if snr_min is not None:
        places = [(theirs, n, "their") for n in _SNR_OTHER] + [(ours, n, "our") for n in _SNR_OURS]
        found = next(((c, n, whose) for c, n, whose in places if n in c), None)
        if found is None:
            told.append("no S/N column, so no S/N cut")
        else:
            content, name, whose = found
            keep &= _numbers(content, name) > snr_min
            told.append(f"{whose} {name} > {snr_min:g}")
    teff_name = _column_name(theirs, LABELS[0])
    if teff_name is None:
        return keep, "; ".join([*told, "no Teff of theirs, so no Teff cut"])
    for limit, sign in zip(teff, (1, -1), strict=True):
        if limit is not None:
            keep &= sign * (_numbers(theirs, teff_name) - limit) > 0
            told.append(f"their {teff_name} {'>' if sign > 0 else '<'} {limit:g} K")
    return keep, ", ".join(told) or "all"


def _spread(values: np.ndarray) -> float:
    """Robust standard deviation, 1.4826 times the median absolute deviation; NaN of nothing."""
    if not len(values):
        return np.nan
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def _row(row: Label, pair: Pairs) -> ComparisonRow:
    difference = pair.ours - pair.theirs
    stated = pair.theirs_err[np.isfinite(pair.theirs_err)]
    # a table without any errors is taken as exact; a single missing error leaves its star out
    other = pair.theirs_err if len(stated) else np.zeros(len(difference))
    error = np.hypot(pair.ours_err, other)
    known = error > 0
    return ComparisonRow(
        label=row.name,
        unit=row.unit,
        digits=row.digits,
        number=len(difference),
        offset=float(np.median(difference)) if len(difference) else np.nan,
        scatter=_spread(difference),
        z_scatter=_spread(difference[known] / error[known]),
        other_err=float(np.median(stated)) if len(stated) else np.nan,
    )
