"""Files of surveys that other programs changed: units, blank cards, vectors, padding."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from bayes_ddp.files.errors import BadFileError
from bayes_ddp.flags import WARN
from bayes_ddp.spectra.lamost import read_lamost
from bayes_ddp.spectra.raw import RawSpectra
from bayes_ddp.spectra.read import read
from bayes_ddp.spectra.sdss import read_sdss

Spec = Callable[..., Path]
LOGLAM = 1e-4 * (35_563 + np.arange(4500))
UNITS = {"nm": 1, "um": 4, "m": 10}


def edit(path: Path, change: Callable[[fits.HDUList], Any]) -> Path:
    with fits.open(path) as hdus:
        change(hdus)
        hdus.writeto(path, overwrite=True, checksum=True)
    return path


def same(one: RawSpectra, other: RawSpectra) -> None:
    for a, b in zip(one.arms, other.arms, strict=True):
        np.testing.assert_array_equal(a.wave, b.wave)
        np.testing.assert_array_equal(a.flux, b.flux)
        np.testing.assert_array_equal(a.ivar, b.ivar)
        np.testing.assert_allclose(a.fwhm, b.fwhm, rtol=1e-4)


@pytest.mark.parametrize("unit", UNITS)
def test_wavelengths_of_a_survey_may_be_in_other_units(
    unit: str, spec: Spec, lamost_file: Path
) -> None:
    """A shift by whole powers of ten stays on the logarithmic grid: nothing else would tell."""
    power = UNITS[unit]
    flux = np.linspace(1, 2, 4500, dtype="f4")
    whole = read_sdss([spec(1, flux=flux)])
    same(read_sdss([spec(2, loglam=LOGLAM - power, flux=flux)]), whole)
    plain = read_lamost([lamost_file])
    edit(lamost_file, lambda h: h[0].header.set("COEFF0", 3.5675 - power))
    same(read_lamost([lamost_file]), plain)


def test_wavelengths_of_no_unit_are_an_error(spec: Spec) -> None:
    with pytest.raises(BadFileError, match=r"-4.4437 to .* are the wavelengths of an optical"):
        read_sdss([spec(1, loglam=LOGLAM - 8)])


@pytest.mark.parametrize("value", [None, "", "null", " N/A "])
@pytest.mark.parametrize("card", ["SNRG", "SN_G", "OBSID", "FIBERID", "SPID", "RA", "PLANID"])
def test_blank_card_stops_no_run(card: str, value: str | None, lamost_file: Path) -> None:
    cards = {"LMJD": 55862, "PLANID": "B6212", "SPID": 6, "FIBERID": 3, "OBSID": 77} | {
        card: value
    }
    edit(lamost_file, lambda h: h[0].header.update(cards))
    raw = read_lamost([lamost_file])
    assert not raw.warn.any()
    assert raw.identifiers()[0].removeprefix("spec-") == "55862-B6212_sp06-003"
    assert raw.columns["OBSID"].tolist() == [-1 if card == "OBSID" else 77]
    assert np.isnan(raw.columns["SN_G"][0])


def test_card_with_other_text_is_named(lamost_file: Path) -> None:
    edit(lamost_file, lambda h: h[0].header.set("OBSID", "seven"))
    with pytest.raises(BadFileError, match=r"\['OBSID'\] are not numbers"):
        read_lamost([lamost_file])


@pytest.mark.parametrize("column", ["PLATE", "MJD", "FIBERID"])
def test_sdss_identifier_that_is_unknown_is_the_file_name(column: str, spec: Spec) -> None:
    raw = read_sdss([spec(1, **{column: np.nan})])
    assert raw.identifiers() == ["spec-3586-55181-0001"] and raw.columns[column].tolist() == [-1]
    assert not raw.warn.any()


def test_sdss_number_that_is_text_is_named(spec: Spec) -> None:
    with pytest.raises(BadFileError, match=r"HDU 2: PLATE = 'abc' is no number"):
        read_sdss([spec(1, PLATE="abc")])


def rewrite(path: Path, hdu: int, columns: dict[str, np.ndarray]) -> Path:
    """A file with one of its tables replaced by one row, or by rows, of these columns."""
    forms = {"f": "E", "i": "J"}

    def change(hdus: fits.HDUList) -> None:
        made = [
            fits.Column(n, f"{v[0].size}{forms[v.dtype.kind]}", array=v)
            for n, v in columns.items()
        ]
        hdus[hdu] = fits.BinTableHDU.from_columns(made)

    return edit(path, change)


def test_vector_columns_of_sdss_are_read_or_named(spec: Spec) -> None:
    """One row with a vector of pixels in each column is a spectrum; vectors per pixel are not."""
    path, whole = spec(1), read_sdss([spec(2)])
    table = fits.getdata(path, 1)
    names = ("flux", "loglam", "ivar", "and_mask", "wdisp")
    columns = {n: np.array(table[n], table[n].dtype.newbyteorder("=")) for n in names}
    rewrite(path, 1, {n: v[None] for n, v in columns.items()})
    assert read_sdss([path]).arms[0].flux.shape == whole.arms[0].flux.shape
    rewrite(path, 1, columns | {"flux": np.tile(columns["flux"][:, None], (1, 3))})
    with pytest.raises(BadFileError, match=r"HDU 1: its columns have the shapes .*\(4500, 3\)"):
        read_sdss([path])
    vector = {"PLATE": np.ones((1, 2), "i4"), "MJD": np.ones((1, 1), "i4")}
    rest = {n: np.zeros((1, 1), "f4") for n in ("FIBERID", "CLASS", "Z", "Z_ERR")}
    with pytest.raises(BadFileError, match="HDU 2: PLATE has 2 values"):
        read_sdss([rewrite(spec(3), 2, vector | rest)])


def test_missing_column_lists_those_that_are_there(spec: Spec) -> None:
    path = edit(spec(1), lambda h: h[1].columns.del_col("wdisp"))
    with pytest.raises(BadFileError, match=r"lack \['WDISP'\]; they have \['FLUX', 'LOGLAM'"):
        read_sdss([path])


@pytest.mark.parametrize("padding", [b"\0" * 2880, b" " * 100, b"\0" * 5, b"\x1a" * 2880, b"\n"])
def test_padding_behind_the_last_hdu_is_ignored(padding: bytes, spec: Spec) -> None:
    path, whole = spec(1), read([spec(2)])
    with path.open("ab") as stream:
        stream.write(padding)
    assert len(read([path])) == len(whole)


def test_other_bytes_behind_the_last_hdu_are_an_error(spec: Spec) -> None:
    path = spec(1)
    with path.open("ab") as stream:
        stream.write(b"\0" * 2880 + b"XTENSION")
    with pytest.raises(BadFileError, match="has no END"):
        read([path])


def test_archive_with_python_objects_is_never_unpickled(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[Any, ...]:
            return (tmp_path.joinpath("harm").touch, ())

    names = np.array([Harmful()], object)
    np.savez(tmp_path / "a.npz", wave=np.arange(4000.0, 5000.0), flux=np.ones(1000), names=names)
    with pytest.raises(BadFileError, match=r"\['names'\] contain Python objects") as error:
        read(tmp_path / "a.npz", layout={"air": False, "fwhm": 2.5})
    assert "\n" not in str(error.value) and not (tmp_path / "harm").exists()


def test_bit_of_a_spectrum_outside_the_grid(spec: Spec) -> None:
    """Optical wavelengths, but none of the survey's."""
    raw = read_sdss([spec(1, first=30_900)])
    assert raw.warn.tolist() == [WARN.NODATA]
