"""What real stars add to a model of computed spectra, as further rows of its basis.

The correction is the posterior mean of a Gaussian process over labels: each row's coefficient is a
sum over the labelled stars, with weights that fall off with the distance in Teff, log g and
[Fe/H]. It vanishes several scale lengths away from all labelled stars, so that the physical model
comes back there. An abundance [X/Fe] away from its usual value at this [Fe/H] changes the
coefficient in proportion, with a bound on how far.

Source: Rasmussen & Williams (2006), Gaussian Processes for Machine Learning, Eqs. 2.23-2.26.
"""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayes_ddp.labels import LabelSpace

__all__ = ["CORE", "REACH", "Block", "Correction", "abundance_excess", "correct", "usual_design"]

CORE = ("teff", "logg", "feh")
"""Labels in which distances between stars are measured; Teff enters as 5040 K / Teff."""

REACH = 0.3
"""dex, largest excess of an abundance that changes the correction."""

_TURN_FEH, _TURN_WIDTH = -0.5, 0.6


class Block(eqx.Module):
    """The correction learned from one set of stars.

    width : [core], scale of the distances, in 5040 / K, dex and dex.
    centre : [star core], coordinates of the labelled stars over ``width``.
    usual : [element 2], coefficients of the usual [X/Fe] on ``usual_design``.
    slope : per dex, change of a coefficient with an abundance excess, relative to its prior sd.
    excess : [star element], abundance excess of the labelled stars, dex.
    weight : [star rank].
    amplitude, ratio : [rank], prior variance of a coefficient, and its noise over that.
    noise : [star], variance of a star's coefficients relative to that of a usual star.
    """

    width: Float[Array | np.ndarray, " core"]
    centre: Float[Array | np.ndarray, "star core"]
    usual: Float[Array | np.ndarray, "element 2"]
    slope: Float[Array | np.ndarray, ""]
    excess: Float[Array | np.ndarray, "star element"]
    weight: Float[Array | np.ndarray, "star rank"]
    amplitude: Float[Array | np.ndarray, " rank"]
    ratio: Float[Array | np.ndarray, " rank"]
    noise: Float[Array | np.ndarray, " star"]

    @property
    def rank(self) -> int:
        """Number of coefficients."""
        return self.weight.shape[1]


class Correction(eqx.Module):
    """Labels to coefficients of the correction's rows, with their derivatives.

    blocks : one per set of stars; their rows follow each other. elements : for each block, the
    labels of abundances that act beside ``CORE``.
    """

    space: LabelSpace = eqx.field(static=True)
    elements: tuple[tuple[str, ...], ...] = eqx.field(static=True)
    blocks: tuple[Block, ...]

    @property
    def rank(self) -> int:
        """Number of coefficients of all blocks."""
        return sum(block.rank for block in self.blocks)

    def __call__(self, labels: Float[Array | np.ndarray, " label"]) -> Float[Array, " rank"]:
        """[rank], in the dtype of ``labels``."""
        parts = []
        for elements, stored in zip(self.elements, self.blocks, strict=True):
            block = _cast(stored, labels.dtype)
            near, total = _kernel(block, self._inputs(block, elements, labels))
            parts.append((near * total) @ block.weight)
        return jnp.concatenate(parts)

    def and_gradient(
        self, labels: Float[Array | np.ndarray, " label"]
    ) -> tuple[Float[Array, " rank"], Float[Array, "rank label"]]:
        """[rank] and its derivative [rank, label], per label unit; analytic in the kernel."""
        values, gradients = [], []
        for elements, stored in zip(self.elements, self.blocks, strict=True):
            block = _cast(stored, labels.dtype)
            inputs = partial(self._inputs, block, elements)
            u, slope = inputs(labels), jax.jacfwd(inputs)(jnp.asarray(labels))
            near, total = _kernel(block, u)
            # d exp(-|u - c|^2 / 2) (1 + x . a) = exp(...) (-(u - c) (1 + x . a) . du + a . dx)
            by_core = -(u[: len(CORE)] - block.centre) * total[:, None]
            by_excess = block.slope**2 * block.excess
            turn = near[:, None] * jnp.concatenate([by_core, by_excess], axis=1)
            values.append((near * total) @ block.weight)
            gradients.append((block.weight.T @ turn) @ slope)
        return jnp.concatenate(values), jnp.concatenate(gradients)

    def _inputs(self, block: Block, elements: tuple[str, ...], labels: Any) -> Array:
        """[core + element]: scaled coordinates, then abundance excesses."""
        teff, logg, feh = (labels[self.space.index(name)] for name in CORE)
        core = jnp.stack([5040.0 / teff, logg, feh]) / block.width
        if not elements:
            return core
        given = jnp.stack([labels[self.space.index(name)] for name in elements])
        return jnp.concatenate([core, abundance_excess(given, feh, block.usual, xp=jnp)])


def correct(correction: Correction, labels: np.ndarray) -> np.ndarray:
    """[row, rank] float64 at labels [row, label], whatever the default precision."""
    with jax.enable_x64(True):
        return np.asarray(_COEFFICIENTS(correction, jnp.asarray(labels, jnp.float64)))


_COEFFICIENTS = jax.jit(jax.vmap(Correction.__call__, in_axes=(None, 0)))


def usual_design(feh: Any, *, xp: Any = np) -> Any:
    """[..., 2]: functions of [Fe/H] that the usual [X/Fe] is linear in, flat at both ends."""
    return xp.stack([xp.ones_like(feh), xp.tanh((feh - _TURN_FEH) / _TURN_WIDTH)], axis=-1)


def abundance_excess(given: Any, feh: Any, usual: Any, *, xp: Any = np) -> Any:
    """[..., element] dex: [X/Fe] less its usual value, bent so that it stays within ``REACH``."""
    excess = given - usual_design(feh, xp=xp) @ usual.T
    return REACH * xp.tanh(excess / REACH)


def _kernel(block: Block, u: Array) -> tuple[Array, Array]:
    """([star] kernel in the core labels, [star] factor by abundances)."""
    number = len(CORE)
    near = jnp.exp(-0.5 * jnp.sum((u[:number] - block.centre) ** 2, axis=1))
    return near, jnp.asarray(1 + block.slope**2 * (block.excess @ u[number:]))


def _cast(block: Block, dtype: Any) -> Block:
    cast: Block = jax.tree.map(lambda array: jnp.asarray(array, dtype), block)
    return cast
