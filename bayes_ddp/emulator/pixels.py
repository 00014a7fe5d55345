"""Training of the paper's ``PixelNetwork``: spectra and gradient spectra in one loss (Eq. 3).

Per pixel, with the network's flux f and its derivative f' by each label,

    1/N_s sum_i (f(l_i) - f_i)² / sigma_i²  +  sum_j D . |f'(l_j) - f'_j|

where j runs over reference points and D weights the labels. All pixels are trained at once; they
share no weights, so the minimum of the summed loss is the minimum of each pixel's loss.

Source: Zhang et al. (DD-Payne on DESI EDR), section 2, Eq. 3 and section 3; Xiang et al. (2019).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from bayes_ddp.emulator.network import PixelNetwork
from bayes_ddp.labels import LabelSpace

__all__ = ["initial_pixels", "payne_loss", "train_pixels"]

NEURONS = 40
EPOCHS = 10_000


def initial_pixels(
    space: LabelSpace, wave: np.ndarray, fwhm: float, /, *, key: jax.Array, level: Any = 1.0
) -> PixelNetwork:
    """An untrained network with random weights.

    wave : [pixel], Å. fwhm : Å. level : scalar or [pixel], approximate initial flux.
    """
    pixels, size = len(wave), space.size
    first, second = jax.random.split(key)
    wide = jax.random.normal(first, (pixels, NEURONS, size + 1)) * (2.0 / np.sqrt(size + 1))
    narrow = jax.random.normal(second, (pixels, NEURONS)) * (0.1 / np.sqrt(NEURONS))
    return PixelNetwork(
        space,
        wide[..., :size].astype(jnp.float32),
        wide[..., size].astype(jnp.float32),
        narrow.astype(jnp.float32),
        (jnp.broadcast_to(jnp.asarray(level), (pixels,)) - 0.5 * narrow.sum(axis=1)).astype(
            jnp.float32
        ),
        jnp.zeros(pixels, jnp.float32),
        wave,
        fwhm,
    )


def payne_loss(
    network: PixelNetwork,
    spectra: Mapping[str, jax.Array],
    points: Mapping[str, jax.Array],
    *,
    scale: jax.Array,
) -> jax.Array:
    """[pixel], the loss of Eq. 3.

    Parameters
    ----------
    network
    spectra
        ``labels`` [star, label], ``flux`` and ``ivar`` [star, pixel]; masked pixels have ivar 0.
    points
        ``labels`` [point, label] and ``gradient`` [point, label, pixel] per label unit.
    scale : [label]
        D of Eq. 3, in units of label per flux.
    """
    model = jax.vmap(network)(spectra["labels"])
    good = jnp.maximum((spectra["ivar"] > 0).sum(axis=0), 1)
    fit = (spectra["ivar"] * (model - spectra["flux"]) ** 2).sum(axis=0) / good
    slope = jax.vmap(network.flux_and_gradient)(points["labels"])[:, 1:]
    return fit + jnp.einsum("l,jlp->p", scale, jnp.abs(slope - points["gradient"]))


def train_pixels(
    network: PixelNetwork,
    spectra: Mapping[str, Any],
    points: Mapping[str, Any],
    *,
    scale: Any,
    epochs: int = EPOCHS,
    batch: int = 512,
    rates: Sequence[float] = (1e-2, 1e-4),
    key: jax.Array,
) -> PixelNetwork:
    """``network`` after training with Adam and an exponentially decreasing learning rate.

    network, spectra, points, scale : as in ``payne_loss``. batch : spectra per step; every step
    uses all reference points. rates : first and last learning rate. The defaults are the paper's.
    """
    spectra = {name: jnp.asarray(value) for name, value in spectra.items()}
    points = {name: jnp.asarray(value) for name, value in points.items()}
    scale = jnp.asarray(scale, jnp.float32)
    stars = len(spectra["labels"])
    batch = min(batch, stars)
    steps = stars // batch
    total = max(epochs * steps - 1, 1)
    adam = optax.adam(optax.exponential_decay(rates[0], total, rates[1] / rates[0]))
    is_weight = jax.tree.map(lambda _: False, network)
    is_weight = eqx.tree_at(
        lambda n: (n.hidden, n.hidden_bias, n.output, n.output_bias), is_weight, (True,) * 4
    )
    weights, rest = eqx.partition(network, is_weight)

    def step(carry: Any, rows: jax.Array) -> tuple[Any, None]:
        weights, state = carry
        part = {name: value[rows] for name, value in spectra.items()}
        slope = jax.grad(
            lambda w: payne_loss(eqx.combine(w, rest), part, points, scale=scale).sum()
        )
        update, state = adam.update(slope(weights), state)
        return (eqx.apply_updates(weights, update), state), None

    def epoch(carry: Any, key: jax.Array) -> tuple[Any, None]:
        rows = jax.random.permutation(key, stars)[: steps * batch].reshape(steps, batch)
        return jax.lax.scan(step, carry, rows)

    run = jax.jit(lambda carry: jax.lax.scan(epoch, carry, jax.random.split(key, epochs))[0])
    trained: PixelNetwork = eqx.combine(run((weights, adam.init(weights)))[0], rest)
    return trained
