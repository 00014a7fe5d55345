"""Where the posterior of a star lies among the members of the library: a linear Gaussian model.

Unknowns are y = (ln Teff, log g, [M/H], distance modulus, E(B-V)). About the star's labels all
data but the parallax are taken as linear in y with Gaussian errors. The evidence of each member of
the library is then a quadratic function of its place, and y given the member is a Gaussian. The
parallax and the density of stars act on the distance modulus of that Gaussian. What the
approximation misses, the importance weights correct (``sample``).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayes_ddp.galaxy.bolometric import ALL_BANDS, BolometricTable
from bayes_ddp.galaxy.library import KERNEL
from bayes_ddp.galaxy.observed import MODULUS, Observed, of_modulus

__all__ = ["Linear", "Pair", "evidence", "linearise", "parallax_modulus", "tilted"]

_WEAK = (12.0, 6.0)
"""Mean and standard deviation of the distance modulus, mag, which keep it finite without bands."""

_PRECISE = 4.0
"""Parallax over error from which the parallax is taken as Gaussian in the distance modulus."""

_LN10 = float(np.log(10.0))


class Pair(eqx.Module):
    """What companions do to the magnitudes in the linear model: a shift, and its covariance."""

    shift: Float[Array, "*star band"]
    covariance: Float[Array, "*star band band"]

    @classmethod
    def usual(cls, shift: float, *, grey: float, colour: float) -> "Pair":
        """The same shift in all bands, a scatter that they share, and one that they do not."""
        size = len(ALL_BANDS)
        return cls(jnp.full(size, shift), grey**2 + colour**2 * jnp.eye(size))


class Linear(eqx.Module):
    """The linear model of one star.

    evidence_ : ln c = constant + linear . x - x . square x / 2, x the member's place less ``at``.
    y = start + slope x is the mean of the unknowns given the member, covariance theirs.
    at : [4], where the model is linear. modulus : [modulus population], table of the smoothed
    prior of the modulus. precise : whether that table is replaced by a Gaussian ``near``.
    """

    at: Float[Array, "4"]
    linear: Float[Array, "4"]
    square: Float[Array, "4 4"]
    start: Float[Array, "5"]
    slope: Float[Array, "5 4"]
    covariance: Float[Array, "5 5"]
    modulus: Float[Array, "modulus population"]
    precise: Array
    near: Float[Array, "2"]


def parallax_modulus(star: Observed) -> tuple[Array, Array, Array]:
    """(distance modulus of the parallax, its variance, whether parallax over error exceeds 4)."""
    ratio = star.parallax * jnp.sqrt(star.parallax_ivar)
    safe = jnp.where(ratio > _PRECISE, star.parallax, 1.0)
    variance = (5 / _LN10) ** 2 / jnp.where(ratio > _PRECISE, ratio, 1.0) ** 2
    return 10 - 5 * jnp.log10(safe), variance, ratio > _PRECISE


def linearise(
    star: Observed,
    table: BolometricTable,
    at: Float[Array, "4"],
    *,
    ebv: Float[Array, ""],
    kernel: Float[Array, "4"],
    pair: Pair,
) -> Linear:
    """The linear model about a place in the library and an E(B-V).

    kernel : [4], standard deviation of the members' labels, and 0 for the mass.
    """
    magnitude = table.magnitudes(at[:3], at[3])
    slope_of = jax.jacfwd(table.magnitudes)(at[:3], at[3])  # [band 3]
    dimmed, per_ebv = table.extinction(at[:3], ebv)
    used = star.ivar > 0
    noise = jnp.where(used, 1 / jnp.where(used, star.ivar, 1.0), 1e8)
    weight = jnp.linalg.inv(jnp.diag(noise) + pair.covariance)
    design = jnp.concatenate([slope_of, jnp.ones((len(noise), 1)), per_ebv[:, None]], axis=1)
    data = jnp.where(used, star.magnitude - magnitude - dimmed + per_ebv * ebv - pair.shift, 0.0)
    mean, sd = of_modulus(_typical_modulus(star), star.tables.dust)
    prior = jnp.diag(jnp.array([0, 0, 0, _WEAK[1] ** -2, 0]).at[4].set(sd**-2))
    prior = prior.at[:3, :3].set(star.precision)
    towards = jnp.zeros(5).at[3].set(_WEAK[0] / _WEAK[1] ** 2).at[4].set(mean / sd**2)
    towards = towards.at[:3].set(star.precision @ (star.core - at[:3]))
    join = jnp.zeros((5, 3)).at[:3, :3].set(jnp.diag(kernel[:3] ** -2))
    # a member x = (labels, log mass) gives the right-hand side rest + turn x
    rest = towards + design.T @ weight @ data
    by_mass = 2.5 * jnp.sum(weight, axis=1)  # weight @ (2.5, 2.5, ...)
    turn = jnp.concatenate([join, (design.T @ by_mass)[:, None]], axis=1)
    covariance = jnp.linalg.inv(prior + design.T @ weight @ design + join @ jnp.eye(3, 5))
    alone = jnp.zeros((4, 4)).at[:3, :3].set(join[:3]).at[3, 3].set(2.5 * jnp.sum(by_mass))
    precision_modulus = covariance[3, 3]
    centre, variance, precise = parallax_modulus(star)
    return Linear(
        at=at,
        linear=turn.T @ covariance @ rest - jnp.zeros(4).at[3].set(by_mass @ data),
        square=alone - turn.T @ covariance @ turn,
        start=covariance @ rest,
        slope=covariance @ turn,
        covariance=covariance,
        modulus=_smoothed(star, precision_modulus),
        precise=precise,
        near=jnp.stack([centre, variance]),
    )


def _typical_modulus(star: Observed) -> Array:
    """The modulus at which the prior of E(B-V) is taken in the linear model."""
    centre, _, precise = parallax_modulus(star)
    return jnp.where(precise, centre, _WEAK[0])


def _parallax_term(star: Observed, modulus: Array) -> Array:
    return -0.5 * star.parallax_ivar * (star.parallax - 10 ** (2 - 0.2 * modulus)) ** 2


def _smoothed(star: Observed, variance: Array) -> Array:
    """[modulus population], parallax times density, convolved with the width of the modulus.

    The weak prior of the linear model is divided out.
    """
    grid = jnp.asarray(MODULUS)
    log = _parallax_term(star, grid) + 0.5 * ((grid - _WEAK[0]) / _WEAK[1]) ** 2
    each = jnp.exp(log - jnp.max(log))[:, None] * star.tables.volume
    away = (grid[:, None] - grid[None, :]) ** 2 / jnp.maximum(variance, 0.05**2)
    spread = jnp.exp(-0.5 * away)
    return (spread / spread.sum(axis=1, keepdims=True)) @ each + 1e-30


def evidence(model: Linear, place: Array, weight: Array) -> Array:
    """[...], ln of the evidence of members at ``place`` [4 ...], ``weight`` [population ...]."""
    x = [place[i] - model.at[i] for i in range(4)]
    total = jnp.zeros_like(x[0])
    modulus = jnp.full_like(x[0], model.start[3])
    for i in range(4):
        row = model.linear[i] - 0.5 * model.square[i, i] * x[i]
        for j in range(i):
            row = row - model.square[i, j] * x[j]
        total = total + row * x[i]
        modulus = modulus + model.slope[3, i] * x[i]
    variance = model.covariance[3, 3] + model.near[1]
    gauss = -0.5 * (modulus - model.near[0]) ** 2 / variance
    step = MODULUS[1] - MODULUS[0]
    at = jnp.clip((modulus - MODULUS[0]) / step, 0.0, len(MODULUS) - 1.001)
    cell = at.astype(jnp.int32)
    part, density = at - cell, jnp.zeros_like(x[0])
    here = jnp.sum(weight.T * of_modulus(model.near[0], model.modulus), axis=-1).T
    for share, column in zip(weight, model.modulus.T, strict=True):
        low = column[cell]
        density = density + share * (low + part * (column[cell + 1] - low))
    near = jnp.log(here + 1e-30) + gauss
    return total + jnp.where(model.precise, near, jnp.log(density + 1e-30))


def tilted(model: Linear, place: Float[Array, "4"]) -> tuple[Array, Array, Array]:
    """(mean [3], covariance [3 3] of the labels, mean E(B-V)) given a member and the parallax."""
    y = model.start + model.slope @ (place - model.at)
    wide = model.covariance[3, 3]
    centre, variance = model.near
    low, high = (jnp.sum(of_modulus(y[3] + d, model.modulus), axis=-1) for d in (-0.05, 0.05))
    climb = jnp.clip(wide * jnp.log(high / low) / 0.1, -2 * jnp.sqrt(wide), 2 * jnp.sqrt(wide))
    narrow = wide * variance / (wide + variance)
    shift = jnp.where(model.precise, (centre - y[3]) * wide / (wide + variance), climb)
    left = jnp.where(model.precise, narrow, wide)
    gain = model.covariance[:, 3] / wide
    covariance = model.covariance + (left - wide) * jnp.outer(gain, gain)
    moved = y + gain * shift
    return model.at[:3] + moved[:3], covariance[:3, :3], moved[4]


def kernel_for(spread: Array | None = None) -> Array:
    """[4] kernel of members, widened by the spread of cells if it is given."""
    kernel = jnp.array([*KERNEL, 0.0])
    return kernel if spread is None else jnp.sqrt(kernel**2 + spread**2)
