"""A correction learned from residuals: data minus model of labelled stars, and their errors.

The residual spectrum of star i at its catalogue labels is

    r_i = g(labels_i) + J_i d_i + noise,

with a smooth function ``g`` of the labels, which is the correction, and the errors ``d_i`` of the
labels, of velocity and of LSF width, whose prior covariance is given. ``g`` is written in the
principal directions of the residuals, one Gaussian process per direction with common length
scales, whose amplitudes and noise come from the evidence. ``g`` and ``d`` are found in turn, each
given the other. Directions, noise per pixel and the weight of odd stars follow the residuals.

Sources: Rasmussen & Williams (2006), Eqs. 5.8 and 5.12; errors in variables as latent labels,
Zhang et al. (DD-Payne on DESI EDR), section 3.
"""

import warnings
from dataclasses import dataclass, replace

import numpy as np

from bayes_ddp.emulator.correction import CORE, Block, abundance_excess
from bayes_ddp.emulator.gaussian_process import Kernel, Process, choose_kernel
from bayes_ddp.labels import LabelSpace

__all__ = ["Learned", "Stars", "learn"]

ITERATIONS = 3
_LAGS = 40
_ODD = 4.0
"""Mean square residual of a star, over the median of all stars, above which it is odd and loses
more weight than its residuals would ask for."""


@dataclass(frozen=True)
class Stars:
    """Labelled stars as the correction takes them.

    labels : [star label]. precision : [star parameter parameter], inverse covariance of the
    errors of labels, velocity and LSF width. residual : [star pixel], normalised flux, NaN where
    unknown. jacobian : [star parameter pixel]. usual : [element 2], as in ``Block``.
    """

    labels: np.ndarray
    precision: np.ndarray
    residual: np.ndarray
    jacobian: np.ndarray
    usual: np.ndarray

    def take(self, rows: np.ndarray) -> "Stars":
        """Some of the stars."""
        names = ("labels", "precision", "residual", "jacobian")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})


@dataclass(frozen=True)
class Learned:
    """A correction at the resolution of the data.

    rows : [rank pixel]. row_variance : [rank pixel], of their errors, infinite where no star has
    pixels. leftover : [pixel], rms of what the correction does not explain, NaN where unknown.
    spread : [rank], mean variance of the coefficients at the stars' labels, each without the star.
    shift : [star parameter], estimated errors of labels, velocity and LSF width.
    kernel : length scales and slope that were chosen.
    """

    block: Block
    rows: np.ndarray
    row_variance: np.ndarray
    leftover: np.ndarray
    spread: np.ndarray
    shift: np.ndarray
    kernel: Kernel


def learn(
    stars: Stars,
    space: LabelSpace,
    elements: tuple[str, ...],
    *,
    rank: int,
    kernel: Kernel | None = None,
) -> Learned:
    """The correction of the stars' residuals.

    Parameters
    ----------
    stars
        At least ``rank`` of them.
    space
        Order of the labels.
    elements
        Labels of abundances that act on the correction.
    rank
        Number of directions.
    kernel
        Length scales and slope; without them they are chosen by the evidence.
    """
    known = np.isfinite(stars.residual)
    seen = known.any(axis=0)
    residual = np.where(known, stars.residual, 0.0)
    labels, lines = stars.labels, np.zeros_like(residual)
    smooth = np.zeros_like(residual)
    variance = np.full(len(seen), np.median(residual[known] ** 2))
    odd = np.ones(len(residual))
    shift = np.zeros(stars.jacobian.shape[:2])
    chosen = kernel
    for _ in range(ITERATIONS):
        # a pixel that a star lacks takes no part: it is set to what the others predict
        cleaned = np.where(known, residual - lines, smooth)
        rows, size = _directions(cleaned / np.sqrt(odd)[:, None], variance, rank)
        coefficient = (cleaned / variance) @ rows.T
        coordinates, excess = _coordinates(labels, space, elements, usual=stars.usual)
        if kernel is None:
            chosen = choose_kernel(coordinates, excess, coefficient, noise=odd, start=chosen)
        assert chosen is not None
        process = Process(chosen, coordinates, excess, noise=odd).condition(coefficient)
        smooth = process.at_stars() @ rows
        shift = _shifts(stars, known, residual - smooth, weight=1 / (variance * odd[:, None]))
        lines = np.einsum("nd,ndp->np", shift, stars.jacobian)
        labels = stars.labels + shift[:, : space.size]
        left = np.where(known, residual - lines - process.left_out() @ rows, np.nan)
        variance = _robust_variance(left / np.sqrt(odd)[:, None], seen)
        odd = _odd_stars(left, variance)
    assert chosen is not None
    rest = np.where(seen, np.sqrt(variance), np.nan)
    row_variance = np.where(seen, variance, np.inf) / size[:, None] ** 2
    block, spread = process.block(stars.usual), process.spread()
    return Learned(block, rows, row_variance, rest, spread, shift, chosen)


def _coordinates(
    labels: np.ndarray, space: LabelSpace, elements: tuple[str, ...], *, usual: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """([star core] of 5040 K / Teff, log g, [Fe/H]; [star element] abundance excess)."""
    coordinates = labels[:, [space.index(name) for name in CORE]].astype(float)
    coordinates[:, 0] = 5040.0 / coordinates[:, 0]
    own = labels[:, [space.index(name) for name in elements]]
    return coordinates, abundance_excess(own, coordinates[:, CORE.index("feh")], usual)


def _directions(
    residual: np.ndarray, variance: np.ndarray, rank: int
) -> tuple[np.ndarray, np.ndarray]:
    """([rank pixel] principal rows of residuals over their noise, [rank] singular values).

    In units of flux: a coefficient of 1 is one noise unit along the row.
    """
    root = np.sqrt(variance)
    scaled = residual / root
    value, vector = np.linalg.eigh(scaled @ scaled.T)
    size = np.sqrt(np.maximum(value[::-1][:rank], 1e-12))
    rows = (vector[:, ::-1][:, :rank].T @ scaled) / size[:, None]
    return rows * root, size


def _shifts(
    stars: Stars, known: np.ndarray, residual: np.ndarray, *, weight: np.ndarray
) -> np.ndarray:
    """[star parameter] most probable errors of labels, velocity and LSF width.

    Residuals are correlated between pixels, so that their information is divided by the number of
    pixels that vary together.
    """
    weight = np.where(known, weight, 0.0)
    weight /= _pixels_together(np.where(known, residual, 0.0) * np.sqrt(weight))
    found = np.zeros(stars.jacobian.shape[:2])
    for i, jacobian in enumerate(stars.jacobian):  # one by one: all together take much memory
        loaded = jacobian * weight[i]
        normal = loaded @ jacobian.T + stars.precision[i]
        found[i] = np.linalg.solve(normal, loaded @ residual[i])
    return found


def _pixels_together(scaled: np.ndarray) -> float:
    """1 + 2 sum of the positive autocorrelations of residuals [star pixel] in units of noise."""
    whole = np.mean(scaled**2)
    lags = range(1, min(_LAGS, scaled.shape[1] - 1))
    shares = [np.mean(scaled[:, lag:] * scaled[:, :-lag]) / whole for lag in lags]
    return float(1 + 2 * np.sum(np.maximum(shares, 0.0)))


def _robust_variance(left: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """[pixel] (1.4826 median of absolute values)^2; the median over pixels where no star is."""
    found = np.full(left.shape[1], np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found[seen] = (1.4826 * np.nanmedian(np.abs(left[:, seen]), axis=0)) ** 2
    usual = float(np.nanmedian(found))
    return np.where(np.isfinite(found), np.maximum(found, 1e-3 * usual), usual)


def _odd_stars(left: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """[star] variance of each star's residuals relative to a usual star; at least 1."""
    square = np.nanmean(np.minimum(left**2 / variance, 25.0), axis=1)
    ratio = np.nan_to_num(square / np.nanmedian(square), nan=1.0)
    usual = np.clip(ratio, 1.0, _ODD)
    relative: np.ndarray = usual * np.maximum(ratio / _ODD, 1.0) ** 2
    return relative
