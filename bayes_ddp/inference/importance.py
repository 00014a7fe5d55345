"""Adaptive importance sampling of the exact posterior, with Markov chains as the alternative.

The proposals are Gaussian: first the Laplace approximation, then two Gaussians with the weighted
moments of the draws so far. All draws are weighted by the mixture of the proposals (Cornuet et al.
2012) and the largest weights are smoothed (PSIS: Vehtari et al. 2024). If the Pareto k or the
effective sample size shows that no Gaussian approximates the posterior, Markov chains (``hmc``)
are started from the re-weighted draws.

``draw`` takes any log density, so that tests can use densities with known moments. Stars are
sampled one by one: the draws of a star do not depend on its batch.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from arviz_stats.base import array_stats
from jaxtyping import Array, Float

from bayes_ddp.inference.chart import Chart
from bayes_ddp.inference.hmc import CHAINS, STEPS, SUPERCHAINS, run_chains, superchains
from bayes_ddp.inference.weights import systematic

__all__ = ["DRAWS", "MIN_ESS", "Drawn", "Gaussian", "draw"]

LogDensity = Callable[[Array], Array]
"""Ln density, up to a constant, of a vector [parameter]."""

_ROUNDS = 3
_PER_ROUND = 1024
_SHARE = 0.1
"""Smallest effective sample size, as a fraction of a round, for the moments of a proposal."""
_KEEP_UNIT = 0.1
"""Fraction of the first proposal's covariance in each later one, which prevents a collapse."""
_MAX_K, MIN_ESS = 0.5, 400.0

DRAWS = max(_ROUNDS * _PER_ROUND, CHAINS * STEPS)
"""Draws per star; if there are fewer, the others have weight 0."""


class Gaussian(NamedTuple):
    """mean [parameter], and a lower triangular root of the covariance [parameter parameter]."""

    mean: Float[Array, " parameter"]
    root: Float[Array, "parameter parameter"]


class Drawn(NamedTuple):
    """Weighted draws of one density.

    points : [draw parameter]. log_density : [draw]. weight : [draw], sum 1. khat : Pareto k of the
    importance weights. chains : whether the draws come from Markov chains.
    """

    points: Float[Array, "draw parameter"]
    log_density: Float[Array, " draw"]
    weight: np.ndarray
    khat: float
    chains: bool


_Round = tuple[Array, Array, Array, Array]
"""(z, ln density of the draws, centres, roots of the proposals), each with a first round axis."""


class _Weighted(NamedTuple):
    """Draws with importance weights.

    z : [draw parameter], coordinates in which the start is a unit normal. log_density,
    log_weight : [draw]. centre, root : of the last proposal.
    """

    z: Array
    log_density: Array
    log_weight: Array
    centre: Array
    root: Array


def draw(
    log_density: LogDensity, start: Gaussian, key: Array, *, chart: Chart | None = None
) -> Drawn:
    """Weighted draws of a density that ``start`` approximates.

    log_density : ln density of a vector [parameter]. A callable ``equinox.Module`` is compiled
    once for all densities of the same structure. chart : coordinates of the chains; the parameters
    themselves by default.
    """
    weigh_key, chain_key, seed_key = jax.random.split(key, 3)
    seed = int(jax.random.randint(seed_key, (), 0, 2**31 - 1))
    drawn = _weigh(log_density, start, weigh_key)
    # psislw expects the ln likelihood of a left-out point, the negative of the log weight
    smoothed, khat = array_stats.psislw(-np.asarray(drawn.log_weight))
    weight = np.exp(smoothed - smoothed.max())
    weight /= weight.sum()
    trusted = khat < _MAX_K and 1 / np.sum(weight**2) >= MIN_ESS  # False if k is NaN
    points, value = start.mean + drawn.z @ start.root.T, drawn.log_density
    if not trusted:
        if chart is None:
            free = jnp.full(len(start.mean), jnp.inf)
            chart = Chart(-free, free)
        first = superchains(systematic(weight, SUPERCHAINS, np.random.default_rng(seed)))
        around = _around(chart, points, drawn.log_weight, start=start)
        begin = points[first]
        points, value = _chains(log_density, chart, around, first=begin, key=chain_key)
        weight = np.full(len(points), 1 / len(points))
    return Drawn(points, value, weight, float(khat), not trusted)


def _log_normal(
    z: Float[Array, "draw parameter"],
    centre: Float[Array, " parameter"],
    root: Float[Array, "parameter parameter"],
) -> Float[Array, " draw"]:
    """[draw], ln density of the normal with this centre and root, up to a constant."""
    scaled = jax.scipy.linalg.solve_triangular(root, (z - centre).T, lower=True)
    return -0.5 * jnp.sum(scaled**2, axis=0) - jnp.sum(jnp.log(jnp.diagonal(root)))


def _moments(
    z: Float[Array, "draw parameter"], log_weight: Float[Array, " draw"]
) -> tuple[Float[Array, " parameter"], Float[Array, "parameter parameter"]]:
    """(centre, root) of the next proposal: moments with weights tempered to a sufficient ESS."""
    powers = jnp.linspace(1.0, 0.05, 20)
    raised = powers[:, None] * jnp.where(jnp.isfinite(log_weight), log_weight, -jnp.inf)
    share = jax.nn.softmax(raised, axis=1)
    fair = 1 / jnp.sum(share**2, axis=1) > _SHARE * _PER_ROUND
    weight = share[jnp.where(jnp.any(fair), jnp.argmax(fair), len(powers) - 1)]
    centre = weight @ z
    spread = ((z - centre).T * weight) @ (z - centre)
    mixed = (1 - _KEEP_UNIT) * spread + _KEEP_UNIT * jnp.eye(z.shape[1])
    return centre, jnp.linalg.cholesky(mixed)


@eqx.filter_jit
def _weigh(log_density: LogDensity, start: Gaussian, key: Array) -> _Weighted:
    """Adaptive importance sampling from ``start``."""
    size = len(start.mean)

    def one_round(carry: _Round, i: Array) -> tuple[_Round, tuple[Array, Array, Array]]:
        z, target, centres, roots = carry
        noise = jax.random.normal(jax.random.fold_in(key, i), (_PER_ROUND, size))
        drawn = centres[i] + noise @ roots[i].T
        values = jax.vmap(lambda x: log_density(start.mean + start.root @ x))(drawn)
        z, target = z.at[i].set(drawn), target.at[i].set(values)
        points = z.reshape(-1, size)
        each = jax.vmap(lambda c, r: _log_normal(points, c, r))(centres, roots)
        each = jnp.where(jnp.arange(_ROUNDS)[:, None] <= i, each, -jnp.inf)
        weight = target.reshape(-1) - jax.nn.logsumexp(each, axis=0)
        used = jnp.repeat(jnp.arange(_ROUNDS) <= i, _PER_ROUND)
        weight = jnp.where(used & jnp.isfinite(weight), weight, -jnp.inf)
        centre, spread = _moments(points, weight)
        following = jnp.minimum(i + 1, _ROUNDS - 1)
        last = i == _ROUNDS - 1
        centres = centres.at[following].set(jnp.where(last, centres[-1], centre))
        roots = roots.at[following].set(jnp.where(last, roots[-1], spread))
        return (z, target, centres, roots), (weight, centre, spread)

    first = (
        jnp.zeros((_ROUNDS, _PER_ROUND, size)),
        jnp.full((_ROUNDS, _PER_ROUND), -jnp.inf),
        jnp.zeros((_ROUNDS, size)),
        jnp.broadcast_to(jnp.eye(size), (_ROUNDS, size, size)),
    )
    carry, (weight, centre, spread) = jax.lax.scan(one_round, first, jnp.arange(_ROUNDS))
    z, value = carry[0].reshape(-1, size), carry[1].reshape(-1)
    return _Weighted(z, value, weight[-1], centre[-1], spread[-1])


@eqx.filter_jit
def _around(
    chart: Chart,
    points: Float[Array, "draw parameter"],
    log_weight: Float[Array, " draw"],
    *,
    start: Gaussian,
) -> Gaussian:
    """Moments of the weighted draws in the coordinates of a chart.

    They are computed in the scale of ``start`` and mixed with a tenth of its covariance.
    """
    z = chart.inverse(points)
    # the chart has no slope outside the box, where the start may be, but not the mean of the draws
    at = chart.inverse(jax.nn.softmax(log_weight) @ points)
    root = start.root * jnp.exp(-chart.log_slope(at))[:, None]
    scaled = jax.scipy.linalg.solve_triangular(root, (z - at).T, lower=True).T
    centre, spread = _moments(scaled, log_weight)
    return Gaussian(at + root @ centre, root @ spread)


@eqx.filter_jit
def _chains(
    log_density: LogDensity, chart: Chart, around: Gaussian, *, first: Array, key: Array
) -> tuple[Array, Array]:
    """Draws [chain step, parameter] and their ln density, chains concatenated.

    The chains start at ``first`` [chain parameter] and use coordinates of the chart in which
    ``around`` is a unit normal.
    """

    def slope(z: Array) -> Array:
        return jnp.sum(chart.log_slope(z))

    def density(y: Array) -> Array:
        z = around.mean + around.root @ y
        return log_density(chart.forward(z)) + slope(z)

    there = jax.scipy.linalg.solve_triangular(
        around.root, (chart.inverse(first) - around.mean).T, lower=True
    ).T
    chains = run_chains(density, there, key)
    z = (around.mean + chains.path @ around.root.T).reshape(-1, len(around.mean))
    return chart.forward(z), chains.log_density.reshape(-1) - jax.vmap(slope)(z)
