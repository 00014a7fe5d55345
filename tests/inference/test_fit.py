"""Spectra to posteriors in one call: rows in order, whatever happened to each star."""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import numpy as np
import pytest

from bayes_ddp.flags import WARN
from bayes_ddp.inference import fit as fit_module
from bayes_ddp.inference.fit import fit, pad, problem_of, star_keys
from bayes_ddp.inference.importance import DRAWS
from bayes_ddp.inference.posterior import Posterior
from bayes_ddp.inference.prior import Fixed, Normal
from bayes_ddp.inference.problem import Nuisance
from bayes_ddp.inference.samplers import Exact, Map
from bayes_ddp.spectra.raw import RawSpectra

BATCH, OTHER = 3, 4
"""Batches of ``test_samplers`` and ``test_optimise``, whose compiled functions are used here."""
MAP = Map(draws=100)
FATAL, NO_VELOCITY, NO_PIXELS = 1, 3, 4
"""Rows that are not fitted: by a bit of the reader, by ``prepare``, and without any pixel."""


@pytest.fixture(scope="module")
def truth(survey: Any) -> np.ndarray:
    """Six stars, giants and dwarfs."""
    teff, feh = [4700, 5200, 5800, 6400, 5000, 5500], [-0.5, 0, -0.9, -0.3, -0.2, 0.1]
    return survey.typical(teff, [2.5, 4.5, 4.3, 4.1, 2.9, 4.4], feh)


@pytest.fixture(scope="module")
def raw(survey: Any, truth: np.ndarray) -> RawSpectra:
    """Spectra of S/N 100 with names in no order; three of the stars cannot be fitted."""
    plain = survey.raw(truth, 100.0, 3)
    vrad, warn = plain.vrad.copy(), plain.warn.copy()
    warn[FATAL] = int(WARN.NOT_STAR)
    warn[5] = int(WARN.RV_WARN)
    vrad[NO_VELOCITY] = np.nan
    for arm in plain.arms:
        arm.ivar[NO_PIXELS] = 0
    names = np.array(["m", "c", "x", "a", "k", "b"])
    return replace(plain, vrad=vrad, warn=warn, key=("NAME",), columns={"NAME": names})


Calls = list[tuple[int, int]]


@pytest.fixture(scope="module")
def calls() -> Calls:
    """What ``progress`` was called with while ``exact`` was fitted."""
    return []


@pytest.fixture(scope="module")
def exact(survey: Any, raw: RawSpectra, calls: Calls) -> Posterior:
    """All six stars with the default sampler, in two batches."""

    def progress(done: int, total: int) -> None:
        calls.append((done, total))

    return fit(raw, survey.emulator, batch=BATCH, progress=progress)


def test_rows_are_those_of_the_spectra_in_order(
    survey: Any, raw: RawSpectra, truth: np.ndarray, exact: Posterior
) -> None:
    """Teff, log g and [Fe/H] of the fitted stars within five errors of the truth."""
    assert exact.ids.tolist() == raw.identifiers() == ["m", "c", "x", "a", "k", "b"]
    assert exact.names == survey.prior.space.names
    assert exact.arms == ("B", "R")
    assert exact.fitted.tolist() == [True, False, True, False, False, True]
    rows = np.flatnonzero(exact.fitted)
    core = [exact.names.index(name) for name in ("teff", "logg", "feh")]
    z = (exact.mean - truth) / exact.sd
    assert np.abs(z[np.ix_(rows, core)]).max() < 5


def test_stars_that_are_not_fitted_are_nan_with_the_bits_that_say_why(exact: Posterior) -> None:
    assert exact.warn[FATAL] == WARN.NOT_STAR
    assert exact.warn[NO_VELOCITY] & WARN.BAD_RV
    assert exact.warn[NO_PIXELS] & WARN.NODATA
    for row in (FATAL, NO_VELOCITY, NO_PIXELS):
        for name in ("mean", "mode", "covariance", "chi2", "velocity", "lsf", "prior_mean"):
            assert np.isnan(getattr(exact, name)[row]).all(), name
        assert np.isnan(exact.draws[:, row]).all()
        assert np.isnan(exact.quantiles([0.5])[:, row]).all()


def test_bits_of_the_reader_and_of_the_fit_are_kept(exact: Posterior) -> None:
    assert exact.warn[5] == WARN.RV_WARN
    assert exact.warn[0] == exact.warn[2] == 0


def test_record_has_the_draws_of_the_sampler_in_single_precision(exact: Posterior) -> None:
    assert exact.draws.shape == (DRAWS, 6, 15)
    for name in ("draws", "log_weight", "log_prior", "log_likelihood"):
        assert getattr(exact, name).dtype == np.float32, name
    assert all(values.dtype == np.float32 for values in exact.nuisances.values())
    assert exact.mean.dtype == exact.covariance.dtype == np.float64
    assert tuple(exact.diagnostics) == (*Exact.diagnostics, "crb")
    np.testing.assert_allclose(exact.weight[:, exact.fitted].sum(axis=0), 1, rtol=1e-5)


def test_progress_counts_the_stars_that_are_fitted(exact: Posterior, calls: Calls) -> None:
    """Five of six: that a star has no velocity or no pixels is only found in its batch."""
    assert calls == [(3, 5), (5, 5)]


def test_results_do_not_depend_on_the_batch_or_on_the_other_stars(
    survey: Any, raw: RawSpectra, exact: Posterior
) -> None:
    """Stars of batches of 3 in a batch of 4, with others: a hundredth of a sigma.

    The order of float32 sums differs. Warnings and identifiers are the same.
    """
    rows = [5, 2, 1]
    other = fit(raw.take(rows), survey.emulator, batch=OTHER)
    expected = exact.take(rows)
    assert other.ids.tolist() == ["b", "x", "c"]
    np.testing.assert_array_equal(other.warn, expected.warn)
    keep, sd = expected.fitted, expected.sd[:2]
    assert keep.tolist() == [True, True, False]
    assert (np.abs(other.mean - expected.mean)[keep] < 0.01 * sd).all()
    assert (np.abs(other.sd - expected.sd)[keep] < 0.01 * sd).all()
    same = [p.equally_weighted(100).draws[:, keep] for p in (other, expected)]
    moved = np.abs(same[0] - same[1]) > 0.01 * sd
    # a rounding of the weights may exchange a draw for its neighbour
    assert moved.any(axis=2).mean() < 0.03
    assert np.isnan(other.mean[2]).all()


def test_seed_changes_the_draws_and_not_the_fit(survey: Any, raw: RawSpectra) -> None:
    rows, options = raw.take([0, 2]), {"sampler": MAP, "batch": BATCH}
    one, same, other = (fit(rows, survey.emulator, seed=s, **options) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.draws, same.draws)
    np.testing.assert_array_equal(one.mean, other.mean)
    assert (one.draws != other.draws).all(axis=(0, 2)).all()
    assert one.draws.shape == (100, 2, 15)


def test_bits_that_are_not_fatal_do_not_keep_a_star_from_being_fitted(
    survey: Any, raw: RawSpectra
) -> None:
    """As where a run asks for targets of any type."""
    found = fit(raw.take([FATAL, 0]), survey.emulator, sampler=MAP, batch=BATCH, fatal=WARN.NODATA)
    assert found.fitted.all()
    assert found.warn.tolist() == [WARN.NOT_STAR, 0]


def test_errors_of_spectra_without_any_are_estimated(
    survey: Any, raw: RawSpectra, truth: np.ndarray
) -> None:
    """Errors ten times too small in the input: chi2 per pixel is 1 with the estimated ones."""
    plain = raw.take([0, 2])
    ivars = [100 * arm.ivar for arm in plain.arms]
    without = replace(plain.with_ivar(ivars), warn=np.full(2, int(WARN.NO_ERRORS)))
    found = fit(without, survey.emulator, sampler=MAP, batch=BATCH)
    assert (np.abs(found.chi2 / found.pixels - 1) < 0.2).all()
    assert (found.warn & int(WARN.NO_ERRORS)).all()


def test_spectra_of_which_none_can_be_fitted_have_rows(survey: Any, raw: RawSpectra) -> None:
    def never(done: int, total: int) -> None:
        raise AssertionError("no star is fitted")

    found = fit(raw.take([FATAL] * 3), survey.emulator, sampler=MAP, batch=2, progress=never)
    assert found.ids.tolist() == ["c"] * 3
    assert found.draws.shape == (100, 3, 15)
    assert np.isnan(found.mean).all()
    assert (found.warn == WARN.NOT_STAR).all()


def test_no_spectra_give_no_rows_and_models_are_known_by_name(raw: RawSpectra) -> None:
    found = fit(raw.take(np.arange(0)), "desi-physics", batch=BATCH)
    assert len(found) == 0
    assert found.draws.shape == (DRAWS, 0, 15)


def test_single_precision_is_refused(
    survey: Any, raw: RawSpectra, monkeypatch: pytest.MonkeyPatch
) -> None:
    def off() -> None:
        raise RuntimeError("jax_enable_x64 is off")

    monkeypatch.setattr(fit_module, "require_float64", off)
    with pytest.raises(RuntimeError, match="jax_enable_x64"):
        fit(raw, survey.emulator)


def test_emulator_without_a_card_is_refused(survey: Any, raw: RawSpectra) -> None:
    bare = replace(survey.emulator, card=None)
    with pytest.raises(ValueError, match="has no card"):
        fit(raw, bare, batch=BATCH)


def test_data_sharper_than_the_model_are_refused(survey: Any, raw: RawSpectra) -> None:
    sharp = tuple(replace(arm, fwhm=0.5 * arm.fwhm) for arm in raw.arms)
    with pytest.raises(ValueError, match="the model must be sharper"):
        fit(replace(raw, arms=sharp), survey.emulator, batch=BATCH)


def test_problem_is_made_once_for_spectra_on_the_same_pixels(survey: Any, raw: RawSpectra) -> None:
    """Whichever stars they are; other priors and nuisances make another one."""
    problem = problem_of(raw, survey.emulator)
    assert problem_of(raw.take([2]), survey.emulator) is problem
    assert problem.parameters == survey.problem.parameters
    assert problem.prior == survey.prior
    chosen = {"vmic": Fixed(1.3), "feh": Normal(-0.3, 0.2)}
    other = problem_of(raw, survey.emulator, priors=chosen, nuisance=Nuisance(lsf=0.0))
    assert other is not problem
    assert other.prior.chosen == chosen
    assert other.parameters.size == 15
    with pytest.raises((KeyError, ValueError), match="no_such_label"):
        problem_of(raw, survey.emulator, priors={"no_such_label": Fixed(1.0)})


@pytest.mark.parametrize("dtype", [">f8", "<f4", ">f4"])
def test_wavelengths_of_any_number_format_make_the_same_problem(
    survey: Any, raw: RawSpectra, dtype: str
) -> None:
    """One arm alone, whose array nothing converts on the way."""
    exact, problems = raw.arms[0].wave.astype(np.float32), []
    for kind in (float, dtype):
        arm = replace(raw.arms[0], wave=exact.astype(kind))
        problems.append(problem_of(replace(raw, arms=(arm,)), survey.emulator))
    assert problems[0] is problems[1]


def test_keys_of_a_star_come_from_its_name() -> None:
    names = ["a", "b", "c"]
    data = [jax.random.key_data(star_keys(1, "desi", n)) for n in (names, names[::-1])]
    np.testing.assert_array_equal(data[0], data[1][::-1])
    assert len(np.unique(data[0], axis=0)) == len(names)
    for other in (star_keys(2, "desi", names), star_keys(1, "lamost", names)):
        assert (jax.random.key_data(other) != data[0]).any(axis=1).all()


def test_keys_of_a_batch_are_filled_with_the_last_star() -> None:
    short = jax.random.key_data(star_keys(1, "desi", ["a", "b"]))
    filled = jax.random.key_data(star_keys(1, "desi", ["a", "b"], size=4))
    np.testing.assert_array_equal(filled[:2], short)
    np.testing.assert_array_equal(filled[2:], np.array([short[1]] * 2))


def test_padded_stars_have_no_pixels(blank_spectrum: Any) -> None:
    spectrum = blank_spectrum(3, vrad=np.array([1.0, 2.0, 3.0]))
    padded = pad(spectrum, 5)
    assert len(padded) == 5
    np.testing.assert_array_equal(padded.ivar[:3], spectrum.ivar)
    assert not np.asarray(padded.ivar[3:]).any()
    assert np.asarray(padded.vrad).tolist() == [1, 2, 3, 3, 3]
    assert pad(spectrum, 3) is spectrum
    assert eqx.tree_equal(pad(spectrum, 2), spectrum)


def test_wrong_width_of_one_star_does_not_touch_the_others(
    survey: Any, raw: RawSpectra, exact: Posterior
) -> None:
    """The first star is sharper than the model in one pixel, the third in all of them."""
    arms = []
    for arm in raw.arms:
        fwhm = arm.fwhm.copy()
        fwhm[2] *= 0.5
        fwhm[0, 100] *= 0.5 if arm is raw.arms[0] else 1.0
        arms.append(replace(arm, fwhm=fwhm))
    found = fit(replace(raw, arms=tuple(arms)), survey.emulator, batch=BATCH)
    lost = int(WARN.LSF_WARN | WARN.NODATA)
    assert found.warn[[0, 2, 5]].tolist() == [WARN.LSF_WARN, lost, WARN.RV_WARN]
    assert found.fitted.tolist() == [True, False, False, False, False, True]
    np.testing.assert_array_equal(found.draws[:, 5], exact.draws[:, 5])
    assert found.pixels[0] == exact.pixels[0] - 1
    assert (np.abs(found.mean[0] - exact.mean[0]) < 0.2 * exact.sd[0]).all()


def test_broad_star_is_fitted_apart(raw: RawSpectra) -> None:
    """Memory and time of a batch go with its broadest LSF; that of masked pixels is idle."""
    wide, masked = (arm.fwhm.copy() for arm in raw.arms[:2])
    wide[2], masked[:, 7] = 12.0, 1000.0
    ivar = raw.arms[1].ivar.copy()
    ivar[:, 7] = 0
    arms = replace(raw.arms[0], fwhm=wide), replace(raw.arms[1], fwhm=masked, ivar=ivar)
    groups = fit_module.by_width(replace(raw, arms=arms), np.array([0, 1, 2, 5]), batch=32)
    assert [(rows.tolist(), size) for rows, size in groups] == [([0, 1, 5], 32), ([2], 8)]
