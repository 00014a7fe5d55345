"""Gaussian noise of one star against dense float64 NumPy with the full covariance matrix."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayes_ddp.inference.likelihood import (
    Noise,
    chi2,
    information,
    log_likelihood_change,
    score,
    whitening_root,
)

PIXELS, PARAMETERS = 300, 5


@dataclass(frozen=True)
class Case:
    """Float32 arrays as the package has them, and the dense inverse covariance in float64.

    inverse : [pixel pixel], 0 in the rows and columns of masked pixels.
    """

    noise: Noise
    residual: jax.Array
    change: jax.Array
    jacobian: jax.Array
    inverse: np.ndarray


def make(factors: int, masked: bool) -> Case:
    """A star of S/N 30 to 100 with ``factors`` directions in which pixels vary together."""
    rng = np.random.default_rng(1 + factors)
    sigma = rng.uniform(0.01, 0.03, PIXELS)
    precision = (sigma**-2).astype(np.float32)
    used = np.ones(PIXELS, bool)
    if masked:
        used[rng.random(PIXELS) < 0.2] = False
        used[50:80] = False
        precision[~used] = 0
    loads = (0.02 * rng.standard_normal((factors, PIXELS))).astype(np.float32)
    residual, change = (sigma * rng.standard_normal((2, PIXELS))).astype(np.float32)
    jacobian = rng.standard_normal((PARAMETERS, PIXELS)).astype(np.float32)

    rows = loads.astype(float)[:, used]
    covariance = np.diag(1 / precision[used].astype(float)) + rows.T @ rows
    inverse = np.zeros((PIXELS, PIXELS))
    inverse[np.ix_(used, used)] = np.linalg.inv(covariance)
    return Case(
        Noise(jnp.asarray(precision), jnp.asarray(loads) if factors else None),
        *map(jnp.asarray, (residual, change, jacobian)),
        inverse,
    )


@pytest.fixture(params=[(0, False), (0, True), (1, False), (4, True)], ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    return make(*request.param)


def close(found: jax.Array, expected: np.ndarray) -> None:
    """Within the rounding of float32 sums, relative to the largest element; float64 returned."""
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_weighing_applies_the_inverse_covariance(case: Case) -> None:
    """To one row of pixels and to several."""
    for rows in (case.residual, case.jacobian):
        expected = np.asarray(rows, float) @ case.inverse
        gap = np.abs(np.asarray(case.noise.weigh(rows)) - expected)
        assert gap.max() < 2e-5 * np.abs(expected).max()


def test_chi2_is_the_quadratic_form_of_the_residual(case: Case) -> None:
    r = np.asarray(case.residual, float)
    close(chi2(case.noise, case.residual), r @ case.inverse @ r)


def test_change_of_log_likelihood_is_the_difference_of_two_gaussians(case: Case) -> None:
    r, d = np.asarray(case.residual, float), np.asarray(case.change, float)
    expected = -0.5 * ((r - d) @ case.inverse @ (r - d) - r @ case.inverse @ r)
    found = log_likelihood_change(case.noise, case.residual, case.change)
    assert found.dtype == np.float64
    assert abs(found - expected) < 2e-5 * (r @ case.inverse @ r)


def test_score_is_the_gradient_and_information_the_curvature(case: Case) -> None:
    j, r = np.asarray(case.jacobian, float), np.asarray(case.residual, float)
    close(score(case.noise, case.jacobian, case.residual), j @ case.inverse @ r)
    close(information(case.noise, case.jacobian), j @ case.inverse @ j.T)


def test_score_and_information_are_the_derivatives_of_the_log_likelihood(case: Case) -> None:
    """For a model that is linear in the parameters, by automatic differentiation."""

    def log_likelihood(x: jax.Array) -> jax.Array:
        change = (x @ case.jacobian).astype(jnp.float32)
        return log_likelihood_change(case.noise, case.residual, change)

    origin = jnp.zeros(PARAMETERS, jnp.float32)
    slope = np.asarray(jax.grad(log_likelihood)(origin), float)
    bend = np.asarray(jax.hessian(log_likelihood)(origin), float)
    expected = np.asarray(score(case.noise, case.jacobian, case.residual))
    assert np.abs(slope - expected).max() < 2e-5 * np.abs(expected).max()
    expected = np.asarray(information(case.noise, case.jacobian))
    assert np.abs(bend + expected).max() < 2e-5 * np.abs(expected).max()


def test_masked_pixels_are_removed_pixels() -> None:
    case = make(4, masked=True)
    keep = np.asarray(case.noise.precision) > 0
    factors = case.noise.factors
    assert factors is not None
    short = Noise(case.noise.precision[keep], factors[:, keep])
    for function in (chi2, log_likelihood_change, score, information):
        arrays = {
            chi2: (case.residual,),
            log_likelihood_change: (case.residual, case.change),
            score: (case.jacobian, case.residual),
            information: (case.jacobian,),
        }[function]
        whole = np.asarray(function(case.noise, *arrays))
        part = np.asarray(function(short, *(x[..., keep] for x in arrays)))
        assert np.abs(whole - part).max() <= 1e-5 * np.abs(part).max(), function.__name__


def test_values_of_masked_pixels_do_not_matter() -> None:
    """Not even in a pixel that takes part in the correlated noise."""
    case = make(4, masked=True)
    lost = np.asarray(case.noise.precision) == 0
    garbage = jnp.where(lost, jnp.float32(1e6), case.residual)
    assert chi2(case.noise, garbage) == chi2(case.noise, case.residual)


def test_factors_of_zero_are_independent_noise() -> None:
    case = make(0, masked=True)
    still = Noise(case.noise.precision, jnp.zeros((3, PIXELS), jnp.float32))
    np.testing.assert_array_equal(
        information(still, case.jacobian), information(case.noise, case.jacobian)
    )


def test_noise_drawn_with_factors_has_the_expected_chi2() -> None:
    """4,000 draws; mean and variance of chi2 within five errors: chance of failure 1e-6."""
    case, number = make(4, masked=False), 4000
    rng, factors = np.random.default_rng(5), case.noise.factors
    assert factors is not None
    sigma = 1 / np.sqrt(np.asarray(case.noise.precision, float))
    noise = sigma * rng.standard_normal((number, PIXELS))
    noise += rng.standard_normal((number, len(factors))) @ np.asarray(factors, float)
    draws = jnp.asarray(noise.astype(np.float32))
    found = np.asarray(jax.vmap(lambda r: chi2(case.noise, r))(draws))
    assert abs(found.mean() - PIXELS) < 5 * np.sqrt(2 * PIXELS / number)
    assert abs(found.var() / (2 * PIXELS) - 1) < 5 * np.sqrt((2 + 12 / PIXELS) / number)


def test_whitening_root_is_a_lower_triangular_root() -> None:
    """For parameters whose scales differ by 1e6."""
    rng, scale = np.random.default_rng(2), np.array([50.0, 0.1, 5e-5, 1.0])
    random = rng.standard_normal((4, 9))
    covariance = random @ random.T * np.outer(scale, scale)
    root = np.asarray(whitening_root(jnp.asarray(covariance)))
    np.testing.assert_array_equal(np.triu(root, 1), 0.0)
    np.testing.assert_allclose(root @ root.T, covariance, rtol=1e-12)
    np.testing.assert_allclose(root, np.linalg.cholesky(covariance), rtol=1e-9)
