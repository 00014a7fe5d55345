"""Checks of residuals: what is found in them, and what noise and mismatch must not set off."""

from collections.abc import Callable

import numpy as np
import pytest

from bayes_ddp.inference.companion import double
from bayes_ddp.inference.compared import Compared
from bayes_ddp.inference.emission import FORBIDDEN, emission_pixels, emitting
from bayes_ddp.inference.outliers import outlying
from bayes_ddp.spectra.masks import BALMER

WAVE = np.concatenate([np.arange(4000.0, 5800.0, 0.8), np.arange(5800.0, 7400.0, 0.8)])
ARMS = (("B", 0, 2250), ("R", 2250, 4250))
SIGMA, FWHM = 0.01, 1.6
LIGHT = 299792.458
CENTRES = np.arange(4020.0, 7390.0, 17.0)
DEPTHS = np.random.default_rng(3).uniform(0.05, 0.5, CENTRES.size)

Bump = Callable[..., np.ndarray]


def lines(velocity: float = 0.0) -> np.ndarray:
    """[pixel], flux of a star with two hundred lines."""
    away = WAVE[:, None] / (1 + velocity / LIGHT) - CENTRES
    return 1 - np.exp(-0.5 * (away / (FWHM / 2.355)) ** 2) @ DEPTHS


def compared(stars: int = 3, *, added: np.ndarray | float = 0.0, noise: float = 1.0) -> Compared:
    """Stars with noise of ``noise`` times the stated error; added : [pixel] to the data."""
    model = np.tile(lines(), (stars, 1))
    random = np.random.default_rng(1).standard_normal(model.shape)
    return Compared(
        wave=WAVE,
        rest=np.tile(WAVE, (stars, 1)),
        flux=model + noise * SIGMA * random + added,
        model=model,
        sigma=np.full(model.shape, SIGMA),
        used=np.ones(model.shape, bool),
        fwhm=np.full(model.shape, FWHM),
        arms=ARMS,
    )


def bump(centre: float, height: float, width: float = FWHM / 2.355) -> np.ndarray:
    return height * np.exp(-0.5 * ((WAVE - centre) / width) ** 2)


def pixel(place: int, height: float, count: int = 1) -> np.ndarray:
    added = np.zeros(WAVE.size)
    added[place : place + count] = height
    return added


def test_noise_has_no_outliers() -> None:
    """Of 1.3 million pixels 0.003 exceed six sigma; with errors that are half of the noise too."""
    assert not outlying(compared(300)).any()
    assert not outlying(compared(300, noise=2.0)).any()


@pytest.mark.parametrize("height", [0.15, -0.15, 0.5, -0.9])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("place", [317, 1111, 3210])
def test_feature_sharper_than_the_lsf_is_an_outlier(height: float, count: int, place: int) -> None:
    found = outlying(compared(added=pixel(place, height, count)))
    assert found[:, place : place + count].all()
    found[:, place - 1 : place + count + 1] = False  # a neighbour whose noise is high may go, too
    assert not found.any()


@pytest.mark.parametrize("shift", [0.0, 0.2, 0.4])
def test_line_that_the_model_lacks_or_exaggerates_is_kept(shift: float) -> None:
    """Thirty sigma deep and as wide as the LSF, wherever its centre is in a pixel."""
    deep = int(np.argmin(lines()))
    for centre, height in ((WAVE[1000] + shift, -0.3), (WAVE[deep] + shift, 0.3)):
        assert not outlying(compared(added=bump(centre, height))).any()


def test_flux_above_the_continuum_is_an_outlier_of_any_width() -> None:
    found = outlying(compared(added=bump(5000.0, 0.4, 1.2)))
    assert found[:, np.abs(WAVE - 5000) < 1.5].all()
    assert not found[:, np.abs(WAVE - 5000) > 6].any()


def test_many_emission_lines_are_no_outliers() -> None:
    """A galaxy has to be known by its chi2; a cosmic ray beside its lines is one."""
    added = sum(bump(centre, 0.4, 2.5) for centre in np.arange(4100.0, 7300.0, 400.0))
    found = outlying(compared(added=added + pixel(2000, 0.5)))
    assert found[:, 2000].all()
    assert found.sum() <= 3 * found.shape[0]


def test_model_that_does_not_apply_has_no_outliers() -> None:
    """Every twentieth pixel off by fifty sigma: that is no star with cosmic rays."""
    added = np.zeros(WAVE.size)
    added[::20] = 0.5
    assert not outlying(compared(added=added)).any()


@pytest.mark.parametrize("centre", BALMER)
def test_filled_balmer_core_is_emission(centre: float) -> None:
    """Also where it is masked; a core that is 5 % too weak is within what models get wrong."""
    data = compared(added=bump(centre, 0.8, 1.5))
    assert emitting(data).all()
    core = np.abs(data.rest - centre) < 3
    assert emitting(data._replace(used=data.used & ~core)).all()
    assert not emitting(data._replace(sigma=np.where(core, np.inf, data.sigma))).any()
    assert not emitting(compared(added=bump(centre, 0.05, 3.0))).any()
    assert not emitting(compared(added=bump(centre, -0.8, 1.5))).any()


@pytest.mark.parametrize("ion", FORBIDDEN)
@pytest.mark.parametrize("velocity", [0.0, -180.0])
def test_forbidden_pair_is_emission_at_the_velocity_of_star_or_sun(
    ion: str, velocity: float
) -> None:
    """One line of a pair alone is none."""
    strong, weak = FORBIDDEN[ion]
    still = (1 + velocity / LIGHT) * WAVE  # at rest for the star, which moves by -velocity
    pair = compared(added=bump(strong, 0.4) + bump(weak, 0.3))
    pair = pair._replace(rest=np.tile(still, (3, 1)))
    assert emitting(pair).all()
    masked = emission_pixels(pair)
    assert masked[:, np.abs(WAVE - strong) < 3].all()
    assert masked[:, np.abs(still - BALMER[0]) < 14].all()
    assert not emitting(compared(added=bump(strong, 0.4))).any()


def test_noise_is_no_emission_and_no_companion() -> None:
    for noise in (1.0, 3.0):
        data = compared(300, noise=noise)
        assert not emitting(data).any()
        assert not double(data).any()


@pytest.mark.parametrize("velocity", [-300.0, -120.0, 150.0, 500.0])
@pytest.mark.parametrize("light", [0.2, 0.5])
def test_second_set_of_lines_is_a_companion(velocity: float, light: float) -> None:
    assert double(compared(added=light * (lines(velocity) - 1))).all()


def test_what_a_single_star_can_have_is_no_companion() -> None:
    """Its lines too weak, or moved by less than the LSF; a companion of 2 % of the light."""
    for added in (0.2 * (lines() - 1), 0.3 * (lines(25.0) - lines()), 0.02 * (lines(150.0) - 1)):
        assert not double(compared(added=added)).any()
