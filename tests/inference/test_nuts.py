"""NUTS: the same posterior as another implementation, and as the fit on all of DESI's pixels.

What one run of the three stars shows is in test_samplers.py, so that it is made once.
"""

from typing import Any

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayes_ddp.inference.diagnostics import chain_diagnostics
from bayes_ddp.inference.exact import Exact
from bayes_ddp.inference.forward import StarData
from bayes_ddp.inference.laplace import Map
from bayes_ddp.inference.likelihood import whitening_root
from bayes_ddp.inference.model import one_star_model
from bayes_ddp.inference.nuts import Nuts
from bayes_ddp.inference.optimise import fit_stars
from bayes_ddp.inference.posterior import Posterior
from bayes_ddp.inference.problem import load_stars
from bayes_ddp.inference.target import ModelTarget


@pytest.fixture(scope="module")
def sampled(runs: Any) -> Posterior:
    return runs("nuts")


def test_one_chain_is_refused() -> None:
    with pytest.raises(ValueError, match="chains"):
        Nuts(chains=1)


@pytest.mark.slow
def test_blackjax_samples_the_same_posterior(
    survey: Any, three_stars: StarData, sampled: Posterior
) -> None:
    """Another NUTS on the same potential: mean and sd within four Monte Carlo errors."""
    problem, size = survey.problem, survey.problem.parameters.size
    fit = fit_stars(problem, three_stars)
    model = one_star_model(problem, three_stars, fit.q, 0)
    density = ModelTarget(model, problem.prior, problem.parameters)
    root = whitening_root(fit.covariance[0])

    def log_density(z: jax.Array) -> jax.Array:
        return density(fit.q[0] + root @ z)

    kernel = blackjax.nuts(log_density, step_size=0.55, inverse_mass_matrix=jnp.ones(size))

    @jax.jit
    def chain(key: jax.Array) -> jax.Array:
        state = kernel.init(jnp.zeros(size))
        _, states = jax.lax.scan(
            lambda s, k: (kernel.step(k, s)[0],) * 2, state, jax.random.split(key, 1700)
        )
        return states.position[200:]

    z = jax.vmap(chain)(jax.random.split(jax.random.key(5), 4)).reshape(-1, size)
    draws = np.asarray(fit.q[0] + z @ root.T)[:, : problem.parameters.labels]
    rhat, ess = chain_diagnostics(draws, 4)
    assert rhat.max() < 1.01
    sd = sampled.sd[0]
    own = sampled.diagnostics["ess"][0]
    error = sd * np.sqrt(1 / ess + 1 / own)
    assert (np.abs(draws.mean(axis=0) - sampled.mean[0]) < 4 * error).all()
    # the squares of NUTS draws mix more slowly than the draws, which are anticorrelated
    squares = chain_diagnostics((draws - draws.mean(axis=0)) ** 2, 4)[1]
    other = chain_diagnostics((sampled.draws[:, 0] - sampled.mean[0]) ** 2, 4)[1]
    spread = np.sqrt(0.5 * (1 / squares + 1 / other))
    assert (np.abs(draws.std(axis=0) / sd - 1) < 4 * spread).all()


def far_from_bounds(survey: Any, posterior: Any, star: int) -> np.ndarray:
    """[label] bool: more than four sigma inside the trained range."""
    space = survey.prior.space
    room = np.minimum(posterior.mean[star] - space.low, space.high - posterior.mean[star])
    return room > 4 * posterior.sd[star]


LONG = Nuts(num_warmup=200, num_samples=1200, chains=4)  # ESS above 4,000 for every label
STARS = {"giant": (4800.0, 2.5, -0.5), "dwarf": (5200.0, 4.5, -0.3), "sun": (5770.0, 4.44, 0.0)}


@pytest.fixture(scope="module", params=STARS)
def three_ways(request: Any, desi_survey: Any, desi_pixels: Any) -> tuple[str, dict[str, Any]]:
    """The star's name, and its posterior by the best fit, by exact draws and by long chains."""
    truth = desi_survey.typical(*([value] for value in STARS[request.param]))
    spectrum = desi_survey.paint(truth, desi_pixels(1, snr=100.0, vrad=60.0), 3)
    stars = load_stars(desi_survey.problem, spectrum)
    keys = jax.random.split(jax.random.key(2), 1)
    ways = {"map": Map(), "exact": Exact(), "nuts": LONG}
    return request.param, {n: way(desi_survey.problem, stars, keys) for n, way in ways.items()}


@pytest.mark.slow
def test_exact_draws_on_all_of_desi_are_those_of_the_chains(
    desi_survey: Any, three_ways: tuple[str, dict[str, Any]]
) -> None:
    """S/N 100, labels more than four sigma from any bound: sd within 10 %, means within 0.1."""
    exact, chains = three_ways[1]["exact"], three_ways[1]["nuts"]
    inside = far_from_bounds(desi_survey, exact, 0)
    assert chains.diagnostics["ess"][0].min() > 4000
    assert np.abs(exact.sd[0] / chains.sd[0] - 1)[inside].max() < 0.10
    assert np.abs((exact.mean[0] - chains.mean[0]) / chains.sd[0])[inside].max() < 0.1


@pytest.mark.slow
def test_errors_on_all_of_desi_are_those_of_the_chains(
    request: Any, desi_survey: Any, three_ways: tuple[str, dict[str, Any]]
) -> None:
    """S/N 100, labels more than four sigma from any bound, ESS above 4,000: within 10 %.

    Labels with an error below 0.4 of the prior's.
    """
    star, runs = three_ways
    if star == "sun":
        reason = "the Sun's [O/Fe] is lopsided: its sd is 11 % off"
        request.applymarker(pytest.mark.xfail(reason=reason))
    gauss, chains = runs["map"], runs["nuts"]
    measured = gauss.sd[0] < 0.4 * gauss.prior_sd[0]
    use = far_from_bounds(desi_survey, gauss, 0) & measured
    ratio = chains.sd[0] / gauss.sd[0]
    shift = (chains.mean[0] - gauss.mean[0]) / gauss.sd[0]
    ess = chains.diagnostics["ess"][0]
    for i, name in enumerate(gauss.names):
        note = "" if use[i] else "  not counted"
        print(f"{name:6s} sd {ratio[i]:.3f} mean {shift[i]:+.3f} ESS {ess[i]:.0f}{note}")
    assert use.sum() >= 12
    assert ess.min() > 4000
    assert np.abs(ratio - 1)[use].max() < 0.10
