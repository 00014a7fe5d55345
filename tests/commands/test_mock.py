"""The command that draws a mock: files, figures, pictures and its refusals."""

import json

import numpy as np
import pytest
from astropy.io import fits

from bayes_ddp import config
from bayes_ddp.commands.mock import Request, make_mock, simulate
from bayes_ddp.mock.draw import Settings

TABLES = {"mwsall-sim.fits", "photometry.fits", "truth.fits"}


def test_mock_is_written_checked_and_drawn(tmp_path):
    steps = []
    request = Request(400, check=True)
    figures, text = make_mock(
        tmp_path, request, Settings(2), progress=lambda *row: steps.append(row)
    )
    names = {path.name for path in tmp_path.iterdir()}
    assert TABLES | {"pictures"} <= names
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 5
    assert steps[-1] == ("stars", 400, 400)
    assert figures["stars"] == figures["check"]["stars"] == 400
    assert np.isclose(sum(c["share"] for c in figures["check"]["components"].values()), 1)
    json.dumps(figures)
    assert "400 stars" in text and "paper" in text


def test_mock_from_python_is_that_of_the_command(tmp_path):
    """The same seed gives the same bytes; the limit and the seed are in the header."""
    figures = simulate(str(tmp_path / "one"), stars=60, seed=3, faint=18.5)
    assert {path.name for path in (tmp_path / "one").iterdir()} == TABLES
    assert (figures["stars"], figures["spectra"]) == (60, 0) and "check" not in figures
    assert json.loads(json.dumps(figures))["files"] == figures["files"]
    request, settings = Request(60), Settings(3, faint=18.5)
    make_mock(tmp_path / "two", request, settings, progress=lambda *_: None)
    for name in TABLES:
        one, two = ((tmp_path / folder / name).read_bytes() for folder in ("one", "two"))
        assert one == two
    header = fits.getheader(tmp_path / "one" / "truth.fits")
    assert (header["SEED"], header["RFAINT"], header["NSTARS"]) == (3, 18.5, 60)


def test_spectra_of_a_mock_come_with_a_run_that_fits_them(tmp_path):
    figures = simulate(tmp_path, stars=60, spectra=2, seed=3)
    assert figures["spectra"] == 2
    run = config.load(tmp_path / "run.toml")
    assert run.input.survey == "desi" and set(run.input.spectra) < set(figures["files"])
    rows = [len(fits.getdata(path, "FIBERMAP")) for path in run.input.spectra]
    assert sum(rows) == 2


@pytest.mark.parametrize(
    ("request_of", "message"),
    [((0,), "--stars 0"), ((6_000_000,), "several seeds"), ((5, 6), "at most the 5 stars")],
)
def test_impossible_requests_are_refused(request_of, message):
    with pytest.raises(ValueError, match=message):
        Request(*request_of)


def test_impossible_mock_leaves_no_folder(tmp_path):
    with pytest.raises(ValueError, match="--spectra 6"):
        simulate(tmp_path / "mock", stars=5, spectra=6)
    assert not (tmp_path / "mock").exists()
