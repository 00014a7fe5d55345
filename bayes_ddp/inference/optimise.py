"""Best fits and covariances of a batch by a Levenberg-Marquardt algorithm.

Derivatives by label, velocity and LSF width are analytic. A few stars of the batch take each step
together; stars that have converged are replaced by others. The curvature at the optimum is the
Gauss-Newton matrix of the likelihood plus the convex part of the prior's; its inverse is the
covariance. Parameters are unconstrained: the labels themselves, unless the run file bounds one.
"""

from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bayes_ddp.inference.forward import StarData, render
from bayes_ddp.inference.likelihood import chi2, information, score
from bayes_ddp.inference.problem import Problem
from bayes_ddp.inference.templates import best_template

__all__ = ["Fit", "first_start", "fit_stars"]

_MAX_STEPS = 60
_NEAR = 3e-3
"""Undamped predicted decrease, nats, below which a star has converged: 0.08 sigma. Below it the
gradient decides whether a step is accepted, since changes of the cost are smaller than its noise.
"""
_BOTTOM = 1e-4
"""Predicted decrease, nats, below which a star takes one last step: 0.014 sigma."""
_NOISE = 1e-3
"""Numerical noise of the cost in float32, nats."""
_CARBON_FEH = -1.2
_TOGETHER = 4
"""Smallest number of stars that take a step together; for large batches a sixteenth."""


class Fit(NamedTuple):
    """Best fits of a batch, with covariances in unconstrained parameters.

    q : [star parameter]. covariance : [star parameter parameter]. labels : [star label]. chi2 :
    [star]. pixels : [star], number of fitted pixels. converged : [star] bool. positive : [star]
    bool, whether the curvature is positive definite. steps : [star], number of iterations.
    """

    q: Float[Array, "star parameter"]
    covariance: Float[Array, "star parameter parameter"]
    labels: Float[Array, "star label"]
    chi2: Float[Array, " star"]
    pixels: Array
    converged: Array
    positive: Array
    steps: Array


class _State(NamedTuple):
    q: Array
    cost: Array
    gradient: Array
    curvature: Array
    chi2: Array
    damping: Array
    left: Array
    done: Array
    step: Array


def terms(
    problem: Problem, star: StarData, q: Float[Array, " parameter"]
) -> tuple[
    Float[Array, ""],
    Float[Array, " parameter"],
    Float[Array, "parameter parameter"],
    Float[Array, ""],
]:
    """(cost, gradient, curvature, chi2) of one star at q; the cost is minus the log posterior."""
    prior = problem.prior
    parameters = problem.parameters
    free, nuisances = parameters.split(q)
    labels, slope = jax.jvp(prior.constrain, (free,), (jnp.ones_like(free),))
    rows = problem.emulator.flux_and_gradient(labels)
    flux, by_row = render(problem.shape, star, rows, nuisances)
    outer = jnp.ones(by_row.shape[0]).at[: slope.shape[0]].set(slope)
    chosen = jnp.array(parameters.derivative_rows())
    jacobian = by_row[chosen]
    scale = outer[chosen]
    residual = star.flux - flux
    fit = chi2(star.noise, residual)
    right = score(star.noise, jacobian, residual) * scale
    normal = information(star.noise, jacobian) * jnp.outer(scale, scale)

    def prior_terms(free: Array) -> tuple[Array, tuple[Array, Array]]:
        log_prior, gradient = jax.value_and_grad(density)(free)
        return gradient, (log_prior, gradient)

    density = partial(prior.log_prob_free, gaussian=True)
    hessian, (log_prior, prior_gradient) = jax.jacfwd(prior_terms, has_aux=True)(free)
    prior_curvature = _convex(-hessian)
    nuisance = q[parameters.labels :]
    tightness = parameters.nuisance_precision(star)
    pull = jnp.concatenate([prior_gradient, -tightness * nuisance])
    size, number = parameters.size, parameters.labels
    curvature = normal.at[:number, :number].add(prior_curvature)
    diagonal = jnp.concatenate([jnp.zeros(number), tightness])
    curvature = curvature + jnp.diag(diagonal[:size])
    cost = 0.5 * fit - log_prior + 0.5 * jnp.sum(tightness * nuisance**2)
    return cost, -(right + pull), curvature, fit


def _convex(curvature: Float[Array, "free free"]) -> Float[Array, "free free"]:
    """The positive semi-definite part of the prior's curvature.

    The log prior is not concave where its trends bend. For a noisy spectrum the full curvature
    could make the sum indefinite, without a covariance.
    """
    unit = jnp.sqrt(jnp.abs(jnp.diagonal(curvature)) + 1e-12)
    value, vector = jnp.linalg.eigh(curvature / jnp.outer(unit, unit))
    convex: Array = (vector * jnp.maximum(value, 0.0)) @ vector.T
    return convex * jnp.outer(unit, unit)


def _ended(state: _State) -> Array:
    return state.done | (state.step >= _MAX_STEPS)


def _solve(
    curvature: Float[Array, "star parameter parameter"],
    gradient: Float[Array, "star parameter"],
    damping: Float[Array, " star"],
) -> Float[Array, "star parameter"]:
    """The damped step; ``damping`` is the factor on the curvature's diagonal that is added."""
    diagonal = jnp.abs(jnp.diagonal(curvature, axis1=1, axis2=2))
    damped = curvature + jax.vmap(jnp.diag)(diagonal * damping[:, None] + 1e-12)
    step: Array = jnp.linalg.solve(damped, gradient[..., None])[..., 0]
    return -step


def _left(
    curvature: Float[Array, "star parameter parameter"], gradient: Float[Array, "star parameter"]
) -> Float[Array, " star"]:
    """[star], predicted decrease, nats: the cost minus the minimum of the quadratic model."""
    move = _solve(curvature, gradient, jnp.full(len(gradient), 1e-6))
    return 0.5 * jnp.abs(jnp.sum(move * gradient, axis=1))


def _advance(problem: Problem, star: StarData, state: _State) -> _State:
    move = _solve(state.curvature, state.gradient, state.damping)
    bend = jnp.einsum("si,sij,sj->s", move, state.curvature, move)
    predicted = -jnp.sum(move * state.gradient, axis=1) - 0.5 * bend
    ended = _ended(state)  # such a star only fills the batch
    trial = jnp.where(ended[:, None], state.q, state.q + move)
    evaluate = jax.vmap(terms, in_axes=(None, 0, 0))
    cost, gradient, curvature, fit = evaluate(problem, star, trial)
    left = _left(curvature, gradient)
    gain = (state.cost - cost + _NOISE) / (predicted + _NOISE)
    gain = jnp.where(state.left < _NEAR, 1 - jnp.sqrt(left / state.left), gain)
    gain = jnp.where(jnp.isfinite(state.cost), gain, 1.0)
    better = jnp.isfinite(cost) & (gain > 0.05) & ~ended
    # where the Hessian exceeds its Gauss-Newton approximation, full steps oscillate: the gain
    # ratio sets the damping
    factor = jnp.where(gain > 0.75, 0.1, jnp.where(gain > 0.25, 0.5, 2.0))
    factor = jnp.where(better, factor, 8.0)
    return _State(
        q=jnp.where(better[:, None], trial, state.q),
        cost=jnp.where(better, cost, state.cost),
        gradient=jnp.where(better[:, None], gradient, state.gradient),
        curvature=jnp.where(better[:, None, None], curvature, state.curvature),
        chi2=jnp.where(better, fit, state.chi2),
        damping=jnp.clip(state.damping * factor, 1e-7, 1e8),
        left=jnp.where(better, left, state.left),
        done=state.done | (~ended & (state.left < _BOTTOM)),
        step=state.step + ~ended,
    )


@eqx.filter_jit
def first_start(problem: Problem, stars: StarData) -> Array:
    """[star parameter], parameters of the best template of each star."""
    prior = problem.prior
    start = best_template(problem.shape, stars, problem.templates)
    free = jax.vmap(lambda x: prior.unconstrain(prior.inside(x)))(start)
    others = problem.parameters.size - problem.parameters.labels
    return jnp.concatenate([free, jnp.zeros((len(free), others))], axis=1)


@eqx.filter_jit
def _second_start(problem: Problem, q: Array) -> tuple[Array, Array]:
    """(start [star parameter] at the other end of [C/Fe], [star] bool, whether it is used).

    Metal-poor stars have a wide prior of carbon, and warm ones among them can have two minima, at
    high and at low [C/Fe].
    """
    prior, space = problem.prior, problem.prior.space
    carbon, feh = space.index("c_fe"), space.index("feh")
    labels = jax.vmap(lambda x: prior.constrain(x[: problem.parameters.labels]))(q)
    low, span = space.low[carbon], space.span[carbon]
    other = jnp.where(labels[:, carbon] > low + 0.35 * span, low + 0.05 * span, low + 0.65 * span)
    moved = jax.vmap(prior.inside)(labels.at[:, carbon].set(other))
    column = prior.free.index("c_fe")
    start = jax.vmap(prior.unconstrain)(moved)[:, column]
    return q.at[:, column].set(start), labels[:, feh] < _CARBON_FEH


@eqx.filter_jit
def _descend(problem: Problem, stars: StarData, q: Array, *, done: Array) -> _State:
    """Levenberg-Marquardt from q [star parameter] until every star is done."""
    count, size = q.shape
    # with an infinite cost and no gradient the first iteration evaluates the start, so that the
    # likelihood is compiled only within the loop
    state = _State(
        q=q,
        cost=jnp.full(count, jnp.inf),
        gradient=jnp.zeros((count, size)),
        curvature=jnp.broadcast_to(jnp.eye(size), (count, size, size)),
        chi2=jnp.zeros(count),
        damping=jnp.full(count, 10.0),
        left=jnp.full(count, jnp.inf),
        done=done,
        step=jnp.full(count, -1, jnp.int32),
    )
    together = max(_TOGETHER, count // 16)  # the same for small batches, which then round alike

    def turn(state: _State) -> _State:
        # one star in four needs three times as many steps; the others do not wait for it
        chosen = jnp.resize(jnp.argsort(_ended(state), stable=True), (together,))
        some, theirs = jax.tree.map(lambda x: x[chosen], (stars, state))
        after = _advance(problem, some, theirs)
        merged: _State = jax.tree.map(lambda x, new: x.at[chosen].set(new), state, after)
        return merged

    final: _State = jax.lax.while_loop(lambda s: ~jnp.all(_ended(s)), turn, state)
    return final


@jax.jit
def _better(first: _State, second: _State) -> _State:
    """The state of lower cost per star; the second must be lower by more than the noise."""
    won = second.cost < first.cost - 10 * _NOISE

    def pick(new: Array, old: Array) -> Array:
        return jnp.where(won.reshape(-1, *(1,) * (old.ndim - 1)), new, old)

    steps = first.step + jnp.maximum(second.step, 0)
    better: _State = jax.tree.map(pick, second, first)
    return better._replace(step=steps)


@eqx.filter_jit
def _finish(problem: Problem, state: _State, pixels: Array) -> Fit:
    """Best fits and covariances at the final states."""
    empty = pixels == 0
    unit = jnp.sqrt(jnp.maximum(jnp.diagonal(state.curvature, axis1=1, axis2=2), 1e-300))
    scaled = state.curvature / (unit[:, :, None] * unit[:, None, :])
    finite = jnp.all(jnp.isfinite(scaled), axis=(1, 2))
    scaled = jnp.where(finite[:, None, None], scaled, jnp.eye(problem.parameters.size))
    positive = finite & (jnp.linalg.eigvalsh(scaled)[:, 0] > 1e-12) & ~empty
    eye = jnp.eye(problem.parameters.size)
    inverse = jnp.linalg.inv(jnp.where(positive[:, None, None], scaled, eye))
    covariance = inverse / (unit[:, :, None] * unit[:, None, :])
    labels = jax.vmap(lambda x: problem.prior.constrain(x[: problem.parameters.labels]))(state.q)
    return Fit(
        q=state.q,
        covariance=covariance,
        labels=labels,
        chi2=state.chi2,
        pixels=pixels,
        converged=(state.left < _NEAR) & ~empty,
        positive=positive,
        steps=jnp.maximum(state.step, 0),
    )


def fit_stars(problem: Problem, stars: StarData, *, start: Array | None = None) -> Fit:
    """Best fits and covariances of a batch [star ...]; compiled once per batch size.

    start : [star parameter]; by default the best template of each star.

    Metal-poor stars are fitted twice, from both ends of [C/Fe], and keep the better fit.
    """
    pixels = jnp.sum(stars.precision > 0, axis=1)
    empty = pixels == 0
    start = first_start(problem, stars) if start is None else start
    state = _descend(problem, stars, start, done=empty)
    if "c_fe" in problem.prior.free and "feh" in problem.prior.space.names:
        q, poor = _second_start(problem, state.q)
        state = _better(state, _descend(problem, stars, q, done=empty | ~poor))
    return _finish(problem, state, pixels)
