"""The figure of a comparison: differences in one label between two catalogues."""

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import Normalize

from bayes_ddp.plots.figures import MARGIN, MODEL, TEXT, TICK, ticks, title

__all__ = ["plot_difference"]


def plot_difference(
    ax: Axes,
    theirs: np.ndarray,
    difference: np.ndarray,
    *,
    name: str,
    colour: np.ndarray,
    norm: Normalize,
    band: np.ndarray | None = None,
    typical: tuple[float, float] = (np.nan, np.nan),
    note: str = "",
) -> PathCollection:
    """Draw the difference of one label between two catalogues against the label of the other one.

    Parameters
    ----------
    theirs, difference : [star], unit of label ``name``; ours minus theirs
    colour : [star], quantity that ``norm`` maps to the colour scale; NaN is grey
    band : [4, window], centre, 16 %, median and 84 % of windows along ``theirs``
    typical : median error of theirs and of the difference, drawn as one error bar if it is known
        and fits into the panel
    note : text in the panel, such as offset and scatter

    Stars beyond 5 half-widths of the central 68 % are triangles at the edge. Returns the points.
    """
    low, high = _height(difference)
    up, down, drawn = difference > high, difference < low, []
    scale = colormaps["viridis"].with_extremes(bad="0.6")
    size, alpha = (22, 0.85) if len(difference) < 500 else (3, 0.4)
    for part, marker in ((~up & ~down, "o"), (up, "^"), (down, "v")):
        drawn.append(
            ax.scatter(
                theirs[part],
                np.clip(difference[part], low, high),
                size,
                c=colour[part],
                marker=marker,
                cmap=scale,
                norm=norm,
                plotnonfinite=True,
                linewidths=0.0,
                alpha=alpha,
                zorder=2,
            )
        )
    ax.axhline(0.0, color="0.35", linewidth=0.8, linestyle=(0, (5, 3)), zorder=1)
    if band is not None:
        ax.fill_between(*band[[0, 1, 3]], color=MODEL, alpha=0.16, linewidth=0, label="16-84 %")
        ax.plot(band[0], band[[1, 3]].T, color=MODEL, linewidth=0.8, zorder=3)
        ax.plot(band[0], band[2], color=MODEL, linewidth=1.6, zorder=3, label="median")
    ax.margins(x=MARGIN)
    ax.set_ylim(low, high + 0.22 * (high - low))  # room for the note above the stars
    _typical(ax, typical)
    ax.text(0.03, 0.965, note, transform=ax.transAxes, va="top", fontsize=TICK, linespacing=1.4)
    ticks(ax)
    ax.set_xlabel(f"other {title(name)}", fontsize=TEXT)
    ax.set_ylabel(f"this − other {title(name)}", fontsize=TEXT)
    return drawn[0]


def _height(difference: np.ndarray) -> tuple[float, float]:
    """Limits of the axis, with zero and all stars except distant outliers."""
    if not len(difference):
        return -1.0, 1.0
    p16, middle, p84 = np.quantile(difference, [0.16, 0.5, 0.84])
    reach = 5 * max(p84 - middle, middle - p16, 1e-6)
    low = min(max(difference.min(), middle - reach), 0.0)
    high = max(min(difference.max(), middle + reach), 0.0)
    room = MARGIN * max(high - low, 1e-6)
    return low - room, high + room


def _typical(ax: Axes, sizes: tuple[float, float]) -> None:
    """Draw the median error bar at the lower left, if it does not fill the panel."""
    spans = np.ptp(ax.get_xlim()), np.ptp(ax.get_ylim())
    if all(0 <= size < 0.2 * span for size, span in zip(sizes, spans, strict=True)):
        ends = ax.get_xlim()[0], ax.get_ylim()[0]
        x, y = (e + w + 0.03 * span for e, w, span in zip(ends, sizes, spans, strict=True))
        ax.errorbar(x, y, sizes[1], sizes[0], color="0.45", elinewidth=0.9, capsize=2, zorder=1)
