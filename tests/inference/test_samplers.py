"""What every sampler of a run file promises, and that they agree on the same three stars."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import fields, replace
from typing import Any

import jax
import numpy as np
import pytest

from bayes_ddp.inference.diagnostics import chain_diagnostics
from bayes_ddp.inference.forward import StarData
from bayes_ddp.inference.posterior import Posterior
from bayes_ddp.inference.samplers import SAMPLERS, Nuts

NUTS = Nuts(num_warmup=200, num_samples=1000, chains=4)  # the settings of the fixture ``runs``
each_sampler = pytest.mark.parametrize("kind", SAMPLERS)


@each_sampler
def test_posterior_has_the_agreed_shapes(survey: Any, runs: Any, kind: str) -> None:
    posterior = runs(kind)
    assert isinstance(posterior, Posterior)
    assert posterior.names == survey.prior.space.names
    assert posterior.arms == ("B", "R")
    assert set(posterior.nuisances) == {"velocity", "lsf_B", "lsf_R"}
    draws = len(posterior.draws)
    assert draws >= 100
    assert posterior.draws.shape == (draws, 3, 15)
    for name in ("log_weight", "log_prior", "log_likelihood"):
        assert getattr(posterior, name).shape == (draws, 3), name
    for values in posterior.nuisances.values():
        assert values.shape == (draws, 3)
    for name in ("mode", "mean", "prior_mean", "sd", "prior_sd"):
        assert getattr(posterior, name).shape == (3, 15), name
    for name in ("covariance", "prior_covariance"):
        assert getattr(posterior, name).shape == (3, 15, 15), name
    assert posterior.velocity.shape == (3, 2)
    assert posterior.lsf.shape == (3, 2)
    assert posterior.chi2.shape == posterior.pixels.shape == posterior.warn.shape == (3,)
    assert posterior.warn.dtype == np.int64
    assert posterior.draws.shape[0] % posterior.chains == 0
    assert tuple(posterior.diagnostics) == SAMPLERS[kind].diagnostics
    for values in posterior.diagnostics.values():
        assert values.shape[0] == 3


@each_sampler
def test_fitted_stars_are_finite_and_dead_ones_unknown(runs: Any, kind: str) -> None:
    posterior = runs(kind)
    for name in (
        *("mode", "mean", "covariance", "prior_mean", "prior_covariance"),
        *("chi2", "velocity", "lsf"),
    ):
        known = np.isfinite(getattr(posterior, name)).reshape(3, -1)
        assert known[[0, 2]].all(), name
        assert not known[1].any(), name
    assert np.isfinite(posterior.draws[:, [0, 2]]).all()
    assert np.isnan(posterior.draws[:, 1]).all()
    for values in (posterior.log_prior, *posterior.nuisances.values()):
        assert np.isfinite(values[:, [0, 2]]).all()
        assert np.isnan(values[:, 1]).all()
    assert posterior.fitted.tolist() == [True, False, True]
    assert posterior.pixels.tolist() == [1625, 0, 1625]


@each_sampler
def test_same_key_gives_the_same_draws_whatever_the_other_stars(runs: Any, kind: str) -> None:
    one, same, other = runs(kind), runs(kind, last=True), runs(kind, 2, last=True)
    np.testing.assert_array_equal(one.draws[:, 2], same.draws[:, 2])
    np.testing.assert_array_equal(one.mean[2], same.mean[2])
    np.testing.assert_array_equal(one.log_weight[:, 2], same.log_weight[:, 2])
    assert (one.draws[:, 2] != other.draws[:, 2]).any(axis=0).all()
    assert np.isnan(same.mean[:2]).all()


@each_sampler
def test_samplers_agree_on_the_posterior(runs: Any, kind: str) -> None:
    """Means within a fifth of an error, errors within 10 %, at the median of the labels."""
    gauss, posterior = runs("map"), runs(kind)
    for star in (0, 2):
        gap = np.abs(posterior.mean[star] - gauss.mean[star]) / gauss.sd[star]
        ratio = posterior.sd[star] / gauss.sd[star]
        assert np.median(gap) < 0.2
        assert 0.9 < np.median(ratio) < 1.1


@each_sampler
def test_log_likelihood_is_relative_to_nothing(runs: Any, kind: str) -> None:
    """Minus half of chi2: at most that of the best fit, give or take its convergence.

    NaN if the sampler does not evaluate it.
    """
    posterior = runs(kind)
    best = -0.5 * posterior.chi2[[0, 2]]
    values = posterior.log_likelihood[:, [0, 2]]
    if kind == "map":
        assert np.isnan(values).all()
    else:
        lost = best - np.average(values, axis=0, weights=posterior.weight[:, [0, 2]])
        assert (0 < lost).all() and (lost < 18).all()  # half of 18 parameters, less the prior's


@each_sampler
def test_mode_is_the_best_fit_and_prior_covariance_that_of_the_prior(
    survey: Any, runs: Any, kind: str
) -> None:
    gauss, posterior = runs("map"), runs(kind)
    np.testing.assert_array_equal(posterior.mode, gauss.mean)
    for star in (0, 2):
        mean, covariance = survey.prior.moments(jax.numpy.asarray(posterior.mode[star]))
        np.testing.assert_allclose(posterior.prior_mean[star], mean, rtol=1e-9)
        np.testing.assert_allclose(posterior.prior_covariance[star], covariance, atol=1e-12)


@each_sampler
def test_settings_refuse_what_they_do_not_know(kind: str) -> None:
    with pytest.raises(ValueError, match="num_warmpu"):
        SAMPLERS[kind](num_warmpu=3)
    assert SAMPLERS[kind]() == SAMPLERS[kind](kind=kind)
    assert hash(SAMPLERS[kind]()) == hash(SAMPLERS[kind]())


def far_from_bounds(survey: Any, posterior: Any, star: int) -> np.ndarray:
    """[label] bool: more than four sigma inside the trained range."""
    space = survey.prior.space
    room = np.minimum(posterior.mean[star] - space.low, space.high - posterior.mean[star])
    return room > 4 * posterior.sd[star]


def test_exact_draws_are_those_of_long_chains(runs: Any) -> None:
    """Means and errors of all labels of two stars: four Monte Carlo errors, false alarm 4e-3."""
    exact, nuts = runs("exact"), runs("nuts")
    for star in (0, 2):
        own, other = exact.diagnostics["ess"][star], nuts.diagnostics["ess"][star]
        error = nuts.sd[star] * np.sqrt(1 / own + 1 / other)
        assert (np.abs(exact.mean[star] - nuts.mean[star]) < 4 * error).all()
        squares = chain_diagnostics((nuts.draws[:, star] - nuts.mean[star]) ** 2, 4)[1]
        spread = np.sqrt(0.5 * (3 / own + 1 / squares))  # tails weigh more than the Gaussian's
        assert (np.abs(exact.sd[star] / nuts.sd[star] - 1) < 4 * spread).all()


# [star, label] whose posterior is lopsided: a Gaussian at its mode is not its mean and error
LOPSIDED = {(0, "c_fe"), (0, "o_fe"), (2, "c_fe"), (2, "n_fe")}


def against_chains(survey: Any, runs: Any, star: int) -> dict[str, tuple[float, float]]:
    """Label -> relative gap in sd and gap of means in sd, Gaussian of the best fit against NUTS.

    Labels far from the bounds with an error below 0.4 of the prior's.
    """
    gauss, sampled = runs("map"), runs("nuts")
    use = far_from_bounds(survey, gauss, star) & (gauss.sd[star] < 0.4 * gauss.prior_sd[star])
    sd = np.abs(sampled.sd[star] / gauss.sd[star] - 1)
    mean = np.abs(sampled.mean[star] - gauss.mean[star]) / gauss.sd[star]
    gaps = zip(gauss.names, use, sd, mean, strict=True)
    return {name: (float(a), float(b)) for name, used, a, b in gaps if used}


def test_errors_of_the_fit_are_those_of_the_chains(survey: Any, runs: Any) -> None:
    """Within 10 %, ESS above 4,000 (a Monte Carlo error of 1.1 %); means within 0.2 sigma.

    The slow test needs 10 % on all of DESI's pixels at S/N 100.
    """
    sampled = runs("nuts")
    for star in (0, 2):
        gaps = against_chains(survey, runs, star)
        assert len(gaps) >= 12
        assert sampled.diagnostics["ess"][star].min() > 4000
        assert sampled.diagnostics["rhat"][star].max() < 1.01
        plain = [gap for name, gap in gaps.items() if (star, name) not in LOPSIDED]
        assert (np.array(plain) < (0.10, 0.2)).all()
    assert not sampled.warn[[0, 2]].any()


@pytest.mark.xfail(reason="1,300 Å leave C, N and O lopsided: sd off by 15 %, means by 0.33 sigma")
def test_a_gaussian_serves_lopsided_posteriors_too(survey: Any, runs: Any) -> None:
    gaps = [against_chains(survey, runs, star)[name] for star, name in sorted(LOPSIDED)]
    assert (np.array(gaps) < (0.10, 0.2)).all()


def test_summaries_of_chains_are_those_of_the_draws(runs: Any) -> None:
    sampled = runs("nuts")
    np.testing.assert_allclose(sampled.mean[0], sampled.draws[:, 0].mean(axis=0))
    np.testing.assert_allclose(sampled.covariance[0], np.cov(sampled.draws[:, 0].T, bias=True))
    assert sampled.chains == 4
    assert sampled.draws.shape == (NUTS.made, 3, 15)
    assert not np.ptp(sampled.log_weight, axis=0).any()


def test_chains_are_compiled_once_for_all_stars(
    survey: Any,
    last_star: StarData,
    runs: Any,
    compilations: Callable[[], AbstractContextManager[list[str]]],
) -> None:
    """Other keys, and settings and a problem that are equal and not the same."""
    sampled, keys = runs("nuts"), jax.random.split(jax.random.key(9), 3)
    again = Nuts(**{f.name: getattr(NUTS, f.name) for f in fields(NUTS)})
    with compilations() as compiled:
        other = again(replace(survey.problem), last_star, keys)
    assert not compiled
    assert (other.draws[0, 2] != sampled.draws[0, 2]).all()
