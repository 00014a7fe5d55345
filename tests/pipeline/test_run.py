"""The straight line through files: chunks, order, interruption, odd targets, real files."""

import json
import subprocess
import sys

import numpy as np
import pytest

from bayes_ddp import cli, config
from bayes_ddp.catalog.fits import read_catalogue
from bayes_ddp.commands.demo import simulate_files
from bayes_ddp.flags import WARN
from bayes_ddp.inference.posterior import read_draws
from bayes_ddp.labels import LABELS
from bayes_ddp.pipeline import run as pipeline

STARS = 5


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """A folder with a simulated coadd of five stars, its velocities and its truth."""
    folder = tmp_path_factory.mktemp("simulated")
    simulate_files(folder, stars=STARS, seed=3)
    return folder


def settings(folder, output, **changed):
    told = {
        "schema": 1,
        "input": {
            "survey": "desi",
            "spectra": ["coadd-demo.fits"],
            "catalog": "rvs-demo.fits",
        },
        "emulator": {"name": "desi-physics"},
        "output": {"directory": str(output)},
    }
    return config.parse(told | changed, source="test", base=folder)


@pytest.fixture(scope="module")
def finished(simulated, tmp_path_factory):
    """(setup, outcome) of a run in chunks of two."""
    output = tmp_path_factory.mktemp("finished")
    return pipeline.run(settings(simulated, output), chunk=2)


def test_every_spectrum_has_one_row_in_order(finished):
    setup, outcome = finished
    table = read_catalogue(outcome.path)
    np.testing.assert_array_equal(table["TARGETID"], setup.raw.columns["TARGETID"])
    assert np.isfinite(np.asarray(table["TEFF_P50"])).all()
    assert {"SURVEY", "PROGRAM", "HEALPIX", "SRCFILE"} <= set(table.colnames)
    assert table.meta["CALSCALE"] == "LTE-1D uncalibrated" and table.meta["SEED"] == 1


def test_draws_are_kept_by_identifier(finished):
    setup, outcome = finished
    draws = read_draws(outcome.draws)
    assert list(draws["star"].values) == setup.raw.identifiers()
    median = draws["draws"].sel(param="teff").median("draw").values
    np.testing.assert_allclose(median, np.asarray(outcome.table["TEFF_P50"]), rtol=1e-3)


def test_one_compilation_serves_many_chunks(simulated, tmp_path, compilations):
    """Chunks of three, a shape that no other test has: two chunks, one compilation each."""
    with compilations() as compiled:
        pipeline.run(settings(simulated, tmp_path), chunk=3)
    assert len(list((tmp_path / "draws").iterdir())) == 2
    heavy = [name for name in compiled if "_descend" in name or "_laplace" in name]
    assert sorted(heavy) == ["jit(_descend)", "jit(_laplace)"], compiled


def test_chunk_size_and_order_do_not_matter(finished, simulated, tmp_path):
    """The sums of float32 pixels differ in order: agreement to a hundredth of an error.

    Chains are chaotic: where they were needed (a finite R-hat) to a third of one.
    """
    _, outcome = finished
    other = settings(simulated, tmp_path, input={
        "survey": "desi", "spectra": ["coadd-demo.fits"], "catalog": "rvs-demo.fits",
        "targetid": [int(t) for t in outcome.table["TARGETID"][[3, 1]]],
    })  # fmt: skip
    _, alone = pipeline.run(other, chunk=2)
    for row in alone.table:
        (same,) = outcome.table[outcome.table["TARGETID"] == row["TARGETID"]]
        for label in LABELS:
            gap = abs(row[f"{label.column}_P50"] - same[f"{label.column}_P50"])
            limit = 0.01 if np.isnan(same["RHAT_MAX"]) else 0.3
            assert gap < limit * same[f"{label.column}_ERR"]


def test_interrupted_run_ends_with_the_same_bytes(finished, simulated, tmp_path):
    class StoppedError(Exception):
        pass

    def stop(what, done, total):
        if done == 2:
            raise StoppedError

    run = settings(simulated, tmp_path)
    with pytest.raises(StoppedError):
        pipeline.run(run, chunk=2, progress=stop)
    assert not (tmp_path / "catalogue.fits").exists()
    part = tmp_path / "draws" / "part-00000.nc"
    written = part.stat().st_mtime_ns
    _, outcome = pipeline.run(run, chunk=2)
    assert part.stat().st_mtime_ns == written  # read back, not fitted again
    _, whole = finished
    assert outcome.path.read_bytes() == whole.path.read_bytes()


def test_damaged_or_foreign_part_is_fitted_again(finished, simulated, tmp_path):
    run = settings(simulated, tmp_path)
    parts = tmp_path / "draws"
    parts.mkdir()
    (parts / "part-00000.nc").write_bytes(b"no netCDF at all")
    (parts / "part-00009.nc").write_bytes(b"left by an older, longer run")
    _, outcome = pipeline.run(run, chunk=2)
    assert outcome.path.read_bytes() == finished[1].path.read_bytes()
    assert sorted(p.name for p in parts.iterdir()) == [f"part-0000{i}.nc" for i in range(3)]


def test_other_data_of_the_same_targets_are_fitted_again(finished, simulated, tmp_path):
    """Identifiers alone do not make a part valid: new noise under old names is a new run."""
    setup, _ = finished
    first = pipeline._identity(setup, 2)
    other = tmp_path / "other"
    simulate_files(other, stars=STARS, seed=4)
    again = pipeline.open_run(settings(other, tmp_path / "out"))
    assert again.raw.identifiers() == setup.raw.identifiers()
    assert pipeline._identity(again, 2) != first


def test_chunks_of_other_code_are_fitted_again(finished, monkeypatch):
    setup, _ = finished
    first = pipeline._identity(setup, 2)
    assert pipeline._identity(setup, 2) == first
    monkeypatch.setattr(pipeline, "_code", lambda: "changed")
    assert pipeline._identity(setup, 2) != first


def test_keys_belong_to_stars():
    keys = pipeline.star_keys(1, "desi", ["a", "b", "c"])
    swapped = pipeline.star_keys(1, "desi", ["c", "a"])
    assert (keys[0] == swapped[1]) and (keys[2] == swapped[0])
    assert pipeline.star_keys(2, "desi", ["a"])[0] != keys[0]
    assert pipeline.star_keys(1, "lamost", ["a"])[0] != keys[0]


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
    _, outcome = pipeline.run(run)
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
    setup, outcome = pipeline.run(settings(tmp_path, tmp_path / "out", input=told), chunk=2)
    warn = np.asarray(outcome.table["WARN"])
    assert (warn & int(WARN.NOT_STAR)).all() and (warn & int(WARN.BAD_RV)).all()
    assert ((warn & int(WARN.POOR_CHI2)) != 0).tolist() == [True, False]
    assert outcome.table["CHI2_RED"][0] > 10
    assert outcome.table["TEFF_ERR"][1] > 400 and outcome.table["FEH_ERR"][1] > 0.3
    assert pipeline.figures(setup, outcome)["no_star_not_fitted"] == 0


def test_only_spectra_above_minsn_are_fitted(finished, simulated, tmp_path):
    snr = np.asarray(finished[1].table["SNR_R"])
    told = {"survey": "desi", "spectra": ["coadd-demo.fits"], "catalog": "rvs-demo.fits"}
    limit = float(np.median(snr))
    setup = pipeline.open_run(settings(simulated, tmp_path, input=told | {"minsn": limit}))
    assert setup.raw.columns["TARGETID"].tolist() == list(
        finished[1].table["TARGETID"][snr >= limit]
    )


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
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
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
    setup = pipeline.open_run(
        settings(tmp_path, tmp_path,
                 input={"survey": "table", "spectra": ["stars.npz"], "table": told})
    )  # fmt: skip
    assert setup.raw.arms[0].wave[0] == pytest.approx(4001.13, abs=0.01)
    assert setup.raw.warn.tolist() == [WARN.NO_ERRORS, WARN.NO_ERRORS | WARN.BAD_RV]
    assert setup.problem.lsf_sd == 0.05
