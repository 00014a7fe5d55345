"""Odd stars: each gets a flag or a wide posterior, and the stars beside it do not change."""

from dataclasses import fields, replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from bayes_ddp.flags import WARN
from bayes_ddp.galaxy.bolometric import ALL_BANDS, load_bolometric_table
from bayes_ddp.galaxy.distance_settings import DistanceSettings
from bayes_ddp.galaxy.distances import distance
from bayes_ddp.galaxy.label_draws import LabelDraws, draws_of_moments
from bayes_ddp.galaxy.photometry import Photometry, photometry_of
from bayes_ddp.galaxy.records import DistancePosterior

DISTANCE, EBV = 0.5, 0.03  # kpc, mag on the scale of SFD
COLUMNS = {
    "G": "phot_g_mean_mag",
    "BP": "phot_bp_mean_mag",
    "RP": "phot_rp_mean_mag",
    "J": "j_m",
    "H": "h_m",
    "Ks": "ks_m",
}
ERRORS = {"J": "j_msigcom", "H": "h_msigcom", "Ks": "ks_msigcom"}
NAN = float("nan")
MAGNITUDES = tuple(COLUMNS.values())

ODD: dict[str, dict[str, float]] = {
    "usual": {},
    "negative parallax": {"parallax": -0.4, "parallax_error": 0.3},
    "zero parallax": {"parallax": 0.0, "parallax_error": 0.2},
    "no parallax": {"parallax": NAN},
    "no parallax error": {"parallax_error": NAN},
    "parallax error 0": {"parallax_error": 0.0},
    "no errors": {"j_msigcom": NAN, "h_msigcom": NAN, "ks_msigcom": NAN},
    "fillers": dict.fromkeys(MAGNITUDES, 99.0),
    "no magnitudes": dict.fromkeys(MAGNITUDES, NAN),
    "nothing but labels": dict.fromkeys(MAGNITUDES, NAN) | {"parallax": NAN},
    "saturated": {"j_m": 3.1, "h_m": 3.0, "ks_m": 2.9},
    "wrong star": {"phot_bp_mean_mag": 19.0, "ks_m": 8.0},
    "nowhere": {"ra": NAN, "dec": NAN},
    "nowhere without dust": {"ra": NAN, "dec": NAN, "ebv": NAN},
    "no label": {"teff": NAN},
    "hot": dict.fromkeys(MAGNITUDES, NAN) | {"teff": 12200.0},
    "hot with cool colours": {"teff": 12500.0},
    "conflict": {"parallax": 40.0, "parallax_error": 0.02},
    "high ruwe": {"ruwe": 8.0},
}
NAMES = tuple(ODD)


def row(change: dict[str, float]) -> dict[str, float]:
    """Columns of a star like the Sun, without noise, and labels."""
    table = load_bolometric_table()
    core = jnp.array([np.log(5772.0), 4.438, 0.0])
    light = table.magnitudes(core, jnp.zeros(())) + table.extinction(core, EBV)[0]
    modulus = 5 * np.log10(DISTANCE) + 10
    star = {COLUMNS[b]: float(light[ALL_BANDS.index(b)]) + modulus for b in COLUMNS}
    star |= dict.fromkeys(ERRORS.values(), 0.02)
    star |= {"ra": 150.0, "dec": 35.0, "ebv": EBV, "parallax": 2.0, "parallax_error": 0.05}
    star |= {"parallax_zero_point": 0.0, "ruwe": 1.0}
    return star | {"teff": 5772.0, "logg": 4.438, "feh": 0.0} | change


def given(names: tuple[str, ...]) -> tuple[LabelDraws, Photometry]:
    rows = [row(ODD[name]) for name in names]
    table = {column: np.array([star[column] for star in rows]) for column in rows[0]}
    labels = {name: table[name] for name in ("teff", "logg", "feh")}
    errors = {"teff": 80.0, "logg": 0.1, "feh": 0.08}
    sd = {name: np.full(len(rows), error) for name, error in errors.items()}
    return draws_of_moments(np.array(names), labels, sd), photometry_of(table)


@pytest.fixture(scope="module")
def found() -> DistancePosterior:
    return distance(*given(NAMES))


def of(record: DistancePosterior, name: str) -> dict[str, Any]:
    """Figures of one star."""
    i = list(record.ids).index(name)
    figures = {key: values[i] for key, values in record.diagnostics.items()}
    modulus = 5 * np.log10(record["dist"][:, i]) + 10
    figures |= {"modulus": modulus.mean(), "sd": modulus.std(), "warn": WARN(int(record.warn[i]))}
    return figures


def test_odd_stars_leave_the_others_unchanged(found: DistancePosterior) -> None:
    alone = distance(*given(("usual",)))
    i = NAMES.index("usual")
    np.testing.assert_allclose(alone["dist"][:, 0], found["dist"][:, i], rtol=1e-9)
    np.testing.assert_allclose(alone.labels[:, 0], found.labels[:, i], rtol=1e-9)
    usual = of(found, "usual")
    assert abs(usual["modulus"] - (5 * np.log10(DISTANCE) + 10)) < 3 * usual["sd"]
    assert usual["sd"] < 0.07
    assert not usual["warn"]


def test_all_stars_with_labels_have_finite_draws(found: DistancePosterior) -> None:
    for i, name in enumerate(NAMES):
        finite = all(np.isfinite(found[n][:, i]).all() for n in ("dist", "ebv", "mass", "age"))
        assert finite == (WARN.NO_DISTANCE not in of(found, name)["warn"]), name
    assert (found["ebv"][:, np.isfinite(found["ebv"]).all(axis=0)] >= 0).all()


@pytest.mark.parametrize("name", ["negative parallax", "zero parallax"])
def test_a_parallax_that_is_not_positive_says_that_a_star_is_far(
    found: DistancePosterior, name: str
) -> None:
    star, without = of(found, name), of(found, "no parallax")
    assert star["modulus"] > without["modulus"]
    assert star["sd"] < 0.6


@pytest.mark.parametrize("name", ["no parallax", "no parallax error", "parallax error 0"])
def test_a_parallax_without_an_error_is_not_used(found: DistancePosterior, name: str) -> None:
    star = of(found, name)
    assert star["f_parallax"] == 0
    assert of(found, "usual")["sd"] < star["sd"] < 0.6


@pytest.mark.parametrize(
    "name, bands",
    [("no errors", 3), ("saturated", 3), ("fillers", 0), ("no magnitudes", 0), ("nowhere", 6)],
)
def test_magnitudes_that_are_not_measured_are_not_used(
    found: DistancePosterior, name: str, bands: int
) -> None:
    star = of(found, name)
    assert star["bands"] == bands
    assert (WARN.NO_PHOTOMETRY in star["warn"]) == (bands == 0)
    assert abs(star["modulus"] - 8.4949) < 4 * star["sd"]


def test_labels_alone_give_a_wide_posterior(found: DistancePosterior) -> None:
    star = of(found, "nothing but labels")
    assert star["sd"] > 1
    assert WARN.NO_PHOTOMETRY in star["warn"]


@pytest.mark.parametrize(
    "name, warn",
    [
        ("wrong star", WARN.PHOTOMETRY_WARN),
        ("no label", WARN.NO_DISTANCE),
        ("hot", WARN.DISTANCE_EDGE),
        ("hot with cool colours", WARN.PHOTOMETRY_WARN),
        ("conflict", WARN.PHOTOMETRY_WARN | WARN.FEW_PROPOSALS | WARN.DISTANCE_EDGE),
        ("high ruwe", WARN.PARALLAX_WARN),
    ],
)
def test_stars_that_do_not_fit_are_flagged(
    found: DistancePosterior, name: str, warn: WARN
) -> None:
    assert of(found, name)["warn"] & warn


def test_a_star_of_unknown_position_has_a_posterior(found: DistancePosterior) -> None:
    for name in ("nowhere", "nowhere without dust"):
        assert of(found, name)["sd"] < 0.1
    i, j = NAMES.index("nowhere without dust"), NAMES.index("usual")
    assert found["ebv"][:, i].std() > found["ebv"][:, j].std()


def test_every_band_can_be_left_out() -> None:
    """Each band alone gives a distance; the settings name those that are used."""
    labels, photometry = given(("usual",) * 6)
    labels = replace(labels, ids=np.arange(6).astype(str))
    error = np.where(np.eye(6, len(ALL_BANDS)) > 0, photometry.error, np.nan)
    magnitude = np.where(np.isfinite(error), photometry.magnitude, np.nan)
    changes = {"magnitude": magnitude, "error": error}
    alone = distance(labels, replace(photometry, **changes))
    assert (alone.diagnostics["bands"] == 1).all()
    assert np.isfinite(alone["dist"]).all()
    none = distance(labels, photometry, DistanceSettings(bands=("J",), parallax=False))
    assert (none.diagnostics["bands"] == 1).all()
    assert (none.diagnostics["f_parallax"] == 0).all()


def test_fields_of_photometry_have_one_value_per_star() -> None:
    _, photometry = given(("usual", "hot"))
    assert {item.name for item in fields(photometry)} >= {"ra", "parallax", "ebv"}
    with pytest.raises(ValueError, match="zero_point has the shape"):
        replace(photometry, zero_point=np.zeros(3))


def test_the_error_of_the_zero_point_moves_all_stars_by_one_draw() -> None:
    """ln d changes as it does for another zero point, to 20 %, and together for all stars.

    The third star has a precise parallax that contradicts its magnitudes.
    """
    labels, photometry = given(("usual", "high ruwe", "conflict"))
    size = 0.03
    plain, blurred = (
        np.log(distance(labels, photometry, DistanceSettings(zero_point_error=error))["dist"])
        for error in (0.0, size)
    )
    moved = blurred - plain
    spread = moved.std(axis=0)
    correlation = np.corrcoef(moved.T)
    assert (np.abs(correlation) > 0.999).all()
    shifted = replace(photometry, zero_point=photometry.zero_point - size)
    again = np.log(distance(labels, shifted, DistanceSettings(zero_point_error=0.0))["dist"])
    change = again.mean(axis=0) - plain.mean(axis=0)
    print(f"by the draws {spread / size}, by another zero point {change / size}")
    assert change[0] < 0  # a larger parallax
    noise = 4 * plain.std(axis=0) / np.sqrt(100)
    assert (np.abs(spread + change) < 0.2 * spread + noise).all()
