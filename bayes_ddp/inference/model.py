"""The generative model of one spectrum, in NumPyro.

Model flux and data are expressed as changes from a reference model (the best fit). The posterior
is the same, and float32 pixels give differences of ln L to 1e-3 at any S/N. Doppler shift, LSF and
pseudo-continuum act linearly on the change; velocity and LSF width, whose changes are small parts
of a pixel, enter by their derivatives at the reference.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float
from numpyro.handlers import mask

from bayes_ddp.emulator.network import BasisNetwork, PixelNetwork
from bayes_ddp.inference.forward import (
    Geometry,
    StarData,
    Taps,
    Weights,
    gather,
    kernel,
    pseudo_level,
    render,
)
from bayes_ddp.inference.likelihood import Noise, log_likelihood_change
from bayes_ddp.inference.parameters import Nuisances, Parameters
from bayes_ddp.inference.prior import LabelPrior
from bayes_ddp.inference.problem import Problem

__all__ = ["BasisHead", "PixelHead", "StarModel", "one_star_model", "spectrum_model", "star_model"]


class StarModel(eqx.Module):
    """Data and model of one star relative to a reference.

    residual : [pixel], data minus reference model, both normalised. noise : of these pixels.
    head : operator from a change of the labels to the change of the star's normalised flux.
    by_velocity, by_width : [pixel], [arm pixel], derivatives of the normalised flux.
    reference : nuisances of the reference model. vrad_err : km/s.
    """

    emulator: BasisNetwork | PixelNetwork
    head: "BasisHead | PixelHead"
    residual: Float[Array, " pixel"]
    noise: Noise
    by_velocity: Float[Array, " pixel"]
    by_width: Float[Array, "arm pixel"]
    reference: Nuisances
    vrad_err: Float[Array, ""]

    def change(
        self, labels: Float[Array, " label"], nuisances: Nuisances
    ) -> Float[Array, " pixel"]:
        """Normalised model flux minus that of the reference."""
        velocity, lsf = jax.tree.map(jnp.subtract, nuisances, self.reference)
        moved = velocity * self.by_velocity + lsf @ self.by_width
        change: Array = self.head(self.emulator, labels) + moved.astype(jnp.float32)
        return change

    def log_likelihood(
        self, labels: Float[Array, " label"], nuisances: Nuisances
    ) -> Float[Array, ""]:
        """Ln L relative to that of the reference, summed in float64."""
        return log_likelihood_change(self.noise, self.residual, self.change(labels, nuisances))


class BasisHead(eqx.Module):
    """The operator of a star, applied once to every basis spectrum of a low-rank emulator."""

    start: Float[Array, " rank"]
    flux: Float[Array, "rank pixel"]
    level: Float[Array, "rank pixel"]
    reference_level: Float[Array, " pixel"]

    def __call__(
        self, emulator: BasisNetwork | PixelNetwork, labels: Float[Array, " label"]
    ) -> Float[Array, " pixel"]:
        """Change of the normalised flux."""
        assert isinstance(emulator, BasisNetwork)
        step = (emulator.coefficients(labels) - self.start).astype(jnp.float32)
        change: Array = (step @ self.flux) / (self.reference_level + step @ self.level)
        return change


class PixelHead(eqx.Module):
    """The operator of a star, applied to the model at every call; for emulators of any kind."""

    shape: Geometry
    star: StarData
    first: Taps
    weights: Weights
    start: Float[Array, " model_pixel"]
    flux: Float[Array, " pixel"]
    reference_level: Float[Array, " pixel"]

    def __call__(
        self, emulator: BasisNetwork | PixelNetwork, labels: Float[Array, " label"]
    ) -> Float[Array, " pixel"]:
        """Change of the normalised flux."""
        step = (emulator(labels) - self.start).astype(jnp.float32)
        native = gather(step[None], self.first, self.weights)[0]
        level = pseudo_level(self.shape, self.star, native)
        return (native - self.flux * level) / (self.reference_level + level)


def star_model(
    problem: Problem, star: StarData, q: Float[Array, " parameter"], *, general: bool = False
) -> StarModel:
    """The model of one star with reference parameters ``q`` (normally its best fit).

    general : apply the star's operator at every call also for an emulator with a basis; slower,
    and the same code for every emulator.
    """
    shape, emulator = problem.shape, problem.emulator
    free, nuisances = problem.parameters.split(q)
    labels = problem.prior.constrain(free)
    rows = emulator.flux_and_gradient(labels)
    flux, by_row = render(shape, star, rows, nuisances)
    first, weights, *_ = kernel(shape, star, nuisances.velocity, width=nuisances.lsf)
    native = gather(rows[:1], first, weights)[0]
    level = jnp.where(star.total > 0, pseudo_level(shape, star, native), 1.0)
    head: BasisHead | PixelHead
    if isinstance(emulator, BasisNetwork) and not general:
        # the barrier prevents XLA from gathering once per use, which takes four times as long
        basis = gather(jnp.asarray(emulator.basis), first, weights)
        basis = jax.lax.optimization_barrier(basis)
        basis_level = pseudo_level(shape, star, basis)
        head = BasisHead(
            emulator.coefficients(labels), basis - flux * basis_level, basis_level, level
        )
    else:
        head = PixelHead(shape, star, first, weights, emulator(labels), flux, level)
    number = problem.prior.space.size
    return StarModel(
        emulator=emulator,
        head=head,
        residual=jnp.where(star.precision > 0, star.flux - flux, 0.0),
        noise=star.noise,
        by_velocity=by_row[number],
        by_width=by_row[number + 1 :],
        reference=nuisances,
        vrad_err=star.vrad_err,
    )


def spectrum_model(star: StarModel, prior: LabelPrior, parameters: Parameters) -> None:
    """Generate one normalised spectrum, as its difference from the reference model.

    label_i  ~ prior(label_i | labels before it)
    velocity ~ Normal(0, vrad_err)              km/s, relative to the input velocity
    lsf      ~ Normal(0, sd) for each arm       relative change of the LSF width
    flux_p   ~ Normal(model_p - reference_p, sqrt(1 / ivar_p + error_p**2))

    Sites: one per free label under its own name and unit; ``velocity``, ``lsf`` [arm]; ``flux``
    [pixel], observed.
    """
    values: dict[str, Any] = {}
    for name in prior.order:
        if name in prior.fixed:
            values[name] = jnp.asarray(prior.fixed[name])
        else:
            values[name] = numpyro.sample(name, prior.conditional(name, values))
    labels = jnp.stack([values[name] for name in prior.space.names])

    velocity, lsf = star.reference
    if parameters.velocity:
        velocity = numpyro.sample("velocity", dist.Normal(0.0, star.vrad_err))
    if parameters.lsf_sd > 0:
        neutral = jnp.zeros(len(parameters.arms))
        lsf = 1 + numpyro.sample("lsf", dist.Normal(neutral, parameters.lsf_sd).to_event(1))

    change = star.change(labels, Nuisances(velocity, lsf))
    good = star.noise.precision > 0
    sigma = 1 / jnp.sqrt(jnp.where(good, star.noise.precision, 1.0))
    with numpyro.plate("pixel", star.residual.size), mask(mask=good):
        numpyro.sample("flux", dist.Normal(change, sigma), obs=star.residual)


@eqx.filter_jit
def _star_models(problem: Problem, star: StarData, q: Array) -> StarModel:
    return star_model(problem, star, q)


def one_star_model(problem: Problem, stars: StarData, fit_q: Array, index: int) -> StarModel:
    """``star_model`` of one star of a batch at its row of ``fit_q`` [star parameter]."""
    return _star_models(problem, jax.tree.map(lambda x: x[index], stars), fit_q[index])
