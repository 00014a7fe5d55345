"""Exact draws: the compressed likelihood, the weights, and the chains that stand in for them."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayes_ddp.flags import WARN
from bayes_ddp.inference import importance
from bayes_ddp.inference.compress import compress
from bayes_ddp.inference.hmc import CHAINS, nested_rhat, run_chains
from bayes_ddp.inference.importance import Exact, systematic
from bayes_ddp.inference.model import StarModel, star_model
from bayes_ddp.inference.nuts import chain_diagnostics
from bayes_ddp.inference.posterior import QUANTILES, Posterior
from bayes_ddp.inference.problem import load_stars


@pytest.fixture(scope="module")
def exact(runs: Any) -> Posterior:
    return runs("exact")[0]


@eqx.filter_jit
def both(problem: Any, star: Any, q: Any, points: Any) -> Any:
    """Ln L of [draw parameter] by all pixels and by the compressed form."""
    full: StarModel = star_model(problem, star, q)
    short = compress(full)
    _, velocity, width = problem.split(q)

    def values(x: Any) -> Any:
        free, v, w = problem.split(x)
        at = problem.prior.constrain(free), v - velocity, w - width
        return full.log_likelihood(*at), short.log_likelihood(*at)

    return jax.vmap(values)(points)


@pytest.mark.parametrize(("snr", "limit"), [(300.0, 0.01), (30.0, 0.1)])
def test_compressed_likelihood_is_that_of_all_pixels(
    survey: Any, blank_spectrum: Callable[..., Any], snr: float, limit: float
) -> None:
    """Draws of the posterior: the scatter of the difference, which is what moves weights."""
    truth = survey.typical([5200.0] * 3, [4.5] * 3, [-0.5] * 3)
    pixels = blank_spectrum(3)
    ivar = np.full(pixels.ivar.shape, snr**2, np.float32)
    spectrum = survey.paint(truth, eqx.tree_at(lambda s: s.ivar, pixels, ivar), 8)
    fit, _ = survey.fit(spectrum, draws=2)
    star = jax.tree.map(lambda x: x[0], load_stars(survey.problem, spectrum))
    rng = np.random.default_rng(2)
    root = np.linalg.cholesky(fit.covariance[0])
    points = fit.q[0] + rng.standard_normal((200, len(root))) @ root.T
    full, short = map(np.asarray, both(survey.problem, star, fit.q[0], jnp.asarray(points)))
    assert np.ptp(full) > 5
    assert (full - short).std() < limit


def test_model_without_a_basis_is_refused(survey: Any, three_stars: Any) -> None:
    star = jax.tree.map(lambda x: x[0], three_stars)
    q = jnp.concatenate([jnp.asarray(survey.prior.space.middle), jnp.zeros(3)])
    model = jax.eval_shape(lambda: star_model(survey.problem, star, q, general=True))
    with pytest.raises(ValueError, match="has no low-rank basis"):
        compress(model)


def test_exact_draws_are_those_of_long_chains(exact: Posterior, runs: Any) -> None:
    """Means and errors of all labels of two stars: four Monte Carlo errors, false alarm 4e-3."""
    nuts = runs("nuts")[0]
    for star in (0, 2):
        own, other = exact.diagnostics["ess"][star], nuts.diagnostics["ess"][star]
        error = nuts.sd[star] * np.sqrt(1 / own + 1 / other)
        assert (np.abs(exact.mean[star] - nuts.mean[star]) < 4 * error).all()
        squares = chain_diagnostics((nuts.draws[:, star] - nuts.mean[star]) ** 2, 4)[1]
        spread = np.sqrt(0.5 * (3 / own + 1 / squares))  # tails weigh more than the Gaussian's
        assert (np.abs(exact.sd[star] / nuts.sd[star] - 1) < 4 * spread).all()


def test_summaries_and_kept_draws_agree(exact: Posterior) -> None:
    """A hundred kept draws against all of them: five errors of the mean, 30 means."""
    for star in (0, 2):
        gap = exact.draws[:, star].mean(axis=0) - exact.mean[star]
        assert (np.abs(gap) < 5 * exact.sd[star] / np.sqrt(100)).all()
        assert np.linalg.eigvalsh(np.corrcoef(exact.draws[:, star].T)).min() > 0
        assert exact.diagnostics["ess"][star] >= 400
        gap = exact.quantiles(list(QUANTILES.values()))[:, star] - exact.summary()[:, star]
        assert (np.abs(gap) < 5 * 2.1 * exact.sd[star] / np.sqrt(100)).all()  # worst at 95 %
        assert (np.abs(gap) > 0).any()  # of all draws, not of those that are kept
    assert not exact.log_weight.any()
    assert not exact.warn[[0, 2]].any()


def test_star_whose_weights_fail_gets_chains(
    survey: Any, three_stars: Any, exact: Posterior, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights are called bad: chains give the same posterior, and R-hat is told."""
    monkeypatch.setattr(importance, "_MAX_K", -9.0)
    keys = jax.random.split(jax.random.key(1), 3)
    chains = Exact(draws=100)(survey.problem, three_stars, keys)
    for star in (0, 2):
        assert np.isnan(exact.diagnostics["rhat"][star])
        assert 0.99 < chains.diagnostics["rhat"][star] < 1.02
        own, other = (p.diagnostics["ess"][star] for p in (exact, chains))
        error = exact.sd[star] * np.sqrt(1 / own + 1 / other)
        assert (np.abs(chains.mean[star] - exact.mean[star]) < 4.5 * error).all()
        assert (np.abs(chains.sd[star] / exact.sd[star] - 1) < 4.5 * np.sqrt(3 / own)).all()
    assert np.isnan(chains.mean[1]).all()


def test_few_draws_and_chains_apart_are_flagged(exact: Posterior) -> None:
    result = importance._room(exact, 10)
    labels = exact.draws[:, 0]
    told = importance.Drawn(
        labels, labels[:, 0], labels[:, :2], np.full(100, 0.01), 0.9, 1.5, 90.0, 1
    )
    importance._write(result, 1, told, 10)
    assert result.warn[1] == WARN.HIGH_RHAT | WARN.LOW_ESS
    assert result.draws.shape == (10, 3, 15)
    np.testing.assert_allclose(result.covariance[1], np.cov(labels.T, bias=True))


def test_chains_sample_two_hills_they_are_started_on() -> None:
    """Two normals 8 sigma apart, a third and two thirds, both widths right; five errors."""

    def density(z: jax.Array) -> jax.Array:
        hills = jnp.stack([-0.5 * jnp.sum((z - 4) ** 2), -0.5 * jnp.sum((z + 4) ** 2)])
        return jax.nn.logsumexp(hills)

    rng = np.random.default_rng(1)
    start = np.where(rng.random((CHAINS, 1)) < 1 / 3, 4.0, -4.0) + rng.normal(size=(CHAINS, 2))
    path, accepted = jax.jit(lambda s, k: run_chains(density, s, k))(start, jax.random.key(3))
    draws = np.asarray(path)
    assert 0.6 < accepted < 0.99
    high = draws[draws.mean(axis=(1, 2)) > 0].reshape(-1, 2)
    ess = chain_diagnostics(high, len(high) // draws.shape[1])[1].min()
    assert np.abs(high.mean(axis=0) - 4).max() < 5 / np.sqrt(ess)
    assert np.abs(high.std(axis=0) - 1).max() < 5 / np.sqrt(ess)
    assert nested_rhat(draws - draws.mean(axis=1, keepdims=True)).max() < 1.02
    sorted_by_hill = draws[np.argsort(draws.mean(axis=(1, 2)))]
    assert nested_rhat(sorted_by_hill).min() > 1.3


def test_systematic_draws_follow_the_weights_closely() -> None:
    weight = np.array([0.5, 0.0, 0.3, 0.2])
    counts = np.bincount(systematic(weight, 1001, np.random.default_rng(4)), minlength=4)
    assert (np.abs(counts - 1001 * weight) <= 1).all()
    assert counts.sum() == 1001
