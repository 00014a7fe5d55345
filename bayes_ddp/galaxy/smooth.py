"""Smooth functions of (ln Teff, log g, [M/H]): a quadratic and Gaussian radial functions.

Coefficients are those of weighted ridge regression with the kernel matrix of the centres as
penalty, which is a Gaussian process with inducing points (the subset of regressors: Rasmussen &
Williams 2006, Eqs. 8.14-8.16) with a free quadratic mean. The strength of the penalty minimises
the generalised cross-validation score (Golub, Heath & Wahba 1979).
"""

from dataclasses import dataclass

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.linalg import eigh

__all__ = ["SCALE", "Basis", "Ridge", "make_basis", "ridge"]

SCALE = np.array([0.15, 0.8, 0.8])
"""Unit of length of the labels: ln Teff, log g (dex), [M/H] (dex)."""

_STRENGTHS = np.logspace(-5, 5, 21)
_FREE = 10  # terms of the quadratic


class Basis(eqx.Module):
    """Basis functions. middle : [3]. centres : [centre 3], in units of ``SCALE``. width : same."""

    middle: Float[Array, "3"]
    centres: Float[Array, "centre 3"]
    width: Float[Array, ""]

    def __call__(self, core: Float[Array, "3"]) -> Float[Array, " term"]:
        """Values of all functions at one place (ln Teff, log g, [M/H])."""
        z = (core - self.middle) / jnp.asarray(SCALE)
        square = [z[i] * z[j] for i in range(3) for j in range(i, 3)]
        quadratic = jnp.concatenate([jnp.ones(1), z, jnp.stack(square)])
        away = jnp.sum((z - self.centres) ** 2, axis=1)
        return jnp.concatenate([quadratic, jnp.exp(-0.5 * away / self.width**2)])


@dataclass(frozen=True)
class Ridge:
    """One fitted function.

    coefficient : [term]. root : [term term], whose product with its transpose is the covariance of
    the coefficients. freedom : effective number of parameters. score : ln of the score per star.
    """

    coefficient: np.ndarray
    root: np.ndarray
    freedom: float
    score: float


def make_basis(core: np.ndarray, *, width: float, most: int = 100) -> Basis:
    """A basis whose centres cover the labels [star 3] of the stars, by farthest-point sampling.

    width : of the radial functions, in units of ``SCALE``. most : centres, of which there are at
    most one for every ten stars and none nearer than half a width to another.
    """
    middle = np.median(core, axis=0)
    z = (core - middle) / SCALE
    chosen = [int(np.argmin((z**2).sum(axis=1)))]
    nearest = ((z - z[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < min(most, len(z) // 10) and nearest.max() > (0.5 * width) ** 2:
        chosen.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, ((z - z[chosen[-1]]) ** 2).sum(axis=1))
    centres = z[chosen] if len(z) >= 10 * _FREE else np.zeros((0, 3))
    return Basis(jnp.asarray(middle), jnp.asarray(centres), jnp.asarray(float(width)))


def ridge(basis: Basis, rows: np.ndarray, target: np.ndarray, *, weight: np.ndarray) -> Ridge:
    """The regression of ``target`` [star] on ``rows`` [star term] = basis functions.

    weight : [star], inverse variance; 0 leaves a star out.
    """
    use = weight > 0
    x, y, w = rows[use], target[use], weight[use]
    gram, towards, total = (x.T * w) @ x, (x.T * w) @ y, float(w @ y**2)
    # in the basis v, gram + s penalty is diagonal for every strength s
    weakest = _STRENGTHS[0]
    penalty = _penalty(basis)
    share, v = eigh(penalty, gram + weakest * penalty)
    along, best = v.T @ towards, None
    for strength in _STRENGTHS:
        inverse = 1 / (1 + (strength - weakest) * share)
        coefficient = inverse * along
        information = 1 - weakest * share
        left = total - 2 * coefficient @ along + information @ coefficient**2
        freedom = float(inverse @ information)
        room = max(1 - freedom / len(y), 1e-3)
        score = float(np.log(max(left, 1e-12) / len(y)) - 2 * np.log(room))
        if best is None or score < best.score:
            best = Ridge(v @ coefficient, v * np.sqrt(inverse), freedom, score)
    assert best is not None
    return best


def _penalty(basis: Basis) -> np.ndarray:
    """Kernel matrix of the centres; the quadratic has a penalty that does not constrain it."""
    size = _FREE + len(basis.centres)
    penalty = np.diag(np.full(size, 1e-9))
    if len(basis.centres):
        z = np.asarray(basis.centres)
        square = ((z[:, None] - z[None]) ** 2).sum(axis=2)
        kernel = np.exp(-0.5 * square / float(basis.width) ** 2)
        penalty[_FREE:, _FREE:] = kernel + 1e-6 * np.eye(size - _FREE)
    return penalty
