"""Rounds of importance sampling: stars whose effective sample size is too low get more proposals.

The proposals of the first round are linear about the labels. Where photometry and parallax move
the labels far, few of them matter. A further round is linear about the mean of the rounds before,
and its draws are added to theirs in proportion to the total weight of each round. All rounds are
the same compiled program.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from bayes_ddp.galaxy.members import Model
from bayes_ddp.galaxy.observed import Observed
from bayes_ddp.galaxy.proposal import Pair
from bayes_ddp.galaxy.sample import Sampled, Start, first_start, sample_star

__all__ = ["ENOUGH", "MOST", "sample_rounds"]

ENOUGH = 100.0
"""Effective sample size below which a star gets another round."""

MOST = 12
"""Largest number of rounds."""

_BATCH = {"cpu": 8}
"""Stars per call; on a CPU, more would leave the cache of a core."""

_BATCH_ELSEWHERE = 256
_PER_DRAW = ("core", "log_mass", "age", "modulus", "ebv", "ratio", "magnitude", "shift", "chi2")
_FEWEST_PAIRS = 0.1
"""Fraction of draws with a companion from which proposals of pairs follow those draws."""
_GREY, _COLOUR = 0.08, 0.01  # mag, added to the scatter of companions among the draws


def sample_rounds(stars: Observed, model: Model, keys: jax.Array, *, draws: int) -> Sampled:
    """Draws of stars, [star draw], as NumPy arrays; ``ess`` and weights are those of all rounds.

    The rounds of a star depend on its own data and key alone.
    """
    start = jax.tree.map(np.array, jax.vmap(first_start)(stars))
    total: Sampled = _call(stars, model, keys, start=start, draws=draws)
    for number in range(1, MOST):
        low = np.flatnonzero(total.ess < ENOUGH)
        if not len(low):
            break
        some = jax.tree.map(lambda x, rows=low: x[rows], total)
        usual = jax.tree.map(lambda x, rows=low: x[rows], start)
        again = jax.vmap(lambda key, n=number: jax.random.fold_in(key, n))(keys[low])
        batch = jax.tree.map(lambda x, rows=low: x[rows], stars)
        more = _call(batch, model, again, start=next_start(some, usual), draws=draws)
        pooled = _pooled(some, more, number)
        for name, values in zip(Sampled._fields, pooled, strict=True):
            getattr(total, name)[low] = values
    return total


def next_start(found: Sampled, usual: Start) -> Start:
    """[star], where the draws of earlier rounds lie; ``usual`` is the start of the first round."""
    at = np.concatenate([found.core, found.log_mass[..., None], found.ebv[..., None]], axis=-1)
    paired = (found.ratio > 0).astype(float)
    follow = paired.mean(axis=1) >= _FEWEST_PAIRS

    def chosen(weight: np.ndarray, other: Pair) -> Pair:
        some = follow[:, None]
        now = _companions_of(found.shift, np.where(some, weight, 1.0))
        shift = jnp.where(some, now.shift, other.shift)
        return Pair(shift, jnp.where(some[..., None], now.covariance, other.covariance))

    every = np.ones_like(paired)
    return Start(at.mean(axis=1), chosen(paired, usual.pair), chosen(every, usual.either))


def _companions_of(shift: np.ndarray, weight: np.ndarray) -> Pair:
    """Mean and covariance of shifts [star draw band] with weights [star draw], widened."""
    share = weight / weight.sum(axis=1, keepdims=True)
    mean = np.einsum("sd,sdb->sb", share, shift)
    away = shift - mean[:, None]
    covariance = np.einsum("sd,sdb,sdc->sbc", share, away, away)
    covariance += _GREY**2 + _COLOUR**2 * np.eye(mean.shape[1])
    return Pair(jnp.asarray(mean), jnp.asarray(covariance))


def _call(stars: Observed, model: Model, keys: jax.Array, *, start: Start, draws: int) -> Sampled:
    """One round of any number of stars, in calls of one size, so that one program is compiled."""
    size = _BATCH.get(jax.default_backend(), _BATCH_ELSEWHERE)
    parts = []
    number = len(start.at)
    for done in range(0, number, size):
        rows = np.minimum(np.arange(done, done + size), number - 1)
        batch, where = jax.tree.map(lambda x, rows=rows: jnp.asarray(x)[rows], (stars, start))
        found = _sampled(batch, model, keys[rows], start=where, draws=draws)
        kept = number - done
        parts.append(jax.tree.map(lambda x, kept=kept: np.array(x[:kept]), found))
    whole: Sampled = jax.tree.map(lambda *each: np.concatenate(each), *parts)
    return whole


def _pooled(first: Sampled, second: Sampled, number: int) -> Sampled:
    """``number`` rounds and one more, [star].

    The draws of a round are taken in proportion to the sum of its weights. Draw i of the result
    is draw i of one of them, so that repeats do not add up.
    """
    sums = np.stack([first.log_evidence + np.log(number), second.log_evidence])
    top = np.max(np.where(np.isfinite(sums), sums, -np.inf), axis=0)
    whole = np.exp(sums - np.where(np.isfinite(top), top, 0.0))
    whole = np.where(np.isfinite(whole), whole, 0.0)
    share = whole[1] / np.maximum(whole.sum(axis=0), 1e-300)
    draws = first.modulus.shape[1]
    # every draw of the second round has the same chance; golden-ratio steps spread them evenly
    place = (np.arange(draws) * 0.6180339887498949) % 1.0
    use = place[None] < share[:, None]
    found = {}
    for name in _PER_DRAW:
        a, b = getattr(first, name), getattr(second, name)
        found[name] = np.where(use.reshape(*use.shape, *[1] * (a.ndim - 2)), b, a)
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = whole[0] ** 2 / first.ess + np.where(whole[1] > 0, whole[1] ** 2 / second.ess, 0)
        ess = np.where(whole[0] > 0, whole.sum(axis=0) ** 2 / squares, second.ess)
        evidence = np.log(whole.sum(axis=0) / (number + 1)) + top
    pair = np.where(whole[0] > 0, (1 - share) * first.pair + share * second.pair, second.pair)
    return Sampled(ess=ess, pair=pair, log_evidence=evidence, **found)


@partial(jax.jit, static_argnames="draws")
def _sampled(
    stars: Observed, model: Model, keys: jax.Array, *, start: Start, draws: int
) -> Sampled:
    result: Sampled = jax.vmap(
        lambda star, key, at: sample_star(star, model, key, start=at, draws=draws)
    )(stars, keys, start)
    return result
