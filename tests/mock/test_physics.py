"""Densities, ellipsoids, ages, abundances and orbits of the mock, before any star shines."""

import numpy as np
import pytest

from bayes_ddp.galaxy.engines import make_engine
from bayes_ddp.galaxy.frames import from_galactic, galactic_to_icrs
from bayes_ddp.galaxy.orbit import orbit_integrals
from bayes_ddp.mock import elements
from bayes_ddp.mock.components import COMPONENTS, PRESET
from bayes_ddp.mock.kinematics import draw_velocity, phase_of
from bayes_ddp.mock.sightlines import DEC_LOW, MODULUS, draw_candidates, make_cells

COMPONENT = {part.name: part for part in COMPONENTS}
each_component = pytest.mark.parametrize("component", COMPONENTS, ids=lambda part: part.name)


@each_component
def test_density_at_the_sun_is_the_local_number(component):
    assert np.isclose(component.density(np.array(PRESET.r0), np.array(0.0)), component.local)


@pytest.mark.parametrize(("name", "length", "height"), [("thin", 2.6, 0.3), ("thick", 2.0, 0.9)])
def test_discs_fall_by_e_over_their_lengths(name, length, height):
    disc = COMPONENT[name]
    here = disc.density(np.array(8.0), np.array(0.5))
    assert np.isclose(disc.density(np.array(8.0 + length), np.array(0.5)), here / np.e)
    assert np.isclose(disc.density(np.array(8.0), np.array(-0.5 - height)), here / np.e)


def test_merger_remnant_breaks_at_27_kpc():
    slopes = [
        np.log(np.divide(*COMPONENT["ges"].density(np.array(R), np.zeros(2))))
        / np.log(R[1] / R[0])
        for R in ((10.0, 20.0), (30.0, 60.0))
    ]
    assert np.allclose(slopes, [2.3, 4.6])


@each_component
def test_velocities_near_the_sun_have_the_ellipsoid_of_their_component(component):
    """Six five-sigma limits a component: chance of failure below 1e-4 in all."""
    n, rng = 40_000, np.random.default_rng(5)
    place = np.repeat([[PRESET.r0, 0.0, 1e-6]], n, axis=0)
    speed = draw_velocity(component, place, rng)
    lag = PRESET.vc - component.lag if component.frame == "disc" else component.lag
    order = [0, 1, 2]  # r, phi, theta are R, phi, -z in the plane
    sigma = np.array(component.sigma)[order]
    slack = 0.02 if component.frame == "spheroid" else 0.0  # none near the escape speed
    assert np.all(np.abs(speed.mean(0) - [0, lag, 0]) < 5 * sigma / np.sqrt(n) + slack * sigma)
    assert np.all(np.abs(speed.std(0) / sigma - 1) < 5 / np.sqrt(2 * n) + slack)


def test_radial_orbits_stay_radial_over_the_pole():
    rng = np.random.default_rng(6)
    place = np.repeat([[1e-6, 0.0, 8.0]], 20_000, axis=0)
    spread = draw_velocity(COMPONENT["ges"], place, rng).std(0)
    assert spread[2] > 2.5 * spread[0]


@each_component
def test_every_star_is_bound(component):
    rng = np.random.default_rng(7)
    radius = rng.uniform(1.0, 100.0, 3000)
    place = np.stack([radius, np.zeros(3000), rng.uniform(-50, 50, 3000)], 1)
    speed = draw_velocity(component, place, rng)
    energy = orbit_integrals(phase_of(place, speed), PRESET, make_engine())["energy"]
    assert np.all(energy < 0)


def test_masses_follow_kroupa():
    """The Kolmogorov distance is below 1.95 / sqrt(n) but once in a thousand; the key is fixed."""
    n = 20_000
    low, high = np.full(n, 0.2), np.full(n, 3.0)
    mass = np.sort(elements.draw_mass(low, high, np.random.default_rng(9)))
    ends = elements.imf_fraction(np.array([0.2, 3.0]))
    share = (elements.imf_fraction(mass) - ends[0]) / (ends[1] - ends[0])
    assert np.abs(share - (np.arange(n) + 0.5) / n).max() < 1.95 / np.sqrt(n)
    slope = np.diff(np.log(elements.imf_fraction(np.array([1.0, 1.001, 2.0, 2.002]))))
    grid = np.array([1.0, 1.001, 2.0, 2.002])
    rate = np.diff(elements.imf_fraction(grid))[[0, 2]] / np.diff(grid)[[0, 2]]
    assert slope.size and np.isclose(np.log2(rate[0] / rate[1]), 2.3, atol=0.01)


@each_component
def test_ages_and_metallicities_keep_their_limits(component):
    rng = np.random.default_rng(10)
    radius = rng.uniform(2, 16, 20_000)
    feh = elements.draw_feh(component, radius, rng)
    age = elements.draw_age(component, feh, rng)
    assert age.min() >= 0.5 and age.max() <= min(component.age_limit, 13.8)
    assert feh.min() >= component.feh_low and feh.max() <= component.feh_high
    assert abs(np.median(feh[abs(radius - 8) < 0.5]) - component.feh[0]) < 0.05


def test_merger_remnant_is_poorer_in_magnesium_and_aluminium_than_the_thick_disc():
    rng, feh = np.random.default_rng(11), np.full(2000, -0.8)
    drawn = {}
    for name in ("ges", "thick"):
        part = COMPONENT[name]
        alpha = elements.draw_alpha(part, feh, rng)
        rest = elements.draw_others(part, feh, np.full(2000, 4.0), rng=rng)
        drawn[name] = np.median(alpha["mg_fe"]), np.median(rest["al_fe"])
    assert np.all(np.array(drawn["ges"]) < np.array(drawn["thick"]) - 0.15)


def test_giants_have_mixed_and_some_poor_stars_are_rich_in_carbon():
    rng, part = np.random.default_rng(12), COMPONENT["accreted"]
    feh = np.full(20_000, -2.5)
    dwarf = elements.draw_others(part, feh, np.full(20_000, 4.3), rng=rng)
    giant = elements.draw_others(part, feh, np.full(20_000, 1.0), rng=rng)
    assert abs(np.mean(dwarf["c_fe"] > 0.7) - 0.20) < 5 * np.sqrt(0.16 / 20_000)
    assert np.median(giant["c_fe"]) < np.median(dwarf["c_fe"]) - 0.2
    assert np.median(giant["n_fe"]) > np.median(dwarf["n_fe"]) + 0.3


def _toy_magnitude(component, mass, rng):
    """A main sequence alone; stars above 0.9 Msun are dead."""
    return np.where(mass < 0.9, 4.5 - 9 * np.log10(mass), np.nan)


def test_candidates_fill_the_volume_in_proportion_to_the_density():
    """Against direct integration; five sigma for six components: 4e-6 by chance."""
    cells = make_cells(_toy_magnitude, (16.0, 19.0))
    rng, drawn = np.random.default_rng(13), 300_000
    found = draw_candidates(cells, drawn, rng)
    assert found.overshoot <= 1
    n = 400_000
    modulus = rng.uniform(MODULUS[0], MODULUS[-1], n)
    distance = 10 ** (0.2 * modulus - 2)
    side = rng.choice([-1, 1], n)
    lon, lat = rng.uniform(0, 2 * np.pi, n), side * np.arcsin(rng.uniform(0.342020, 1, n))
    volume = 2 * 2 * np.pi * (1 - 0.342020) * np.ptp(MODULUS) * np.log(10) / 5 * distance**3
    inside = galactic_to_icrs(lon, lat)[1] > np.radians(DEC_LOW)
    R, _, z = from_galactic(lon, lat, distance, preset=PRESET)
    for i, part in enumerate(COMPONENTS):
        low, high = (
            m[i][np.digitize(modulus, MODULUS) - 1] for m in (cells.mass_low, cells.mass_high)
        )
        share = np.where(
            high > 0,
            elements.imf_fraction(np.maximum(high, 0.1))
            - elements.imf_fraction(np.maximum(low, 0.1)),
            0,
        )
        terms = inside * volume * share * part.density(R, z)
        expected, error = terms.mean(), terms.std() / np.sqrt(n)
        own = int(np.sum(found.component == i))
        measured = own * cells.rate.sum() / drawn
        assert abs(measured - expected) < 5 * np.hypot(error, measured / np.sqrt(max(own, 1)))
