"""Cards, text and checksums that every FITS table of the package shares."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from bayes_ddp.files.checksums import data_sum, verify_checksums
from bayes_ddp.files.fits import open_fits
from bayes_ddp.tables.columns import Column
from bayes_ddp.tables.fits import (
    add_checksums,
    card_value,
    column_cards,
    read_column_cards,
)

COLUMNS = (
    Column("ID", "", "i8", ucd="meta.id"),
    Column("VRAD", "km s-1", "f8", ucd="spect.dopplerVeloc", description="velocity"),
    Column("FEH", "dex", "f4", ucd="phys.abund.Z", description="[Fe/H], Asplund+2009 scale"),
    Column("LOGG", "dex", "f8"),
    Column("NAME", "", "U3", description="name of the star"),
    Column("GOOD", "", "b1"),
    Column("COVAR", "", "f8", description="[dex]2, which is no unit in front of a description"),
)

SHA256 = "db81554844ba816a4c19f23110c5a87f5866c6ae467fbd8ff2e4cb3ff5ce6257"
"""Of the file that ``write`` makes of them."""


def write(path: Path) -> Path:
    shapes = [
        (c.name, c.dtype.replace("U", "S"), (3,) if c.name == "COVAR" else ()) for c in COLUMNS
    ]
    hdu = fits.BinTableHDU(np.zeros(2, shapes), name="STARS")
    hdu.header.update(column_cards(COLUMNS))
    hdus = fits.HDUList([fits.PrimaryHDU(), hdu])
    add_checksums(hdus)
    hdus.writeto(path)
    return path


def test_unit_description_and_ucd_survive_a_round_trip(tmp_path):
    with open_fits(write(tmp_path / "a.fits")) as file:
        header, content = file.header("STARS"), file.table("STARS")
    content["NAME"] = content["NAME"].astype("U3")  # of text without letters no width is left
    found = read_column_cards(header, content)
    assert tuple(found.values()) == COLUMNS
    assert list(found) == [column.name for column in COLUMNS]


def test_astropy_reads_the_units_without_a_warning(tmp_path):
    with fits.open(write(tmp_path / "a.fits"), checksum=True) as hdus:
        hdus.verify("exception")
        assert hdus["STARS"].columns["VRAD"].unit == "km s-1"


def test_unit_that_fits_does_not_have_stands_before_the_description():
    cards = column_cards(COLUMNS)
    assert cards["TCOMM3"] == "[dex] [Fe/H], Asplund+2009 scale"
    assert cards["TCOMM4"] == "[dex]"
    assert "TUNIT3" not in cards and "TUNIT4" not in cards


def test_empty_text_has_no_card():
    assert column_cards([Column("A"), Column("B", "K")]) == {"TUNIT2": "K"}


def test_cards_are_printable_ascii_on_one_card():
    cards = column_cards([Column("WAVE", "", description="in Å\n" + "x" * 80, ucd="em.wl")])
    assert cards["TCOMM1"] == "in ? " + "x" * 63


@pytest.mark.parametrize("value", [True, 7, 0.25, "text", -3])
def test_plain_values_are_cards_as_they_are(value):
    found = card_value(value)
    assert found == value and type(found) is type(value)


def test_other_values_become_text():
    assert card_value(float("nan")) == "nan"
    assert card_value(Path("a") / "b") == "a/b"
    assert card_value("5 Å") == "5 \\xc5"
    assert card_value("α") != card_value("β")


def test_long_text_is_kept_whole(tmp_path):
    text = "words that go on " * 20 + "to the end"
    header = fits.Header()
    header["NOTE"] = card_value(text)
    assert fits.Header.fromstring(header.tostring())["NOTE"] == text


def test_the_same_table_gives_the_same_bytes(tmp_path):
    """The stored sum is of what Astropy 8 writes."""
    first, second = (write(tmp_path / name).read_bytes() for name in ("a.fits", "b.fits"))
    assert first == second and b"1970-01-01T00:00:00" in first
    assert hashlib.sha256(first).hexdigest() == SHA256


def test_checksums_hold(tmp_path):
    assert verify_checksums(write(tmp_path / "a.fits")) == 2


@pytest.mark.parametrize("size", [0, 1, 4, 2880, 2883])
def test_data_sum_is_that_of_astropy_however_it_is_cut(size):
    data = np.random.default_rng(size).integers(0, 256, size, np.uint8).tobytes()
    pieces = [data[start : start + 8] for start in range(0, size, 8)]
    padded = np.frombuffer(data + bytes(-size % 4), np.uint8)
    expected = int(fits.ImageHDU()._compute_checksum(padded)) if size else 0
    assert data_sum(pieces) == data_sum([data]) == expected


def test_data_sum_carries_around_the_end():
    assert data_sum([b"\xff" * 4, b"\0\0\0\2"]) == 2
