"""The Staeckel engine against exact orbits and against galpy at equal focal length."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayes_ddp.galaxy.axisymmetric import Axisymmetric, milky_way_2014, sum_of_parts
from bayes_ddp.galaxy.frames import Cylindrical
from bayes_ddp.galaxy.radial import make_table
from bayes_ddp.galaxy.reference import GalpyIntegration, load_galpy
from bayes_ddp.galaxy.staeckel import ORDER, Integrals, integrals

solve = jax.jit(integrals)
SIZE = 512  # every call has this many orbits, so that the engine is compiled once


@pytest.fixture(scope="module")
def milky_way() -> Axisymmetric:
    return milky_way_2014()


def orbits(potential: Axisymmetric, rows: np.ndarray, **options: object) -> Integrals:
    """Of rows (R, z, v_R, v_phi, v_z), at most ``SIZE``."""
    rows = np.atleast_2d(rows)
    full = np.resize(rows, (SIZE, 5))
    R, z, v_R, v_phi, v_z = map(jnp.asarray, full.T)
    given = {"order": ORDER} | options
    found = solve(potential, Cylindrical(R, 0 * R, z, v_R, v_phi, v_z), **given)
    return Integrals(*(np.asarray(x)[: len(rows)] for x in found))


def bound_orbits(potential: Axisymmetric, number: int, seed: int) -> np.ndarray:
    """[orbit 5] at 0.2 to 8 R0, isotropic, faster ones up to 97 % of the escape speed."""
    rng = np.random.default_rng(seed)
    r, cosine = 10 ** rng.uniform(-0.7, 0.9, number), rng.uniform(-1, 1, number)
    R, z = r * np.sqrt(1 - cosine**2), r * cosine
    escape = np.sqrt(-2 * np.asarray(potential.value(jnp.asarray(R * R), jnp.asarray(z * z))))
    speed = escape * 0.97 * np.sqrt(rng.uniform(0, 1, number))
    up, around = rng.uniform(-1, 1, number), rng.uniform(0, 2 * np.pi, number)
    flat = speed * np.sqrt(1 - up**2)
    return np.stack([R, z, flat * np.cos(around), flat * np.sin(around), speed * up], 1)


def test_table_of_a_power_is_good_to_1e_10() -> None:
    table = make_table(lambda w: w**-0.55)
    w = jnp.asarray(np.random.default_rng(1).uniform(-30, 20, 5000))
    w = jnp.exp(w)
    value, slope = table.value_and_slope(w)
    np.testing.assert_allclose(table.value(w), w**-0.55, rtol=1e-10)
    np.testing.assert_allclose(value, w**-0.55, rtol=1e-10)
    np.testing.assert_allclose(slope, -0.55 * w**-1.55, rtol=5e-8)
    np.testing.assert_allclose(table.curvature(w), 0.55 * 1.55 * w**-2.55, rtol=1e-5)


def test_potential_and_focal_length_are_those_of_galpy(milky_way: Axisymmetric) -> None:
    galpy = load_galpy()
    theirs = galpy.potential.MWPotential2014
    rng = np.random.default_rng(2)
    R, z = 10 ** rng.uniform(-3, 1.5, (2, 200))
    far = galpy.potential.evaluatePotentials(theirs, 1e12, 0.0)
    expected = galpy.potential.evaluatePotentials(theirs, R, z) - far
    found = milky_way.value(jnp.asarray(R * R), jnp.asarray(z * z))
    np.testing.assert_allclose(found, expected, rtol=3e-10)
    value, by_rho, by_zeta = milky_way.value_and_slopes(jnp.asarray(R * R), jnp.asarray(z * z))
    np.testing.assert_allclose(value, expected, rtol=3e-10)
    np.testing.assert_allclose(
        -2 * R * by_rho, galpy.potential.evaluateRforces(theirs, R, z), rtol=1e-7
    )
    np.testing.assert_allclose(
        -2 * z * by_zeta, galpy.potential.evaluatezforces(theirs, R, z), rtol=1e-7
    )
    inside = (R > 0.05) & (z > 0.005) & (R < 10) & (z < 10)
    delta = galpy.action_angle.estimateDeltaStaeckel(theirs, R[inside], z[inside], no_median=True)
    focal = milky_way.focal(jnp.asarray(R * R), jnp.asarray(z * z))[inside]
    known = delta > 0.05  # NaN where galpy has a negative square
    np.testing.assert_allclose(np.sqrt(focal[known]), delta[known], rtol=1e-5)
    assert known.mean() > 0.9


def _agree_with_galpy(milky_way: Axisymmetric, number: int, seed: int) -> None:
    rows = bound_orbits(milky_way, number, seed)
    R, z, v_R, v_phi, v_z = rows.T
    focal = np.maximum(np.asarray(milky_way.focal(jnp.asarray(R * R), jnp.asarray(z * z))), 1e-6)
    galpy = load_galpy()
    finder = galpy.action_angle.actionAngleStaeckel(
        pot=galpy.potential.MWPotential2014, delta=0.45, c=True
    )
    with np.errstate(all="ignore"):
        args = (R, v_R, v_phi, z, v_z)
        jr, _, jz = finder(*args, delta=np.sqrt(focal))
        ecc, z_max, r_peri, r_apo = finder.EccZmaxRperiRap(*args, delta=np.sqrt(focal))
    pieces = [
        orbits(
            milky_way, rows[i : i + SIZE], focal=jnp.asarray(np.resize(focal[i : i + SIZE], SIZE))
        )
        for i in range(0, number, SIZE)
    ]
    found = Integrals(*(np.concatenate(parts) for parts in zip(*pieces, strict=True)))
    theirs = np.isfinite(ecc)  # galpy gives up on about one in ten, which go far out
    assert theirs.mean() > 0.85
    assert all(np.isfinite(part).all() for part in found)
    assert np.abs(found.ecc - ecc)[theirs].max() < 1e-8
    for ours, other in ((found.z_max, z_max), (found.r_peri, r_peri), (found.r_apo, r_apo)):
        np.testing.assert_allclose(ours[theirs], other[theirs], rtol=1e-7, atol=1e-9)
    for ours, other in ((found.j_r, jr), (found.j_z, jz)):
        offset = np.abs(ours / other - 1)[theirs & (other < 9999)]
        assert np.median(offset) < 1e-6 and np.quantile(offset, 0.95) < 1e-5


def test_orbits_are_those_of_galpy_at_equal_focal_length(milky_way: Axisymmetric) -> None:
    _agree_with_galpy(milky_way, SIZE, seed=3)


@pytest.mark.slow
def test_ten_thousand_orbits_are_those_of_galpy(milky_way: Axisymmetric) -> None:
    _agree_with_galpy(milky_way, 10_000, seed=4)


def test_quadratures_have_converged(milky_way: Axisymmetric) -> None:
    rows = bound_orbits(milky_way, SIZE, seed=5)
    few, many = (orbits(milky_way, rows, order=order) for order in (20, 200))
    for ours, other in ((few.j_r, many.j_r), (few.j_z, many.j_z)):
        offset = np.abs(ours / other - 1)
        assert np.quantile(offset, 0.95) < 1e-7 and offset.max() < 1e-3


def spherical(function: Callable[[np.ndarray], np.ndarray]) -> Axisymmetric:
    return sum_of_parts([function], [])


def test_isochrone_has_its_exact_actions() -> None:
    """Binney & Tremaine (2008), Eq. 3.225; from near circles to Lz / L of 1e-6."""
    b = 0.3
    potential = spherical(lambda r: -1 / (b + np.sqrt(b * b + r * r)))
    rows = bound_orbits(potential, SIZE, seed=6)
    rows[:200, 3] *= 10 ** np.linspace(-6, 0, 200)
    found = orbits(potential, rows)
    R, z, v_R, v_phi, v_z = rows.T
    L = np.sqrt((R * v_phi) ** 2 + (z * v_phi) ** 2 + (z * v_R - R * v_z) ** 2)
    exact = 1 / np.sqrt(-2 * found.energy) - 0.5 * (L + np.sqrt(L * L + 4 * b))
    np.testing.assert_allclose(found.j_r, exact, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.j_z, L - np.abs(R * v_phi), rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(found.j_phi, R * v_phi)
    r = np.hypot(R, z)
    assert np.all((found.r_peri <= r * (1 + 1e-9)) & (r <= found.r_apo * (1 + 1e-9)))
    np.testing.assert_allclose(
        found.z_max, found.r_apo * np.sqrt(1 - (R * v_phi / L) ** 2), rtol=1e-6
    )


def test_kepler_orbits_are_ellipses() -> None:
    potential = spherical(lambda r: -1 / r)
    rows = bound_orbits(potential, SIZE, seed=7)
    found = orbits(potential, rows)
    R, z, v_R, v_phi, v_z = rows.T
    L2 = (R * v_phi) ** 2 + (z * v_phi) ** 2 + (z * v_R - R * v_z) ** 2
    axis = -0.5 / found.energy
    ecc = np.sqrt(1 - L2 / axis)
    np.testing.assert_allclose(found.ecc, ecc, atol=1e-8)
    np.testing.assert_allclose(found.r_peri, axis * (1 - ecc), rtol=1e-6)
    np.testing.assert_allclose(found.r_apo, axis * (1 + ecc), rtol=1e-8)
    np.testing.assert_allclose(found.r_guide, (R * v_phi) ** 2, rtol=1e-8, atol=1e-6)
    np.testing.assert_allclose(found.j_r, np.sqrt(axis) - np.sqrt(L2), rtol=1e-5, atol=1e-7)


def test_circular_orbit_has_no_radial_action(milky_way: Axisymmetric) -> None:
    w = jnp.asarray([0.3**2, 1.0, 4.0**2])
    speed = np.sqrt(2 * w * milky_way.plane.value_and_slope(w)[1])
    assert np.isclose(speed[1], 1)
    rows = np.stack([np.sqrt(w), 0 * w, 0 * w, speed, 0 * w], 1)
    found = orbits(milky_way, rows)
    assert np.all(found.ecc < 1e-6) and np.all(found.j_r < 1e-10) and np.all(found.j_z == 0)
    np.testing.assert_allclose(found.r_guide, np.sqrt(w), rtol=1e-8)
    np.testing.assert_allclose(found.r_apo, np.sqrt(w), rtol=1e-6)


def test_orbit_stays_between_the_turning_points_next_to_the_star(milky_way: Axisymmetric) -> None:
    """For this star p_u^2 is positive in a second interval, nearer to the centre."""
    row = [0.22489629364876704, -0.49400563245067086, 0.0870500, 0.0137669, -0.0398658]
    found = orbits(milky_way, np.array(row))
    assert np.isclose(found.r_peri[0], 0.1186, atol=1e-3)
    assert np.isclose(found.j_r[0], 0.04094, atol=2e-4)


def test_odd_orbits_have_an_answer_or_nan(milky_way: Axisymmetric) -> None:
    rows = np.array(
        [
            [1.0, 0.0, 0.5, 0.0, 0.0],  # radial, in the plane
            [1.0, 0.3, 0.5, 0.0, 0.4],  # polar
            [0.0, 1.0, 0.3, 0.0, 0.2],  # on the axis
            [1.0, 0.0, 0.0, 0.0, 0.0],  # at rest
            [0.0, 0.0, 0.5, 0.0, 0.5],  # at the centre
            [1.0, 0.0, 3.0, 0.0, 0.0],  # unbound
            [np.nan, 0.0, 0.0, 1.0, 0.0],
            [1.0, 0.0, np.inf, 1.0, 0.0],
            [1.0, 0.0, 0.1, 1.0, 0.1],  # usual
        ]
    )
    found = orbits(milky_way, rows)
    defined = np.array([np.isfinite(part) for part in found])
    assert defined[:, [0, 1, 2, 3, 8]].all()
    assert not defined[2:, [4, 5, 6, 7]].any()
    assert found.energy[5] > 0 and np.isclose(found.ecc[0], 1) and found.r_peri[0] == 0
    assert np.all(found.j_phi[:4] == 0) and found.z_max[0] == 0
    alone = orbits(milky_way, rows[8])
    assert all(np.array_equal(a, b[8:]) for a, b in zip(alone, found, strict=True))


def test_energy_and_actions_change_little_along_an_orbit(milky_way: Axisymmetric) -> None:
    """Along an integrated orbit E and L_z are constant, and the actions almost."""
    engine = GalpyIntegration(load_galpy().potential.MWPotential2014, span=50.0)
    start = Cylindrical(*(np.array([x]) for x in (1.0, 0.0, 0.2, 0.3, 0.8, 0.4)))
    R, _, z, v_R, v_phi, v_z = (part[0] for part in engine.track(start))
    rows = np.stack([R, z, v_R, v_phi, v_z], 1)
    found = orbits(milky_way, rows)
    assert np.ptp(found.energy) < 1e-9 and np.ptp(found.j_phi) < 1e-9
    assert found.j_r.std() < 0.05 * found.j_r.mean()
    assert found.j_z.std() < 0.06 * found.j_z.mean()
    assert np.abs(found.r_apo - np.hypot(rows[:, 0], rows[:, 1]).max()).max() < 0.04
