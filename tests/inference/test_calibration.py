"""Recovery of known truths: the bookkeeping, and the whole line's bias and coverage (slow)."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from bayes_ddp.inference.calibration import recovery

NAMES = ("teff", "feh")


def gaussian(stars: int, *, bias: float = 0.0, error: float = 1.0) -> tuple[Any, ...]:
    """(truth, (mean, sd, quantiles)) of unit-normal posteriors, shifted or with wrong errors."""
    rng = np.random.default_rng(2)
    truth = rng.standard_normal((stars, 2))
    mean = truth + bias + rng.standard_normal((stars, 2))
    sd = np.full((stars, 2), error)
    quantile = mean + sd * norm.ppf([0.025, 0.16, 0.84, 0.975])[:, None, None]
    return truth, (mean, sd, quantile)


def test_honest_posteriors_have_no_bias_and_nominal_coverage() -> None:
    """Within four Monte Carlo errors of two labels: chance of failure 1e-3."""
    stars = 4000
    for row in recovery(NAMES, *gaussian(stars)):
        assert row.stars == stars
        assert abs(row.z_bias) < 4 / np.sqrt(stars)
        assert abs(row.z_scatter - 1) < 4 / np.sqrt(2 * stars)
        assert abs(row.in_68 - 0.68 * stars) < 4 * np.sqrt(stars * 0.68 * 0.32)
        assert abs(row.in_95 - 0.95 * stars) < 4 * np.sqrt(stars * 0.95 * 0.05)


def test_bias_and_wrong_errors_show() -> None:
    row = recovery(NAMES, *gaussian(4000, bias=0.5, error=0.5))[0]
    assert row.bias == pytest.approx(0.5, abs=0.06)
    assert row.z_bias == pytest.approx(1.0, abs=0.12)
    assert row.z_scatter == pytest.approx(2.0, abs=0.1)
    assert row.in_68 < 0.45 * 4000


def test_stars_without_errors_are_left_out() -> None:
    truth, (mean, sd, quantile) = gaussian(10)
    mean[0, 0], sd[1, 0], sd[2, 0] = np.nan, np.nan, 0.0
    first, second = recovery(NAMES, truth, (mean, sd, quantile))
    assert (first.stars, second.stars) == (7, 10)
    assert first.row()["name"] == "teff"


def test_few_stars_have_no_scatter() -> None:
    truth, (mean, sd, quantile) = gaussian(1)
    (row, _) = recovery(NAMES, truth, (mean, sd, quantile))
    assert np.isfinite(row.bias)
    assert np.isnan(row.scatter)
    mean[:] = np.nan
    assert np.isnan(recovery(NAMES, truth, (mean, sd, quantile))[0].bias)
