"""The model brought to the data, against a float64 computation that shares nothing with it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from bayes_ddp.inference.forward import gaussian_taps, taps_needed
from bayes_ddp.inference.problem import load_stars, make_problem
from bayes_ddp.spectra.masks import LIGHT_SPEED
from bayes_ddp.spectra.spectrum import Spectrum

CASES = 12
BROAD = 0  # the case whose remaining Gaussian is wide in both arms
WIDTHS = [(1.0, 1.0), (1.03, 0.97), (0.97, 1.02), (1.1, 1.15)]


@dataclass(frozen=True)
class Cases:
    """A batch of unlike stars, and what ``render`` makes of it."""

    truth: np.ndarray
    spectrum: Spectrum
    velocity: np.ndarray
    width: np.ndarray
    flux: np.ndarray
    slope: np.ndarray

    def star(self, i: int) -> tuple[np.ndarray, Spectrum, dict[str, Any]]:
        """Arguments of the oracle for one of them."""
        options = {"velocity": self.velocity[i], "width": self.width[i]}
        return self.truth[i], self.spectrum.take(np.array([i])), options


@pytest.fixture(scope="module")
def cases(survey: Any, blank_spectrum: Callable[..., Spectrum]) -> Cases:
    """Cool and hot, approaching and receding, sharp and broad, with gaps in the continuum."""
    truth = survey.truths(2)
    count, rng = len(truth), np.random.default_rng(1)
    truth[:, 0] = np.tile([4300, 5200, 6000, 7000], count // 4)
    truth[3] = survey.typical([5200.0], [3.0], [-0.3])[0]  # whose derivatives are compared
    vrad = np.repeat([0.0, 300.0, -400.0, 20.0], count // 4)
    rng.shuffle(vrad)
    spectrum = blank_spectrum(count, vrad=vrad)
    weight = (rng.random(spectrum.weight.shape) > 0.02).astype(np.float32)
    weight[:, 100:150] = 0
    spectrum = eqx.tree_at(lambda s: s.weight, spectrum, weight)
    velocity, width = rng.uniform(-6, 6, count), np.array(WIDTHS)[rng.integers(4, size=count)]
    flux, slope = survey.render(
        truth, load_stars(survey.problem, spectrum), velocity=velocity, width=width
    )
    return Cases(truth, spectrum, velocity, width, flux, slope)


def test_model_equals_brute_force_in_double_precision(cases: Cases, oracle: Any) -> None:
    """2e-5 where the Gaussian still to be applied is a model pixel wide or more.

    The sharpest data leave a Gaussian of 0.8 pixels; its sum over pixels is then no integral any
    more, and the sharpest lines of cool giants are off by up to 3e-4 (rms 5e-5).
    """
    sharp, broad = [], []
    for i in range(CASES):
        labels, star, options = cases.star(i)
        gap = np.abs(oracle(labels, star, **options) - cases.flux[i])
        factor = np.sqrt((1 + star.vrad[0] / LIGHT_SPEED) / (1 - star.vrad[0] / LIGHT_SPEED))
        for (_, a, b), stretch in zip(star.arms, options["width"], strict=True):
            fwhm = stretch * star.fwhm[0, a] / factor
            sigma = np.sqrt(fwhm**2 - oracle.emulator.fwhm**2) / 2.3548
            (broad if sigma > 0.5 else sharp).append((gap[a:b].max(), gap[a:b].std()))
    assert len(broad) > 5
    assert np.max(broad, axis=0)[0] < 2e-5
    assert np.max(sharp, axis=0)[0] < 3e-4
    assert np.max(sharp, axis=0)[1] < 5e-5


@pytest.mark.parametrize("number", range(18))
def test_derivatives_agree_with_finite_differences(cases: Cases, oracle: Any, number: int) -> None:
    """By labels, velocity and LSF width of each arm, to half a percent of the largest value.

    By the widths for a star whose remaining Gaussian is a model pixel wide or more in both arms.
    """
    which = BROAD if number > 15 else 3
    labels, star, options = cases.star(which)
    if number < 15:
        h = 1e-4 * oracle.emulator.space.span[number]
        step = h * np.eye(15)[number]
        up, down = oracle(labels + step, star, **options), oracle(labels - step, star, **options)
    elif number == 15:
        h, v = 0.01, options["velocity"]
        up, down = (oracle(labels, star, **options | {"velocity": v + s}) for s in (h, -h))
    else:
        h = 1e-4
        step = h * np.eye(2)[number - 16]
        up, down = (
            oracle(labels, star, **options | {"width": options["width"] + s * step})
            for s in (1, -1)
        )
    exact = (up - down) / (2 * h)
    gap = np.abs(cases.slope[which, number] - exact).max() / np.abs(exact).max()
    assert gap < 5e-3


def test_lines_lie_where_the_relativistic_doppler_effect_puts_them(
    survey: Any, blank_spectrum: Callable[..., Spectrum]
) -> None:
    """Shift in ln wavelength against the spectrum at rest, to 0.3 km/s at 1200 km/s.

    The classical formula is 2.4 km/s off there.
    """
    beta = np.linspace(-1200, 1200, 64) / LIGHT_SPEED
    truth = np.tile(survey.typical([4800.0], [2.5], [-0.3]), (64, 1))
    spectrum = blank_spectrum(vrad=beta * LIGHT_SPEED)
    flux, _ = survey.render(truth, load_stars(survey.problem, spectrum))
    still, _ = survey.render(truth, load_stars(survey.problem, blank_spectrum()))
    grid = np.linspace(np.log(4900), np.log(5300), 8000)
    wave = np.asarray(spectrum.wave[:750])
    rest = np.interp(grid, np.log(wave), still[0, :750])
    for i in (0, 13, 50, 63):
        trial = 0.5 * np.log((1 + beta[i]) / (1 - beta[i])) + np.linspace(-2, 2, 401) / LIGHT_SPEED
        moved = [np.interp(grid + shift, np.log(wave), flux[i, :750]) for shift in trial]
        found = np.argmin([np.var(m - rest) for m in moved])
        assert abs(found - 200) * 0.01 <= 0.3


def test_velocity_of_the_catalogue_and_fitted_velocity_are_one(
    survey: Any, blank_spectrum: Callable[..., Spectrum]
) -> None:
    truth = survey.truths(5)
    one, _ = survey.render(
        truth, load_stars(survey.problem, blank_spectrum(vrad=np.full(64, 25.0)))
    )
    two, _ = survey.render(truth, load_stars(survey.problem, blank_spectrum()), velocity=25.0)
    np.testing.assert_allclose(one, two, atol=3e-7)


def test_data_sharper_than_the_model_are_refused(survey: Any) -> None:
    with pytest.raises(ValueError, match="the model must be sharper"):
        taps_needed(np.array([1.21, 1.8]), survey.emulator)


def test_data_beside_the_model_are_refused(
    survey: Any, blank_spectrum: Callable[..., Spectrum]
) -> None:
    spectrum = blank_spectrum(1)
    elsewhere = eqx.tree_at(lambda s: s.wave, spectrum, np.asarray(spectrum.wave) + 3000)
    with pytest.raises(ValueError, match="do not overlap"):
        make_problem(elsewhere, survey.emulator, survey.prior)


def test_masked_pixel_has_no_weight_in_the_likelihood(
    survey: Any, blank_spectrum: Callable[..., Spectrum]
) -> None:
    spectrum = blank_spectrum()
    ivar = np.array(spectrum.ivar)
    ivar[:, 40:60] = 0
    stars = load_stars(survey.problem, eqx.tree_at(lambda s: s.ivar, spectrum, ivar))
    assert not np.asarray(stars.precision[:, 40:60]).any()
    assert (np.asarray(stars.precision[:, 60:]) > 0).all()


def test_emulator_error_adds_to_the_noise(
    survey: Any, blank_spectrum: Callable[..., Spectrum]
) -> None:
    """In the limit of high S/N only the error spectrum remains; at S/N 100 variances add."""
    sharp = load_stars(survey.problem, blank_spectrum(ivar=np.full((64, 1625), 1e12, np.float32)))
    usual = load_stars(survey.problem, blank_spectrum())
    error = 1 / np.asarray(sharp.precision[0], float)
    assert (error > 0.9 * np.min(survey.emulator.error) ** 2).all()
    assert (error < 1.1 * np.max(survey.emulator.error) ** 2).all()
    np.testing.assert_allclose(1 / np.asarray(usual.precision[0], float), 1e-4 + error, rtol=1e-5)


def test_pixels_far_beyond_the_model_have_finite_taps(survey: Any) -> None:
    """Data may start hundreds of Å before the model; one NaN there makes the whole star NaN."""
    rest = jnp.array([3500.0, 4759.0, 5000.0, 6800.0, 9800.0])
    _, weights, _ = gaussian_taps(survey.problem.shape, rest, jnp.full(5, 0.6))
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-5)
