"""The pictures of a run: which star they show, and that they are written for every kind of run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from bayes_ddp import config
from bayes_ddp.commands import pictures
from bayes_ddp.commands.demo import simulate_files
from bayes_ddp.flags import WARN
from bayes_ddp.pipeline import run as pipeline


def stars(**changed):
    """Four fitted stars alike but for what is changed; a G dwarf with an S/N of 70 each."""
    columns = {
        "TEFF": np.full(4, 5300.0),
        "TEFF_P50": np.full(4, 5300.0),
        "FEH": np.full(4, -0.2),
        "FEH_P50": np.full(4, -0.2),
        "MG_FE": np.full(4, 0.1),
        "C_FE": np.full(4, 0.1),
        "CHI2": np.full(4, 1000.0),
        "SNR_B": np.full(4, 40.0),
        "SNR_R": np.full(4, 70.0),
        "WARN": np.zeros(4, np.int64),
    }
    return Table(columns | {name: np.array(values) for name, values in changed.items()})


@pytest.mark.parametrize(
    ("changed", "row"),
    [
        ({"CHI2": [np.nan, np.nan, 9.0, np.nan]}, 2),
        ({"MG_FE": [np.nan, np.nan, np.nan, 0.0]}, 3),
        ({"WARN": [int(WARN.POOR_CHI2), 0, 4, 8]}, 1),
        ({"WARN": [0, 1, 1, 1], "MG_FE": [np.nan, 0, 0, 0], "C_FE": [np.nan, 0, 0, 0]}, 0),
        ({"TEFF_P50": [6800.0, 6800.0, 5300.0, 6800.0]}, 2),
        ({"FEH_P50": [-2.0, -2.0, -2.0, -0.3]}, 3),
        ({"SNR_R": [70.0, 71.0, 300.0, 72.0]}, 3),
        ({"SNR_R": [np.nan, 60.0, np.nan, np.nan]}, 1),
    ],
)
def test_star_that_is_shown_is_fitted_clean_usual_and_has_most_labels(changed, row):
    assert pictures.instructive_star(stars(**changed)) == row


def test_no_star_is_shown_where_none_was_fitted():
    assert pictures.instructive_star(stars(CHI2=np.full(4, np.nan))) is None


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """A quick run of three simulated stars."""
    folder = tmp_path_factory.mktemp("pictures")
    simulate_files(folder, stars=3, seed=2)
    table = {
        "schema": 1,
        "input": {"survey": "desi", "spectra": ["coadd-demo.fits"], "catalog": "rvs-demo.fits"},
        "emulator": {"name": "desi-physics"},
        "sampler": {"kind": "map"},
        "output": {"directory": "out"},
    }
    return pipeline.run(config.parse(table, source="test", base=folder))


def moved(outcome, folder):
    """The same outcome with pictures in another folder."""
    return replace(outcome, path=Path(folder) / "catalogue.fits")


def is_png(path):
    return path.read_bytes()[:4] == b"\x89PNG"


def test_fit_and_corner_of_one_star_are_drawn(outcome, tmp_path):
    truth = np.full((3, 15), np.nan)
    written = pictures.draw(moved(outcome, tmp_path), truth)
    assert [path.name for path in written] == ["fit.png", "corner.png"]
    assert all(is_png(path) for path in written)


def test_run_that_keeps_no_draws_has_a_fit_and_no_corner(outcome, tmp_path):
    written = pictures.draw(replace(moved(outcome, tmp_path), draws=None, parts=()))
    assert [path.name for path in written] == ["fit.png"]


def test_corner_needs_two_labels_that_vary(outcome, tmp_path, monkeypatch):
    """A run may hold all labels but one fixed; its other pictures are still drawn."""
    monkeypatch.setattr(pictures.public, "measured", lambda posterior, star: ["teff"])
    written = pictures.draw(moved(outcome, tmp_path))
    assert [path.name for path in written] == ["fit.png"]


def test_run_without_a_fitted_star_has_no_pictures(outcome, tmp_path):
    table = outcome.table.copy()
    table["CHI2"] = np.nan
    assert pictures.draw(replace(moved(outcome, tmp_path), table=table)) == []
    assert not list(tmp_path.iterdir())


def test_recovery_is_drawn_with_a_panel_for_each_label(tmp_path):
    some = np.ones((3, 2))
    path = pictures.draw_recovery(
        0 * some,
        some,
        some,
        published=some > 0,
        names=("teff", "feh"),
        to=tmp_path / "a" / "r.png",
    )
    assert is_png(path)
