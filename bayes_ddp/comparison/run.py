"""Comparison of two files: reading, matching, selection, and statistics per label."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np

from bayes_ddp.comparison.columns import column_name, error_name, known_names, prepared
from bayes_ddp.comparison.options import Choice
from bayes_ddp.comparison.report import BinRow, ComparisonRow, ComparisonTable
from bayes_ddp.comparison.statistics import (
    SPREAD_ERROR,
    median_error,
    noise_free_slope,
    slope,
    spread,
)
from bayes_ddp.comparison.tables import Pairs, find_keys, make_pairs, select
from bayes_ddp.labels import LABELS, label
from bayes_ddp.solar import labels_from_xh
from bayes_ddp.tables.match import Match, match_rows
from bayes_ddp.tables.read import Content, read_columns

__all__ = ["bin_rows", "compare", "compare_label"]

FEWEST = 3
"""Smallest number of stars for statistics of a bin."""


def compare(catalogue: Path, other: Path, choice: Choice | None = None) -> ComparisonTable:
    """Offset, scatter, trend and z-scatter of every label that both tables have.

    Parameters
    ----------
    catalogue : a catalogue of ours
    other
        A catalogue of ours, one of DESI's Milky Way Survey, or CSV, ECSV or FITS with labels under
        their usual names, errors as ``<label>_err`` or ``e_<label>``, and an identifier
        (``match_rows`` lists them) or a position. Names are case-insensitive; others are set in
        ``Choice.columns``.

    Raises BadFileError for unreadable files, ValueError if no star or no label is in both.
    """
    choice = choice or Choice()
    ours, theirs = _read(Path(catalogue), Path(other), choice)
    match = _match(ours, theirs, choice, names=(str(catalogue), str(other)))
    theirs = _with_labels(theirs, choice)
    ours = {name: values[match.ours] for name, values in ours.items()}
    theirs = {name: values[match.theirs] for name, values in theirs.items()}
    keys, whose = find_keys(ours, theirs)
    keep, selection = select(ours, theirs, choice, keys=keys, whose=whose)
    if choice.sys:
        ours, theirs = _with_sys(ours, str(catalogue)), _with_sys(theirs)
        selection += "; errors with _SYS"
    pairs = make_pairs(ours, theirs, keep, keys=keys)
    if not pairs:
        raise ValueError(
            f"{other} shares no label with {catalogue}. Name its columns with --columns "
            f"teff=COLUMN. Names that are read: {', '.join(known_names())}. Its columns: "
            f"{', '.join(theirs)}."
        )
    unknown = [key for key in choice.keys if key not in whose]
    if unknown:
        raise ValueError(f"--by {choice.by}: neither table has a column for {unknown}.")
    edges = choice.bin_edges()
    return ComparisonTable(
        rows=tuple(compare_label(name, pair) for name, pair in pairs.items()),
        bins={name: bin_rows(pair, edges) for name, pair in pairs.items()} if edges else {},
        by={key: whose[key] for key in edges},
        pairs=pairs,
        matched_by=match.by,
        matched=len(match.ours),
        ambiguous=match.ambiguous,
        apart=match.apart,
        selected=int(keep.sum()),
        selection=selection,
    )


def _read(catalogue: Path, other: Path, choice: Choice) -> tuple[Content, Content]:
    """Both tables with labels as numbers under the names that are read."""
    ours = prepared(read_columns(catalogue), catalogue, choice.our_columns, option="--our-columns")
    content = read_columns(other, choice.hdu)
    theirs = prepared(content, other, choice.columns, option="--columns", xh=choice.xh or "")
    return ours, theirs


def _match(ours: Content, theirs: Content, choice: Choice, *, names: tuple[str, str]) -> Match:
    """The matched rows of both tables; ValueError if there are none."""
    match = match_rows(
        ours,
        theirs,
        how=choice.match,
        radius=choice.radius,
        names=names,
    )
    if not len(match.ours):
        raise ValueError(
            f"No row of {names[0]} is in {names[1]} (tried {match.by}). Give both the same "
            "identifiers (TARGETID, SOURCE_ID, OBSID, SPECID or the spectrum's file name) or "
            "positions (RA and DEC, deg) with a wider --radius, or name their columns with "
            f"--columns targetid=COLUMN. Columns of {names[1]}: {', '.join(theirs)}."
        )
    return match


def compare_label(name: str, pair: Pairs) -> ComparisonRow:
    """The statistics of one label; NaN if there are too few stars.

    The noise-corrected slope is NaN if z-scatter is three standard errors below 1: their errors
    are then too large or correlated with ours (same spectrum or model), and the correction is
    invalid.
    """
    difference = pair.difference
    stated = pair.theirs_err[np.isfinite(pair.theirs_err)]
    trend = slope(pair.theirs, difference)
    rest = difference - trend.at(pair.theirs)
    free, reliability = noise_free_slope(pair.theirs, pair.theirs_err, pair.ours)
    z_scatter = _z_scatter(pair)
    believable = z_scatter + 3 * SPREAD_ERROR / max(len(difference), 1) ** 0.5 >= 1
    return ComparisonRow(
        label=name,
        number=len(difference),
        offset=_median(difference),
        offset_err=median_error(difference),
        scatter=spread(difference),
        scatter_less_trend=spread(rest) if np.isfinite(trend.value) else np.nan,
        z_scatter=z_scatter,
        trend=trend.value,
        trend_err=trend.error,
        reliability=reliability,
        slope=free.value if believable else np.nan,
        slope_err=free.error if believable else np.nan,
        other_err=_median(stated),
    )


def _with_labels(theirs: Content, choice: Choice) -> Content:
    """The other table with labels computed from its [X/H], and with the assumed errors."""
    columns = dict(theirs)
    if choice.xh:
        columns |= labels_from_xh(columns, scale=choice.scale, pattern=choice.xh.lower())
    count = len(next(iter(columns.values())))
    for name, error in choice.assumed_errors().items():
        column = column_name(columns, label(name))
        if column and error_name(columns, column) is None:
            columns[f"{column}_err"] = np.full(count, error)
    return columns


def _with_sys(content: Content, required: str = "") -> Content:
    """The table with _SYS added to its errors; ValueError if file ``required`` lacks a _SYS."""
    columns = dict(content)
    for row in LABELS:
        name = row.column.lower()
        if f"{name}_sys" in columns and f"{name}_err" in columns:
            columns[f"{name}_err"] = np.hypot(columns[f"{name}_err"], columns[f"{name}_sys"])
        elif required and name in columns:
            raise ValueError(
                f"--sys needs the column {row.column}_SYS; {required} has none: it was written "
                "by an older version. Fit again, or leave --sys out."
            )
    return columns


def bin_rows(pair: Pairs, edges: Mapping[str, tuple[float, ...]]) -> tuple[BinRow, ...]:
    """The non-empty bins in order, the first key outermost; every star is in one bin.

    There are further bins below the lowest edge, above the highest and for unknown keys.
    """
    rows = []
    for ends, inside in _cells(pair, list(edges.items())):
        part = pair.take(inside)
        enough = len(part.ours) >= FEWEST
        rows.append(
            BinRow(
                bin=ends,
                number=len(part.ours),
                offset=_median(part.difference) if enough else np.nan,
                offset_err=median_error(part.difference) if enough else np.nan,
                scatter=spread(part.difference) if enough else np.nan,
                z_scatter=_z_scatter(part) if enough else np.nan,
            )
        )
    return tuple(rows)


def _cells(
    pair: Pairs, edges: list[tuple[str, tuple[float, ...]]]
) -> Iterator[tuple[dict[str, tuple[float, float]], np.ndarray]]:
    """(key -> (low, high), [star] bool) of every bin with stars, keys nested."""
    if not edges:
        yield {}, np.ones(len(pair.ours), bool)
        return
    (key, limits), rest = edges[0], edges[1:]
    values = pair.keys[key]
    ends = (-np.inf, *limits, np.inf)
    bins = [((a, b), (values >= a) & (values < b)) for a, b in pairwise(ends)]
    bins.append(((np.nan, np.nan), ~np.isfinite(values)))
    for limit, inside in bins:
        for further, within in _cells(pair, rest):
            if (inside & within).any():
                yield {key: limit, **further}, inside & within


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else np.nan


def _z_scatter(pair: Pairs) -> float:
    """Scatter in units of both errors in quadrature; a table without errors counts as exact."""
    stated = np.isfinite(pair.theirs_err).any()  # a single missing error leaves its star out
    error = np.hypot(pair.ours_err, pair.theirs_err if stated else 0.0)
    known = error > 0
    return spread(pair.difference[known] / error[known])
