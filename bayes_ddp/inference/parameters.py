"""The parameter vector of one star: named blocks of labels and nuisances.

The free labels come first, in unconstrained form, then each nuisance that a run fits. A nuisance
is one class here, its entry in ``Parameters.blocks``, and its derivative in ``forward.render``.
Every nuisance has a Gaussian prior with mean 0 in the vector.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["Block", "LsfFactors", "Nuisances", "Parameters", "Velocity"]


class Nuisances(NamedTuple):
    """Values of all nuisances of one star, fitted or not.

    velocity : km/s, added to the input velocity. lsf : [arm], factor on the width of the LSF.
    """

    velocity: Float[Array, ""]
    lsf: Float[Array, " arm"]


@runtime_checkable
class HasVelocityError(Protocol):
    """A star with an error of its input velocity, km/s."""

    vrad_err: Float[Array, ""]


@runtime_checkable
class Block(Protocol):
    """One nuisance: its name, its number of parameters, and its prior."""

    @property
    def name(self) -> str:
        """Name in ``Nuisances`` and in the NumPyro model."""
        ...

    @property
    def size(self) -> int:
        """Number of parameters."""
        ...

    def precision(self, star: HasVelocityError) -> Float[Array, " size"]:
        """[size], inverse variance of the prior."""
        ...


@dataclass(frozen=True)
class Velocity:
    """Velocity relative to the input velocity, whose error is the sd of the prior."""

    name: str = "velocity"
    size: int = 1

    def precision(self, star: HasVelocityError) -> Float[Array, " size"]:
        """[1], 1 / (km/s)^2."""
        return 1 / star.vrad_err[None] ** 2


@dataclass(frozen=True)
class LsfFactors:
    """Relative change of the LSF width in each arm; ``sd`` is that of its prior."""

    size: int
    sd: float
    name: str = "lsf"

    def precision(self, star: HasVelocityError) -> Float[Array, " size"]:
        """[arm], 1 / (relative change)^2."""
        return jnp.full(self.size, self.sd**-2)


@dataclass(frozen=True)
class Parameters:
    """Layout of the parameter vector; static under ``jit``.

    names : all labels, in the order of the space. free : those that are fitted. arms : names.
    velocity : whether it is fitted. lsf_sd : prior sd of the LSF factors; 0 if not fitted.
    """

    names: tuple[str, ...]
    free: tuple[str, ...]
    arms: tuple[str, ...]
    velocity: bool
    lsf_sd: float

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The nuisances that are fitted, in the order of the vector."""
        fitted: list[Block] = [Velocity()] if self.velocity else []
        if self.lsf_sd > 0:
            fitted.append(LsfFactors(len(self.arms), self.lsf_sd))
        return tuple(fitted)

    @property
    def labels(self) -> int:
        """Number of labels that are fitted."""
        return len(self.free)

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.labels + sum(block.size for block in self.blocks)

    def block(self, name: str) -> slice | None:
        """Position of a nuisance in the vector; None if it is not fitted."""
        start = self.labels
        for block in self.blocks:
            if block.name == name:
                return slice(start, start + block.size)
            start += block.size
        return None

    def split(self, q: Float[Array, " parameter"]) -> tuple[Float[Array, " free"], Nuisances]:
        """(unconstrained labels, values of the nuisances) of a parameter vector."""
        velocity, lsf = self.block("velocity"), self.block("lsf")
        return q[: self.labels], Nuisances(
            velocity=jnp.zeros(()) if velocity is None else q[velocity.start],
            lsf=jnp.ones(len(self.arms)) if lsf is None else 1 + q[lsf],
        )

    def sites(self, q: Float[Array, " parameter"]) -> dict[str, Array]:
        """A parameter vector as the unconstrained sites of ``spectrum_model``."""
        sites: dict[str, Array] = dict(zip(self.free, q[: self.labels], strict=True))
        velocity, lsf = self.block("velocity"), self.block("lsf")
        if velocity is not None:
            sites["velocity"] = q[velocity.start]
        if lsf is not None:
            sites["lsf"] = q[lsf]
        return sites

    def derivative_rows(self) -> list[int]:
        """Row of each parameter in the derivatives of ``forward.render``.

        The rows there are all labels, the velocity, then the LSF factor of each arm.
        """
        rows = [self.names.index(name) for name in self.free]
        first = {"velocity": len(self.names), "lsf": len(self.names) + 1}
        for block in self.blocks:
            rows += [first[block.name] + i for i in range(block.size)]
        return rows

    def nuisance_precision(self, star: HasVelocityError) -> Float[Array, " nuisance"]:
        """[nuisance], inverse prior variance of each fitted nuisance."""
        parts = [block.precision(star) for block in self.blocks]
        return jnp.concatenate(parts) if parts else jnp.zeros(0)
