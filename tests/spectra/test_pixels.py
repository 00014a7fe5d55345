"""Which pixels say something about a star: real noise loses none, faulty ones are left out."""

from pathlib import Path

import numpy as np
import pytest

from bayes_ddp.spectra.pixels import usable_pixels
from bayes_ddp.spectra.prepare import prepare
from bayes_ddp.spectra.raw import RawSpectra
from bayes_ddp.spectra.read import read
from bayes_ddp.spectra.surveys import SURVEYS

WAVE = np.arange(4000.0, 5600.0, 0.8)
SNR = 50.0


@pytest.fixture
def star() -> tuple[np.ndarray, np.ndarray]:
    """Flux and ivar of two stars with lines and a slope at S/N 50, rising fourfold to the red."""
    rng = np.random.default_rng(1)
    level = 20.0 * np.linspace(1, 4, WAVE.size) * np.array([[1.0], [1e-3]])
    sigma = level / SNR
    depth = sum(0.5 * np.exp(-0.5 * ((WAVE - c) / 1.2) ** 2) for c in range(4010, 5600, 23))
    flux = level * (1 - depth) + sigma * rng.standard_normal(level.shape)
    return flux, sigma**-2


def test_ordinary_pixels_are_all_usable(star: tuple[np.ndarray, np.ndarray]) -> None:
    flux, ivar = star
    assert usable_pixels(WAVE, flux, ivar).all()


@pytest.mark.parametrize("size", [7.0, 110.0, 400.0])
@pytest.mark.parametrize("error", [10.0, 1e4, 1e10])
def test_stretch_with_huge_errors_is_left_out_and_nothing_beside_it(
    star: tuple[np.ndarray, np.ndarray], size: float, error: float
) -> None:
    """Errors of 500 and more times those of the neighbours."""
    flux, ivar = star
    bad = np.abs(WAVE - 4800) < size / 2
    flux = np.where(bad, 1.3 * flux, flux)
    ivar = np.where(bad, (error * np.abs(flux).mean(axis=1, keepdims=True)) ** -2, ivar)
    np.testing.assert_array_equal(usable_pixels(WAVE, flux, ivar), np.stack([~bad, ~bad]))


@pytest.mark.parametrize("place", [0, 700, WAVE.size - 1])
def test_single_pixel_with_a_huge_error_is_left_out(
    star: tuple[np.ndarray, np.ndarray], place: int
) -> None:
    flux, ivar = star
    ivar[0, place] *= 1e-6
    lost = np.argwhere(~usable_pixels(WAVE, flux, ivar))
    assert lost.tolist() == [[0, place]]


def test_arm_that_fades_at_its_end_keeps_all_pixels(star: tuple[np.ndarray, np.ndarray]) -> None:
    """S/N falls by a factor of 40 within 300 Å, as at the blue end of a cool star."""
    flux, ivar = star
    fade = np.interp(WAVE, [4000, 4300], [1 / 40, 1.0])
    flux = flux * np.sqrt(fade)
    assert usable_pixels(WAVE, flux, ivar * fade).all()


def test_sky_lines_keep_their_pixels(star: tuple[np.ndarray, np.ndarray]) -> None:
    """Errors that are ten times larger in groups of lines."""
    flux, ivar = star
    sky = sum(np.exp(-0.5 * ((WAVE - c) / 1.5) ** 2) for c in range(5000, 5200, 12))
    assert usable_pixels(WAVE, flux, ivar / (1 + 9 * sky) ** 2).all()


def test_flux_that_no_star_has_is_left_out(star: tuple[np.ndarray, np.ndarray]) -> None:
    """Emission of three times the level stays; and so does a level of about zero."""
    flux, ivar = star
    flux[0, 100], flux[1, 200] = 1e6, -1e3
    flux[0] += 3 * np.median(flux[0]) * np.exp(-0.5 * ((WAVE - 4862.7) / 2) ** 2)
    lost = np.argwhere(~usable_pixels(WAVE, flux, ivar))
    assert lost.tolist() == [[0, 100], [1, 200]]
    noise = np.random.default_rng(2).standard_normal(flux.shape)
    assert usable_pixels(WAVE, noise, np.ones(flux.shape)).all()


def test_bright_emission_line_keeps_its_pixels(star: tuple[np.ndarray, np.ndarray]) -> None:
    """Fifty times the level, as in a galaxy: it is not hidden from the fit."""
    flux, ivar = star
    flux += 50 * np.median(flux, axis=1)[:, None] * np.exp(-0.5 * ((WAVE - 5007) / 1.5) ** 2)
    assert usable_pixels(WAVE, flux, ivar).all()


def test_masked_and_broken_pixels_are_not_usable(star: tuple[np.ndarray, np.ndarray]) -> None:
    flux, ivar = star
    ivar[0, 5], flux[0, 6], ivar[0, 7] = 0, np.nan, np.inf
    lost = np.argwhere(~usable_pixels(WAVE, flux, ivar))
    assert lost.tolist() == [[0, 5], [0, 6], [0, 7]]
    assert not usable_pixels(WAVE, flux, np.zeros(flux.shape)).any()


def lost(raw: RawSpectra) -> int:
    """Pixels with ivar > 0 that are not usable."""
    return sum(
        int(((arm.ivar > 0) & ~usable_pixels(arm.wave, arm.flux, arm.ivar)).sum())
        for arm in raw.arms
    )


def test_real_spectra_lose_nothing(data: Path) -> None:
    """LAMOST; DESI's coadds are of two galaxies, whose emission lines no star has."""
    files = sorted((data / "lamost_dr1").glob("spec-*.fits"))[::4]
    assert lost(SURVEYS["lamost"].read(files)) == 0
    for path in sorted((data / "desi_format").glob("coadd-*.fits")):
        raw = SURVEYS["desi"].read(
            [path], redshifts=[path.with_name(path.name.replace("coadd", "redrock"))]
        )
        assert lost(raw) < 0.005 * sum(arm.wave.size for arm in raw.arms)


def test_simulated_survey_loses_nothing(coadd_files: tuple[Path, Path]) -> None:
    assert lost(read(coadd_files[0], catalog=coadd_files[1])) == 0


def test_pixels_with_a_huge_error_have_no_part_in_fit_or_pseudo_continuum(
    coadd_files: tuple[Path, Path],
) -> None:
    """As if they were masked: 110 Å of flux x 1.3 with an error of 1e10 times the flux."""
    raw = read(coadd_files[0], catalog=coadd_files[1])
    blue = raw.arms[0]
    bad = (blue.wave > 5100) & (blue.wave < 5210)
    masked = [np.where(bad, np.float32(0), blue.ivar), *(arm.ivar for arm in raw.arms[1:])]
    expected = prepare(raw.with_ivar(masked))[0]
    tiny = (1e10 * np.maximum(np.abs(blue.flux), 1.0)) ** -2
    weak = np.where(bad & (blue.ivar > 0), tiny, blue.ivar).astype(np.float32)
    assert (weak[:, bad] > 0).any()
    blue.flux[:, bad] *= 1.3
    spectrum = prepare(raw.with_ivar([weak, *masked[1:]]))[0]
    for name in ("flux", "ivar", "weight", "continuum"):
        np.testing.assert_array_equal(getattr(spectrum, name), getattr(expected, name), name)
