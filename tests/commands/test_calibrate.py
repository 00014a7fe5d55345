"""``bayes-ddp calibrate``: control stars in, a calibration with its card and picture out."""

import json
import tomllib

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table

from bayes_ddp import cli
from bayes_ddp.catalog.fits import read_catalogue
from bayes_ddp.commands.distance_models import DistanceModel
from bayes_ddp.files.errors import OutputError
from bayes_ddp.galaxy.band_offsets import band_offsets
from bayes_ddp.galaxy.bolometric import ALL_BANDS
from bayes_ddp.galaxy.calibrate import calibrate
from bayes_ddp.galaxy.calibration_file import load_calibration
from bayes_ddp.galaxy.control import CalibrationSettings
from bayes_ddp.galaxy.distance_settings import DistanceSettings
from bayes_ddp.galaxy.distances import distances_of, observe
from bayes_ddp.galaxy.label_draws import LabelDraws, draws_of_moments
from bayes_ddp.galaxy.light import apparent_magnitudes, components_of_light
from bayes_ddp.galaxy.photometry import photometry_of

STARS = 150
ERRORS = {"teff": 50.0, "logg": 0.05, "feh": 0.04}
COLUMNS = {
    "G": "phot_g_mean_mag",
    "BP": "phot_bp_mean_mag",
    "RP": "phot_rp_mean_mag",
    "Ks": "ks_m",
}


@pytest.fixture(scope="module")
def control():
    """Single dwarfs of the isochrones at high latitude: columns of labels and photometry."""
    rng = np.random.default_rng(6)
    star = {
        "feh": rng.uniform(-0.7, 0.2, STARS),
        "age": rng.uniform(2, 9, STARS),
        "mass_ini": rng.uniform(0.6, 0.95, STARS),
        "mass_ratio": np.zeros(STARS),
        "distance": np.exp(rng.uniform(-2, 0, STARS)),
        "ebv": np.full(STARS, 0.01),
        **{name: np.zeros(STARS) for name in ("mg_fe", "si_fe", "ca_fe")},
    }
    star |= components_of_light(star)[0] | apparent_magnitudes(star)
    table = {"source_id": 4_000_000_000_000_000_000 + np.arange(STARS)}
    lat = np.degrees(np.arcsin(rng.uniform(0.6, 1, STARS)))
    sky = SkyCoord(rng.uniform(0, 360, STARS) * u.deg, lat * u.deg, frame="galactic").icrs
    table |= {"ra": sky.ra.deg, "dec": sky.dec.deg, "alpha_fe": np.zeros(STARS)}
    for name, error in ERRORS.items():
        table[name] = star[name] + error * rng.standard_normal(STARS)
        table[f"{name}_err"] = np.full(STARS, error)
    for band, column in COLUMNS.items():
        table[column] = star[band] + 0.02 * rng.standard_normal(STARS)
    table["ks_msigcom"] = np.full(STARS, 0.02)
    table["parallax_error"] = np.full(STARS, 0.03)
    table["parallax"] = 1 / star["distance"] + 0.03 * rng.standard_normal(STARS)
    table["parallax_zero_point"], table["ruwe"] = np.zeros(STARS), np.ones(STARS)
    table["ebv"] = np.full(STARS, 0.012)
    return table


def test_the_card_has_cuts_scatter_and_range_and_the_file_is_read_again(
    control, tmp_path, capsys
) -> None:
    Table(control).write(tmp_path / "control.fits")
    options = ["--output", str(tmp_path / "c.nc"), "--picture", str(tmp_path / "c.png")]
    words = ["calibrate", str(tmp_path / "control.fits"), *options, "--without-offsets", "--quiet"]
    cli.app([*words, "--json"], result_action="return_value")
    figures = json.loads(capsys.readouterr().out)
    card = tomllib.loads((tmp_path / "c.toml").read_text())
    assert figures["cuts"] == card["cuts"] and card["cuts"]["in the table"] == STARS
    assert set(card["outputs"]) == {"M_G", "BP-G", "RP-G", "Ks-G"}
    assert card["range"]["teff"][0] == pytest.approx(control["teff"].min())
    assert card["outputs"]["Ks-G"]["intrinsic_scatter"] < 0.06
    assert load_calibration(tmp_path / "c.nc").card == card
    assert (tmp_path / "c.png").stat().st_size > 10_000
    with pytest.raises(ValueError, match="exclude each other"):
        DistanceModel(tmp_path / "c.nc", tmp_path / "c.nc")
    (tmp_path / "c.toml").write_text("mine = 1\n")
    with pytest.raises(OutputError, match="was changed since"):
        cli.app(words, result_action="return_value")
    few = ["calibrate", str(tmp_path / "control.fits"), "--output", str(tmp_path / "d.nc")]
    with pytest.raises(ValueError, match="too small: 150 stars in the table"):
        cli.app([*few, "--max-ebv", "0.001", "--quiet"], result_action="return_value")


@pytest.mark.slow
def test_distances_with_a_calibration_state_their_model_in_the_header(control, tmp_path) -> None:
    """Both ways agree to 1 % where the parallax exceeds 2 mas, with errors of 0.03 mas."""
    Table(control).write(tmp_path / "control.fits")
    words = [str(tmp_path / "control.fits"), "--quiet"]
    made = ["calibrate", *words, "--without-offsets", "--output", str(tmp_path / "c.nc")]
    cli.app(made, result_action="return_value")
    found = {}
    for name, more in (("joint posterior", []), ("weighted mean", ["--weighted-mean"])):
        output = tmp_path / f"{name[:5]}.fits"
        options = ["--calibration", str(tmp_path / "c.nc"), "--output", str(output), *more]
        cli.app(["distance", *words, *options], result_action="return_value")
        found[name] = read_catalogue(output)
        assert found[name].meta["DMAGS"] == "c.nc" and found[name].meta["DMETHOD"] == name
        assert np.isnan(np.ma.filled(found[name]["MASS_P50"], np.nan)).all()
    one, other = (np.log(np.ma.filled(table["DIST_P50"], np.nan)) for table in found.values())
    precise = np.isfinite(one) & (control["parallax"] > 2.0)
    assert precise.sum() > 50
    assert np.median(np.abs(one - other)[precise]) < 0.01


def labels_of(table) -> LabelDraws:
    """Labels of the control stars, [alpha/Fe] known."""
    labels = {name: table[name] for name in ERRORS} | {"alpha_fe": table["alpha_fe"]}
    errors = {name: table[f"{name}_err"] for name in ERRORS} | {"alpha_fe": np.full(STARS, 0.02)}
    return draws_of_moments(np.arange(STARS), labels, errors)


@pytest.mark.slow
def test_both_models_of_magnitudes_give_the_same_distances(control) -> None:
    """With parallaxes to 0.01, and without to 0.02 of ln d; four standard errors are added.

    The stars are those of the isochrones.
    """
    labels, photometry = labels_of(control), photometry_of(control)
    calibration, _ = calibrate(labels, photometry, CalibrationSettings(floor=0.0), offsets=False)
    for parallax, bound in ((True, 0.01), (False, 0.02)):
        settings = DistanceSettings(parallax=parallax, zero_point_error=0.0, pairs=0.0)
        other, own = (
            distances_of(labels, photometry, settings, calibration=model)
            for model in (None, calibration)
        )
        a, b = (np.median(np.log(record["dist"]), axis=0) for record in (other, own))
        known = np.isfinite(a + b)
        gap = (b - a)[known]
        assert known.sum() > 0.9 * STARS
        assert abs(np.median(gap)) < bound + 4 * 1.25 * gap.std() / np.sqrt(known.sum()), parallax
        wide = np.log(other["dist"]).std(axis=0)[known]
        assert np.median(np.abs(gap) / wide) < 1


@pytest.mark.slow
def test_zero_points_of_bands_that_were_shifted_are_recovered(control) -> None:
    """Within four errors and the 0.01 mag by which the mock's interpolation differs."""
    shift = {"BP": 0.03, "Ks": -0.03}
    moved = {COLUMNS[band]: control[COLUMNS[band]] + value for band, value in shift.items()}
    draws, photometry = labels_of(control), photometry_of(control | moved)
    stars = observe(draws, photometry, DistanceSettings())
    found = band_offsets(np.arange(STARS), stars, errors=photometry.error)
    for band in COLUMNS:
        i = ALL_BANDS.index(band)
        gap = found.offset[i] - shift.get(band, 0.0)
        assert abs(gap) < 4 * found.error[i] + 0.01, (band, found.offset[i], found.error[i])
    assert found.stars[ALL_BANDS.index("J")] == 0 and found.given[ALL_BANDS.index("J")] == 0
