"""The posterior density of one star as a function of its parameter vector.

Samplers depend only on a log density, a start and a key. ``Target`` is that density from the
compressed likelihood, or from all pixels for an emulator without a basis; ``ModelTarget`` is the
same density from the NumPyro model.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from numpyro.handlers import block
from numpyro.infer.util import potential_energy

from bayes_ddp.emulator.network import BasisNetwork
from bayes_ddp.inference.chart import Chart
from bayes_ddp.inference.compress import Compressed, compress
from bayes_ddp.inference.forward import StarData
from bayes_ddp.inference.model import StarModel, spectrum_model, star_model
from bayes_ddp.inference.parameters import Nuisances, Parameters
from bayes_ddp.inference.prior import LabelPrior
from bayes_ddp.inference.problem import Problem

__all__ = ["Described", "ModelTarget", "Target", "describe", "log_densities", "star_target"]


class Target(eqx.Module):
    """Unnormalised ln posterior density of one star as a function of its parameter vector."""

    likelihood: StarModel | Compressed
    tightness: Float[Array, " nuisance"]
    prior: LabelPrior = eqx.field(static=True)
    parameters: Parameters = eqx.field(static=True)

    def log_prior(self, q: Float[Array, " parameter"]) -> Float[Array, ""]:
        """Ln prior density of the vector, with the Jacobian of bounded labels."""
        nuisances = q[self.parameters.labels :]
        pull = jnp.sum(self.tightness * nuisances**2)
        return self.prior.log_prob_free(q[: self.parameters.labels]) - 0.5 * pull

    def log_likelihood(self, q: Float[Array, " parameter"]) -> Float[Array, ""]:
        """Ln L relative to that of the reference."""
        free, nuisances = self.parameters.split(q)
        return self.likelihood.log_likelihood(self.prior.constrain(free), nuisances)

    def __call__(self, q: Float[Array, " parameter"]) -> Float[Array, ""]:
        """Ln density at a parameter vector."""
        return self.log_likelihood(q) + self.log_prior(q)

    @property
    def chart(self) -> Chart:
        """Coordinates of Markov chains: labels are bounded by their trained range."""
        low, high = self.prior.box(self.parameters.free)
        none = jnp.full(self.parameters.size - self.parameters.labels, jnp.inf)
        return Chart(jnp.concatenate([low, -none]), jnp.concatenate([high, none]))


@eqx.filter_jit
def star_target(problem: Problem, star: StarData, q: Float[Array, " parameter"]) -> Target:
    """The density of one star with reference ``q``, compressed if the emulator has a basis."""
    model = star_model(problem, star, q)
    has_basis = isinstance(problem.emulator, BasisNetwork)
    return Target(
        likelihood=compress(model) if has_basis else model,
        tightness=problem.parameters.nuisance_precision(star),
        prior=problem.prior,
        parameters=problem.parameters,
    )


class ModelTarget(eqx.Module):
    """The same density as ``Target``, computed by the NumPyro model on all pixels."""

    star: StarModel
    prior: LabelPrior = eqx.field(static=True)
    parameters: Parameters = eqx.field(static=True)

    def __call__(self, q: Float[Array, " parameter"]) -> Float[Array, ""]:
        """Ln density at a parameter vector."""
        with block():  # the sites of the model are arguments here, not sites of a caller
            energy: Array = potential_energy(
                spectrum_model,
                (self.star, self.prior, self.parameters),
                {},
                self.parameters.sites(q),
            )
        return -energy


class Described(eqx.Module):
    """Labels, nuisances and densities of draws of one star; a single draw has no first axis.

    log_prior : ln prior density of the labels. log_likelihood : relative to the reference.
    """

    labels: Float[Array, "*draw label"]
    nuisances: Nuisances
    log_prior: Float[Array, "*draw"]
    log_likelihood: Float[Array, "*draw"]


@eqx.filter_jit
def describe(
    target: Target, q: Float[Array, "draw parameter"], log_density: Float[Array, " draw"]
) -> Described:
    """Labels, nuisances, ln prior and ln likelihood of draws.

    q : [draw parameter]. log_density : [draw], values of ``target`` at q.
    """

    def one(q: Array, value: Array) -> Described:
        free, nuisances = target.parameters.split(q)
        labels = target.prior.constrain(free)
        own = target.prior.log_prob(labels)
        return Described(labels, nuisances, own, value - target.log_prior(q))

    return jax.vmap(one)(q, log_density)


@eqx.filter_jit
def log_densities(
    target: Target | ModelTarget, q: Float[Array, "draw parameter"]
) -> Float[Array, " draw"]:
    """[draw], ln density at draws; 64 at a time, since pixels take memory."""
    values: Array = jax.lax.map(target, q, batch_size=64)
    return values
