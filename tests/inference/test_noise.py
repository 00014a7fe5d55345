"""Errors estimated from residuals: the noise that was added is the noise that is found."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bayes_ddp.flags import WARN
from bayes_ddp.inference.noise import noise_level, with_errors
from bayes_ddp.spectra.raw import RawSpectra

NOISE = {"B": 0.03, "R": 0.01}


def test_noise_level_follows_the_noise_and_not_the_outliers() -> None:
    """200 pixels a window: 8 % expected scatter of a median deviation; five sigma allowed."""
    wave = np.arange(4000.0, 6000.0, 1.0)
    sigma = np.where(wave < 5000, 0.03, 0.01)
    residual = sigma * np.random.default_rng(1).standard_normal((3, wave.size))
    residual[0, ::50] = 1.0
    residual[1, 100:700] = np.nan
    residual[2] = np.nan
    level = noise_level(wave, residual, np.array([4300.0, 4600.0, 5600.0]))
    np.testing.assert_allclose(level[:2], [[0.03, 0.03, 0.01]] * 2, rtol=0.4)
    np.testing.assert_array_equal(level[2], 0.01)


@pytest.fixture(scope="module")
def raw(survey: Any) -> RawSpectra:
    """64 stars with known noise, their errors unknown; the first is not to be fitted."""
    truth = survey.typical(np.linspace(4800, 6200, 64), np.full(64, 4.4), np.full(64, -0.3))
    plain = survey.raw(truth, [1 / sigma for sigma in NOISE.values()], 3)
    warn = np.full(64, int(WARN.NO_ERRORS))
    warn[0] |= int(WARN.NOT_STAR)
    wrong = [np.full_like(arm.ivar, 40.0) for arm in plain.arms]
    return replace(plain.with_ivar(wrong), warn=warn)


@pytest.fixture(scope="module")
def found(survey: Any, raw: RawSpectra) -> RawSpectra:
    return with_errors(raw, survey.problem, batch=64)


def test_estimated_errors_are_the_noise(raw: RawSpectra, found: RawSpectra) -> None:
    """Relative to the flux, within 15 %; the star that is not fitted keeps what it had."""
    for arm, before in zip(found.arms, raw.arms, strict=True):
        relative = 1 / (np.sqrt(arm.ivar[1:]) * arm.flux[1:])
        assert np.median(relative) == pytest.approx(NOISE[arm.name], rel=0.15)
        np.testing.assert_array_equal(arm.ivar[0], before.ivar[0])
        np.testing.assert_array_equal(arm.flux, before.flux)
    np.testing.assert_array_equal(found.warn, raw.warn)


def test_input_is_not_changed(raw: RawSpectra, found: RawSpectra) -> None:
    assert all((arm.ivar == 40).all() for arm in raw.arms)


def test_masked_pixels_stay_masked(survey: Any, raw: RawSpectra, found: RawSpectra) -> None:
    holes = [arm.ivar.copy() for arm in raw.arms]
    holes[0][:, 100:120] = 0
    again = with_errors(raw.with_ivar(holes), survey.problem, batch=64)
    assert not again.arms[0].ivar[:, 100:120].any()
    assert (again.arms[0].ivar[1:, 130:] > 0).all()


def test_spectra_with_errors_are_left_alone(survey: Any, raw: RawSpectra) -> None:
    known = replace(raw, warn=np.zeros(64, np.int64))
    assert with_errors(known, survey.problem, batch=64) is known
