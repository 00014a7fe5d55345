"""Proper motions given the distance, against brute force; Gaia's columns."""

import numpy as np
import pytest

from bayes_ddp.galaxy.motion import Astrometry, astrometry_of, draw_sky, proper_motion

CORR = np.array([[1.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 1.0]])
SD = np.array([0.1, 0.12, 0.08])  # parallax, pmra, pmdec


def star(**changed: float) -> Astrometry:
    values = {
        "ra": 200.0,
        "dec": 20.0,
        "parallax": 0.35,
        "pmra": 3.0,
        "pmdec": -5.0,
        "parallax_error": SD[0],
        "pmra_error": SD[1],
        "pmdec_error": SD[2],
        "parallax_pmra": CORR[0, 1],
        "parallax_pmdec": CORR[0, 2],
        "pmra_pmdec": CORR[1, 2],
        "zero_point": -0.04,
        "vrad": np.nan,
        "vrad_error": np.nan,
    } | changed
    return Astrometry(**{name: np.array([value]) for name, value in values.items()})


def test_proper_motion_given_the_distance_is_that_of_brute_force() -> None:
    """Measurements are simulated from true parallaxes and flat priors, and those that come out as
    observed are kept: mean and covariance of their proper motions, five standard errors each.
    """
    rng, number, distance = np.random.default_rng(1), 4_000_000, 2.2
    noise = rng.standard_normal((number, 3)) @ np.linalg.cholesky(CORR).T * SD
    measured = 1 / distance - 0.04 + noise[:, 0]  # the zero point is what is measured at infinity
    near = np.abs(measured - 0.35) < 0.004
    true = np.array([3.0, -5.0]) - noise[near, 1:]  # of a flat prior, mu = mu_obs - noise

    draws = rng.standard_normal((2, 100_000, 1))
    found = proper_motion(star(), np.full((100_000, 1), distance), draws)[:, :, 0]
    size = min(near.sum(), 100_000)
    assert size > 10_000
    error = np.sqrt(2 / size) * SD[1:]
    assert np.all(np.abs(found.mean(axis=1) - true.mean(axis=0)) < 5 * error)
    ratio = np.cov(found) / np.cov(true.T)
    assert np.all(np.abs(ratio - 1) < 5 * np.sqrt(2 * 2 / size) * np.array([[1, 3], [3, 1]]))
    # the shift that the parallax causes is far above these errors
    assert np.abs(found.mean(axis=1)[0] - 3.0) > 20 * error[0]


def test_unknown_parallax_leaves_the_proper_motion_as_measured() -> None:
    rng = np.random.default_rng(2)
    noise, distance = rng.standard_normal((2, 50_000, 1)), np.full((50_000, 1), 3.0)
    found = proper_motion(star(parallax=np.nan), distance, noise)[:, :, 0]
    assert np.allclose(found.mean(axis=1), [3.0, -5.0], atol=5 * SD[1] / np.sqrt(50_000))
    assert np.allclose(found.std(axis=1), SD[1:], rtol=0.02)
    assert abs(np.corrcoef(found)[0, 1] - 0.2) < 0.02
    assert np.isnan(proper_motion(star(pmra_error=0.0), distance, noise)[0]).all()


def test_noise_of_a_star_depends_on_its_name_alone() -> None:
    both = Astrometry(*(np.repeat(v, 2) for v in vars(star()).values()))
    far, speed = np.full((50, 2), 3.0), np.zeros((50, 2))
    pair = draw_sky(both, far, speed, ids=np.array(["a", "b"]), floor=1.0)
    alone = draw_sky(
        both.take(slice(1, 2)), far[:, 1:], speed[:, 1:], ids=np.array(["b"]), floor=1.0
    )
    assert np.array_equal(pair.pmra[:, 1:], alone.pmra)
    assert np.array_equal(pair.vrad[:, 1:], alone.vrad)
    assert not np.any(pair.pmra[:, 0] == pair.pmra[:, 1])
    assert 0.5 < pair.vrad.std() < 1.5


def test_velocity_of_a_star_without_draws_is_the_measured_one() -> None:
    far, none = np.full((4000, 1), 3.0), np.full((4000, 1), np.nan)
    given = star(vrad=100.0, vrad_error=2.0)
    sky = draw_sky(given, far, none, ids=np.array(["a"]), floor=50.0)
    assert abs(sky.vrad.mean() - 100) < 5 * 2 / np.sqrt(4000) and abs(sky.vrad.std() - 2) < 0.2
    assert np.isnan(draw_sky(star(), far, none, ids=np.array(["a"])).vrad).all()


def test_columns_of_gaia_are_read_and_missing_ones_are_named() -> None:
    table = {
        "ra": np.array([1.0, 2.0]),
        "dec": np.array([3.0, 4.0]),
        "pmra": np.array([1, 2]),
        "pmdec": np.ma.array([1.0, 2.0], mask=[False, True]),
        "pmra_error": np.array([0.1, 0.1]),
        "pmdec_error": np.array([0.1, 0.1]),
        "parallax_pmra_corr": np.array([0.3, np.nan]),
    }
    found = astrometry_of(table)
    assert found.parallax_pmra.tolist() == [0.3, 0.0] and found.zero_point.tolist() == [0, 0]
    assert np.isnan(found.pmdec[1]) and np.isnan(found.parallax).all()
    assert np.isnan(found.take(np.array([0, -1])).ra).tolist() == [False, True]
    with pytest.raises(ValueError, match="gaia has no column pmdec_error"):
        astrometry_of({n: v for n, v in table.items() if n != "pmdec_error"}, where="gaia")
    with pytest.raises(ValueError, match="ra, dec"):
        astrometry_of({n: v for n, v in table.items() if n != "ra"})
