"""Velocities and columns from the catalogue of the Milky Way Survey and from redrock files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from bayes_ddp.files.errors import BadFileError
from bayes_ddp.flags import WARN
from bayes_ddp.spectra.desi.read import read_desi
from bayes_ddp.spectra.desi.writer import HEALPIX, PROGRAM, SURVEY
from bayes_ddp.spectra.expose import Coadd

SOURCE = 2**60 + 1  # has bits that a float64 would lose


def mwsall(targets: np.ndarray) -> dict[str, np.ndarray]:
    """Extension name -> rows, as in mwsall-pix-*.fits: our coadd, then another of each target."""
    count = len(targets)
    target = np.repeat(targets, 2)
    ours = np.tile([True, False], count)
    rv = np.zeros(
        2 * count,
        [
            ("VRAD", "f8"),
            ("VRAD_ERR", "f8"),
            ("RVS_WARN", "i8"),
            ("TARGETID", "i8"),
            ("SN_B", "f4"),
            ("SN_R", "f4"),
            ("SN_Z", "f4"),
            ("SUCCESS", bool),
            ("HEALPIX", "i8"),
            ("RR_SPECTYPE", "S6"),
            ("SURVEY", "S7"),
            ("PROGRAM", "S6"),
            ("PRIMARY", bool),
        ],
    )
    rv["TARGETID"], rv["HEALPIX"], rv["SURVEY"], rv["PROGRAM"] = target, HEALPIX, SURVEY, PROGRAM
    rv["PROGRAM"][~ours] = "dark"
    rv["VRAD"] = np.where(ours, np.arange(2 * count), 500.0)
    rv["VRAD_ERR"], rv["SUCCESS"], rv["RR_SPECTYPE"] = 2.0, True, "STAR"
    rv["SN_R"], rv["PRIMARY"] = np.where(ours, 40, 10), ~ours
    fibermap = np.zeros(
        2 * count,
        [
            ("TARGETID", "i8"),
            ("REF_EPOCH", "f4"),
            ("MWS_TARGET", "i8"),
            ("SV1_MWS_TARGET", "i8"),
            ("FLUX_G", "f4"),
            ("PMRA", "f4"),
            ("PMDEC", "f4"),
            ("PARALLAX", "f4"),
            ("REF_ID", "i8"),
            ("REF_CAT", "S2"),
        ],
    )
    fibermap["TARGETID"], fibermap["REF_EPOCH"], fibermap["SV1_MWS_TARGET"] = target, 2015.5, 2**61
    gaia = np.zeros(2 * count, [("SOURCE_ID", "i8"), ("PARALLAX", "f8"), ("PARALLAX_ERROR", "f4")])
    gaia["SOURCE_ID"], gaia["PARALLAX"] = SOURCE + np.arange(2 * count), 1.5
    gaia["SOURCE_ID"][0] = 999999  # what a table without a match holds
    plain = np.zeros(2 * count, [("TARGETID", "i8")])
    plain["TARGETID"] = target
    return {"RVTAB": rv, "SPTAB": plain, "FIBERMAP": fibermap, "SCORES": plain, "GAIA": gaia}


def written(path: Path, tables: dict[str, np.ndarray], header: fits.Header | None = None) -> Path:
    hdus = [fits.PrimaryHDU(header=header)]
    hdus += [fits.BinTableHDU(rows, name=name) for name, rows in tables.items()]
    fits.HDUList(hdus).writeto(path, checksum=True)
    return path


def test_columns_of_the_survey_s_catalogue_are_those_of_the_right_row(
    coadd: Coadd, coadd_files: tuple[Path, Path], tmp_path: Path
) -> None:
    raw = read_desi([coadd_files[0]], written(tmp_path / "mws.fits", mwsall(coadd.targetid)))
    assert not raw.warn.any()  # other coadds of a target are no doubled rows
    own = 2 * np.arange(8)
    np.testing.assert_array_equal(raw.vrad, own)
    columns = raw.columns
    assert columns["SOURCE_ID"].tolist() == [-1, *(SOURCE + own[1:])]
    assert columns["REF_CAT"].tolist() == ["", *7 * ["G3"]]
    assert columns["SV1_MWS_TARGET"].tolist() == 8 * [2**61]
    assert columns["MWS_TARGET"].tolist() == 8 * [1]  # the spectrum's own FIBERMAP has it
    assert not columns["PRIMARY"].any() and columns["PRIMARY"].dtype == bool
    assert columns["RVS_WARN"].tolist() == 8 * [0]
    assert columns["SN_R"].tolist() == 8 * [40]
    assert columns["REF_EPOCH"].tolist() == 8 * [2015.5]
    assert np.isnan(columns["PARALLAX"][0]) and columns["PARALLAX"][1:].tolist() == 7 * [1.5]
    assert np.isnan(columns["FLUX_G"]).all()  # a flux of exactly 0 is none
    assert all(values.dtype.isnative for values in columns.values())


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("SPTAB", lambda rows: rows[:-1], "HDU SPTAB has 15 rows, but RVTAB has 16"),
        ("GAIA", lambda rows: rows[:-1], "HDU GAIA has 15 rows"),
        ("FIBERMAP", lambda rows: np.roll(rows, 1), "HDU FIBERMAP: row 0 is TARGETID"),
    ],
)
def test_extension_of_other_rows_is_an_error(
    coadd: Coadd, coadd_files: tuple[Path, Path], tmp_path: Path, name, change, message
) -> None:
    tables = mwsall(coadd.targetid)
    tables[name] = change(tables[name])
    with pytest.raises(BadFileError, match=message):
        read_desi([coadd_files[0]], written(tmp_path / "mws.fits", tables))


def test_first_of_doubled_rows_counts_and_is_flagged(
    coadd: Coadd, coadd_files: tuple[Path, Path], tmp_path: Path
) -> None:
    tables = {"RVTAB": mwsall(coadd.targetid)["RVTAB"]}
    again = tables["RVTAB"][2:3].copy()  # our coadd of the second target
    again["VRAD"] = -77.0
    tables["RVTAB"] = np.concatenate([tables["RVTAB"], again])
    raw = read_desi([coadd_files[0]], written(tmp_path / "mws.fits", tables))
    assert raw.vrad[1] == 2.0
    assert raw.warn.tolist() == [0, WARN.DOUBLED_ROW, 0, 0, 0, 0, 0, 0]


def test_coadd_of_a_tile_takes_the_primary_row_but_not_its_signal_to_noise(
    coadd: Coadd, edited: Callable, tmp_path: Path
) -> None:
    def make_tile(hdus: fits.HDUList) -> None:
        for card in ("SPGRP", "SPGRPVAL", "HPXPIXEL", "PROGRAM"):
            del hdus[0].header[card]
        hdus[0].header["TILEID"] = 80613

    raw = read_desi([edited(make_tile)], written(tmp_path / "mws.fits", mwsall(coadd.targetid)))
    assert raw.vrad.tolist() == 8 * [500.0] and raw.columns["PRIMARY"].all()
    assert np.isnan(raw.columns["SN_R"]).all()
    assert not raw.warn.any()


def test_catalogue_without_group_columns_is_joined_by_what_it_has(
    coadd: Coadd, coadd_files: tuple[Path, Path], tmp_path: Path
) -> None:
    rows = mwsall(coadd.targetid)["RVTAB"][::2][["TARGETID", "VRAD", "VRAD_ERR"]]
    path = written(tmp_path / "rvtab.fits", {"RVTAB": np.array(rows.tolist(), rows.dtype)})
    raw = read_desi([coadd_files[0]], path)
    np.testing.assert_array_equal(raw.vrad, 2 * np.arange(8))
    assert not raw.warn.any() and "PRIMARY" not in raw.columns


def test_empty_or_foreign_catalogue_has_no_row_for_any_star(
    coadd: Coadd, coadd_files: tuple[Path, Path], tmp_path: Path
) -> None:
    empty = {name: rows[:0] for name, rows in mwsall(coadd.targetid).items()}
    foreign = mwsall(coadd.targetid + 1000)
    for name, tables in (("empty", empty), ("foreign", foreign)):
        raw = read_desi([coadd_files[0]], written(tmp_path / f"{name}.fits", tables))
        assert raw.warn.tolist() == 8 * [WARN.NO_CATALOG_ROW]
        assert np.isnan(raw.vrad).all()


def test_table_without_velocities_is_named(
    coadd_files: tuple[Path, Path], edited: Callable
) -> None:
    path = edited(lambda hdus: hdus["RVTAB"].columns.del_col("VRAD"), 1)
    with pytest.raises(BadFileError, match=r"RVTAB has no column \['VRAD'\]"):
        read_desi([coadd_files[0]], path)
    with pytest.raises(BadFileError, match="REDSHIFTS"):
        read_desi([coadd_files[0]], redshifts=[coadd_files[1]])


def test_gaia_identifier_comes_from_the_targeting_catalogue_where_it_is_gaia(
    edited: Callable,
) -> None:
    def name_sources(hdus: fits.HDUList) -> None:
        number = np.array([SOURCE, SOURCE, SOURCE, 999999, 0, SOURCE, SOURCE, SOURCE])
        kind = np.array(["G2", "T2", "", "G2", "", "G3", "GE", "L3"])
        motion = np.array([1.0, 2.0, 0.0, 0.0, 0.0, 3.0, 0.0, 0.0])
        new = [
            fits.Column("REF_ID", "K", array=number),
            fits.Column("REF_CAT", "2A", array=kind),
            fits.Column("PMRA", "E", array=motion),
            fits.Column("PMDEC", "E", array=0 * motion),
        ]
        old = hdus["FIBERMAP"]
        hdus["FIBERMAP"] = fits.BinTableHDU.from_columns(
            old.columns + fits.ColDefs(new), name="FIBERMAP"
        )

    columns = read_desi([edited(name_sources)]).columns
    assert columns["SOURCE_ID"].tolist() == [SOURCE, -1, -1, -1, -1, SOURCE, SOURCE, -1]
    assert np.isnan(columns["PMDEC"]).tolist() == [False, False, *3 * [True], False, True, True]


def test_velocity_that_is_doubtful_or_without_error_is_fitted_freely(
    coadd: Coadd, coadd_files: tuple[Path, Path], tmp_path: Path
) -> None:
    tables = {"RVTAB": mwsall(coadd.targetid)["RVTAB"]}
    own = 2 * np.arange(8)
    tables["RVTAB"]["VRAD_ERR"][own] = [0.2, 3.0, -1.0, 0.0, np.nan, 1e9, 3.0, -9999.0]
    tables["RVTAB"]["RVS_WARN"][own[6]] = 4
    raw = read_desi([coadd_files[0]], written(tmp_path / "mws.fits", tables))
    np.testing.assert_array_equal(raw.vrad, own)
    assert raw.vrad_err.tolist() == [1.0, 3.0, *6 * [30.0]]
    assert raw.warn.tolist() == [0, 0, *6 * [int(WARN.RV_WARN)]]


def test_redrock_file_that_does_not_say_its_group_is_joined_by_target(
    coadd: Coadd, coadd_files: tuple[Path, Path], tmp_path: Path
) -> None:
    rows = np.zeros(8, [("TARGETID", "i8"), ("Z", "f8"), ("SPECTYPE", "S6")])
    rows["TARGETID"], rows["SPECTYPE"] = coadd.targetid, "STAR"
    path = written(tmp_path / "redrock.fits", {"REDSHIFTS": rows})
    raw = read_desi([coadd_files[0]], redshifts=[path])
    assert not raw.warn.any() and np.isfinite(raw.vrad).all()


def test_redrock_tells_subtype_and_whether_it_doubts(
    coadd: Coadd, coadd_files: tuple[Path, Path], tmp_path: Path
) -> None:
    rows = np.zeros(
        7,
        [("TARGETID", "i8"), ("Z", "f8"), ("SPECTYPE", "S6"), ("SUBTYPE", "S20"), ("ZWARN", "i8")],
    )
    rows["TARGETID"], rows["SPECTYPE"], rows["SUBTYPE"] = coadd.targetid[:7], "STAR", "WD"
    rows["ZWARN"], rows["Z"][2] = 4, np.nan
    with fits.open(coadd_files[0]) as hdus:
        path = written(tmp_path / "redrock.fits", {"REDSHIFTS": rows}, hdus[0].header)
    raw = read_desi([coadd_files[0]], redshifts=[path])
    assert raw.columns["SUBTYPE"].tolist() == [*7 * ["WD"], ""]
    assert raw.columns["ZWARN"].tolist() == [*7 * [4], -1]
    doubt = int(WARN.RV_WARN)
    assert raw.warn.tolist() == [*2 * [doubt], WARN.BAD_RV, *4 * [doubt], WARN.NO_CATALOG_ROW]
    np.testing.assert_array_equal(raw.vrad[[0, 1]], 0.0)
