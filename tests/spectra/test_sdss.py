"""The SDSS reader on files made here in the public layout: no real one ships with the project."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from bayes_ddp.commands.info import describe
from bayes_ddp.files.errors import BadFileError
from bayes_ddp.flags import WARN
from bayes_ddp.spectra.masks import LIGHT_SPEED, redshift_velocity
from bayes_ddp.spectra.sdss import read_sdss

FIRST, PIXELS = 35_563, 4500  # of the fixture spec
Spec = Callable[..., Path]


def test_pixels_stand_where_loglam_puts_them(spec: Spec) -> None:
    """The second file begins 40 pixels later; both lie on one grid, in native byte order."""
    paths = [spec(1), spec(2, FIRST + 40)]
    raw = read_sdss(paths)
    wave = np.concatenate([arm.wave for arm in raw.arms])
    flux = np.concatenate([arm.flux for arm in raw.arms], axis=1)
    ivar = np.concatenate([arm.ivar for arm in raw.arms], axis=1)
    for star, path in enumerate(paths):
        table = fits.getdata(path, 1)
        at = np.argmin(np.abs(wave - 10 ** table["loglam"].astype(float)[:, None]), axis=1)
        np.testing.assert_allclose(wave[at], 10 ** table["loglam"].astype(float), rtol=1e-6)
        np.testing.assert_array_equal(flux[star, at], table["flux"])
        assert ivar[star].sum() == PIXELS
    assert flux.dtype.isnative
    assert raw.arms[0].wave[-1] < 6000 < raw.arms[1].wave[0]
    assert not raw.warn.any()


def test_lsf_width_is_wdisp_in_angstrom(spec: Spec) -> None:
    """wdisp is a Gaussian sigma in pixels of 1e-4 dex: 69 km/s each."""
    arm = read_sdss([spec()]).arms[0]
    at = np.argmin(np.abs(arm.wave - 5000))
    wdisp = np.interp(
        np.log10(5000) / 1e-4, FIRST + np.arange(PIXELS), np.linspace(1.3, 0.9, PIXELS)
    )
    per_pixel = LIGHT_SPEED * 1e-4 * np.log(10)
    velocity = 2 * np.sqrt(2 * np.log(2)) * wdisp * per_pixel
    np.testing.assert_allclose(arm.fwhm[0, at], 5000 * velocity / LIGHT_SPEED, rtol=1e-3)


def test_pixels_without_width_or_rejected_are_masked(spec: Spec) -> None:
    """Bits that describe the fibre (here NEARWHOPPER) or one exposure (or_mask) reject nothing."""
    wdisp = np.ones(PIXELS, "f4")
    wdisp[[100, 101]] = 0, np.nan
    mask = np.full(PIXELS, 1 << 8, "i4")
    mask[[200, 201]] |= (1 << 23, 1 << 22)
    raw = read_sdss([spec(wdisp=wdisp, and_mask=mask)])
    arm = raw.arms[0]
    start = FIRST - 35_500
    lost = np.flatnonzero(arm.ivar[0, start:] == 0)
    assert lost.tolist() == [100, 101, 200, 201]
    assert (arm.fwhm > 1).all() and np.isfinite(arm.fwhm).all()
    assert not raw.warn.any()


@pytest.mark.parametrize(
    ("row", "redshift", "error"),
    [
        ({}, 3e-4, 4e-6),
        ({"ELODIE_Z": 0.0, "ELODIE_Z_ERR": 0.0}, -2e-4, 1e-5),
        ({"ELODIE_Z_ERR": -1.0}, -2e-4, 1e-5),
        ({"ELODIE_Z": None, "ELODIE_Z_ERR": None}, -2e-4, 1e-5),
    ],
)
def test_velocity_is_elodies_where_it_is_valid(
    spec: Spec, row: dict, redshift: float, error: float
) -> None:
    raw = read_sdss([spec(**row)])
    np.testing.assert_allclose(raw.vrad, redshift_velocity(redshift))
    np.testing.assert_allclose(raw.vrad_err, np.hypot(5.0, LIGHT_SPEED * error))


def test_odd_targets_have_their_bits(spec: Spec) -> None:
    raw = read_sdss(
        [
            spec(1, CLASS="GALAXY"),
            spec(2, ZWARNING=1 << 7),
            spec(3, Z_ERR=-1.0, ELODIE_Z_ERR=-1.0),
            spec(4, ivar=np.zeros(PIXELS, "f4")),
            spec(5, flux=np.full(PIXELS, np.nan, "f4")),
        ]
    )
    nothing = WARN.NODATA | WARN.NONFINITE_INPUT
    bits = [WARN.NOT_STAR, WARN.BADFIBER, WARN.BAD_RV, WARN.NODATA, nothing]
    assert raw.warn.tolist() == [int(bit) for bit in bits]


def test_identifiers_are_plate_night_fibre(spec: Spec) -> None:
    raw = read_sdss([spec(7)])
    assert raw.identifiers() == ["3586-55181-0007"]
    assert raw.columns["TARGET_RA"] == 10.5 and raw.columns["THING_ID"] == 12345
    assert raw.columns["SPECTYPE"] == "STAR"


def test_other_files_are_errors(spec: Spec, tmp_path: Path) -> None:
    grid = (1e-4 * (FIRST + 0.5 + np.arange(PIXELS))).astype("f4")
    with pytest.raises(BadFileError, match="off the survey's grid"):
        read_sdss([spec(loglam=grid)])
    with pytest.raises(BadFileError, match=r"lack \['CLASS'\]"):
        read_sdss([spec(2, CLASS=None)])
    fits.PrimaryHDU().writeto(tmp_path / "empty.fits")
    with pytest.raises(BadFileError, match="has 1 HDUs"):
        read_sdss([tmp_path / "empty.fits"])
    with pytest.raises(BadFileError, match="leave the catalogue"):
        read_sdss([spec(3)], tmp_path / "a.csv")


def test_info_knows_the_format(spec: Spec) -> None:
    figures, text = describe(str(spec()))
    assert figures["kind"] == "SDSS spectrum" and figures["specid"] == ["3586-55181-0001"]
    assert "arm B" in text
