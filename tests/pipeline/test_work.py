"""From the run file to the fit: rows, settings and fingerprint of a task; no star is fitted."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bayes_ddp import config
from bayes_ddp.emulator.card import load_emulator, read_card, write_model
from bayes_ddp.emulator.error import write_mismatch
from bayes_ddp.pipeline import work
from bayes_ddp.pipeline.plan import plan
from bayes_ddp.pipeline.work import Setup, fingerprint, load_task, open_run
from bayes_ddp.spectra.raw import RawSpectra

STARS = 5
WAVE = np.arange(4000.0, 6000.0, 0.9)
LAYOUT = {"air": False, "fwhm": 2.5, "ivar": "ivar", "name": "star", "vrad": "rv"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table of five stars."""
    path, rng = tmp_path_factory.mktemp("stars"), np.random.default_rng(1)
    flux = rng.uniform(0.9, 1.1, (STARS, WAVE.size))
    names, rv = np.array([f"star {i}" for i in range(STARS)]), rng.normal(0, 50, STARS)
    np.savez(path / "stars.npz", wave=WAVE, flux=flux, ivar=1e4 * flux, star=names, rv=rv)
    return path


Open = Callable[..., Setup]


@pytest.fixture(scope="module")
def opened(folder: Path) -> Open:
    """Opens the run of these stars: (tables of the run file to change)."""

    def make(**changed: Any) -> Setup:
        told = {
            "schema": 1,
            "input": {"survey": "table", "spectra": ["stars.npz"], "table": LAYOUT},
            "emulator": {"name": "desi-physics"},
        }
        return open_run(config.parse(told | changed, source="test", base=folder))

    return make


@pytest.fixture(scope="module")
def raw(opened: Open) -> RawSpectra:
    setup = opened()
    (task,) = plan(setup.run)
    return load_task(setup, task)


def test_tasks_of_a_file_have_its_rows_in_order(opened: Open, folder: Path) -> None:
    setup = opened()
    parts = [load_task(setup, task) for task in plan(setup.run, rows=2)]
    assert [len(part) for part in parts] == [2, 2, 1]
    names = [name for part in parts for name in part.identifiers()]
    assert names == [f"star {i}" for i in range(STARS)]
    flux = np.concatenate([part.arms[0].flux for part in parts])
    given = np.load(folder / "stars.npz")["flux"]
    np.testing.assert_allclose(flux / flux[0, 0], given / given[0, 0], rtol=1e-6)


@pytest.mark.parametrize("field", ["wave", "flux", "ivar", "fwhm"])
def test_other_pixels_make_another_part(opened: Open, raw: RawSpectra, field: str) -> None:
    (arm,) = raw.arms
    values = np.array(getattr(arm, field))
    values[..., -1] *= 1.0001
    other = replace(raw, arms=(replace(arm, **{field: values}),))
    assert fingerprint(opened(), other) != fingerprint(opened(), raw)


@pytest.mark.parametrize("field", ["vrad", "vrad_err", "ebv", "warn"])
def test_other_values_of_a_star_make_another_part(
    opened: Open, raw: RawSpectra, field: str
) -> None:
    values = np.nan_to_num(getattr(raw, field))
    values[-1] += 1
    assert fingerprint(opened(), replace(raw, **{field: values})) != fingerprint(opened(), raw)


def test_other_columns_make_another_part(opened: Open, raw: RawSpectra) -> None:
    marks = {fingerprint(opened(), raw)}
    for value in (1.0, 2.0):
        columns = raw.columns | {"OWN": np.full(len(raw), value)}
        marks.add(fingerprint(opened(), replace(raw, columns=columns)))
    assert len(marks) == 3


SETTINGS: dict[str, dict[str, Any]] = {
    "seed": {"seed": 2},
    "sampler": {"sampler": {"kind": "exact", "draws": 100}},
    "nuisance": {"nuisance": {"lsf": 0.07}},
    "prior": {"prior": {"vmic": {"kind": "fixed", "value": 1.2}}},
    "emulator": {"emulator": {"name": "lamost-physics"}},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_other_settings_make_another_part(opened: Open, raw: RawSpectra, name: str) -> None:
    assert fingerprint(opened(**SETTINGS[name]), raw) != fingerprint(opened(), raw)


def test_other_mismatch_makes_another_part(
    opened: Open, raw: RawSpectra, models: Path, tmp_path: Path
) -> None:
    """It stands beside the weights, whose checksum does not change with it."""
    folder = models / "desi-physics"
    emulator = load_emulator(folder)
    write_model(tmp_path, emulator, read_card(folder))
    changed = {"emulator": {"name": str(tmp_path)}, "nuisance": {"mismatch": True}}
    marks = set()
    for level in (0.01, 0.02):
        write_mismatch(tmp_path, np.full(len(emulator.wave), level), {})
        marks.add(fingerprint(opened(**changed), raw))
    assert len(marks) == 2
    write_mismatch(tmp_path, None, {"label_error": {"all": [0.1]}})
    assert fingerprint(opened(**changed), raw) not in marks  # bits of WARN depend on it


def test_settings_of_the_run_file_are_those_of_the_fit(
    opened: Open, raw: RawSpectra, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = {name: table for one in SETTINGS.values() for name, table in one.items()}
    setup, seen = opened(**tables), {}

    def fit(spectra: RawSpectra, emulator: Any, **options: Any) -> None:
        seen.update(options, spectra=spectra, emulator=emulator)

    monkeypatch.setattr(work, "fit", fit)
    work._fit(setup, raw, batch=7, progress=lambda stars: None)
    assert seen["spectra"] is raw and seen["emulator"] is setup.emulator
    assert seen["sampler"] == setup.run.sampler and seen["sampler"].draws == 100
    assert seen["nuisance"] == setup.run.nuisance and seen["nuisance"].lsf == 0.07
    assert seen["priors"] == setup.run.prior and seen["priors"]["vmic"].value == 1.2
    assert (seen["seed"], seen["batch"], seen["fatal"]) == (2, 7, setup.fatal)
