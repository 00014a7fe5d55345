"""Simulated coadds: the blur against closed forms, the noise against its own claim, the files."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from scipy.integrate import quad
from scipy.interpolate import make_interp_spline

from bayes_ddp.spectra.desi.read import DESI_WAVE, read_desi
from bayes_ddp.spectra.desi.writer import write_coadd, write_rvs_catalog
from bayes_ddp.spectra.expose import (
    LSF_RANGE,
    Coadd,
    ModelSpectra,
    Simulation,
    observe,
    simulate_coadd,
)
from bayes_ddp.spectra.lsf import FWHM_PER_SIGMA
from bayes_ddp.spectra.masks import doppler_factor


def test_blur_agrees_with_adaptive_quadrature(model_spectra: ModelSpectra) -> None:
    """The same integral by QUADPACK, of the same spline, to 1e-5 of the flux."""
    spline = make_interp_spline(model_spectra.wave, model_spectra.flux[1] / 1e6, k=5)
    wave = np.linspace(4000, 9000, 15)
    fwhm = np.linspace(1.5, 1.9, 15)
    factor = float(doppler_factor(150.0))
    seen = observe(spline, wave, fwhm, vrad=150.0, intrinsic=1.0)
    for centre, width, value in zip(wave, fwhm, seen, strict=True):
        sigma = np.sqrt(width**2 - factor**2) / FWHM_PER_SIGMA

        def integrand(x: float, centre: float = centre, sigma: float = sigma) -> float:
            return float(spline((centre - x) / factor) * np.exp(-0.5 * (x / sigma) ** 2))

        reach = 7 * sigma
        exact = quad(integrand, -reach, reach, limit=400, epsabs=1e-10)[0]
        exact /= sigma * np.sqrt(2 * np.pi) * factor
        assert value == pytest.approx(exact, abs=1e-5)


def test_gaussian_line_becomes_a_wider_gaussian_line_at_the_shifted_place() -> None:
    """In closed form: widths add in quadrature, depth falls by their ratio, Doppler shifts it."""
    rest = 3580 + 0.4 * np.arange(15701)
    line = np.exp(-0.5 * ((rest - 5000.13) * FWHM_PER_SIGMA) ** 2)
    spline = make_interp_spline(rest, 1 - 0.5 * line, k=5)
    factor = float(doppler_factor(-220.0))
    wave = np.arange(4980, 5015, 0.8)
    seen = observe(spline, wave, np.full(wave.size, 1.7), vrad=-220.0, intrinsic=1.0)
    depth = 0.5 * factor / 1.7
    shape = np.exp(-0.5 * ((wave - 5000.13 * factor) * FWHM_PER_SIGMA / 1.7) ** 2)
    np.testing.assert_allclose(seen * factor, 1 - depth * shape, atol=3e-5)


def test_fibre_sharper_than_the_model_is_an_error(model_spectra: ModelSpectra) -> None:
    spline = make_interp_spline(model_spectra.wave, model_spectra.flux[0], k=5)
    with pytest.raises(ValueError, match="give sharper model spectra"):
        observe(spline, np.array([5000.0]), np.array([0.9]), vrad=0.0, intrinsic=1.0)


def test_model_spectra_must_cover_the_arms(model_spectra: ModelSpectra) -> None:
    with pytest.raises(ValueError, match="do not cover"):
        ModelSpectra(model_spectra.wave[:-100], model_spectra.flux[:, :-100])


def test_noise_has_the_scatter_that_ivar_claims(coadd: Coadd) -> None:
    """Mean 0 and variance 1 of the z-scores, five Monte Carlo errors each: fails 1 in 1e6."""
    for name, arm in coadd.arms.items():
        good = (arm.ivar > 0) & (arm.mask == 0)
        score = ((arm.flux - arm.model) * np.sqrt(arm.ivar))[good]
        assert abs(score.mean()) < 5 / np.sqrt(score.size), name
        assert abs(score.var() - 1) < 5 * np.sqrt(2 / score.size), name


def test_signal_to_noise_is_the_one_asked_for(coadd: Coadd) -> None:
    red = coadd.arms["R"]
    ratio = np.ma.masked_array(red.model * np.sqrt(red.ivar), red.ivar == 0)
    np.testing.assert_allclose(np.ma.median(ratio, axis=1), coadd.snr, rtol=0.005)
    assert coadd.snr.min() >= 30
    assert coadd.snr.max() <= 150


def test_fibres_have_smooth_widths_of_their_own(coadd: Coadd) -> None:
    for name, (low, high) in LSF_RANGE.items():
        width = coadd.arms[name].fwhm
        assert low <= width.min() < width.max() <= high
        assert np.abs(np.diff(width, axis=1)).max() < 1e-3
        assert np.ptp(width.mean(axis=1)) > 0.005


def test_bad_pixels_hold_garbage_and_are_flagged(coadd: Coadd) -> None:
    bad = np.concatenate([arm.mask.ravel() != 0 for arm in coadd.arms.values()])
    dead = np.concatenate([arm.ivar.ravel() == 0 for arm in coadd.arms.values()])
    assert bad.mean() == pytest.approx(0.005, abs=5 * np.sqrt(0.005 / bad.size))
    assert dead.mean() == pytest.approx(0.0005, abs=5 * np.sqrt(0.0005 / bad.size))
    for arm in coadd.arms.values():
        wrong = np.abs(arm.flux - arm.model) > 3 * np.abs(arm.model)
        assert not wrong[arm.mask == 0].any()
        assert wrong[arm.mask != 0].mean() > 0.5


def test_same_key_same_file_other_key_other_noise(
    model_spectra: ModelSpectra, tmp_path: Path
) -> None:
    paths = [tmp_path / f"coadd-{i}.fits" for i in range(3)]
    for path, key in zip(paths, (5, 5, 6), strict=True):
        write_coadd(path, simulate_coadd(model_spectra, Simulation(stars=2), key))
    one, same, other = (path.read_bytes() for path in paths)
    assert one == same
    assert one != other


def test_file_has_the_hdus_and_types_of_a_real_coadd(
    coadd_files: tuple[Path, Path], data: Path
) -> None:
    real = data / "desi_format" / "coadd-special-dark-27247.fits"
    with fits.open(coadd_files[0]) as mine, fits.open(real) as theirs:
        assert [hdu.name for hdu in mine] == [hdu.name for hdu in theirs]
        for one, other in zip(mine[3:18], theirs[3:18], strict=True):
            assert one.data.dtype == other.data.dtype
            assert one.shape[1:] == other.shape[1:]
            assert one.header.get("BUNIT") == other.header.get("BUNIT")
        for name in ("FIBERMAP", "EXP_FIBERMAP", "SCORES"):
            here, there = mine[name].columns, theirs[name].columns
            assert set(here.names) <= set(there.names)
            assert {n: here[n].format[-1] for n in here.names} == {
                n: there[n].format[-1] for n in here.names
            }


def test_flux_and_ivar_come_back_bit_by_bit(coadd: Coadd, coadd_files: tuple[Path, Path]) -> None:
    raw = read_desi([coadd_files[0]], coadd_files[1])
    assert not raw.warn.any()
    for arm in raw.arms:
        written = coadd.arms[arm.name]
        np.testing.assert_array_equal(arm.wave, DESI_WAVE[arm.name])
        np.testing.assert_array_equal(arm.flux, written.flux)
        np.testing.assert_array_equal(arm.ivar, np.where(written.mask == 0, written.ivar, 0))
        np.testing.assert_allclose(arm.fwhm, written.fwhm, rtol=1e-3)
    np.testing.assert_array_equal(raw.columns["TARGETID"], coadd.targetid)
    np.testing.assert_array_equal(raw.vrad, coadd.vrad_seen)
    np.testing.assert_array_equal(raw.vrad_err, np.maximum(coadd.vrad_err, 1.0))
    np.testing.assert_allclose(raw.ebv, coadd.ebv, rtol=1e-6)


def test_catalogue_velocities_scatter_as_their_errors_say(
    model_spectra: ModelSpectra, tmp_path: Path
) -> None:
    """Mean and variance of 24 z-scores within five Monte Carlo errors."""
    many = simulate_coadd(model_spectra, Simulation(stars=24), 3)
    score = (many.vrad_seen - many.vrad) / many.vrad_err
    assert abs(score.mean()) < 5 / np.sqrt(24)
    assert abs(score.var() - 1) < 5 * np.sqrt(2 / 24)
    write_rvs_catalog(tmp_path / "rv.fits", many)
    assert fits.getdata(tmp_path / "rv.fits", "RVTAB")["SUCCESS"].all()


def test_settings_refuse_what_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="swap them"):
        Simulation(snr_low=100, snr_high=50)
    with pytest.raises(ValueError, match="star"):
        Simulation(star=3)
