"""The start of the optimiser: the best of a few hundred template spectra.

The templates cover the prior in Teff, log g and [Fe/H] at mean abundances. The comparison uses the
nearest pixels of each star without interpolation, which is sufficient to find the basin of the
global minimum.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayes_ddp.emulator.network import BasisNetwork, PixelNetwork
from bayes_ddp.inference.forward import Geometry, StarData, doppler, gather, gaussian_taps
from bayes_ddp.inference.prior import LabelPrior
from bayes_ddp.spectra.lsf import FWHM_PER_SIGMA
from bayes_ddp.spectra.masks import rest_continuum_weight
from bayes_ddp.spectra.prepare import pseudo_continuum

__all__ = ["Templates", "best_template", "make_templates"]

_COARSE = 2.0


class Templates(NamedTuple):
    """labels : [template label]. flux : [template point], normalised. wave : [point], Å, rest."""

    labels: Float[Array, "template label"]
    flux: Float[Array, "template point"]
    wave: Float[Array, " point"]


def make_templates(
    shape: Geometry, emulator: BasisNetwork | PixelNetwork, prior: LabelPrior, *, fwhm: float
) -> Templates:
    """Four hundred normalised model spectra at the survey's typical LSF.

    fwhm : Å, typical width of the data's LSF.
    """
    drawn = prior.draws(jax.random.key(0), 4096)
    core = np.array([n in ("teff", "logg", "feh") for n in prior.space.names])
    span = jnp.asarray(prior.space.span)
    draws = jnp.asarray(drawn[_evenly((drawn / np.asarray(span))[:, core], 400)])
    labels = jax.jit(jax.vmap(lambda x: prior.moments(x)[0]))(draws)
    low, high = jnp.asarray(prior.space.low), jnp.asarray(prior.space.high)
    labels = jnp.where(core, draws, labels)
    labels = jnp.clip(labels, low + 0.02 * span, high - 0.02 * span)
    labels = jax.vmap(prior.inside)(labels)
    model = np.asarray(emulator.wave)
    wave = jnp.arange(model[0] + 30, model[-1] - 30, _COARSE)
    sigma = np.sqrt(max(fwhm**2 - emulator.fwhm**2, (0.5 * shape.step) ** 2)) / FWHM_PER_SIGMA
    first, weights, _ = gaussian_taps(shape, wave, jnp.full(wave.shape, sigma))
    flux = jax.lax.map(
        lambda x: gather(emulator(x)[None].astype(jnp.float32), first, weights)[0],
        labels,
        batch_size=32,
    )
    level = pseudo_continuum(
        np.asarray(wave), np.asarray(flux), rest_continuum_weight(np.asarray(wave))
    )
    return Templates(labels, flux / jnp.asarray(level, flux.dtype), wave)


def _evenly(points: Float[np.ndarray, "point axis"], count: int) -> Int[np.ndarray, " chosen"]:
    """Indices of points that cover the set: each is the farthest from those before it.

    Source: Gonzalez (1985), Theor. Comput. Sci. 38, 293.
    """
    chosen = [0]
    distance = np.full(len(points), np.inf)
    while len(chosen) < count:
        distance = np.minimum(distance, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
        chosen.append(int(distance.argmax()))
    return np.array(chosen)


@eqx.filter_jit
def best_template(shape: Geometry, star: StarData, templates: Templates) -> Array:
    """[star label], labels of the template with the smallest chi2 for each star of a batch."""

    def pixels(star: StarData) -> tuple[Array, Array]:
        seen = templates.wave * doppler(star.vrad)
        flux, precision = jnp.zeros(seen.shape), jnp.zeros(seen.shape)
        for _, a, b in shape.arms:
            wave = shape.wave[a:b]
            right = jnp.clip(jnp.searchsorted(wave, seen), 1, b - a - 1)
            near = jnp.where(seen - wave[right - 1] < wave[right] - seen, right - 1, right)
            covers = (jnp.abs(wave[near] - seen) < _COARSE) & (star.precision[a:b][near] > 0)
            better = covers & (star.precision[a:b][near] > precision)
            flux = jnp.where(better, star.flux[a:b][near], flux)
            precision = jnp.where(better, star.precision[a:b][near], precision)
        # limit the weight: at high S/N the error of the templates dominates
        return flux, jnp.where(precision > 0, 1 / (1 / jnp.maximum(precision, 1e-9) + 0.02**2), 0)

    flux, precision = jax.vmap(pixels)(star)
    about = templates.flux - 1.0
    chi2 = -2 * (precision * (flux - 1.0)) @ about.T + precision @ (about**2).T
    return templates.labels[jnp.argmin(chi2, axis=1)]
