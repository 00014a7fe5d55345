"""Options that select spectra have the same names in the run file, in ``run`` and in ``fit``."""

import json
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from bayes_ddp import cli, config
from bayes_ddp.cli.app import print_figures
from bayes_ddp.commands.terminal import no_star_sentence
from bayes_ddp.config import ConfigError
from bayes_ddp.spectra.table import Layout

WORDS = "--targetid 5 7 --minsn 12.5 --spectype any".split()


def write_run(folder, more=""):
    file = folder / "run.toml"
    file.write_text(
        f'schema = 1\n[input]\nsurvey = "desi"\nspectra = "a.fits"\n{more}'
        '[emulator]\nname = "desi-physics"\n[output]\ndirectory = "out"\n'
    )
    return file


@pytest.fixture
def built(monkeypatch, tmp_path):
    """Settings that commands would run, in the order of the commands."""
    runs = []
    monkeypatch.setattr("bayes_ddp.cli.fitting.run_settings", lambda run, **_: runs.append(run))
    monkeypatch.chdir(tmp_path)
    return runs


def test_options_are_the_words_of_the_run_file(built, tmp_path):
    cli.app(["run", str(write_run(tmp_path)), *WORDS], result_action="return_value")
    fit = "fit --survey desi --spectra a.fits --emulator desi-physics --output out".split()
    cli.app([*fit, *WORDS], result_action="return_value")
    words = 'targetid = [5, 7]\nminsn = 12.5\nspectype = "any"\n'
    assert built == 2 * [config.load(write_run(tmp_path, words))]
    assert built[0].input.targetid == (5, 7) and built[0].input.minsn == 12.5


def test_survey_is_recognised_from_the_first_file(built, tmp_path):
    np.savez(tmp_path / "a.npz", wave=np.arange(4000.0, 4010.0), flux=np.ones(10))
    header = fits.Header({"COEFF0": 3.57, "COEFF1": 1e-4, "CLASS": "STAR"})
    for name in ("spec-1.fits", "spec-2.fits"):
        fits.writeto(tmp_path / name, np.zeros((5, 10), np.float32), header)
    words = "--emulator lamost-physics --output out".split()
    cli.app(["fit", "--spectra", "spec-*.fits", *words], result_action="return_value")
    named = ["fit", "--survey", "lamost", "--spectra", "spec-*.fits", *words]
    cli.app(named, result_action="return_value")
    assert built[0] == built[1] and built[0].input.survey == "lamost"
    with pytest.raises(ConfigError, match=r"survey = 'table' and \[input.table\] do not go"):
        cli.app(["fit", "--spectra", "a.npz", *words], result_action="return_value")
    layout = ["--layout", "fwhm=2.5", "error=sigma", "vrad=rv"]
    cli.app(["fit", "--spectra", "a.npz", *layout, *words], result_action="return_value")
    assert built[2].input.survey == "table"
    assert built[2].input.table == Layout(air="header", fwhm=2.5, error="sigma", vrad="rv")
    cli.app(
        ["fit", "--spectra", "a.npz", *layout, "air=true", *words], result_action="return_value"
    )
    assert built[3].input.table == replace(built[2].input.table, air=True)
    assert config.parse(config.as_table(built[3]), source="again") == built[3]
    with pytest.raises(ValueError, match=r"--layout 'fwhm' is not KEY=VALUE"):
        cli.app(
            ["fit", "--spectra", "a.npz", "--layout", "fwhm", *words], result_action="return_value"
        )
    with pytest.raises(ValueError, match=r"No file matches 'none-\*.fits'"):
        cli.app(["fit", "--spectra", "none-*.fits", *words], result_action="return_value")


def test_options_replace_the_words_of_the_run_file_and_leave_the_others(built, tmp_path):
    file = write_run(tmp_path, 'minsn = 3\nspectype = "any"\n')
    cli.app(["run", str(file), "--minsn", "20"], result_action="return_value")
    cli.app(["run", str(file), "--skipexisting"], result_action="return_value")
    assert [run.input.minsn for run in built] == [20, 3]
    assert [run.input.spectype for run in built] == ["any", "any"]
    assert [run.input.skipexisting for run in built] == [False, True]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ('spectype = "QSO"\n', r"\[input\]: 'spectype'.*'STAR' or 'any', got 'QSO'"),
        ("minsn = -1\n", r"\[input\]: 'minsn'.*greater than or equal to 0"),
        ("minsn = nan\n", r"\[input\]: 'minsn'.*finite"),
        ("targetid = [9223372036854775808]\n", r"\[input\]: 'targetid.0'.*less than"),
        ("minsnr = 3\n", "Did you mean 'minsn'"),
    ],
)
def test_bad_word_is_refused(tmp_path, words, message):
    with pytest.raises(ConfigError, match=message):
        config.load(write_run(tmp_path, words))


def test_resolved_run_with_every_word_reads_back(tmp_path):
    words = 'targetid = [5]\nminsn = 1.5\nspectype = "any"\nskipexisting = true\n'
    run = config.load(write_run(tmp_path, words))
    (tmp_path / "again.toml").write_text(config.dump(run))
    assert config.load(tmp_path / "again.toml") == run


def test_existing_catalogue_is_left_alone_on_request(tmp_path, capsys):
    """The input does not exist: had the run been done, it would have failed."""
    file = write_run(tmp_path)
    catalogue = tmp_path / "out" / "catalogue.fits"
    catalogue.parent.mkdir()
    catalogue.write_bytes(b"mine")
    cli.app(["run", str(file), "--skipexisting"], result_action="return_value")
    told = capsys.readouterr().out
    assert str(catalogue) in told and "nothing was done" in told
    cli.app(["run", str(file), "--skipexisting", "--json"], result_action="return_value")
    assert json.loads(capsys.readouterr().out) == {"catalogue": str(catalogue), "skipped": True}
    assert catalogue.read_bytes() == b"mine"
    with pytest.raises(ValueError, match=r"a\.fits cannot be opened"):
        cli.app(["run", str(file)], result_action="return_value")
    catalogue.unlink()
    with pytest.raises(ValueError, match=r"a\.fits cannot be opened"):
        cli.app(["run", str(file), "--skipexisting"], result_action="return_value")


def test_what_happens_to_galaxies_is_one_sentence():
    assert "--spectype any" in no_star_sentence(3, "STAR")
    assert "all the same" in no_star_sentence(3, "any")


def test_figures_are_strict_json_whatever_they_hold(capsys):
    figures = {"bias": np.float64("nan"), "rows": (np.int64(3), [np.float32("inf")]), "name": "a"}
    print_figures(figures, "", as_json=True)
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {
        "bias": None,
        "rows": [3, [None]],
        "name": "a",
    }
