"""Figures of label densities: training labels of a model, and draws of its default prior."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.lines import Line2D

from bayes_ddp.plots.figures import title

__all__ = ["plot_label_density", "plot_label_plane"]

_TRAINED, _PRIOR = "0.55", "#1f4e9c"
_TICK = 9


def plot_label_plane(
    ax: Axes, trained: np.ndarray, draws: np.ndarray, *, names: tuple[str, str]
) -> list[PathCollection]:
    """Draw two labels of training spectra and of prior draws, both [row 2], as points.

    names : of the two labels; Teff and log g rise to the left and downwards, as in a
    Hertzsprung-Russell diagram.
    """
    points = [
        ax.scatter(
            draws[:, 0], draws[:, 1], 3, color=_PRIOR, alpha=0.35, linewidths=0, label="prior"
        ),
        ax.scatter(
            trained[:, 0], trained[:, 1], 4, color=_TRAINED, linewidths=0, label="training spectra"
        ),
    ]
    ax.set_xlabel(title(names[0]))
    ax.set_ylabel(title(names[1]))
    ax.invert_xaxis()
    ax.invert_yaxis()
    ax.tick_params(direction="in", top=True, right=True, labelsize=_TICK)
    return points


def plot_label_density(
    ax: Axes,
    trained: np.ndarray,
    draws: np.ndarray,
    *,
    name: str,
    ends: tuple[float, float],
) -> Line2D:
    """Draw histograms of one label in training spectra and in prior draws, both [row].

    ends : trained range, marked. Returns the line of the prior.
    """
    room = 0.08 * (ends[1] - ends[0])
    edges = np.linspace(ends[0] - room, ends[1] + room, 37)
    if len(trained):
        ax.hist(trained, edges.tolist(), density=True, color=_TRAINED, alpha=0.7)
    height, _ = np.histogram(draws, edges, density=True)
    (line,) = ax.plot(0.5 * (edges[1:] + edges[:-1]), height, color=_PRIOR, linewidth=1.4)
    for end in ends:
        ax.axvline(end, color="0.2", linewidth=0.8, linestyle=(0, (4, 3)))
    ax.set_xlabel(title(name))
    ax.set_yticks([])
    ax.set_xlim(edges[0], edges[-1])
    ax.tick_params(direction="in", top=True, labelsize=_TICK)
    return line
