"""Labels to normalised flux: two networks behind one protocol, with analytic gradient spectra.

``BasisNetwork`` is linear on smooth features and writes all pixels in one low-rank basis: few
numbers per evaluation, so fits can be compressed. ``PixelNetwork`` is the paper's: a network of
its own for every pixel, one hidden layer of 40 neurons (15-40-1).

Gradients are written out by hand: for a per-pixel network ``jax.jacfwd`` is ten times slower and
``jax.jacrev`` ten thousand times.

Sources: Ting et al. (2017), Xiang et al. (2019), Zhang et al. (DD-Payne on DESI EDR), section 2.
"""

from typing import Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayes_ddp.emulator.features import Features, evaluate
from bayes_ddp.labels import LabelSpace

__all__ = ["BasisNetwork", "Emulator", "PixelNetwork", "predict"]


@runtime_checkable
class Emulator(Protocol):
    """What every model of normalised, rest-frame flux offers.

    wave : [pixel] float64, Å vacuum, rest frame, uniform step.
    fwhm : Å, width of the model's Gaussian LSF.
    error : [pixel] float32, rms error of the model in normalised flux.
    """

    space: LabelSpace
    wave: Float[Array | np.ndarray, " pixel"]
    fwhm: float
    error: Float[Array | np.ndarray, " pixel"]

    def __call__(self, labels: Float[Array, " label"]) -> Float[Array, " pixel"]:
        """Flux over pseudo-continuum, float32."""
        ...

    def flux_and_gradient(self, labels: Float[Array, " label"]) -> Float[Array, "row pixel"]:
        """[1 + label, pixel]: flux, then its derivative by each label per label unit; float32."""
        ...


class BasisNetwork(eqx.Module):
    """Flux = mean + coefficients(labels) @ basis, the coefficients linear on smooth features.

    weight : [feature, rank] float64.
    mean : [pixel] float32. basis : [rank, pixel] float32, rows of unit length.
    """

    features: Features
    weight: Float[Array | np.ndarray, "feature rank"]
    mean: Float[Array | np.ndarray, " pixel"]
    basis: Float[Array | np.ndarray, "rank pixel"]
    error: Float[Array | np.ndarray, " pixel"]
    wave: Float[Array | np.ndarray, " pixel"]
    fwhm: float = eqx.field(static=True)

    @property
    def space(self) -> LabelSpace:  # type: ignore[override]
        """The label space, in whose order labels are given."""
        return self.features.space

    def coefficients(self, labels: Float[Array, " label"]) -> Float[Array, " rank"]:
        """[rank], in the dtype of ``labels``."""
        return self.features(labels) @ jnp.asarray(self.weight, labels.dtype)

    def coefficients_and_gradient(
        self, labels: Float[Array, " label"]
    ) -> tuple[Float[Array, " rank"], Float[Array, "rank label"]]:
        """[rank], and its derivative [rank, label] per label unit; analytic."""
        weight = jnp.asarray(self.weight, labels.dtype)
        value, slope = self.features.and_gradient(labels)
        return value @ weight, weight.T @ slope

    def __call__(self, labels: Float[Array, " label"]) -> Float[Array, " pixel"]:
        """[pixel], flux over pseudo-continuum, float32."""
        coefficients = self.coefficients(labels).astype(jnp.float32)
        return jnp.asarray(self.mean) + coefficients @ jnp.asarray(self.basis)

    def flux_and_gradient(self, labels: Float[Array, " label"]) -> Float[Array, "row pixel"]:
        """[1 + label, pixel]: flux, then one gradient spectrum per label; float32, analytic."""
        value, slope = self.coefficients_and_gradient(labels)
        rows = jnp.concatenate([value[None, :], slope.T]).astype(jnp.float32)
        return (rows @ jnp.asarray(self.basis)).at[0].add(jnp.asarray(self.mean))


class PixelNetwork(eqx.Module):
    """The paper's network: for each pixel its own 15-40-1 with a sigmoid hidden layer.

    Labels enter scaled to -0.5 ... 0.5 over the trained range, as in Ting et al. (2017).

    hidden : [pixel, neuron, label], hidden_bias : [pixel, neuron].
    output : [pixel, neuron], output_bias : [pixel].
    """

    space: LabelSpace = eqx.field(static=True)
    hidden: Float[Array | np.ndarray, "pixel neuron label"]
    hidden_bias: Float[Array | np.ndarray, "pixel neuron"]
    output: Float[Array | np.ndarray, "pixel neuron"]
    output_bias: Float[Array | np.ndarray, " pixel"]
    error: Float[Array | np.ndarray, " pixel"]
    wave: Float[Array | np.ndarray, " pixel"]
    fwhm: float = eqx.field(static=True)

    def _scaled(self, labels: jax.Array) -> jax.Array:
        middle = jnp.asarray(self.space.middle, labels.dtype)
        span = jnp.asarray(self.space.span, labels.dtype)
        return ((labels - middle) / span).astype(jnp.float32)

    def _neurons(self, labels: jax.Array) -> jax.Array:
        x = self._scaled(labels)
        return jax.nn.sigmoid(jnp.asarray(self.hidden) @ x + jnp.asarray(self.hidden_bias))

    def __call__(self, labels: Float[Array, " label"]) -> Float[Array, " pixel"]:
        """[pixel], flux over pseudo-continuum, float32."""
        return (self._neurons(labels) * self.output).sum(axis=1) + self.output_bias

    def flux_and_gradient(self, labels: Float[Array, " label"]) -> Float[Array, "row pixel"]:
        """[1 + label, pixel]: flux, then one gradient spectrum per label; float32, analytic."""
        neurons = self._neurons(labels)
        flux = (neurons * self.output).sum(axis=1) + self.output_bias
        pull = self.output * neurons * (1 - neurons)
        gradient = jnp.einsum("pn,pnl->lp", pull, jnp.asarray(self.hidden))
        span = jnp.asarray(self.space.span, jnp.float32)
        return jnp.concatenate([flux[None, :], gradient / span[:, None]])


def predict(network: BasisNetwork, labels: np.ndarray) -> np.ndarray:
    """[row, pixel] float32 at labels [row, label]."""
    found = evaluate(network.features, labels) @ np.asarray(network.weight)
    return found.astype(np.float32) @ np.asarray(network.basis) + np.asarray(network.mean)
