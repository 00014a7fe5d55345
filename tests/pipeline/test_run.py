"""The straight line through files: chunks, order, interruption, odd targets, real files."""

import json
import subprocess
import sys

import numpy as np
import pytest
from astropy.table import Table

from bayes_ddp import cli, config
from bayes_ddp.catalog.fits import read_catalogue
from bayes_ddp.commands.demo import simulate_files
from bayes_ddp.files.errors import InputWarning
from bayes_ddp.flags import WARN
from bayes_ddp.inference.fit import BATCH, star_keys
from bayes_ddp.inference.parts import read_draws, read_part
from bayes_ddp.labels import LABELS
from bayes_ddp.pipeline import run as pipeline
from bayes_ddp.pipeline import work
from bayes_ddp.pipeline.plan import Task, groups, plan
from bayes_ddp.pipeline.work import fingerprint, load_task, open_run

STARS = 5


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """A folder with a simulated coadd of five stars, its velocities and its truth."""
    folder = tmp_path_factory.mktemp("simulated")
    simulate_files(folder, stars=STARS, seed=3)
    return folder


DESI = {"survey": "desi", "spectra": ["coadd-demo.fits"], "catalog": "rvs-demo.fits"}


def settings(folder, output, **changed):
    told = {
        "schema": 1,
        "input": DESI,
        "emulator": {"name": "desi-physics"},
        "output": {"directory": str(output)},
    }
    return config.parse(told | changed, source="test", base=folder)


@pytest.fixture(scope="module")
def finished(simulated, tmp_path_factory):
    """A run in tasks of two, in batches of the size that every run has."""
    output = tmp_path_factory.mktemp("finished")
    return pipeline.run(settings(simulated, output), rows=2)


QUICK = {"sampler": {"kind": "map"}}


@pytest.fixture(scope="module")
def quick(simulated, tmp_path_factory):
    """The same with the sampler ``map``, where parts and files are what is tested."""
    output = tmp_path_factory.mktemp("quick")
    return pipeline.run(settings(simulated, output, **QUICK), rows=2)


def test_every_spectrum_has_one_row_in_order(finished, simulated):
    table = read_catalogue(finished.path)
    truth = Table.read(simulated / "truth.fits")
    np.testing.assert_array_equal(table["TARGETID"], truth["TARGETID"])
    assert np.isfinite(np.asarray(table["TEFF_P50"])).all()
    assert {"SURVEY", "PROGRAM", "HEALPIX", "SRCFILE"} <= set(table.colnames)
    assert table.meta["CALSCALE"] == "LTE-1D uncalibrated" and table.meta["SEED"] == 1


def test_draws_are_kept_by_identifier(finished):
    draws = read_draws(finished.draws, finished.parts)
    assert list(draws["star"].values) == list(finished.table["SPECID"])
    median = draws["draws"].sel(param="teff").median("draw").values
    error = np.asarray(finished.table["TEFF_ERR"])
    gap = np.abs(median - np.asarray(finished.table["TEFF_P50"])) / error
    assert np.all(gap < 6 * 1.25 / np.sqrt(256))  # of the median of 256 draws
    assert set(draws.data_vars) == {
        "draws",
        "log_weight",
        "log_prior",
        "log_likelihood",
        "nuisance_velocity",
        *(f"nuisance_lsf_{arm}" for arm in "BRZ"),
    }


def test_one_compilation_serves_many_tasks(simulated, tmp_path, compilations):
    """Batches of three, a shape that no test before has: two tasks, one compilation each."""
    with compilations() as compiled:
        pipeline.run(settings(simulated, tmp_path), batch=3, rows=3)
    assert len(list((tmp_path / "draws").iterdir())) == 2
    heavy = [name for name in compiled if "_descend" in name or "_laplace" in name]
    assert sorted(heavy) == ["jit(_descend)", "jit(_laplace)"], compiled


def test_tasks_batches_and_order_do_not_matter(finished, simulated, tmp_path):
    """The sums of float32 pixels differ in order: agreement to a hundredth of an error.

    Chains are chaotic: where they were needed (a finite R-hat) to a third of one.
    """
    changed = {"targetid": [int(t) for t in finished.table["TARGETID"][[3, 1]]]}
    alone = pipeline.run(settings(simulated, tmp_path, input=DESI | changed), batch=3)
    assert len(alone.table) == 2
    for row in alone.table:
        (same,) = finished.table[finished.table["TARGETID"] == row["TARGETID"]]
        for label in LABELS:
            gap = abs(row[f"{label.column}_P50"] - same[f"{label.column}_P50"])
            limit = 0.01 if np.isnan(same["RHAT_MAX"]) else 0.3
            assert gap < limit * same[f"{label.column}_ERR"]


def test_interrupted_run_ends_with_the_same_bytes(finished, simulated, tmp_path):
    class StoppedError(Exception):
        pass

    def stop(what, done, total):
        if done >= 2:
            raise StoppedError

    run = settings(simulated, tmp_path)
    with pytest.raises(StoppedError):
        pipeline.run(run, rows=2, progress=stop)
    with pytest.raises(StoppedError):  # the first part may not have been written yet
        pipeline.run(run, rows=2, progress=lambda what, done, total: stop(what, done - 2, 0))
    assert not (tmp_path / "catalogue.fits").exists()
    (part, *_) = sorted((tmp_path / "draws").iterdir())
    written = part.stat().st_mtime_ns
    outcome = pipeline.run(run, rows=2)
    assert part.stat().st_mtime_ns == written  # read back, not fitted again
    assert outcome.path.read_bytes() == finished.path.read_bytes()


def test_damaged_part_is_fitted_again_and_foreign_files_stay(quick, simulated, tmp_path):
    parts = tmp_path / "draws"
    parts.mkdir()
    first = quick.parts[0].name
    (parts / first).write_bytes(b"no netCDF at all")
    stale = read_part(quick.parts[1])
    work.write_part(parts / "older-0123456789ab.nc", stale, draws=10)
    (parts / "notes.nc").write_bytes(b"the user's own")
    (parts / "readme.txt").write_text("the user's own")
    outcome = pipeline.run(settings(simulated, tmp_path, **QUICK), rows=2)
    assert outcome.path.read_bytes() == quick.path.read_bytes()
    left = {path.name for path in parts.iterdir()}
    assert left == {path.name for path in quick.parts} | {"notes.nc", "readme.txt"}


def test_one_more_file_fits_that_file_only(simulated, tmp_path):
    """The other parts keep their bytes and their time, whatever the order of the files."""
    more = tmp_path / "more"
    simulate_files(more, stars=2, seed=8)
    (more / "coadd-demo.fits").rename(simulated / "a-new-file.fits")
    run = settings(simulated, tmp_path / "out", **QUICK)
    before = pipeline.run(run, rows=2)
    times = {path.name: path.stat().st_mtime_ns for path in before.parts}
    table = DESI | {"spectra": ["a-new-file.fits", "coadd-demo.fits"]}
    with pytest.warns(InputWarning, match="4 spectra at different positions"):
        run = settings(simulated, tmp_path / "out", input=table, **QUICK)
        after = pipeline.run(run, rows=2)
    (simulated / "a-new-file.fits").unlink()
    assert len(after.table) == STARS + 2 and len(after.parts) == len(before.parts) + 1
    assert times.items() <= {p.name: p.stat().st_mtime_ns for p in after.parts}.items()
    assert list(after.table["SRCFILE"][:2]) == ["a-new-file.fits"] * 2
    doubled = np.asarray(after.table["WARN"]) & int(WARN.DOUBLED_ROW)
    assert doubled[:4].all() and not doubled[4:].any()  # the two files share two targets
    assert len(set(after.table["SPECID"])) == len(after.table)


def test_other_data_settings_or_code_make_other_parts(finished, simulated, tmp_path, monkeypatch):
    """Identifiers alone do not make a part valid: new noise under old names is a new part."""
    setup, (task, _) = finished.setup, finished.tasks[0]
    raw = load_task(setup, task)
    first = fingerprint(setup, raw)
    assert fingerprint(setup, raw) == first
    simulate_files(tmp_path / "other", stars=STARS, seed=4)
    other = open_run(settings(tmp_path / "other", tmp_path / "out"))
    again = load_task(other, plan(other.run, rows=2)[0])
    assert again.identifiers() == raw.identifiers()
    assert fingerprint(other, again) != first
    assert fingerprint(open_run(settings(simulated, tmp_path, seed=2)), raw) != first
    monkeypatch.setattr(work, "_code", lambda: "changed")
    assert fingerprint(open_run(settings(simulated, tmp_path)), raw) != first


def test_tasks_are_files_or_rows_of_them(simulated, tmp_path):
    run = settings(simulated, tmp_path)
    assert [(t.start, t.stop) for t in plan(run, rows=2)] == [(0, 2), (2, 4), (4, 5)]
    tasks = [Task(simulated, 0, n) for n in (1, 1, 3, 1)]
    assert [list(map(len, group)) for group in groups(tasks, rows=2)] == [[1, 1], [3], [1]]


def test_keys_belong_to_stars():
    keys = star_keys(1, "desi", ["a", "b", "c"])
    swapped = star_keys(1, "desi", ["c", "a"])
    assert (keys[0] == swapped[1]) and (keys[2] == swapped[0])
    assert star_keys(2, "desi", ["a"])[0] != keys[0]
    assert star_keys(1, "lamost", ["a"])[0] != keys[0]


def test_galaxies_get_rows_without_labels(data, tmp_path, capsys):
    """The two real coadds hold galaxies: the honest result is a sentence and empty rows."""
    folder = data / "desi_format"
    run = config.parse(
        {
            "schema": 1,
            "input": {
                "survey": "desi",
                "spectra": ["coadd-*.fits"],
                "redshifts": ["redrock-*.fits"],
            },
            "emulator": {"name": "desi-physics"},
            "output": {"directory": str(tmp_path)},
        },
        source="test",
        base=folder,
    )
    outcome = pipeline.run(run)
    assert len(outcome.table) == 2 and outcome.draws is None
    assert (np.asarray(outcome.table["WARN"]) & int(WARN.NOT_STAR)).all()
    assert np.isnan(np.asarray(outcome.table["TEFF"])).all()


def test_galaxies_are_fitted_on_request_and_cry_out(data, tmp_path):
    """Their redshifts are beyond 1500 km/s, so they are fitted at rest.

    The bright galaxy (S/N 6 per pixel) has POOR_CHI2. The other, of S/N 0.7, is as good as noise,
    and its errors say so.
    """
    folder = data / "desi_format"
    told = {
        "survey": "desi",
        "spectra": [str(p) for p in sorted(folder.glob("coadd-*"))],
        "redshifts": [str(p) for p in sorted(folder.glob("redrock-*"))],
        "spectype": "any",
    }
    outcome = pipeline.run(settings(tmp_path, tmp_path / "out", input=told))
    warn = np.asarray(outcome.table["WARN"])
    assert (warn & int(WARN.NOT_STAR)).all() and (warn & int(WARN.BAD_RV)).all()
    assert ((warn & int(WARN.POOR_CHI2)) != 0).tolist() == [True, False]
    assert outcome.table["CHI2_RED"][0] > 10
    assert outcome.table["TEFF_ERR"][1] > 400 and outcome.table["FEH_ERR"][1] > 0.3
    assert pipeline.figures(outcome)["no_star_not_fitted"] == 0


def test_a_file_of_many_tasks_is_read_once(finished, simulated, monkeypatch):
    run = settings(simulated, finished.path.parent)
    read, seen = work.read_file, []
    monkeypatch.setattr(work, "read_file", lambda run, path: seen.append(path) or read(run, path))
    setup = open_run(run)
    tasks = plan(run, rows=2)
    assert len(tasks) == 3
    for group in groups(tasks, rows=2):
        done = work.work(setup, group, finished.path.parent / "draws", batch=BATCH, progress=print)
        assert [d.task for d in done] == group
    assert len(seen) == 1


def test_only_spectra_above_minsn_are_fitted(finished, simulated, tmp_path):
    snr = np.asarray(finished.table["SNR_R"])
    limit = float(np.median(snr))
    run = settings(simulated, tmp_path, input=DESI | {"minsn": limit})
    (task,) = plan(run)
    chosen = load_task(open_run(run), task).columns["TARGETID"].tolist()
    assert chosen == list(finished.table["TARGETID"][snr >= limit])


@pytest.mark.parametrize(
    ("asked", "said"),
    [({"minsn": 1e4}, "no spectrum reaches S/N"), ({"targetid": [7]}, r"none of \[7\]")],
)
def test_selection_of_nothing_is_an_error(simulated, tmp_path, asked, said):
    with pytest.raises(ValueError, match=said):
        pipeline.run(settings(simulated, tmp_path, input=DESI | asked))


def test_real_lamost_star_has_labels_near_the_survey_s(data, tmp_path, capsys, monkeypatch):
    """An F9 star of S/N 71 in g; the survey's own label is good to 150 K."""
    file = data / "lamost_dr1" / "spec-55862-B6212_sp06-003.fits"
    words = ["fit", "--survey", "lamost", "--spectra", str(file), "--emulator", "lamost-physics"]
    words += ["--output", str(tmp_path / "out"), "--json", "--quiet", "--sampler", "map"]
    cli.app(words, result_action="return_value")
    figures = json.loads(capsys.readouterr().out)
    assert figures["rows"] == 1 and figures["fitted"] == 1
    (row,) = read_catalogue(tmp_path / "out" / "catalogue.fits")
    assert 5400 < row["TEFF"] < 6800 and row["TEFF_ERR"] < 200
    assert row["SRCFILE"] == file.name
    for name in ("fit.png", "corner.png"):
        assert (tmp_path / "out" / "pictures" / name).stat().st_size > 10_000


def test_file_that_is_none_is_one_sentence_and_a_failure(tmp_path):
    words = "fit --survey desi --spectra none.fits --emulator desi-physics --output out".split()
    done = subprocess.run(
        [sys.executable, "-c", "from bayes_ddp.cli import main; main()", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("bayes-ddp: ") and "none.fits" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("name", ["run", "fit", "demo", "info", "compare", "mismatch", "train"])
def test_help_of_every_command_teaches(name, capsys):
    cli.app([name, "--help"], result_action="return_value")
    assert len(capsys.readouterr().out.splitlines()) > 8


def test_table_of_the_run_file_describes_the_spectra(tmp_path):
    """From [input.table] to the problem: vacuum wavelengths, widths, velocities, no fit."""
    wave = np.arange(4000.0, 6000.0, 0.9)
    np.savez(tmp_path / "stars.npz", w=wave, f=np.ones((2, wave.size)), rv=[10.0, np.nan])
    told = {"wave": "w", "flux": "f", "air": True, "fwhm": 2.5, "vrad": "rv"}
    table = {"survey": "table", "spectra": ["stars.npz"], "table": told}
    run = settings(tmp_path, tmp_path, input=table)
    (task,) = plan(run)
    raw = load_task(open_run(run), task)
    assert raw.arms[0].wave[0] == pytest.approx(4001.13, abs=0.01)
    assert raw.warn.tolist() == [WARN.NO_ERRORS, WARN.NO_ERRORS | WARN.BAD_RV]
