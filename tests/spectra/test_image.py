"""Spectra in one-dimensional FITS images: headers, required options, and refused files."""

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
from bayes_ddp.spectra.read import read as read_any
from bayes_ddp.spectra.surveys import recognise
from bayes_ddp.spectra.table import Layout, count_tables, read_tables

PIXELS = 1200
WAVE = 4000.0 + 0.9 * np.arange(PIXELS)
LOG = 3.6 + 1e-4 * np.arange(PIXELS)
FLUX = np.random.default_rng(4).uniform(1, 2, PIXELS).astype(np.float32)
LINEAR = {"CRVAL1": 4000.0, "CDELT1": 0.9}


def write(path: Path, flux: np.ndarray = FLUX, **cards: Any) -> Path:
    hdu = fits.PrimaryHDU(flux)
    hdu.header.update({key.replace("_FLAG", "-FLAG"): value for key, value in cards.items()})
    hdu.writeto(path, overwrite=True)
    return path


def read(path: Path, **changed: Any) -> RawSpectra:
    return read_tables([path], layout=Layout(**({"air": False, "fwhm": 2.5} | changed)))


CASES: dict[str, tuple[dict[str, Any], np.ndarray]] = {
    "CDELT1": (LINEAR, WAVE),
    "CD1_1": ({"CRVAL1": 4000.0, "CD1_1": 0.9}, WAVE),
    "CD1_1 beside CDELT1": ({"CRVAL1": 4000.0, "CD1_1": 0.9, "CDELT1": 1.0}, WAVE),
    "CRPIX1": ({"CRVAL1": 4009.0, "CDELT1": 0.9, "CRPIX1": 11.0}, WAVE),
    "whole numbers": ({"CRVAL1": 4000, "CDELT1": 1}, 4000.0 + np.arange(PIXELS)),
    "Angstrom": (LINEAR | {"CUNIT1": "Angstroms"}, WAVE),
    "nm": ({"CRVAL1": 400.0, "CDELT1": 0.09, "CUNIT1": "nm"}, WAVE),
    "um": ({"CRVAL1": 0.4, "CDELT1": 9e-5, "CUNIT1": "micron"}, WAVE),
    "m": ({"CRVAL1": 4e-7, "CDELT1": 9e-11, "CUNIT1": "m", "CTYPE1": "WAVE"}, WAVE),
    "DC-FLAG": ({"CRVAL1": 3.6, "CDELT1": 1e-4, "DC_FLAG": 1}, 10**LOG),
    "LOG": ({"CRVAL1": 3.6, "CD1_1": 1e-4, "CTYPE1": "LOGLAM"}, 10**LOG),
    "LOG nm": (
        {"CRVAL1": 2.6, "CD1_1": 1e-4, "CTYPE1": "WAVE", "CUNIT1": "log10(nm)"},
        10**LOG,
    ),
    "LN": (
        {"CRVAL1": np.log(4000), "CD1_1": 1e-4, "CTYPE1": "LN"},
        4000 * np.exp(1e-4 * np.arange(PIXELS)),
    ),
    "WAVE-LOG": (
        {"CRVAL1": 4e-7, "CDELT1": 4e-11, "CTYPE1": "WAVE-LOG", "CUNIT1": "m"},
        4000 * np.exp(1e-4 * np.arange(PIXELS)),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_wavelengths_are_those_of_the_header(case: str, tmp_path: Path) -> None:
    cards, wave = CASES[case]
    path = write(tmp_path / "star.fits", **cards)
    assert recognise(path).name == "table" and count_tables(path) == 1
    raw = read(path)
    np.testing.assert_allclose(raw.arms[0].wave, wave, rtol=1e-9)
    np.testing.assert_array_equal(raw.arms[0].flux[0], FLUX)
    assert raw.warn.tolist() == [WARN.NO_ERRORS] and raw.identifiers() == ["star"]


@pytest.mark.parametrize(
    ("cards", "air"),
    [
        ({"CTYPE1": "AWAV"}, True),
        ({"CTYPE1": "WAVE"}, False),
        ({"AIRORVAC": "air"}, True),
        ({"VACUUM": True}, False),
        ({"CTYPE1": "LINEAR"}, None),
        ({}, None),
    ],
)
def test_air_or_vacuum_is_said_by_header_or_setting(
    cards: dict[str, Any], air: bool | None, tmp_path: Path
) -> None:
    """Where both say it they have to agree; where neither does, nothing is assumed."""
    path = write(tmp_path / "star.fits", **LINEAR, **cards)
    for setting in (True, False):
        if air is None or setting == air:
            wave = read(path, air=setting).arms[0].wave
            np.testing.assert_allclose(wave, air_to_vacuum(WAVE) if setting else WAVE)
        else:
            with pytest.raises(BadFileError, match=r"star.fits: its header says .* Correct one"):
                read(path, air=setting)
    if air is None:
        with pytest.raises(BadFileError, match="does not say whether wavelengths are in air"):
            read(path, air="header")
    else:
        np.testing.assert_array_equal(
            read(path, air="header").arms[0].wave, read(path, air=air).arms[0].wave
        )


@pytest.mark.parametrize("shape", [(1, PIXELS), (1, 1, PIXELS)])
def test_axes_of_one_pixel_do_not_matter(shape: tuple[int, ...], tmp_path: Path) -> None:
    path = write(tmp_path / "star.fits", FLUX.reshape(shape), **LINEAR)
    assert count_tables(path) == len(read(path)) == 1


def test_errors_and_flux_may_be_in_extensions(tmp_path: Path) -> None:
    """The wavelengths are in the primary header, the arrays are known by EXTNAME."""
    primary = fits.PrimaryHDU()
    primary.header.update(LINEAR | {"OBJECT": "HD 1", "VHELIO": -12.5})
    names = {"SCI": FLUX, "ERRS": np.full(PIXELS, 0.1, "f4"), "SHORT": np.zeros(3, "f4")}
    path = tmp_path / "a.fits"
    fits.HDUList([primary, *(fits.ImageHDU(v, name=n) for n, v in names.items())]).writeto(path)
    raw = read(path, flux="sci", error="errs", name="object", vrad="vhelio")
    np.testing.assert_allclose(raw.arms[0].ivar, 100.0, rtol=1e-5)
    assert raw.identifiers() == ["HD 1"] and raw.vrad == [-12.5] and not raw.warn.any()
    with pytest.raises(BadFileError, match=r"no column, array or metadata 'sigma'.*'errs'"):
        read(path, error="sigma")


def test_scaled_and_blank_pixels_are_those_of_astropy(tmp_path: Path) -> None:
    hdu = fits.PrimaryHDU(np.round(FLUX * 1000).astype("i2"))
    hdu.header.update(LINEAR | {"BSCALE": 0.001, "BZERO": 0.5, "BLANK": 1234})
    hdu.data[7] = 1234
    hdu.writeto(tmp_path / "a.fits")
    data = fits.getdata(tmp_path / "a.fits")
    arm = read(tmp_path / "a.fits").arms[0]
    good = np.isfinite(data)
    np.testing.assert_allclose(arm.flux[0, good], data[good], rtol=1e-6)
    np.testing.assert_array_equal(arm.ivar[0] > 0, good)


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        ({"CRVAL1": 4000.0}, "CD1_1 or CDELT1 is None"),
        ({"CRVAL1": "x", "CDELT1": 0.9}, "CRVAL1 is 'x'"),
        ({"CRVAL1": 4000.0, "CDELT1": 0.0}, "the step CD1_1 or CDELT1 is 0"),
        ({"CRVAL1": 4000.0, "CDELT1": -0.9}, "does not rise"),
        ({"CRVAL1": 3.6, "CDELT1": 1e-4}, "outside 1000-30000 Å.*wave_unit"),
        (LINEAR | {"CTYPE1": "FREQ"}, "CTYPE1 = 'FREQ'"),
        (LINEAR | {"CTYPE1": "WAVE-TAB"}, "CTYPE1 = 'WAVE-TAB'"),
        (LINEAR | {"CTYPE1": "MULTISPE"}, "CTYPE1 = 'MULTISPE'"),
        (LINEAR | {"CUNIT1": "Hz"}, "the unit 'Hz' is no length"),
    ],
)
def test_axis_that_is_no_wavelength_is_named(
    cards: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(BadFileError, match=rf"star.fits.*{message}") as error:
        read(write(tmp_path / "star.fits", **cards))
    assert "\n" not in str(error.value)


def test_several_rows_are_not_guessed_to_be_stars(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", np.ones((3, PIXELS), "f4"), **LINEAR)
    with pytest.raises(BadFileError):
        read(path)
    with pytest.raises(ValueError, match="of none of the surveys"):
        recognise(path)


@pytest.mark.parametrize("kind", ["fits", "ecsv"])
@pytest.mark.parametrize(("unit", "size"), [("nm", 10.0), ("um", 1e4), ("m", 1e10)])
def test_units_of_columns_are_used(kind: str, unit: str, size: float, tmp_path: Path) -> None:
    table = Table({"wave": WAVE / size, "flux": FLUX, "width": np.full(PIXELS, 2.5 / size)})
    table["wave"].unit = table["width"].unit = unit
    path = tmp_path / f"a.{kind}"
    table.write(path)
    arm = read(path, fwhm="width").arms[0]
    np.testing.assert_allclose(arm.wave, WAVE)
    np.testing.assert_allclose(arm.fwhm, 2.5)


def test_unit_may_be_a_setting(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", wave=LOG - 1, flux=FLUX)
    wave = read(tmp_path / "a.npz", wave_unit="log10(nm)").arms[0].wave
    np.testing.assert_allclose(wave, 10**LOG)
    with pytest.raises(ValueError, match="'kg' is no length"):
        Layout(air=False, fwhm=2.5, wave_unit="kg")


def test_files_whose_wavelengths_differ_by_rounding_are_one_batch(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.npz" for name in "abc"]
    for path, wave in zip(paths, (WAVE, WAVE.astype("f4"), WAVE * (1 + 1e-9)), strict=True):
        np.savez(path, wave=wave, flux=FLUX)
    options = {"layout": {"air": False, "fwhm": 2.5}}
    assert len(read_any(paths, **options)) == 3
    np.savez(paths[2], wave=WAVE + 0.01, flux=FLUX)
    with pytest.raises(BadFileError, match=r"c.npz has other wavelengths"):
        read_any(paths, **options)


def test_info_says_what_is_known_and_what_is_assumed(tmp_path: Path) -> None:
    figures, text = describe(str(write(tmp_path / "a.fits", **LINEAR, CTYPE1="AWAV")))
    json.dumps(figures, allow_nan=False)
    assert figures["arrays"]["wave"]["range"][0] == 4000.0
    assert "in air, in Å unless a unit is given" in text
    _, text = describe(str(write(tmp_path / "b.fits", **LINEAR, CUNIT1="nm")))
    assert "air or vacuum is not stated, in nm" in text


def test_real_library_stars_are_read_from_images(data: Path, tmp_path: Path) -> None:
    """MILES as the library distributes it: an image of one row per star, in air."""
    library = np.load(data / "miles" / "spectra.npz")
    wave, paths = library["wave_air"].astype(float), []
    for name, flux in zip(library["miles_id"][:3], library["flux"][:3], strict=True):
        paths.append(tmp_path / f"{name}.fits")
        write(
            paths[-1],
            flux[None].astype("f4"),
            CRVAL1=wave[0],
            CDELT1=0.9,
            CTYPE1="LAMBDA",
            CUNIT1="ANGSTROM",
            CRPIX1=1.0,
        )
    images = read_any(paths, layout={"air": True, "fwhm": 2.5})
    table = read_any(
        data / "miles" / "spectra.npz",
        layout={"air": True, "fwhm": 2.5, "wave": "wave_air", "name": "miles_id"},
    )
    np.testing.assert_allclose(images.arms[0].wave, table.arms[0].wave, atol=1e-3)
    np.testing.assert_array_equal(images.arms[0].flux, table.arms[0].flux[:3])
