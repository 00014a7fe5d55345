"""The record that a sampler fills: weights, room for more draws than there are, moments."""

import jax.numpy as jnp
import numpy as np
import pytest

from bayes_ddp.inference.parameters import Nuisances
from bayes_ddp.inference.posterior import Posterior, blank
from bayes_ddp.inference.record import with_room, write_star
from bayes_ddp.inference.target import Described

NAMES, ARMS = ("teff", "feh"), ("B", "R")


@pytest.fixture
def laplace() -> Posterior:
    empty = blank(NAMES, np.array(["a", "b", "c"]), ARMS)
    for name in ("mode", "prior_mean", "prior_covariance", "chi2", "pixels", "rejected", "warn"):
        getattr(empty, name)[:] = 7
    return empty


def described(number: int) -> Described:
    rng = np.random.default_rng(1)
    return Described(
        labels=jnp.asarray(rng.standard_normal((number, 2))),
        nuisances=Nuisances(
            jnp.asarray(rng.standard_normal(number)), jnp.asarray(rng.random((number, 2)))
        ),
        log_prior=jnp.asarray(rng.standard_normal(number)),
        log_likelihood=jnp.asarray(rng.standard_normal(number)),
    )


def test_room_keeps_the_fit_and_has_no_draws_yet(laplace: Posterior) -> None:
    room = with_room(laplace, 10, ("rhat", "khat"), chains=5)
    assert room.draws.shape == (10, 3, 2)
    assert room.chains == 5
    assert set(room.diagnostics) == {"rhat", "khat"}
    for name in ("mode", "prior_mean", "prior_covariance", "chi2", "pixels", "rejected", "warn"):
        assert (getattr(room, name) == 7).all(), name
    for name in ("draws", "mean", "covariance", "velocity", "lsf", "log_prior"):
        assert np.isnan(getattr(room, name)).all(), name


def test_star_has_the_weighted_moments_of_its_draws(laplace: Posterior) -> None:
    room, drawn = with_room(laplace, 50, ()), described(50)
    weight = np.random.default_rng(2).dirichlet(np.ones(50))
    write_star(room, 1, drawn, weight=weight)
    np.testing.assert_allclose(room.weight[:, 1], weight, rtol=1e-9)
    covariance = np.cov(drawn.labels.T, aweights=weight, bias=True)
    np.testing.assert_allclose(room.covariance[1], covariance, rtol=1e-9)
    np.testing.assert_allclose(room.mean[1], np.average(drawn.labels, axis=0, weights=weight))
    velocity = drawn.nuisances.velocity
    centre = np.average(velocity, weights=weight)
    error = np.sqrt(np.average((velocity - centre) ** 2, weights=weight))
    np.testing.assert_allclose(room.velocity[1], [centre, error])
    np.testing.assert_allclose(room.lsf[1], weight @ drawn.nuisances.lsf)
    np.testing.assert_array_equal(room.nuisances["lsf_R"][:, 1], drawn.nuisances.lsf[:, 1])
    np.testing.assert_allclose(room.log_likelihood[:, 1], drawn.log_likelihood - 3.5)
    np.testing.assert_array_equal(room.log_prior[:, 1], drawn.log_prior)
    assert np.isnan(room.mean[[0, 2]]).all()


def test_room_that_is_left_has_finite_values_and_no_weight(laplace: Posterior) -> None:
    """Quantiles differ by part of the distance between neighbouring draws, 0.03 here."""
    full, part = with_room(laplace, 30, ()), with_room(laplace, 40, ())
    weight = np.random.default_rng(2).dirichlet(np.ones(30))
    for record in (full, part):
        write_star(record, 0, described(30), weight=weight)
    np.testing.assert_array_equal(part.weight[30:, 0], 0.0)
    for values in (part.draws, part.log_prior, part.log_likelihood, *part.nuisances.values()):
        assert np.isfinite(values[:, 0]).all()
    np.testing.assert_array_equal(part.mean[0], full.mean[0])
    levels = [0.16, 0.5, 0.84]
    gap = part.quantiles(levels)[:, 0] - full.quantiles(levels)[:, 0]
    assert np.abs(gap).max() < 0.03


def test_draws_of_weight_zero_are_allowed(laplace: Posterior) -> None:
    room, weight = with_room(laplace, 4, ()), np.array([0.5, 0.0, 0.5, 0.0])
    write_star(room, 0, described(4), weight=weight)
    np.testing.assert_allclose(room.weight[:, 0], weight)
    assert np.isneginf(room.log_weight[[1, 3], 0]).all()
