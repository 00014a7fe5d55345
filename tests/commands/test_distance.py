"""``bayes-ddp distance``: labels and photometry in, a table of distances with draws out."""

import json

import numpy as np
import pytest
from astropy.table import Table

from bayes_ddp import cli
from bayes_ddp.catalog.fits import read_catalogue
from bayes_ddp.files.errors import BadFileError, OutputError
from bayes_ddp.flags import WARN
from bayes_ddp.galaxy.draws import read_distance_draws
from bayes_ddp.galaxy.light import apparent_magnitudes, components_of_light

FIRST = 4_000_000_000_000_000_000  # Gaia's identifiers have 19 digits
STARS = 16
UNKNOWN_LABEL, NEGATIVE, FILLED, HIGH_RUWE, ABSENT = 3, 4, 5, 6, 7
COLUMNS = {
    "G": "phot_g_mean_mag",
    "BP": "phot_bp_mean_mag",
    "RP": "phot_rp_mean_mag",
    "J": "j_m",
    "H": "h_m",
    "Ks": "ks_m",
}
ERRORS = {"J": "j_msigcom", "H": "h_msigcom", "Ks": "ks_msigcom"}


@pytest.fixture(scope="module")
def truth():
    """Single dwarfs and giants of known mass, age and distance."""
    rng = np.random.default_rng(8)
    star = {
        "feh": rng.uniform(-0.6, 0.1, STARS),
        "age": rng.uniform(3, 9, STARS),
        "mass_ini": np.where(np.arange(STARS) % 4 == 0, 1.05, rng.uniform(0.7, 0.95, STARS)),
        "mass_ratio": np.zeros(STARS),
        "distance": np.exp(rng.uniform(-1, 1.2, STARS)),
        "ebv": rng.uniform(0.01, 0.05, STARS),
        **{name: np.full(STARS, 0.05) for name in ("mg_fe", "si_fe", "ca_fe")},
    }
    labels, _, _ = components_of_light(star)
    return star | labels | apparent_magnitudes(star)


@pytest.fixture(scope="module")
def files(truth, tmp_path_factory):
    """Labels, and photometry of the same stars in another order; odd stars among them."""
    folder = tmp_path_factory.mktemp("distance")
    rng = np.random.default_rng(9)
    ids = FIRST + np.arange(STARS)
    errors = {"teff": 60.0, "logg": 0.08, "feh": 0.05}
    labels = Table({"SOURCE_ID": ids})
    for name, error in errors.items():
        labels[name.upper()] = truth[name] + error * rng.standard_normal(STARS)
        labels[f"{name.upper()}_ERR"] = np.full(STARS, error)
    labels["ALPHA_FE"] = np.full(STARS, 0.05)
    labels["ALPHA_FE_ERR"] = np.full(STARS, 0.05)
    labels["TEFF"][UNKNOWN_LABEL] = np.nan
    labels.write(folder / "labels.fits")
    table = Table({"source_id": ids})
    table["ra"], table["dec"] = rng.uniform(0, 360, STARS), rng.uniform(-60, -40, STARS)
    table["parallax_error"] = rng.uniform(0.02, 0.2, STARS)
    noise = rng.standard_normal(STARS) * table["parallax_error"]
    table["parallax"] = 1 / truth["distance"] + noise - 0.03
    table["parallax"][NEGATIVE] = -0.4
    table["parallax_zero_point"] = np.full(STARS, -0.03)
    table["ruwe"] = np.where(np.arange(STARS) == HIGH_RUWE, 3.0, 1.0)
    table["ebv"] = truth["ebv"]
    for band, column in COLUMNS.items():
        table[column] = truth[band] + 0.02 * rng.standard_normal(STARS)
        if band in ERRORS:
            table[ERRORS[band]] = np.full(STARS, 0.02)
    table["j_m"][FILLED], table["phot_bp_mean_mag"][FILLED] = 99.0, np.nan
    keep = np.arange(STARS) != ABSENT
    table[keep][::-1].write(folder / "phot.fits")
    return folder


def call(folder, *words):
    cli.app(["distance", *map(str, words), "--quiet"], result_action="return_value")


@pytest.fixture(scope="module")
def made(files):
    output = files / "out" / "distances.fits"
    words = ["--photometry", files / "phot.fits", "--output", output, "--pictures", files / "pics"]
    call(files, files / "labels.fits", *words)
    return read_catalogue(output), output


def test_distances_are_those_of_the_stars(made, truth):
    """16 stars, 4 of them odd: the sum of squares of 12 is above 33 once in 1000."""
    table, _ = made
    good = np.ones(STARS, bool)
    good[[UNKNOWN_LABEL, NEGATIVE, HIGH_RUWE, ABSENT]] = False
    away = np.log(table["DIST_P50"] / truth["distance"]) / table["LNDIST_ERR"]
    assert np.sum(np.asarray(away)[good] ** 2) < 33
    assert np.median(np.asarray(table["LNDIST_ERR"])[good]) < 0.1
    assert table["SOURCE_ID"].tolist() == list(range(FIRST, FIRST + STARS))
    assert (np.asarray(table["LOGG_DIST_ERR"])[good] < 0.08).all()  # parallaxes act on labels


def test_odd_stars_have_bits_and_the_others_do_not(made):
    table, _ = made
    warn = np.asarray(table["WARN"])
    assert warn[UNKNOWN_LABEL] & int(WARN.NO_DISTANCE) and np.isnan(
        table["DIST_P50"][UNKNOWN_LABEL]
    )
    assert table["DIST_BY"][UNKNOWN_LABEL] == "" and table["DIST_BY"][NEGATIVE] == "labels"
    assert warn[HIGH_RUWE] & int(WARN.PARALLAX_WARN)
    assert warn[ABSENT] & int(WARN.NO_PHOTOMETRY) and table["DIST_BY"][ABSENT] == "prior"
    assert table["LNDIST_ERR"][ABSENT] > 0.5
    assert table["PHOT_BANDS"][FILLED] == 4
    rest = np.delete(np.arange(STARS), [UNKNOWN_LABEL, HIGH_RUWE, ABSENT])
    assert not (warn[rest] & ~int(WARN.PHOTOMETRY_WARN | WARN.FEW_PROPOSALS)).any()


def test_draws_beside_the_table_are_those_of_its_quantiles(made):
    table, output = made
    draws = read_distance_draws(output.with_suffix(".nc"))
    assert draws.ids.tolist() == [str(FIRST + i) for i in range(STARS)]
    np.testing.assert_allclose(draws.quantiles("dist", [0.5])[0], table["DIST_P50"], rtol=1e-5)
    assert (draws.warn == np.asarray(table["WARN"])).all()
    assert (output.parent.parent / "pics" / "distances.png").stat().st_size > 10_000


def test_a_star_has_the_same_draws_whatever_other_stars_there_are(made, files, tmp_path):
    table, _ = made
    some = Table.read(files / "labels.fits")[[9, 2]]
    some.write(tmp_path / "some.fits")
    call(
        files,
        tmp_path / "some.fits",
        "--photometry",
        files / "phot.fits",
        "--output",
        tmp_path / "some_out.fits",
    )
    again = read_catalogue(tmp_path / "some_out.fits")
    np.testing.assert_allclose(again["DIST_P50"], np.asarray(table["DIST_P50"])[[9, 2]], rtol=1e-9)


def test_parallaxes_can_be_hidden(files, capsys, tmp_path):
    capsys.readouterr()
    call(
        files,
        files / "labels.fits",
        "--photometry",
        files / "phot.fits",
        "--hide-parallax",
        "--json",
        "--output",
        tmp_path / "d.fits",
    )
    figures = json.loads(capsys.readouterr().out)
    assert figures["dominated_by"]["parallax"] == 0 and figures["with_distance"] == STARS - 1
    assert figures["joined_by"] == "SOURCE_ID" and figures["labels_from"] == "columns"


def test_a_catalogue_without_labels_gives_a_table_without_distances(files, capsys, tmp_path):
    some = Table.read(files / "labels.fits")[:2]
    some["TEFF"] = np.nan
    some.write(tmp_path / "unknown.fits")
    capsys.readouterr()
    words = ["--photometry", files / "phot.fits", "--output", tmp_path / "d.fits", "--json"]
    call(files, tmp_path / "unknown.fits", *words, "--pictures", tmp_path / "pics")
    figures = json.loads(capsys.readouterr().out)
    assert figures["with_distance"] == 0 and figures["median_distance_kpc"] is None
    assert (np.asarray(read_catalogue(tmp_path / "d.fits")["WARN"]) == WARN.NO_DISTANCE).all()


def test_bad_input_is_one_sentence(files, tmp_path):
    labels, phot = files / "labels.fits", files / "phot.fits"
    with pytest.raises(BadFileError, match="lacks labels with errors"):
        call(files, phot, "--output", tmp_path / "a.fits")
    with pytest.raises(BadFileError, match="no magnitudes and no parallaxes"):
        call(files, labels, "--output", tmp_path / "a.fits")
    with pytest.raises(BadFileError, match="has no column MY_G for G"):
        call(
            files,
            labels,
            "--photometry",
            phot,
            "--column",
            "G=MY_G",
            "--output",
            tmp_path / "a.fits",
        )
    with pytest.raises(OutputError):
        call(files, labels, "--photometry", phot, "--output", labels)
    with pytest.raises(ValueError, match=r"bands = \['V'\]"):
        call(files, labels, "--photometry", phot, "--bands", "V", "--output", tmp_path / "a.fits")
