"""Figures and text of ``bayes-ddp bounds``: one star, several instruments, windows."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from bayes_ddp.catalog.fits import write_catalogue
from bayes_ddp.files.outputs import check_replaceable, write_text
from bayes_ddp.inference.bounds.budget import Budget
from bayes_ddp.inference.bounds.star import Bounds
from bayes_ddp.labels import label

__all__ = [
    "achieved_lines",
    "bounds_figures",
    "bounds_lines",
    "check_table",
    "compared_lines",
    "number",
    "window_figures",
    "window_lines",
    "write_table",
]

_WINDOWS = 10


def bounds_figures(found: Bounds) -> dict[str, Any]:
    """What ``--json`` prints of one star."""
    return {
        "bounds": found.as_dict(),
        "conditional": found.as_dict("conditional"),
        "sandwich": found.as_dict("sandwich_sd"),
        "repeats": found.as_dict("repeats_sd"),
        "ratio": dict(zip(found.names, found.marginal / found.conditional, strict=True)),
        "labels": dict(zip(found.names, found.values, strict=True)),
        "covariance": found.covariance.tolist(),
        "unconstrained": found.unconstrained,
        "nuisances": dict(found.nuisances),
        "priors": dict(found.priors),
        "snr": found.snr,
        "instrument": found.instrument,
        "source": found.source,
    }


def bounds_lines(found: Bounds) -> list[str]:
    """The same as text."""
    lines = [
        f"{found.instrument}, S/N {found.snr:g} per median pixel; gradients: {found.source}.",
        "Unknown besides the labels: "
        + ("; ".join(f"{name} ({prior})" for name, prior in found.nuisances) or "nothing")
        + ".",
    ]
    if found.priors:
        given = ", ".join(f"{name} {sd:g}" for name, sd in found.priors.items())
        lines.append(f"Gaussian priors of labels, standard deviation: {given}.")
    lines += [
        "",
        "  label      value      bound  estimator  conditional  bound/conditional  unit",
    ]
    rows = zip(
        found.names,
        found.values,
        found.marginal,
        found.sandwich_sd,
        found.conditional,
        strict=True,
    )
    for name, value, bound, robust, alone in rows:
        lines.append(
            f"  {name:6s} {value:9.{max(label(name).digits - 1, 0)}f} {number(name, bound)} "
            f"{number(name, robust)}   {number(name, alone)}  {bound / alone:17.2f}  "
            f"{label(name).unit}"
        )
    for group in found.unconstrained:
        lines.append(f"No bound: the spectrum does not tell {' and '.join(group)} from anything.")
    return lines


def number(name: str, value: float) -> str:
    """A bound as text of ten characters, with the decimals of its label."""
    return f"{value:10.{label(name).digits}f}" if value < 1e5 else f"{value:10.2e}"


def achieved_lines(found: Bounds, achieved: np.ndarray, fits: int) -> list[str]:
    """The scatter of fits of simulated repeats beside the bound."""
    ratio = achieved / found.marginal
    lines = ["", f"Scatter of {fits} fits of simulated repeats, and its ratio to the bound:"]
    lines += [
        f"  {n:6s} {number(n, a)}  {r:5.2f}"
        for n, a, r in zip(found.names, achieved, ratio, strict=True)
    ]
    known = ratio[np.isfinite(ratio)]
    within = int(np.sum((known < 2) & (known > 0.5)))
    return [*lines, f"{within} of {len(known)} labels are within a factor of two of the bound."]


def compared_lines(figures: Sequence[Mapping[str, Any]]) -> list[str]:
    """Bounds of several designs beside each other, and what the information gains."""
    if len(figures) < 2:
        return []
    heads = [f"{one['instrument']} S/N {one['snr']:g}" for one in figures]
    lines = ["Bounds beside each other, and in brackets the exposure time that the first would"]
    lines += ["need for the same:", "  label   " + "  ".join(f"{head:>24s}" for head in heads)]
    for name in figures[0]["bounds"]:
        first = figures[0]["bounds"][name]
        cells = []
        for one in figures:
            value = one["bounds"].get(name, np.nan)
            cells.append(f"{number(name, value)} ({(first / value) ** 2:8.2f} x)")
        lines.append(f"  {name:6s}  " + "  ".join(f"{cell:>24s}" for cell in cells))
    return lines


def window_figures(spent: Budget) -> dict[str, Any]:
    """Label -> the ten windows with most information: name, share, first and last Å."""
    return {
        name: [[w.name, w.share, w.low, w.high] for w in spent.windows(name, _WINDOWS)]
        for name in spent.bounds.names
    }


def window_lines(spent: Budget) -> list[str]:
    """The same as text, five per label."""
    lines = ["", "Where the information is, the other labels being unknown (share in %):"]
    for name in spent.bounds.names:
        found = spent.windows(name, _WINDOWS)
        words = ", ".join(f"{w.name} {100 * w.share:.0f}" for w in found)
        lines.append(f"  {name:6s} {words}")
    return lines


def check_table(output: Path | None) -> None:
    """Raise ValueError for a name that is no FITS or CSV, OutputError for a file not ours."""
    if output is None:
        return
    if output.suffix.lower() not in (".fits", ".csv"):
        raise ValueError(f"{output}: tables are FITS or CSV. Give a name with .fits or .csv.")
    check_replaceable([output])


def write_table(table: Table, output: Path) -> None:
    """Write a table as FITS or CSV; in CSV a column with several values is several columns."""
    check_table(output)
    if output.suffix.lower() == ".fits":
        write_catalogue(table, output, {})
        return
    heads: list[str] = []
    columns: list[np.ndarray] = []
    for name in table.colnames:
        values = np.asarray(table[name])
        if values.ndim == 1:
            heads.append(name)
            columns.append(values)
        else:
            heads += [f"{name}_{i}" for i in range(1, values.shape[1] + 1)]
            columns += list(values.T)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(zip(*(column.tolist() for column in columns), strict=True))
    write_text(output, text.getvalue())
