"""Functions of one squared radius as tables that cost a few multiplications per value.

A cell is 1/16 of an octave of the argument, which is read from the bits of the float without a
logarithm; inside a cell the function is a polynomial of degree 5 through Chebyshev nodes. The
error is of order 1e-11 of the function where it varies as a power of the radius.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

__all__ = ["HIGH", "LOW", "RadialTable", "make_table"]

LOW, HIGH = 2.0**-44, 2.0**30
"""Smallest and largest argument of a table; beyond, the nearest of them is used."""

_DEGREE = 5
_CELL_BITS = 4  # of the mantissa: 16 cells per octave
_SHIFT = 52 - _CELL_BITS
_REST = (1 << _SHIFT) - 1  # the bits that give the place within a cell
_ONE = 1023 << 52  # the bits of 1.0
_FIRST = int(np.float64(LOW).view(np.int64)) >> _SHIFT
_BELOW_HIGH = float(np.nextafter(HIGH, 0.0))


class RadialTable(eqx.Module):
    """A function of w > 0 and its derivatives by w.

    terms : [6 cell], coefficients of the powers 0 to 5 of the place in the cell, from 0 to 1.
    """

    terms: jax.Array

    def value(self, w: jax.Array) -> jax.Array:
        """The function at ``w``, of any shape."""
        place, terms, _ = self._cell(w)
        return _horner(terms, place)

    def value_and_slope(self, w: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The function and its first derivative by ``w``."""
        place, terms, per_cell = self._cell(w)
        return _horner(terms, place), per_cell * _horner(_derivative(terms), place)

    def curvature(self, w: jax.Array) -> jax.Array:
        """The second derivative by ``w``."""
        place, terms, per_cell = self._cell(w)
        return per_cell**2 * _horner(_derivative(_derivative(terms)), place)

    def _cell(self, w: jax.Array) -> tuple[jax.Array, list[jax.Array], jax.Array]:
        """(place in the cell, its coefficients, cells per unit of w)."""
        bits = lax.bitcast_convert_type(jnp.clip(w, LOW, _BELOW_HIGH), jnp.int64)
        index = (bits >> _SHIFT) - _FIRST
        # the rest of the mantissa as a float from 1 to 2; 2^(bits - exponent) is 1 / width
        place = lax.bitcast_convert_type(((bits & _REST) << _CELL_BITS) | _ONE, jnp.float64) - 1.0
        inverse = (2046 + _CELL_BITS - (bits >> 52)) << 52
        terms = [row.at[index].get(mode="promise_in_bounds") for row in self.terms]
        return place, terms, lax.bitcast_convert_type(inverse, jnp.float64)


def _horner(terms: list[jax.Array], x: jax.Array) -> jax.Array:
    total = terms[-1]
    for term in terms[-2::-1]:
        total = total * x + term
    return total


def _derivative(terms: list[jax.Array]) -> list[jax.Array]:
    return [power * term for power, term in enumerate(terms)][1:]


def make_table(function: Callable[[np.ndarray], np.ndarray]) -> RadialTable:
    """A table of ``function`` (NumPy, elementwise) for arguments from ``LOW`` to ``HIGH``.

    Raises ValueError where the function is not finite.
    """
    last = int(np.float64(_BELOW_HIGH).view(np.int64)) >> _SHIFT
    edges = (np.arange(_FIRST, last + 2) << _SHIFT).view(np.float64)
    nodes = 0.5 - 0.5 * np.cos(np.pi * (np.arange(_DEGREE + 1) + 0.5) / (_DEGREE + 1))
    w = edges[:-1, None] + nodes * np.diff(edges)[:, None]
    values = np.asarray(function(w.ravel()), float).reshape(w.shape)
    if not np.isfinite(values).all():
        raise ValueError("The function of the table is not finite at all radii.")
    powers = np.vander(nodes, increasing=True)
    return RadialTable(jnp.asarray(np.linalg.solve(powers, values.T)))
