"""What every sampler of a run file promises, asked of each in turn."""

from typing import Any

import numpy as np
import pytest

from bayes_ddp.inference.posterior import Posterior
from bayes_ddp.inference.samplers import SAMPLERS

each_sampler = pytest.mark.parametrize("kind", SAMPLERS)


@each_sampler
def test_posterior_has_the_agreed_shapes(survey: Any, runs: Any, kind: str) -> None:
    posterior = runs(kind)[0]
    assert isinstance(posterior, Posterior)
    assert posterior.names == survey.prior.space.names
    draws = len(posterior.draws)
    assert draws >= 100
    assert posterior.draws.shape == (draws, 3, 15)
    assert posterior.log_weight.shape == (draws, 3)
    assert posterior.mean.shape == posterior.prior_mean.shape == posterior.prior_sd.shape
    assert posterior.covariance.shape == (3, 15, 15)
    assert posterior.velocity.shape == (3, 2)
    assert posterior.lsf.shape == (3, 2)
    assert posterior.chi2.shape == posterior.pixels.shape == posterior.warn.shape == (3,)
    assert posterior.warn.dtype == np.int64
    assert posterior.draws.shape[0] % posterior.chains == 0
    for values in posterior.diagnostics.values():
        assert values.shape[0] == 3


@each_sampler
def test_fitted_stars_are_finite_and_dead_ones_unknown(runs: Any, kind: str) -> None:
    posterior = runs(kind)[0]
    for name in ("mean", "covariance", "prior_mean", "prior_sd", "chi2", "velocity", "lsf"):
        known = np.isfinite(getattr(posterior, name)).reshape(3, -1)
        assert known[[0, 2]].all(), name
        assert not known[1].any(), name
    assert np.isfinite(posterior.draws[:, [0, 2]]).all()
    assert np.isnan(posterior.draws[:, 1]).all()
    assert posterior.pixels.tolist() == [1625, 0, 1625]


@each_sampler
def test_same_keys_give_the_same_draws(runs: Any, kind: str) -> None:
    one, same, other = runs(kind)
    np.testing.assert_array_equal(one.draws, same.draws)
    np.testing.assert_array_equal(one.mean, same.mean)
    assert (one.draws[:, 0] != other.draws[:, 0]).any(axis=0).all()


@each_sampler
def test_samplers_agree_on_the_posterior(runs: Any, kind: str) -> None:
    """Means within a fifth of an error, errors within 10 %, at the median of the labels."""
    gauss, posterior = runs("map")[0], runs(kind)[0]
    for star in (0, 2):
        gap = np.abs(posterior.mean[star] - gauss.mean[star]) / gauss.sd[star]
        ratio = posterior.sd[star] / gauss.sd[star]
        assert np.median(gap) < 0.2
        assert 0.9 < np.median(ratio) < 1.1


@each_sampler
def test_settings_refuse_what_they_do_not_know(kind: str) -> None:
    with pytest.raises(ValueError, match="num_warmpu"):
        SAMPLERS[kind](num_warmpu=3)
    assert SAMPLERS[kind]() == SAMPLERS[kind](kind=kind)
    assert hash(SAMPLERS[kind]()) == hash(SAMPLERS[kind]())
