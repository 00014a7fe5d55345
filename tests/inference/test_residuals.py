"""The model of fitted stars on the pixels of the data."""

from typing import Any

import numpy as np
import pytest

from bayes_ddp.inference.residuals import Modelled, model_spectra
from bayes_ddp.spectra.raw import RawSpectra

SNR = 80.0


@pytest.fixture(scope="module")
def truth(survey: Any) -> np.ndarray:
    return survey.typical([4700, 5200, 5800], [2.5, 4.5, 4.3], [-0.5, 0.0, -0.8])


@pytest.fixture(scope="module")
def raw(survey: Any, truth: np.ndarray) -> RawSpectra:
    """Three stars; the second has lost 50 pixels of its first arm."""
    spectra = survey.raw(truth, SNR, 6)
    spectra.arms[0].ivar[1, 200:250] = 0
    return spectra


def modelled(survey: Any, raw: RawSpectra, truth: np.ndarray, **changed: Any) -> Modelled:
    values = {"velocity": np.zeros(len(raw)), "lsf": np.ones((len(raw), 2)), "batch": 4}
    return model_spectra(raw, survey.emulator, truth, **values | changed)


def test_residuals_at_the_truth_are_the_noise(
    survey: Any, raw: RawSpectra, truth: np.ndarray
) -> None:
    """1,600 pixels per star: scatter within five Monte Carlo errors, mean likewise."""
    result = modelled(survey, raw, truth)
    assert result.model.shape == result.used.shape == (3, raw.arms[0].wave.size + 875)
    for star in range(3):
        noise = result.residual[star] * np.sqrt(np.asarray(result.spectrum.ivar[star]))
        known = noise[np.isfinite(noise)]
        assert abs(known.std() - 1) < 5 / np.sqrt(2 * known.size)
        assert abs(known.mean()) < 5 / np.sqrt(known.size)


def test_pixels_that_are_not_fitted_have_no_residual(
    survey: Any, raw: RawSpectra, truth: np.ndarray
) -> None:
    result = modelled(survey, raw, truth)
    assert not result.used[1, 200:250].any()
    np.testing.assert_array_equal(np.isnan(result.residual), ~result.used)
    assert np.isfinite(result.model).all()


def test_batch_does_not_matter(survey: Any, raw: RawSpectra, truth: np.ndarray) -> None:
    whole, small = (modelled(survey, raw, truth, batch=size) for size in (4, 2))
    np.testing.assert_allclose(whole.model, small.model, atol=1e-6)
    np.testing.assert_array_equal(whole.used, small.used)


def test_velocity_and_width_belong_to_their_star(
    survey: Any, raw: RawSpectra, truth: np.ndarray
) -> None:
    plain = modelled(survey, raw, truth).model
    moved = modelled(survey, raw, truth, velocity=np.array([0.0, 0.0, 30.0])).model
    broad = modelled(survey, raw, truth, lsf=np.array([[1, 1], [1, 1.1], [1, 1]])).model
    np.testing.assert_array_equal(moved[:2], plain[:2])
    assert np.abs(moved[2] - plain[2]).max() > 0.01
    red = raw.arms[0].wave.size
    np.testing.assert_array_equal(broad[[0, 2]], plain[[0, 2]])
    np.testing.assert_array_equal(broad[1, :red], plain[1, :red])
    assert np.abs(broad[1, red:] - plain[1, red:]).max() > 0.003
