"""Plotting functions of the mock Galaxy; they take axes and arrays and return the artists.

Colours are those of Okabe and Ito, which are distinguishable with any colour vision.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.lines import Line2D

__all__ = ["COLOURS", "plot_distribution", "plot_isochrone", "plot_plane", "plot_profile"]

COLOURS = ("#0072B2", "#E69F00", "#D55E00", "#CC79A7", "#009E73", "#56B4E9")
"""One colour per component, in their order."""

_LABEL, _TICK = 10, 9
_SIZE = 1.5  # area of a symbol, points squared


def plot_distribution(
    ax: Axes,
    values: np.ndarray,
    group: np.ndarray,
    *,
    names: Sequence[str],
    edges: np.ndarray,
    title: str,
) -> list[Line2D]:
    """Draw histograms of all stars and of each group, with logarithmic counts.

    values : [star]. group : [star] int, position in ``names``. edges : of the bins.
    """
    drawn = []
    every, _ = np.histogram(values, edges)
    drawn += ax.step(edges, _steps(every), where="post", color="0.3", linewidth=1.8, label="all")
    for i, name in enumerate(names):
        counts, _ = np.histogram(values[group == i], edges)
        drawn += ax.step(
            edges, _steps(counts), where="post", color=COLOURS[i], linewidth=1.2, label=name
        )
    ax.set_yscale("log")
    ax.set_ylim(0.7, 3 * max(every.max(), 1))
    ax.set_xlim(edges[0], edges[-1])
    _words(ax, title, "stars")
    return drawn


def _steps(counts: np.ndarray) -> np.ndarray:
    """Counts for a step line; NaN for empty bins."""
    shown = np.where(counts > 0, counts, np.nan)
    return np.append(shown, shown[-1])


def plot_profile(
    ax: Axes,
    centre: np.ndarray,
    rows: Mapping[int, np.ndarray],
    *,
    names: Sequence[str],
    titles: tuple[str, str],
) -> list[Line2D]:
    """Draw one quantity along another for several groups.

    centre : [bin]. rows : position in ``names`` -> [bin], NaN where unknown. titles : x, y.
    """
    drawn = []
    for i, values in rows.items():
        drawn += ax.plot(
            centre, values, "o-", color=COLOURS[i], markersize=3.5, linewidth=1.2, label=names[i]
        )
    _words(ax, *titles)
    return drawn


def plot_plane(
    ax: Axes,
    x: np.ndarray,
    y: np.ndarray,
    *,
    group: np.ndarray,
    titles: tuple[str, str],
) -> PathCollection:
    """Draw stars in a plane of two quantities, coloured by group, in the order of the rows.

    x, y : [star], in random order, so that no group covers another.
    """
    colour = np.array(COLOURS)[group]
    points = ax.scatter(x, y, _SIZE, c=colour, linewidths=0.0, alpha=0.55, rasterized=True)
    _words(ax, *titles)
    return points


def plot_isochrone(
    ax: Axes, colour: np.ndarray, magnitude: np.ndarray, *, style: str, label: str
) -> list[Line2D]:
    """Draw an isochrone in a colour-magnitude diagram; ``style`` is matplotlib's line style."""
    return ax.plot(colour, magnitude, style, color="black", linewidth=1.0, label=label)


def _words(ax: Axes, x: str, y: str) -> None:
    ax.set_xlabel(x, fontsize=_LABEL)
    ax.set_ylabel(y, fontsize=_LABEL)
    ax.tick_params(direction="in", top=True, right=True, labelsize=_TICK)
