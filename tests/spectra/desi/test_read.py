"""The DESI reader on real coadds and on simulated ones with faults put in."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from bayes_ddp.files.errors import BadFileError
from bayes_ddp.flags import WARN
from bayes_ddp.spectra.desi.read import DESI_WAVE, read_desi

FOLDER = "desi_format"


def test_both_real_targets_are_galaxies_and_still_have_a_row(data: Path) -> None:
    folder = data / FOLDER
    raw = read_desi(sorted(folder.glob("coadd-*")), redshifts=sorted(folder.glob("redrock-*")))
    assert raw.columns["TARGETID"].tolist() == [39633345008634465, 39089837499744649]
    assert raw.columns["SPECTYPE"].tolist() == ["GALAXY", "GALAXY"]
    assert np.all(raw.warn & WARN.NOT_STAR)
    assert raw.columns["HEALPIX"].tolist() == [-1, 27247]
    assert raw.columns["TILEID"].tolist() == [80613, -1]
    assert raw.columns["SURVEY"].tolist() == ["", "special"]
    assert raw.identifiers() == [
        "39633345008634465|||-1|tile80613|cumulative20210324",
        "39089837499744649|special|dark|27247",
    ]
    assert raw.columns["ZWARN"].tolist() == [0, 0] and raw.columns["SUBTYPE"].tolist() == ["", ""]


def test_arrays_of_a_real_coadd_are_those_astropy_reads(data: Path) -> None:
    path = data / FOLDER / "coadd-special-dark-27247.fits"
    raw = read_desi([path], matrices=True)
    assert raw.warn.tolist() == [WARN.NO_CATALOG_ROW]
    with fits.open(path) as hdus:
        for arm in raw.arms:
            np.testing.assert_array_equal(arm.flux, hdus[f"{arm.name}_FLUX"].data)
            good = hdus[f"{arm.name}_MASK"].data == 0
            np.testing.assert_array_equal(arm.ivar, hdus[f"{arm.name}_IVAR"].data * good)
            np.testing.assert_allclose(arm.wave, hdus[f"{arm.name}_WAVELENGTH"].data, atol=1e-6)
            np.testing.assert_array_equal(arm.resolution, hdus[f"{arm.name}_RESOLUTION"].data)
            assert all(a.dtype.isnative for a in (arm.flux, arm.ivar, arm.fwhm, arm.resolution))


def test_damaged_real_coadd_is_an_error(data: Path, tmp_path: Path) -> None:
    """40 copies with one byte changed, 10 cut short."""
    whole = (data / FOLDER / "coadd-4-80613-thru20210324.fits").read_bytes()
    rng, path = np.random.default_rng(1), tmp_path / "coadd-damaged.fits"
    for place in rng.integers(0, len(whole), 40):
        changed = bytearray(whole)
        changed[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        with pytest.raises(BadFileError, match="coadd-damaged"):
            read_desi([path])
    for length in rng.integers(0, len(whole), 10):
        path.write_bytes(whole[:length])
        with pytest.raises(BadFileError, match="coadd-damaged"):
            read_desi([path])


def test_redrock_file_in_place_of_a_coadd_is_explained(data: Path) -> None:
    with pytest.raises(BadFileError, match=r"Give a coadd-\*.fits"):
        read_desi([data / FOLDER / "redrock-special-dark-27247.fits"])


def test_values_under_the_mask_do_not_matter(
    edited: Callable, coadd_files: tuple[Path, Path]
) -> None:
    def poison(hdus: fits.HDUList) -> None:
        for arm in DESI_WAVE:
            bad = hdus[f"{arm}_MASK"].data != 0
            hdus[f"{arm}_FLUX"].data[bad] = np.nan
            hdus[f"{arm}_IVAR"].data[bad] = np.inf

    clean, poisoned = read_desi([coadd_files[0]], coadd_files[1]), read_desi([edited(poison)])
    for one, other in zip(clean.arms, poisoned.arms, strict=True):
        np.testing.assert_array_equal(one.ivar, other.ivar)
        good = one.ivar > 0
        np.testing.assert_array_equal(one.flux[good], other.flux[good])
    assert not np.any(poisoned.warn & WARN.NONFINITE_INPUT)


def test_pixels_that_are_not_finite_are_masked_and_reported(edited: Callable) -> None:
    def poison(hdus: fits.HDUList) -> None:
        hdus["B_FLUX"].data[1, 700] = np.nan
        hdus["Z_IVAR"].data[2, 900] = -1
        hdus["B_MASK"].data[1, 700] = hdus["Z_MASK"].data[2, 900] = 0

    raw = read_desi([edited(poison)])
    assert ((raw.warn & WARN.NONFINITE_INPUT) != 0).tolist() == [False, True, True] + 5 * [False]
    assert raw.arms[0].ivar[1, 700] == raw.arms[0].flux[1, 700] == raw.arms[2].ivar[2, 900] == 0
    assert all(np.isfinite(arm.flux).all() and (arm.ivar >= 0).all() for arm in raw.arms)


def test_missing_arm_is_filled_with_masked_pixels(edited: Callable) -> None:
    def cut(hdus: fits.HDUList) -> None:
        for kind in ("WAVELENGTH", "FLUX", "IVAR", "MASK", "RESOLUTION"):
            del hdus[f"Z_{kind}"]

    raw = read_desi([edited(cut)])
    assert np.all(raw.warn & WARN.MISSING_ARM)
    assert [arm.name for arm in raw.arms] == ["B", "R", "Z"]
    assert not raw.arms[2].ivar.any()


def test_dead_fibre_has_no_data_and_bad_fibre_is_flagged(edited: Callable) -> None:
    def kill(hdus: fits.HDUList) -> None:
        hdus["FIBERMAP"].data["COADD_FIBERSTATUS"][3] = 8
        for arm in DESI_WAVE:
            hdus[f"{arm}_IVAR"].data[3] = 0

    warn = read_desi([edited(kill)]).warn
    assert warn[3] & WARN.NODATA
    assert warn[3] & WARN.BADFIBER
    assert not np.any(warn[:3] & (WARN.NODATA | WARN.BADFIBER))


@pytest.mark.parametrize("hdu", ["FIBERMAP", "R_RESOLUTION", "B_IVAR"])
def test_missing_hdu_is_an_error_that_names_it(edited: Callable, hdu: str) -> None:
    path = edited(lambda hdus: hdus.__delitem__(hdu))
    with pytest.raises(BadFileError, match=f"(?s){path.name}.*{hdu}"):
        read_desi([path])


def test_other_wavelengths_are_an_error(edited: Callable) -> None:
    def stretch(hdus: fits.HDUList) -> None:
        hdus["B_WAVELENGTH"].data[:] *= 1.001

    with pytest.raises(BadFileError, match="B_WAVELENGTH"):
        read_desi([edited(stretch)])


def test_velocities_are_joined_by_target_and_group(
    edited: Callable, coadd_files: tuple[Path, Path]
) -> None:
    def change(hdus: fits.HDUList) -> None:
        rows = hdus["RVTAB"].data
        rows["HEALPIX"][0] = 5  # the same target in another coadd
        rows["VRAD"][1] = np.nan
        rows["VRAD"][2] = 1e6
        rows["SUCCESS"][3] = False
        rows["RR_SPECTYPE"][4] = "QSO"
        rows["VRAD_ERR"][5] = 0.3
        hdus["RVTAB"].data = rows[::-1].copy()  # order is no matter

    raw = read_desi([coadd_files[0]], edited(change, 1))
    wanted = [WARN.NO_CATALOG_ROW, WARN.BAD_RV, WARN.BAD_RV, WARN.BAD_RV, WARN.NOT_STAR, 0, 0, 0]
    assert raw.warn.tolist() == wanted
    assert np.isnan(raw.vrad).tolist() == [True] * 4 + [False] * 4
    assert raw.vrad_err[5] == 1.0


def test_redrock_stands_in_where_the_catalogue_has_no_row(
    coadd_files: tuple[Path, Path], edited: Callable, tmp_path: Path
) -> None:
    with fits.open(coadd_files[0]) as hdus:
        targets = hdus["FIBERMAP"].data["TARGETID"]
        columns = [
            fits.Column("TARGETID", "K", array=targets),
            fits.Column("Z", "D", array=np.full(8, 2e-4)),
            fits.Column("SPECTYPE", "6A", array=np.array(["STAR"] * 7 + ["GALAXY"])),
        ]
        table = fits.BinTableHDU.from_columns(columns, name="REDSHIFTS")
        fits.HDUList([fits.PrimaryHDU(header=hdus[0].header), table]).writeto(
            tmp_path / "redrock.fits", checksum=True
        )

    def shorten(hdus: fits.HDUList) -> None:
        hdus["RVTAB"].data = hdus["RVTAB"].data[:4]

    raw = read_desi([coadd_files[0]], edited(shorten, 1), [tmp_path / "redrock.fits"])
    np.testing.assert_allclose(raw.vrad[4:], 59.9525, atol=0.01)  # c z / (1 + z / 2), nearly
    assert (raw.vrad_err[:4] < 10).all()
    assert (raw.vrad_err[4:] == 30).all()
    assert ((raw.warn & WARN.NOT_STAR) != 0).tolist() == [False] * 7 + [True]


def test_several_files_give_their_rows_in_order(
    coadd_files: tuple[Path, Path], data: Path
) -> None:
    real = data / FOLDER / "coadd-special-dark-27247.fits"
    raw = read_desi([real, coadd_files[0]], coadd_files[1])
    assert len(raw) == 9
    assert raw.columns["SRCFILE"].tolist() == [real.name] + 8 * [coadd_files[0].name]
    assert raw.warn.tolist() == [WARN.NO_CATALOG_ROW] + 8 * [0]
    assert raw.identifiers()[0] == "39089837499744649|special|dark|27247"
    assert read_desi([coadd_files[0]]).arms[0].resolution is None
