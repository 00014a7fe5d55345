"""Engines that turn positions and velocities into integrals of motion, behind one method.

``engine.solve(phase)`` takes NumPy arrays [orbit] in natural units and gives ``Integrals``. The
default is the Staeckel approximation in JAX; galpy's engines are in ``reference``.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, Protocol, final, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from bayes_ddp.galaxy.axisymmetric import Axisymmetric
from bayes_ddp.galaxy.frames import Cylindrical
from bayes_ddp.galaxy.potential import DEFAULT, load_potential
from bayes_ddp.galaxy.reference import GalpyIntegration, GalpyStaeckel
from bayes_ddp.galaxy.staeckel import BLOCK, ORDER, Integrals, integrals

__all__ = ["Engine", "EngineName", "FastStaeckel", "make_engine"]

EngineName = Literal["auto", "staeckel", "galpy-staeckel", "integrate"]

_BLOCKS = 16  # of one call; shorter arrays are padded to a power of two of blocks


@runtime_checkable
class Engine(Protocol):
    """What computes orbits."""

    def solve(self, phase: Cylindrical) -> Integrals:
        """Integrals [orbit] of positions and velocities [orbit], NumPy, natural units.

        NaN but for the energy and J_phi of unbound orbits, and altogether where not finite.
        """
        ...


@final
@dataclass(frozen=True)
class FastStaeckel:
    """The Staeckel approximation in JAX (``staeckel.integrals``).

    threads : that work on calls at the same time; by default one per processor.
    """

    potential: Axisymmetric
    order: int = ORDER
    threads: int = 0

    def solve(self, phase: Cylindrical, focal: np.ndarray | None = None) -> Integrals:
        """As ``Engine.solve``; focal : [orbit], squared focal lengths."""
        size = len(phase.R)
        if not size:
            return Integrals(*(np.zeros(0) for _ in Integrals._fields))

        def call(rows: slice) -> Integrals:
            part = Cylindrical(*(np.asarray(x, float)[rows] for x in phase))
            return self._call(part, None if focal is None else np.asarray(focal, float)[rows])

        with ThreadPoolExecutor(self.threads or os.cpu_count()) as pool:
            parts = list(pool.map(call, _pieces(size)))
        return Integrals(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def _call(self, phase: Cylindrical, focal: np.ndarray | None) -> Integrals:
        size = len(phase.R)
        blocks = 1 << (-(-size // BLOCK) - 1).bit_length()

        def padded(values: np.ndarray) -> jax.Array:
            # rows that are NaN cost nothing and change nothing
            full = np.full(blocks * BLOCK, np.nan)
            full[:size] = values
            return jnp.asarray(full.reshape(blocks, BLOCK))

        given = None if focal is None else padded(focal)
        found = _solve(self.potential, Cylindrical(*map(padded, phase)), given, order=self.order)
        return Integrals(*(np.asarray(part).reshape(-1)[:size] for part in found))


def _pieces(size: int) -> Iterator[slice]:
    step = _BLOCKS * BLOCK
    return (slice(first, min(first + step, size)) for first in range(0, size, step))


def _solve_blocks(
    potential: Axisymmetric, phase: Cylindrical, focal: jax.Array | None, *, order: jax.Array | int
) -> Integrals:
    """[block orbit], block after block."""

    def one(block: tuple[Cylindrical, jax.Array | None]) -> Integrals:
        return integrals(potential, block[0], block[1], order=order)

    return lax.map(one, (phase, focal))


_solve = jax.jit(_solve_blocks)


def make_engine(potential: str = DEFAULT, kind: EngineName = "auto") -> Engine:
    """The engine of a name for the potential of a name.

    auto : the fast one where JAX knows the potential, else galpy's Staeckel approximation, and
    integration where the potential is not axisymmetric.

    Raises ValueError for names that do not exist, or engines that cannot use the potential.
    """
    named = load_potential(potential)
    if kind in ("auto", "staeckel") and named.fast is not None:
        return FastStaeckel(named.fast)
    if kind == "staeckel":
        raise ValueError(
            f"The engine 'staeckel' does not know all parts of {potential}. Take 'auto', "
            "'galpy-staeckel' or 'integrate'."
        )
    theirs = named.of_galpy()
    symmetric = not theirs.isNonAxi
    if kind == "galpy-staeckel" and not symmetric:
        raise ValueError(
            f"{potential} is not axisymmetric, and the engine 'galpy-staeckel' needs that. Take "
            "'auto' or 'integrate'."
        )
    if symmetric and kind in ("auto", "galpy-staeckel"):
        return GalpyStaeckel(theirs)
    return GalpyIntegration(theirs)
