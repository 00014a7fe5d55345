"""Best fits and covariances: right where the answer is known, the same however asked."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from bayes_ddp.inference.fit import pad, star_keys
from bayes_ddp.inference.laplace import summarise
from bayes_ddp.inference.optimise import Fit, fit_stars
from bayes_ddp.inference.posterior import Posterior
from bayes_ddp.inference.problem import load_stars, make_problem
from bayes_ddp.spectra.spectrum import Spectrum

Blank = Callable[..., Spectrum]
COUNT = 64


def test_noise_free_spectra_give_their_labels_back(
    survey: Any, typical: np.ndarray, blank_spectrum: Blank
) -> None:
    fit, posterior = survey.fit(survey.paint(typical, blank_spectrum()))
    assert np.asarray(fit.converged).all()
    z = (posterior.mean - typical) / posterior.sd
    assert np.abs(z).max() < 0.05
    assert np.asarray(fit.chi2).max() < 0.05


def test_velocity_and_line_widths_are_found_with_the_labels(
    survey: Any, typical: np.ndarray, blank_spectrum: Blank
) -> None:
    """But for the pull of their prior, which is linear: C P q."""
    spectrum = blank_spectrum(vrad=np.full(COUNT, -150.0), vrad_err=np.full(COUNT, 10.0))
    rng = np.random.default_rng(6)
    velocity, width = rng.uniform(-8, 8, COUNT), 1 + rng.uniform(-0.04, 0.04, (COUNT, 2))
    fit, _ = survey.fit(survey.paint(typical, spectrum, velocity=velocity, width=width))
    truth = np.column_stack([velocity, width - 1])
    pull = truth / np.array([10.0, 0.03, 0.03]) ** 2
    block = np.asarray(fit.covariance)[:, 15:, 15:]
    expected = truth - np.einsum("sij,sj->si", block, pull)
    sd = np.sqrt(np.diagonal(block, axis1=1, axis2=2))
    assert (np.abs(np.asarray(fit.q)[:, 15:] - expected) / sd).max() < 0.1
    assert (np.abs(block[:, 1:, 1:]) < 0.03**2).all()


def test_stars_drawn_from_the_prior_converge(survey: Any, blank_spectrum: Blank) -> None:
    """chi2 per pixel: median 1 less 18 parameters, five Monte Carlo errors; none astray."""
    fit, posterior = survey.fit(survey.paint(survey.truths(1), blank_spectrum(), 1))
    assert np.asarray(fit.converged).all()
    assert not posterior.warn.any()
    ratio = posterior.chi2 / (posterior.pixels - 9)
    assert abs(np.median(ratio) - 1) < 5 * 1.25 * np.sqrt(2 / 1625 / COUNT) + 9 / 1625
    assert ratio.max() < 1 + 5 * np.sqrt(2 / 1625)


def prior_curvature(survey: Any, labels: np.ndarray) -> np.ndarray:
    """Second derivatives of the Gaussian prior that the optimiser takes, [label label]."""
    density = partial(survey.prior.log_prob, gaussian=True)
    return np.asarray(jax.jit(jax.hessian(density))(jnp.asarray(labels)))


def curvature_by_hand(survey: Any, oracle: Any, fit: Fit, star: int, spectrum: Spectrum) -> Any:
    """J^T W J + prior in float64, every derivative a central difference."""
    one, q = spectrum.take(np.array([star])), np.asarray(fit.q[star])
    stars = load_stars(survey.problem, spectrum)
    weight = np.asarray(stars.precision[star], float)

    def model(x: np.ndarray) -> np.ndarray:
        return oracle(x[:15], one, velocity=x[15], width=1 + x[16:])

    step = np.concatenate([1e-4 * survey.prior.space.span, [0.01, 1e-4, 1e-4]])
    jacobian = np.stack(
        [(model(q + h) - model(q - h)) / (2 * h.max()) for h in np.diag(step)], axis=1
    )
    prior = prior_curvature(survey, q[:15])
    total = jacobian.T @ (weight[:, None] * jacobian)
    total[:15, :15] -= prior
    return total + np.diag([0.0] * 15 + [1.0] + [0.03**-2] * 2)


def test_covariance_is_the_inverse_curvature_of_a_float64_computation(
    survey: Any, oracle: Any, typical: np.ndarray, blank_spectrum: Blank
) -> None:
    """Within 1 % of the errors, in every element."""
    spectrum = survey.paint(typical, blank_spectrum(), 4)
    fit, _ = survey.fit(spectrum)
    exact = np.linalg.inv(curvature_by_hand(survey, oracle, fit, 1, spectrum))
    sd = np.sqrt(np.diag(exact))
    assert np.abs((np.asarray(fit.covariance[1]) - exact) / np.outer(sd, sd)).max() < 0.01


def test_fits_scatter_as_their_errors_say(
    survey: Any, typical: np.ndarray, blank_spectrum: Blank
) -> None:
    """One star, 384 noise realisations: sd of each label within four Monte Carlo errors.

    The prior does not scatter, so the expected covariance is C - C P C. Chance of failure 1e-3.
    """
    truth = np.tile(typical[:1], (COUNT, 1))
    count, found, covariance = 384, [], []
    for noise in range(count // COUNT):
        fit, _ = survey.fit(survey.paint(truth, blank_spectrum(), 40 + noise))
        found.append(np.asarray(fit.q))
        covariance.append(np.asarray(fit.covariance))
    whole = np.concatenate(covariance).mean(axis=0)
    pull = np.zeros_like(whole)
    pull[:15, :15] = -prior_curvature(survey, truth[0])
    pull[range(15, 18), range(15, 18)] = 1.0, 0.03**-2, 0.03**-2
    expected = np.sqrt(np.diag(whole - whole @ pull @ whole))
    ratio = np.concatenate(found).std(axis=0, ddof=1) / expected
    assert (np.abs(ratio - 1) < 4 / np.sqrt(2 * count)).all()


def test_order_of_the_stars_does_not_matter(
    survey: Any, noisy: Spectrum, fitted: tuple[Fit, Posterior]
) -> None:
    order = np.random.default_rng(2).permutation(COUNT)
    fit, _ = survey.fit(noisy.take(order))
    sd = np.sqrt(np.diagonal(fitted[0].covariance[order], axis1=1, axis2=2))
    gap = np.abs(np.asarray(fit.q) - np.asarray(fitted[0].q)[order]) / sd
    assert gap.max() < 1e-6


def test_size_of_the_batch_does_not_matter(
    survey: Any, noisy: Spectrum, fitted: tuple[Fit, Posterior]
) -> None:
    """Labels within a thousandth of an error, draws within three; batches of 3 padded to 4."""
    names = [str(i) for i in range(COUNT)]
    whole = summarise(survey.problem, fitted[0], star_keys(1, "desi", names), number=256)
    for start in range(0, COUNT - 1, 3):
        rows = np.arange(start, start + 3)
        small = load_stars(survey.problem, pad(noisy.take(rows), 4))
        keys = star_keys(1, "desi", names[start : start + 3], size=4)
        part = summarise(survey.problem, fit_stars(survey.problem, small), keys, number=256)
        sd = whole.sd[rows]
        assert (np.abs(part.mean[:3] - whole.mean[rows]) / sd).max() < 1e-3
        assert (np.abs(part.draws[:, :3] - whole.draws[:, rows]) / sd).max() < 3e-3
        assert np.isnan(part.mean[3]).all()


def masked(spectrum: Spectrum, where: np.ndarray) -> Spectrum:
    """The spectrum without the pixels of ``where`` [star pixel], in fit and continuum."""
    return eqx.tree_at(
        lambda s: (s.ivar, s.weight),
        spectrum,
        (np.where(where, 0, spectrum.ivar), np.where(where, 0, spectrum.weight)),
    )


def test_flux_of_a_masked_pixel_does_not_matter(survey: Any, noisy: Spectrum) -> None:
    where = np.random.default_rng(4).random(noisy.flux.shape) < 0.05
    clean = masked(noisy, where)
    garbage = eqx.tree_at(lambda s: s.flux, clean, np.where(where, np.float32(1e9), clean.flux))
    for one, two in zip(survey.fit(clean)[0], survey.fit(garbage)[0], strict=True):
        np.testing.assert_array_equal(one, two)


def test_masked_pixel_is_a_removed_pixel(
    survey: Any, noisy: Spectrum, typical: np.ndarray
) -> None:
    """The last 30 Å of the red arm masked, against a survey whose red arm ends there.

    The likelihood is made of model, derivatives and precision; all agree on what remains.
    """
    gone = 40
    keep = np.arange(noisy.flux.shape[1] - gone)
    name, first, last = noisy.arms[1]
    short = Spectrum(
        wave=noisy.wave[keep],
        flux=noisy.flux[:, keep],
        ivar=noisy.ivar[:, keep],
        weight=noisy.weight[:, keep],
        fwhm=noisy.fwhm[:, keep],
        continuum=noisy.continuum[:, keep],
        vrad=noisy.vrad,
        vrad_err=noisy.vrad_err,
        arms=(noisy.arms[0], (name, first, last - gone)),
        survey="desi",
    )
    where = np.zeros(noisy.flux.shape, bool)
    where[:, -gone:] = True
    problem = make_problem(short, survey.emulator, survey.prior, fwhm=(1.5, 1.75))
    other = replace(survey, problem=problem)
    one, two = load_stars(problem, short), load_stars(survey.problem, masked(noisy, where))
    np.testing.assert_array_equal(one.precision, two.precision[:, keep])
    assert not np.asarray(two.precision[:, -gone:]).any()
    for a, b in zip(other.render(typical, one), survey.render(typical, two), strict=True):
        scale = np.abs(a).max(axis=-1, keepdims=True)
        assert (np.abs(a - b[..., keep]) / scale).max() < 2e-6


def test_dead_star_is_unknown_and_its_neighbours_do_not_notice(
    survey: Any, noisy: Spectrum, fitted: tuple[Fit, Posterior]
) -> None:
    dead = np.zeros(noisy.flux.shape, bool)
    dead[5] = True
    _, posterior = survey.fit(masked(noisy, dead))
    rest = np.delete(np.arange(COUNT), 5)
    for name in ("mean", "covariance", "chi2", "velocity", "lsf", "prior_sd"):
        assert np.isnan(getattr(posterior, name)[5]).all(), name
        np.testing.assert_array_equal(
            getattr(posterior, name)[rest], getattr(fitted[1], name)[rest], err_msg=name
        )
    assert np.isnan(posterior.draws[:, 5]).all()
    assert posterior.pixels[5] == 0
    assert posterior.warn[5] == 0  # it is the reader's or prepare's to say why
