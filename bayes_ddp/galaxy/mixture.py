"""A mixture of stars, pairs and outliers with one intrinsic covariance and known noise per star.

Residuals of star i are r_i = v_i + shift + noise, v_i ~ N(0, S), noise ~ N(0, N_i). S is the
covariance of maximum likelihood, without the noise, by expectation maximisation (Bovy, Hogg &
Roweis 2011, Eqs. 19-26). Unknown residuals leave the sums.
"""

from dataclasses import dataclass, replace

import numpy as np

from bayes_ddp.galaxy.companions import EDGES, RATIOS, shares

__all__ = ["BRIGHTER", "REDDER", "Mixture", "Parts", "expect", "maximise"]

BRIGHTER = 2.5 * np.log10(1 + np.array(RATIOS) ** 5)
"""mag, by which a companion of each mass ratio brightens a dwarf; L grows with mass^5 (?)."""

_FLUX = np.array(RATIOS) ** 5
REDDER = _FLUX / (1 + _FLUX) * (1 - np.array(RATIOS)) / 0.05
"""Effect of a companion on colours, relative: its share of the light times how much redder it is,
which is in proportion to 1 less the mass ratio."""

_OUTLIER = (1.0, 0.3)  # mag, scatter of outliers in magnitude and in colours
_SHIFT_SD = 0.05  # mag, prior of the shift of colours by a companion
_COUNTS = 10.0  # stars that the prior of the shares is worth
_FRACTION = 0.45
_COUNTED = (EDGES[-1] - EDGES[0]) / 0.9  # share of companions above the lowest mass ratio
_LEAST = (0.01, 0.002)  # mag, prior of the intrinsic scatter in magnitude and in colours
PER_MAG = 0.2 * np.log(10.0)


@dataclass(frozen=True)
class Mixture:
    """Parameters. scatter : [output output], S. shift : [ratio output]. fraction : of dwarfs that
    have a companion of any mass ratio. outliers : share of all stars.
    """

    scatter: np.ndarray
    shift: np.ndarray
    fraction: float
    outliers: float

    @classmethod
    def first(cls, outputs: int) -> "Mixture":
        """Where the iteration starts: a wide scatter without covariances."""
        sd = np.full(outputs, 0.08)
        sd[0] = 0.4
        shift = np.zeros((len(RATIOS), outputs))
        shift[:, 0] = -BRIGHTER
        return cls(np.diag(sd**2), shift, _FRACTION, 0.03)


@dataclass(frozen=True)
class Parts:
    """Shares of the components for each star. kinds : [star 1 + ratio], single and pairs; their
    sum is 1 minus the share of outliers. inverse : [star output output], of S + N.
    """

    kinds: np.ndarray
    inverse: np.ndarray

    @property
    def inlier(self) -> np.ndarray:
        """[star], probability of no outlier."""
        result: np.ndarray = self.kinds.sum(axis=1)
        return result


def _shifts(mixture: Mixture) -> np.ndarray:
    """[1 + ratio, output], residuals of each kind; a magnitude is seen through its parallax."""
    shift = mixture.shift.copy()
    shift[:, 0] = np.expm1(PER_MAG * shift[:, 0]) / PER_MAG
    return np.concatenate([np.zeros((1, shift.shape[1])), shift])


def _precision(total: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(inverse of the known part, 0 elsewhere; ln of its determinant)."""
    both = known[:, :, None] & known[:, None, :]
    filled = np.where(both, total, 0.0) + np.eye(known.shape[1]) * ~known[:, :, None]
    size = 2 * np.log(np.diagonal(np.linalg.cholesky(filled), axis1=1, axis2=2)).sum(axis=1)
    return np.where(both, np.linalg.inv(filled), 0.0), size


def expect(
    mixture: Mixture,
    residual: np.ndarray,
    noise: np.ndarray,
    *,
    known: np.ndarray,
    dwarf: np.ndarray,
) -> Parts:
    """Shares of the components.

    residual : [star output]. noise : [star output output]. known : [star output] bool. dwarf :
    [star] bool, whether a companion counts.
    """
    residual = np.where(known, residual, 0.0)
    inverse, size = _precision(mixture.scatter + noise, known)
    away = residual[:, None] - np.where(known[:, None], _shifts(mixture), 0.0)
    chi2 = np.einsum("nki,nij,nkj->nk", away, inverse, away)
    prior = np.zeros((len(residual), 1 + len(RATIOS)))
    prior[:, 0] = 1.0
    prior[dwarf] = shares(mixture.fraction)
    with np.errstate(divide="ignore"):
        log = np.log(prior * (1 - mixture.outliers)) - 0.5 * (chi2 + size[:, None])
    sd = np.full(residual.shape[1], _OUTLIER[1])
    sd[0] = _OUTLIER[0]
    wide, large = _precision(mixture.scatter + noise + np.diag(sd**2), known)
    far = np.einsum("ni,nij,nj->n", residual, wide, residual)
    other = np.log(mixture.outliers) - 0.5 * (far + large)
    top = np.maximum(log.max(axis=1), other)
    each, rest = np.exp(log - top[:, None]), np.exp(other - top)
    return Parts(each / (each.sum(axis=1) + rest)[:, None], inverse)


def maximise(
    mixture: Mixture,
    parts: Parts,
    residual: np.ndarray,
    *,
    known: np.ndarray,
    dwarf: np.ndarray,
    freedom: np.ndarray,
    pairs_too: bool = True,
) -> Mixture:
    """The parameters given the shares.

    freedom : [output], parameters fitted to the residuals. pairs_too : whether the share of pairs
    and their colours are free; the functions have to be near the data first.
    """
    residual = np.where(known, residual, 0.0)
    q, inverse = parts.kinds, parts.inverse
    away = residual[:, None] - np.where(known[:, None], _shifts(mixture), 0.0)
    number = np.maximum((parts.inlier[:, None] * known).sum(axis=0), 1.0)
    grown = np.sqrt(number / np.maximum(number - freedom, 0.5 * number))
    square = np.einsum("nk,nki,nkj->nij", q, away * grown, away * grown)
    gain = mixture.scatter @ inverse
    second = (gain @ square @ gain.swapaxes(1, 2)).sum(axis=0)
    own = parts.inlier
    second = second + own.sum() * mixture.scatter
    second = second - np.einsum("n,nij,jk->ik", own, gain, mixture.scatter)
    least = np.full(residual.shape[1], _LEAST[1])
    least[0] = _LEAST[0]
    scatter = (second + np.diag(least**2)) / (own.sum() + 1)
    pairs = dwarf & known[:, 0]
    counted = q[pairs, 1:].sum() + _COUNTS * _FRACTION * _COUNTED
    whole = q[pairs].sum() + _COUNTS
    better = replace(
        mixture,
        scatter=scatter,
        outliers=float((np.sum(1 - own) + 0.3) / (len(own) + 10)),
    )
    if not pairs_too:
        return better
    return replace(
        better,
        shift=_colour_shift(mixture, parts, residual, known=known),
        fraction=float(np.clip(counted / whole / _COUNTED, 0.0, 1.0)),
    )


def _colour_shift(
    mixture: Mixture, parts: Parts, residual: np.ndarray, *, known: np.ndarray
) -> np.ndarray:
    """[ratio output], effect of companions on colours: one size per colour, times ``REDDER``."""
    weight = known * np.diagonal(parts.inverse, axis1=1, axis2=2)
    q = parts.kinds[:, 1:]
    total = (q @ REDDER**2) @ weight + _SHIFT_SD**-2
    size = (q @ REDDER) @ (weight * residual) / total
    shift = np.outer(REDDER, size)
    shift[:, 0] = mixture.shift[:, 0]
    result: np.ndarray = shift
    return result
