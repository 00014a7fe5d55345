"""Draws of distances to draws of orbits: alignment, odd stars, bits, presets, coverage."""

import numpy as np
import pytest

from bayes_ddp.flags import WARN
from bayes_ddp.galaxy.engines import make_engine
from bayes_ddp.galaxy.frames import Cylindrical, Sky, galactocentric, observed
from bayes_ddp.galaxy.motion import Astrometry
from bayes_ddp.galaxy.orbit import QUANTITIES, orbit_integrals
from bayes_ddp.galaxy.preset import GALPY2014, preset_of
from bayes_ddp.galaxy.records import DistancePosterior
from bayes_ddp.galaxy.sampling import OrbitSettings, orbits, orbits_and_accuracy

DRAWS = 256
FAST = OrbitSettings(check=0)


def halo(number: int, seed: int) -> Cylindrical:
    """Stars within 15 kpc of the centre with the velocities of a halo."""
    rng = np.random.default_rng(seed)
    r, cosine = rng.uniform(4, 15, number), rng.uniform(-1, 1, number)
    R, z = r * np.sqrt(1 - cosine**2), r * cosine
    return Cylindrical(R, rng.uniform(-3.1, 3.1, number), z, *rng.normal(0, 100, (3, number)))


def measured(
    sky: Sky, *, error: float, relative: float, seed: int, draws: int = DRAWS
) -> tuple[DistancePosterior, Astrometry]:
    """Astrometry with noise, and the posterior of distances measured to a relative error.

    ln d is measured with a normal error and has a flat prior, so that its posterior is exact.
    """
    rng, size = np.random.default_rng(seed), len(sky.ra)
    noise = error * rng.standard_normal((3, size))
    ones = np.ones(size)
    astrometry = Astrometry(
        ra=sky.ra,
        dec=sky.dec,
        parallax=np.full(size, np.nan),
        pmra=sky.pmra + noise[0],
        pmdec=sky.pmdec + noise[1],
        parallax_error=np.nan * ones,
        pmra_error=error * ones,
        pmdec_error=error * ones,
        **dict.fromkeys(("parallax_pmra", "parallax_pmdec", "pmra_pmdec", "zero_point"), 0 * ones),
        vrad=np.nan * ones,
        vrad_error=np.nan * ones,
    )
    centre = np.log(sky.distance) + relative * rng.standard_normal(size)
    speed = sky.vrad + rng.standard_normal(size)
    quantities = {
        "dist": np.exp(centre + relative * rng.standard_normal((draws, size))),
        "vrad": speed + rng.standard_normal((draws, size)),
    }
    ids = np.array([f"star {i}" for i in range(size)])
    distance = DistancePosterior(
        ids, np.zeros((draws, size)), quantities, np.zeros(size, np.int64)
    )
    return distance, astrometry


def test_draws_without_errors_are_the_orbit_of_the_star() -> None:
    star = halo(20, seed=1)
    distance, astrometry = measured(
        observed(star, GALPY2014), error=1e-9, relative=1e-9, seed=2, draws=4
    )
    distance.quantities["vrad"][:] = observed(star, GALPY2014).vrad
    found = orbits(distance, astrometry, FAST)
    truth = orbit_integrals(star, GALPY2014, make_engine())
    for name in QUANTITIES:
        expected = np.broadcast_to(truth[name].astype(np.float32), (4, 20))
        assert np.allclose(found[name], expected, rtol=2e-5, atol=1e-3, equal_nan=True)
    assert np.array_equal(found.log_weight, distance.log_weight)
    assert np.allclose(np.hypot(found["x"], found["y"]), star.R, rtol=1e-5)
    assert found.warn.tolist() == [0] * 20


def test_stars_do_not_depend_on_each_other_and_odd_ones_have_bits() -> None:
    star = halo(6, seed=3)
    distance, astrometry = measured(observed(star, GALPY2014), error=0.05, relative=0.1, seed=4)
    alone = orbits(distance, astrometry, FAST)
    astrometry.pmra[0] = np.nan
    distance.quantities["dist"][:, 1] = np.nan
    distance.quantities["vrad"][:, 2] += 2000
    distance.quantities["dist"][:, 3] = 200.0
    distance.quantities["dist"][0, 4] = 1e4  # one draw far beyond
    found = orbits(distance, astrometry, FAST)
    bits = [WARN(int(x)) for x in found.warn]
    assert WARN.NO_ORBIT in bits[0] and WARN.NO_ORBIT in bits[1]
    assert np.isnan(found["ecc"][:, :2]).all() and np.isnan(found.diagnostics["p_unbound"][0])
    assert WARN.UNBOUND in bits[2] and found.diagnostics["p_unbound"][2] == 1
    assert np.isfinite(found["energy"][:, 2]).all() and np.isnan(found["ecc"][:, 2]).all()
    assert WARN.OUTER_HALO in bits[3]
    assert found["unbound"][0, 4] == 1 and WARN.UNBOUND not in bits[4]
    assert np.array_equal(found["ecc"][1:, 4], alone["ecc"][1:, 4])
    assert np.isfinite(found.quantiles("ecc", [0.16, 0.5, 0.84])[:, 4]).all()
    for name in found.names:
        assert np.array_equal(found[name][:, 5], alone[name][:, 5], equal_nan=True)
    assert bits[5] == 0


def test_heavier_potential_binds_more() -> None:
    star = halo(200, seed=5)
    distance, astrometry = measured(observed(star, GALPY2014), error=0.3, relative=0.5, seed=6)
    found = orbits(distance, astrometry, FAST)
    light, heavy = (found.diagnostics[f"p_{name}"] for name in ("unbound", "unbound_heavy"))
    assert np.all(heavy <= light) and heavy.sum() < 0.9 * light.sum()
    none = orbits(distance, astrometry, OrbitSettings(check=0, heavy=""))
    assert np.isnan(none.diagnostics["p_unbound_heavy"]).all()


def test_presets_differ_by_the_motion_of_the_sun() -> None:
    still = Sky(*(np.array([x]) for x in (200.0, 20.0, 1e-3, 0.0, 0.0, 0.0)))
    distance, astrometry = measured(still, error=1e-6, relative=1e-6, seed=7)
    for name in ("galpy2014", "sgrA"):
        found = orbits(distance, astrometry, OrbitSettings(preset=name, check=0))
        preset = preset_of(name)
        assert np.isclose(np.median(found["j_phi"]), preset.r0 * preset.sun[1], rtol=2e-3)
    varied = orbits(distance, astrometry, OrbitSettings(preset="sgrA", vary_preset=True, check=0))
    expected = np.hypot(0.031 * 245.6, 8.122 * 1.4)  # of R0 V_sun, and the star's own km/s
    assert 0.7 < varied["j_phi"].std() / expected < 1.5


def test_two_stars_share_the_draws_of_the_preset() -> None:
    star = halo(2, seed=8)
    distance, astrometry = measured(observed(star, GALPY2014), error=1e-6, relative=1e-6, seed=9)
    distance.quantities["vrad"][:] = observed(star, GALPY2014).vrad
    found = orbits(distance, astrometry, OrbitSettings(vary_preset=True, check=0))
    assert abs(np.corrcoef(found["v_z"].T)[0, 1]) > 0.999  # both shift with the Sun's W


def test_accuracy_of_the_approximation_is_measured_by_integration() -> None:
    star = halo(30, seed=10)
    distance, astrometry = measured(observed(star, GALPY2014), error=0.01, relative=0.02, seed=11)
    _, accuracy = orbits_and_accuracy(distance, astrometry, OrbitSettings(check=8))
    assert accuracy is not None and accuracy.number >= 7
    assert 0 < accuracy.ecc[0] < 0.03 and accuracy.r_apo[1] < 0.2
    assert set(accuracy.cards()) >= {"NCHECK", "ECCDMED", "ECCD95", "APODMED"}


def test_lengths_that_differ_and_wrong_settings_are_refused() -> None:
    distance, astrometry = measured(
        observed(halo(3, seed=12), GALPY2014), error=0.1, relative=0.1, seed=13
    )
    with pytest.raises(ValueError, match="match them first"):
        orbits(distance, astrometry.take(np.array([0, 1])), FAST)
    with pytest.raises(ValueError, match="no preset"):
        OrbitSettings(preset="modern")
    with pytest.raises(ValueError, match="no potential of galpy"):
        orbits(distance, astrometry, OrbitSettings(potential="MWPotential2015"))


@pytest.mark.slow
@pytest.mark.parametrize("relative", [0.05, 0.1, 0.2, 0.3])
def test_true_orbits_are_covered(relative: float) -> None:
    """The prior of ln d is flat and the truth is drawn from it, so the posterior is exact but for
    the flat prior of the proper motion. The 68 % interval holds the truth of 1,500 stars within
    five standard errors, as a whole and in halves by the posterior median of e.
    """
    rng, size = np.random.default_rng(20), 1500
    place = halo(size, seed=21)
    sky = observed(place, GALPY2014)
    sky = sky._replace(distance=np.exp(rng.uniform(np.log(0.3), np.log(12.0), size)))
    scale = 25.0 / sky.distance  # mas/yr of about 120 km/s
    sky = sky._replace(pmra=scale * rng.normal(size=size), pmdec=scale * rng.normal(size=size))
    truth = orbit_integrals(galactocentric(sky, GALPY2014), GALPY2014, make_engine())
    distance, astrometry = measured(sky, error=0.02, relative=relative, seed=22)
    found = orbits(distance, astrometry, FAST)
    use = (found.diagnostics["p_unbound"] < 0.02) & np.isfinite(truth["ecc"])
    middle = found.quantiles("ecc", [0.5])[0]
    for name in ("ecc", "j_phi", "r_apo"):
        low, high = found.quantiles(name, [0.16, 0.84])
        inside = (truth[name] > low) & (truth[name] < high)
        for part in (use, use & (middle > np.median(middle[use]))):
            share = inside[part].mean()
            assert abs(share - 0.68) < 5 * np.sqrt(0.68 * 0.32 / part.sum()), (name, share)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["McMillan17", "MWPotential2014 + DehnenBarPotential"])
def test_potentials_of_galpy_are_found_by_name(name: str) -> None:
    """Stars of the disc have similar orbits in all models of the Milky Way; J_phi is the same."""
    size, draws = 3, 4
    place = Cylindrical(
        np.array([7.5, 8.5, 9.0]), np.zeros(3), np.array([0.1, -0.2, 0.3]), *np.zeros((3, 3))
    )
    place = place._replace(v_phi=np.array([215.0, 225.0, 205.0]), v_R=np.array([10.0, -20.0, 5.0]))
    sky = observed(place, GALPY2014)
    distance, astrometry = measured(sky, error=0.01, relative=0.01, seed=3, draws=draws)
    usual = orbits(distance, astrometry, FAST)
    other = orbits(distance, astrometry, OrbitSettings(check=0, potential=name))
    assert other["ecc"].shape == (draws, size) and np.isfinite(other["ecc"]).all()
    np.testing.assert_allclose(other["j_phi"], usual["j_phi"], rtol=1e-6)
    # a bar changes e by 0.09 and r_apo by 14 % at 7.5 kpc, near its outer Lindblad resonance
    assert np.abs(other["ecc"] - usual["ecc"]).max() < 0.15
    assert np.abs(other["r_apo"] / usual["r_apo"] - 1).max() < 0.2
