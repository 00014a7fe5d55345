"""Posterior: summaries true to the draws, and nothing lost on the way through ArviZ and netCDF."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bayes_ddp.inference.posterior import (
    Posterior,
    blank,
    concatenate,
    from_arviz,
    from_dataset,
    open_part,
    read_draws,
    read_part,
    rounded,
    to_arviz,
    to_dataset,
    write_part,
)

NAMES = ("teff", "logg", "feh")


def make(stars: int = 4, draws: int = 200, key: int = 1, **changed: Any) -> Posterior:
    """A posterior of three labels; the star in row 1 was not fitted."""
    rng = np.random.default_rng(key)
    drawn = rng.standard_normal((draws, stars, 3)) * [50, 0.1, 0.05] + [5500, 4.2, -0.4]
    covariance = np.stack([np.cov(drawn[:, i].T) for i in range(stars)])
    values: dict[str, Any] = {
        "names": NAMES,
        "draws": drawn,
        "log_weight": np.zeros((draws, stars)),
        "mean": drawn.mean(axis=0),
        "covariance": covariance,
        "prior_mean": np.zeros((stars, 3)),
        "prior_sd": np.ones((stars, 3)),
        "chi2": rng.random(stars),
        "pixels": np.arange(stars),
        "velocity": rng.random((stars, 2)),
        "lsf": rng.random((stars, 2)),
        "warn": np.arange(stars, dtype=np.int64) << 40,
        "chains": 4,
        "diagnostics": {"rhat": rng.random((stars, 3)), "divergences": np.arange(stars)},
    }
    for name in ("mean", "covariance", "chi2"):
        values[name][1] = np.nan
    values["draws"][:, 1] = np.nan
    return Posterior(**values | changed)


def same(one: Posterior, other: Posterior) -> None:
    for f in fields(Posterior):
        a, b = getattr(one, f.name), getattr(other, f.name)
        if f.name == "diagnostics":
            assert a.keys() == b.keys()
            for name in a:
                np.testing.assert_array_equal(a[name], b[name], err_msg=name)
        else:
            np.testing.assert_array_equal(a, b, err_msg=f.name)
            if isinstance(a, np.ndarray):
                assert a.dtype == b.dtype, f.name


def test_quantiles_of_equal_weights_are_those_of_numpy() -> None:
    posterior, levels = make(), [0.025, 0.16, 0.5, 0.84, 0.975]
    found = posterior.quantiles(levels)
    wanted = np.quantile(posterior.draws, levels, axis=0, method="hazen")
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    assert np.isnan(found[:, 1]).all()


def test_weight_of_two_is_two_draws() -> None:
    """Doubled weights against doubled draws; interpolation differs by less than a draw's gap."""
    rng = np.random.default_rng(5)
    twice = rng.random((400, 4)) < 0.5
    weighted = make(draws=400, log_weight=np.where(twice, np.log(2), 0.0))
    levels = np.linspace(0.1, 0.9, 9)
    found = weighted.quantiles(levels)
    for star in (0, 2, 3):
        copies = np.repeat(weighted.draws[:, star], np.where(twice[:, star], 2, 1), axis=0)
        ranked = np.sort(copies, axis=0)
        wanted = np.quantile(copies, levels, axis=0, method="hazen")
        gap = np.array(
            [np.abs(np.searchsorted(ranked[:, i], found[:, star, i])
                    - np.searchsorted(ranked[:, i], wanted[:, i])) for i in range(3)]
        )  # fmt: skip
        assert gap.max() <= 2


def test_weights_count_only_relative_to_each_other() -> None:
    log_weight = np.random.default_rng(3).standard_normal((200, 4))
    one, two = (make(log_weight=log_weight + c).quantiles([0.2, 0.7]) for c in (0.0, -5000.0))
    np.testing.assert_allclose(one, two, rtol=1e-9)


def test_weightless_draws_have_no_part() -> None:
    """Quantiles stay between neighbouring draws of those that have weight."""
    weight = np.zeros((200, 4))
    weight[100:] = -np.inf
    ranked = np.sort(make().draws[:100, 0], axis=0)
    found = make(log_weight=weight).quantiles([0.105, 0.505, 0.905])[:, 0]
    for row, value in zip((10, 50, 90), found, strict=True):
        assert (ranked[row - 2] <= value).all()
        assert (value <= ranked[row + 2]).all()


def test_standard_deviations_are_those_of_the_covariance() -> None:
    posterior = make()
    np.testing.assert_allclose(posterior.sd[0], posterior.draws[:, 0].std(axis=0, ddof=1))


def test_arviz_has_the_draws_chain_by_chain() -> None:
    posterior = make()
    tree = to_arviz(posterior, 2)
    assert tree["posterior"].sizes == {"chain": 4, "draw": 50}
    second = tree["posterior"]["logg"].values[1]
    np.testing.assert_array_equal(second, posterior.draws[50:100, 2, 1])
    np.testing.assert_array_equal(from_arviz(tree, NAMES), posterior.draws[:, 2])


def test_arviz_diagnoses_what_it_gets() -> None:
    """The dimension names do not break its summary."""
    import arviz as az

    table = az.summary(to_arviz(make(), 0))
    assert sorted(table.index) == sorted(NAMES)


def test_weighted_draws_are_not_handed_to_arviz() -> None:
    with pytest.raises(ValueError, match="resample"):
        to_arviz(make(log_weight=np.random.default_rng(1).random((200, 4))), 0)


def test_record_comes_back_from_a_dataset_bit_by_bit() -> None:
    posterior = make()
    same(posterior, from_dataset(to_dataset(posterior, list("abcd"))))


def test_record_comes_back_from_netcdf_bit_by_bit(tmp_path: Path) -> None:
    posterior = rounded(make(), np.arange(4) << 33)
    assert posterior.draws.dtype == np.float32
    write_part(tmp_path / "part-00000.nc", posterior, list("abcd"), "run")
    again = read_part(tmp_path / "part-00000.nc", "run")
    assert again is not None
    same(posterior, again)
    assert [p.name for p in tmp_path.iterdir()] == ["part-00000.nc"]


def test_part_of_another_run_or_a_torn_one_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "part-00000.nc"
    write_part(path, rounded(make(), np.zeros(4)), list("abcd"), "run")
    assert read_part(path, "other run") is None
    whole = path.read_bytes()
    for size in (0, 100, len(whole) // 2, len(whole) - 50):
        path.write_bytes(whole[:size])
        assert read_part(path, "run") is None


def test_all_draws_of_a_run_are_found_by_identifier(tmp_path: Path) -> None:
    parts = [rounded(make(key=k), np.zeros(4)) for k in (1, 2)]
    names = [list("abcd"), ["39633|sv1|bright|1", "f", "g", "h"]]
    for i, (part, ids) in enumerate(zip(parts, names, strict=True)):
        write_part(tmp_path / f"part-{i:05d}.nc", part, ids, "run")
    draws = read_draws(tmp_path)
    assert draws["draws"].dims == ("draw", "star", "param")
    assert list(draws["star"].values) == names[0] + names[1]
    found = draws["draws"].sel(star="39633|sv1|bright|1", param="feh").values
    np.testing.assert_array_equal(found, parts[1].draws[:, 0, 2])
    assert list(open_part(tmp_path / "part-00000.nc").attrs["units"]) == ["K", "dex", "dex"]


def test_run_without_draws_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="draws = false"):
        read_draws(tmp_path)


def test_taking_and_joining_stars_are_inverse() -> None:
    posterior = make()
    parts = [posterior.take(np.array(rows)) for rows in ([0, 1], [2], [3])]
    same(posterior, concatenate(parts))


@pytest.mark.parametrize("told", [(), ("rhat", "ess", "divergences"), ("khat",)])
def test_star_that_was_not_fitted_is_unknown(told: tuple[str, ...]) -> None:
    empty = blank(NAMES, 2, 3, diagnostics=told)
    assert len(empty) == 2
    assert np.isnan(empty.mean).all()
    assert np.isnan(empty.quantiles([0.5])).all()
    assert tuple(empty.diagnostics) == told
    same(empty, from_dataset(to_dataset(empty, ["x", "y"])))
