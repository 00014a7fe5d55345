"""The steps of a run: parts in, distances.fits and orbits.fits out, the same when repeated."""

import hashlib
import tomllib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table

from bayes_ddp import config
from bayes_ddp.catalog.fits import read_catalogue, write_catalogue
from bayes_ddp.commands.run_steps import check_steps, run_steps
from bayes_ddp.files.errors import OutputError
from bayes_ddp.flags import WARN
from bayes_ddp.galaxy.draws import read_distance_draws, read_orbit_draws
from bayes_ddp.inference.parts import Part, write_part
from bayes_ddp.inference.posterior import Posterior, blank
from bayes_ddp.pipeline.merge import merge
from bayes_ddp.pipeline.run import Outcome

NAMES = ("teff", "logg", "vmic", "feh", "mg_fe", "si_fe", "ca_fe")
SD = np.array([60.0, 0.08, 0.1, 0.05, 0.04, 0.04, 0.04])
SUN = np.array([5772.0, 4.44, 1.0, 0.0, 0.0, 0.0, 0.0])
PRIOR_SD = np.array([1000.0, 1.0, 0.5, 0.7, 0.3, 0.3, 0.3])
UNFITTED = 2
PER_PART = 3


def posterior_of(ids: list[str]) -> Posterior:
    """Suns; the third star of a part was not fitted."""
    rng, stars = np.random.default_rng(3), len(ids)
    draws = SUN + SD * rng.standard_normal((256, stars, len(NAMES)))
    empty = blank(NAMES, np.array(ids), ("B",), number=256)
    mean = np.repeat(SUN[None], stars, axis=0)
    covariance = np.repeat(np.diag(SD**2)[None], stars, axis=0)
    for values in (draws.swapaxes(0, 1), mean, covariance):
        values[UNFITTED] = np.nan
    warn = np.where(np.arange(stars) == UNFITTED, int(WARN.NODATA), 0)
    return replace(
        empty,
        draws=draws,
        nuisances={"velocity": rng.normal(0, 1, (256, stars)), "lsf_B": np.ones((256, stars))},
        mean=mean,
        mode=mean,
        covariance=covariance,
        prior_mean=np.repeat(SUN[None], stars, axis=0),
        prior_covariance=np.repeat(np.diag(PRIOR_SD**2)[None], stars, axis=0),
        chi2=np.where(warn, np.nan, 900.0),
        pixels=np.full(stars, 1000),
        velocity=np.tile([0.0, 1.0], (stars, 1)),
        lsf=np.ones((stars, 1)),
        warn=warn,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two parts of three stars, and Gaia's table of them all: Suns at 0.5 kpc."""
    folder = tmp_path_factory.mktemp("steps")
    (folder / "output" / "draws").mkdir(parents=True)
    for number in range(2):
        ids = [f"{100 + PER_PART * number + i}" for i in range(PER_PART)]
        part = Part(
            survey="desi",
            key="SPECID",
            columns={"TARGETID": np.array(ids, int), "SPECID": np.array(ids)},
            vrad=np.full(PER_PART, 20.0),
            vrad_err=np.full(PER_PART, 1.0),
            ebv=np.full(PER_PART, 0.02),
            snr=np.full((PER_PART, 1), 50.0),
            posterior=posterior_of(ids),
            fingerprint=str(number),
        )
        path = folder / "output" / "draws" / f"file-{number}-{'0' * 11}{number}.nc"
        write_part(path, part, draws=256)
    stars = 2 * PER_PART
    modulus = 5 * np.log10(500) - 5
    table = Table({"TARGETID": 100 + np.arange(stars)})
    table["ra"], table["dec"] = np.linspace(10, 200, stars), np.full(stars, 40.0)
    for column, magnitude in (("phot_g", 4.65), ("phot_bp", 4.96), ("phot_rp", 4.18)):
        table[f"{column}_mean_mag"] = np.full(stars, magnitude + modulus)
    table["parallax"], table["parallax_error"] = np.full(stars, 2.0), np.full(stars, 0.05)
    table["parallax_zero_point"] = np.zeros(stars)
    for name in ("pmra", "pmdec"):
        table[name], table[f"{name}_error"] = np.full(stars, 5.0), np.full(stars, 0.05)
    table["ebv"] = np.full(stars, 0.02)
    table[::-1].write(folder / "gaia.fits")
    return folder


def settings_of(folder: Path, *, pictures: bool = False, **orbit) -> config.Run:
    (folder / "coadd.fits").touch()
    table = {
        "schema": 1,
        "input": {"survey": "desi", "spectra": ["coadd.fits"], "catalog": "coadd.fits"},
        "emulator": {"name": "desi-physics"},
        "output": {"directory": "output", "pictures": pictures},
        "distance": {"photometry": "gaia.fits"},
        "orbit": {"check": 2, "box": {"disc": {"ecc": [0.0, 0.5]}}} | orbit,
    }
    return config.parse(table, source="run.toml", base=folder)


def steps(folder: Path, **orbit):
    run = settings_of(folder, **orbit)
    parts = tuple(sorted((folder / "output" / "draws").glob("*.nc")))
    table, _ = merge(parts)
    path = folder / "output" / "catalogue.fits"
    write_catalogue(table, path, {})
    outcome = Outcome(SimpleNamespace(run=run), table, path, parts[0].parent, parts, ())
    return run_steps(outcome, progress=lambda *_: None)


@pytest.fixture(scope="module")
def made(folder):
    figures, lines = steps(folder, pictures=True)
    output = folder / "output"
    return (
        figures,
        lines,
        read_catalogue(output / "distances.fits"),
        read_catalogue(output / "orbits.fits"),
    )


def digests(folder: Path) -> dict[str, str]:
    output = folder / "output"
    files = [*output.glob("*.fits"), *output.glob("distance/*"), *output.glob("orbit/*")]
    return {p.name + p.parent.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_rows_of_the_steps_are_those_of_the_catalogue(made):
    """Distances within 4 errors of 0.5 kpc: fails once in 16,000 per star."""
    figures, lines, distances, orbits = made
    assert distances["TARGETID"].tolist() == orbits["TARGETID"].tolist() == list(range(100, 106))
    fitted = np.arange(6) % PER_PART != UNFITTED
    away = np.log(distances["DIST_P50"] / 0.5) / distances["LNDIST_ERR"]
    assert (np.abs(away)[fitted] < 4).all() and np.isnan(away[~fitted]).all()
    assert (np.asarray(orbits["J_PHI_P50"])[fitted] > 1500).all()
    assert (np.asarray(orbits["P_DISC"])[fitted] > 0.99).all()
    missing = int(WARN.NO_DISTANCE | WARN.NODATA)
    assert (np.asarray(distances["WARN"])[~fitted] == missing).all()
    assert (np.asarray(orbits["WARN"])[~fitted] & int(WARN.NO_ORBIT)).all()
    assert figures["with_distance"] == figures["with_orbit"] == 4
    assert any("orbits.png" in line for line in lines)


def test_draws_of_distance_and_orbit_are_aligned_with_those_of_the_labels(made, folder):
    output = folder / "output"
    for path in sorted((output / "distance").glob("*.nc")):
        distance = read_distance_draws(path)
        orbit = read_orbit_draws(output / "orbit" / path.name)
        assert distance.labels.shape == (256, PER_PART, len(NAMES))
        assert orbit["ecc"].shape == distance["dist"].shape == (256, PER_PART)
        assert np.nanmedian(distance["vrad"]) == pytest.approx(
            20, abs=0.3
        )  # 1 / sqrt(512) is 0.04


def test_a_repeated_step_gives_the_same_bytes_and_computes_nothing(made, folder, monkeypatch):
    before = digests(folder)
    monkeypatch.setattr("bayes_ddp.commands.distance_models.distances_of", None)
    monkeypatch.setattr("bayes_ddp.commands.run_steps.orbits_and_accuracy", None)
    steps(folder)
    assert digests(folder) == before


def test_another_setting_of_orbits_leaves_the_distances(made, folder, monkeypatch):
    monkeypatch.setattr("bayes_ddp.commands.distance_models.distances_of", None)
    before = {k: v for k, v in digests(folder).items() if "orbit" not in k}
    steps(folder, preset="sgrA")
    after = {k: v for k, v in digests(folder).items() if "orbit" not in k}
    assert after == before
    assert read_catalogue(folder / "output" / "orbits.fits").meta["PRESET"] == "sgrA"
    assert len(list((folder / "output" / "orbit").glob("*.nc"))) == 2


def test_a_file_of_the_user_is_not_replaced(folder, tmp_path):
    settings = settings_of(folder)
    (tmp_path / "orbits.fits").write_bytes(b"mine")
    run = replace(settings, output=replace(settings.output, directory=str(tmp_path)))
    with pytest.raises(OutputError, match="orbits"):
        check_steps(run)


def test_orbits_need_distances_and_draws(folder):
    table = {
        "schema": 1,
        "input": {"survey": "desi", "spectra": ["coadd.fits"], "catalog": "coadd.fits"},
        "emulator": {"name": "desi-physics"},
    }
    (folder / "coadd.fits").touch()
    for more, text in (
        ({"orbit": {}}, r"\[orbit\] needs distances"),
        ({"distance": {}, "output": {"draws": False}}, "needs draws"),
        ({"distance": {"priro": "galaxy"}}, "Did you mean 'prior'"),
        ({"distance": {"draws": "many"}}, "'draws' = 'many'"),
        ({"distance": {"column": {"V": "MAG"}}}, "are none of"),
        ({"distance": {"calibration": "a.nc", "offsets_of": "b.nc"}}, "exclude each other"),
        ({"distance": {}, "orbit": {"box": {"a": {"ecc": [1.0]}}}}, "orbit.box.a"),
    ):
        with pytest.raises(config.ConfigError, match=text):
            config.parse(table | more, source="run.toml", base=folder)


def test_a_run_file_with_steps_is_dumped_and_parsed_to_the_same_run(folder):

    run = settings_of(folder, select=["ges_chemistry"])
    again = config.parse(tomllib.loads(config.dump(run)), source="x", base=Path("/"))
    assert again == run
