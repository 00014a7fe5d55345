"""The density that samplers get: prior times likelihood, the same by every way to compute it."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayes_ddp.emulator.network import PixelNetwork
from bayes_ddp.inference.compress import Compressed
from bayes_ddp.inference.likelihood import whitening_root
from bayes_ddp.inference.model import StarModel, star_model
from bayes_ddp.inference.optimise import fit_stars
from bayes_ddp.inference.parameters import Nuisances, Parameters
from bayes_ddp.inference.prior import Fixed, LabelPrior, Normal, Uniform
from bayes_ddp.inference.problem import Problem, load_stars, make_problem, model_flux
from bayes_ddp.inference.target import ModelTarget, Target, describe, log_densities, star_target

DRAWS = 32


@eqx.filter_jit
def full_model(problem: Problem, star: Any, q: Any) -> StarModel:
    return star_model(problem, star, q)


@pytest.fixture(scope="module")
def star(three_stars: Any) -> Any:
    """The first of the three stars."""
    return jax.tree.map(lambda x: x[0], three_stars)


@pytest.fixture(scope="module")
def best(survey: Any, three_stars: Any) -> tuple[Any, Any]:
    """(q, covariance) of the best fit of ``star``."""
    fit = fit_stars(survey.problem, three_stars)
    return fit.q[0], fit.covariance[0]


@pytest.fixture(scope="module")
def draws(best: tuple[Any, Any]) -> jax.Array:
    """[draw parameter] of the Laplace approximation, up to three sigma away."""
    q, covariance = best
    z = np.random.default_rng(4).standard_normal((DRAWS, len(q))).clip(-3, 3)
    return q + jnp.asarray(z) @ whitening_root(covariance).T


@pytest.fixture(scope="module")
def target(survey: Any, star: Any, best: tuple[Any, Any]) -> Target:
    return star_target(survey.problem, star, best[0])


@pytest.fixture(scope="module")
def pixels(survey: Any, star: Any, best: tuple[Any, Any]) -> StarModel:
    """The likelihood of all pixels about the best fit."""
    return full_model(survey.problem, star, best[0])


def on_pixels(target: Target, pixels: StarModel) -> Target:
    return Target(pixels, target.tightness, target.prior, target.parameters)


def difference(one: jax.Array, other: jax.Array) -> float:
    """Scatter of the difference of two log densities, whose constants are free."""
    assert np.ptp(one) > 5
    return float(np.ptp(np.asarray(one) - np.asarray(other)))


def test_density_is_compressed_for_an_emulator_with_a_basis(target: Target) -> None:
    assert isinstance(target.likelihood, Compressed)


def test_numpyro_model_has_the_same_density_up_to_a_constant(
    target: Target, pixels: StarModel, draws: jax.Array
) -> None:
    """0.01 in ln density: the sum over pixels of NumPyro's sites is in float32."""
    same = log_densities(on_pixels(target, pixels), draws)
    model = log_densities(ModelTarget(pixels, target.prior, target.parameters), draws)
    assert difference(same, model) < 0.01


def test_compressed_density_is_that_of_all_pixels(
    target: Target, pixels: StarModel, draws: jax.Array
) -> None:
    """S/N 200; test_compress.py gives the limits at other S/N."""
    full, short = (log_densities(t, draws) for t in (on_pixels(target, pixels), target))
    assert float(jnp.std(full - short)) < 0.02


def test_densities_agree_with_bounds_and_without_a_velocity(
    survey: Any, desi_card: Any, star: Any, draws: jax.Array
) -> None:
    """Priors of a run file, so that the Jacobian of bounded labels and fixed labels take part.

    A nuisance that is not fitted is neutral in the reference.
    """
    chosen = {"teff": Uniform(4000, 6000), "logg": Normal(2.4, 0.2), "vmic": Fixed(1.3)}
    prior = LabelPrior(survey.emulator.space, desi_card["density"], chosen)
    parameters = Parameters(
        names=prior.space.names,
        free=prior.free,
        arms=survey.problem.parameters.arms,
        velocity=False,
        lsf_sd=0.03,
    )
    pixels = full_model(survey.problem, star, draws[0].at[15:].set(0.0))
    free = jax.vmap(prior.unconstrain)(draws[:, :15])
    q = jnp.concatenate([free, draws[:, 16:]], axis=1)
    own = Target(pixels, parameters.nuisance_precision(star), prior, parameters)
    same, model = log_densities(own, q), log_densities(ModelTarget(pixels, prior, parameters), q)
    assert difference(same, model) < 0.01


def test_draws_are_described_by_labels_nuisances_and_parts_of_the_density(
    target: Target, survey: Any, draws: jax.Array
) -> None:
    """The prior of the vector is that of the labels and of each nuisance."""
    value = log_densities(target, draws)
    described = describe(target, draws, value)
    np.testing.assert_array_equal(described.labels, draws[:, :15])
    np.testing.assert_array_equal(described.nuisances.velocity, draws[:, 15])
    np.testing.assert_array_equal(described.nuisances.lsf, 1 + draws[:, 16:])
    expected = np.asarray(jax.jit(jax.vmap(survey.prior.log_prob))(draws[:, :15]))
    np.testing.assert_allclose(described.log_prior, expected, rtol=1e-9)
    nuisances = draws[:, 15] ** 2 + jnp.sum((draws[:, 16:] / 0.03) ** 2, axis=1)
    log_prior = expected - 0.5 * np.asarray(nuisances)
    direct = jax.jit(jax.vmap(target.likelihood.log_likelihood))(
        described.labels, described.nuisances
    )
    np.testing.assert_allclose(described.log_likelihood, direct, atol=1e-9)
    np.testing.assert_allclose(value, direct + log_prior, atol=1e-9)


@pytest.fixture(scope="module")
def network(survey: Any) -> PixelNetwork:
    """A network per pixel, two neurons each, whose lines depend on all labels."""
    space, wave = survey.prior.space, np.asarray(survey.emulator.wave)
    rng = np.random.default_rng(8)
    hidden = rng.standard_normal((wave.size, 2, space.size)).astype(np.float32)
    return PixelNetwork(
        space=space,
        hidden=hidden,
        hidden_bias=np.zeros((wave.size, 2), np.float32),
        output=0.4 * rng.standard_normal((wave.size, 2)).astype(np.float32),
        output_bias=np.full(wave.size, 0.8, np.float32),
        error=np.full(wave.size, 1e-3, np.float32),
        wave=wave,
        fwhm=survey.emulator.fwhm,
    )


def test_network_without_a_basis_is_evaluated_on_all_pixels(
    survey: Any, network: PixelNetwork, blank_spectrum: Any
) -> None:
    """ln L of the density against chi2 of ``model_flux``: differences of 100 or more to 0.1 %.

    ``model_flux`` is not linear in velocity and LSF width, so these stay at the reference.
    """
    problem = make_problem(blank_spectrum(1), network, survey.prior, fwhm=(1.5, 1.75))
    labels = survey.typical([5000.0] * 4, [3.0] * 4, [-0.2] * 4)
    labels[:, 0] += [0.0, 400.0, -600.0, 900.0]
    stars = load_stars(problem, blank_spectrum(4))
    neutral = Nuisances(jnp.zeros(4), jnp.ones((4, 2)))
    flux = np.asarray(model_flux(problem, stars, jnp.asarray(labels), neutral), float)
    star = jax.tree.map(lambda x: x[0], stars)
    q = jnp.concatenate([jnp.asarray(labels), jnp.zeros((4, 3))], axis=1)
    target = star_target(problem, star, q[0])
    assert isinstance(target.likelihood, StarModel)
    found = jax.jit(jax.vmap(target.log_likelihood))(q)
    weight, data = np.asarray(star.precision, float), np.asarray(star.flux, float)
    chi2 = np.sum(weight * (data - flux) ** 2, axis=1)
    expected = -0.5 * (chi2 - chi2[0])
    assert np.abs(expected[1:]).min() > 50
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=0.02)
