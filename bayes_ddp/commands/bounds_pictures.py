"""The pictures of ``bayes-ddp bounds``: Fig. 9, bounds along S/N and resolution, information."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from bayes_ddp.commands.pictures import check_picture, save
from bayes_ddp.inference.bounds.budget import Budget
from bayes_ddp.inference.bounds.planner import Curve
from bayes_ddp.inference.bounds.star import Bounds
from bayes_ddp.plots.bounds import plot_bounds, plot_curves, plot_information, plot_ratio

__all__ = ["PICTURES", "check_bounds_pictures", "draw_bounds", "draw_budget", "draw_curve"]

PICTURES = ("bounds.png", "snr.png", "resolution.png", "information.png")


def check_bounds_pictures(folder: Path) -> None:
    """Raise OutputError where a picture would replace a file that is not ours."""
    for name in PICTURES:
        check_picture(folder / name)


def draw_bounds(found: Bounds, series: Mapping[str, np.ndarray], *, note: str, to: Path) -> Path:
    """Fig. 9: the bound of every label, what is achieved, and the ratio of both.

    series : name -> [label], standard deviations to be compared with the bound.
    """
    figure = Figure(figsize=(9.5, 6.8), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[2.2, 1.0])
    plot_bounds(upper, found.names, {"Cramér-Rao bound": found.marginal, **series})
    plot_ratio(lower, found.names, series, bound=found.marginal)
    upper.tick_params(axis="x", labelbottom=False)
    upper.set_title(note, loc="left", fontsize=10, parse_math=False)
    return save(figure, to)


def draw_curve(curve: Curve, *, xlabel: str, note: str, target: float | None, to: Path) -> Path:
    """Bounds along S/N or resolution, one line per label."""
    figure = Figure(figsize=(8.5, 5.6), layout="constrained")
    ax = figure.subplots()
    curves = {name: curve.marginal[:, i] for i, name in enumerate(curve.names)}
    plot_curves(ax, curve.x, curves, target=target, xlabel=xlabel)
    ax.set_title(note, loc="left", fontsize=10, parse_math=False)
    return save(figure, to)


def draw_budget(found: Budget, *, note: str, to: Path) -> Path:
    """Cumulative information along wavelength, a strip per label."""
    names = found.bounds.names
    figure = Figure(figsize=(11, 0.95 * len(names) + 0.8), layout="constrained")
    axes = np.atleast_1d(figure.subplots(len(names), 1, sharex=True))
    step = np.gradient(found.wave)
    usual = np.where(step > 0, step, np.median(step))
    for i, (ax, name) in enumerate(zip(axes, names, strict=True)):
        row = np.nan_to_num(found.density[i])
        plot_information(ax, found.wave, np.cumsum(row), name=name, density=row / usual)
    axes[-1].set_xlabel("rest wavelength (vacuum) [Å]", fontsize=10)
    figure.supylabel("cumulative share of the information; grey: share per Å", fontsize=10)
    axes[0].set_title(note, loc="left", fontsize=10, parse_math=False)
    return save(figure, to)
