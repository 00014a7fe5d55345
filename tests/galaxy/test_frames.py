"""Frames, presets and speeds of the Galaxy against Astropy and known values."""

import subprocess
import sys
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import Galactocentric, SkyCoord

from bayes_ddp.galaxy.engines import make_engine
from bayes_ddp.galaxy.frames import (
    Cylindrical,
    Sky,
    from_galactic,
    galactocentric,
    observed,
)
from bayes_ddp.galaxy.orbit import cartesian, cylindrical, orbit_integrals
from bayes_ddp.galaxy.potential import circular_speed, escape_speed
from bayes_ddp.galaxy.preset import GALPY2014, PRESETS, Preset, draw_presets, preset_of

each_preset = pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda p: p.name)


def one(*values: float) -> list[np.ndarray]:
    return [np.array([x]) for x in values]


def stars(number: int, seed: int) -> Cylindrical:
    rng = np.random.default_rng(seed)
    R, z = 10 ** rng.uniform(-1, 1.5, number), rng.normal(0, 5, number)
    return Cylindrical(R, rng.uniform(-3.1, 3.1, number), z, *rng.normal(0, 150, (3, number)))


@each_preset
def test_angular_momentum_of_the_sun_is_positive(preset: Preset) -> None:
    sun = galactocentric(Sky(*one(120.0, 30.0, 1e-9, 0.0, 0.0, 0.0)), preset)
    found = orbit_integrals(sun, preset, make_engine())
    assert np.isclose(found["j_phi"][0], sun.R[0] * preset.sun[1], rtol=1e-7)
    assert found["j_phi"][0] > 1800
    assert 0 < found["ecc"][0] < 0.15 and 7 < found["r_peri"][0] < 8.2 < found["r_apo"][0] < 11
    assert np.isclose(found["r_guide"][0], found["j_phi"][0] / preset.vc, rtol=0.02)


@each_preset
def test_star_at_rest_with_the_sun_moves_as_the_sun(preset: Preset) -> None:
    star = galactocentric(Sky(*one(120.0, 30.0, 1e-9, 0.0, 0.0, 0.0)), preset)
    assert np.allclose([star.R[0], star.z[0]], [np.sqrt(preset.r0**2 - preset.z0**2), preset.z0])
    assert np.allclose(
        [star.v_R[0], star.v_phi[0], star.v_z[0]], np.array(preset.sun) * [-1, 1, 1]
    )


@each_preset
def test_frames_are_inverse_and_agree_with_astropy(preset: Preset) -> None:
    star = stars(200, seed=8)
    sky = observed(star, preset)
    for kind in (np.asarray, jnp.asarray):
        back = galactocentric(Sky(*map(kind, sky)), preset)
        assert all(np.allclose(a, b) for a, b in zip(star, back, strict=True))
    seen = SkyCoord(
        ra=sky.ra * u.deg,
        dec=sky.dec * u.deg,
        distance=sky.distance * u.kpc,
        pm_ra_cosdec=sky.pmra * u.mas / u.yr,
        pm_dec=sky.pmdec * u.mas / u.yr,
        radial_velocity=sky.vrad * u.km / u.s,
    )
    frame = Galactocentric(
        galcen_distance=preset.r0 * u.kpc,
        z_sun=preset.z0 * u.kpc,
        galcen_v_sun=np.array(preset.sun) * u.km / u.s,
    )
    theirs, ours = seen.transform_to(frame), cartesian(star)
    assert all(np.allclose(a, b) for a, b in zip(cylindrical(ours), star, strict=True))
    for name in "xyz":
        assert np.allclose(getattr(theirs, name).to_value(u.kpc), ours[name])
        speed = getattr(theirs, f"v_{name}").to_value(u.km / u.s)
        assert np.allclose(speed, ours[f"v_{name}"], atol=1e-6)
    place = from_galactic(seen.galactic.l.rad, seen.galactic.b.rad, sky.distance, preset=preset)
    assert all(np.allclose(a, b) for a, b in zip(place, star[:3], strict=True))


def test_star_on_the_axis_keeps_its_speed() -> None:
    star = galactocentric(
        observed(Cylindrical(*one(1e-9, 0.0, 5.0, 30.0, 40.0, 50.0)), GALPY2014), GALPY2014
    )
    speed = np.sqrt(star.v_R**2 + star.v_phi**2 + star.v_z**2)
    assert np.allclose(speed, np.sqrt(30**2 + 40**2 + 50**2))


def test_presets_are_coherent_and_unknown_names_are_refused() -> None:
    assert np.isclose(preset_of("sgrA").sun[1] - preset_of("sgrA").vc, 12.24)
    assert np.isclose(GALPY2014.sun[1] - GALPY2014.vc, 12.24)
    with pytest.raises(ValueError, match="Did you mean 'sgrA'"):
        preset_of("sgra")


@each_preset
def test_draws_of_a_preset_have_its_errors_and_stay_coherent(preset: Preset) -> None:
    """Means and scatters of 20,000 draws within five standard errors."""
    number = 20_000
    drawn = draw_presets(preset, number, np.random.default_rng(3))
    assert drawn.r0.shape == drawn.vc.shape == (number, 1)
    for values, mean, error in (
        (drawn.r0, preset.r0, preset.r0_error),
        (drawn.sun[1], preset.sun[1], preset.sun_error[1]),
        (drawn.sun[1] - drawn.vc, 12.24, preset.peculiar_error),
    ):
        assert abs(values.mean() - mean) <= 5 * error / np.sqrt(number)
        assert abs(values.std() - error) <= 5 * error / np.sqrt(2 * number)
    if preset.total:  # a faster Sun by its total speed is a heavier Galaxy
        assert np.corrcoef(drawn.sun[1][:, 0], drawn.vc[:, 0])[0, 1] > 0.3
    else:
        assert np.ptp(drawn.vc) == 0


def test_scale_of_the_potential_follows_the_preset() -> None:
    wide = replace(GALPY2014, r0=16.0, vc=440.0)
    assert np.isclose(circular_speed(np.array([16.0]), wide)[0], 440.0)
    assert np.isclose(circular_speed(np.array([8.0]), GALPY2014)[0], 220.0)


def test_escape_speed_is_where_the_energy_vanishes() -> None:
    R, z = np.array([8.0, 20.0]), np.array([0.0, -15.0])
    speed = escape_speed(R, z, GALPY2014)
    assert abs(speed[0] - 513) < 1  # of MWPotential2014 at 220 km/s
    star = Cylindrical(R, 0 * R, z, 0 * R, speed, 0 * R)
    assert np.all(
        np.abs(orbit_integrals(star, GALPY2014, make_engine())["energy"]) < 1e-6 * speed**2
    )


def test_galpy_reads_and_writes_no_configuration(tmp_path) -> None:
    (tmp_path / ".galpyrc").write_text("[normalization]\nro = 99.\nvo = 1.\n")
    code = """
from pathlib import Path
from bayes_ddp.galaxy.reference import load_galpy
load_galpy()
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
