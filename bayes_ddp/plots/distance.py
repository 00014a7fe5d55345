"""The figures of distances. As in ``plots``: given axes, finished numbers, what was drawn."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

__all__ = ["plot_against_parallax", "plot_errors", "plot_hr"]


def plot_errors(
    ax: Axes, ratio: np.ndarray, error: np.ndarray, *, share: np.ndarray
) -> PathCollection:
    """Draw errors of ln d against parallax over error, coloured by the parallax's share.

    ratio, error, share : [star]. The line is the error of the parallax alone.
    """
    points: PathCollection = ax.scatter(
        np.maximum(ratio, 0.1), error, c=share, s=12, cmap="viridis"
    )
    points.set_clim(0, 1)
    known = np.isfinite(ratio)
    high = 1.5 * np.max(ratio[known], initial=2.0)
    line = np.geomspace(min(max(0.5 * np.min(ratio[known], initial=1.0), 1.0), high / 2), high, 50)
    ax.plot(line, 1 / line, color="0.4", linewidth=0.9, label="parallax alone")
    ax.set(xscale="log", yscale="log", xlabel="parallax / error", ylabel=r"$\sigma(\ln d)$")
    return points


def plot_hr(
    ax: Axes, teff: np.ndarray, magnitude: np.ndarray, *, colour: np.ndarray
) -> PathCollection:
    """Draw absolute G against Teff with 16 to 84 % bars.

    teff : [star], K. magnitude : [3 star], quantiles. colour : [star], [Fe/H].
    """
    low, middle, high = magnitude
    ax.errorbar(
        teff,
        middle,
        yerr=np.stack([middle - low, high - middle]),
        fmt="none",
        ecolor="0.75",
        elinewidth=0.7,
        zorder=1,
    )
    points: PathCollection = ax.scatter(teff, middle, c=colour, zorder=2, s=12, cmap="plasma")
    ax.set(xlabel="$T_\\mathrm{eff}$ [K]", ylabel="$M_G$ [mag]")
    ax.invert_xaxis()
    ax.invert_yaxis()
    return points


def plot_against_parallax(
    ax: Axes, parallax: np.ndarray, error: np.ndarray, *, distance: np.ndarray
) -> list[Line2D]:
    """Draw the difference of parallax and posterior in units of its error, against distance.

    parallax, error : [star], mas. distance : [3 star], kpc, quantiles.
    """
    low, middle, high = distance
    away = (parallax - 1 / middle) / error
    wide = np.stack([middle - low, high - middle])
    ax.errorbar(middle, away, xerr=wide, fmt="none", ecolor="0.75", elinewidth=0.7, zorder=1)
    lines = ax.plot(middle, away, ".", color="C0", markersize=5, zorder=2)
    ax.axhline(0, color="0.4", linewidth=0.9)
    for edge in (-2, 2):
        ax.axhline(edge, color="0.6", linewidth=0.7, linestyle="--")
    ax.set(
        xscale="log",
        xlabel="distance [kpc]",
        ylabel="(parallax $-$ 1/distance) / error",
        ylim=(-6, 6),
    )
    for axis in (ax.xaxis.set_major_formatter, ax.xaxis.set_minor_formatter):
        axis("{x:g}")
    ax.xaxis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
    return lines
