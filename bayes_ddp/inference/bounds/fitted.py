"""The Cramér-Rao bound of every star of a fit, from its own pixels at its best fit."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bayes_ddp.inference.bounds.exposure import Exposure
from bayes_ddp.inference.bounds.fisher import precision
from bayes_ddp.inference.bounds.gradients import Terms, jacobian, noise_of, prior_precision
from bayes_ddp.inference.forward import StarData
from bayes_ddp.inference.likelihood import information
from bayes_ddp.inference.problem import Problem

__all__ = ["fitted_bounds"]


@eqx.filter_jit
def fitted_bounds(
    problem: Problem, stars: StarData, q: Float[Array, "star parameter"]
) -> Float[Array, "star label"]:
    """[star, label], marginal bounds with the nuisances of the fit and no prior of labels.

    q : best fits. NaN for labels that the spectrum does not constrain, and that are not fitted.
    Derivatives are those of the fit, in float32; sums over pixels and algebra are float64.
    """
    parameters = problem.parameters
    terms, size = Terms(parameters), len(parameters.names)
    chosen = jnp.array([parameters.names.index(name) for name in parameters.free])

    def one(given: tuple[StarData, Array]) -> Array:
        star, vector = given
        free, nuisances = parameters.split(vector)
        rows = problem.emulator.flux_and_gradient(problem.prior.constrain(free))
        exposure = Exposure(problem.shape, star, jnp.zeros(star.precision.shape))
        _, derivative = jacobian(exposure, rows, nuisances, terms=terms)
        found = information(noise_of(star), derivative.astype(jnp.float64))
        full = found + jnp.diag(prior_precision(star, terms))
        marginal = precision(full, labels=parameters.labels).marginal
        return jnp.full(size, jnp.nan).at[chosen].set(marginal)

    result: Array = jax.lax.map(one, (stars, q))
    return result
