"""Figures of precision: bounds per label (Fig. 9 of the paper), along S/N, R and wavelength."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from bayes_ddp.labels import label
from bayes_ddp.plots.figures import MODEL, TEXT, TICK, title

__all__ = ["plot_bounds", "plot_curves", "plot_information", "plot_ratio"]

_BOUND, _ACHIEVED = "#1f4e9c", MODEL
_HUNDRED = {"teff": 100.0}
"""Labels that are drawn in units of this."""
_COLOURS = ("#1f4e9c", "#c23b22", "#3a7d44", "#8a5a00", "#6a3d9a", "#00808a", "#555555")
_STYLES = ("-", "--", ":")


def _short(name: str) -> str:
    row = label(name)
    unit = " [100 K]" if name in _HUNDRED else f" [{row.unit}]" if row.unit != "dex" else ""
    return f"${row.tex}${unit}"


def plot_bounds(ax: Axes, names: Sequence[str], series: Mapping[str, np.ndarray]) -> list[Line2D]:
    """Standard deviation of each label, logarithmic: one marker per label and series.

    series : name in the legend -> [label], in units of the labels. The first is the bound.
    """
    scale = np.array([_HUNDRED.get(name, 1.0) for name in names])
    lines = []
    for i, (text, values) in enumerate(series.items()):
        lines += ax.plot(
            range(len(names)),
            np.asarray(values) / scale,
            marker="os^D"[i % 4],
            markersize=6,
            color=_COLOURS[i % len(_COLOURS)],
            markerfacecolor="white" if i else _COLOURS[0],
            linewidth=0.9,
            label=text,
        )
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    _frame(ax, names)
    ax.set_ylabel("standard deviation [dex or as labelled]", fontsize=TEXT)
    ax.legend(frameon=False, fontsize=TICK)
    return lines


def plot_ratio(
    ax: Axes, names: Sequence[str], series: Mapping[str, np.ndarray], *, bound: np.ndarray
) -> list[Line2D]:
    """Each series over the bound, with a line at one and at two."""
    lines = []
    for i, (text, values) in enumerate(series.items(), start=1):
        lines += ax.plot(
            range(len(names)),
            np.asarray(values) / bound,
            marker="os^D"[i % 4],
            markersize=6,
            color=_COLOURS[i % len(_COLOURS)],
            markerfacecolor="white",
            linewidth=0.9,
            label=text,
        )
    for level, style in ((1.0, "-"), (2.0, ":")):
        ax.axhline(level, color="0.6", linewidth=0.8, linestyle=style, zorder=0)
    _frame(ax, names)
    largest = max((np.nanmax(v / bound) for v in series.values()), default=2.0)
    ax.set_ylim(0, max(2.2, 1.1 * float(largest)))
    ax.set_ylabel("ratio to the bound", fontsize=TEXT)
    return lines


def _frame(ax: Axes, names: Sequence[str]) -> None:
    ax.set_xticks(range(len(names)), [_short(name) for name in names], rotation=45, ha="right")
    ax.tick_params(labelsize=TICK)
    ax.set_xlim(-0.5, len(names) - 0.5)
    ax.grid(axis="x", color="0.92", linewidth=0.6)


def plot_curves(
    ax: Axes,
    x: np.ndarray,
    curves: Mapping[str, np.ndarray],
    *,
    target: float | None = None,
    xlabel: str,
) -> list[Line2D]:
    """Bounds of labels along S/N or resolution, both axes logarithmic; [point] each.

    target : dex, drawn as a line.
    """
    lines = []
    for i, (name, values) in enumerate(curves.items()):
        lines += ax.plot(
            x,
            np.asarray(values) / _HUNDRED.get(name, 1.0),
            color=_COLOURS[i % len(_COLOURS)],
            linestyle=_STYLES[i // len(_COLOURS) % len(_STYLES)],
            linewidth=1.2,
            label=_short(name),
        )
    if target is not None:
        ax.axhline(target, color="0.5", linewidth=0.8, linestyle=":")
    ax.set(xscale="log", yscale="log")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    ax.set_xlabel(xlabel, fontsize=TEXT)
    ax.set_ylabel("bound [dex or as labelled]", fontsize=TEXT)
    ax.tick_params(labelsize=TICK)
    ax.legend(frameon=False, fontsize=TICK, ncols=1, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return lines


def plot_information(
    ax: Axes, wave: np.ndarray, cumulative: np.ndarray, *, name: str, density: np.ndarray
) -> list[Line2D]:
    """Cumulative share of the information on one label, and where it comes from.

    wave : [pixel], Å, ascending. density : [pixel], share per Å, drawn below in grey up to its
    largest value. cumulative : [pixel].
    """
    largest = float(np.nanmax(density)) or 1.0
    ax.fill_between(wave, density / largest, color="0.75", linewidth=0, step="mid")
    lines = ax.plot(wave, cumulative, color=_BOUND, linewidth=1.2)
    ax.set_ylim(0, 1.03)
    ax.set_xlim(wave[0], wave[-1])
    ax.text(0.01, 0.82, title(name).split(" [")[0], transform=ax.transAxes, fontsize=TEXT)
    ax.tick_params(labelsize=TICK)
    return lines
