"""The likelihood of one star as a quadratic form in the emulator's coefficients.

About its best fit the model of a star changes by ``(s @ A) / (1 + s @ B)``, where ``s`` is the
change of the low-rank emulator's coefficients (and of velocity and LSF widths). For Gaussian noise
ln L is a quadratic form in ``s`` except for the denominator, the pseudo-continuum of the changed
model, which varies by parts in a thousand. Its first order is kept; the neglected terms are of
third order (tests/inference/test_compress.py bounds them). All changes are relative to the best
fit, so that float32 pixels are accurate enough. An evaluation takes microseconds.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bayes_ddp.emulator.network import BasisNetwork
from bayes_ddp.inference.likelihood import information
from bayes_ddp.inference.model import BasisHead, StarModel
from bayes_ddp.inference.parameters import Nuisances

__all__ = ["Compressed", "compress"]


class Compressed(eqx.Module):
    """Sufficient statistics of the likelihood of one star.

    start : coefficients at the best fit. reference : nuisances there. linear : A (P r).
    quadratic : A P A' and the first-order term of the pseudo-continuum; rows are coefficients,
    then velocity, then LSF factors; float64.
    """

    emulator: BasisNetwork
    start: Float[Array, " rank"]
    reference: Nuisances
    linear: Float[Array, " row"]
    quadratic: Float[Array, "row row"]

    def log_likelihood(
        self, labels: Float[Array, " label"], nuisances: Nuisances
    ) -> Float[Array, ""]:
        """Ln L relative to that of the best fit; arguments as ``StarModel.log_likelihood``."""
        velocity, lsf = jax.tree.map(jnp.subtract, nuisances, self.reference)
        step = jnp.concatenate(
            [self.emulator.coefficients(labels) - self.start, velocity[None], lsf]
        )
        return step @ (self.linear - 0.5 * (self.quadratic @ step))


def compress(star: StarModel) -> Compressed:
    """The star's likelihood in compressed form; ValueError for an emulator without a basis."""
    head, emulator = star.head, star.emulator
    if not isinstance(head, BasisHead) or not isinstance(emulator, BasisNetwork):
        raise ValueError(
            f"A {type(emulator).__name__} has no low-rank basis and cannot be compressed: use "
            "sampler 'nuts' or 'map'."
        )
    ours = head.flux / head.reference_level
    level = head.level / head.reference_level
    rows = jnp.concatenate([ours, star.by_velocity[None], star.by_width]).astype(jnp.float32)
    pull = star.noise.weigh(star.residual)
    rank = len(ours)
    bend = (ours * pull) @ level.T
    quadratic = information(star.noise, rows)
    quadratic = quadratic.at[:rank, :rank].add((bend + bend.T).astype(jnp.float64))
    linear = (rows @ pull).astype(jnp.float64)
    return Compressed(emulator, head.start, star.reference, linear, quadratic)
