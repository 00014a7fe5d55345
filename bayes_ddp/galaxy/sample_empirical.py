"""Weighted draws of one star's labels, distance and extinction with empirical magnitudes.

    N(core | labels) p(mu | [M/H], line of sight) p(E | mu) p(companion | core)
        N(magnitudes | core, companion, mu, E) N(parallax | mu)

By default the labels are those of the spectrum alone, as a Gaussian of (ln Teff, log g, [M/H]),
and isochrones and Galaxy are the prior of core and mu, as with stellar evolution. Labels may keep
their own prior instead; the prior of mu is that of stars of this [M/H], normalised for each. The
intrinsic scatter correlates the bands. Labels are proposed from the Gaussian posterior of a linear
model that has seen magnitudes, dust and parallax, as single and as pair, and some from the labels
alone; weights are exact. A star with a low effective sample size gets a second round, in which
the latter are proposed about the draws of the first.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayes_ddp.galaxy.bolometric import BolometricTable, load_bolometric_table
from bayes_ddp.galaxy.companions import RATIOS
from bayes_ddp.galaxy.distance import record_of, star_keys
from bayes_ddp.galaxy.empirical import Calibration, Empirical
from bayes_ddp.galaxy.integral import (
    Bands,
    Nodes,
    draw_modulus,
    draw_reddening,
    integrand,
    parallax_alone,
)
from bayes_ddp.galaxy.label_density import LabelDensity
from bayes_ddp.galaxy.members import systematic
from bayes_ddp.galaxy.observed import MODULUS, Observed, of_modulus
from bayes_ddp.galaxy.populations import POPULATIONS
from bayes_ddp.galaxy.records import DistancePosterior
from bayes_ddp.galaxy.rounds import ENOUGH
from bayes_ddp.galaxy.sample import Sampled
from bayes_ddp.inference.problem import require_float64

__all__ = ["OUTSIDE", "sample_empirical"]

OUTSIDE = "outside"
"""Diagnostic: share of the draws where there are no control stars."""

_PROPOSALS = (208, 144, 160)
"""From the linear model of single stars, of pairs, and from the labels alone."""

_MORE = 3
"""Times as many where isochrones are the prior, which the proposals do not see."""

_AT_LEAST = 0.15  # of the errors of the labels, added to the width of the second round
_WIDER = 1.3  # of the covariance of proposals
_TYPICAL_PAIR = -0.4  # mag
_BATCH = 32


class _Star(NamedTuple):
    """precision : [band band], inverse covariance of magnitudes at given labels, 0 where not used.
    scatter : [band band], its intrinsic part. alone : mean, variance of the modulus by parallax.
    near : mean and covariance of labels that are proposed without a linear model.
    """

    data: Observed
    precision: Array
    scatter: Array
    alone: tuple[Array, Array]
    near: tuple[Array, Array]


def sample_empirical(
    ids: np.ndarray,
    stars: Observed,
    calibration: Calibration,
    *,
    density: LabelDensity | None = None,
    draws: int = 256,
    seed: int = 1,
) -> DistancePosterior:
    """Equally weighted joint draws, as ``distance.sample_distances``; mass and age are NaN.

    stars : finite, with a leading star axis. density : prior of the labels in each population.
    Without one, ``core`` and ``precision`` are those of the posterior of the labels, prior
    included. Diagnostics: those of ``sample_distances`` and ``outside``.

    Raises RuntimeError without float64.
    """
    require_float64()
    model, table = calibration.model, load_bolometric_table(calibration.law)
    keys = star_keys(ids, seed)
    near = (stars.core, jnp.linalg.inv(stars.precision))
    call = partial(_called, model=model, table=table, density=density, draws=draws)
    whole, outside = call(stars, keys, near=near)
    low = np.flatnonzero(whole.ess < ENOUGH)
    if len(low):
        some = jax.tree.map(lambda x: jnp.asarray(x)[low], stars)
        again = jax.vmap(lambda key: jax.random.fold_in(key, 1))(keys[low])
        spread = near[1][low] * _AT_LEAST**2 + _covariance(whole.core[low])
        more, away = call(some, again, near=(jnp.asarray(whole.core[low].mean(axis=1)), spread))
        better = more.ess > whole.ess[low]
        for old, new in zip((*whole, outside), (*more, away), strict=True):
            old[low[better]] = new[better]
    record = record_of(ids, whole)
    record.diagnostics[OUTSIDE] = outside
    known = np.asarray(model.known)
    for name, band in (("m_g", 0), ("m_ks", 5)):
        if not known[band]:
            record.quantities[name] = np.full_like(record[name], np.nan)
    return record


def _covariance(core: np.ndarray) -> np.ndarray:
    """[star 3 3] of draws [star draw 3]."""
    away = core - core.mean(axis=1, keepdims=True)
    result: np.ndarray = np.einsum("sda,sdb->sab", away, away) / core.shape[1]
    return result


def _called(
    stars: Observed,
    keys: Array,
    *,
    near: tuple[Array, Array],
    model: Empirical,
    table: BolometricTable,
    density: LabelDensity | None,
    draws: int,
) -> tuple[Sampled, np.ndarray]:
    """One round of any number of stars, in calls of one size, as NumPy arrays."""
    number, parts = len(keys), []
    for done in range(0, number, _BATCH):
        rows = np.minimum(np.arange(done, done + _BATCH), number - 1)
        batch, about = jax.tree.map(lambda x, rows=rows: jnp.asarray(x)[rows], (stars, near))
        found = _sampled(
            batch, model, table, keys=keys[rows], near=about, density=density, draws=draws
        )
        kept = number - done
        parts.append(jax.tree.map(lambda x, kept=kept: np.array(x[:kept]), found))
    whole: tuple[Sampled, np.ndarray] = jax.tree.map(lambda *each: np.concatenate(each), *parts)
    return whole


@partial(jax.jit, static_argnames="draws")
def _sampled(
    stars: Observed,
    model: Empirical,
    table: BolometricTable,
    *,
    keys: Array,
    near: tuple[Array, Array],
    density: LabelDensity | None,
    draws: int,
) -> tuple[Sampled, Array]:
    def one(star: Observed, key: Array, about: tuple[Array, Array]) -> tuple[Sampled, Array]:
        prepared = _prepared(star, model, about)
        return _sample(prepared, model, table, key=key, density=density, draws=draws)

    result: tuple[Sampled, Array] = jax.vmap(one)(stars, keys, near)
    return result


def _prepared(star: Observed, model: Empirical, near: tuple[Array, Array]) -> _Star:
    used = (star.ivar > 0) & model.known
    both = used[:, None] & used[None]
    scatter = model.covariance(star.core)
    noise = jnp.where(used, 1 / jnp.where(used, star.ivar, 1.0), 1.0)
    total = jnp.where(both, scatter, 0.0) + jnp.diag(noise)
    precision = jnp.where(both, jnp.linalg.inv(total), 0.0)
    return _Star(star, precision, scatter, parallax_alone(star), near)


def _sample(
    star: _Star,
    model: Empirical,
    table: BolometricTable,
    *,
    key: Array,
    density: LabelDensity | None,
    draws: int,
) -> tuple[Sampled, Array]:
    keys = jax.random.split(key, 4)
    times = 1 if density is None else _MORE
    core, log_density, ebv = _propose(star, model, table, key=keys[0], times=times)
    light = jax.vmap(model.magnitudes)(core)
    dimmed, slope = jax.vmap(table.extinction, (0, None))(core, ebv)
    none = star.data.magnitude - light - (dimmed - slope * ebv)
    shift = jnp.concatenate([jnp.zeros((1, light.shape[1])), model.shift @ model.turn.T])
    used = jnp.any(star.precision != 0, axis=1)
    away = jnp.where(used, none[:, None] - shift, 0.0)  # [proposal kind band]
    correlated = jax.vmap(Bands.correlated, (0, None, None))
    bands = jax.vmap(correlated, (0, 0, None))(away, slope, star.precision)
    weight = _populations(star.data, core) if density is None else jax.vmap(density.at)(core)
    over_kinds = jax.vmap(lambda b, w: integrand(star.data, b, w, alone=star.alone), (0, None))
    nodes = jax.vmap(over_kinds)(bands, weight)
    per_kind = jax.nn.logsumexp(nodes.log, axis=2) + jax.vmap(model.log_shares)(core)
    lean = core - star.data.core
    log_labels = -0.5 * jnp.einsum("ni,ij,nj->n", lean, star.data.precision, lean)
    log_weight = jax.nn.logsumexp(per_kind, axis=1) + log_labels - log_density
    share = jax.nn.softmax(log_weight)
    chosen = systematic(jnp.cumsum(share), draws, jax.random.uniform(keys[1]))
    chosen = jax.random.permutation(keys[2], chosen)
    uniform = jax.random.uniform(keys[3], (draws, 4), minval=1e-7, maxval=1 - 1e-7)
    drawn = jax.vmap(lambda n, u: _draw(star.data, bands, nodes, log=per_kind, n=n, uniform=u))
    modulus, reddening, kind = drawn(chosen, uniform)
    residual = away[chosen, kind] - modulus[:, None] - slope[chosen] * reddening[:, None]
    unknown = jnp.full(draws, jnp.nan)
    found = Sampled(
        core=core[chosen],
        log_mass=unknown,
        age=unknown,
        modulus=modulus,
        ebv=reddening,
        ratio=jnp.asarray((0.0, *RATIOS))[kind],
        magnitude=light[chosen] + _own(star, residual, key=keys[0]),
        shift=shift[kind],
        ess=1 / jnp.sum(share**2),
        pair=share @ (1 - jax.nn.softmax(per_kind, axis=1)[:, 0]),
        log_evidence=jax.nn.logsumexp(log_weight) - np.log(len(share)),
        chi2=jnp.einsum("di,ij,dj->d", residual, star.precision, residual),
    )
    return found, 1 - jnp.mean(jax.vmap(model.inside)(core[chosen]))


def _own(star: _Star, residual: Array, *, key: Array) -> Array:
    """[draw band], deviation of each draw from the mean magnitudes, given its residuals."""
    gain = star.scatter @ star.precision
    value, vector = jnp.linalg.eigh(star.scatter - gain @ star.scatter)
    root = vector * jnp.sqrt(jnp.maximum(value, 0.0))
    noise = jax.random.normal(jax.random.fold_in(key, 1), residual.shape)
    return residual @ gain.T + noise @ root.T


def _populations(star: Observed, core: Array) -> Float[Array, "proposal population"]:
    """Weights of the populations for each [M/H], so that the density of moduli integrates to 1."""
    metals = [p.density_of_metals(core[:, 2], xp=jnp) for p in POPULATIONS]
    density = jnp.stack(metals, axis=1)
    whole = jnp.sum(star.tables.volume, axis=0) * (MODULUS[1] - MODULUS[0])
    return density / (density @ whole)[:, None]


def _propose(
    star: _Star, model: Empirical, table: BolometricTable, *, key: Array, times: int
) -> tuple[Array, Array, Array]:
    """(labels [proposal 3], ln of their density without constants, typical E(B-V))."""
    data = star.data
    linear = jax.vmap(lambda shift: _linear(star, model, table, shift=shift))
    centres, spreads, ebv = linear(jnp.array([0.0, _TYPICAL_PAIR]))
    means = jnp.concatenate([centres, star.near[0][None]])
    roots = jnp.linalg.cholesky(jnp.concatenate([_WIDER * spreads, star.near[1][None]]))
    numbers = [times * number for number in _PROPOSALS]
    noise = jax.random.normal(key, (sum(numbers), 3))
    which = np.repeat(np.arange(len(numbers)), numbers)
    core = means[which] + jnp.einsum("nij,nj->ni", roots[which], noise)
    logs = []
    for mean, root, number in zip(means, roots, numbers, strict=True):
        white = jax.scipy.linalg.solve_triangular(root, (core - mean).T, lower=True)
        size = jnp.sum(jnp.log(jnp.diagonal(root)))
        logs.append(np.log(number / sum(numbers)) - 0.5 * jnp.sum(white**2, axis=0) - size)
    own_size = -0.5 * jnp.linalg.slogdet(data.precision)[1]
    return core, jax.nn.logsumexp(jnp.stack(logs), axis=0) + own_size, ebv[0]


def _linear(
    star: _Star, model: Empirical, table: BolometricTable, *, shift: Array
) -> tuple[Array, Array, Array]:
    """(mean, covariance of the core, E(B-V)) in a model linear about its own mean, two steps."""
    data = star.data
    dust = of_modulus(star.alone[0], data.tables.dust)
    prior = jnp.zeros((5, 5)).at[:3, :3].set(data.precision)
    prior = prior.at[3, 3].set(1 / star.alone[1]).at[4, 4].set(dust[1] ** -2)
    mean = jnp.concatenate([data.core, star.alone[0][None], dust[:1]])

    def step(_: Any, at: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        core, ebv = at[0], at[2]
        light, turn = model.magnitudes(core), jax.jacfwd(model.magnitudes)(core)
        dimmed, slope = table.extinction(core, ebv)
        design = jnp.concatenate([turn, jnp.ones((len(light), 1)), slope[:, None]], axis=1)
        rest = data.magnitude - light + turn @ core - (dimmed - slope * ebv) - shift
        covariance = jnp.linalg.inv(prior + design.T @ star.precision @ design)
        found = covariance @ (prior @ mean + design.T @ star.precision @ rest)
        return found[:3], covariance[:3, :3], jnp.clip(found[4], 0.0, 3.0)

    start = (data.core, jnp.eye(3), jnp.zeros(()))
    result: tuple[Array, Array, Array] = jax.lax.fori_loop(0, 3, step, start)
    return result


def _draw(
    star: Observed, bands: Bands, nodes: Nodes, *, log: Array, n: Array, uniform: Array
) -> tuple[Array, Array, Array]:
    """(modulus, E(B-V), kind of companion) of one chosen proposal."""
    cumulated = jnp.cumsum(jax.nn.softmax(log[n]))
    kind = jnp.clip(jnp.searchsorted(cumulated, uniform[0]), 0, log.shape[1] - 1)
    own = jax.tree.map(lambda x: x[n, kind], nodes)
    modulus = draw_modulus(own, uniform[1:3])
    sums = jax.tree.map(lambda x: x[n, kind], bands)
    return modulus, draw_reddening(star, sums, modulus, uniform=uniform[3]), kind
