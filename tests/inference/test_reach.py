"""Data that reach beyond the model: both sides are normalised with the same pixels."""

from pathlib import Path

import numpy as np
import pytest
from scipy.interpolate import make_interp_spline

from bayes_ddp.emulator.card import load_emulator
from bayes_ddp.emulator.network import BasisNetwork
from bayes_ddp.inference.residuals import model_spectra
from bayes_ddp.spectra.expose import observe
from bayes_ddp.spectra.prepare import prepare
from bayes_ddp.spectra.raw import RawSpectra

VRAD, LIGHT = 200.0, 299792.458


@pytest.fixture(scope="module")
def emulator(models: Path) -> BasisNetwork:
    loaded = load_emulator(models / "desi-physics")
    assert isinstance(loaded, BasisNetwork)
    return loaded


@pytest.fixture(scope="module")
def labels(emulator: BasisNetwork) -> np.ndarray:
    """[1 label], a metal-poor dwarf: few lines, so that the level itself shows."""
    one = np.zeros(emulator.space.size)
    for name, value in (("teff", 5900.0), ("logg", 4.3), ("vmic", 1.2), ("feh", -1.0)):
        one[emulator.space.index(name)] = value
    return one[None]


@pytest.fixture(scope="module")
def raw(emulator: BasisNetwork, labels: np.ndarray) -> RawSpectra:
    """The model as ``expose`` sees it; beyond its ends flux that it does not have."""
    wave = np.arange(3500.0, 4600.0, 1.0)
    grid, rest = np.asarray(emulator.wave), np.asarray(emulator(labels[0]), float)
    before = grid[0] + 0.5 * np.arange(-40, 0)  # what the LSF takes in from beyond the end
    spline = make_interp_spline(
        np.concatenate([before, grid]), np.concatenate([np.full(40, rest[0]), rest]), k=5
    )
    inside = wave / np.sqrt((1 + VRAD / LIGHT) / (1 - VRAD / LIGHT)) > emulator.reach[0]
    flux = np.full(wave.size, 0.6)
    width = np.full(wave.size, 2.6)
    seen = observe(spline, wave[inside], width[inside], vrad=VRAD, intrinsic=emulator.fwhm)
    flux[inside] = seen * (1 + 2e-4 * (wave[inside] - 4000))
    return RawSpectra.from_arrays(wave, flux, 1e4 / flux**2, fwhm=2.6, vrad=VRAD)


def test_model_and_data_agree_up_to_the_end_of_the_model(
    emulator: BasisNetwork, labels: np.ndarray, raw: RawSpectra
) -> None:
    found = model_spectra(raw, emulator, labels, velocity=np.zeros(1), lsf=np.ones((1, 1)))
    used = found.used[0]
    near = used & (found.spectrum.wave < 3640)
    assert near.sum() > 30
    # the broad level is divided out of the painted model a second time: 1 % at its very end
    assert np.abs(found.residual[0][near]).max() < 0.01
    assert (
        np.abs(found.residual[0][used & (np.abs(found.spectrum.wave - 4100) < 460)]).max() < 0.005
    )


def test_without_the_reach_the_ends_are_normalised_apart(
    emulator: BasisNetwork, labels: np.ndarray, raw: RawSpectra
) -> None:
    """The fault that the reach removes: per cents, more than the test above allows."""
    whole, _ = prepare(raw)
    found = model_spectra(raw, emulator, labels, velocity=np.zeros(1), lsf=np.ones((1, 1)))
    near = found.used[0] & (found.spectrum.wave < 3600)
    gap = np.abs(np.asarray(whole.flux)[0][near] - found.model[0][near])
    assert gap.max() > 0.04


def test_pixels_beyond_the_reach_have_no_weight(emulator: BasisNetwork, raw: RawSpectra) -> None:
    low, _ = emulator.reach
    spectrum, _ = prepare(raw, reach=emulator.reach)
    beyond = spectrum.wave / (1 + VRAD / LIGHT) < low
    assert beyond.sum() > 80
    assert not np.asarray(spectrum.weight)[0][beyond].any()
    assert not np.asarray(spectrum.ivar)[0][beyond].any()
