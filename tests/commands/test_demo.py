"""The demo as a user runs it, with few stars."""

import json

import numpy as np
import pytest
from astropy.table import Table

from bayes_ddp import cli
from bayes_ddp.catalog.fits import read_catalogue
from bayes_ddp.commands import demo
from bayes_ddp.inference.calibration import recovery


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A demo of three stars."""
    place = tmp_path_factory.mktemp("demo")
    cli.app(
        ["demo", str(place), "--stars", "3", "--json", "--quiet"], result_action="return_value"
    )
    return place


def test_demo_leaves_catalogue_draws_and_pictures(folder):
    output = folder / "output"
    assert len(read_catalogue(output / "catalogue.fits")) == 3
    assert list((output / "draws").glob("part-*.nc"))
    pictures = sorted(p.name for p in (output / "pictures").glob("*.png"))
    assert pictures == ["corner.png", "fit.png", "recovery.png"]


def test_truth_is_near_what_is_recovered(folder):
    """Not a gate on precision: ten times the paper's errors, on medians."""
    table = read_catalogue(folder / "output" / "catalogue.fits")
    truth = Table.read(folder / "output" / "simulated" / "truth.fits")
    np.testing.assert_array_equal(table["TARGETID"], truth["TARGETID"])
    gap = np.abs(np.asarray(table["TEFF_P50"]) - np.asarray(truth["TEFF"]))
    assert np.median(gap) < 500


def test_demo_stars_are_held_out_of_training(models):
    card = (models / "desi-physics" / "card.toml").read_text()
    import tomllib

    trained = set(tomllib.loads(card)["training"]["names"])
    held = set(tomllib.loads((models / "held-out" / "card.toml").read_text())["names"])
    assert held and not held & trained


def test_no_stars_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one star"):
        demo.demo(tmp_path, stars=0, seed=1, progress=lambda *_: None)


def test_recovery_counts_what_it_says():
    truth = np.zeros((4, 1))
    mean = np.array([[1.0], [-1.0], [3.0], [np.nan]])
    sd = np.array([[1.0], [1.0], [1.0], [1.0]])
    width = np.array([-2.0, -1.1, 1.1, 2.0])[:, None, None]
    (row,) = recovery(["teff"], truth, (mean, sd, mean + width))
    assert (row.stars, row.in_68, row.in_95) == (3, 2, 2)
    assert row.bias == pytest.approx(1.0) and row.z_scatter == pytest.approx(2.0)


def test_table_has_a_line_for_each_label():
    rows = recovery(
        ["teff", "feh"], np.zeros((3, 2)), (np.ones((3, 2)),) * 2 + (np.ones((4, 3, 2)),)
    )
    lines = demo.format_recovery(rows)
    assert len(lines) == 3 and json.dumps([row.row() for row in rows])
