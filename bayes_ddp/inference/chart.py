"""Coordinates in which a bounded uniform density is normal.

A label that the spectrum does not constrain has a density with steep edges, at which Hamiltonian
trajectories are rejected. In the coordinate z with ``x = low + (high - low) Phi(z)`` a uniform
density is a unit normal, and a label that is well constrained stays nearly Gaussian.
"""

import equinox as eqx
import jax.numpy as jnp
from jax.scipy.special import ndtr, ndtri
from jax.scipy.stats import norm
from jaxtyping import Array, Float

__all__ = ["Chart"]

_NEAR = 1e-6
"""Points beyond the box are moved inside, to this fraction of its width from the edge."""


class Chart(eqx.Module):
    """Coordinates of a parameter vector: probit in a box, or the parameter itself.

    low, high : [parameter], ends of the box; infinite for a parameter without one.
    """

    low: Float[Array, " parameter"]
    high: Float[Array, " parameter"]

    @property
    def _bounded(self) -> Array:
        return jnp.isfinite(self.low)

    @property
    def _box(self) -> tuple[Array, Array]:
        """(low, width); 0 and 1 for a parameter without a box."""
        low = jnp.where(self._bounded, self.low, 0.0)
        return low, jnp.where(self._bounded, self.high, 1.0) - low

    def forward(self, z: Float[Array, "*draw parameter"]) -> Float[Array, "*draw parameter"]:
        """Parameters at coordinates z."""
        low, width = self._box
        return jnp.where(self._bounded, low + width * ndtr(z), z)

    def inverse(self, q: Float[Array, "*draw parameter"]) -> Float[Array, "*draw parameter"]:
        """Coordinates of parameters q; those beyond the box are moved into it."""
        low, width = self._box
        fraction = jnp.clip((q - low) / width, _NEAR, 1 - _NEAR)
        return jnp.where(self._bounded, ndtri(fraction), q)

    def log_slope(self, z: Float[Array, " parameter"]) -> Float[Array, " parameter"]:
        """Ln of the derivative of each parameter with respect to its coordinate."""
        _, width = self._box
        return jnp.where(self._bounded, jnp.log(width) + norm.logpdf(z), 0.0)
