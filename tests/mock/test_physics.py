"""Densities, ellipsoids, ages, abundances and orbits of the mock, before any star shines."""

import subprocess
import sys

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import Galactocentric, SkyCoord

from bayes_ddp.galaxy.potential import PRESET, circular_speed, energy, escape_speed, orbits
from bayes_ddp.mock import elements
from bayes_ddp.mock.components import COMPONENTS
from bayes_ddp.mock.kinematics import (
    Sky,
    draw_velocity,
    from_galactic,
    galactic_to_icrs,
    galactocentric,
    observed,
)
from bayes_ddp.mock.sightlines import DEC_LOW, MODULUS, draw_candidates, make_cells

COMPONENT = {part.name: part for part in COMPONENTS}
each_component = pytest.mark.parametrize("component", COMPONENTS, ids=lambda part: part.name)
SUN = np.array([[PRESET.r0, 0.0, PRESET.z0]])


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
    assert np.all(energy(place, speed) < 0)


def test_angular_momentum_of_the_sun_is_positive():
    sun = orbits(SUN, np.array([[-11.1, 232.24, 7.25]]))
    assert np.isclose(sun["J_PHI"][0], 8.0 * 232.24)
    assert 0 < sun["ECC"][0] < 0.15 and 7 < sun["R_PERI"][0] < 8.1 < sun["R_APO"][0] < 11


def test_star_at_rest_with_the_sun_moves_as_the_sun():
    still = Sky(*(np.array([x]) for x in (120.0, 30.0, 1e-6, 0.0, 0.0, 0.0)))
    place, speed = galactocentric(still)
    assert np.allclose(place[0, [0, 2]], [np.sqrt(8**2 - PRESET.z0**2), PRESET.z0], atol=1e-5)
    assert np.allclose(speed[0], [-11.1, 232.24, 7.25], atol=1e-4)


def test_circular_orbit_has_no_radial_action():
    flat = np.array([[8.0, 0.0, 1e-4]])
    found = orbits(flat, np.array([[0.0, float(circular_speed(np.array([8.0]))[0]), 0.0]]))
    assert found["ECC"][0] < 2e-3 and found["J_R"][0] < 0.1 and found["J_Z"][0] < 0.1


def test_escape_speed_is_where_the_energy_vanishes():
    place = np.array([[8.0, 0.3, 0.0], [20.0, 1.0, -15.0]])
    speed = escape_speed(place[:, 0], place[:, 2])
    assert abs(speed[0] - 513) < 1  # of MWPotential2014 at vo = 220 (ASTRO sheet 2)
    bound = energy(place, np.stack([0 * speed, speed, 0 * speed], 1))
    assert np.all(np.abs(bound) < 2e-3 * speed**2)


def test_broken_rows_leave_other_orbits_alone():
    place, speed = np.repeat(SUN, 4, 0), np.repeat([[10.0, 200.0, 5.0]], 4, 0)
    speed[1, 0], place[2, 2], speed[3] = np.nan, np.inf, (0, 900.0, 0)
    found = orbits(place, speed)
    assert np.isfinite([v[0] for v in found.values()]).all()
    assert np.isnan([found["J_R"][i] for i in (1, 2, 3)]).all()
    assert np.isnan(found["J_PHI"][1]) and found["ENERGY"][3] > 0


def test_sky_and_galaxy_are_inverse_and_agree_with_astropy():
    rng = np.random.default_rng(8)
    lon, lat = rng.uniform(0, 6.28, 30), np.arcsin(rng.uniform(-1, 1, 30))
    distance = 10 ** rng.uniform(-1, 1.5, 30)
    place = np.stack(from_galactic(lon, lat, distance), 1)
    speed = rng.normal(0, 150, (30, 3))
    sky = observed(place, speed)
    back = galactocentric(sky)
    assert np.allclose(back[0], place) and np.allclose(back[1], speed)
    seen = SkyCoord(
        ra=sky.ra * u.deg,
        dec=sky.dec * u.deg,
        distance=sky.distance * u.kpc,
        pm_ra_cosdec=sky.pmra * u.mas / u.yr,
        pm_dec=sky.pmdec * u.mas / u.yr,
        radial_velocity=sky.vrad * u.km / u.s,
    )
    assert np.allclose(seen.galactic.l.rad, lon) and np.allclose(seen.galactic.b.rad, lat)
    frame = Galactocentric(
        galcen_distance=PRESET.r0 * u.kpc,
        z_sun=PRESET.z0 * u.kpc,
        galcen_v_sun=np.array(PRESET.sun) * u.km / u.s,
    )
    theirs = seen.transform_to(frame)
    assert np.allclose(np.hypot(theirs.x, theirs.y).to_value(u.kpc), place[:, 0])
    assert np.allclose(theirs.z.to_value(u.kpc), place[:, 2])
    turn = (theirs.y * theirs.v_x - theirs.x * theirs.v_y).to_value(u.kpc * u.km / u.s)
    assert np.allclose(turn, place[:, 0] * speed[:, 1], atol=1e-6)


def test_galpy_reads_and_writes_no_configuration(tmp_path):
    (tmp_path / ".galpyrc").write_text("[normalization]\nro = 99.\nvo = 1.\n")
    code = """
import numpy as np
from pathlib import Path
from bayes_ddp.galaxy.potential import escape_speed
assert abs(escape_speed(np.array([8.0]), np.zeros(1))[0] - 513) < 1
from galpy.util.config import __config__
assert __config__["normalization"]["ro"] == "8."
assert not (Path.home() / ".galpyrc").exists()
"""
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": str(home), "PYTHONPATH": ":".join(sys.path)},
    )
    assert done.returncode == 0, done.stderr


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
    R, _, z = from_galactic(lon, lat, distance)
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
