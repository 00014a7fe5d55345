"""Spectra in tables of a user: formats, options of [input.table], and refused inputs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from bayes_ddp.commands.info import describe
from bayes_ddp.files.errors import BadFileError
from bayes_ddp.flags import WARN
from bayes_ddp.spectra.arrays import air_to_vacuum
from bayes_ddp.spectra.raw import RawSpectra
from bayes_ddp.spectra.table import Layout, read_tables

WAVE = np.arange(4000.0, 5000.0, 1.0)
RNG = np.random.default_rng(5)
FLUX = RNG.uniform(1, 2, WAVE.size)
ERROR = RNG.uniform(0.01, 0.02, WAVE.size)
META = {"STAR": "HD 1", "RV": -12.5}


def write(folder: Path, kind: str, name: str = "one", **changed: Any) -> Path:
    """One star in one of the formats; ``changed`` replaces columns."""
    columns = {"Wave": WAVE, "flux": FLUX, "error": ERROR} | changed
    path = folder / f"{name}.{'fits' if 'fits' in kind else kind}"
    if kind == "npz":
        np.savez(path, **columns, **{k: np.array(v) for k, v in META.items()})
    elif kind == "ecsv":
        Table(columns, meta=META).write(path, format="ascii.ecsv")
    else:
        row = kind == "row.fits"  # one row of vector columns, or a row a pixel
        table = Table({k: v[None] if row else v for k, v in columns.items()}, meta=META)
        image = fits.ImageHDU(np.zeros((2, 2)))
        fits.HDUList([fits.PrimaryHDU(), image, fits.table_to_hdu(table)]).writeto(path)
    return path


def read(paths: Any, **changed: Any) -> RawSpectra:
    told = {"air": False, "fwhm": 2.5, "error": "error"} | changed
    paths = [paths] if isinstance(paths, Path) else paths
    return read_tables(paths, layout=Layout(**told))


@pytest.mark.parametrize("kind", ["npz", "ecsv", "row.fits", "pixel.fits"])
def test_every_format_gives_the_same_star(tmp_path: Path, kind: str) -> None:
    raw = read(write(tmp_path, kind), wave="wave", name="star", vrad="RV")
    (arm,) = raw.arms
    np.testing.assert_array_equal(arm.wave, WAVE)
    np.testing.assert_array_equal(arm.flux[0], FLUX.astype(np.float32))
    np.testing.assert_allclose(arm.ivar[0], ERROR**-2.0, rtol=1e-6)
    assert (arm.fwhm == 2.5).all() and not raw.warn.any()
    assert raw.identifiers() == ["HD 1"]
    assert raw.vrad == [-12.5] and raw.vrad_err == [5.0]


@pytest.mark.parametrize("unit", [1e-17, 1e-20, 1e-30, 1e25])
def test_unit_of_the_flux_does_not_matter(tmp_path: Path, unit: float) -> None:
    """But for a power of two and rounding; float32 would lose the inverse variance of 1e-20."""
    one = read(write(tmp_path, "npz")).arms[0]
    other = read(write(tmp_path, "npz", "b", flux=FLUX * unit, error=ERROR * unit)).arms[0]
    scale = np.median(other.flux / one.flux)
    assert 0.5 <= scale <= 4
    np.testing.assert_allclose(other.flux, one.flux * scale, rtol=1e-6)
    np.testing.assert_allclose(other.ivar, one.ivar / scale**2, rtol=1e-6)


def test_many_stars_share_one_list_of_wavelengths(tmp_path: Path) -> None:
    path = tmp_path / "all.npz"
    flux = np.stack([FLUX, 2 * FLUX, 3 * FLUX])
    np.savez(
        path,
        wave=WAVE.astype(">f4"),
        flux=flux,
        r=np.array([1000.0]),
        id=np.array([7, 8, 9]),
        v=np.array([1.0, np.nan, 9999.0]),
    )
    raw = read(path, error=None, ivar="flux", fwhm=None, resolution=1800, name="id", vrad="v")
    assert raw.identifiers() == ["7", "8", "9"] and raw.columns["ID"].tolist() == [7, 8, 9]
    np.testing.assert_allclose(raw.arms[0].fwhm[1], WAVE / 1800)
    assert raw.warn.tolist() == [0, WARN.BAD_RV, WARN.BAD_RV]
    unnamed = read(path, error=None, ivar="flux")
    assert unnamed.identifiers() == ["all-00000", "all-00001", "all-00002"]


@pytest.mark.parametrize(
    ("air", "vacuum"),
    [
        (5889.950, 5891.583),  # Na D2, D1: IAU, as tabulated by SDSS and NIST
        (5895.924, 5897.558),
        (4861.325, 4862.683),  # H beta, H alpha, Ca II 8542
        (6562.801, 6564.614),
        (8542.089, 8544.435),
    ],
)
def test_air_wavelengths_become_those_published_for_vacuum(air: float, vacuum: float) -> None:
    assert air_to_vacuum(np.array([air]))[0] == pytest.approx(vacuum, abs=0.001)


def test_air_formula_agrees_with_edlens(tmp_path: Path) -> None:
    """Edlén (1953), the older IAU standard, written the other way round, to 2 mÅ."""
    vacuum = air_to_vacuum(WAVE)
    square = (1e4 / vacuum) ** 2
    index = 1 + 6.4328e-5 + 2.94981e-2 / (146 - square) + 2.5540e-4 / (41 - square)
    np.testing.assert_allclose(vacuum / index, WAVE, atol=2e-3)
    np.testing.assert_allclose(read(write(tmp_path, "npz"), air=True).arms[0].wave, vacuum)


def test_gaps_end_an_arm(tmp_path: Path) -> None:
    keep = (WAVE < 4300) | (WAVE > 4400)
    raw = read(write(tmp_path, "npz", Wave=WAVE[keep], flux=FLUX[keep], error=ERROR[keep]))
    assert [(a.name, a.wave[0], a.wave[-1]) for a in raw.arms] == [
        ("A1", 4000, 4299),
        ("A2", 4401, 4999),
    ]


def test_pixels_without_error_or_flux_are_masked(tmp_path: Path) -> None:
    error, flux = ERROR.copy(), FLUX.copy()
    error[3], error[4], flux[5] = 0, -1, np.nan
    raw = read(write(tmp_path, "npz", error=error, flux=flux))
    assert np.flatnonzero(raw.arms[0].ivar[0] == 0).tolist() == [3, 4, 5]
    assert raw.warn == [WARN.NONFINITE_INPUT]
    assert np.isfinite(raw.arms[0].flux).all()


def test_without_errors_flux_below_zero_is_masked_and_the_star_says_so(tmp_path: Path) -> None:
    flux = FLUX.copy()
    flux[:4] = 0, -1, 0, 0
    raw = read(write(tmp_path, "npz", flux=flux), error=None)
    arm = raw.arms[0]
    assert np.flatnonzero(arm.ivar[0] == 0).tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose((arm.flux * np.sqrt(arm.ivar))[0, 4:], 100, rtol=1e-5)
    assert raw.warn == [WARN.NO_ERRORS]


def test_real_miles_library_is_read(data: Path) -> None:
    raw = read(
        data / "miles" / "spectra.npz", wave="wave_air", error=None, air=True, name="miles_id"
    )
    assert len(raw) == 491 and len(raw.arms) == 1
    assert (raw.arms[0].flux[raw.arms[0].ivar > 0] > 0).all()
    assert 1 - (raw.arms[0].ivar > 0).mean() < 1e-3


@pytest.mark.parametrize(
    ("column", "at", "value"), [("Wave", 7, WAVE[6]), ("Wave", 7, 4001.0), ("Wave", 7, np.nan)]
)
def test_unsorted_or_doubled_wavelengths_are_named(
    tmp_path: Path, column: str, at: int, value: float
) -> None:
    wave = WAVE.copy()
    wave[at] = value
    with pytest.raises(BadFileError, match=r"one.npz: 'wave' does not rise at pixel 7"):
        read(write(tmp_path, "npz", **{column: wave}))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"flux": "flx"}, r"no column, array or metadata 'flx'. Did you mean 'flux'"),
        ({"vrad": "error"}, r"one.npz: 'vrad' has 1000 values for 1 stars"),
        ({"vrad": "star"}, r"'star' has no numbers"),
        ({"fwhm": "rv"}, r"one.npz: 'fwhm' is not a positive number in every pixel"),
    ],
)
def test_what_the_run_file_names_has_to_be_there(
    tmp_path: Path, changed: dict, message: str
) -> None:
    with pytest.raises(BadFileError, match=message):
        read(write(tmp_path, "npz"), **changed)


def test_other_grids_units_names_and_files_are_errors(tmp_path: Path) -> None:
    one = write(tmp_path, "npz")
    other = write(tmp_path, "npz", "two", Wave=WAVE + 0.5)
    with pytest.raises(BadFileError, match=r"two.npz has other wavelengths"):
        read([one, other])
    with pytest.raises(BadFileError, match=r"The name 'HD 1' belongs to more than one"):
        read([one, write(tmp_path, "ecsv", "three")], name="star")
    with pytest.raises(BadFileError, match="not their logarithm"):
        read(write(tmp_path, "npz", "four", Wave=np.log10(WAVE)))
    text = tmp_path / "a.csv"
    text.write_text("wave,flux\n")
    with pytest.raises(BadFileError, match=r"not from '.csv'"):
        read(text)
    broken = tmp_path / "five.npz"
    broken.write_bytes(one.read_bytes()[:900])
    with pytest.raises(BadFileError, match="cannot be read as npz"):
        read(broken)


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    np.savez(path, wave=WAVE, flux=np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(BadFileError, match="cannot be read as npz"):
        read(path)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"ivar": "a", "error": "b"}, "not both"),
        ({"resolution": 1800}, "either 'fwhm'"),
        ({"fwhm": None}, "either 'fwhm'"),
        ({"fwhm": -1.0}, "greater than 0"),
    ],
)
def test_contradictory_layouts_are_refused(told: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Layout(**({"air": True, "fwhm": 2.5} | told))


@pytest.mark.parametrize("kind", ["npz", "ecsv", "row.fits"])
def test_info_lists_the_arrays(tmp_path: Path, kind: str) -> None:
    figures, text = describe(str(write(tmp_path, kind)))
    json.dumps(figures, allow_nan=False)
    assert figures["kind"] == "arrays" and {"wave", "flux", "error"} <= set(figures["arrays"])
    assert figures["arrays"]["wave"]["range"] == [4000.0, 4999.0]
    assert "[input.table]" in text
