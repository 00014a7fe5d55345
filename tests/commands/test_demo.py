"""The demo as a user runs it, with few stars."""

import json
import tomllib

import numpy as np
import pytest
from astropy.table import Table

from bayes_ddp import cli, config
from bayes_ddp.catalog.fits import read_catalogue
from bayes_ddp.commands import demo
from bayes_ddp.inference.calibration import recovery
from bayes_ddp.inference.parts import find_parts
from bayes_ddp.labels import LABELS, label
from bayes_ddp.pipeline import run as pipeline

QUICK = demo.RUN.replace('kind = "exact"', 'kind = "map"')
STARS = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A demo of four stars by a run file that the folder had already."""
    place = tmp_path_factory.mktemp("demo")
    (place / "run.toml").write_text(QUICK)
    words = ["demo", str(place), "--stars", str(STARS), "--json", "--quiet"]
    cli.app(words, result_action="return_value")
    return place


@pytest.fixture(scope="module")
def truth(folder):
    """The labels [star label] of these stars."""
    table = Table.read(folder / "output" / "simulated" / "truth.fits")
    return np.stack([np.asarray(table[row.column]) for row in LABELS], axis=1)


def test_demo_leaves_catalogue_draws_and_pictures(folder):
    output = folder / "output"
    assert len(read_catalogue(output / "catalogue.fits")) == STARS
    assert len(find_parts(output / "draws")) == 1
    pictures = sorted(p.name for p in (output / "pictures").glob("*.png"))
    assert pictures == ["corner.png", "fit.png", "recovery.png"]


def test_run_file_that_is_there_is_the_one_that_runs(folder):
    assert (folder / "run.toml").read_text() == QUICK
    assert read_catalogue(folder / "output" / "catalogue.fits").meta["SAMPLER"] == "map"


def test_truth_is_near_what_is_recovered(folder, truth):
    """Not a gate on precision: ten times the paper's errors, on medians."""
    table = read_catalogue(folder / "output" / "catalogue.fits")
    simulated = Table.read(folder / "output" / "simulated" / "truth.fits")
    np.testing.assert_array_equal(table["TARGETID"], simulated["TARGETID"])
    assert np.median(np.abs(np.asarray(table["TEFF_P50"]) - truth[:, 0])) < 500


def test_recovery_is_that_of_the_catalogue_s_stars_without_a_warning(folder, truth):
    """The run is finished: only the parts are read again."""
    outcome = pipeline.run(config.load(folder / "run.toml"))
    table = outcome.table
    rows = demo.recovery_table(outcome, truth)
    assert [row.name for row in rows] == [label_.name for label_ in LABELS]
    for i, row in enumerate(rows):
        column = np.asarray(table[label(row.name).column])
        used = np.isfinite(column) & (np.asarray(table["WARN"]) == 0)
        gap = (column - truth[:, i])[used]
        assert row.stars == len(gap)
        if len(gap):
            assert row.bias == pytest.approx(gap.mean())
            error = np.asarray(table[f"{label(row.name).column}_ERR"])[used]
            assert row.z_bias == pytest.approx(np.mean(gap / error))
    assert rows[0].stars > 0


def test_demo_stars_are_held_out_of_training(models):
    card = (models / "desi-physics" / "card.toml").read_text()
    trained = set(tomllib.loads(card)["training"]["names"])
    held = set(tomllib.loads((models / "held-out" / "card.toml").read_text())["names"])
    assert held and not held & trained


def test_no_stars_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one star"):
        demo.demo(tmp_path, stars=0, seed=1, progress=lambda *_: None)


def test_run_file_that_keeps_no_draws_is_refused(tmp_path):
    (tmp_path / "run.toml").write_text(QUICK + "draws = false\n")
    with pytest.raises(ValueError, match="the recovery needs the draws"):
        demo.demo(tmp_path, stars=1, seed=1, progress=lambda *_: None)


def test_recovery_counts_what_it_says():
    truth = np.zeros((4, 1))
    mean = np.array([[1.0], [-1.0], [3.0], [np.nan]])
    width = np.array([-2.0, -1.1, 1.1, 2.0])[:, None, None]
    (row,) = recovery(["teff"], truth, mean, sd=np.ones((4, 1)), quantile=mean + width)
    assert (row.stars, row.in_68, row.in_95) == (3, 2, 2)
    assert row.bias == pytest.approx(1.0) and row.z_scatter == pytest.approx(2.0)
    assert np.isnan(row.z_total)
    (wider,) = recovery(
        ["teff"],
        truth,
        mean,
        sd=np.ones((4, 1)),
        quantile=mean + width,
        model_error=np.full((4, 1), 3**0.5),
    )
    assert wider.z_total == pytest.approx(1.0)


def test_table_has_a_line_for_each_label():
    ones = np.ones((3, 2))
    rows = recovery(["teff", "feh"], 0 * ones, ones, sd=ones, quantile=np.ones((4, 3, 2)))
    lines = demo.format_recovery(rows)
    assert len(lines) == 3 and json.dumps([row.row() for row in rows])
