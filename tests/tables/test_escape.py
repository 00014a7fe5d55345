"""Any text survives a FITS table, and names that no column can have are refused."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from bayes_ddp.catalog.fits import read_catalogue, write_catalogue
from bayes_ddp.tables.arrays import read_arrays
from bayes_ddp.tables.escape import check_column_name, escape_cards, escaped, to_fits, unescaped
from bayes_ddp.tables.read import read_columns

ODD = [
    "α Cen",
    "β Cen",
    "",
    " ",
    "a ",
    "a  ",
    " a",
    "a",
    "\\",
    "\\u03b1 Cen",
    "\\x20",
    "a\\ ",
    "'",
    "tab\t",
    "line\n",
    "\x7f",
    "Å",
    "A\u030a",
    "星",
    "😀",
    "é" * 300,
    "x" * 300,
    "?",
    "nan",
    "\\N{x}",
]
PLAIN = ["HD 1", "a\\b", "\\u03b1", "'", "", " b"]


@pytest.mark.parametrize("text", [*ODD, *PLAIN])
def test_every_text_comes_back(text):
    values = np.array([text, "other"])
    stored = to_fits(values)
    assert stored.dtype.kind == "S"
    header = {key: name for key, (name, _) in escape_cards({"NAME": values}).items()}
    back = unescaped(header, {"name": np.char.decode(stored, "ascii")})["name"]
    assert back.tolist() == [text, "other"]


def test_different_texts_stay_different_and_plain_columns_stay_as_they_are():
    stored = to_fits(np.array(ODD)).tolist()
    assert len(set(stored)) == len(ODD)
    assert all(b.decode("ascii").isprintable() and not b.endswith(b" ") for b in stored)
    assert not escaped(np.array(PLAIN))
    assert [b.decode() for b in to_fits(np.array(PLAIN)).tolist()] == PLAIN
    for values in (np.arange(3), np.array([True]), np.array([1.5])):
        assert to_fits(values) is values and not escaped(values)
    assert not escaped(np.array([], "U3"))
    assert to_fits(np.array([1, 0], "i1")).dtype == np.int16  # FITS has no signed byte


@pytest.mark.filterwarnings("error")
def test_catalogue_has_the_text_that_was_written(tmp_path):
    path = tmp_path / "catalogue.fits"
    shape = np.array([["α", "b"]] * len(ODD))
    table = Table(
        {"NAME": ODD, "PLAIN": ["HD 1\\x"] * len(ODD), "PAIR": shape, "N": range(len(ODD))}
    )
    write_catalogue(table, path, {"EMULATOR": "modèle"})
    back = read_catalogue(path)
    for name in table.colnames:
        assert back[name].tolist() == table[name].tolist()
    assert back.meta["EMULATOR"] == "mod\\xe8le" and not any("ESCAPE" in key for key in back.meta)
    header = fits.getheader(path, "CATALOGUE")
    assert [header[key] for key in header["ESCAPE*"]] == ["NAME", "PAIR"]
    assert read_columns(path)["name"].tolist() == ODD
    assert read_arrays(path).get("NAME").tolist() == ODD
    (tmp_path / "again").mkdir()
    write_catalogue(back, tmp_path / "again" / "c.fits", {})
    assert (tmp_path / "again" / "c.fits").read_bytes() == path.read_bytes()


def test_catalogue_that_astropy_wrote_again_has_its_names(tmp_path):
    """Other columns in another order, some rows."""
    write_catalogue(Table({"N": [1, 2, 3], "NAME": ["α", "β", "γ"]}), tmp_path / "a.fits", {})
    table = Table.read(tmp_path / "a.fits")[1:]["NAME", "N"]
    table.remove_column("N")
    table.write(tmp_path / "b.fits")
    with fits.open(tmp_path / "b.fits", "update") as file:
        for key in ("CHECKSUM", "DATASUM"):
            del file[1].header[key]
    assert read_columns(tmp_path / "b.fits")["name"].tolist() == ["β", "γ"]


def test_escapes_that_somebody_else_wrote_are_left_alone(tmp_path):
    Table({"NAME": ["\\u03b1", "\\q"]}).write(tmp_path / "a.fits")
    assert read_columns(tmp_path / "a.fits")["name"].tolist() == ["\\u03b1", "\\q"]
    broken = unescaped({"ESCAPE01": "A"}, {"A": np.array(["\\u03b1", "\\u03"])})
    assert broken["A"].tolist() == ["α", "\\u03"]


@pytest.mark.parametrize("name", ["TEFF", "STAR NAME", "A-B", "A" * 64])
def test_name_that_fits_can_hold_is_fine(name):
    check_column_name(name)


@pytest.mark.parametrize("name", ["", " A", "A ", "É", "A\n", "A" * 65, "'" * 33])
def test_name_that_fits_cannot_hold_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="cannot be the name of a column in FITS"):
        check_column_name(name)
    table = Table({"A": [1.0]})
    table.rename_column("A", name)
    with pytest.raises(ValueError, match="cannot be the name of a column in FITS"):
        write_catalogue(table, tmp_path / "c.fits", {})
    assert not list(tmp_path.iterdir())
