"""Weighted draws of one star's labels, mass, distance and extinction: importance sampling.

Cells of the library are chosen in proportion to a power of their evidence, members by their
evidence within the chosen cells, and labels from the member's Gaussian (``proposal``). Half of the
proposals take the star as single, half as a pair. The weight of each is the exact density over
the density it was drawn from; the integral over distance and E(B-V) for each mass ratio is that of
``integral``. Everything is one function of one star, batched by ``vmap``.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bayes_ddp.galaxy.companions import RATIOS
from bayes_ddp.galaxy.integral import (
    Bands,
    Nodes,
    draw_modulus,
    draw_reddening,
    integrand,
    parallax_alone,
)
from bayes_ddp.galaxy.library import KERNEL
from bayes_ddp.galaxy.members import PROPOSALS, Model, choose, choose_cells, columns, systematic
from bayes_ddp.galaxy.observed import Observed
from bayes_ddp.galaxy.proposal import Pair, evidence, tilted

__all__ = ["Sampled", "Start", "first_start", "sample_star"]

_WIDER = 1.25  # of the covariance of proposals


Values = Any  # JAX arrays inside jit, NumPy arrays outside


class Start(NamedTuple):
    """What the proposals of a star assume; how efficient they are depends on it, nothing else.

    at : (ln Teff, log g, [M/H], log10 mass, E(B-V)) about which magnitudes are linear. pair :
    effect of companions in proposals of pairs. either : the same, of single stars and pairs.
    """

    at: Values
    pair: Pair
    either: Pair


class Sampled(NamedTuple):
    """Equally weighted draws of one star, [draw], and figures of the sampler.

    core : [draw 3]. log_mass : log10 Msun. age : Gyr. modulus, ebv : mag. ratio : mass ratio, 0
    without a companion. magnitude : [draw band], absolute, of the primary. shift : [draw band],
    mag, effect of the companion. ess : effective number of proposals. pair : probability of a
    companion. log_evidence : ln of the mean weight. chi2 : [draw] of the magnitudes.
    """

    core: Values
    log_mass: Values
    age: Values
    modulus: Values
    ebv: Values
    ratio: Values
    magnitude: Values
    shift: Values
    ess: Values
    pair: Values
    log_evidence: Values
    chi2: Values


class _Light(NamedTuple):
    """Light of proposals: [proposal band] of the primary, and sums over bands [proposal kind].

    shift : [proposal kind band], mag, effect of the companion.
    """

    magnitude: Array
    shift: Array
    bands: Bands
    inside: Array


class _Proposed(NamedTuple):
    """Proposals of one star, [proposal]: labels, and the member of the library of each.

    log_density : ln of the density that they were drawn from. ebv : E(B-V) of the star, roughly.
    """

    core: Array
    log_density: Array
    place: Array
    weight: Array
    initial_mass: Array
    log_age: Array
    ebv: Array


def first_start(star: Observed) -> Start:
    """Of the first round: the labels, log10 mass 0, the dust of the map, and usual companions."""
    ebv = star.tables.dust[len(star.tables.dust) // 2, 0]
    at = jnp.concatenate([star.core, jnp.zeros(1), ebv[None]])
    pair = Pair.usual(-0.45, grey=0.25, colour=0.03)
    return Start(at, pair, either=Pair.usual(-0.2, grey=0.2, colour=0.02))


def sample_star(star: Observed, model: Model, key: Array, *, start: Start, draws: int) -> Sampled:
    """Draws of one star; ``key`` decides all of its random numbers."""
    keys = jax.random.split(key, 4)
    proposed = _propose(star, model, keys[0], start=start)
    light = _light(star, model, proposed)
    alone = parallax_alone(star)
    over_kinds = jax.vmap(lambda b, w: integrand(star, b, w, alone=alone), (0, None))
    nodes = jax.vmap(over_kinds)(light.bands, proposed.weight)
    per_kind = jax.nn.logsumexp(nodes.log, axis=2) + jnp.log(model.shares)
    log_weight = jax.nn.logsumexp(per_kind, axis=1) - proposed.log_density
    log_weight = log_weight + _log_labels(proposed.core, proposed.place, star)
    log_weight = jnp.where(light.inside, log_weight, -jnp.inf)
    share = jax.nn.softmax(log_weight)
    chosen = systematic(jnp.cumsum(share), draws, jax.random.uniform(keys[1]))
    chosen = jax.random.permutation(keys[2], chosen)
    uniform = jax.random.uniform(keys[3], (draws, 4), minval=1e-7, maxval=1 - 1e-7)
    drawn = jax.vmap(
        lambda n, u: _draw(star, light, nodes, per_kind=per_kind, chosen=n, uniform=u)
    )(chosen, uniform)
    return Sampled(
        core=proposed.core[chosen],
        log_mass=proposed.place[chosen, 3],
        age=10 ** (proposed.log_age[chosen] - 9),
        modulus=drawn[0],
        ebv=drawn[1],
        ratio=drawn[2],
        magnitude=light.magnitude[chosen],
        shift=light.shift[chosen, drawn[4]],
        chi2=drawn[3],
        ess=1 / jnp.sum(share**2),
        pair=share @ (1 - jax.nn.softmax(per_kind, axis=1)[:, 0]),
        log_evidence=jax.nn.logsumexp(log_weight) - np.log(len(share)),
    )


def _propose(star: Observed, model: Model, key: Array, *, start: Start) -> _Proposed:
    """Proposals of both kinds, and the density of their mixture at each."""
    at, ebv = start.at[:4], start.at[4]
    keys = jax.random.split(key)
    first = jax.random.uniform(keys[0], (3,))
    single = jax.tree.map(jnp.zeros_like, start.pair)
    cells = choose_cells(star, model, at=at, ebv=ebv, pair=start.either, uniform=first[2])
    kinds = [
        choose(star, model, cells, at=at, ebv=ebv, pair=pair, uniform=first[i])
        for i, pair in enumerate((single, start.pair))
    ]
    cell = jnp.concatenate([kind.cell for kind in kinds])
    member = jnp.concatenate([kind.member for kind in kinds])
    place, weight = model.library.place[cell, member], model.library.weight[cell, member]
    noise = jax.random.normal(keys[1], (len(place), 3))
    each, log_density, reddening = [], [], []
    for kind in kinds:
        mean, covariance, e = jax.vmap(lambda p, k=kind: tilted(k.model, p))(place)
        each.append((mean, jnp.linalg.cholesky(_WIDER * covariance)))
        reddening.append(e)
    drawn = [mean + jnp.einsum("nij,nj->ni", root, noise) for mean, root in each]
    own = jnp.arange(len(place))[:, None] < PROPOSALS
    core = jnp.where(own, drawn[0], drawn[1])
    for kind, (mean, root) in zip(kinds, each, strict=True):
        found = evidence(kind.model, columns(place), columns(weight)) - kind.log_total
        log_density.append(found + _log_gauss(core - mean, root))
    return _Proposed(
        core=core,
        log_density=jax.nn.logsumexp(jnp.stack(log_density), axis=0),
        place=place,
        weight=weight,
        initial_mass=model.library.initial_mass[cell, member],
        log_age=model.library.log_age[cell, member],
        ebv=jnp.clip(jnp.mean(reddening[0]), 0.0, 3.0),
    )


def _log_gauss(away: Array, root: Array) -> Array:
    """[proposal], ln of a Gaussian without its constant; root : Cholesky factors."""
    whitened = jax.scipy.linalg.solve_triangular(root, away[..., None], lower=True)[..., 0]
    size = jnp.sum(jnp.log(jnp.diagonal(root, axis1=1, axis2=2)), axis=1)
    return -0.5 * jnp.sum(whitened**2, axis=1) - size


def _log_labels(core: Array, place: Array, star: Observed) -> Array:
    """[proposal], ln of the kernel of the member and of the likelihood of the labels."""
    kernel = jnp.sum(((core - place[:, :3]) / jnp.asarray(KERNEL)) ** 2, axis=1)
    away = core - star.core
    return -0.5 * (kernel + jnp.einsum("ni,ij,nj->n", away, star.precision, away))


def _light(star: Observed, model: Model, proposed: _Proposed) -> _Light:
    """Magnitudes of all proposals, alone and with each companion.

    Extinction is linear in the labels about their mean.
    """
    core, ebv = proposed.core, proposed.ebv
    log_initial = jnp.log10(proposed.initial_mass)
    middle = jnp.mean(core, axis=0)
    dimmed, per_ebv = model.table.extinction(middle, ebv)
    turn = jax.jacfwd(lambda c: jnp.stack(model.table.extinction(c, ebv)))(middle)  # [2 band 3]
    change = jnp.einsum("kbi,ni->nkb", turn, core - middle)
    slope = per_ebv + change[:, 1]
    none = dimmed + change[:, 0] - slope * ebv  # the extinction's line at E(B-V) = 0
    alone = jax.vmap(model.table.magnitudes)(core, proposed.place[:, 3])
    bright = 10 ** (0.4 * alone)

    def seen(ratio: Array) -> Array:
        flux = jax.vmap(model.companions.at)(
            core[:, 2], proposed.log_age, log_initial + jnp.log10(ratio)
        )
        return alone - 2.5 * jnp.log10(1 + flux * bright)

    pairs = jax.vmap(seen, out_axes=1)(jnp.asarray(RATIOS))
    kinds = jnp.concatenate([alone[:, None], pairs], axis=1)
    of_star = jax.vmap(lambda m, k: Bands.of(star, m, k), (0, None))
    inside = jax.vmap(model.table.inside)(core)
    bands = jax.vmap(of_star)(kinds + none[:, None], slope)
    return _Light(alone, kinds - alone[:, None], bands, inside)


def _draw(
    star: Observed, light: _Light, nodes: Nodes, *, per_kind: Array, chosen: Array, uniform: Array
) -> tuple[Array, Array, Array, Array, Array]:
    """(modulus, E(B-V), mass ratio, chi2 of the magnitudes, kind) of one chosen proposal."""
    log = per_kind[chosen]
    cumulated = jnp.cumsum(jax.nn.softmax(log))
    kind = jnp.clip(jnp.searchsorted(cumulated, uniform[0]), 0, len(log) - 1)
    own = jax.tree.map(lambda x: x[chosen, kind], nodes)
    bands = jax.tree.map(lambda x: x[chosen, kind], light.bands)
    modulus = draw_modulus(own, uniform[1:3])
    ebv = draw_reddening(star, bands, modulus, uniform=uniform[3])
    away = modulus - bands.centre
    chi2 = bands.wrr - 2 * away * bands.wr + away**2 * bands.w
    chi2 = chi2 + ebv**2 * bands.wkk - 2 * ebv * (bands.wkr - away * bands.wk)
    return modulus, ebv, jnp.asarray((0.0, *RATIOS))[kind], chi2, kind
