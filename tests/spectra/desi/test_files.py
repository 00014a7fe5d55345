"""Kinds of DESI spectra: single exposures, tiles, arms that are missing, spectra given twice."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from bayes_ddp.files.errors import BadFileError
from bayes_ddp.flags import WARN
from bayes_ddp.spectra.desi.read import DESI_WAVE, read_desi
from bayes_ddp.spectra.expose import Coadd


def split_into_exposures(hdus: fits.HDUList) -> None:
    """Two exposures of each of four targets, masks compressed as in spectra-*.fits."""
    old = hdus["FIBERMAP"].data
    columns = [
        fits.Column("TARGETID", "K", array=np.repeat(old["TARGETID"][:4], 2)),
        fits.Column("FIBERSTATUS", "J", array=[0, 0, 0, 8, 0, 0, 0, 0]),
        fits.Column("FIBER", "J", array=np.arange(8) // 2 + 2000),
        fits.Column("NIGHT", "J", array=np.tile([20210101, 20210102], 4)),
        fits.Column("EXPID", "J", array=np.tile([68657, 68700], 4)),
        fits.Column("TILEID", "J", array=np.tile([80613, 80614], 4)),
        fits.Column("TARGET_RA", "D", array=old["TARGET_RA"]),
    ]
    hdus["FIBERMAP"] = fits.BinTableHDU.from_columns(columns, name="FIBERMAP")
    del hdus["EXP_FIBERMAP"]
    for arm in DESI_WAVE:
        mask = hdus[f"{arm}_MASK"].data.astype(np.uint32)
        hdus[f"{arm}_MASK"] = fits.CompImageHDU(mask, name=f"{arm}_MASK", uint=True)


def make_tile(**cards: object) -> Callable[[fits.HDUList], None]:
    def change(hdus: fits.HDUList) -> None:
        for card in ("SPGRP", "SPGRPVAL", "HPXPIXEL", "SURVEY", "PROGRAM"):
            del hdus[0].header[card]
        hdus[0].header.update(cards)
        column = fits.Column("TILEID", "J", array=np.full(8, 80613))
        old = hdus["FIBERMAP"]
        hdus["FIBERMAP"] = fits.BinTableHDU.from_columns(
            old.columns + fits.ColDefs([column]), name="FIBERMAP"
        )

    return change


def drop_arm(hdus: fits.HDUList) -> None:
    for kind in ("WAVELENGTH", "FLUX", "IVAR", "MASK", "RESOLUTION"):
        del hdus[f"R_{kind}"]


def redrock(path: Path, targets: np.ndarray, header: fits.Header, tile: int = -1) -> Path:
    """A redrock file of some targets; with a tile, its FIBERMAP tells it."""
    rows = np.zeros(len(targets), [("TARGETID", "i8"), ("Z", "f8"), ("SPECTYPE", "S6")])
    rows["TARGETID"], rows["Z"], rows["SPECTYPE"] = targets, 1e-4, "STAR"
    tiles = np.full(len(targets), tile, [("TILEID", "i4")])
    hdus = [fits.PrimaryHDU(header=header), fits.BinTableHDU(rows, name="REDSHIFTS")]
    hdus += [fits.BinTableHDU(tiles, name="FIBERMAP")] if tile >= 0 else []
    fits.HDUList(hdus).writeto(path, checksum=True)
    return path


def test_exposures_have_a_row_and_a_name_each(
    edited: Callable, coadd_files: tuple[Path, Path]
) -> None:
    whole = read_desi([coadd_files[0]], coadd_files[1])
    raw = read_desi([edited(split_into_exposures)], coadd_files[1])
    target = whole.columns["TARGETID"][0]
    assert raw.identifiers()[:2] == [
        f"{target}|sim|bright|27247|exp68657|2000",
        f"{target}|sim|bright|27247|exp68700|2000",
    ]
    assert len(set(raw.identifiers())) == 8
    assert raw.columns["TILEID"].tolist() == 4 * [80613, 80614]
    assert raw.columns["NIGHT"][1] == 20210102
    assert raw.warn.tolist() == [0, 0, 0, WARN.BADFIBER, 0, 0, 0, 0]
    np.testing.assert_array_equal(raw.vrad, np.repeat(whole.vrad[:4], 2))
    for one, other in zip(raw.arms, whole.arms, strict=True):
        np.testing.assert_array_equal(one.ivar, other.ivar)  # the compressed mask is the mask


def test_exposures_and_coadds_can_be_read_together(
    edited: Callable, coadd_files: tuple[Path, Path]
) -> None:
    alone = read_desi([coadd_files[0]], coadd_files[1])
    both = read_desi([edited(split_into_exposures), coadd_files[0]], coadd_files[1])
    assert both.identifiers()[8:] == alone.identifiers()
    assert both.columns["EXPID"].tolist() == 4 * [68657, 68700] + 8 * [-1]
    assert not np.any(both.warn & WARN.DOUBLED_ROW)


def test_exposures_have_the_velocity_of_their_coadd(
    edited: Callable, coadd_files: tuple[Path, Path], tmp_path: Path
) -> None:
    """They are on tiles, and redrock's row, which is of a healpix, is on none."""
    path = edited(split_into_exposures)
    with fits.open(path) as hdus:
        targets, header = np.unique(hdus["FIBERMAP"].data["TARGETID"]), hdus[0].header
    raw = read_desi([path], redshifts=[redrock(tmp_path / "redrock.fits", targets, header)])
    np.testing.assert_allclose(raw.vrad, 29.98, atol=0.01)


def test_exposures_do_not_have_the_signal_to_noise_of_their_coadd(edited: Callable) -> None:
    def tell(hdus: fits.HDUList) -> None:
        column = fits.Column("SN_R", "E", array=np.full(8, 33.0))
        new = hdus["RVTAB"].columns + fits.ColDefs([column])
        hdus["RVTAB"] = fits.BinTableHDU.from_columns(new, name="RVTAB")

    raw = read_desi([edited(split_into_exposures)], edited(tell, 1))
    assert np.isfinite(raw.vrad).all() and np.isnan(raw.columns["SN_R"]).all()


def test_tile_is_known_from_its_fibres_where_the_header_is_silent(
    edited: Callable, coadd: Coadd, tmp_path: Path
) -> None:
    tiles = [
        redrock(tmp_path / f"{tile}.fits", coadd.targetid[:n], fits.Header(), tile)
        for tile, n in ((80613, 5), (80614, 8))
    ]
    raw = read_desi([edited(make_tile())], redshifts=tiles)
    assert raw.columns["TILEID"].tolist() == 8 * [80613]
    assert raw.columns["HEALPIX"].tolist() == 8 * [-1]
    assert raw.warn.tolist() == 5 * [0] + 3 * [WARN.NO_CATALOG_ROW]


def test_groups_of_one_tile_are_different_spectra(edited: Callable) -> None:
    night = edited(make_tile(SPGRP="pernight", SPGRPVAL=20210324, TILEID=80613), name="night")
    through = edited(make_tile(SPGRP="cumulative", SPGRPVAL=20210324, TILEID=80613))
    raw = read_desi([night, through])
    assert raw.identifiers()[0].endswith("|||-1|tile80613|pernight20210324")
    assert len(set(raw.identifiers())) == 16
    assert not np.any(raw.warn & WARN.DOUBLED_ROW)


def test_spectrum_given_twice_keeps_both_rows_and_unique_names(
    coadd_files: tuple[Path, Path], edited: Callable
) -> None:
    def repeat(hdus: fits.HDUList) -> None:
        rows = hdus["FIBERMAP"].data
        for name in ("TARGETID", "TARGET_RA", "TARGET_DEC"):
            rows[name][5] = rows[name][2]

    raw = read_desi([coadd_files[0], edited(repeat)], coadd_files[1])
    names = raw.identifiers()
    assert len(set(names)) == 16
    assert names[:8] == read_desi([coadd_files[0]]).identifiers()
    assert names[10] == names[2] + "#2" and names[13] == names[2] + "#3"
    assert raw.take(np.array([13])).identifiers() == [names[13]]
    doubled = (raw.warn & WARN.DOUBLED_ROW) != 0
    assert doubled.tolist() == 5 * [True] + [False] + 10 * [True]
    assert raw.vrad[10] == raw.vrad[2]


def test_arm_that_one_file_lacks_does_not_cost_the_others_theirs(
    coadd_files: tuple[Path, Path], edited: Callable
) -> None:
    raw = read_desi([edited(drop_arm), coadd_files[0]], coadd_files[1])
    assert raw.warn.tolist() == 8 * [WARN.MISSING_ARM | WARN.DOUBLED_ROW] + 8 * [WARN.DOUBLED_ROW]
    assert not raw.arms[1].ivar[:8].any()
    assert raw.arms[1].ivar[8:].any(axis=1).all()
    np.testing.assert_array_equal(raw.arms[0].flux[:8], raw.arms[0].flux[8:])


def test_target_bits_that_one_file_lacks_are_zero_there(
    coadd_files: tuple[Path, Path], edited: Callable
) -> None:
    def add(hdus: fits.HDUList) -> None:
        column = fits.Column("SV3_MWS_TARGET", "K", array=np.full(8, 2**61 + 1))
        old = hdus["FIBERMAP"]
        hdus["FIBERMAP"] = fits.BinTableHDU.from_columns(
            old.columns + fits.ColDefs([column]), name="FIBERMAP"
        )

    raw = read_desi([coadd_files[0], edited(add)])
    assert raw.columns["SV3_MWS_TARGET"].tolist() == 8 * [0] + 8 * [2**61 + 1]


def test_camera_combined_copy_is_explained(edited: Callable) -> None:
    def combine(hdus: fits.HDUList) -> None:
        drop_arm(hdus)
        for kind in ("WAVELENGTH", "FLUX", "IVAR", "MASK", "RESOLUTION"):
            del hdus[f"Z_{kind}"]
            hdus[f"B_{kind}"].name = f"BRZ_{kind}"

    with pytest.raises(BadFileError, match="camera-combined"):
        read_desi([edited(combine)])


def test_fibermap_of_no_rows_is_an_error(edited: Callable) -> None:
    def empty(hdus: fits.HDUList) -> None:
        hdus["FIBERMAP"].data = hdus["FIBERMAP"].data[:0]

    with pytest.raises(BadFileError, match="B_FLUX has 8 rows, but FIBERMAP has 0"):
        read_desi([edited(empty)])
