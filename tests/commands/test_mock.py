"""The command that draws a mock: files, figures, pictures and its refusals."""

import json

import numpy as np
import pytest

from bayes_ddp.commands.mock import Request, simulate
from bayes_ddp.mock.draw import Settings


def test_mock_is_written_checked_and_drawn(tmp_path):
    told = []
    request = Request(400, check=True)
    figures, text = simulate(
        tmp_path, request, Settings(2), progress=lambda *row: told.append(row)
    )
    names = {path.name for path in tmp_path.iterdir()}
    assert {"mwsall-sim.fits", "photometry.fits", "truth.fits", "pictures"} <= names
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 5
    assert told[-1] == ("stars", 400, 400)
    assert figures["stars"] == figures["check"]["stars"] == 400
    assert np.isclose(sum(c["share"] for c in figures["check"]["components"].values()), 1)
    json.dumps(figures)
    assert "400 stars" in text and "paper" in text


@pytest.mark.parametrize(
    ("asked", "message"),
    [((0,), "--stars 0"), ((6_000_000,), "several seeds"), ((5, 6), "at most the 5 stars")],
)
def test_impossible_requests_are_refused(asked, message):
    with pytest.raises(ValueError, match=message):
        Request(*asked)
