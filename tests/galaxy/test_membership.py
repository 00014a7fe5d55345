"""Selections draw by draw, their Monte Carlo error, and limits that hold for one preset alone."""

import numpy as np
import pytest

from bayes_ddp.galaxy.membership import (
    SELECTIONS,
    Box,
    Gaussian,
    Mixture,
    posterior_mass,
    selection,
)


def equal(draws: int, stars: int) -> np.ndarray:
    return np.full((draws, stars), 1 / draws)


def test_box_takes_what_is_inside_its_open_limits() -> None:
    j_phi = np.array([[-700.0], [-699.0], [499.0], [0.0]])
    draws = {"j_phi": j_phi, "ecc": np.array([[0.95], [0.95], [0.91], [0.9]])}
    mass, error = posterior_mass(SELECTIONS["ges"], draws, equal(4, 1))
    assert mass[0] == 0.5 and 0.2 < error[0] < 0.3


def test_mass_is_weighted_and_unbound_draws_are_outside() -> None:
    draws = {
        "j_phi": np.zeros((3, 1)),
        "ecc": np.array([[0.95], [0.5], [np.nan]]),
        "unbound": np.array([[0.0], [0.0], [1.0]]),
    }
    weight = np.array([[0.5], [0.3], [0.2]])
    assert np.isclose(posterior_mass(SELECTIONS["ges"], draws, weight)[0][0], 0.5)
    lost = draws | {"unbound": np.zeros((3, 1))}
    assert np.isclose(posterior_mass(SELECTIONS["ges"], lost, weight)[0][0], 0.5 / 0.8)
    none = draws | {"ecc": np.full((3, 1), np.nan), "unbound": np.full((3, 1), np.nan)}
    assert np.isnan(posterior_mass(SELECTIONS["ges"], none, weight)[0]).all()


def test_error_is_the_scatter_of_the_mass_between_sets_of_draws() -> None:
    """400 sets of 200 weighted draws; the scatter of a scatter is 1 / sqrt(800), five of them."""
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(200, 400)), rng.exponential(size=(200, 400))
    mass, error = posterior_mass(Box({"x": (0.7, np.inf)}), {"x": x}, w / w.sum(axis=0))
    assert abs(mass.mean() - 0.242) < 5 * mass.std() / 20
    assert abs(mass.std() / np.sqrt(np.mean(error**2)) - 1) < 5 / np.sqrt(800)


def test_error_does_not_vanish_where_all_draws_agree() -> None:
    mass, error = posterior_mass(
        Box({"x": (0.0, 1.0)}), {"x": np.full((100, 1), 0.5)}, equal(100, 1)
    )
    assert np.isclose(mass[0], 1) and 0.005 < error[0] < 0.02


def test_mixture_is_the_share_of_its_members() -> None:
    unit = ((1.0, 0.0), (0.0, 1.0))
    pair = Mixture(
        ("x", "y"),
        members=(Gaussian(0.3, (0.0, 0.0), unit),),
        others=(Gaussian(0.7, (4.0, 0.0), unit),),
    )
    x = np.array([[0.0], [2.0], [4.0]])
    share = pair.share([x, np.zeros(1)])
    expected = 0.3 / (0.3 + 0.7 * np.exp(4 * x - 8))
    assert np.allclose(share, expected)
    mass, _ = posterior_mass(pair, {"x": x, "y": np.zeros(1)}, equal(3, 1))
    assert np.isclose(mass[0], expected.mean())
    assert np.isfinite(pair.share([np.full((1, 1), 1e4), np.zeros(1)])).all()
    with pytest.raises(ValueError, match="symmetric"):
        Gaussian(1.0, (0.0, 0.0), ((1.0,),))
    with pytest.raises(ValueError, match="positive"):
        Gaussian(1.0, (0.0,), ((-1.0,),))


def test_limits_of_one_preset_are_refused_with_another() -> None:
    assert selection("ges", "galpy2014").columns == ("j_phi", "ecc")
    with pytest.raises(ValueError, match="hold for the preset galpy2014"):
        selection("ges", "sgrA")
    with pytest.raises(ValueError, match="Did you mean 'ges_actions'"):
        selection("ges_action", "sgrA")
    with pytest.raises(KeyError, match="mg_fe"):
        posterior_mass(SELECTIONS["ges_chemistry"], {"ecc": np.zeros((2, 1))}, equal(2, 1))
