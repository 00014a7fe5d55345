"""The result of a comparison as a record, as aligned text and as a JSON object."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from bayes_ddp.comparison.tables import Pairs
from bayes_ddp.labels import label

__all__ = ["BinRow", "ComparisonRow", "ComparisonTable"]


@dataclass(frozen=True)
class ComparisonRow:
    """One label: offset is the median of ours minus theirs, scatters are 1.4826 times the MAD.

    offset_err : standard error of the offset.
    scatter_less_trend : scatter about the line ``trend``.
    z_scatter : scatter in units of both errors added in quadrature.
    trend, trend_err : slope of the difference against their label, per unit of it.
    reliability : 1 - <their error^2> / variance of their label; NaN without their errors.
    slope, slope_err : slope of ours against theirs, corrected for their noise; 1 for equal scales.
    other_err : median error of the other table, NaN if it has none.
    """

    label: str
    number: int
    offset: float
    offset_err: float
    scatter: float
    scatter_less_trend: float
    z_scatter: float
    trend: float
    trend_err: float
    reliability: float
    slope: float
    slope_err: float
    other_err: float

    def sentence(self) -> str:
        """Offset, scatter and number of stars in two lines, for a figure."""
        row = label(self.label)
        digits = row.digits if row.digits > 1 else 0
        numbers = _cells((self.offset, self.offset_err, self.scatter), digits)
        return (
            f"offset {numbers[0]} ± {numbers[1]} {row.unit}, n = {self.number}\n"
            f"scatter {numbers[2]} {row.unit}, {_cell(self.z_scatter, 2)} of the errors"
        )


@dataclass(frozen=True)
class BinRow:
    """One label in one bin; NaN for fewer than three stars.

    bin : key -> (low, high); infinite at the ends, NaN for stars with an unknown key.
    """

    bin: dict[str, tuple[float, float]]
    number: int
    offset: float
    offset_err: float
    scatter: float
    z_scatter: float


@dataclass(frozen=True)
class ComparisonTable:
    """Rows and bins of a comparison, their stars, and how these were matched and selected.

    by : key of the bins -> source column, such as ``their teff``.
    bins : label -> its bins; empty without keys.
    """

    rows: tuple[ComparisonRow, ...]
    bins: dict[str, tuple[BinRow, ...]]
    by: dict[str, str]
    pairs: dict[str, Pairs]
    matched_by: str
    matched: int
    ambiguous: int
    apart: int
    selected: int
    selection: str

    def rows_as_dict(self) -> dict[str, Any]:
        """The content of ``format_table`` for JSON; None for unknown numbers."""
        labels = {}
        for row in self.rows:
            labels[row.label] = {"unit": label(row.label).unit, **_known(row)}
            if self.by:
                labels[row.label]["bins"] = [_known(part) for part in self.bins[row.label]]
        names = ("matched_by", "matched", "ambiguous", "apart", "selected", "selection", "by")
        return {**{name: getattr(self, name) for name in names}, "labels": labels}

    def format_table(self) -> str:
        """Aligned text with offsets, slopes and, if there are keys, bins."""
        lines = [
            f"{self.matched} stars matched by {self.matched_by}, {self.selected} selected: "
            f"{self.selection}"
        ]
        if self.ambiguous:
            lines.append(f"{self.ambiguous} {self._ambiguity()}")
        if self.apart:
            lines.append(f"{self.apart} left out: their TARGETID is that of a star elsewhere.")
        offsets = [
            ["label", "number", "offset", "±", "scatter", "z-scatter", "their error", "unit"]
        ]
        slopes = [["label", "trend", "±", "scatter less trend", "reliability", "slope", "±"]]
        for row in self.rows:
            unit, digits = label(row.label).unit, label(row.label).digits
            cells = _cells((row.offset, row.offset_err, row.scatter), digits)
            ends = [_cell(row.z_scatter, 2), _cell(row.other_err, digits), unit]
            offsets.append([row.label, str(row.number), *cells, *ends])
            cells = [*_cells((row.trend, row.trend_err), 4), _cell(row.scatter_less_trend, digits)]
            ends = [_cell(row.reliability, 2), *_cells((row.slope, row.slope_err), 4)]
            slopes.append([row.label, *cells, *ends])
        lines += _grid(offsets, 1)
        if any(np.isfinite(row.trend) for row in self.rows):
            lines += ["", *_grid(slopes, 1)]
        if any(np.isfinite(row.reliability) and np.isnan(row.slope) for row in self.rows):
            lines.append("No slope where their errors exceed what the label or z-scatter allows.")
        for name, parts in self.bins.items():
            lines += ["", *self._format_bins(name, parts)]
        return "\n".join(lines)

    def _ambiguity(self) -> str:
        if self.matched_by.startswith("position"):
            return "more dropped as not unique: their nearest row is nearer to another star."
        return "of them stand in several rows of the other table: the first was taken."

    def _format_bins(self, name: str, parts: tuple[BinRow, ...]) -> list[str]:
        title = f"{name} [{label(name).unit}] by {' and '.join(self.by.values())}"
        grid = [[*self.by, "number", "offset", "±", "scatter", "z-scatter"]]
        for part in parts:
            ends = [_interval(part.bin[key]) for key in self.by]
            values = (part.offset, part.offset_err, part.scatter)
            cells = [*_cells(values, label(name).digits), _cell(part.z_scatter, 2)]
            grid.append([*ends, str(part.number), *cells])
        return [title, *_grid(grid, len(self.by))]


def _cell(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if np.isfinite(value) else "-"


def _cells(values: tuple[float, ...], digits: int) -> list[str]:
    return [_cell(value, digits) for value in values]


def _grid(rows: list[list[str]], left: int) -> list[str]:
    """Lines of aligned cells; the first ``left`` columns and units are aligned left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i < left or rows[0][i] == "unit" else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _interval(ends: tuple[float, float]) -> str:
    """Text of a bin, such as ``4000 to 4500``, ``< 4000``, ``>= 7500`` or ``unknown``.

    >>> _interval((-2.0, -1.5)), _interval((100.0, float("inf")))
    ('-2 to -1.5', '>= 100')
    """
    low, high = ends
    if np.isnan(low):
        return "unknown"
    if np.isinf(low):
        return f"< {high:g}" if np.isfinite(high) else "all"
    return f"{low:g} to {high:g}" if np.isfinite(high) else f">= {low:g}"


def _known(record: ComparisonRow | BinRow) -> dict[str, Any]:
    """The fields of a row, None for numbers that are not finite."""
    result: dict[str, Any] = {}
    for name in (field.name for field in fields(record)):
        value = getattr(record, name)
        if name == "bin":
            result[name] = {key: [_finite(end) for end in ends] for key, ends in value.items()}
        elif name != "label":
            result[name] = value if isinstance(value, int) else _finite(value)
    return result


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
