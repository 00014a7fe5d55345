"""Zero points of parallaxes against the package zero_point, and their limits."""

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from bayes_ddp.galaxy.zero_point import ZERO_POINT_COLUMNS, zero_points

zpt = pytest.importorskip("zero_point.zpt")

SKY = (np.array([10.0]), np.array([20.0]))


def one(**change: float) -> float:
    """Zero point of one star of a five-parameter solution."""
    star = {"phot_g_mean_mag": 15.0, "nu_eff_used_in_astrometry": 1.5, "pseudocolour": np.nan}
    star |= {"astrometric_params_solved": 31, "ecl_lat": 30.0}
    table = {name: np.array([float(value)]) for name, value in (star | change).items()}
    return float(zero_points(table, *SKY, where="table")[0])


def test_zero_points_of_benchmark_stars_are_those_of_the_package(data: Path) -> None:
    name = "gbs_v3_tmass_gaiadr3_hip_allwise_all_columns.fits"
    table = Table.read(data / "gaia_benchmark_v3" / name, unit_parse_strict="silent")
    columns = {
        column: np.ma.filled(np.ma.asarray(table[column], float), np.nan)
        for column in (*ZERO_POINT_COLUMNS, "ecl_lat", "ra_gaiadr3", "dec_gaiadr3")
    }
    place = columns["ra_gaiadr3"], columns["dec_gaiadr3"]
    found = zero_points(columns, *place, where="table")
    zpt.load_tables()
    expected = np.full(len(found), np.nan)
    solved = columns["astrometric_params_solved"]
    for i in np.flatnonzero(np.isin(solved, (31, 95))):
        star = [columns[name][i] for name in (*ZERO_POINT_COLUMNS[:3], "ecl_lat")]
        expected[i] = zpt.get_zpt(*star, solved[i], _warnings=False)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    known = np.isfinite(found)
    # the formula holds for G above 6: most of these stars are brighter
    assert (columns["phot_g_mean_mag"][known] >= 6).all()
    assert known.sum() == np.sum((columns["phot_g_mean_mag"] > 6) & np.isin(solved, (31, 95)))
    without = {name: values for name, values in columns.items() if name != "ecl_lat"}
    by_position = zero_points(without, *place, where="table")
    np.testing.assert_allclose(by_position[known], found[known], atol=1e-4)


@pytest.mark.parametrize(
    "change, known",
    [
        ({"phot_g_mean_mag": 6.01}, True),
        ({"phot_g_mean_mag": 5.99}, False),
        ({"phot_g_mean_mag": 20.99}, True),
        ({"phot_g_mean_mag": 21.01}, False),
        ({"nu_eff_used_in_astrometry": 1.11}, True),
        ({"nu_eff_used_in_astrometry": 1.09}, False),
        ({"nu_eff_used_in_astrometry": 1.91}, False),
        ({"astrometric_params_solved": 95, "pseudocolour": 1.5}, True),
        ({"astrometric_params_solved": 95, "pseudocolour": 1.23}, False),
        ({"astrometric_params_solved": 95, "pseudocolour": 1.73}, False),
        ({"astrometric_params_solved": 95}, False),
        ({"astrometric_params_solved": 3}, False),
        ({"ecl_lat": np.nan}, False),
    ],
)
def test_a_zero_point_is_unknown_out_of_its_range(change: dict[str, float], known: bool) -> None:
    assert np.isfinite(one(**change)) == known


def test_zero_points_of_both_solutions_are_between_minus_a_tenth_and_zero_point_zero_five() -> (
    None
):
    """Lindegren et al. (2021): mas; brighter stars of six parameters are not mixed with five."""
    five, six = one(), one(astrometric_params_solved=95, pseudocolour=1.5)
    assert -0.1 < five < 0.05
    assert -0.1 < six < 0.05
    assert five != six
