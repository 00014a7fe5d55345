"""The catalogue as a file: it is read as it was written, and its header describes it."""

import numpy as np
import pytest
from astropy.io import fits

from bayes_ddp.catalog.fits import read_catalogue, write_catalogue
from bayes_ddp.catalog.table import make_catalogue
from bayes_ddp.flags import WARN, describe
from bayes_ddp.labels import label

PROVENANCE = {
    "BDDPVER": "0.1.0",
    "EMUSHA": "a" * 64,
    "SEED": 7,
    "CALSCALE": "LTE-1D uncalibrated",
    "NOTE": "words that go on " * 8 + "to the end",
}


@pytest.fixture
def table(make_posterior, make_part):
    """The catalogue of four stars."""
    return make_catalogue(make_part(make_posterior(4)))


@pytest.mark.parametrize("sampled", [False, True])
def test_catalogue_survives_a_round_trip_through_fits(
    make_posterior, unfitted, make_part, tmp_path, sampled
):
    result = unfitted(make_posterior(5, sampled=sampled), 2)
    table = make_catalogue(make_part(result, np.full(5, int(WARN.POOR_CHI2))))
    write_catalogue(table, tmp_path / "c.fits", PROVENANCE)
    back = read_catalogue(tmp_path / "c.fits")

    assert back.colnames == table.colnames
    assert ("RHAT_MAX" in back.colnames) == sampled
    for name in table.colnames:
        ours, theirs = table[name], back[name]
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype.kind == theirs.dtype.kind and theirs.dtype.isnative
        assert ours.unit == theirs.unit and ours.description == theirs.description
        assert ours.meta == theirs.meta
    assert list(back["OWN"]) == list(table["OWN"]) and not back["OWN"][0].isascii()
    assert not back.has_masked_columns
    for key, value in PROVENANCE.items():
        assert back.meta[key] == value
    names = [back.meta[f"LABEL{i + 1:02d}"] for i in range(len(result.names))]
    assert names == [label(n).column for n in result.names]


def test_header_spells_out_units_ucds_and_warning_bits(table, tmp_path):
    write_catalogue(table, tmp_path / "c.fits", PROVENANCE)
    with fits.open(tmp_path / "c.fits", checksum=True) as hdus:
        header = hdus["CATALOGUE"].header
    number = {header[key]: key[5:] for key in header["TTYPE*"]}
    assert header[f"TUNIT{number['TEFF_ERR']}"] == "K"
    assert header[f"TUCD{number['TEFF_ERR']}"] == "stat.stdev;phys.temperature.effective"
    assert header[f"TCOMM{number['TEFF_ERR']}"] == "standard deviation"
    assert header[f"TUCD{number['PRIOR_COV']}"] == "stat.covariance"
    assert header[f"TFORM{number['LABEL_MEAN']}"] == header[f"TFORM{number['LABEL_MODE']}"] == "5D"
    for name, bit, text in describe():
        assert header[f"WARNB{bit:02d}"] == f"{name} {text}"
    assert "DATE" not in header and not any("HIERARCH" in str(c) for c in header.cards)


def test_rewriting_gives_identical_bytes(table, tmp_path):
    for name in ("a.fits", "b.fits"):
        write_catalogue(table, tmp_path / name, PROVENANCE)
    assert (tmp_path / "a.fits").read_bytes() == (tmp_path / "b.fits").read_bytes()
    again = read_catalogue(tmp_path / "a.fits")
    write_catalogue(again, tmp_path / "b.fits", {})
    assert (tmp_path / "a.fits").read_bytes() == (tmp_path / "b.fits").read_bytes()


def test_keyword_that_fits_does_not_have_is_refused(table, tmp_path):
    with pytest.raises(ValueError, match="'emulator_sha256' is no FITS keyword"):
        write_catalogue(table, tmp_path / "c.fits", {"emulator_sha256": "a"})
    assert not list(tmp_path.iterdir())


def test_file_without_a_catalogue_is_refused(tmp_path):
    fits.BinTableHDU(np.zeros(2, [("A", "f8")]), name="OTHER").writeto(tmp_path / "c.fits")
    with pytest.raises(ValueError, match="no extension CATALOGUE"):
        read_catalogue(tmp_path / "c.fits")
