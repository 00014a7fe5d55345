"""Widths of the line-spread function: a wrong width in a file affects only its star."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bayes_ddp.flags import WARN
from bayes_ddp.spectra.arrays import from_arrays
from bayes_ddp.spectra.raw import RawSpectra
from bayes_ddp.spectra.sdss import read_sdss
from bayes_ddp.spectra.widths import BROADEST, mask_sharp

WAVE = np.arange(4000.0, 5000.0)
FLUX = np.ones((3, WAVE.size))
LOST = int(WARN.LSF_WARN | WARN.NODATA)


def spectra(width: np.ndarray) -> RawSpectra:
    """Three stars of FWHM 2.5 Å, the second with the widths given."""
    fwhm = np.full(FLUX.shape, 2.5)
    fwhm[1] = width
    return from_arrays(WAVE, FLUX, 1e4 * FLUX, fwhm=fwhm)


@pytest.mark.parametrize("value", [0.6, 40.0, 1000.0, 1e300, 0.0, -2.5, np.nan, np.inf])
@pytest.mark.parametrize("pixels", [1, 30, 300])
def test_wrong_widths_are_replaced_by_those_around_and_masked(value: float, pixels: int) -> None:
    width = 2.5 + (WAVE - 4500) / 2000
    expected = width.copy()
    width[200 : 200 + pixels] = value
    raw = spectra(width)
    arm = raw.arms[0]
    assert raw.warn.tolist() == [0, WARN.LSF_WARN, 0]
    assert np.flatnonzero(arm.ivar[1] == 0).tolist() == list(range(200, 200 + pixels))
    assert (arm.ivar[[0, 2]] == 1e4).all() and (arm.fwhm[[0, 2]] == 2.5).all()
    np.testing.assert_allclose(arm.fwhm[1], expected, atol=0.15)


@pytest.mark.parametrize("value", [40.0, 1000.0, 0.0, -2.5, np.nan, np.inf])
def test_star_without_any_usable_width_is_lost_alone(value: float) -> None:
    raw = spectra(np.full(WAVE.size, value))
    assert raw.warn.tolist() == [0, LOST, 0]
    assert not raw.arms[0].ivar[1].any() and (raw.arms[0].ivar[[0, 2]] > 0).all()
    assert np.isfinite(raw.arms[0].fwhm).all() and (raw.arms[0].fwhm <= BROADEST).all()


def test_resolution_may_change_along_the_spectrum_by_a_factor_of_two() -> None:
    """One resolution from 3600 to 9000 Å, and two arms that join without a gap."""
    wave = np.arange(3600.0, 9000.0)
    raw = from_arrays(wave, np.ones(wave.size), np.ones(wave.size), resolution=1800)
    assert not raw.warn.any() and (raw.arms[0].ivar > 0).all()
    width = np.where(wave < 5900, 2.8, 4.5)
    raw = from_arrays(wave, np.ones(wave.size), np.ones(wave.size), fwhm=width)
    assert not raw.warn.any()
    np.testing.assert_array_equal(raw.arms[0].fwhm[0], width)


@pytest.mark.parametrize("value", [1000.0, 20.1, 0.0, np.nan])
def test_one_width_for_all_pixels_has_to_be_usable(value: float) -> None:
    with pytest.raises(ValueError, match=r"'fwhm' is not a positive number.*above 20 Å"):
        from_arrays(WAVE, FLUX, fwhm=value)
    with pytest.raises(ValueError, match="'resolution' is not a positive number"):
        from_arrays(WAVE, FLUX, resolution=100.0)


def test_few_pixels_sharper_than_the_model_are_masked_and_many_cost_the_star() -> None:
    """Two per cent of the pixels of the second star, ten of the third."""
    fwhm = np.full(FLUX.shape, 2.5)
    fwhm[1, :20], fwhm[2, :100] = 1.5, 1.5
    raw = from_arrays(WAVE, FLUX, 1e4 * FLUX, fwhm=fwhm)
    assert not raw.warn.any()
    masked = mask_sharp(raw, 2.0)
    assert masked.warn.tolist() == [0, WARN.LSF_WARN, LOST]
    assert (masked.arms[0].ivar > 0).sum(axis=1).tolist() == [1000, 980, 0]
    assert mask_sharp(raw, 1.4) is raw


@pytest.mark.parametrize(("value", "pixels"), [(0.3, 1), (40.0, 1), (1000.0, 3), (0.1, 200)])
def test_wrong_width_in_one_sdss_file_leaves_the_others_alone(
    value: float, pixels: int, spec: Callable[..., Path]
) -> None:
    """Widths are in pixels of 69 km/s; the models are as sharp as 0.45 of them in the blue."""
    wdisp = np.linspace(1.3, 0.9, 4500).astype("f4")
    wdisp[1000 : 1000 + pixels] = value
    good, alone = spec(1), read_sdss([spec(3)])
    raw = read_sdss([good, spec(2, wdisp=wdisp)])
    assert raw.warn.tolist() == [0, WARN.LSF_WARN]
    widths = np.concatenate([arm.fwhm for arm in raw.arms], axis=1)
    np.testing.assert_allclose(widths[1], widths[0], rtol=0.05)
    np.testing.assert_array_equal(widths[0], np.concatenate([a.fwhm[0] for a in alone.arms]))
    lost = sum((arm.ivar[0] > 0).sum() - (arm.ivar[1] > 0).sum() for arm in raw.arms)
    assert lost == pixels


@pytest.mark.parametrize("value", [0.0, np.nan, -1.0, 1000.0])
def test_sdss_file_without_any_width_is_flagged(value: float, spec: Callable[..., Path]) -> None:
    raw = read_sdss([spec(1), spec(2, wdisp=np.full(4500, value, "f4"))])
    assert raw.warn.tolist() == [0, LOST]


def test_flux_of_one_pixel_does_not_rule_its_spectrum(spec: Callable[..., Path]) -> None:
    flux, ivar = np.full(4500, 50.0, "f4"), np.ones(4500, "f4")
    flux[[100, 200]], ivar[[300, 400]] = (1e30, -1e38), (np.inf, np.nan)
    lone = np.where(np.arange(4500) == 500, np.float32(-1), np.float32(1))
    raw = read_sdss([spec(1), spec(2, flux=flux, ivar=ivar), spec(3, ivar=lone)])
    assert raw.warn.tolist() == [0, WARN.NONFINITE_INPUT, WARN.NONFINITE_INPUT]
    assert max(np.abs(arm.flux[1]).max() for arm in raw.arms) == 50
    flux = FLUX.copy()
    flux[1, 7] = 1e300
    raw = from_arrays(WAVE, flux, 1e4 * FLUX, fwhm=2.5)
    assert raw.warn.tolist() == [0, WARN.NONFINITE_INPUT, 0]
    assert (raw.arms[0].ivar > 0).sum(axis=1).tolist() == [1000, 999, 1000]
