"""Tables of any origin: texts, fillers, byte-order marks, names of VizieR and of users."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from bayes_ddp import cli
from bayes_ddp.catalog.fits import write_catalogue
from bayes_ddp.comparison.options import Choice
from bayes_ddp.comparison.run import compare
from bayes_ddp.files.errors import BadFileError

ROWS = 60
ALL = Choice(snr=-1)
TARGET = 39_633_345_008_634_465 + np.arange(ROWS)  # beyond 2^53


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """A catalogue of ours with Teff 5000 K, log g 4.5 and [Mg/Fe] 0.1."""
    rng = np.random.default_rng(1)
    table = Table({"TARGETID": TARGET, "OBSID": np.arange(ROWS) + 100})
    labels = (("TEFF", 5000, 50), ("LOGG", 4.5, 0.1), ("FEH", -0.5, 0.1), ("MG_FE", 0.1, 0.05))
    for name, value, error in labels:
        table[name] = value + error * rng.normal(size=ROWS)
        table[f"{name}_ERR"] = np.full(ROWS, float(error))
    write_catalogue(table, tmp_path / "catalogue.fits", {})
    return tmp_path / "catalogue.fits"


def lines(**columns) -> list[str]:
    """A CSV table of the same stars, 40 K cooler with errors of 50 K, as lines of text."""
    rng = np.random.default_rng(2)
    table = {
        "obsid": [str(i) for i in np.arange(ROWS) + 100],
        "teff": [f"{value:.1f}" for value in 4960 + 50 * rng.normal(size=ROWS)],
        "teff_err": ["50"] * ROWS,
    } | columns
    return [",".join(table), *(",".join(row) for row in zip(*table.values(), strict=True))]


def write(path: Path, rows: list[str], mark: bytes = b"") -> Path:
    path.write_bytes(mark + "\n".join(rows).encode())
    return path


def row(result, name):
    return next(row for row in result.rows if row.label == name)


def with_cells(column: str, first: str, **more: str) -> list[str]:
    """``lines`` with the first three cells of a column replaced."""
    rows = [line.split(",") for line in lines(**more)]
    for cells in rows[1:4]:
        cells[rows[0].index(column)] = first
    return [",".join(cells) for cells in rows]


@pytest.mark.parametrize(
    "cell", ["null", "--", "N/A", r"\N", "nan", "", "None", "-99", "-999", "-9999.0", "99.9"]
)
def test_unknown_label_leaves_out_its_star_alone(ours: Path, tmp_path: Path, cell: str) -> None:
    result = compare(ours, write(tmp_path / "o.csv", with_cells("teff", cell)), ALL)
    assert row(result, "teff").number == ROWS - 3 == result.selected
    assert abs(row(result, "teff").offset - 40) < 60


@pytest.mark.parametrize("cell", ["null", "--", "N/A", r"\N", "", "-99", "-999", "-9999"])
def test_unknown_error_leaves_the_errors_of_other_stars(
    ours: Path, tmp_path: Path, cell: str
) -> None:
    whole = compare(ours, write(tmp_path / "a.csv", lines()), ALL)
    result = compare(ours, write(tmp_path / "b.csv", with_cells("teff_err", cell)), ALL)
    first, second = row(whole, "teff"), row(result, "teff")
    assert second.other_err == 50 and second.number == ROWS
    assert abs(second.z_scatter / first.z_scatter - 1) < 0.2


@pytest.mark.parametrize("filler", [-99, -99.9, -999, -9999, 99, 99.9, 99.99, 999, 9999])
@pytest.mark.parametrize("form", ["f8", "f4"])
def test_fillers_in_dex_are_unknown(ours: Path, tmp_path: Path, filler: float, form: str) -> None:
    table = Table({"obsid": np.arange(ROWS) + 100, "logg": np.full(ROWS, 4.4, form)})
    table["logg_err"] = np.full(ROWS, 0.1, form)
    table["logg"][:5] = filler
    table["logg_err"][5:8] = filler
    table.write(tmp_path / "o.fits")
    found = row(compare(ours, tmp_path / "o.fits", ALL), "logg")
    assert found.number == ROWS - 5 and abs(found.other_err - 0.1) < 1e-6
    assert abs(found.offset - 0.1) < 0.1


def test_numbers_that_a_label_may_have_are_kept(ours: Path, tmp_path: Path) -> None:
    table = Table({"obsid": np.arange(ROWS) + 100, "teff": np.full(ROWS, 9999.0)})
    table["teff_err"] = np.full(ROWS, 99.9)
    table["logg"] = np.full(ROWS, -0.99)
    table.write(tmp_path / "o.csv")
    result = compare(ours, tmp_path / "o.csv", Choice(snr=-1, teff=(0, np.inf)))
    assert row(result, "teff").number == ROWS and row(result, "teff").other_err == 99.9
    assert row(result, "logg").number == ROWS


def test_text_in_a_number_column_is_an_error_with_column_row_and_cell(
    ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    path = write(tmp_path / "o.csv", with_cells("teff_err", "small"))
    with pytest.raises(SystemExit) as stop:
        cli.main(["compare", str(ours), str(path)])
    told = capsys.readouterr().err
    assert stop.value.code == 1 and told.count("\n") == 1
    assert "o.csv: column teff_err has no numbers: row 1 is 'small'" in told
    rows = lines()
    rows[7] = rows[7].replace("4", "x", 1)
    with pytest.raises(BadFileError, match=r"o\.csv: column teff, row 7: 'x"):
        compare(ours, write(path, rows), ALL)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_byte_order_mark_and_separator_lose_no_column(
    ours: Path, tmp_path: Path, mark: bytes, separator: str
) -> None:
    path = write(tmp_path / "o.csv", [line.replace(",", separator) for line in lines()], mark)
    result = compare(ours, path, ALL)
    assert (result.matched_by, result.matched) == ("OBSID", ROWS)
    wide = tmp_path / "wide.csv"
    wide.write_text("\n".join(lines()), encoding="utf-16")
    assert compare(ours, wide, ALL).matched == ROWS


@pytest.mark.parametrize(
    ("good", "bad"), [("True", "False"), ("T", "F"), ("yes", "no"), ("1", "0"), ("true", "")]
)
def test_words_for_true_and_false_are_understood(
    ours: Path, tmp_path: Path, good: str, bad: str
) -> None:
    success = [good] * (ROWS - 20) + [bad] * 20
    result = compare(ours, write(tmp_path / "o.csv", lines(success=success)), ALL)
    assert result.selected == ROWS - 20 and "their success" in result.selection


def test_error_columns_of_vizier_are_errors(ours: Path, tmp_path: Path) -> None:
    table = Table({"obsid": np.arange(ROWS) + 100, "Teff": np.full(ROWS, 5000)})
    table["E_Teff"], table["e_Teff"] = np.full(ROWS, 90.0), np.full(ROWS, 70.0)
    table["__Fe_H_"], table["e__Fe_H_"] = np.full(ROWS, -0.5), np.full(ROWS, 0.06)
    table["[Mg/Fe]"], table["e_[Mg/Fe]"] = np.full(ROWS, 0.1), np.full(ROWS, 0.07)
    table.write(tmp_path / "o.csv")
    result = compare(ours, tmp_path / "o.csv", ALL)
    found = [row(result, name).other_err for name in ("teff", "mg_fe", "feh")]
    assert found == [70, 0.07, 0.06]
    del table["E_Teff"], table["[Mg/Fe]"], table["e_[Mg/Fe]"]
    for name in table.colnames:
        table.rename_column(name, name.upper())
    table.write(tmp_path / "p.fits")
    assert row(compare(ours, tmp_path / "p.fits", ALL), "teff").other_err == 70


def test_names_that_differ_by_case_alone_are_refused(ours: Path, tmp_path: Path) -> None:
    rows = lines(TEFF=["1"] * ROWS)
    with pytest.raises(BadFileError, match="several columns 'teff'"):
        compare(ours, write(tmp_path / "o.csv", rows), ALL)


# --- integers with scales and nulls, and identifiers


def test_scaled_integers_and_nulls_are_what_they_say(ours: Path, tmp_path: Path) -> None:
    teff = np.full(ROWS, -80, np.int16)  # 4960 K
    snr = np.full(ROWS, 50, np.int32)
    snr[:10] = 999999
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("OBSID", "K", array=np.arange(ROWS) + 100),
            fits.Column("TEFF", "I", array=teff),
            fits.Column("SNR", "J", array=snr, null=999999),
        ]
    )
    table.writeto(tmp_path / "plain.fits")
    with fits.open(tmp_path / "plain.fits") as hdus:
        header = hdus[1].header
        header["TSCAL2"], header["TZERO2"] = 0.5, 5000.0
        text = header.tostring().encode()
    whole = (tmp_path / "plain.fits").read_bytes()
    start = whole.index(b"XTENSION")
    (tmp_path / "o.fits").write_bytes(whole[:start] + text + whole[start + len(text) :])
    result = compare(ours, tmp_path / "o.fits")
    assert result.selected == ROWS - 10
    assert row(result, "teff").number == ROWS - 10 and abs(row(result, "teff").offset - 40) < 30


def test_targets_as_floating_point_are_an_error(
    ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    table = Table({"targetid": TARGET.astype(float), "teff": np.full(ROWS, 5000.0)})
    for name in ("o.fits", "o.csv"):
        path = tmp_path / name
        table.write(path)
        with pytest.raises(SystemExit) as stop:
            cli.main(["compare", str(ours), str(path)])
        told = capsys.readouterr().err
        assert stop.value.code == 1
        assert f"{path}: column targetid, row 1" in told and "floating point" in told
    table["targetid"] = TARGET.astype(str)
    table.write(tmp_path / "text.csv")
    assert compare(ours, tmp_path / "text.csv", ALL).matched == ROWS


def test_whole_numbers_that_a_float_column_holds_exactly_match(ours: Path, tmp_path: Path) -> None:
    table = Table({"obsid": np.arange(ROWS) + 100.0, "teff": np.full(ROWS, 5000.0)})
    table["obsid"][0] = np.nan
    table.write(tmp_path / "o.fits")
    assert compare(ours, tmp_path / "o.fits", ALL).matched == ROWS - 1


def test_one_target_at_two_places_is_matched_by_its_place(tmp_path: Path) -> None:
    """Row 0 stands in theirs twice, first four arcmin away; row 1 only there."""
    ra, dec = np.linspace(150, 151, ROWS), np.full(ROWS, 2.0)
    table = Table({"TARGETID": TARGET, "TARGET_RA": ra, "TARGET_DEC": dec})
    table["TEFF"], table["TEFF_ERR"] = np.full(ROWS, 5000.0), np.full(ROWS, 50.0)
    write_catalogue(table, tmp_path / "c.fits", {})
    other = Table({"targetid": TARGET, "ra": ra, "dec": dec, "teff": np.full(ROWS, 5000.0)})
    other["dec"][:2] += 4 / 60
    other["teff"][:2] = 7000.0
    other.add_row((TARGET[0], ra[0], dec[0] + 1e-4, 5000.0))
    other.write(tmp_path / "o.csv")
    result = compare(tmp_path / "c.fits", tmp_path / "o.csv", ALL)
    assert (result.matched, result.apart) == (ROWS - 1, 1)
    assert set(result.pairs["teff"].theirs) == {5000.0}
    assert "1 left out: their TARGETID is that of a star elsewhere." in result.format_table()
    other["ra"] /= 15  # hours
    other.write(tmp_path / "hours.csv")
    with pytest.raises(BadFileError, match="Give RA and DEC in degrees"):
        compare(tmp_path / "c.fits", tmp_path / "hours.csv", ALL)


# --- names of one's own


def renamed() -> list[str]:
    rows = lines(pred_Teff=["4900"] * ROWS, e_pred_Teff=["80"] * ROWS)
    return [rows[0].replace("obsid", "spectrum"), *rows[1:]]


def test_columns_are_named_on_the_command_line(
    ours: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = write(tmp_path / "o.csv", renamed())
    words = ["compare", str(ours), str(path), "--snr", "-1"]
    named = ["--columns", "teff=pred_Teff", "--columns", "obsid=SPECTRUM"]
    cli.app([*words, *named], result_action="return_value")
    told = capsys.readouterr().out
    assert f"{ROWS} stars matched by OBSID" in told and "80.0" in told
    result = compare(ours, path, Choice(snr=-1, columns=("teff=pred_Teff", "obsid=spectrum")))
    assert row(result, "teff").other_err == 80  # its own error, not that of the column teff
    assert abs(row(result, "teff").offset - 100) < 30
    own = Choice(snr=-1, columns=("obsid=spectrum",), our_columns=("teff=LOGG",))
    assert row(compare(ours, path, own), "teff").number == 0


def test_named_label_never_takes_the_errors_of_another_column(ours: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "o.csv", lines(pred_Teff=["4900"] * ROWS))
    result = compare(ours, path, Choice(snr=-1, columns=("teff=pred_Teff",)))
    assert np.isnan(row(result, "teff").other_err)
    both = Choice(snr=-1, columns=("teff=pred_Teff", "teff_err=teff_err"))
    assert row(compare(ours, path, both), "teff").other_err == 50


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (("teff=Teff_x",), r"no column 'Teff_x'\. Did you mean 'teff'\? Its columns: obsid, teff"),
        (("tef=teff",), r"'tef' is none of the names .* Did you mean 'teff'\? Names: teff, logg"),
        (("teff",), "write it as teff=COLUMN"),
        (("teff=teff", "teff=obsid"), "'teff' is given twice"),
    ],
)
def test_map_that_cannot_be_is_refused_with_the_names(
    ours: Path, tmp_path: Path, columns: tuple[str, ...], message: str
) -> None:
    path = write(tmp_path / "o.csv", lines())
    with pytest.raises(ValueError, match=message):
        compare(ours, path, Choice(columns=columns))


def test_table_without_labels_or_identifiers_is_told_what_is_read(
    ours: Path, tmp_path: Path
) -> None:
    rows = lines()
    write(tmp_path / "o.csv", [rows[0].replace("teff", "temp"), *rows[1:]])
    with pytest.raises(
        ValueError, match=r"Names that are read: teff, .* Its columns: obsid, temp"
    ):
        compare(ours, tmp_path / "o.csv")
    write(tmp_path / "p.csv", [rows[0].replace("obsid", "number"), *rows[1:]])
    with pytest.raises(ValueError, match=r"--columns targetid=COLUMN.*number, teff"):
        compare(ours, tmp_path / "p.csv")
