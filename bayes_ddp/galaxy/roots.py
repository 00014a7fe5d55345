"""Roots of many functions at a time, one per element of an array, by their derivatives."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from bayes_ddp.galaxy.radial import HIGH

__all__ = ["Function", "beyond", "find_root"]

Function = Callable[[jax.Array], tuple[jax.Array, jax.Array]]
"""Value and derivative."""

_ROUNDS, _TOLERANCE = 60, 1e-13


class _Search(NamedTuple):
    x: jax.Array
    outside: jax.Array
    inside: jax.Array
    moving: jax.Array
    rounds: jax.Array


def find_root(
    function: Function, ends: tuple[jax.Array, jax.Array], *, start: jax.Array
) -> jax.Array:
    """Newton's method inside a bracket, with bisection where it leaves it.

    ends : where the function is negative, and where it is not. start : one of them.
    """

    def step(state: _Search) -> _Search:
        x, outside, inside, moving, rounds = state
        value, slope = function(x)
        within = value >= 0
        outside, inside = jnp.where(within, outside, x), jnp.where(within, x, inside)
        there = x - value / slope
        there = jnp.where(
            (there - outside) * (there - inside) <= 0, there, 0.5 * (outside + inside)
        )
        there = jnp.where(moving, there, x)  # not to depend on the other orbits
        moving &= jnp.abs(there - x) > _TOLERANCE * jnp.abs(there)
        return _Search(there, outside, inside, moving, rounds + 1)

    first = _Search(start, *ends, jnp.ones_like(start, bool), jnp.asarray(0))
    return lax.while_loop(lambda s: jnp.any(s.moving) & (s.rounds < _ROUNDS), step, first).x


def beyond(function: Function, w: jax.Array) -> jax.Array:
    """``w`` doubled until the function is negative, or the table ends."""

    def step(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        w, _ = state
        more = (function(w)[0] >= 0) & (w < HIGH)
        return jnp.where(more, 2 * w, w), more

    return lax.while_loop(lambda s: jnp.any(s[1]), step, (w, jnp.ones_like(w, bool)))[0]
