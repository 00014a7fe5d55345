"""Adaptive importance sampling: its weights, and when chains take over."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayes_ddp.inference import importance
from bayes_ddp.inference.chart import Chart
from bayes_ddp.inference.diagnostics import chain_diagnostics
from bayes_ddp.inference.hmc import CHAINS
from bayes_ddp.inference.importance import DRAWS, MIN_ESS, Gaussian, draw

SIZE = 5


class Scaled(eqx.Module):
    """Ln density of independent normals with standard deviations ``sd``, plus a constant."""

    sd: jax.Array
    constant: float = 0.0

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.constant - 0.5 * jnp.sum((x / self.sd) ** 2)


class Half(eqx.Module):
    """A unit normal where the first parameter is positive, nothing elsewhere."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.where(x[0] > 0, -0.5 * jnp.sum(x**2), -jnp.inf)


class Hills(eqx.Module):
    """Two unit normals, 8 sigma either side of the origin along every axis."""

    def __call__(self, x: jax.Array) -> jax.Array:
        each = jnp.stack([-0.5 * jnp.sum((x - 8) ** 2), -0.5 * jnp.sum((x + 8) ** 2)])
        return jax.nn.logsumexp(each)


class Ramp(eqx.Module):
    """Independent parameters between 0 and 1 whose density rises in proportion to them."""

    def __call__(self, x: jax.Array) -> jax.Array:
        inside = jnp.all((x > 0) & (x < 1))
        return jnp.where(inside, jnp.sum(jnp.log(jnp.where(inside, x, 1.0))), -jnp.inf)


UNIT = Gaussian(jnp.zeros(SIZE), jnp.eye(SIZE))


@pytest.mark.parametrize("ratio", [0.25, 4.0])
def test_covariance_is_right_where_the_start_is_off_by_a_factor(ratio: float) -> None:
    """The covariance is ``ratio`` times that of the start.

    Wide and narrow proposals are mixed, so that without the determinants of their roots the
    weights of one of them are wrong by ``ratio ** (SIZE / 2)``, a factor 32. Variances within five
    Monte Carlo errors, which are below 12 %: chance of failure 3e-6.
    """
    drawn = draw(Scaled(jnp.full(SIZE, ratio**0.5)), UNIT, jax.random.key(4))
    assert not drawn.chains
    values = np.asarray(drawn.points) ** 2
    found = drawn.weight @ values
    error = np.sqrt(drawn.weight**2 @ (values - found) ** 2)
    assert (error < 0.12 * ratio).all()
    assert (np.abs(found - ratio) < 5 * error).all()


def test_draws_of_the_start_itself_have_nearly_equal_weights() -> None:
    drawn = draw(Scaled(jnp.ones(SIZE)), UNIT, jax.random.key(1))
    assert not drawn.chains
    assert drawn.khat < 0.3
    assert 1 / np.sum(drawn.weight**2) > 0.9 * len(drawn.weight)


def test_weights_sum_to_one_and_densities_are_those_of_the_points() -> None:
    density = Scaled(jnp.linspace(0.8, 1.2, SIZE), 7.0)
    drawn = draw(density, UNIT, jax.random.key(1))
    assert drawn.points.shape == (len(drawn.weight), SIZE)
    assert len(drawn.weight) <= DRAWS
    assert drawn.weight.sum() == pytest.approx(1, abs=1e-12)
    assert (drawn.weight >= 0).all()
    np.testing.assert_allclose(drawn.log_density, jax.vmap(density)(drawn.points), rtol=1e-12)


def test_constant_of_the_density_does_not_matter() -> None:
    low, high = (draw(Scaled(jnp.ones(SIZE), c), UNIT, jax.random.key(2)) for c in (-1e4, 1e4))
    np.testing.assert_allclose(low.points, high.points, atol=1e-9)
    np.testing.assert_allclose(low.weight, high.weight, rtol=1e-6)


def test_points_without_density_have_no_weight() -> None:
    """A normal cut in half: its mean is sqrt(2 / pi), within five Monte Carlo errors."""
    drawn = draw(Half(), UNIT, jax.random.key(3))
    assert not drawn.chains
    first = np.asarray(drawn.points)[:, 0]
    assert drawn.weight[first <= 0].max() < 1e-12
    mean = drawn.weight @ first
    error = np.sqrt(drawn.weight**2 @ (first - mean) ** 2)
    assert abs(mean - np.sqrt(2 / np.pi)) < 5 * error


def test_chains_take_over_where_the_weights_are_unreliable() -> None:
    """Two hills far outside the start: few draws carry all the weight."""
    drawn = draw(Hills(), UNIT, jax.random.key(1))
    assert drawn.chains
    assert len(drawn.weight) == DRAWS
    np.testing.assert_array_equal(drawn.weight, 1 / DRAWS)
    density = jax.vmap(Hills())(drawn.points)
    np.testing.assert_allclose(drawn.log_density, density, rtol=1e-9, atol=1e-9)


def test_chains_in_the_coordinates_of_a_box_have_the_moments_of_the_density(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """E x = 2/3 and E x^2 = 1/2: five Monte Carlo errors, ten moments; failure 1e-5."""
    monkeypatch.setattr(importance, "_MAX_K", -9.0)
    box = Chart(jnp.zeros(SIZE), jnp.ones(SIZE))
    start = Gaussian(jnp.full(SIZE, 0.6), 0.25 * jnp.eye(SIZE))
    drawn = draw(Ramp(), start, jax.random.key(5), chart=box)
    assert drawn.chains
    points = np.asarray(drawn.points)
    for values, expected in ((points, 2 / 3), (points**2, 1 / 2)):
        error = values.std(axis=0) / np.sqrt(chain_diagnostics(values, CHAINS)[1])
        assert (error < 0.02).all()
        assert (np.abs(values.mean(axis=0) - expected) < 5 * error).all()
    density = jax.vmap(Ramp())(drawn.points)
    np.testing.assert_allclose(drawn.log_density, density, rtol=1e-6, atol=1e-6)


def test_chains_are_chosen_by_pareto_k_and_by_the_effective_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    density, key = Scaled(jnp.ones(SIZE)), jax.random.key(1)
    plain = draw(density, UNIT, key)
    assert 1 / np.sum(plain.weight**2) > MIN_ESS
    monkeypatch.setattr(importance, "_MAX_K", -9.0)
    assert draw(density, UNIT, key).chains
    monkeypatch.undo()
    monkeypatch.setattr(importance, "MIN_ESS", 1e5)
    forced = draw(density, UNIT, key)
    assert forced.chains
    assert forced.khat == plain.khat


def test_densities_of_the_same_structure_share_compiled_code(
    compilations: Callable[[], AbstractContextManager[list[str]]],
) -> None:
    draw(Scaled(jnp.ones(SIZE)), UNIT, jax.random.key(1))
    other, start = Scaled(1.1 * jnp.ones(SIZE)), Gaussian(0.1 * jnp.ones(SIZE), UNIT.root)
    with compilations() as compiled:
        draw(other, start, jax.random.key(2))
    assert not compiled
