"""The Laplace approximation: its draws have the Gaussian's moments, its labels obey the priors."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayes_ddp.flags import WARN
from bayes_ddp.inference.laplace import Map, summarise
from bayes_ddp.inference.likelihood import whitening_root
from bayes_ddp.inference.optimise import Fit
from bayes_ddp.inference.posterior import Posterior
from bayes_ddp.inference.prior import Fixed, LabelPrior, TruncatedNormal, Uniform
from bayes_ddp.inference.problem import Nuisance, Problem, load_stars, make_problem
from bayes_ddp.spectra.spectrum import Spectrum

Blank = Callable[..., Spectrum]
COUNT = 64


def test_draws_have_the_covariance_of_the_fit(fitted: tuple[Fit, Posterior]) -> None:
    """256 draws of 64 stars, whitened: covariance is the unit matrix within five errors."""
    _, posterior = fitted
    root = np.linalg.cholesky(posterior.covariance)
    gap = np.moveaxis(posterior.draws, 0, 1) - posterior.mean[:, None]
    z = np.linalg.solve(root, np.swapaxes(gap, 1, 2)).swapaxes(1, 2).reshape(-1, 15)
    assert np.abs(np.cov(z.T) - np.eye(15)).max() < 5 * np.sqrt(2 / len(z))
    assert np.abs(z.mean(axis=0)).max() < 5 / np.sqrt(len(z))


def test_nuisances_are_drawn_with_the_labels(survey: Any, fitted: tuple[Fit, Posterior]) -> None:
    """All 18 parameters whitened with the covariance of the fit: five Monte Carlo errors."""
    fit, posterior = fitted
    drawn = np.stack([posterior.nuisances[n] for n in ("velocity", "lsf_B", "lsf_R")], axis=-1)
    drawn[..., 1:] -= 1
    gap = np.moveaxis(np.concatenate([posterior.draws, drawn], axis=2), 0, 1)
    gap = gap - np.asarray(fit.q)[:, None]
    root = np.asarray(jax.vmap(whitening_root)(fit.covariance))
    z = np.linalg.solve(root, np.swapaxes(gap, 1, 2)).swapaxes(1, 2).reshape(-1, 18)
    assert np.abs(np.cov(z.T) - np.eye(18)).max() < 5 * np.sqrt(2 / len(z))
    np.testing.assert_allclose(posterior.velocity[:, 0], fit.q[:, 15])
    np.testing.assert_allclose(posterior.velocity[:, 1] ** 2, fit.covariance[:, 15, 15])
    np.testing.assert_allclose(posterior.lsf, 1 + fit.q[:, 16:])


def test_record_of_the_approximation_is_the_best_fit(
    survey: Any, fitted: tuple[Fit, Posterior]
) -> None:
    fit, posterior = fitted
    np.testing.assert_array_equal(posterior.mode, fit.labels)
    np.testing.assert_array_equal(posterior.mean, fit.labels)
    np.testing.assert_array_equal(posterior.chi2, fit.chi2)
    assert np.isnan(posterior.log_likelihood).all()
    assert not posterior.log_weight.any()
    expected = jax.jit(jax.vmap(survey.prior.log_prob))(jnp.asarray(posterior.draws[:20, 7]))
    np.testing.assert_allclose(posterior.log_prior[:20, 7], expected, rtol=1e-9)


def test_label_draws_do_not_depend_on_which_nuisances_are_fitted(
    survey: Any, fitted: tuple[Fit, Posterior]
) -> None:
    """Of the same fit without its nuisances, with the same keys."""
    fit, posterior = fitted
    bare = replace(survey.problem.parameters, velocity=False, lsf_sd=0.0)
    problem = replace(survey.problem, parameters=bare)
    short = fit._replace(q=fit.q[:, :15], covariance=fit.covariance[:, :15, :15])
    keys = jax.random.split(jax.random.key(7), COUNT)
    other = summarise(problem, short, keys, number=256)
    gap = np.abs(other.draws - posterior.draws) / posterior.sd
    assert gap.max() < 1e-9
    assert (other.nuisances["velocity"] == 0).all()
    assert (other.velocity == 0).all()


@pytest.fixture(scope="module")
def walled(survey: Any, desi_card: dict[str, Any], blank_spectrum: Blank) -> Problem:
    """A run file's priors: Teff between walls beside the truth, [Fe/H] too, vmic fixed."""
    prior = LabelPrior(
        survey.emulator.space,
        desi_card["density"],
        {
            "teff": Uniform(5000, 6000),
            "feh": TruncatedNormal(-0.2, 0.3, -0.5, 0.1),
            "vmic": Fixed(1.3),
        },
    )
    return make_problem(
        blank_spectrum(1), survey.emulator, prior, nuisance=Nuisance(velocity=False, lsf=0.0)
    )


def test_priors_of_the_run_file_hold(
    survey: Any, walled: Problem, typical: np.ndarray, blank_spectrum: Blank
) -> None:
    """Labels stay inside walls, also of stars that lie outside; a fixed label does not move."""
    assert walled.parameters.size == 14
    names = walled.prior.space.names
    stars = load_stars(walled, survey.paint(typical, blank_spectrum(), 8))
    posterior = Map(draws=64)(walled, stars, jax.random.split(jax.random.key(1), COUNT))
    at = {n: posterior.draws[..., i] for i, n in enumerate(names)}
    outside = (typical[:, 0] < 5000) | (typical[:, 0] > 6000)
    assert outside.any()
    assert 5000 <= at["teff"].min() < at["teff"].max() <= 6000
    assert -0.5 <= at["feh"].min() < at["feh"].max() <= 0.1
    assert (at["vmic"] == 1.3).all()
    assert (posterior.mean[:, 2] == 1.3).all()
    assert (posterior.sd[:, 2] == 0).all()
    inside = ~outside & (np.abs(typical[:, 0] - 5500) < 300) & (np.abs(typical[:, 2] - 1.3) < 0.1)
    assert inside.any()
    z = (posterior.mean[inside, 0] - typical[inside, 0]) / posterior.sd[inside, 0]
    assert np.abs(z).max() < 5


def test_warnings_say_what_went_wrong(survey: Any, fitted: tuple[Fit, Posterior]) -> None:
    fit, _ = fitted
    broken = fit._replace(
        converged=fit.converged.at[0].set(False), positive=fit.positive.at[1].set(False)
    )
    keys = jax.random.split(jax.random.key(7), COUNT)
    posterior = summarise(survey.problem, broken, keys, number=256)
    assert posterior.warn[:3].tolist() == [WARN.NOT_CONVERGED, WARN.BAD_HESSIAN, 0]
    assert np.isfinite(posterior.mean[0]).all()
    assert np.isnan(posterior.mean[1]).all()
