"""Errors out of residuals: the noise that was put in comes out, and a stopped run goes on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bayes_ddp.flags import WARN
from bayes_ddp.inference import noise as no_errors
from bayes_ddp.inference.noise import noise_level, with_errors
from bayes_ddp.spectra.raw import RawArm, RawSpectra

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


@pytest.fixture
def raw(survey: Any, blank_spectrum: Any) -> RawSpectra:
    """64 stars with known noise, their errors unknown; the first is not to be fitted."""
    pixels = blank_spectrum()
    truth = survey.typical(np.linspace(4800, 6200, 64), np.full(64, 4.4), np.full(64, -0.3))
    painted = np.asarray(survey.paint(truth, pixels).flux, float)
    rng, arms = np.random.default_rng(3), []
    for name, low, high in pixels.arms:
        flux = painted[:, low:high]
        flux = flux + NOISE[name] * rng.standard_normal(flux.shape)
        arms.append(
            RawArm(
                name,
                pixels.wave[low:high],
                flux.astype("f4"),
                np.full(flux.shape, 1e4, "f4"),
                np.asarray(pixels.fwhm)[:, low:high],
            )
        )
    warn = np.full(64, int(WARN.NO_ERRORS))
    warn[0] |= int(WARN.NOT_STAR)
    return RawSpectra(
        "desi",
        tuple(arms),
        np.zeros(64),
        np.ones(64),
        np.full(64, np.nan),
        warn,
        ("NAME",),
        {"NAME": np.arange(64)},
    )


def test_estimated_errors_are_the_noise_and_outlive_an_interruption(
    survey: Any, raw: RawSpectra, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"physics": True, "batch": 64, "folder": tmp_path}
    found = with_errors(raw, survey.problem, run="a", **told)
    for arm, before in zip(found.arms, raw.arms, strict=True):
        sigma = 1 / np.sqrt(arm.ivar[1:])
        assert np.median(sigma) == pytest.approx(NOISE[arm.name], rel=0.15)
        np.testing.assert_array_equal(arm.ivar[0], before.ivar[0])
        np.testing.assert_array_equal(arm.flux, before.flux)

    def never(*_: Any) -> np.ndarray:
        raise AssertionError("fitted again")

    monkeypatch.setattr(no_errors, "_residual", never)
    again = with_errors(raw, survey.problem, run="a", **told)
    for arm, other in zip(found.arms, again.arms, strict=True):
        np.testing.assert_array_equal(arm.ivar, other.ivar)
    with pytest.raises(AssertionError, match="fitted again"):
        with_errors(raw, survey.problem, run="b", **told)


def test_spectra_with_errors_are_left_alone(raw: RawSpectra, tmp_path: Path) -> None:
    known = RawSpectra(**{**vars(raw), "warn": np.zeros(64, np.int64)})
    problem: Any = None
    assert with_errors(known, problem, physics=True, batch=64, folder=tmp_path, run="") is known
