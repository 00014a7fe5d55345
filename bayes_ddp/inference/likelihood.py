"""The Gaussian likelihood of one star's pixels: chi2, gradient and information.

The covariance of the pixels is ``C = diag(1 / precision) + factors' factors``: independent noise
and a few directions of correlated noise (none by default). Products with its inverse follow from
the Woodbury identity,

    C^-1 = P - P F' (1 + F P F')^-1 F P,        P = diag(precision),

so that a masked pixel, whose precision is 0, does not contribute to any sum. Pixel arrays are
float32; sums over pixels are returned in float64.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["Noise", "chi2", "information", "log_likelihood_change", "score", "whitening_root"]


class Noise(eqx.Module):
    """Noise of one star's normalised flux.

    precision : [pixel], 1 / variance; 0 for a masked pixel. factors : [factor pixel], directions
    of unit variance, or None.
    """

    precision: Float[Array, " pixel"]
    factors: Float[Array, "factor pixel"] | None = None

    def weigh(self, rows: Float[Array, "*row pixel"]) -> Float[Array, "*row pixel"]:
        """``rows C^-1``, each row along the pixels."""
        weighted = rows * self.precision
        if self.factors is None:
            return weighted
        loaded = self.factors * self.precision
        inner = jnp.eye(len(self.factors)) + (loaded @ self.factors.T).astype(jnp.float64)
        shares = jnp.linalg.solve(inner, (weighted @ self.factors.T).astype(jnp.float64).T).T
        whitened: Array = weighted - shares.astype(weighted.dtype) @ loaded
        return whitened


def chi2(noise: Noise, residual: Float[Array, " pixel"]) -> Float[Array, ""]:
    """Chi-square of a residual, ``r C^-1 r``."""
    return jnp.sum((noise.weigh(residual) * residual).astype(jnp.float64))


def log_likelihood_change(
    noise: Noise, residual: Float[Array, " pixel"], change: Float[Array, " pixel"]
) -> Float[Array, ""]:
    """Ln L of a model minus ln L of the reference model: ``d C^-1 (r - d / 2)``.

    residual : [pixel], r, data minus reference. change : [pixel], d, model minus reference. The
    difference is accurate with float32 pixels at any S/N.
    """
    return jnp.sum((noise.weigh(change) * (residual - 0.5 * change)).astype(jnp.float64))


def score(
    noise: Noise, jacobian: Float[Array, "parameter pixel"], residual: Float[Array, " pixel"]
) -> Float[Array, " parameter"]:
    """Gradient of ln L with respect to the parameters, ``J C^-1 r``."""
    return (jacobian @ noise.weigh(residual)).astype(jnp.float64)


def information(
    noise: Noise, jacobian: Float[Array, "parameter pixel"]
) -> Float[Array, "parameter parameter"]:
    """Fisher information of the parameters, ``J C^-1 J'``."""
    return (noise.weigh(jacobian) @ jacobian.T).astype(jnp.float64)


def whitening_root(
    covariance: Float[Array, "parameter parameter"],
) -> Float[Array, "parameter parameter"]:
    """Lower triangular R with ``R R'`` equal to the covariance.

    For a unit normal z, ``q + R z`` has this covariance. Parameters are scaled to unit variance
    first, since kelvin and dex differ by 1e4.
    """
    unit = jnp.sqrt(jnp.diagonal(covariance))
    root: Array = jnp.linalg.cholesky(covariance / jnp.outer(unit, unit))
    return unit[:, None] * root
