"""Gaps in lists of wavelengths: which are filled, which end an arm, and what is left out."""

import numpy as np
import pytest

from bayes_ddp.spectra.arrays import from_arrays
from bayes_ddp.spectra.gaps import LONGEST_GAP, fill_gaps

LINEAR = np.arange(4000.0, 5000.0)
GRIDS = {
    "linear": LINEAR,
    "logarithmic": 4000 * np.exp(2e-4 * np.arange(1000)),
    "float32": (3540.5 + 0.9 * np.arange(1000)).astype(np.float32).astype(float),
    "two steps": np.r_[np.arange(4000.0, 4500.0), np.arange(4500.0, 5500.0, 2.0)],
}


def without(wave: np.ndarray, *runs: tuple[int, int]) -> np.ndarray:
    keep = np.ones(wave.size, bool)
    for first, length in runs:
        keep[first : first + length] = False
    return wave[keep]


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("length", [1, 2, 6, 25])
def test_dropped_pixels_come_back_where_they_were(grid: str, length: int) -> None:
    wave = GRIDS[grid]
    runs = [(first, length) for first in range(20, 900, 70)]
    filled = fill_gaps(without(wave, *runs))
    assert filled.arms == (slice(0, wave.size),)
    step = np.gradient(wave)
    np.testing.assert_array_less(np.abs(filled.wave - wave), 0.01 * step)
    np.testing.assert_array_equal(filled.wave[filled.pixel], without(wave, *runs))


@pytest.mark.parametrize("grid", GRIDS)
def test_list_without_gaps_stays_as_it_is(grid: str) -> None:
    filled = fill_gaps(GRIDS[grid])
    assert filled.wave is GRIDS[grid] or np.array_equal(filled.wave, GRIDS[grid])
    np.testing.assert_array_equal(filled.pixel, np.arange(filled.wave.size))


def test_one_pixel_between_two_dropped_runs_is_kept() -> None:
    filled = fill_gaps(without(LINEAR, (100, 7), (108, 7)))
    assert filled.arms == (slice(0, 1000),)
    assert np.isin(107, filled.pixel) and not np.isin([106, 108], filled.pixel).any()


def test_long_gaps_end_an_arm_and_narrow_stretches_are_none() -> None:
    """A stretch joins its nearer neighbour; one out of everything's reach is left out."""
    two = np.r_[np.arange(4000.0, 4500.0), np.arange(4600.0, 5000.0)]
    assert fill_gaps(two).arms == (slice(0, 500), slice(500, 900))
    lone = np.r_[np.arange(4000.0, 4500.0), 4600.0, np.arange(4750.0, 5000.0)]
    filled = fill_gaps(lone)
    assert filled.arms == (slice(0, 601), slice(601, 851))
    assert filled.wave[600] == 4600.0 and filled.pixel[500] == 600
    far = fill_gaps(np.r_[np.arange(4000.0, 4500.0), 6000.0])
    assert far.arms == (slice(0, 500),) and far.pixel[-1] == -1
    windows = np.concatenate([np.arange(a, a + 30.0) for a in (4000, 4200, 4400)])
    assert fill_gaps(windows).arms == (slice(0, 430),)
    with pytest.raises(ValueError, match="2 stretches narrower than 60 Å"):
        fill_gaps(np.r_[4000.0:4030.0, 6000.0:6030.0])


def test_number_of_masked_pixels_is_bounded() -> None:
    wave = np.sort(np.r_[np.arange(4000.0, 4500.0, 50.0) + 1e-6, np.arange(4000.0, 4500.0, 50.0)])
    wave = np.sort(np.r_[wave, wave[:3] + 5e-7])
    with pytest.raises(ValueError, match="the step is irregular"):
        fill_gaps(wave)
    assert fill_gaps(np.array([4000.0, 4001.0])).arms == (slice(0, 2),)


def test_filled_pixels_are_masked_and_have_the_width_between_their_neighbours() -> None:
    wave = without(LINEAR, (100, 7), (300, 50))
    flux = np.random.default_rng(1).normal(1, 0.01, (2, wave.size))
    fwhm = 2.0 + (wave - 4000) / 1000
    raw = from_arrays(wave, flux, np.full(flux.shape, 1e4), fwhm=fwhm)
    (arm,) = raw.arms
    np.testing.assert_array_equal(arm.wave, LINEAR)
    lost = np.setdiff1d(np.arange(1000), np.searchsorted(LINEAR, wave))
    np.testing.assert_array_equal(np.flatnonzero(arm.ivar[0] == 0), lost)
    assert not arm.flux[:, lost].any()
    np.testing.assert_allclose(arm.fwhm[1], 2.0 + (LINEAR - 4000) / 1000)
    np.testing.assert_allclose(arm.flux[:, arm.ivar[0] > 0], flux, rtol=1e-6)
    assert not raw.warn.any() and LONGEST_GAP >= 50
