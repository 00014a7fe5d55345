"""Velocities of files: which errors are usable, and what stands in for the others."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from bayes_ddp.flags import WARN
from bayes_ddp.spectra.arrays import from_arrays
from bayes_ddp.spectra.lamost import read_lamost
from bayes_ddp.spectra.masks import LIGHT_SPEED
from bayes_ddp.spectra.prepare import prepare
from bayes_ddp.spectra.sdss import read_sdss
from bayes_ddp.spectra.velocities import WIDE_ERROR

WAVE = np.arange(4000.0, 5000.0)
UNUSABLE = [-1.0, 0.0, 0.1, 1e10, -9999.0, float("nan")]


@pytest.mark.parametrize("error", [*UNUSABLE, None, "", "null"])
def test_lamost_redshift_without_a_usable_error_is_fitted_freely(
    error: float | str | None, lamost_file: Path
) -> None:
    with fits.open(lamost_file, mode="update") as hdus:
        if error is not None and error == error:  # a card holds no NaN
            hdus[0].header["Z_ERR"] = error
        else:
            hdus[0].header["Z_ERR"] = fits.card.Undefined()
        hdus[0].add_checksum()
    raw = read_lamost([lamost_file])
    assert raw.warn.tolist() == [WARN.RV_WARN]
    assert raw.vrad_err == [WIDE_ERROR] and abs(raw.vrad[0]) < 100


@pytest.mark.parametrize("error", [e for e in UNUSABLE if not e < 0])
def test_sdss_redshift_without_a_usable_error_is_fitted_freely(
    error: float, spec: Callable[..., Path]
) -> None:
    raw = read_sdss([spec(1), spec(2, Z_ERR=error, ELODIE_Z_ERR=-1.0)])
    assert raw.warn.tolist() == [0, WARN.RV_WARN]
    np.testing.assert_allclose(raw.vrad_err, [np.hypot(5, LIGHT_SPEED * 4e-6), WIDE_ERROR])


@pytest.mark.parametrize(
    ("zwarning", "bits"),
    [
        (0, 0),
        (1 << 2, WARN.RV_WARN),
        (1 << 5, WARN.RV_WARN),
        (1 << 7, WARN.BADFIBER),
        ((1 << 0) | (1 << 2), WARN.BADFIBER | WARN.RV_WARN),
    ],
)
def test_zwarning_of_sdss_is_read(zwarning: int, bits: int, spec: Callable[..., Path]) -> None:
    raw = read_sdss([spec(1, ZWARNING=zwarning)])
    assert raw.warn.tolist() == [bits] and raw.columns["ZWARNING"].tolist() == [zwarning]
    assert (raw.vrad_err[0] == WIDE_ERROR) == bool(bits & WARN.RV_WARN)


@pytest.mark.parametrize("error", [0.0, -1.0, np.nan, np.inf, 1e5])
def test_table_with_an_unusable_error_keeps_its_star(error: float) -> None:
    flux = np.ones((2, WAVE.size))
    raw = from_arrays(WAVE, flux, flux, fwhm=2.5, vrad=[10.0, 20.0], vrad_err=[2.0, error])
    assert raw.warn.tolist() == [0, WARN.RV_WARN]
    assert raw.vrad_err.tolist() == [2.0, WIDE_ERROR] and raw.vrad.tolist() == [10.0, 20.0]
    spectrum, warn = prepare(raw)
    assert np.asarray(spectrum.vrad_err).tolist() == [2.0, WIDE_ERROR]
    assert warn.tolist() == [0, WARN.RV_WARN] and (spectrum.ivar > 0).any(axis=1).all()


def test_stated_errors_are_kept() -> None:
    flux = np.ones((3, WAVE.size))
    raw = from_arrays(WAVE, flux, flux, fwhm=2.5, vrad_err=[0.01, 30.0, 250.0])
    assert raw.vrad_err.tolist() == [0.01, 30.0, 250.0] and not raw.warn.any()
