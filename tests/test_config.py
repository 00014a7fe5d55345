"""Run files: strict, with the nearest known word, and the same object by every road."""

import tomllib
from pathlib import Path

import pytest

from bayes_ddp import config
from bayes_ddp.cli import app
from bayes_ddp.commands.demo import RUN
from bayes_ddp.config import ConfigError
from bayes_ddp.inference.prior import Fixed, Uniform
from bayes_ddp.inference.samplers import Exact, Nuts


def table(**changed):
    return {
        "schema": 1,
        "input": {"survey": "lamost", "spectra": ["a.fits"]},
        "emulator": {"name": "lamost-physics"},
    } | changed


def parse(base=Path("/runs"), **changed):
    return config.parse(table(**changed), source="run.toml", base=base)


def test_defaults_are_the_shipped_ones():
    run = parse()
    assert run.sampler == Exact() and run.seed == 1 and not run.prior and run.nuisance.velocity


def test_paths_resolve_from_the_run_file(tmp_path):
    (tmp_path / "spec-1.fits").touch()
    (tmp_path / "spec-2.fits").touch()
    file = tmp_path / "run.toml"
    file.write_text(
        'schema = 1\n[input]\nsurvey = "lamost"\nspectra = "spec-*.fits"\n'
        '[emulator]\nname = "x"\n[output]\ndirectory = "there"\n'
    )
    run = config.load(file)
    assert run.input.spectra == tuple(str(tmp_path / f"spec-{i}.fits") for i in (1, 2))
    assert run.output.directory == str(tmp_path / "there")


def test_misspelt_option_names_the_nearest_one():
    with pytest.raises(ConfigError, match=r"\[sampler\].*'num_warmpu'.*Did you mean 'num_warmup'"):
        parse(sampler={"kind": "nuts", "num_warmpu": 100})
    with pytest.raises(ConfigError, match=r"\[prior\].*'tef'.*'teff'"):
        parse(prior={"tef": {"kind": "fixed", "value": 5000.0}})
    with pytest.raises(ConfigError, match=r"'samplr' is not an option. Did you mean 'sampler'"):
        parse(samplr={"kind": "nuts"})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"schema": 2}, "schema = 2, and this version reads schema = 1"),
        ({"input": {"survey": "lamost"}}, "names no file"),
        (
            {"input": {"survey": "apogee", "spectra": ["a"]}},
            r"\[input\]: 'survey': 'apogee' is not a survey\. Surveys: \['desi', .*'table'\]\.$",
        ),
        ({"input": {"survey": "lamots", "spectra": ["a"]}}, r"\. Did you mean 'lamost'\?"),
        ({"input": {"survey": 3, "spectra": ["a"]}}, r"\[input\]: 'survey'"),
        ({"input": {"spectra": ["a"]}}, r"\[input\]: 'survey': Field required\.$"),
        ({"sampler": {"kind": "nutz"}}, "Did you mean 'nuts'"),
        ({"prior": {"feh": {"kind": "uniform", "low": 1.0, "high": 0.0}}}, "not below"),
        ({"prior": {"feh": {"kind": "normal", "mean": 0.0, "sd": -1.0}}}, r"\[prior.feh\]: 'sd'"),
        ({"nuisance": {"lsf": -0.1}}, r"\[nuisance\]: 'lsf'"),
        ({"seed": -1}, "'seed'"),
        ({"sampler": 3}, "expected a table"),
    ],
)
def test_bad_value_is_refused_with_its_place(changed, message):
    with pytest.raises(ConfigError, match=message):
        parse(**changed)


def test_missing_table_and_missing_file_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"\[emulator\] is missing"):
        config.parse({"schema": 1, "input": {}}, source="run.toml", base=tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("schema = = 1")
    with pytest.raises(ConfigError, match="not valid TOML"):
        config.load(tmp_path / "bad.toml")


def test_resolved_run_reads_back_to_an_equal_run(tmp_path):
    run = parse(
        base=tmp_path,
        prior={
            "vmic": {"kind": "fixed", "value": 1.5},
            "feh": {"kind": "uniform", "low": -2.0, "high": 0.0},
        },
        sampler={"kind": "nuts", "chains": 2},
        nuisance={"velocity": False, "lsf": 0.05},
        seed=7,
    )
    assert run.prior == {"vmic": Fixed(1.5), "feh": Uniform(-2.0, 0.0)}
    assert run.sampler == Nuts(chains=2)
    file = tmp_path / "resolved.toml"
    file.write_text(config.dump(run))
    assert config.load(file) == run


def test_flags_of_fit_build_the_object_of_a_run_file(tmp_path, monkeypatch):
    """``bayes-ddp fit`` is stopped where it would run; what it built is compared."""
    built = []
    monkeypatch.setattr("bayes_ddp.cli.fitting.run_settings", lambda run, **_: built.append(run))
    monkeypatch.chdir(tmp_path)
    words = "fit --survey lamost --spectra a.fits b.fits --emulator lamost-physics --output out"
    app([*words.split(), "--sampler", "nuts", "--seed", "3"], result_action="return_value")
    file = tmp_path / "run.toml"
    file.write_text(
        'schema = 1\nseed = 3\n[input]\nsurvey = "lamost"\nspectra = ["a.fits", "b.fits"]\n'
        '[emulator]\nname = "lamost-physics"\n[sampler]\nkind = "nuts"\n'
        '[output]\ndirectory = "out"\n'
    )
    assert built == [config.load(file)]


def test_run_file_of_the_demo_is_the_one_in_the_clone(root):
    assert (root / "runs" / "demo" / "run.toml").read_text() == RUN


TABLE = {"air": True, "fwhm": 2.5, "error": "sigma", "vrad": "rv"}


def with_table(**changed):
    return {"input": {"survey": "table", "spectra": ["a.npz"], "table": TABLE | changed}}


def test_table_of_ones_own_survives_a_round_trip():
    run = parse(**with_table())
    assert run.input.table.wave == "wave" and run.input.table.vrad == "rv"
    again = config.parse(tomllib.loads(config.dump(run)), source="again", base=Path("/other"))
    assert again == run


def test_table_and_survey_go_together():
    with pytest.raises(ConfigError, match=r"\[input.table\]: 'errors' .* Did you mean 'error'"):
        parse(**with_table(errors="sigma"))
    with pytest.raises(ConfigError, match=r"\[input.table\]: give 'ivar' or 'error', not both\."):
        parse(**with_table(ivar="ivar"))
    with pytest.raises(ConfigError, match=r"\[input.table\]: 'air': Field required"):
        parse(input={"survey": "table", "spectra": ["a.npz"], "table": {"fwhm": 2.5}})
    for survey, more in (("lamost", {"table": TABLE}), ("table", {})):
        with pytest.raises(ConfigError, match=rf"survey = '{survey}' and \[input.table\] do not"):
            parse(input={"survey": survey, "spectra": ["a.npz"], **more})


def test_shipped_run_of_miles_is_a_run(root):
    run = config.load(root / "runs" / "miles" / "run.toml")
    assert run.input.table.air and run.input.table.ivar is run.input.table.error is None
