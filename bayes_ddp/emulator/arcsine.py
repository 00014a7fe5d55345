"""Arcsine in float64 by additions and products alone, so that XLA can vectorise it.

XLA evaluates ``jnp.arcsin`` in float64 by scalar calls of ``atan2``, which takes fifteen times
longer. The range is reduced to half of the unit interval by

    asin(x) = pi / 2 - 2 asin(sqrt((1 - x) / 2)),

where ``asin(x) = x + x^3 P(x^2)``. P is the Taylor series of degree 69 in Chebyshev polynomials on
[0, 1/4], cut off after degree 11, where the next term is 5e-17.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["arcsine"]

_SERIES = (
    0.16666666666666646,
    0.07500000000021978,
    0.04464285710146497,
    0.030381947490254527,
    0.022372043664706378,
    0.017355334434132383,
    0.013928781847841392,
    0.011882032645784928,
    0.0077714397645414456,
    0.016129764409156828,
    -0.010908304349000406,
    0.028285381520428275,
)
"""Coefficients of P, from the constant upwards."""


@jax.custom_jvp
def arcsine(x: Float[Array, "*any"]) -> Float[Array, "*any"]:
    """The arcsine of ``x`` between -1 and 1, within 5e-16 in float64; its derivative is exact."""
    size = jnp.abs(x)
    large = size > 0.5
    square = jnp.where(large, jnp.maximum(0.5 * (1 - size), 0.0), x * x)
    root = jnp.where(large, jnp.sqrt(square), size)
    series = jnp.full_like(square, _SERIES[-1])
    for coefficient in _SERIES[-2::-1]:
        series = series * square + coefficient
    small = root + root * square * series
    return jnp.copysign(jnp.where(large, 0.5 * jnp.pi - 2 * small, small), x)


@arcsine.defjvp
def _derivative(
    primals: tuple[Array], tangents: tuple[Array]
) -> tuple[Float[Array, "*any"], Float[Array, "*any"]]:
    (x,), (change,) = primals, tangents
    return arcsine(x), change / jnp.sqrt(1 - x * x)
