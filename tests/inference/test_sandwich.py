"""The robust covariance: what labels really scatter by where pixels are wrong together."""

from typing import Any

import jax
import numpy as np
import pytest

from bayes_ddp.inference.parameters import Nuisances
from bayes_ddp.inference.problem import load_stars
from bayes_ddp.inference.sandwich import Variances, label_variances, robust_variances

PIXELS, BLOCKS, FITS = 4000, 40, 400
SIGMA = 0.01


def linear_model() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(derivatives [3 pixel], weights, blocks): smooth lines everywhere, in some, in one block."""
    rng = np.random.default_rng(1)
    block = np.arange(PIXELS) // (PIXELS // BLOCKS)
    lines = np.convolve(rng.normal(size=PIXELS), np.ones(3), "same") * rng.uniform(0.5, 1, PIXELS)
    some = np.where(block % 5 == 0, rng.normal(size=PIXELS), 0.0)
    rare = np.where(block == 7, rng.normal(size=PIXELS), 0.05 * rng.normal(size=PIXELS))
    jacobian = np.stack([lines, 1e-3 * some, 100 * rare])  # of very different units
    weight = np.where(rng.random(PIXELS) < 0.05, 0.0, SIGMA**-2)
    return jacobian, weight, block


def fits(noise: np.ndarray, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Estimates, robust and stated variances [fit parameter] of spectra of noise [fit pixel]."""
    jacobian, weight, block = linear_model()
    normal = (jacobian * weight) @ jacobian.T + prior
    estimate = np.linalg.solve(normal, (jacobian * weight) @ noise.T).T
    residual = noise - estimate @ jacobian
    found = [robust_variances(jacobian, weight, r, block=block, prior=prior) for r in residual]
    return estimate, np.array([v.robust for v in found]), np.array([v.stated for v in found])


def assert_mean(values: np.ndarray, expected: np.ndarray, *, more: float = 0.0) -> None:
    """Within five standard errors of the mean of ``values`` [fit parameter]."""
    error = values.std(axis=0) / np.sqrt(len(values))
    assert np.all(np.abs(values.mean(axis=0) - expected) < 5 * error + more * expected)


@pytest.mark.parametrize("tight", [0.0, 1.0])
def test_independent_pixels_give_the_variance_that_the_fit_states(tight: float) -> None:
    """With and without a prior as sharp as the data."""
    jacobian, weight, _ = linear_model()
    prior = np.diag(tight * np.sum(jacobian**2 * weight, axis=1))
    noise = SIGMA * np.random.default_rng(2).normal(size=(FITS, PIXELS))
    estimate, robust, stated = fits(noise, prior)
    assert_mean(robust, stated[0])
    assert_mean(estimate**2, stated[0])


def test_correlated_pixels_give_the_true_scatter_of_the_fits() -> None:
    """A common error of 10 pixels, uncorrelated beyond: the fit states a third of the variance.

    Blocks of 100 pixels miss what crosses their borders: up to a tenth of the variance.
    """
    jacobian, weight, _ = linear_model()
    kernel = np.ones(10) / 10
    white = np.random.default_rng(3).normal(size=(FITS, PIXELS + 9))
    noise = 3 * SIGMA * np.stack([np.convolve(row, kernel, "valid") for row in white])
    _, robust, stated = fits(noise, np.zeros((3, 3)))
    inverse = np.linalg.inv((jacobian * weight) @ jacobian.T)
    lag = np.abs(np.subtract.outer(np.arange(PIXELS), np.arange(PIXELS)))
    covariance = np.where(lag < 10, (3 * SIGMA) ** 2 * (10 - lag) / 100, 0.0)
    moved = inverse @ (jacobian * weight)
    truth = np.diag(moved @ covariance @ moved.T)
    assert truth[0] > 2 * stated[0, 0]
    assert_mean(robust, truth, more=0.1)


def test_too_few_blocks_say_nothing() -> None:
    jacobian, weight, block = linear_model()
    weight = np.where(block < 9, weight, 0.0)
    found = robust_variances(jacobian, weight, weight * 0, block=block, prior=np.zeros((3, 3)))
    assert np.isnan(found.robust).all() and np.isnan(found.stated).all()


def test_noise_about_the_model_gives_the_errors_of_the_posterior(
    survey: Any, blank_spectrum: Any
) -> None:
    """Noise of the size that the fit assumes: robust and stated variance of labels are equal.

    Stated is what the data give of the posterior's variance C with a prior of precision P,
    C - C P C; the posterior's prior is a little bent.
    """
    problem, stars = survey.problem, 64
    spectrum = survey.paint(
        survey.typical([5200.0] * stars, [4.4] * stars, [-0.2] * stars), blank_spectrum(), 11
    )
    fit, posterior = survey.fit(spectrum)
    loaded = load_stars(problem, spectrum)
    split = jax.vmap(problem.parameters.split)(fit.q)[1]
    found = [
        label_variances(
            problem,
            jax.tree.map(lambda values, star=star: values[star], loaded),
            labels=np.asarray(fit.labels)[star],
            nuisances=Nuisances(split.velocity[star], split.lsf[star]),
            prior_covariance=posterior.prior_covariance[star],
        )
        for star in range(stars)
    ]
    robust, stated = (np.array([getattr(v, name) for v in found]) for name in Variances._fields)
    assert_mean(robust, stated.mean(axis=0))
    whole = posterior.covariance
    inner = whole @ np.linalg.inv(posterior.prior_covariance) @ whole
    ratio = np.median(stated / np.diagonal(whole - inner, axis1=1, axis2=2), axis=0)
    np.testing.assert_allclose(ratio, 1, atol=0.1)
