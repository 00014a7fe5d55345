"""The sampler ``exact``: weighted draws, and chains where the weights fail.

test_samplers.py compares them with long chains.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayes_ddp.inference import importance
from bayes_ddp.inference.exact import Exact
from bayes_ddp.inference.hmc import CHAINS
from bayes_ddp.inference.importance import DRAWS
from bayes_ddp.inference.parameters import Nuisances
from bayes_ddp.inference.posterior import QUANTILES, Posterior
from bayes_ddp.inference.problem import model_flux


@pytest.fixture(scope="module")
def exact(runs: Any) -> Posterior:
    return runs("exact")


def test_all_draws_are_kept_with_their_weights(exact: Posterior) -> None:
    """Chains where Pareto k exceeds its limit, and there R-hat is known."""
    assert exact.draws.shape == (DRAWS, 3, 15)
    assert not exact.warn[[0, 2]].any()
    for star in (0, 2):
        weight, ess = exact.weight[:, star], exact.diagnostics["ess"][star]
        assert (ess >= 400).all()
        if exact.diagnostics["khat"][star] < 0.5:
            np.testing.assert_allclose(ess, 1 / np.sum(weight**2), rtol=1e-6)
            assert np.isnan(exact.diagnostics["rhat"][star]).all()
        else:
            np.testing.assert_allclose(weight, 1 / DRAWS)
            assert (exact.diagnostics["rhat"][star] < 1.01).all()


def test_summaries_are_the_moments_of_the_weighted_draws(exact: Posterior) -> None:
    for star in (0, 2):
        weight, draws = exact.weight[:, star], exact.draws[:, star]
        np.testing.assert_allclose(exact.mean[star], weight @ draws, rtol=1e-9)
        away = draws - exact.mean[star]
        covariance = (away.T * weight) @ away
        scale = np.outer(exact.sd[star], exact.sd[star])
        assert (np.abs(exact.covariance[star] - covariance) < 1e-9 * scale).all()
        velocity = exact.nuisances["velocity"][:, star]
        assert exact.velocity[star, 0] == pytest.approx(weight @ velocity)
        for i, arm in enumerate(exact.arms):
            factor = exact.nuisances[f"lsf_{arm}"][:, star]
            assert exact.lsf[star, i] == pytest.approx(weight @ factor)


def test_equally_weighted_draws_and_summaries_agree(exact: Posterior) -> None:
    """A hundred equally weighted draws against all: five errors of the mean, 30 means."""
    few = exact.equally_weighted(100)
    assert few.draws.shape == (100, 3, 15)
    for star in (0, 2):
        gap = few.draws[:, star].mean(axis=0) - exact.mean[star]
        assert (np.abs(gap) < 5 * exact.sd[star] / np.sqrt(100)).all()
        assert np.linalg.eigvalsh(np.corrcoef(few.draws[:, star].T)).min() > 0
        gap = few.quantiles(list(QUANTILES.values()))[:, star] - exact.summary()[:, star]
        assert (np.abs(gap) < 5 * 2.1 * exact.sd[star] / np.sqrt(100)).all()  # worst at 95 %
        assert (np.abs(gap) > 0).any()
    np.testing.assert_array_equal(few.summary(), exact.summary())


def test_log_likelihood_of_a_draw_is_minus_half_its_chi2(
    survey: Any, three_stars: Any, exact: Posterior
) -> None:
    """Against all pixels, for draws within the posterior: 0.1 where the range exceeds 10.

    The likelihood is linear in velocity and LSF width, ``model_flux`` is not.
    """
    rows = np.argsort(-exact.log_weight[:, 0])[:64]
    star = jax.tree.map(lambda x: jnp.broadcast_to(x[0], (64, *x.shape[1:])), three_stars)
    lsf = np.stack([exact.nuisances[f"lsf_{arm}"][rows, 0] for arm in exact.arms], axis=1)
    values = Nuisances(jnp.asarray(exact.nuisances["velocity"][rows, 0]), jnp.asarray(lsf))
    model = model_flux(survey.problem, star, jnp.asarray(exact.draws[rows, 0]), values)
    gap = np.asarray(star.flux, float) - np.asarray(model, float)
    chi2 = np.sum(np.asarray(star.precision, float) * gap**2, axis=1)
    difference = exact.log_likelihood[rows, 0] + 0.5 * chi2
    assert np.ptp(chi2) > 10
    assert np.abs(difference).max() < 0.3
    assert difference.std() < 0.1


def test_log_prior_of_a_draw_is_that_of_its_labels(survey: Any, exact: Posterior) -> None:
    expected = jax.jit(jax.vmap(survey.prior.log_prob))(jnp.asarray(exact.draws[:50, 2]))
    np.testing.assert_allclose(exact.log_prior[:50, 2], expected, rtol=1e-9)


def test_star_whose_weights_fail_gets_chains(
    survey: Any, three_stars: Any, exact: Posterior, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit of Pareto k is moved: chains give the same posterior, and R-hat is known."""
    monkeypatch.setattr(importance, "_MAX_K", -9.0)
    keys = jax.random.split(jax.random.key(1), 3)
    chains = Exact()(survey.problem, three_stars, keys)
    for star in (0, 2):
        np.testing.assert_allclose(chains.weight[:, star], 1 / DRAWS)
        assert chains.diagnostics["khat"][star] == exact.diagnostics["khat"][star]
        assert 0.99 < chains.diagnostics["rhat"][star].max() < 1.02
        own, other = (p.diagnostics["ess"][star] for p in (exact, chains))
        error = exact.sd[star] * np.sqrt(1 / own + 1 / other)
        assert (np.abs(chains.mean[star] - exact.mean[star]) < 4.5 * error).all()
        assert (np.abs(chains.sd[star] / exact.sd[star] - 1) < 4.5 * np.sqrt(3 / own)).all()
        by_chain = chains.draws[:, star].reshape(CHAINS, -1, 15)
        assert (by_chain.std(axis=1) > 0).all()
    assert np.isnan(chains.mean[1]).all()


def test_every_star_has_random_numbers_of_its_own(exact: Posterior) -> None:
    """Of two stars the draws from the first proposal, in units in which they are independent.

    A thousand pairs for each label: a correlation is 0 to 5 / sqrt(1000).
    """
    first = exact.draws[:1000, [0, 2]]
    z = (first - first.mean(axis=0)) / first.std(axis=0)
    assert np.abs((z[:, 0] * z[:, 1]).mean(axis=0)).max() < 5 / np.sqrt(1000)
