"""The picture of a calibration: residuals of magnitude and colours against labels."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from bayes_ddp.commands.pictures import save
from bayes_ddp.galaxy.calibration import Fit
from bayes_ddp.plots.calibration import plot_residuals

__all__ = ["draw_calibration"]

_TITLES = ("$T_\\mathrm{eff}$ [K]", "$\\log g$", "[M/H]")
_SHOWN = ("BP", "RP", "Ks")
_BINS, _FEWEST = 8, 5
_NOISIEST = 0.5  # mag, largest error of a residual that is drawn
_IN_BINS = 0.5  # share of the single component from which a star counts in the bins


def draw_calibration(fit: Fit, path: Path) -> Path:
    """Write the picture: one row for the magnitude and for up to three colours."""
    bands = fit.control.bands
    rows = [0, *(i for i, band in enumerate(bands) if i and band in _SHOWN)]
    figure = Figure(figsize=(10.5, 2.5 * len(rows) + 0.4), layout="constrained")
    axes = figure.subplots(len(rows), 3, sharex="col", sharey="row", squeeze=False)
    core = fit.control.core
    labels = (np.exp(core[:, 0]), core[:, 1], core[:, 2])
    order = np.argsort(-fit.single, kind="stable")  # the others are drawn above
    for number, (line, output) in enumerate(zip(axes, rows, strict=True), 1):
        name = f"$M_{{{bands[0]}}}$" if not output else f"{bands[output]} $-$ {bands[0]}"
        values = np.where(fit.noise[:, output] < _NOISIEST, fit.residual[:, output], np.nan)
        for ax, label, title in zip(line, labels, _TITLES, strict=True):
            points = plot_residuals(
                ax,
                label[order],
                values[order],
                chance=fit.single[order],
                running=_running(label, values, fit.single > _IN_BINS),
                titles=(title if number == len(rows) else "", f"residual of {name}"),
            )
            if ax is not line[0]:
                ax.set_ylabel("")
        known = np.abs(values[(fit.outlier < _IN_BINS) & np.isfinite(values)])
        high = 1.3 * np.quantile(known, 0.98) if len(known) else 1.0
        line[0].set_ylim(-high, high)
    axes[0, 0].invert_xaxis()
    axes[0, 1].invert_xaxis()
    figure.colorbar(points, ax=axes, pad=0.01, label="probability of a single star")
    return save(figure, path)


def _running(
    label: np.ndarray, values: np.ndarray, use: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(centre, median, scatter) in bins of equal width with at least five stars."""
    known = use & np.isfinite(values)
    ends = np.quantile(label[known], (0.005, 0.995))
    edges = np.linspace(ends[0], ends[1], _BINS + 1)
    found = []
    for low, high in pairwise(edges):
        inside = values[known & (label >= low) & (label < high)]
        if len(inside) >= _FEWEST:
            middle = np.median(inside)
            spread = 1.4826 * np.median(np.abs(inside - middle))
            found.append((0.5 * (low + high), middle, spread))
    centre, middle_of, scatter = np.array(found).reshape(-1, 3).T
    return centre, middle_of, scatter
