"""The integral over distance and E(B-V) for given labels and mass, and draws from its integrand.

For given labels and mass the magnitudes are m = M + mu + A(E) with Gaussian errors, and A is
linear in E = E(B-V) about a reference. With a Gaussian prior of E, cut at 0, the integral over E
is a Gaussian times a normal distribution function. The integral over the distance modulus mu is a
sum over equal steps, which converges exponentially for so smooth an integrand. The parallax enters
as the Gaussian error of the parallax itself.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr, ndtri
from jaxtyping import Array, Float

from bayes_ddp.galaxy.observed import MODULUS, Observed, of_modulus
from bayes_ddp.galaxy.proposal import parallax_modulus

__all__ = ["Bands", "Nodes", "draw_modulus", "draw_reddening", "integrand", "parallax_alone"]

NODES = np.linspace(-4.5, 4.5, 10)
"""Nodes of the distance modulus in standard deviations of its Gaussian approximation."""

_ROOT = float(np.sqrt(2 * np.pi))


class Bands(eqx.Module):
    """Sums over bands of one star with given labels, mass and companion.

    With weights w = 1 / variance and residuals r = m - M - A(0) about ``centre``:
    w, wr, wrr, wk, wkr, wkk are sums of products with k, the extinction per E(B-V).
    """

    centre: Array
    w: Array
    wr: Array
    wrr: Array
    wk: Array
    wkr: Array
    wkk: Array

    @classmethod
    def of(cls, star: Observed, magnitude: Array, slope: Array) -> "Bands":
        """Sums for absolute magnitudes [band], A(0) included, and extinction per E(B-V) [band]."""
        w = star.ivar
        away = jnp.where(w > 0, star.magnitude - magnitude, 0.0)
        centre = jnp.sum(w * away) / jnp.maximum(jnp.sum(w), 1e-12)
        r, k = away - centre, slope
        sums = [jnp.sum(p) for p in (w, w * r, w * r * r, w * k, w * k * r, w * k * k)]
        return cls(centre, *sums)

    @classmethod
    def correlated(cls, away: Array, slope: Array, precision: Array) -> "Bands":
        """Sums for errors that are correlated between bands.

        away : [band], magnitudes less absolute ones with A(0). slope : [band], extinction per
        E(B-V). precision : [band band], inverse covariance, with rows and columns of 0 for bands
        that are not used.
        """
        row = jnp.sum(precision, axis=1)
        centre = row @ away / jnp.maximum(jnp.sum(row), 1e-12)
        r, k = away - centre, slope
        both = precision @ k
        return cls(centre, jnp.sum(row), row @ r, r @ precision @ r, row @ k, both @ r, both @ k)


class Nodes(eqx.Module):
    """The integrand of one star, labels, mass and companion, [node] of the distance modulus.

    log : ln of the integrand times the step, without constants that the star's data share.
    mean, variance : of E(B-V) before the cut at 0.
    """

    modulus: Float[Array, " node"]
    log: Float[Array, " node"]
    step: Array


def parallax_alone(star: Observed) -> tuple[Array, Array]:
    """Mean and variance of the modulus by the parallax and the density of all stars."""
    grid = jnp.asarray(MODULUS)
    log = -0.5 * star.parallax_ivar * (star.parallax - 10 ** (2 - 0.2 * grid)) ** 2
    share = jnp.exp(log - jnp.max(log)) * jnp.sum(star.tables.volume, axis=1)
    share = share / jnp.maximum(jnp.sum(share), 1e-300)
    mean = share @ grid
    variance = jnp.maximum(share @ (grid - mean) ** 2, 0.01)
    centre, narrow, precise = parallax_modulus(star)
    return jnp.where(precise, centre, mean), jnp.where(precise, narrow, variance)


def reddening(bands: Bands, modulus: Array, prior: Array) -> tuple[Array, Array]:
    """(mean, variance) of E(B-V) at a modulus before the cut at 0; prior : [... 2] mean and sd."""
    mean, precision = prior[..., 0], prior[..., 1] ** -2
    variance = 1 / (bands.wkk + precision)
    away = modulus - bands.centre
    return variance * (bands.wkr - bands.wk * away + mean * precision), variance


def integrand(
    star: Observed,
    bands: Bands,
    weight: Float[Array, " population"],
    *,
    alone: tuple[Array, Array],
) -> Nodes:
    """The integrand at nodes that cover its Gaussian approximation.

    weight : of the populations. alone : of ``parallax_alone``.
    """
    prior = of_modulus(bands.centre, star.tables.dust)
    free = bands.wk**2 / (bands.wkk + prior[1] ** -2)
    # the modulus by the bands: E(B-V) with its Gaussian prior integrated out
    mean_e, _ = reddening(bands, bands.centre, prior)
    precision = jnp.maximum(bands.w - free, 0.0)
    towards = bands.wr - bands.wk * mean_e
    total = precision + 1 / alone[1]
    mean = bands.centre + (towards + (alone[0] - bands.centre) / alone[1]) / total
    step = (NODES[1] - NODES[0]) / jnp.sqrt(total)
    modulus = mean + jnp.asarray(NODES) / jnp.sqrt(total)
    away = modulus - bands.centre
    tables = of_modulus(modulus, jnp.concatenate([star.tables.volume, star.tables.dust], axis=1))
    volume, dust = tables[:, :-2], tables[:, -2:]
    e, variance = reddening(bands, modulus, dust)
    chi2 = bands.wrr - 2 * away * bands.wr + away**2 * bands.w
    chi2 = chi2 + (dust[:, 0] / dust[:, 1]) ** 2 - e**2 / variance
    chi2 = chi2 + star.parallax_ivar * (star.parallax - 10 ** (2 - 0.2 * modulus)) ** 2
    cut = jnp.sqrt(variance) * ndtr(e / jnp.sqrt(variance))
    cut = cut / (dust[:, 1] * ndtr(dust[:, 0] / dust[:, 1]))
    log = jnp.log(jnp.maximum(cut * (volume @ weight) * step, 1e-300)) - 0.5 * chi2
    return Nodes(modulus, log, step)


def draw_modulus(nodes: Nodes, uniform: Float[Array, "2"]) -> Array:
    """One modulus from the integrand; its mean and variance are those of the sum over nodes."""
    share = jnp.exp(nodes.log - jnp.max(nodes.log))
    share = share / jnp.sum(share)
    mean = share @ nodes.modulus
    variance = share @ (nodes.modulus - mean) ** 2
    picked = jnp.searchsorted(jnp.cumsum(share), uniform[0]).clip(max=len(share) - 1)
    # spreading a node over its step adds step^2 / 12, which the factor takes out again
    spread = nodes.modulus[picked] + nodes.step * (uniform[1] - 0.5) - mean
    return mean + spread * jnp.sqrt(variance / (variance + nodes.step**2 / 12))


def draw_reddening(star: Observed, bands: Bands, modulus: Array, *, uniform: Array) -> Array:
    """One E(B-V), at least 0, given the modulus."""
    mean, variance = reddening(bands, modulus, of_modulus(modulus, star.tables.dust))
    sd = jnp.sqrt(variance)
    # by the upper tail of the mirrored variable, which stays finite where the cut is far out
    return jnp.maximum(mean - sd * ndtri(uniform * ndtr(mean / sd)), 0.0)
