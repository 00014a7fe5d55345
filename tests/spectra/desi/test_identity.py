"""No spectrum gets another star's velocity: identifiers keep all digits, positions agree."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from bayes_ddp import cli
from bayes_ddp.files.errors import BadFileError, InputWarning
from bayes_ddp.flags import WARN
from bayes_ddp.spectra.desi.read import read_desi
from bayes_ddp.spectra.expose import Coadd
from bayes_ddp.spectra.read import read

ARCMIN = 1 / 60


def velocities(coadd: Coadd, **columns: np.ndarray) -> Table:
    """A table of velocities 10 km/s times the row, by TARGETID alone."""
    table = Table({"TARGETID": coadd.targetid})
    table["VRAD"], table["VRAD_ERR"] = 10.0 * np.arange(8), np.full(8, 2.0)
    for name, values in columns.items():
        table[name] = values
    return table


def written(table: Table, path: Path) -> Path:
    table.meta["EXTNAME"] = "RVTAB"
    table.write(path)
    return path


def tiled(path: Path, tile: int, shift: float) -> Callable[[fits.HDUList], None]:
    """A change of a coadd: by tile, and its last star that far away in declination, deg."""

    def change(hdus: fits.HDUList) -> None:
        for card in ("SPGRP", "SPGRPVAL", "HPXPIXEL", "SURVEY", "PROGRAM"):
            del hdus[0].header[card]
        hdus[0].header["TILEID"] = tile
        hdus["FIBERMAP"].data["TARGET_DEC"][7] += shift

    return change


def test_targets_as_floating_point_stop_a_fit_with_file_and_column(
    coadd: Coadd,
    coadd_files: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    table = velocities(coadd, TARGETID=coadd.targetid.astype(float))
    path = written(table, tmp_path / "rv.fits")
    words = ["fit", "--spectra", str(coadd_files[0]), "--catalog", str(path)]
    words += ["--emulator", "desi-physics", "--output", str(tmp_path / "out"), "--quiet"]
    with pytest.raises(SystemExit) as stop:
        cli.main([*words])
    told = capsys.readouterr().err
    assert stop.value.code == 1
    assert f"{path}, HDU RVTAB: column TARGETID, row 1" in told and "floating point" in told


@pytest.mark.parametrize("form", ["D", "E"])
def test_every_table_with_identifiers_refuses_rounded_ones(
    coadd: Coadd, edited: Callable, coadd_files: tuple[Path, Path], tmp_path: Path, form: str
) -> None:
    def round_off(hdus: fits.HDUList) -> None:
        columns = hdus["FIBERMAP"].columns
        columns.del_col("TARGETID")
        new = fits.Column("TARGETID", form, array=coadd.targetid.astype(float))
        hdus["FIBERMAP"] = fits.BinTableHDU.from_columns(
            columns + fits.ColDefs([new]), name="FIBERMAP"
        )

    with pytest.raises(BadFileError, match=r"HDU FIBERMAP: column TARGETID.*floating point"):
        read_desi([edited(round_off)])
    redrock = Table({"TARGETID": coadd.targetid.astype(float), "Z": np.zeros(8)})
    redrock["SPECTYPE"], redrock.meta["EXTNAME"] = "STAR", "REDSHIFTS"
    redrock.write(tmp_path / "redrock.fits")
    with pytest.raises(BadFileError, match=r"redrock\.fits, HDU REDSHIFTS: column TARGETID"):
        read_desi([coadd_files[0]], redshifts=[tmp_path / "redrock.fits"])


def test_scaled_and_null_columns_of_a_catalogue_are_read_as_they_say(
    coadd: Coadd, coadd_files: tuple[Path, Path], tmp_path: Path
) -> None:
    """VRAD in steps of 0.1 km/s with a null, TARGETID with a null, SUCCESS undefined once."""
    rv = np.arange(8, dtype="i2") * 100
    rv[3] = -32768
    target = coadd.targetid.copy()
    target[5] = -999
    columns = [
        fits.Column("VRAD", "I", array=rv, null=-32768),
        fits.Column("VRAD_ERR", "E", array=np.full(8, 2.0)),
        fits.Column("TARGETID", "K", array=target, null=-999),
    ]
    fits.BinTableHDU.from_columns(columns, name="RVTAB").writeto(tmp_path / "rv.fits")
    whole = (tmp_path / "rv.fits").read_bytes()
    end = b"END" + b" " * 77
    scale = b"TSCAL1  =                  0.1".ljust(80) + b"TZERO1  =                  5.0".ljust(
        80
    )
    start = whole.index(b"XTENSION")
    head = whole[start:].replace(end + b" " * 160, scale + end, 1)
    (tmp_path / "rv.fits").write_bytes(whole[:start] + head)
    raw = read_desi([coadd_files[0]], tmp_path / "rv.fits")
    expected = 0.1 * 100 * np.arange(8) + 5
    expected[[3, 5]] = np.nan
    np.testing.assert_allclose(raw.vrad, expected, rtol=1e-12)
    assert raw.warn[3] == WARN.BAD_RV and raw.warn[5] == WARN.NO_CATALOG_ROW


def test_filler_of_999_is_no_velocity(
    coadd: Coadd, coadd_files: tuple[Path, Path], tmp_path: Path
) -> None:
    table = velocities(coadd)
    table["VRAD"][:3] = [-999.0, 999.9, -9999.0]
    raw = read_desi([coadd_files[0]], written(table, tmp_path / "rv.fits"))
    assert np.isnan(raw.vrad).tolist() == [True] * 3 + [False] * 5


def test_row_of_a_star_elsewhere_is_not_joined(
    coadd: Coadd, coadd_files: tuple[Path, Path], tmp_path: Path
) -> None:
    """Positions differ by 1.5 arcsec, 4 arcmin and, after proper motion, nothing."""
    dec = coadd.dec.copy()
    dec[0] += 1.5 / 3600
    dec[1] += 4 * ARCMIN
    table = velocities(coadd, TARGET_RA=coadd.ra, TARGET_DEC=dec)
    path = written(table, tmp_path / "rv.fits")
    with pytest.warns(InputWarning, match=rf"rv\.fits: 1 spectra .*first {coadd.targetid[1]}"):
        raw = read_desi([coadd_files[0]], path)
    assert np.isnan(raw.vrad).tolist() == [False, True] + 6 * [False]
    assert raw.warn.tolist() == [0, WARN.NO_CATALOG_ROW] + 6 * [0]


def test_row_at_the_place_of_the_spectrum_goes_before_the_first_row(
    coadd: Coadd, coadd_files: tuple[Path, Path], tmp_path: Path
) -> None:
    table = velocities(coadd, RA=coadd.ra, DEC=coadd.dec)
    table["DEC"][2] += 4 * ARCMIN
    table.add_row(table[2])
    table["VRAD"][8], table["DEC"][8] = 77.0, coadd.dec[2]
    raw = read_desi([coadd_files[0]], written(table, tmp_path / "rv.fits"))
    assert raw.vrad[2] == 77.0 and not raw.warn.any()


def test_one_target_in_two_tiles_is_two_stars(
    coadd: Coadd, edited: Callable, tmp_path: Path
) -> None:
    """Without a position in the catalogue neither gets its velocity, with one the right star."""
    paths = [
        edited(tiled(tmp_path, tile, shift), name=str(tile))
        for tile, shift in ((1, 0.0), (2, 4 * ARCMIN))
    ]
    bare = written(velocities(coadd), tmp_path / "bare.fits")
    with pytest.warns(InputWarning, match="2 spectra have a TARGETID"):
        raw = read_desi(paths, bare)
    assert np.isnan(raw.vrad).tolist() == 2 * [*7 * [False], True]
    assert raw.warn[7] == raw.warn[15] == WARN.NO_CATALOG_ROW
    placed = velocities(coadd, TARGET_RA=coadd.ra, TARGET_DEC=coadd.dec)
    with pytest.warns(InputWarning, match="1 spectra have a TARGETID"):
        raw = read_desi(paths, written(placed, tmp_path / "placed.fits"))
    assert raw.vrad[7] == 70.0 and np.isnan(raw.vrad[15])
    by_tile = velocities(coadd, TILEID=np.full(8, 1))
    by_tile.add_row(by_tile[7])
    by_tile["TILEID"][8], by_tile["VRAD"][8] = 2, -55.0
    raw = read_desi(paths, written(by_tile, tmp_path / "tiles.fits"))
    assert (raw.vrad[7], raw.vrad[15]) == (70.0, -55.0)


def test_redrock_of_a_star_elsewhere_is_not_joined(
    coadd: Coadd, coadd_files: tuple[Path, Path], tmp_path: Path
) -> None:
    redshifts = np.zeros(8, [("TARGETID", "i8"), ("Z", "f8"), ("SPECTYPE", "S6")])
    redshifts["TARGETID"], redshifts["SPECTYPE"] = coadd.targetid, "STAR"
    fibres = np.zeros(8, [("TARGETID", "i8"), ("TARGET_RA", "f8"), ("TARGET_DEC", "f8")])
    fibres["TARGETID"], fibres["TARGET_RA"] = coadd.targetid, coadd.ra
    fibres["TARGET_DEC"] = coadd.dec + np.where(np.arange(8) == 4, 4 * ARCMIN, 0)
    hdus = [
        fits.BinTableHDU(redshifts, name="REDSHIFTS"),
        fits.BinTableHDU(fibres, name="FIBERMAP"),
    ]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "redrock.fits")
    with pytest.warns(InputWarning, match=r"redrock\.fits: 1 spectra"):
        raw = read_desi([coadd_files[0]], redshifts=[tmp_path / "redrock.fits"])
    assert np.isnan(raw.vrad).tolist() == [*4 * [False], True, *3 * [False]]


# --- names of one's own


def test_columns_of_the_catalogue_can_be_named_and_their_case_does_not_matter(
    coadd: Coadd, coadd_files: tuple[Path, Path], tmp_path: Path
) -> None:
    table = velocities(coadd)
    expected = read_desi([coadd_files[0]], written(table, tmp_path / "a.fits")).vrad
    for name in ("TARGETID", "VRAD", "VRAD_ERR"):
        table.rename_column(name, name.lower())
    lower = written(table, tmp_path / "b.fits")
    np.testing.assert_array_equal(read_desi([coadd_files[0]], lower).vrad, expected)
    table.rename_columns(["vrad", "vrad_err"], ["rv", "e_rv"])
    path = written(table, tmp_path / "c.fits")
    with pytest.raises(BadFileError, match=r"--columns VRAD=COLUMN.*columns: targetid, rv, e_rv"):
        read_desi([coadd_files[0]], path)
    named = read(coadd_files[0], catalog=path, columns={"vrad": "RV", "VRAD_ERR": "e_rv"})
    np.testing.assert_array_equal(named.vrad, expected)
    with pytest.raises(BadFileError, match=r"no column 'rvel'.*Did you mean 'rv'"):
        read(coadd_files[0], catalog=path, columns={"VRAD": "rvel", "VRAD_ERR": "e_rv"})
    with pytest.raises(ValueError, match=r"'VRADD' is none of the names.*'VRAD'"):
        read(coadd_files[0], catalog=path, columns={"VRADD": "rv"})
    with pytest.raises(ValueError, match="none is given"):
        read(coadd_files[0], columns={"VRAD": "rv"})


def test_text_in_a_column_of_velocities_is_named(
    coadd: Coadd, coadd_files: tuple[Path, Path], tmp_path: Path
) -> None:
    table = velocities(coadd)
    table["VRAD"] = ["10", "null", *6 * ["20"]]
    raw = read_desi([coadd_files[0]], written(table, tmp_path / "a.fits"))
    assert raw.vrad[0] == 10 and np.isnan(raw.vrad[1])
    table["VRAD"][3] = "fa"
    with pytest.raises(BadFileError, match=r"b\.fits, HDU RVTAB: column VRAD, row 4: 'fa'"):
        read_desi([coadd_files[0]], written(table, tmp_path / "b.fits"))
