"""Coordinates in which a uniform density is normal."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import kstest

from bayes_ddp.inference.chart import Chart

INF = np.inf


@pytest.fixture
def chart() -> Chart:
    """Two parameters with a box and one without."""
    return Chart(jnp.array([0.0, -3.0, -INF]), jnp.array([1.0, 0.5, INF]))


def test_coordinates_come_back(chart: Chart) -> None:
    q = jnp.array([[0.2, -2.9, 7.0], [0.999, 0.3, -40.0]])
    np.testing.assert_allclose(chart.forward(chart.inverse(q)), q, rtol=1e-12)


def test_points_beyond_the_box_are_moved_into_it(chart: Chart) -> None:
    inside = chart.forward(chart.inverse(jnp.array([1.5, -9.0, 1e6])))
    assert 0.99 < inside[0] < 1.0 and -3.0 < inside[1] < -2.99 and inside[2] == 1e6


def test_slope_is_the_derivative(chart: Chart) -> None:
    z = jnp.array([0.7, -2.0, 3.0])
    jacobian = jax.jacfwd(chart.forward)(z)
    np.testing.assert_allclose(jnp.log(jnp.diagonal(jacobian)), chart.log_slope(z), rtol=1e-9)


def test_normal_coordinates_make_uniform_parameters(chart: Chart) -> None:
    z = jax.random.normal(jax.random.key(1), (4000, 3))
    q = np.asarray(chart.forward(z))
    assert kstest(q[:, 0], "uniform").pvalue > 1e-4
    assert kstest(q[:, 1], "uniform", args=(-3.0, 3.5)).pvalue > 1e-4
