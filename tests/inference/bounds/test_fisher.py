"""Bounds from an information matrix: closed forms, invariance, directions without information."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayes_ddp.inference.bounds import fisher
from bayes_ddp.inference.bounds.fisher import free_groups
from bayes_ddp.inference.likelihood import Noise, information

PIXELS = 400
precision, marginalised, sandwich = (
    jax.jit(f, static_argnames="labels")
    for f in (fisher.precision, fisher.marginalised, fisher.sandwich)
)


@pytest.fixture(scope="module")
def jacobian():
    """[parameter, pixel] of four labels in units as far apart as kelvin and dex, two nuisances."""
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((6, PIXELS)) + 0.7 * rng.standard_normal(PIXELS)
    return rows * np.array([1e-4, 0.2, 0.05, 1.0, 0.1, 3.0])[:, None]


@pytest.fixture(scope="module")
def noise():
    ivar = np.random.default_rng(2).uniform(10, 1e4, PIXELS)
    ivar[::7] = 0
    return Noise(jnp.asarray(ivar))


def test_flat_gradient_has_the_error_of_a_mean():
    found = precision(information(Noise(jnp.full(100, 25.0)), jnp.ones((1, 100))), labels=1)
    np.testing.assert_allclose(found.marginal, [1 / np.sqrt(100 * 25.0)], rtol=1e-14)
    np.testing.assert_allclose(found.conditional, found.marginal, rtol=1e-14)


@pytest.mark.parametrize("rho", [-0.9, 0.0, 0.5])
def test_two_labels_lose_what_their_correlation_takes(rho):
    """Marginal over conditional variance is 1 / (1 - rho^2), the covariance its negative."""
    a, b = 3e-3, 40.0
    matrix = jnp.array([[a**2, rho * a * b], [rho * a * b, b**2]])
    found = precision(matrix, labels=2)
    factor = 1 / (1 - rho**2)
    np.testing.assert_allclose(found.conditional, [1 / a, 1 / b], rtol=1e-14)
    np.testing.assert_allclose(found.marginal, np.sqrt(factor) / np.array([a, b]), rtol=1e-13)
    np.testing.assert_allclose(
        found.covariance[0, 1], -rho * factor / (a * b), rtol=1e-13, atol=1e-15
    )


def test_bound_agrees_with_the_formula_in_numpy(jacobian, noise):
    prior = np.array([0, 0, 0, 0, 2.0, 0.3])
    found = precision(information(noise, jnp.asarray(jacobian)) + jnp.diag(prior), labels=4)
    full = jacobian @ np.diag(np.asarray(noise.precision)) @ jacobian.T + np.diag(prior)
    covariance = np.linalg.inv(full)[:4, :4]
    np.testing.assert_allclose(found.covariance, covariance, rtol=1e-10)
    np.testing.assert_allclose(found.marginal, np.sqrt(np.diag(covariance)), rtol=1e-10)
    alone = [np.sqrt(np.linalg.inv(full[np.ix_([i, 4, 5], [i, 4, 5])])[0, 0]) for i in range(4)]
    np.testing.assert_allclose(found.conditional, alone, rtol=1e-10)
    np.testing.assert_allclose(
        marginalised(information(noise, jnp.asarray(jacobian)) + jnp.diag(prior), labels=4),
        np.linalg.inv(covariance),
        rtol=1e-9,
    )


def test_bound_follows_a_change_of_units_and_of_parameters(jacobian, noise):
    """Labels y = T x have the covariance T C T': units, and [X/H] instead of [X/Fe]."""
    turn = np.eye(6)
    turn[2, 1], turn[0, 0], turn[3, 3] = 1.0, 1e-3, 40.0
    matrix = information(noise, jnp.asarray(jacobian))
    other = information(noise, jnp.asarray(np.linalg.inv(turn).T @ jacobian))
    one, two = precision(matrix, labels=4), precision(other, labels=4)
    part = turn[:4, :4]
    np.testing.assert_allclose(two.covariance, part @ one.covariance @ part.T, rtol=1e-9)


def test_masked_pixels_add_no_information(jacobian, noise):
    used = np.asarray(noise.precision) > 0
    fewer = information(Noise(noise.precision[used]), jnp.asarray(jacobian[:, used]))
    np.testing.assert_allclose(information(noise, jnp.asarray(jacobian)), fewer, rtol=1e-12)


def test_label_without_lines_has_no_bound_and_is_named(jacobian, noise):
    silent = jacobian.copy()
    silent[1] = 0
    found = precision(information(noise, jnp.asarray(silent)), labels=4)
    assert np.isnan(found.marginal).tolist() == [False, True, False, False]
    assert np.isnan(found.conditional).tolist() == [False, True, False, False]
    assert np.isnan(found.covariance[1]).all() and np.isnan(found.covariance[:, 1]).all()
    assert free_groups(np.asarray(found.free), tuple("abcd")) == [("b",)]


def test_other_labels_keep_the_bound_that_they_have_without_a_null_direction(jacobian, noise):
    """Two labels with one gradient spectrum: the others as if the two were one label."""
    twin = jacobian.copy()
    twin[3] = -2.5 * twin[1]
    found = precision(information(noise, jnp.asarray(twin)), labels=4)
    assert np.isnan(found.marginal).tolist() == [False, True, False, True]
    assert free_groups(np.asarray(found.free), tuple("abcd")) == [("b", "d")]
    assert np.isfinite(found.conditional).all()
    one = precision(information(noise, jnp.asarray(np.delete(twin, 3, axis=0))), labels=3)
    np.testing.assert_allclose(
        np.delete(found.marginal, [1, 3]), np.delete(one.marginal, 1), rtol=1e-9
    )
    np.testing.assert_allclose(found.covariance[0, 2], one.covariance[0, 2], rtol=1e-8)


def test_label_that_a_nuisance_imitates_has_no_bound(jacobian, noise):
    copied = jacobian.copy()
    copied[4] = 3.0 * copied[0]
    matrix = information(noise, jnp.asarray(copied))
    found = precision(matrix, labels=4)
    assert np.isnan(found.marginal).tolist() == [True, False, False, False]
    assert np.isnan(found.conditional).tolist() == [True, False, False, False]
    assert free_groups(np.asarray(found.free), tuple("abcd")) == [("a",)]
    known = precision(matrix.at[4, 4].add(5.0), labels=4)
    assert np.isfinite(known.marginal).all(), "a prior of the nuisance lifts it"


def test_nuisance_without_derivative_takes_nothing(jacobian, noise):
    idle = jacobian.copy()
    idle[5] = 0
    found = precision(information(noise, jnp.asarray(idle)), labels=4)
    without = precision(information(noise, jnp.asarray(idle[:5])), labels=4)
    np.testing.assert_allclose(found.marginal, without.marginal, rtol=1e-10)
    np.testing.assert_allclose(found.conditional, without.conditional, rtol=1e-10)


def test_sandwich_is_the_bound_where_the_weights_are_right(jacobian, noise):
    matrix = information(noise, jnp.asarray(jacobian))
    both = sandwich(matrix, matrix, labels=4)
    np.testing.assert_allclose(both, precision(matrix, labels=4).covariance, rtol=1e-9)


def test_sandwich_is_the_scatter_of_least_squares_with_wrong_weights(jacobian, noise):
    """Chance of failure below 1e-5: five standard errors, four labels, fixed key."""
    fits = 20_000
    rng = np.random.default_rng(3)
    sigma = rng.uniform(0.01, 0.2, PIXELS)
    weighted = jacobian * np.asarray(noise.precision)
    curvature = weighted @ jacobian.T
    values = np.linalg.solve(curvature, weighted @ (sigma * rng.standard_normal((fits, 400))).T)
    found = sandwich(
        jnp.asarray(curvature), jnp.asarray((weighted * sigma**2) @ weighted.T), labels=4
    )
    ratio = np.var(values, axis=1)[:4] / np.diag(found)
    assert np.all(np.abs(ratio - 1) < 5 * np.sqrt(2 / fits))
    assert np.diag(found)[0] > np.linalg.inv((jacobian / sigma**2) @ jacobian.T)[0, 0]


def test_bounds_of_many_matrices_are_those_of_each(jacobian, noise):
    matrix = information(noise, jnp.asarray(jacobian))
    many = jnp.stack([matrix, 4 * matrix, matrix.at[1].set(0).at[:, 1].set(0)])
    found = jax.vmap(lambda m: precision(m, labels=4))(many)
    np.testing.assert_allclose(found.marginal[1], found.marginal[0] / 2, rtol=1e-12)
    assert np.isnan(found.marginal[2]).tolist() == [False, True, False, False]
