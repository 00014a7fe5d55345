"""Plotting functions that take axes (or an empty figure) and arrays and return the artists.

They compute no statistics, save no files and change no global setting of matplotlib. Sizes are for
figures of about 12 inches width that are printed on a page.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from bayes_ddp.labels import label

__all__ = ["fit_axes", "plot_corner", "plot_fit", "plot_recovery", "ticks", "title"]

_DATA, _TRUTH = "0.5", "#1f4e9c"
MODEL = "#c23b22"
"""Colour of models, medians and zero lines."""
TEXT, TICK = 10, 9
"""Sizes of titles and of tick labels."""
_RESIDUAL = 5.0  # sigma, half height of a residual strip
MARGIN = 0.06
"""Margin at each end of an axis, as a fraction of its length."""


def title(name: str) -> str:
    r"""Symbol and unit of a label as an axis title in mathtext.

    >>> title("teff")
    '$T_\\mathrm{eff}$ [K]'
    """
    row = label(name)
    return f"${row.tex}$ [{row.unit}]"


def fit_axes(figure: Figure, number: int) -> list[Axes]:
    """Axes for ``plot_fit``: per arm a panel and, below it, a strip for the residuals."""
    height, width = figure.get_figheight(), figure.get_figwidth()
    outer = figure.add_gridspec(
        number,
        1,
        hspace=0.2,
        left=0.85 / width,
        right=1 - 0.2 / width,
        top=1 - 0.35 / height,
        bottom=0.5 / height,
    )
    axes = []
    for arm in range(number):
        inner = outer[arm].subgridspec(2, 1, height_ratios=[3.0, 1.1], hspace=0.04)
        panel = figure.add_subplot(inner[0])
        axes += [panel, figure.add_subplot(inner[1], sharex=panel)]
    return axes


def plot_fit(
    axes: Sequence[Axes],
    wave: np.ndarray,
    flux: np.ndarray,
    *,
    ivar: np.ndarray,
    model: np.ndarray,
    arms: Sequence[tuple[str, int, int]],
    note: str = "",
) -> list[Line2D]:
    """Draw the spectrum of one star, its best fit and the residuals per arm.

    Parameters
    ----------
    axes : two per arm, panel and strip, from ``fit_axes``
    wave : [pixel], Å vacuum, barycentric
    flux, model : [pixel], flux / pseudo-continuum
    ivar : [pixel], including all terms that the likelihood adds to the variance
        Pixels with 0 are a gap in the data, and the model is pale there.
    arms : (name, first pixel, end pixel, exclusive)
    note : text above the first panel, such as the star and its labels; no mathtext

    Returns data, model and residual line of each arm. Raises ValueError where the number of axes
    is not two an arm.
    """
    if len(axes) != 2 * len(arms):
        raise ValueError(
            f"{len(arms)} arms need {2 * len(arms)} axes, {len(axes)} were given. Use fit_axes."
        )
    good = (ivar > 0) & np.isfinite(flux)
    data, used = np.where(good, flux, np.nan), np.where(good, model, np.nan)
    residual = (data - model) * np.sqrt(np.where(good, ivar, np.nan))
    lines: list[Line2D] = []
    for (name, first, last), panel, strip in zip(arms, axes[::2], axes[1::2], strict=True):
        part = slice(first, last)
        x = wave[part]
        panel.plot(x, model[part], color=MODEL, linewidth=0.6, alpha=0.25)
        lines += panel.step(x, data[part], where="mid", color=_DATA, linewidth=0.9, label="data")
        lines += panel.plot(x, used[part], color=MODEL, linewidth=0.7, label="model")
        lines += strip.step(x, residual[part], where="mid", color=_DATA, linewidth=0.6)
        strip.axhline(0.0, color=MODEL, linewidth=0.8)
        known = good[part] & np.isfinite(model[part])
        _frame(panel, strip, x, flux=flux[part][known], model=model[part][known])
        box = {"color": "white", "pad": 1.5}
        frame = panel.transAxes
        panel.text(0.008, 0.06, name.upper(), transform=frame, fontweight="bold", bbox=box)
    axes[0].legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 0.97),
        borderaxespad=0.2,
        ncols=2,
        frameon=False,
        fontsize=TICK,
    )
    if note:
        axes[0].set_title(note, loc="left", fontsize=TEXT, parse_math=False)
    axes[-1].set_xlabel("wavelength (vacuum) [Å]", fontsize=TEXT)
    return lines


def _frame(
    panel: Axes, strip: Axes, wave: np.ndarray, *, flux: np.ndarray, model: np.ndarray
) -> None:
    """Set limits, ticks and titles of one arm; outlying pixels do not set the limits."""
    if len(flux):
        ends = np.concatenate([np.quantile(flux, [0.002, 0.998]), model])
        room = 2 * MARGIN * max(np.ptp(ends), 0.05)
        panel.set_ylim(ends.min() - room, ends.max() + room)
    panel.set_xlim(wave[0], wave[-1])
    strip.set_ylim(-_RESIDUAL, _RESIDUAL)
    strip.set_yticks([-3, 0, 3])
    panel.set_ylabel("flux / pseudo-\ncontinuum", fontsize=TEXT)
    strip.set_ylabel("residual\n[σ]", fontsize=TEXT)
    panel.tick_params(labelbottom=False)
    for axes in (panel, strip):
        axes.tick_params(direction="in", top=True, right=True, labelsize=TICK)
        axes.yaxis.set_label_coords(-0.036, 0.5)


def plot_corner(
    figure: Figure, draws: np.ndarray, names: Sequence[str], *, truth: np.ndarray | None = None
) -> np.ndarray:
    """Draw all pairs of labels of one star: 68 and 95 % contours, marginals, known true values.

    Parameters
    ----------
    figure
        Empty; the ticks are readable with 1.2 inches per label and 1.2 inches of margin.
    draws : [draw label], equally weighted
    truth : [label]
        NaN if unknown.

    Returns the axes [label label]. Labels that do not vary (held fixed) are left out; raises
    ValueError where fewer than two vary.
    """
    import corner

    draws = np.asarray(draws, float)
    free = [i for i in range(len(names)) if np.ptp(draws[:, i]) > 0]
    if len(free) < 2:
        raise ValueError(
            f"A corner picture needs two labels that vary; of {tuple(names)}, {len(free)} vary. "
            "Fit more labels, or draw a histogram."
        )
    known = np.full(len(names), np.nan) if truth is None else np.asarray(truth, float)
    marks = [float(known[i]) if np.isfinite(known[i]) else None for i in free]
    seen = np.vstack([draws, np.where(np.isfinite(known), known, draws[0])])  # range with truth
    ends = [(seen[:, i].min(), seen[:, i].max()) for i in free]
    corner.corner(
        draws[:, free],
        fig=figure,
        bins=int(np.clip(0.9 * np.sqrt(len(draws)), 12, 30)),  # few draws make ragged contours
        labels=[title(names[i]) for i in free],
        truths=marks,
        truth_color=_TRUTH,
        color="0.15",
        range=[(low - 0.12 * (high - low), high + 0.12 * (high - low)) for low, high in ends],
        levels=(0.68, 0.95),
        smooth=1.0,
        plot_datapoints=False,
        plot_density=False,
        fill_contours=True,
        contourf_kwargs={"colors": ["white", "0.85", "0.6"]},
        contour_kwargs={"linewidths": 0.8},
        hist_kwargs={"linewidth": 0.9},
        label_kwargs={"fontsize": TEXT + 1},
    )
    axes = np.array(figure.axes).reshape(len(free), len(free))
    _arrange_corner(figure, axes)
    return axes


def _arrange_corner(figure: Figure, axes: np.ndarray) -> None:
    """Set margins and titles at fixed distances in inches and few ticks, for any figure size."""
    width, height = figure.get_size_inches()
    figure.subplots_adjust(
        left=1.05 / width,
        bottom=1.05 / height,
        right=1 - 0.1 / width,
        top=1 - 0.1 / height,
        wspace=0.06,
        hspace=0.06,
    )
    panel = axes[-1, 0].get_position()
    for row in range(len(axes)):
        axes[-1, row].xaxis.set_label_coords(0.5, -0.8 / (panel.height * height))
        axes[row, 0].yaxis.set_label_coords(-0.8 / (panel.width * width), 0.5)
        for ax in axes[row, : row + 1]:
            ax.tick_params(labelsize=TEXT, direction="in")
            ax.set_xticks(_innerticks(*ax.get_xlim()))
            if ax is not axes[row, row]:
                ax.set_yticks(_innerticks(*ax.get_ylim()))


def _innerticks(low: float, high: float) -> list[float]:
    """Two or three round values away from the ends, so that tick labels do not overlap."""
    room = 0.12 * (high - low)
    return [t for t in MaxNLocator(3).tick_values(low, high) if low + room < t < high - room]


def plot_recovery(
    axes: Sequence[Axes],
    truth: np.ndarray,
    mean: np.ndarray,
    *,
    sd: np.ndarray,
    published: np.ndarray | None = None,
    names: Sequence[str],
) -> list[ErrorbarContainer]:
    """Draw fitted minus true labels against the true labels, one label on each of ``axes``.

    truth, mean, sd : [star label], units of ``names``; stars with NaN are left out.
    published : [star label] bool, whether the catalogue has the value; symbols of the others,
        which are undetected and biased towards the prior, are open and pale.

    Raises ValueError if there are fewer axes than labels; further axes are hidden.
    """
    if len(axes) < len(names):
        raise ValueError(f"{len(names)} labels need as many axes, {len(axes)} were given.")
    drawn = []
    for i, (name, ax) in enumerate(zip(names, axes, strict=False)):
        known = np.isfinite(truth[:, i]) & np.isfinite(mean[:, i]) & np.isfinite(sd[:, i])
        if published is not None:
            pale = known & ~published[:, i]
            known &= published[:, i]
            ax.plot(
                truth[pale, i],
                (mean - truth)[pale, i],
                "o",
                markerfacecolor="none",
                markeredgecolor="0.75",
                markersize=3.2,
                markeredgewidth=0.7,
                zorder=1,
            )
        offset = (mean - truth)[known, i]
        drawn.append(
            ax.errorbar(
                truth[known, i],
                offset,
                yerr=sd[known, i],
                fmt="o",
                color="0.2",
                markersize=3.2,
                markeredgewidth=0,
                ecolor="0.72",
                elinewidth=0.7,
                zorder=2,
            )
        )
        ticks(ax)
        ax.axhline(0.0, color=MODEL, linewidth=0.9, zorder=1)
        ax.set_xlabel(f"true {title(name)}", fontsize=TEXT)
        ax.set_ylabel(f"fit − true ${label(name).tex}$", fontsize=TEXT)
    for ax in axes[len(names) :]:
        ax.set_visible(False)
    return drawn


def ticks(ax: Axes) -> None:
    """Set few ticks, inside, on all four sides."""
    ax.tick_params(direction="in", top=True, right=True, labelsize=TICK)
    ax.locator_params(nbins=5)
