"""Robust statistics of differences: spread, error of a median, slope, noise-corrected slope.

Noise in the label on the horizontal axis reduces a slope (attenuation): if theirs is the true
value plus an error e, the slope of ours on theirs is the true one times the reliability

    lambda = 1 - <e^2> / var(theirs).

A difference can therefore decrease with their label although both scales agree.
``noise_free_slope`` divides by lambda. It needs correct errors that are independent of ours, and a
sample without a narrow selection in their label.

Source: Fuller (1987), Measurement Error Models, section 1.2. The median of slopes over far pairs,
where a line starts, is the incomplete method of Theil (1950).
"""

from dataclasses import dataclass

import numpy as np

__all__ = [
    "SPREAD_ERROR",
    "Slope",
    "median_error",
    "noise_free_slope",
    "running",
    "slope",
    "spread",
]

FEWEST = 10
"""Smallest number of stars for a slope and its error."""

SPREAD_ERROR = 1.17
"""Standard error of ``spread`` in units of spread / sqrt(n), for Gaussian values."""

_CLIP = 4.0  # robust sigma; of a Gaussian this takes 6e-5
_SURE = 3.0  # sigma by which their label must vary more than its errors


@dataclass(frozen=True)
class Slope:
    """A slope, its standard error, and the value of the line at ``centre``; NaN if unknown."""

    value: float = np.nan
    error: float = np.nan
    centre: float = np.nan
    level: float = np.nan

    def at(self, x: np.ndarray) -> np.ndarray:
        """The line at ``x``."""
        return self.level + self.value * (x - self.centre)


def spread(values: np.ndarray) -> float:
    """Robust standard deviation, 1.4826 times the median absolute deviation; NaN if empty."""
    if not len(values):
        return np.nan
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def median_error(values: np.ndarray) -> float:
    """Standard error of the median of nearly Gaussian values, sqrt(pi / 2) spread / sqrt(n)."""
    return np.sqrt(np.pi / 2) * spread(values) / np.sqrt(len(values)) if len(values) else np.nan


def slope(x: np.ndarray, y: np.ndarray) -> Slope:
    """Least-squares slope of y on x without 4 sigma outliers, with a sandwich error.

    x, y : [star], finite. NaN for fewer than ten stars or a constant x.
    """
    return _line(x, y, np.zeros(len(x)))[0]


def noise_free_slope(x: np.ndarray, x_err: np.ndarray, y: np.ndarray) -> tuple[Slope, float]:
    """(slope of y on the noise-free x, reliability of x).

    x, y : [star], finite.
    x_err : [star], standard deviation of x; a star without a positive one is left out.

    NaN if the variance of x does not exceed that of its errors by 3 sigma.
    """
    known = x_err > 0
    return _line(x[known], y[known], x_err[known] ** 2)


def _line(x: np.ndarray, y: np.ndarray, noise: np.ndarray) -> tuple[Slope, float]:
    """Slope from the moments cov(x, y) / (var(x) - <noise>), and the reliability of x.

    The error follows from the moment condition dx (dy - b dx) + b noise = 0, so it includes the
    uncertainty of the reliability.
    """
    keep = _near_line(x, y)
    if keep.sum() < FEWEST:
        return Slope(), np.nan
    dx, dy, noise = x[keep] - x[keep].mean(), y[keep] - y[keep].mean(), noise[keep]
    count = len(dx)
    excess = dx**2 - noise
    if excess.mean() <= _SURE * (excess.std() / np.sqrt(count) if noise.any() else 0.0):
        return Slope(), max(0.0, float(excess.mean() / np.mean(dx**2))) if dx.any() else np.nan
    value = float(np.mean(dx * dy) / excess.mean())
    moment = dx * dy - value * excess
    error = float(np.sqrt(np.mean(moment**2) / (count - 2)) / excess.mean())
    level = float(np.mean(y[keep]))
    reliability = float(excess.mean() / np.mean(dx**2))
    return Slope(value, error, float(np.mean(x[keep])), level), reliability


def _near_line(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """[star] bool, within 4 robust sigma of a line through medians, robust against outliers."""
    if len(x) < FEWEST:
        return np.zeros(len(x), bool)
    order, half = np.argsort(x, kind="stable"), len(x) // 2
    low, high = order[:half], order[-half:]
    apart = x[high] > x[low]
    steps = (y[high] - y[low])[apart] / (x[high] - x[low])[apart]
    rest = y - (np.median(steps) if len(steps) else 0.0) * x
    rest = rest - np.median(rest)
    return np.abs(rest) <= max(_CLIP * spread(rest), 1e-12 * np.abs(y).max())


def running(x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """[4, window]: centre, 16 %, median and 84 % of y in half-overlapping windows along x.

    x, y : [star], finite. A window has a tenth of the stars, or a fortieth from 2000 stars on, but
    at least 15. The result is None for fewer than 30 stars.
    """
    count = len(x)
    if count < 30:
        return None
    order, width = np.argsort(x, kind="stable"), max(15, count // (10 if count < 2000 else 40))
    starts = np.unique(np.linspace(0, count - width, 2 * (count // width) + 1).astype(int))
    windows = order[starts[:, None] + np.arange(width)]
    quantiles = np.quantile(y[windows], [0.16, 0.5, 0.84], axis=1)
    return np.stack([np.median(x[windows], axis=1), *quantiles])
