"""Warnings of a fit: each bit is set if and only if its condition holds."""

from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest

from bayes_ddp.emulator.limits import ModelLimits, model_limits
from bayes_ddp.flags import WARN
from bayes_ddp.inference.checks import (
    RHAT_LIMIT,
    carbon_warning,
    check,
    chi2_warning,
    edge_warning,
    fit_warning,
    odd_warning,
    sampler_warning,
    several_peaks,
    trained_density,
    velocity_warning,
)
from bayes_ddp.inference.posterior import Posterior, blank
from bayes_ddp.inference.prior import Fixed, LabelPrior

WIDE = np.full((256, 1000), 1 / 256)


def test_two_peaks_are_seen_and_one_skewed_peak_is_not() -> None:
    """A thousand stars of each kind: fewer than 1 % false alarms, more than 80 % found."""
    rng = np.random.default_rng(1)
    plain = rng.normal(size=(256, 1000, 1))
    skewed = rng.gamma(2.0, size=(256, 1000, 1))
    apart = plain + 5 * (rng.random((256, 1000, 1)) < 0.3)
    assert several_peaks(plain, WIDE).mean() == 0
    assert several_peaks(skewed, WIDE).mean() < 0.01
    assert several_peaks(apart, WIDE).mean() > 0.8
    assert not several_peaks(np.full((256, 2, 1), np.nan), WIDE[:, :2]).any()
    assert not several_peaks(plain[:50], WIDE[:50]).any()


def test_peaks_are_those_of_the_weighted_draws() -> None:
    """Weights that remove one of two peaks, and weights that make two of a flat sample."""
    rng = np.random.default_rng(2)
    second = rng.random((2000, 50)) < 0.5
    apart = (rng.normal(size=(2000, 50)) + 6 * second)[..., None]
    one = np.where(second, 0.0, 1.0)
    assert several_peaks(apart, np.full((2000, 50), 1 / 2000)).all()
    assert not several_peaks(apart, one / one.sum(axis=0)).any()
    flat = rng.uniform(-6, 6, (4000, 20, 1))
    hills = np.exp(-0.5 * (np.abs(flat[..., 0]) - 3) ** 2)
    assert not several_peaks(flat, np.full((4000, 20), 1 / 4000)).any()
    assert several_peaks(flat, hills / hills.sum(axis=0)).all()


def test_label_that_does_not_vary_has_no_peaks() -> None:
    assert not several_peaks(np.full((256, 3, 2), 1.3), WIDE[:, :3]).any()


def test_fewer_than_one_training_star_in_five_hundred_is_called_extrapolation(
    survey: Any,
) -> None:
    """Prior draws as posterior means: a thousandth is rarer than the limit, by construction."""
    space, trained = survey.prior.space, trained_density(survey.prior)
    labels = trained.density.draws(jax.random.key(5), 4096)
    density = jax.jit(jax.vmap(trained.density.log_prob))
    rare = int((np.array(density(labels)) < trained.depth).sum())
    assert rare <= 4096 / 1000 + 5 * np.sqrt(4096 / 1000 * 1.5)
    strange = labels.copy()
    strange[:, space.index("mg_fe")] += 1.5
    assert (np.array(density(strange)) < trained.depth).mean() > 0.99


@pytest.fixture
def usual(survey: Any) -> Posterior:
    """Three usual stars with 500 draws each, the third not fitted."""
    names = survey.prior.space.names
    every = ("rhat", "ess", "divergences")
    record = blank(names, np.array(["a", "b", "c"]), ("B", "R"), number=500, diagnostics=every)
    labels = survey.typical([5000.0, 6000.0], [2.8, 4.3], [-0.3, -0.1])
    noise = np.random.default_rng(6).standard_normal((500, 2, len(names)))
    sd = 0.01 * survey.prior.space.span
    record.draws[:, :2] = labels + sd * noise
    record.mean[:2], record.covariance[:2] = labels, np.diag(sd**2)
    record.velocity[:2], record.lsf[:2] = [0.0, 1.0], 1.0
    record.chi2[:2], record.pixels[:2] = 1600.0, 1600
    record.diagnostics["rhat"][:2], record.diagnostics["ess"][:2] = 1.0, 2000.0
    return record


def limits_of(survey: Any) -> ModelLimits:
    """What the card of the model says of its labels."""
    return model_limits(survey.prior.space, survey.problem.emulator.card.table)


def put(posterior: Posterior, name: str, value: float, *, star: int = 0) -> None:
    """Move the draws and the mean of one label of a star to ``value``."""
    i = posterior.names.index(name)
    posterior.draws[:, star, i] += value - posterior.mean[star, i]
    posterior.mean[star, i] = value


def test_usual_stars_and_stars_without_a_fit_have_no_bits(survey: Any, usual: Posterior) -> None:
    assert check(usual, survey.problem, np.ones(3)).tolist() == [0, 0, 0]
    assert check(usual, survey.problem, np.ones(3)).dtype == np.int64


def test_check_has_the_bits_of_every_warning(survey: Any, usual: Posterior) -> None:
    usual.diagnostics["rhat"][0, 3] = 1.02
    usual.chi2[0] = 5000.0
    usual.velocity[1, 0] = -6.0
    usual.lsf[1] = 1.2
    put(usual, "teff", 9000.0)
    found = check(usual, survey.problem, np.ones(3))
    trained = trained_density(survey.prior)
    expected = sampler_warning(usual) | chi2_warning(usual) | velocity_warning(usual, np.ones(3))
    expected |= edge_warning(usual, limits_of(survey)) | odd_warning(usual, trained, lsf_sd=0.03)
    expected |= carbon_warning(usual, limits_of(survey))
    np.testing.assert_array_equal(found, expected)
    first = WARN.HIGH_RHAT | WARN.POOR_CHI2 | WARN.LABEL_EDGE | WARN.HOT
    assert int(found[0]) & first == first
    assert found.tolist()[1:] == [WARN.RV_DISAGREES | WARN.FAST_ROTATOR, 0]


def test_density_of_a_model_is_its_own_whatever_the_priors_of_the_run(
    survey: Any, desi_card: Any, usual: Posterior
) -> None:
    """A star that the model was not trained on is an extrapolation under any prior."""
    put(usual, "mg_fe", 2.0)
    prior = LabelPrior(survey.prior.space, desi_card["density"], {"mg_fe": Fixed(2.0)})
    problem = replace(survey.problem, prior=prior)
    assert check(usual, problem, np.ones(3))[0] & WARN.EXTRAPOLATION


def test_fit_warns_of_stars_with_pixels_alone() -> None:
    converged, positive = (
        np.array([True, False, False, True]),
        np.array([True, True, False, False]),
    )
    found = fit_warning(np.array([9, 9, 9, 9]), converged=converged, positive=positive)
    both = WARN.NOT_CONVERGED | WARN.BAD_HESSIAN
    assert found.tolist() == [0, WARN.NOT_CONVERGED, both, WARN.BAD_HESSIAN]
    assert not fit_warning(np.zeros(4, int), converged=converged, positive=positive).any()


def test_sampler_warns_by_the_worst_label(usual: Posterior) -> None:
    usual.diagnostics["rhat"][:2, 4] = RHAT_LIMIT - 1e-6, RHAT_LIMIT + 1e-6
    assert sampler_warning(usual).tolist() == [0, WARN.HIGH_RHAT, 0]
    usual.diagnostics["ess"][0, 7] = 399.0
    usual.diagnostics["divergences"][1] = 1
    found = sampler_warning(usual).tolist()
    assert found == [WARN.LOW_ESS, WARN.HIGH_RHAT | WARN.DIVERGENT, 0]


def test_diagnostics_that_are_unknown_or_not_reported_warn_of_nothing(usual: Posterior) -> None:
    """R-hat of a star without chains is NaN, that of a fixed label too."""
    usual.diagnostics["rhat"][:] = np.nan
    usual.diagnostics["ess"][:, 0] = np.nan
    assert not sampler_warning(usual).any()
    usual.diagnostics.clear()
    assert not sampler_warning(usual).any()


@pytest.mark.parametrize(
    ("name", "value", "bits"),
    [
        ("teff", "high", WARN.LABEL_EDGE | WARN.HOT),
        ("teff", "low", WARN.LABEL_EDGE | WARN.COOL),
        ("feh", "low", WARN.LABEL_EDGE),
        ("logg", "high", WARN.LABEL_EDGE),
        ("logg", "low", WARN.LABEL_EDGE),
        ("mg_fe", "high", WARN(0)),
    ],
)
def test_edge_warns_where_draws_leave_the_trained_range(
    survey: Any, usual: Posterior, name: str, value: str, bits: WARN
) -> None:
    space = survey.prior.space
    put(usual, name, getattr(space, value)[space.index(name)])
    assert edge_warning(usual, limits_of(survey)).tolist() == [bits, 0, 0]


def test_hot_dense_star_is_a_white_dwarf(survey: Any, usual: Posterior) -> None:
    space = survey.prior.space
    put(usual, "logg", space.high[space.index("logg")] + 0.3)
    assert not edge_warning(usual, limits_of(survey))[0] & WARN.WD
    put(usual, "teff", 6600.0)
    assert edge_warning(usual, limits_of(survey))[0] & WARN.WD


def test_edge_counts_draws_by_their_weight(survey: Any, usual: Posterior) -> None:
    """4 % of the draws outside are too few for the bit, unless they weigh twice as much."""
    at = survey.prior.space.index("teff")
    usual.draws[:20, 0, at] = 9000.0
    assert not edge_warning(usual, limits_of(survey))[0]
    usual.log_weight[:20, 0] = np.log(2)
    assert edge_warning(usual, limits_of(survey))[0] == WARN.LABEL_EDGE | WARN.HOT


def abundances(usual: Posterior, carbon: float, oxygen: float) -> None:
    put(usual, "c_fe", carbon)
    put(usual, "o_fe", oxygen)


def test_more_carbon_than_oxygen_is_a_carbon_star(survey: Any, usual: Posterior) -> None:
    """C/O is 1 at [C/O] = 0.26; draws scatter by 0.035 in carbon and 0.0125 in oxygen."""
    exact = ModelLimits(survey.prior.space, {}, {})
    for excess, bit in ((0.04, 0), (0.09, WARN.CARBON)):
        abundances(usual, 0.4 + 0.26 + excess, 0.4)
        assert carbon_warning(usual, exact).tolist() == [bit, 0, 0]


def test_errors_of_the_model_count_for_carbon_stars(survey: Any, usual: Posterior) -> None:
    """0.12 and 0.16 dex are 0.2 together: 95 % are 0.33 above, with the draws 0.335."""
    space = survey.prior.space
    error = np.zeros(space.size)
    error[[space.index("c_fe"), space.index("o_fe")]] = 0.12, 0.16
    limits = ModelLimits(space, {}, {"all": error})
    for excess, bit in ((0.32, 0), (0.35, WARN.CARBON)):
        abundances(usual, 0.4 + 0.26 + excess, 0.4)
        assert carbon_warning(usual, limits).tolist() == [bit, 0, 0]


def test_star_without_oxygen_is_no_carbon_star(survey: Any, usual: Posterior) -> None:
    """Fits of cool stars push [O/Fe] to -0.7; [C/Fe] is that of other stars."""
    exact = ModelLimits(survey.prior.space, {}, {})
    abundances(usual, 0.0, -0.7)
    assert not carbon_warning(usual, exact).any()
    abundances(usual, 0.4, -0.7)
    assert carbon_warning(usual, exact).tolist() == [WARN.CARBON, 0, 0]


def test_lines_broader_than_the_prior_allows_are_a_fast_rotator(
    survey: Any, usual: Posterior
) -> None:
    """5 sd in quadrature over the arms; sharper lines, or none fitted, are no rotator."""
    trained = trained_density(survey.prior)
    usual.lsf[:2] = [1.11, 1.11], [0.85, 0.85]
    assert odd_warning(usual, trained, lsf_sd=0.03).tolist() == [WARN.FAST_ROTATOR, 0, 0]
    usual.lsf[0] = [1.10, 1.10]
    assert not odd_warning(usual, trained, lsf_sd=0.03).any()
    usual.lsf[0] = [1.5, 1.5]
    assert not odd_warning(usual, trained, lsf_sd=0.0).any()


def test_draws_with_two_peaks_are_multimodal(survey: Any, usual: Posterior) -> None:
    at = usual.names.index("n_fe")
    usual.draws[:250, 1, at] += 0.8
    found = odd_warning(usual, trained_density(survey.prior), lsf_sd=0.03)
    assert found.tolist() == [0, WARN.MULTIMODAL, 0]


def test_chi2_above_three_per_pixel_is_poor(usual: Posterior) -> None:
    usual.chi2[:2] = 3 * 1600 + 1, 3 * 1600 - 1
    assert chi2_warning(usual).tolist() == [WARN.POOR_CHI2, 0, 0]
    usual.pixels[0] = 0
    assert not chi2_warning(usual).any()


def test_chi2_below_a_quarter_per_pixel_is_small(usual: Posterior) -> None:
    usual.chi2[:2] = 0.25 * 1600 - 1, 0.25 * 1600 + 1
    assert chi2_warning(usual).tolist() == [WARN.SMALL_CHI2, 0, 0]
    usual.chi2[0] = np.nan
    assert not chi2_warning(usual).any()


def test_velocity_beyond_five_errors_of_the_catalogue_disagrees(usual: Posterior) -> None:
    usual.velocity[:2, 0] = -10.1, 9.9
    assert velocity_warning(usual, np.full(3, 2.0)).tolist() == [WARN.RV_DISAGREES, 0, 0]
    assert not velocity_warning(usual, np.array([np.nan, 2.0, 2.0])).any()
