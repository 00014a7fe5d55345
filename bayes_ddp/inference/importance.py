"""Draws of the exact posterior of every star: the best fit's Gaussian, re-weighted and adapted.

The likelihood is compressed at the best fit (``compress``), so thousands of draws cost
milliseconds. Proposals are Gaussians: the Laplace approximation first, then twice the moments of
what has been drawn so far; all draws are weighted with the mixture of the proposals (Cornuet et
al. 2012) and the largest weights smoothed (PSIS: Vehtari et al. 2024). Where the weights say that
no Gaussian holds the posterior, the star gets Markov chains instead (``chains``), started from
the re-weighted draws. Stars are worked on one by one: a star's draws do not depend on its batch.
"""

from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from arviz_stats.base import array_stats
from jaxtyping import Array
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from bayes_ddp.flags import WARN
from bayes_ddp.inference.compress import Compressed, compress
from bayes_ddp.inference.forward import StarData
from bayes_ddp.inference.hmc import CHAINS, nested_rhat, run_chains
from bayes_ddp.inference.laplace import fit_stars, summarise
from bayes_ddp.inference.model import star_model
from bayes_ddp.inference.nuts import RHAT_LIMIT, chain_diagnostics
from bayes_ddp.inference.posterior import QUANTILES, Posterior, blank, weighted_quantiles
from bayes_ddp.inference.problem import Problem

__all__ = ["Exact"]

_ROUNDS = 3
_PER_ROUND = 1024
_SHARE = 0.1
"""Least effective share of a round's draws that the next proposal is made from."""
_KEEP_UNIT = 0.1
"""Part of the first proposal's covariance in each later one: it cannot collapse."""
_MAX_K, _MIN_ESS = 0.5, 400.0


class Weighted(NamedTuple):
    """Draws of one star in whitened coordinates, with their weights.

    z : [draw parameter]; log_weight : [draw]. centre, root : of the last proposal.
    """

    z: Array
    log_weight: Array
    centre: Array
    root: Array


def log_posterior(
    problem: Problem, star: StarData, like: Compressed, points: tuple[Array, Array]
) -> Array:
    """Ln of posterior density (unnormalised) of one star.

    points : (parameters, parameters of the reference), both [parameter].
    """
    q, reference = points
    free, velocity, width = problem.split(q)
    _, at_velocity, at_width = problem.split(reference)
    change = like.log_likelihood(
        problem.prior.constrain(free), velocity - at_velocity, width - at_width
    )
    nuisance = q[problem.free :]
    pull = jnp.sum(problem.nuisance_precision(star) * nuisance**2)
    return change + problem.prior.log_prob_free(free) - 0.5 * pull


@eqx.filter_jit
def _compressed(problem: Problem, star: StarData, q: Array) -> Compressed:
    return compress(star_model(problem, star, q))


def _log_normal(z: Array, centre: Array, root: Array) -> Array:
    """Ln density up to a constant, [draw]."""
    scaled = jax.scipy.linalg.solve_triangular(root, (z - centre).T, lower=True)
    return -0.5 * jnp.sum(scaled**2, axis=0) - jnp.sum(jnp.log(jnp.diagonal(root)))


def _moments(z: Array, log_weight: Array) -> tuple[Array, Array]:
    """(centre, root) of the next proposal: moments under weights tempered to a fair ESS."""
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
def _weigh(
    problem: Problem, star: StarData, like: Compressed, at: tuple[Array, Array, Array]
) -> Weighted:
    """Adaptive importance sampling; at : (best fit, root of its covariance, key)."""
    q, root, key = at
    size = problem.size

    def density(z: Array) -> Array:
        return log_posterior(problem, star, like, (q + root @ z, q))

    def one_round(carry: tuple, i: Array) -> tuple[tuple, tuple]:
        z, target, centres, roots = carry
        noise = jax.random.normal(jax.random.fold_in(key, i), (_PER_ROUND, size))
        drawn = centres[i] + noise @ roots[i].T
        z, target = z.at[i].set(drawn), target.at[i].set(jax.vmap(density)(drawn))
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

    start = (
        jnp.zeros((_ROUNDS, _PER_ROUND, size)),
        jnp.full((_ROUNDS, _PER_ROUND), -jnp.inf),
        jnp.zeros((_ROUNDS, size)),
        jnp.broadcast_to(jnp.eye(size), (_ROUNDS, size, size)),
    )
    carry, (weight, centre, spread) = jax.lax.scan(one_round, start, jnp.arange(_ROUNDS))
    return Weighted(carry[0].reshape(-1, size), weight[-1], centre[-1], spread[-1])


@eqx.filter_jit
def _physical(problem: Problem, q: Array) -> tuple[Array, Array, Array]:
    """Labels, velocity and LSF factors of parameters [draw parameter]."""

    def one(x: Array) -> tuple[Array, Array, Array]:
        free, velocity, width = problem.split(x)
        return problem.prior.constrain(free), velocity, width

    return jax.vmap(one)(q)


def systematic(weight: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """[number] indices drawn with ``weight`` [draw] (sum 1): systematic resampling, shuffled."""
    places = (np.arange(number) + rng.random()) / number
    chosen = np.searchsorted(np.cumsum(weight), places).clip(max=len(weight) - 1)
    return rng.permutation(chosen)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Exact:
    """``kind = "exact"``: the exact posterior, by importance or, where that fails, by chains.

    ``draws`` equally weighted draws are kept a star; mean, covariance and the quantiles of a
    catalogue are of all that were made.
    """

    draws: Annotated[int, Field(ge=2, le=3072)] = 256
    kind: Literal["exact"] = "exact"
    diagnostics: ClassVar[tuple[str, ...]] = ("khat", "rhat", "ess", *QUANTILES)

    def __call__(self, problem: Problem, stars: StarData, keys: Array) -> Posterior:
        """Posterior of a batch; keys [star]. Stars without a best fit stay NaN.

        Raises ValueError for an emulator without a low-rank basis.
        """
        fit = fit_stars(problem, stars)
        result = _room(summarise(problem, fit, keys, number=2), self.draws)
        for i in np.flatnonzero(np.asarray(fit.positive)):
            star = jax.tree.map(lambda x, at=int(i): x[at], stars)
            drawn = sample_star(problem, star, (fit.q[i], fit.covariance[i], keys[i]))
            _write(result, int(i), drawn, self.draws)
        return result


class Drawn(NamedTuple):
    """One star's posterior: labels [draw label], velocity [draw], width [draw arm], weights.

    weight : [draw], sum 1. khat : Pareto k of the importance weights. rhat : largest nested
    R-hat of a label, NaN without chains. ess : least effective number of draws. seed : for what
    NumPy draws.
    """

    labels: np.ndarray
    velocity: np.ndarray
    width: np.ndarray
    weight: np.ndarray
    khat: float
    rhat: float
    ess: float
    seed: int


def sample_star(problem: Problem, star: StarData, at: tuple[Array, Array, Array]) -> Drawn:
    """The posterior of one star.

    at : (best fit [parameter], its covariance, random key).
    """
    q, covariance, key = at
    weigh_key, chain_key, seed_key = jax.random.split(key, 3)
    seed = int(jax.random.randint(seed_key, (), 0, 2**31 - 1))
    unit = jnp.sqrt(jnp.diagonal(covariance))
    root = unit[:, None] * jnp.linalg.cholesky(covariance / jnp.outer(unit, unit))
    like = _compressed(problem, star, q)
    drawn = _weigh(problem, star, like, (q, root, weigh_key))
    # psislw takes ln L of a left-out point, whose negative is the log weight
    smoothed, khat = array_stats.psislw(-np.asarray(drawn.log_weight))
    weight = np.exp(smoothed - smoothed.max())
    weight /= weight.sum()
    ess, rhat, z = 1 / np.sum(weight**2), np.nan, drawn.z
    trusted = khat < _MAX_K and ess >= _MIN_ESS  # not where k is NaN
    if not trusted:
        first = systematic(weight, CHAINS, np.random.default_rng(seed))
        path = _chains(problem, star, like, (q, root, drawn, first, chain_key))
        z = path.reshape(-1, path.shape[-1])
        weight = np.full(len(z), 1 / len(z))
    labels, velocity, width = map(np.asarray, _physical(problem, q + z @ root.T))
    if not trusted:
        by_chain = labels.reshape(CHAINS, -1, labels.shape[1])
        rhat = float(np.nanmax(nested_rhat(by_chain)))
        ess = float(np.nanmin(chain_diagnostics(labels, CHAINS)[1]))
    return Drawn(labels, velocity, width, weight, float(khat), rhat, float(ess), seed)


@eqx.filter_jit
def _chains(
    problem: Problem, star: StarData, like: Compressed, at: tuple[Array, Array, Weighted, Any, Any]
) -> Array:
    """[chain step parameter], chains in the coordinates of the first proposal."""
    q, root, drawn, first, key = at

    def density(y: Array) -> Array:
        z = drawn.centre + drawn.root @ y
        return log_posterior(problem, star, like, (q + root @ z, q))

    start = jax.scipy.linalg.solve_triangular(
        drawn.root, (drawn.z[first] - drawn.centre).T, lower=True
    ).T
    path, _ = run_chains(density, start, key)
    return drawn.centre + path @ drawn.root.T


def _room(laplace: Posterior, number: int) -> Posterior:
    """The Laplace posterior with room for ``number`` draws and the sampler's diagnostics."""
    count, size = laplace.mean.shape
    return replace(
        laplace,
        draws=np.full((number, count, size), np.nan),
        log_weight=np.zeros((number, count)),
        mean=laplace.mean.copy(), covariance=laplace.covariance.copy(),
        velocity=laplace.velocity.copy(), lsf=laplace.lsf.copy(), warn=laplace.warn.copy(),
        diagnostics=blank(laplace.names, count, 0, diagnostics=Exact.diagnostics).diagnostics,
    )  # fmt: skip


def _write(result: Posterior, star: int, drawn: Drawn, number: int) -> None:
    """Put one star's posterior into its row."""
    weight = drawn.weight
    kept = systematic(weight, number, np.random.default_rng(drawn.seed + 1))
    result.draws[:, star] = drawn.labels[kept]
    result.mean[star] = weight @ drawn.labels
    away = drawn.labels - result.mean[star]
    result.covariance[star] = (away.T * weight) @ away
    centre = weight @ drawn.velocity
    result.velocity[star] = centre, np.sqrt(weight @ (drawn.velocity - centre) ** 2)
    result.lsf[star] = weight @ drawn.width
    for name in ("khat", "rhat", "ess"):
        result.diagnostics[name][star] = getattr(drawn, name)
    quantiles = weighted_quantiles(drawn.labels, weight, tuple(QUANTILES.values()))
    for name, values in zip(QUANTILES, quantiles, strict=True):
        result.diagnostics[name][star] = values
    result.warn[star] |= int(WARN.HIGH_RHAT) if drawn.rhat > RHAT_LIMIT else 0
    result.warn[star] |= int(WARN.LOW_ESS) if drawn.ess < _MIN_ESS else 0
