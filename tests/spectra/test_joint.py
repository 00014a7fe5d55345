"""From a coadd file to normalised pixels: noise, line spread and velocity that were simulated."""

from pathlib import Path

import numpy as np
import pytest

from bayes_ddp.spectra.desi.read import read_desi
from bayes_ddp.spectra.expose import Coadd
from bayes_ddp.spectra.prepare import prepare
from bayes_ddp.spectra.spectrum import Spectrum

CLEAN, FLOORED = (7050.0, 7150.0), (6515.0, 6545.0)
"""Å. No band of the masks is in the first; weak H2O adds 0.01 to the error in the second."""


@pytest.fixture(scope="module")
def spectrum(coadd_files: tuple[Path, Path]) -> Spectrum:
    found, warn = prepare(read_desi([coadd_files[0]], coadd_files[1]))
    assert not warn.any()
    return found


def test_width_of_the_line_spread_is_that_of_the_fibre(spectrum: Spectrum, coadd: Coadd) -> None:
    """To 0.3 %, as exact as the resolution matrix of 11 diagonals and float32 holds it."""
    for name, a, b in spectrum.arms:
        np.testing.assert_allclose(spectrum.fwhm[:, a:b], coadd.arms[name].fwhm, rtol=3e-3)


def test_velocities_are_those_of_the_catalogue(spectrum: Spectrum, coadd: Coadd) -> None:
    np.testing.assert_allclose(spectrum.vrad, coadd.vrad_seen)
    np.testing.assert_allclose(spectrum.vrad_err, np.maximum(coadd.vrad_err, 1.0))


@pytest.mark.parametrize(("region", "floor"), [(CLEAN, 0.0), (FLOORED, 0.01)])
def test_variance_is_that_of_the_noise_and_of_the_band(
    spectrum: Spectrum, coadd: Coadd, region: tuple[float, float], floor: float
) -> None:
    """In units of the star's pseudo-continuum."""
    (a, b) = next((a, b) for name, a, b in spectrum.arms if name == "R")
    here = (spectrum.wave[a:b] > region[0]) & (spectrum.wave[a:b] < region[1])
    arm, level = coadd.arms["R"], spectrum.continuum[:, a:b][:, here].astype(float)
    good = (arm.ivar[:, here] > 0) & (arm.mask[:, here] == 0)
    assert good.sum() > 200
    noise = 1 / (arm.ivar[:, here][good].astype(float) * level[good] ** 2)
    found = 1 / spectrum.ivar[:, a:b][:, here][good].astype(float)
    np.testing.assert_allclose(found, noise + floor**2, rtol=1e-5)
    assert not spectrum.ivar[:, a:b][:, here][~good].any()
