"""Isochrones: exact on their nodes, plausible between them, and the Sun is the Sun."""

from dataclasses import replace

import numpy as np
import pytest

from bayes_ddp.galaxy.isochrones import Isochrones, effective_metallicity, load_isochrones


@pytest.fixture(scope="module")
def isochrones() -> Isochrones:
    return load_isochrones()


def test_stars_on_the_nodes_are_the_tabulated_ones(isochrones: Isochrones) -> None:
    f, a = 12, 16
    known = np.flatnonzero(np.isfinite(isochrones.initial_mass[f, a]))[:400:20]
    feh, age = np.full(len(known), isochrones.feh[f]), np.full(len(known), isochrones.log_age[a])
    found = isochrones.star(feh, age, isochrones.initial_mass[f, a, known])
    np.testing.assert_allclose(np.log10(found.teff), isochrones.log_teff[f, a, known], atol=1e-5)
    np.testing.assert_allclose(found.logg, isochrones.logg[f, a, known], atol=1e-4)
    np.testing.assert_allclose(found.eep - 202, known, atol=0.01)


def test_isochrone_runs_through_its_own_stars(isochrones: Isochrones) -> None:
    track = isochrones.along(-0.63, 9.87)
    cells, weight = isochrones._corners(np.array([-0.63]), np.array([9.87]))
    eep = (track.eep - 202).astype(int)
    mass = isochrones._mix(isochrones.initial_mass, cells[:, :, [0] * len(eep)], weight, eep=eep)
    rows = slice(30, 380, 10)  # where the initial mass still tells one phase from the next
    found = isochrones.star(np.full(35, -0.63), np.full(35, 9.87), mass[rows])
    np.testing.assert_allclose(found.teff, track.teff[rows], rtol=1e-3)
    np.testing.assert_allclose(found.logg, track.logg[rows], atol=2e-3)


def test_sun_has_solar_properties(isochrones: Isochrones) -> None:
    """MIST's own Sun rotates and is 1 % too hot: 1.5 % in Teff, 0.03 in log g and log L."""
    sun = isochrones.star(np.array([0.0]), np.array([np.log10(4.57e9)]), np.array([1.0]))
    assert sun.teff[0] == pytest.approx(5772, rel=0.015)
    assert sun.logg[0] == pytest.approx(4.438, abs=0.03)
    assert sun.log_lum[0] == pytest.approx(0.0, abs=0.04)
    assert sun.mass[0] == pytest.approx(1.0, abs=0.01)


def test_dead_and_too_light_stars_are_unknown(isochrones: Isochrones) -> None:
    """At 10 Gyr 1.3 solar masses are gone; 0.05 are no star."""
    found = isochrones.star(np.zeros(3), np.full(3, 10.0), np.array([0.05, 0.8, 1.3]))
    assert np.isfinite(found.teff).tolist() == [False, True, False]
    assert np.isfinite(found.mass).tolist() == [False, True, False]


def test_heavier_and_older_stars_are_further_evolved(isochrones: Isochrones) -> None:
    mass = np.linspace(0.2, 0.97, 50)
    young, old = (isochrones.star(np.full(50, -0.3), np.full(50, a), mass) for a in (9.3, 9.95))
    assert (np.diff(old.eep) > 0).all() and (np.diff(old.log_lum) > 0).all()
    assert (old.eep >= young.eep).all()
    assert (np.diff(old.mass) > 0).all()


def test_star_between_ages_is_near_the_isochrone_left_out(isochrones: Isochrones) -> None:
    """4 Gyr from 3.2 and 5 Gyr: main sequence and turn-off, twice the step of the table."""
    skip = int(np.argmin(np.abs(isochrones.log_age - 9.6)))
    names = ("initial_mass", "log_teff", "logg", "log_lum")
    sparse = replace(
        isochrones,
        log_age=np.delete(isochrones.log_age, skip),
        **{n: np.delete(getattr(isochrones, n), skip, axis=1) for n in names},
    )
    mass = np.linspace(0.3, 1.2, 100)
    at = np.zeros(100), np.full(100, isochrones.log_age[skip]), mass
    exact, between = isochrones.star(*at), sparse.star(*at)
    assert np.median(np.abs(exact.teff - between.teff)) < 20
    assert np.max(np.abs(exact.logg - between.logg)) < 0.05


def test_metallicity_of_alpha_rich_stars() -> None:
    """[alpha/Fe] = 0.3 at f = 0.69 is worth 0.227 dex; none is worth nothing."""
    assert effective_metallicity(-1.0, 0.3) == pytest.approx(-1 + np.log10(0.69 * 10**0.3 + 0.31))
    assert effective_metallicity(np.array([-2.0, 0.1]), 0.0) == pytest.approx([-2.0, 0.1])
