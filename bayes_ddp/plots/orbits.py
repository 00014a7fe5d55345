"""The figures of orbits. As in ``plots``: given axes, finished numbers, what was drawn.

Densities are sums over draws, so that their spread includes the errors of the stars.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection, QuadMesh
from matplotlib.colors import LogNorm
from matplotlib.lines import Line2D

__all__ = ["plot_cloud", "plot_members", "plot_places", "plot_track"]

_LABEL, _TICK = 10, 9
MEMBER = "#D55E00"
"""Colour of the stars of a selection."""


def plot_cloud(
    ax: Axes,
    x: np.ndarray,
    y: np.ndarray,
    *,
    weight: np.ndarray,
    edges: tuple[np.ndarray, np.ndarray],
    titles: tuple[str, str],
) -> QuadMesh:
    """Draw the density of stars in a plane, each spread over its draws.

    x, y, weight : [draw star], weights that sum to 1 for each star. edges : of the bins.
    """
    known = np.isfinite(x) & np.isfinite(y) & np.isfinite(weight)
    counts, _, _ = np.histogram2d(x[known], y[known], edges, weights=weight[known])
    least = 0.02  # of a star in a bin
    shown = np.ma.masked_less(counts.T, least)
    top = max(float(counts.max()), 10 * least)
    mesh = ax.pcolormesh(*edges, shown, norm=LogNorm(least, top), cmap="Greys", rasterized=True)
    _words(ax, *titles)
    return mesh


def plot_members(ax: Axes, x: np.ndarray, y: np.ndarray, *, label: str) -> list[Line2D]:
    """Draw the stars of a selection with their 68 % intervals.

    x, y : [3 star], quantiles 16, 50 and 84 %. Beyond 60 stars only the median of the intervals
    is drawn, as one cross in the upper right corner.
    """
    drawn = list(
        ax.plot(
            x[1], y[1], "o", color=MEMBER, markersize=2.6, alpha=0.8, linestyle="", label=label
        )
    )
    if x.shape[1] <= 60:
        errors = [np.abs(np.stack([v[1] - v[0], v[2] - v[1]])) for v in (x, y)]
        ax.errorbar(
            x[1], y[1], errors[1], errors[0], fmt="none", ecolor=MEMBER, elinewidth=0.5, alpha=0.6
        )
    else:
        _typical(ax, x, y)
    return drawn


def plot_places(
    ax: Axes, x: np.ndarray, z: np.ndarray, *, colour: np.ndarray | None, sun: float
) -> PathCollection:
    """Draw where stars are in the x-z plane, with 68 % intervals.

    x, z : [3 star], kpc. colour : [star], larger values over smaller ones. sun : kpc, place of
    the Sun on x. The 1 % of stars that are farthest out may be beyond the frame, and beyond 400
    stars only the median of the intervals is drawn.
    """
    few = x.shape[1] <= 400
    for centre, other, along in ((x, z, True), (z, x, False)) if few else ():
        low = np.stack([centre[0], other[1]], axis=1)
        high = np.stack([centre[2], other[1]], axis=1)
        lines = np.stack([low, high], axis=1)
        ax.add_collection(
            LineCollection(
                list(lines if along else lines[:, :, ::-1]),
                colors="0.75",
                linewidths=0.5,
                zorder=1,
            )
        )
    style: dict[str, Any] = (
        {"color": "0.35"} if colour is None else {"c": colour, "cmap": "viridis"}
    )
    order = np.arange(x.shape[1]) if colour is None else np.argsort(np.nan_to_num(colour))
    if colour is not None:
        style["c"] = colour[order]
    points = ax.scatter(x[1][order], z[1][order], 5 if few else 3, linewidths=0, zorder=2, **style)
    for values, limits in ((x[1], ax.set_xlim), (z[1], ax.set_ylim)):
        known = np.append(values[np.isfinite(values)], [sun if limits == ax.set_xlim else 0.0])
        low, high = np.quantile(known, [0.005, 0.995])
        limits(low - 0.1 * (high - low) - 0.1, high + 0.1 * (high - low) + 0.1)
    if not few:
        _typical(ax, x, z)
    ax.plot(sun, 0, marker="*", color=MEMBER, markersize=9, zorder=3)
    _words(ax, "$X$ [kpc]", "$Z$ [kpc]")
    return points


def plot_track(
    ax: Axes,
    x: np.ndarray,
    y: np.ndarray,
    *,
    titles: tuple[str, str],
    best: int = 0,
) -> list[Line2D]:
    """Draw paths of one star for several draws, one of them strong, and where the star is now.

    x, y : [draw time]. best : the draw that is drawn strong.
    """
    drawn: list[Line2D] = []
    for i in range(len(x)):
        if i != best:
            drawn += ax.plot(x[i], y[i], color="0.7", linewidth=0.35, alpha=0.5, zorder=1)
    drawn += ax.plot(x[best], y[best], color="#0072B2", linewidth=0.9, zorder=2)
    ax.plot(x[:, 0], y[:, 0], ".", color=MEMBER, markersize=3, zorder=3)
    _words(ax, *titles)
    return drawn


def _typical(ax: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """The median of the intervals as a cross in the upper right corner."""
    if not x.shape[1]:
        return
    errors = [
        np.nanmedian(np.abs(np.stack([v[1] - v[0], v[2] - v[1]])), axis=1, keepdims=True)
        for v in (x, y)
    ]
    left, right = ax.get_xlim()
    low, high = ax.get_ylim()
    place = (
        right - 1.3 * errors[0].max() - 0.02 * (right - left),
        high - 1.3 * errors[1].max() - 0.02 * (high - low),
    )
    ax.errorbar(*place, errors[1], errors[0], fmt="none", ecolor=MEMBER, elinewidth=1.0)


def _words(ax: Axes, x: str, y: str) -> None:
    ax.set_xlabel(x, fontsize=_LABEL)
    ax.set_ylabel(y, fontsize=_LABEL)
    ax.tick_params(direction="in", top=True, right=True, labelsize=_TICK)
