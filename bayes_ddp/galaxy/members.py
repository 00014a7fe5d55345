"""Members of the library that proposals of one star are drawn about.

Cells of the library are chosen by systematic sampling in proportion to a power of their evidence,
and members by their evidence within the chosen cells.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bayes_ddp.galaxy.bolometric import BolometricTable
from bayes_ddp.galaxy.companions import Companions
from bayes_ddp.galaxy.library import Library
from bayes_ddp.galaxy.observed import Observed
from bayes_ddp.galaxy.proposal import Linear, Pair, evidence, kernel_for, linearise

__all__ = ["PROPOSALS", "Choice", "Model", "choose", "choose_cells", "columns", "systematic"]

PICKED = 320
"""Cells of the library that are looked into."""

PROPOSALS = 128
"""Proposals of each kind."""

_TEMPER = 0.7  # power of the evidence by which cells are chosen


class Model(eqx.Module):
    """What all stars share: the joint prior, the light of stars, and that of companions.

    shares : [1 + ratio], prior probability of no companion and of each mass ratio.
    """

    library: Library
    table: BolometricTable
    companions: Companions
    shares: Float[Array, " kind"]


class Choice(NamedTuple):
    """Members of the library that one kind of proposal chose, and what they were chosen from."""

    model: Linear
    log_total: Array
    cell: Array
    member: Array


def choose_cells(
    star: Observed, model: Model, *, at: Array, ebv: Array, pair: Pair, uniform: Array
) -> tuple[Array, Array]:
    """(cells of the library, the probability with which each was chosen); pair : of all stars."""
    library = model.library
    coarse = kernel_for(library.spread)
    rough = linearise(star, model.table, at, ebv=ebv, kernel=coarse, pair=pair)
    single = jax.tree.map(lambda x: x.astype(jnp.float32) if x.dtype == float else x, rough)
    log_score = _TEMPER * evidence(single, library.centre, library.total)
    score = jnp.exp(log_score - jnp.max(log_score))
    chance = _inclusion(score)
    cells = systematic(jnp.cumsum(chance) / jnp.sum(chance), PICKED, uniform)
    return cells, chance[cells].astype(float)


def choose(
    star: Observed,
    model: Model,
    cells: tuple[Array, Array],
    *,
    at: Array,
    ebv: Array,
    pair: Pair,
    uniform: Array,
) -> Choice:
    """Members of the chosen cells for one kind of proposal."""
    library, (cell, chance) = model.library, cells
    fine = linearise(star, model.table, at, ebv=ebv, kernel=kernel_for(), pair=pair)
    found = evidence(fine, columns(library.place[cell]), columns(library.weight[cell]))
    log = (found - jnp.log(chance)[:, None]).ravel()
    total = jax.nn.logsumexp(log)
    picked = systematic(jnp.cumsum(jnp.exp(log - total)), PROPOSALS, uniform)
    size = found.shape[1]
    return Choice(fine, total, cell[picked // size], picked % size)


def columns(rows: Array) -> Array:
    """The last axis first, as ``evidence`` takes it."""
    return jnp.moveaxis(rows, -1, 0)


def _inclusion(score: Array) -> Array:
    """[cell] probability, in proportion to ``score`` but at most 1, that sums to ``PICKED``."""

    def step(_: Array | int, scale: Array) -> Array:
        certain = scale * score >= 1
        rest = jnp.maximum(jnp.sum(jnp.where(certain, 0.0, score)), 1e-300)
        return jnp.maximum(PICKED - jnp.sum(certain), 1.0) / rest

    scale = jax.lax.fori_loop(0, 6, step, PICKED / jnp.sum(score))
    return jnp.clip(scale * score, 1e-12, 1.0)


def systematic(cumulated: Array, number: int, uniform: Array) -> Array:
    """[number] indices by systematic sampling from a cumulated probability."""
    points = (jnp.arange(number) + uniform) / number * cumulated[-1]
    found = jnp.searchsorted(cumulated, points, method="scan")
    return jnp.clip(found, 0, len(cumulated) - 1)
