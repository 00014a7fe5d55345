"""Figures of a calibration. As in ``plots``: given axes, finished numbers, what was drawn."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection

__all__ = ["plot_residuals"]


def plot_residuals(
    ax: Axes,
    label: np.ndarray,
    residual: np.ndarray,
    *,
    chance: np.ndarray,
    running: tuple[np.ndarray, np.ndarray, np.ndarray],
    titles: tuple[str, str],
) -> PathCollection:
    """Draw residuals against a label, coloured by the probability of a single star.

    label, residual, chance : [star]. running : centre, median and scatter in bins of the label.
    titles : of both axes.
    """
    points: PathCollection = ax.scatter(
        label, residual, c=chance, s=4, cmap="viridis", linewidths=0, rasterized=True
    )
    points.set_clim(0, 1)
    centre, middle, scatter = running
    ax.axhline(0.0, color="0.5", linewidth=0.8)
    ax.errorbar(
        centre, middle, yerr=scatter, fmt="o", color="#D55E00", markersize=3.5, elinewidth=1.0
    )
    ax.set_xlabel(titles[0])
    ax.set_ylabel(titles[1])
    ax.tick_params(direction="in", top=True, right=True)
    return points
