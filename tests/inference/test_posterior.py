"""Posterior: summaries agree with the weighted draws, whatever is taken, joined or resampled."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from bayes_ddp.flags import WARN
from bayes_ddp.inference.posterior import (
    QUANTILES,
    Posterior,
    blank,
    by_name,
    concatenate,
    from_arviz,
)
from bayes_ddp.inference.weights import systematic, weighted_quantiles

NAMES, ARMS = ("teff", "logg", "feh"), ("B", "R")
LEVELS = [0.025, 0.16, 0.5, 0.84, 0.975]


def make(stars: int = 4, draws: int = 200, key: int = 1, **changed: Any) -> Posterior:
    """A posterior of three labels; the star in row 1 was not fitted."""
    rng = np.random.default_rng(key)
    drawn = rng.standard_normal((draws, stars, 3)) * [50, 0.1, 0.05] + [5500, 4.2, -0.4]
    covariance = np.stack([np.cov(drawn[:, i].T) for i in range(stars)])
    values: dict[str, Any] = {
        "ids": np.array([f"star-{key}-{i}" for i in range(stars)]),
        "names": NAMES,
        "arms": ARMS,
        "draws": drawn,
        "nuisances": by_name(ARMS, rng.random((draws, stars)), rng.random((draws, stars, 2))),
        "log_weight": np.zeros((draws, stars)),
        "log_prior": rng.random((draws, stars)),
        "log_likelihood": rng.random((draws, stars)),
        "mode": drawn[0],
        "mean": drawn.mean(axis=0),
        "covariance": covariance,
        "prior_mean": np.zeros((stars, 3)),
        "prior_covariance": np.tile(np.eye(3), (stars, 1, 1)),
        "velocity": rng.random((stars, 2)),
        "lsf": rng.random((stars, 2)),
        "chi2": rng.random(stars),
        "pixels": np.arange(stars),
        "rejected": np.arange(stars),
        "warn": np.arange(stars, dtype=np.int64) << 20,
        "chains": 4,
        "diagnostics": {"rhat": rng.random((stars, 3)), "divergences": np.arange(stars)},
    }
    for name in ("mean", "covariance", "chi2"):
        values[name][1] = np.nan
    values["draws"][:, 1] = np.nan
    return Posterior(**values | changed)


def weighted(draws: int = 4000, spread: float = 1.0, **changed: Any) -> Posterior:
    """Draws with unequal weights, and the moments of the weighted draws."""
    plain = make(draws=draws)
    log_weight = spread * np.random.default_rng(3).standard_normal((draws, len(plain)))
    weight = np.exp(log_weight) / np.exp(log_weight).sum(axis=0)
    mean = np.einsum("ds,dsl->sl", weight, plain.draws)
    away = plain.draws - mean
    covariance = np.einsum("ds,dsl,dsm->slm", weight, away, away)
    values = {"log_weight": log_weight, "mean": mean, "covariance": covariance}
    return make(draws=draws, **values | changed)


def same(one: Posterior, other: Posterior) -> None:
    """Every field equal, dtypes included."""
    for f in fields(Posterior):
        a, b = getattr(one, f.name), getattr(other, f.name)
        tables = (a, b) if isinstance(a, dict) else ({"": a}, {"": b})
        assert tables[0].keys() == tables[1].keys(), f.name
        for name in tables[0]:
            left, right = np.asarray(tables[0][name]), np.asarray(tables[1][name])
            np.testing.assert_array_equal(left, right, err_msg=f"{f.name} {name}")
            assert left.dtype == right.dtype, f.name


def test_quantiles_of_equal_weights_are_those_of_numpy() -> None:
    posterior = make()
    found = posterior.quantiles(LEVELS)
    expected = np.quantile(posterior.draws, LEVELS, axis=0, method="hazen")
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert np.isnan(found[:, 1]).all()


def test_weight_of_two_is_two_draws() -> None:
    """Doubled weights against doubled draws; interpolation differs by less than a draw's gap."""
    rng = np.random.default_rng(5)
    twice = rng.random((400, 4)) < 0.5
    doubled = make(draws=400, log_weight=np.where(twice, np.log(2), 0.0))
    levels = np.linspace(0.1, 0.9, 9)
    found = doubled.quantiles(levels)
    for star in (0, 2, 3):
        copies = np.repeat(doubled.draws[:, star], np.where(twice[:, star], 2, 1), axis=0)
        ranked = np.sort(copies, axis=0)
        expected = np.quantile(copies, levels, axis=0, method="hazen")
        for i in range(3):
            places = [
                np.searchsorted(ranked[:, i], v) for v in (found[:, star, i], expected[:, i])
            ]
            assert np.abs(places[0] - places[1]).max() <= 2


def test_weights_count_only_relative_to_each_other() -> None:
    log_weight = np.random.default_rng(3).standard_normal((200, 4))
    one, two = (make(log_weight=log_weight + c) for c in (0.0, -5000.0))
    np.testing.assert_allclose(one.quantiles([0.2, 0.7]), two.quantiles([0.2, 0.7]), rtol=1e-9)
    np.testing.assert_allclose(one.weight, two.weight, rtol=1e-9)
    np.testing.assert_allclose(one.weight.sum(axis=0), 1.0)


def test_draws_of_weight_zero_take_no_part() -> None:
    """Quantiles stay between neighbouring draws of those that have weight."""
    log_weight = np.zeros((200, 4))
    log_weight[100:] = -np.inf
    ranked = np.sort(make().draws[:100, 0], axis=0)
    posterior = make(log_weight=log_weight)
    np.testing.assert_allclose(posterior.weight[:, 0], np.repeat([0.01, 0.0], 100))
    found = posterior.quantiles([0.105, 0.505, 0.905])[:, 0]
    for row, value in zip((10, 50, 90), found, strict=True):
        assert (ranked[row - 2] <= value).all()
        assert (value <= ranked[row + 2]).all()


def test_single_draw_is_all_quantiles() -> None:
    one = np.array([[5000.0, 4.0]])
    found = weighted_quantiles(one, np.ones(1), LEVELS)
    np.testing.assert_array_equal(found, np.repeat(one, 5, axis=0))


def test_standard_deviations_are_those_of_the_covariance() -> None:
    posterior = make()
    np.testing.assert_allclose(posterior.sd[0], posterior.draws[:, 0].std(axis=0, ddof=1))
    np.testing.assert_array_equal(posterior.prior_sd, 1.0)


def test_fitted_stars_are_those_with_a_mean() -> None:
    assert make().fitted.tolist() == [True, False, True, True]


def test_systematic_draws_follow_the_weights_closely() -> None:
    weight = np.array([0.5, 0.0, 0.3, 0.2])
    counts = np.bincount(systematic(weight, 1001, np.random.default_rng(4)), minlength=4)
    assert (np.abs(counts - 1001 * weight) <= 1).all()
    assert counts.sum() == 1001


def test_equally_weighted_draws_keep_mean_and_covariance() -> None:
    """1,000 of 4,000 draws: five Monte Carlo errors, 9 moments of 3 stars; failure 1e-5."""
    posterior = weighted()
    few = posterior.equally_weighted(1000)
    assert few.draws.shape == (1000, 4, 3)
    assert few.chains == 1
    assert not few.log_weight.any()
    for star in (0, 2, 3):
        sd = posterior.sd[star]
        gap = (few.draws[:, star].mean(axis=0) - posterior.mean[star]) / sd
        assert (np.abs(gap) < 5 / np.sqrt(1000)).all()
        found = np.cov(few.draws[:, star].T, bias=True)
        gap = (found - posterior.covariance[star]) / np.outer(sd, sd)
        assert (np.abs(gap) < 5 * np.sqrt(2 / 1000)).all()
    assert np.isnan(few.draws[:, 1]).all()


def test_equally_weighted_draws_follow_weights_that_depend_on_the_label() -> None:
    """Weights exp(z) move a normal z by its standard deviation; the mean of 1,000 draws to 5/sqrt.

    Unlike weights that know nothing of the label, these show whether they were used.
    """
    plain = make(draws=4000).take([0, 2, 3])
    z = (plain.draws[..., 0] - 5500) / 50
    shifted = replace(plain, log_weight=z)
    expected = (shifted.weight * z).sum(axis=0)
    assert (np.abs(expected - 1) < 0.15).all()
    found = (shifted.equally_weighted(1000).draws[..., 0] - 5500) / 50
    assert (np.abs(found.mean(axis=0) - expected) < 5 / np.sqrt(1000)).all()


def test_equally_weighted_draws_keep_all_quantities_of_a_draw_together() -> None:
    """Each row of the result is one draw of the original in every array."""
    posterior = weighted(draws=300)
    few = posterior.equally_weighted(50)
    rows = [int(np.flatnonzero(posterior.draws[:, 2, 0] == v)[0]) for v in few.draws[:, 2, 0]]
    np.testing.assert_array_equal(few.draws[:, 2], posterior.draws[rows, 2])
    np.testing.assert_array_equal(few.log_prior[:, 2], posterior.log_prior[rows, 2])
    np.testing.assert_array_equal(few.log_likelihood[:, 2], posterior.log_likelihood[rows, 2])
    for name, values in few.nuisances.items():
        np.testing.assert_array_equal(values[:, 2], posterior.nuisances[name][rows, 2])


def test_moments_and_quantiles_of_all_draws_outlive_resampling() -> None:
    posterior = weighted()
    few = posterior.equally_weighted(20)
    expected = posterior.quantiles(tuple(QUANTILES.values()))
    np.testing.assert_array_equal(few.summary(), expected)
    np.testing.assert_array_equal(few.mean, posterior.mean)
    np.testing.assert_array_equal(few.covariance, posterior.covariance)
    np.testing.assert_array_equal(few.equally_weighted(10).summary(), expected)


def test_equally_weighted_draws_of_a_star_do_not_depend_on_its_batch() -> None:
    """Nor on its place in it; another identifier gives another choice."""
    posterior = weighted(draws=300)
    whole, order = posterior.equally_weighted(50), [3, 0]
    turned, expected = posterior.take(order).equally_weighted(50), whole.take(order)
    np.testing.assert_allclose(turned.summary(), expected.summary(), rtol=1e-12)
    same(replace(turned, diagnostics={}), replace(expected, diagnostics={}))
    other = weighted(draws=300, ids=np.array(["x", "y", "z", "u"])).equally_weighted(50)
    assert (other.draws[:, 0] != whole.draws[:, 0]).any()


def test_few_equally_weighted_draws_stay_as_they_are() -> None:
    posterior = make()
    kept = posterior.equally_weighted(200)
    np.testing.assert_array_equal(kept.draws, posterior.draws)
    assert kept.chains == 4
    assert kept.diagnostics.keys() == posterior.diagnostics.keys() | QUANTILES.keys()
    assert len(posterior.equally_weighted(1000).draws) == 200
    assert len(posterior.equally_weighted(199).draws) == 199


def test_arviz_has_the_draws_chain_by_chain() -> None:
    posterior = make()
    tree = posterior.to_arviz(2)
    assert tree["posterior"].sizes == {"chain": 4, "draw": 50}
    second = tree["posterior"]["logg"].values[1]
    np.testing.assert_array_equal(second, posterior.draws[50:100, 2, 1])
    velocity = tree["posterior"]["velocity"].values.reshape(-1)
    np.testing.assert_array_equal(velocity, posterior.nuisances["velocity"][:, 2])
    np.testing.assert_array_equal(from_arviz(tree, NAMES), posterior.draws[:, 2])


def test_arviz_summarises_labels_and_nuisances() -> None:
    """The dimension names do not break its summary."""
    import arviz as az

    table = az.summary(make().to_arviz(0))
    assert sorted(table.index) == sorted((*NAMES, "velocity", "lsf_B", "lsf_R"))


def test_weighted_draws_are_resampled_for_arviz() -> None:
    posterior = weighted()
    tree = posterior.to_arviz(0, number=400)
    assert tree["posterior"].sizes == {"chain": 1, "draw": 400}
    found = from_arviz(tree, NAMES).mean(axis=0)
    assert (np.abs(found - posterior.mean[0]) < 5 * posterior.sd[0] / np.sqrt(400)).all()


def test_table_has_a_row_per_star_with_units_and_named_warnings() -> None:
    posterior = make(warn=np.array([0, int(WARN.NODATA), 0, int(WARN.HOT | WARN.WD)]))
    table = posterior.to_table()
    assert list(table["ID"]) == posterior.ids.tolist()
    np.testing.assert_array_equal(table["TEFF"], posterior.mean[:, 0])
    np.testing.assert_array_equal(table["LOGG_ERR"], posterior.sd[:, 1])
    assert str(table["TEFF"].unit) == str(table["TEFF_ERR"].unit) == "K"
    assert table["TEFF"].description
    assert list(table["WARN"]) == posterior.warn.tolist()
    assert list(table["WARNINGS"]) == ["", "NODATA", "", "HOT WD"]


def test_repr_counts_stars_draws_and_labels() -> None:
    text = repr(make())
    assert text == "<Posterior of 4 stars (1 without a warning): 200 draws of 3 labels>"


@pytest.mark.parametrize(("stars", "more"), [(4, False), (12, True)])
def test_notebooks_show_the_first_ten_stars(stars: int, more: bool) -> None:
    html = make(stars)._repr_html_()
    shown = [f"star-1-{i}" in html for i in range(stars)]
    assert shown == [i < 10 for i in range(stars)]
    assert f"Posterior of {stars} stars" in html
    assert ("2 more stars" in html) == more
    assert "<table" in html


@pytest.mark.parametrize("rows", [[0, 1, 2, 3], [2, 0], [3, 3, 1], [], np.array([False] * 4)])
def test_taken_stars_have_all_their_values(rows: Sequence[int] | np.ndarray) -> None:
    posterior, rows = make(), np.asarray(rows, int if len(rows) != 4 else None)
    taken = posterior.take(rows)
    assert len(taken) == len(posterior.mean[rows])
    np.testing.assert_array_equal(taken.ids, posterior.ids[rows])
    np.testing.assert_array_equal(taken.draws, posterior.draws[:, rows])
    np.testing.assert_array_equal(taken.prior_covariance, posterior.prior_covariance[rows])
    np.testing.assert_array_equal(taken.nuisances["lsf_R"], posterior.nuisances["lsf_R"][:, rows])
    np.testing.assert_array_equal(taken.diagnostics["rhat"], posterior.diagnostics["rhat"][rows])


def test_taking_and_joining_stars_are_inverse() -> None:
    posterior = make()
    parts = [posterior.take(np.array(rows)) for rows in ([0, 1], [2], [3])]
    same(posterior, concatenate(parts))


@pytest.mark.parametrize(
    "diagnostics", [(), ("rhat", "ess", "divergences"), ("khat", "rhat", "ess"), ("p16", "p95")]
)
def test_star_that_was_not_fitted_is_unknown(diagnostics: tuple[str, ...]) -> None:
    empty = blank(NAMES, np.array(["a", "b"]), ARMS, number=5, diagnostics=diagnostics)
    assert len(empty) == 2
    assert empty.draws.shape == (5, 2, 3)
    for name in ("draws", "mode", "mean", "covariance", "prior_covariance", "velocity", "lsf"):
        assert np.isnan(getattr(empty, name)).all(), name
    assert np.isnan(empty.quantiles([0.5])).all()
    assert not empty.fitted.any() and not empty.warn.any() and not empty.pixels.any()
    assert tuple(empty.diagnostics) == diagnostics
    assert set(empty.nuisances) == {"velocity", "lsf_B", "lsf_R"}


def test_stars_that_were_not_fitted_go_through_every_view() -> None:
    empty = blank(NAMES, np.array(["a", "b"]), ARMS, number=5)
    few = empty.equally_weighted(2)
    assert np.isnan(few.draws).all() and np.isnan(few.summary()).all()
    assert np.isnan(empty.to_table()["TEFF"]).all()
    assert "2 stars" in repr(empty) and "<table" in empty._repr_html_()
    assert len(concatenate([empty, empty.take([0])])) == 3


def test_no_star_is_a_record_too() -> None:
    none = blank(NAMES, np.array([], str), ARMS, diagnostics=("rhat",))
    assert len(none) == len(none.equally_weighted(2)) == len(none.to_table()) == 0
    assert "0 stars" in repr(none) and none._repr_html_()
