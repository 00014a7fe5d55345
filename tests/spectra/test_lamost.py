"""The LAMOST reader on real DR1 spectra, and on the same ones in the layout of later releases."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from bayes_ddp.files.errors import BadFileError
from bayes_ddp.flags import WARN
from bayes_ddp.spectra.lamost import read_lamost
from bayes_ddp.spectra.masks import LIGHT_SPEED, doppler_factor
from bayes_ddp.spectra.raw import RawSpectra

FOLDER = "lamost_dr1"
H_BETA = 4862.69


@pytest.fixture(scope="module")
def files(data: Path) -> list[Path]:
    """All real spectra."""
    return sorted((data / FOLDER).glob("spec-*.fits"))


@pytest.fixture(scope="module")
def raw(data: Path, files: list[Path]) -> RawSpectra:
    """All real spectra, read."""
    return read_lamost(files, data / FOLDER / "labels.csv")


def test_every_real_file_is_read(raw: RawSpectra, files: list[Path]) -> None:
    assert len(raw) == len(files) == 176
    assert not raw.warn.any()
    assert (raw.columns["OBSID"] > 0).sum() == 131
    assert len(set(raw.identifiers())) == 176
    assert raw.columns["SRCFILE"][0] == f"spec-{raw.columns['SPECID'][0]}.fits"
    for arm in raw.arms:
        assert np.isfinite(arm.flux).all()
        assert (arm.ivar >= 0).all()
        assert arm.flux.dtype.isnative


def test_pixels_stand_where_the_header_says(raw: RawSpectra, files: list[Path]) -> None:
    """Every wavelength of a file, its flux and its ivar, found again in one of the arms."""
    with fits.open(files[3]) as hdus:
        image, header = hdus[0].data, hdus[0].header
    wave = 10 ** (header["COEFF0"] + header["COEFF1"] * np.arange(image.shape[1]))
    mine = np.concatenate([arm.wave for arm in raw.arms])
    at = np.argmin(np.abs(mine[:, None] - wave), axis=0)
    np.testing.assert_allclose(mine[at], wave, rtol=1e-8)
    np.testing.assert_array_equal(np.concatenate([a.flux[3] for a in raw.arms])[at], image[0])
    np.testing.assert_array_equal(np.concatenate([a.ivar[3] for a in raw.arms])[at], image[1])


def test_h_beta_is_where_the_redshift_puts_it(raw: RawSpectra) -> None:
    """Vacuum wavelengths, heliocentric: in air the line would be 1.35 Å = 84 km/s bluer.

    Bottom of a parabola through the core, for the 30 best F stars. Measured: median -7 km/s,
    scatter 9; blends and the zero point of the survey are allowed 15.
    """
    warm = np.char.startswith(raw.columns["SUBCLASS"], "F")
    best = np.flatnonzero(warm)[np.argsort(-raw.columns["SN_G"][warm])[:30]]
    blue, shift = raw.arms[0], []
    for star in best:
        wave = blue.wave / doppler_factor(raw.vrad[star]) - H_BETA
        core = np.abs(wave) < 5
        curve, slope, _ = np.polyfit(wave[core], blue.flux[star, core], 2)
        shift.append(-slope / (2 * curve) / H_BETA * LIGHT_SPEED)
    assert abs(np.median(shift)) < 15
    assert 1.4826 * np.median(np.abs(shift - np.median(shift))) < 15


def test_velocity_error_has_a_floor(raw: RawSpectra) -> None:
    assert raw.vrad_err.min() >= 5
    assert np.median(raw.vrad_err) < 30


def _copy(source: Path, path: Path, **cards: object) -> Path:
    with fits.open(source) as hdus:
        for key, value in cards.items():
            hdus[0].header[key] = value
        hdus.writeto(path, checksum=True)
    return path


def test_file_that_starts_elsewhere_is_shifted_on_the_grid(
    files: list[Path], raw: RawSpectra, tmp_path: Path
) -> None:
    path = _copy(files[0], tmp_path / "spec-a.fits", COEFF0=3.5692)
    moved = read_lamost([path]).arms[0]
    np.testing.assert_array_equal(moved.flux[0, 10:], raw.arms[0].flux[0, :-10])


@pytest.mark.parametrize("cards", [{"COEFF0": 3.56823}, {"COEFF1": 2e-4}])
def test_other_grids_are_an_error(files: list[Path], tmp_path: Path, cards: dict) -> None:
    with pytest.raises(BadFileError, match="off the survey's grid"):
        read_lamost([_copy(files[0], tmp_path / "spec-a.fits", **cards)])


def test_galaxies_and_unknown_redshifts_are_flagged(files: list[Path], tmp_path: Path) -> None:
    galaxy = _copy(files[0], tmp_path / "spec-a.fits", CLASS="GALAXY", OBSID=77)
    lost = _copy(files[1], tmp_path / "spec-b.fits", Z=-9999.0)
    raw = read_lamost([galaxy, lost])
    assert raw.warn.tolist() == [WARN.NOT_STAR, WARN.BAD_RV]
    assert np.isnan(raw.vrad[1])
    assert raw.columns["OBSID"].tolist() == [77, -1]


def test_spectrum_given_twice_has_two_names_and_says_so(files: list[Path]) -> None:
    raw = read_lamost([files[0], files[1], files[0]])
    names = raw.identifiers()
    assert names[2] == f"{names[0]}#2" and len(set(names)) == 3
    assert raw.warn.tolist() == [WARN.DOUBLED_ROW, 0, WARN.DOUBLED_ROW]


def test_packed_file_is_the_same_star(files: list[Path], raw: RawSpectra, tmp_path: Path) -> None:
    packed = tmp_path / f"{files[0].name}.gz"
    packed.write_bytes(gzip.compress(files[0].read_bytes()))
    known = tmp_path / "labels.csv"
    known.write_text(f"filename,obsid\n{files[0].name},77\n")
    star = read_lamost([packed], known)
    assert star.identifiers() == raw.identifiers()[:1] and star.columns["OBSID"].tolist() == [77]
    np.testing.assert_array_equal(star.arms[0].flux[0], raw.arms[0].flux[0])


def test_catalogue_that_is_no_csv_is_named(files: list[Path]) -> None:
    with pytest.raises(BadFileError, match=r"spec-.*has no table.*catalogue or CSV"):
        read_lamost(files[:1], files[0])


def test_pixels_bad_in_every_exposure_are_masked(files: list[Path], tmp_path: Path) -> None:
    """Those of the and-mask (row 3); the or-mask alone (row 4) takes nothing away."""
    path = tmp_path / "spec-a.fits"
    with fits.open(files[0]) as hdus:
        hdus[0].data[3, 1000:1010] = 4
        hdus[0].data[4, 1000:1030] = 4
        hdus.writeto(path)
    whole, cut = read_lamost([files[0]]).arms[0], read_lamost([path]).arms[0]
    lost = np.flatnonzero((whole.ivar != cut.ivar)[0])
    assert lost.tolist() == list(range(1012, 1022))
    assert not cut.ivar[0, lost].any()


def test_both_masks_of_real_files_lie_where_ivar_is_zero(files: list[Path]) -> None:
    for path in files:
        _, ivar, _, everywhere, anywhere = fits.getdata(path, 0)
        assert not ivar[(everywhere != 0) | (anywhere != 0)].any()


def _later(source: Path, path: Path, names: str = "upper", gaia: str = "") -> Path:
    """The spectrum of a DR1 file in the layout of release 8: a table of one row in COADD."""
    with fits.open(source) as hdus:
        header, image = hdus[0].header.copy(), hdus[0].data
    wave = 10 ** (header["COEFF0"] + header["COEFF1"] * np.arange(image.shape[1]))
    columns = {
        "FLUX": image[0],
        "IVAR": image[1],
        "WAVELENGTH": wave.astype("f4"),
        "ANDMASK": image[3],
        "ORMASK": image[4],
        "NORMALIZATION": image[2],
    }
    for key in ("COEFF0", "COEFF1", "NAXIS1", "NAXIS2"):
        header.remove(key)
    for band in "UGRIZ":
        header.rename_keyword(f"SN_{band}", f"SNR{band}")
    header["OBSID"] = 101005
    header["HIERARCH GAIA_SOURCE_ID"] = gaia
    form = f"{wave.size}E"
    table = fits.BinTableHDU.from_columns(
        [fits.Column(getattr(str, names)(n), form, array=v[None]) for n, v in columns.items()],
        name="COADD",
    )
    fits.HDUList([fits.PrimaryHDU(header=header), table]).writeto(path, checksum=True)
    return path


@pytest.mark.parametrize("names", ["upper", "lower"])
def test_later_layout_gives_the_same_spectrum(
    files: list[Path], raw: RawSpectra, tmp_path: Path, names: str
) -> None:
    moved = read_lamost([_later(files[7], tmp_path / "spec-a.fits", names, gaia="42")])
    old = raw.take(np.array([7]))
    for new, arm in zip(moved.arms, old.arms, strict=True):
        for name in ("wave", "flux", "ivar", "fwhm"):
            np.testing.assert_array_equal(getattr(new, name), getattr(arm, name))
    assert moved.vrad == old.vrad and moved.vrad_err == old.vrad_err
    assert moved.identifiers() == old.identifiers()
    assert moved.columns["OBSID"] == 101005 and moved.columns["GAIA_SOURCE_ID"] == 42
    assert moved.columns["SN_G"] == old.columns["SN_G"]


def test_later_layout_off_the_grid_or_without_columns_is_an_error(
    files: list[Path], tmp_path: Path
) -> None:
    path = _later(files[0], tmp_path / "spec-a.fits")
    with fits.open(path) as hdus:
        hdus["COADD"].data["WAVELENGTH"][0, 12] *= 1.0001
        hdus.writeto(tmp_path / "spec-b.fits", checksum=True)
        hdus["COADD"].columns["ANDMASK"].name = "MASK"
        hdus.writeto(tmp_path / "spec-c.fits", checksum=True)
    with pytest.raises(BadFileError, match=r"spec-b.fits: pixel 12 .* off the survey's grid"):
        read_lamost([tmp_path / "spec-b.fits"])
    with pytest.raises(BadFileError, match=r"COADD: \['ANDMASK'\]"):
        read_lamost([tmp_path / "spec-c.fits"])


def test_damaged_or_foreign_files_are_errors(
    data: Path, files: list[Path], tmp_path: Path
) -> None:
    damaged = _copy(files[0], tmp_path / "spec-a.fits")
    whole = bytearray(damaged.read_bytes())
    whole[len(whole) // 2] ^= 16
    damaged.write_bytes(whole)
    with pytest.raises(BadFileError, match="checksum"):
        read_lamost([damaged])
    with pytest.raises(BadFileError, match="no LAMOST image"):
        read_lamost([data / "desi_format" / "coadd-special-dark-27247.fits"])
    with pytest.raises(BadFileError, match=r"no column 'filename'.*read: filename, obsid"):
        table = tmp_path / "a.csv"
        table.write_text("name,id\n")
        read_lamost(files[:1], table)
    with pytest.raises(BadFileError, match="leave the redshift files out"):
        read_lamost(files[:1], None, files[:1])
