"""A whole run: one TARGETID at two positions, and a catalogue that was written again."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from bayes_ddp import config
from bayes_ddp.catalog.fits import read_catalogue
from bayes_ddp.commands.demo import simulate_files
from bayes_ddp.comparison.options import Choice
from bayes_ddp.comparison.run import compare
from bayes_ddp.files.errors import InputWarning
from bayes_ddp.flags import WARN
from bayes_ddp.pipeline import run as pipeline


@pytest.fixture(scope="module")
def two_tiles(tmp_path_factory):
    """Two tiles with the same five TARGETIDs, the first of them four arcmin apart."""
    folder = tmp_path_factory.mktemp("tiles")
    simulate_files(folder, stars=5, seed=3)
    for tile in (1, 2):
        with fits.open(folder / "coadd-demo.fits") as hdus:
            for card in ("SPGRP", "SPGRPVAL", "HPXPIXEL", "SURVEY", "PROGRAM"):
                del hdus[0].header[card]
            hdus[0].header["TILEID"] = tile
            hdus["FIBERMAP"].data["TARGET_DEC"][0] += (tile - 1) * 4 / 60
            hdus.writeto(folder / f"coadd-{tile}.fits", checksum=True)
    velocities = Table.read(folder / "rvs-demo.fits")
    velocities[velocities["VRAD_ERR"] > 0].write(folder / "again.fits")
    return folder


def test_two_stars_of_one_target_have_no_labels_in_files_of_their_own(two_tiles, tmp_path):
    """Each file is a task, which cannot know of the other; the catalogue was written again."""
    target = fits.getdata(two_tiles / "coadd-demo.fits", "FIBERMAP")["TARGETID"]
    run = config.parse(
        {
            "schema": 1,
            "input": {
                "survey": "desi",
                "spectra": ["coadd-1.fits", "coadd-2.fits"],
                "catalog": "again.fits",
                "targetid": [int(target[0]), int(target[1])],
            },
            "emulator": {"name": "desi-physics"},
            "output": {"directory": str(tmp_path), "pictures": False},
        },
        source="test",
        base=two_tiles,
    )
    with pytest.warns(InputWarning) as told:
        outcome = pipeline.run(run)
    said = [str(warning.message) for warning in told]
    assert any("again.fits, HDU 1 (RVTAB): the table was written again" in text for text in said)
    assert any("2 spectra at different positions have one TARGETID" in text for text in said)
    table = read_catalogue(outcome.path)
    lost = np.asarray(table["TARGETID"]) == target[0]
    assert lost.tolist() == [True, False, True, False]
    assert np.isnan(table["TEFF"]).tolist() == lost.tolist()
    bits = int(WARN.NO_CATALOG_ROW | WARN.DOUBLED_ROW)
    assert ((np.asarray(table["WARN"]) & bits) == bits).tolist() == lost.tolist()
    kept = Table.read(outcome.path)
    kept[~lost].write(tmp_path / "kept.fits")
    with pytest.warns(InputWarning, match="kept"):
        result = compare(outcome.path, tmp_path / "kept.fits", Choice(snr=-1, teff=(0, 1e5)))
    assert result.rows[0].offset == 0 and result.matched == 2
