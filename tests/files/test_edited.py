"""Tables that were written again after their checksum was made, and spectra that were changed."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from bayes_ddp.catalog.fits import read_catalogue, write_catalogue
from bayes_ddp.comparison.options import Choice
from bayes_ddp.comparison.run import compare
from bayes_ddp.files.errors import BadFileError, InputWarning
from bayes_ddp.files.fits import open_fits
from bayes_ddp.spectra.desi.read import read_desi


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    """A small catalogue of ours with checksums."""
    table = Table({"TARGETID": 2**60 + np.arange(40), "TEFF": np.linspace(4000, 6000, 40)})
    write_catalogue(table, tmp_path / "catalogue.fits", {"SEED": 1})
    return tmp_path / "catalogue.fits"


def written_again(path: Path, change) -> Path:
    """The table after ``change``, as Astropy writes it: with the old checksum."""
    target = path.with_name("again.fits")
    change(Table.read(path)).write(target)
    assert fits.getheader(target, 1)["DATASUM"] == fits.getheader(path, 1)["DATASUM"]
    return target


def note(table: Table) -> Table:
    table.meta["NOTE"] = "mine"
    return table


def brighter(table: Table) -> Table:
    table["TEFF"] += 1.0
    return table


@pytest.mark.parametrize(
    "change", [lambda t: t[t["TEFF"] > 5000], lambda t: t, note, brighter], ids=range(4)
)
def test_catalogue_that_astropy_wrote_again_is_read_with_a_warning(
    catalogue: Path, change
) -> None:
    path = written_again(catalogue, change)
    with pytest.warns(InputWarning, match=r"again\.fits, HDU 1 \(CATALOGUE\): the table was"):
        found = read_catalogue(path)
    np.testing.assert_array_equal(found["TEFF"], Table.read(path)["TEFF"])
    with pytest.warns(InputWarning, match="read without verification"):
        result = compare(catalogue, path, Choice(snr=-1))
    assert result.matched == len(found)


def test_changed_data_under_the_same_header_are_damage(catalogue: Path) -> None:
    whole = bytearray(catalogue.read_bytes())
    whole[-2880 + 7] ^= 1
    catalogue.write_bytes(whole)
    with pytest.raises(BadFileError, match="damaged or edited"):
        read_catalogue(catalogue)


def test_edited_table_is_no_excuse_for_a_damaged_image(tmp_path: Path) -> None:
    image = fits.ImageHDU(np.arange(100.0), name="FLUX")
    path = tmp_path / "a.fits"
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(path, checksum=True)
    with fits.open(path) as hdus:
        header = hdus[1].header.copy()
    again = fits.ImageHDU(np.arange(100.0) + 1, name="FLUX")
    again.header["CHECKSUM"], again.header["DATASUM"] = header["CHECKSUM"], header["DATASUM"]
    fits.HDUList([fits.PrimaryHDU(), again]).writeto(path, overwrite=True)
    with pytest.raises(BadFileError, match=r"HDU 1 \(FLUX\)"), open_fits(path, edited=True):
        pass


def test_table_is_not_accepted_within_a_file_of_spectra(tmp_path: Path, data: Path) -> None:
    source = data / "desi_format" / "coadd-special-dark-27247.fits"
    with fits.open(source) as hdus:
        hdus["FIBERMAP"].header["NOTE"] = "mine"
        for hdu in hdus:  # so that Astropy copies the cards and does not compute them
            hdu._output_checksum = False
        hdus.writeto(tmp_path / "coadd-a.fits")
    with pytest.raises(BadFileError, match=r"HDU 1 \(FIBERMAP\)"):
        read_desi([tmp_path / "coadd-a.fits"])
