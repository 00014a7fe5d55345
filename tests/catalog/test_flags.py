"""Detection flags: they depend on the likelihood, including noise and the model's error."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayes_ddp.catalog.flags import (
    DETECTED,
    NOT_FITTED,
    OUT_OF_RANGE,
    PRIOR_DOMINATED,
    UPPER_LIMIT,
    label_flags,
)
from bayes_ddp.inference.posterior import Posterior, blank


def one_label(mean: float, sd: float, *, name: str = "mg_fe", prior: float = 0.2) -> Posterior:
    """One star, one label, prior N(0, 0.2)."""
    return replace(
        blank((name,), np.array(["star"]), ("b", "r")),
        mean=np.array([[mean]]),
        covariance=np.array([[[sd**2]]]),
        prior_mean=np.array([[0.0]]),
        prior_covariance=np.array([[[prior**2]]]),
    )


def combined(centre: float, sd: float) -> Posterior:
    """What the prior N(0, 0.2) becomes with a measurement ``centre +- sd``."""
    weight = 1 / sd**2 + 1 / 0.2**2
    return one_label(centre / sd**2 / weight, weight**-0.5)


def flag_of(result: Posterior, *limits: np.ndarray | float | bool, spread: float = np.inf) -> int:
    return int(label_flags(result, *limits, spread=spread)[1][0, 0])


def expected(centre: float, sd: float) -> int | None:
    """The flag of a known likelihood; None on a boundary, where rounding decides."""
    lines, high = 1 / (np.log(10) * sd), (0.4 - centre) / sd
    if min(abs(lines - 2), abs(abs(high) - 2), abs(sd / 0.2 - 1)) < 1e-6:
        return None
    if lines > 2 and sd < 0.2:
        return DETECTED
    return UPPER_LIMIT if high > 2 and lines <= 2 else PRIOR_DOMINATED


@pytest.mark.parametrize(
    ("result", "flag"),
    [
        (combined(0.0, 0.02), DETECTED),
        (combined(-0.5, 0.15), DETECTED),  # low, but its lines are seen
        (combined(-0.5, 0.3), UPPER_LIMIT),
        (combined(0.0, 2.0), PRIOR_DOMINATED),
        (combined(0.5, 0.3), PRIOR_DOMINATED),  # a lower limit has no flag of its own
        (one_label(0.0, 0.21), PRIOR_DOMINATED),  # chains can be wider than the prior
        (one_label(0.1, 0.0, prior=0.0), NOT_FITTED),
        (one_label(np.nan, np.nan), NOT_FITTED),
    ],
)
def test_flag_says_what_the_spectrum_excludes(result, flag):
    assert flag_of(result) == flag


@given(centre=st.floats(-3, 3), sd=st.floats(0.005, 3))
def test_flag_agrees_with_the_likelihood_that_made_the_posterior(centre, sd):
    """The likelihood is known here, and not taken from the posterior."""
    known = expected(centre, sd)
    assert known is None or flag_of(combined(centre, sd)) == known


def test_temperature_is_detected_by_information_alone():
    low = replace(combined(-0.5, 0.15), names=("feh",))
    assert flag_of(low) == DETECTED


def test_information_is_one_minus_the_ratio_of_variances():
    found, _ = label_flags(one_label(0.0, 0.05))
    assert found[0, 0] == pytest.approx(1 - (0.05 / 0.2) ** 2)


def test_error_of_the_model_can_hide_what_noise_alone_would_detect():
    sharp = combined(0.1, 0.02)
    assert flag_of(sharp, np.array([[np.nan]])) == DETECTED
    assert flag_of(sharp, np.array([[0.1]])) == DETECTED
    assert flag_of(sharp, np.array([[0.3]])) == PRIOR_DOMINATED


@given(centre=st.floats(-3, 3), sd=st.floats(0.01, 3), error=st.floats(0.01, 3))
def test_error_of_the_model_counts_as_noise_of_that_size(centre, sd, error):
    """A likelihood of width sd with a model error beside it has the flag of both together."""
    width = float(np.hypot(sd, error))
    if expected(centre, width) is not None:
        assert flag_of(combined(centre, sd), error) == flag_of(combined(centre, width))


def test_only_what_is_detected_can_be_out_of_range():
    assert flag_of(combined(0.0, 0.02), 0.0, np.array([[True]])) == OUT_OF_RANGE
    assert flag_of(combined(0.0, 2.0), 0.0, np.array([[True]])) == PRIOR_DOMINATED


def test_error_above_the_spread_of_the_label_among_stars_is_no_detection():
    """[Cr/Fe] of all stars is 0.0 +- 0.04: an error of 0.05 says nothing, one of 0.03 does."""
    sharp = combined(0.0, 0.03)
    assert flag_of(sharp, 0.0, spread=0.04) == DETECTED
    assert flag_of(sharp, 0.04, spread=0.04) == PRIOR_DOMINATED
    assert flag_of(combined(0.0, 0.05), 0.0, spread=0.04) == PRIOR_DOMINATED


@given(sd=st.floats(0.005, 0.15), error=st.floats(0.005, 0.15), spread=st.floats(0.02, 0.3))
def test_detected_values_vary_at_least_as_much_by_the_stars_as_by_errors(sd, error, spread):
    """Half of the variance of what is published is that of the stars."""
    total = float(np.hypot(sd, error))
    if min(abs(total / spread - 1), abs(total / 0.2 - 1), abs(total * 4.605 - 1)) < 1e-6:
        return
    found = flag_of(combined(0.0, sd), error, spread=spread) == DETECTED
    assert found == (total < min(spread, 0.2, 1 / 4.60517))
