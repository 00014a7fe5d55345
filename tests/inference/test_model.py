"""The NumPyro model: its density is the prior times the likelihood, to 0.01 in ln L in float32."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.infer.util import log_density
from scipy.stats import norm

from bayes_ddp.emulator.card import load_emulator
from bayes_ddp.emulator.network import BasisNetwork
from bayes_ddp.inference.forward import Geometry, geometry, star_data, taps_needed
from bayes_ddp.inference.model import StarModel, spectrum_model, star_model
from bayes_ddp.inference.parameters import Nuisances, Parameters
from bayes_ddp.inference.problem import Problem, load_stars
from bayes_ddp.spectra.prepare import Smoother
from bayes_ddp.spectra.spectrum import Spectrum

Blank = Callable[..., Spectrum]
DRAWS = 64


@dataclass(frozen=True)
class Case:
    """A fitted star at S/N 300 with draws of its posterior."""

    spectrum: Spectrum
    star: Any
    q: np.ndarray
    draws: np.ndarray
    local: StarModel
    general: StarModel


@eqx.filter_jit
def _both(problem: Problem, star: Any, q: Any) -> tuple[StarModel, StarModel]:
    return star_model(problem, star, q), star_model(problem, star, q, general=True)


@eqx.filter_jit
def _likelihoods(local: StarModel, labels: Any, nuisances: Nuisances) -> Any:
    return jax.vmap(local.log_likelihood)(labels, nuisances)


@pytest.fixture(scope="module")
def case(survey: Any, blank_spectrum: Blank) -> Case:
    """A star that recedes at 120 km/s, with a hole in fit and continuum."""
    truth = np.tile(survey.typical([5400.0], [3.4], [-0.4]), (64, 1))
    spectrum = blank_spectrum(vrad=np.full(64, 120.0))
    ivar, weight = 9 * np.array(spectrum.ivar), np.array(spectrum.weight)
    ivar[:, 300:330] = weight[:, 300:320] = 0
    spectrum = eqx.tree_at(lambda s: (s.ivar, s.weight), spectrum, (ivar, weight))
    spectrum = survey.paint(truth, spectrum, 12, velocity=1.0, width=1.01)
    fit, _ = survey.fit(spectrum)
    spectrum = spectrum.take(np.array([0]))
    star = jax.tree.map(lambda x: x[0], load_stars(survey.problem, spectrum))
    q, root = np.asarray(fit.q[0]), np.linalg.cholesky(fit.covariance[0])
    z = np.random.default_rng(3).standard_normal((DRAWS, q.size))
    z *= np.minimum(1, 3 / np.abs(z).max(axis=1, keepdims=True))
    return Case(spectrum, star, q, q + z @ root.T, *_both(survey.problem, star, fit.q[0]))


def values(draws: np.ndarray) -> tuple[jax.Array, Nuisances]:
    """Labels and nuisances of parameter vectors [draw parameter]."""
    each = jnp.asarray(draws)
    return each[:, :15], Nuisances(each[:, 15], 1 + each[:, 16:])


def test_fast_head_equals_the_general_one(case: Case) -> None:
    """The star's operator applied once to the basis, or at every call to the flux."""
    change = [jax.jit(jax.vmap(m.change))(*values(case.draws)) for m in (case.local, case.general)]
    assert np.abs(change[0]).max() > 1e-3
    np.testing.assert_allclose(change[0], change[1], atol=1e-6)


def test_change_from_the_reference_is_nothing_at_the_reference(case: Case) -> None:
    none = jax.vmap(case.local.change)(*values(case.q[None]))
    np.testing.assert_allclose(none, 0.0, atol=1e-11)
    assert np.abs(_likelihoods(case.local, *values(case.q[None]))).max() < 1e-9


def test_reference_is_that_of_the_best_fit(case: Case) -> None:
    velocity, lsf = case.local.reference
    np.testing.assert_array_equal(velocity, case.q[15])
    np.testing.assert_array_equal(lsf, 1 + case.q[16:])


def test_density_is_prior_times_likelihood(survey: Any, case: Case) -> None:
    """Every site of the NumPyro model once more with SciPy, in float64."""
    parameters, good = survey.problem.parameters, np.asarray(case.star.precision) > 0
    sigma = 1 / np.sqrt(np.asarray(case.star.precision, float)[good])
    residual = np.asarray(case.local.residual, float)[good]
    labels, nuisances = values(case.draws)
    change = np.asarray(jax.jit(jax.vmap(case.local.change))(labels, nuisances), float)

    def density(q: jax.Array) -> jax.Array:
        model_args = case.local, survey.prior, parameters
        return log_density(spectrum_model, model_args, {}, parameters.sites(q))[0]

    found = jax.jit(jax.vmap(density))(jnp.asarray(case.draws[:8]))
    log_prior = jax.jit(jax.vmap(survey.prior.log_prob))(labels[:8])
    for i in range(8):
        expected = float(log_prior[i])
        expected += norm.logpdf(case.draws[i, 15], 0.0, 1.0)
        expected += norm.logpdf(case.draws[i, 16:], 0.0, 0.03).sum()
        expected += norm.logpdf(residual, change[i][good], sigma).sum()
        assert float(found[i]) == pytest.approx(expected, abs=2e-3)


def test_likelihood_is_the_one_of_the_exact_model(survey: Any, oracle: Any, case: Case) -> None:
    """ln L over the posterior at S/N 300 against brute force.

    Velocity and width are linear in the model and not in the truth, and the sum over taps is no
    integral: together 3 % of the difference, 0.3 where it is 15.
    """
    weight = np.asarray(case.star.precision, float)
    data = np.asarray(case.spectrum.flux[0], float)

    def exact(q: np.ndarray) -> float:
        model = oracle(q[:15], case.spectrum, velocity=q[15], width=1 + q[16:])
        return -0.5 * float(np.sum(weight * (data - model) ** 2))

    found = np.asarray(_likelihoods(case.local, *values(case.draws)))[:16]
    expected = np.array([exact(q) for q in case.draws[:16]]) - exact(case.q)
    assert np.ptp(expected) > 5
    assert (np.abs(found - expected) < 0.03 * np.abs(expected) + 0.03).all()


def by_taps(
    shape: Geometry, spectrum: Spectrum, smoothers: list[Smoother], rest: np.ndarray
) -> np.ndarray:
    """[pixel], the discrete model of the package in float64 NumPy, at the star's velocity."""
    beta = float(spectrum.vrad[0]) / 299792.458
    factor = np.sqrt((1 + beta) / (1 - beta))
    fwhm = np.asarray(spectrum.fwhm[0], float) / factor
    sigma = np.sqrt(fwhm**2 - shape.model_fwhm**2) / 2.354820045
    place = (np.asarray(spectrum.wave) / factor - shape.first) / shape.step
    first = np.round(place).astype(int) - shape.taps // 2
    at = first[:, None] + np.arange(shape.taps)
    kernel = np.exp(-0.5 * ((at - place[:, None]) * shape.step / sigma[:, None]) ** 2)
    native = (rest[at] * kernel).sum(axis=1) / kernel.sum(axis=1)
    weight = np.asarray(spectrum.weight[0], float)
    return np.concatenate(
        [
            native[a:b] / (smooth(native[a:b] * weight[a:b]) / smooth(weight[a:b]))
            for smooth, (_, a, b) in zip(smoothers, spectrum.arms, strict=True)
        ]
    )


def test_single_precision_keeps_likelihood_ratios_to_a_hundredth(
    models: Path, survey: Any, oracle: Any, desi_pixels: Blank
) -> None:
    """All of DESI at S/N 300, no emulator error: ln L ratios against float64 within 3 sigma.

    The draws come from the curvature of the float64 model itself.
    """
    emulator = load_emulator(models / "desi-physics")
    assert isinstance(emulator, BasisNetwork)
    spectrum = desi_pixels(1, vrad=-80.0)
    ivar = np.where(spectrum.ivar > 0, np.float32(9e4), 0)
    spectrum = eqx.tree_at(lambda s: s.ivar, spectrum, ivar)
    shape = geometry(spectrum, emulator, taps=taps_needed(np.asarray(spectrum.fwhm), emulator))
    smoothers = [Smoother(np.asarray(spectrum.wave[a:b])) for _, a, b in spectrum.arms]
    weight, truth = np.asarray(spectrum.ivar[0], float), survey.typical([5600.0], [4.2], [-0.3])[0]
    wide = type(oracle)(emulator)

    def model(labels: np.ndarray) -> np.ndarray:
        return by_taps(shape, spectrum, smoothers, wide.rest(labels))

    rng = np.random.default_rng(8)
    sigma = np.where(weight > 0, 1 / np.sqrt(np.where(weight > 0, weight, 1)), 0)
    data = model(truth) + sigma * rng.standard_normal(weight.size)
    step = np.diag(1e-4 * survey.prior.space.span)
    slope = np.stack([(model(truth + h) - model(truth - h)) / (2 * h.max()) for h in step])
    prior = -np.asarray(jax.hessian(survey.prior.log_prob)(jnp.asarray(truth)))
    covariance = np.linalg.inv(slope @ (weight[:, None] * slope.T) + prior)
    reference = truth + covariance @ (slope @ (weight * (data - model(truth))))
    z = np.clip(rng.standard_normal((DRAWS, 15)), -3, 3)
    draws = reference + z @ np.linalg.cholesky(covariance).T

    spectrum = eqx.tree_at(lambda s: s.flux, spectrum, data.astype(np.float32)[None])
    problem = Problem(
        shape=shape,
        emulator=jax.tree.map(jnp.asarray, emulator),
        error=jnp.zeros(emulator.wave.size, jnp.float32),
        templates=survey.problem.templates,
        prior=survey.prior,
        parameters=Parameters(
            names=survey.prior.space.names,
            free=survey.prior.free,
            arms=tuple(name for name, _, _ in spectrum.arms),
            velocity=True,
            lsf_sd=0.03,
        ),
    )
    loaded = eqx.filter_jit(star_data)(shape, spectrum.on_device(), problem.error)
    star = jax.tree.map(lambda x: x[0], loaded)
    q = jnp.concatenate([jnp.asarray(reference), jnp.zeros(4)])
    local = eqx.filter_jit(star_model)(problem, star, q)
    neutral = Nuisances(jnp.zeros(DRAWS), jnp.ones((DRAWS, 3)))
    found = _likelihoods(local, jnp.asarray(draws), neutral)

    seen = np.asarray(spectrum.flux[0], float)
    chi2 = np.array([np.sum(weight * (seen - model(x)) ** 2) for x in (reference, *draws)])
    expected = -0.5 * (chi2[1:] - chi2[0])
    assert np.ptp(expected) > 5
    assert np.abs(np.asarray(found) - expected).max() < 0.01
