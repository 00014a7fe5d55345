"""Warning bits that follow from fit, sampler and posterior draws.

The functions return bits of ``WARN`` and do not change the posterior.
"""

from functools import lru_cache
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from scipy.special import ndtr

from bayes_ddp.emulator.limits import ModelLimits, model_limits
from bayes_ddp.flags import WARN
from bayes_ddp.inference.edges import moved_by_edges
from bayes_ddp.inference.posterior import Posterior
from bayes_ddp.inference.prior import LabelPrior
from bayes_ddp.inference.problem import Problem

__all__ = [
    "MAX_SHIFT",
    "RHAT_LIMIT",
    "Trained",
    "carbon_warning",
    "check",
    "chi2_warning",
    "edge_warning",
    "fit_warning",
    "odd_warning",
    "sampler_warning",
    "several_peaks",
    "trained_density",
    "velocity_warning",
]

RHAT_LIMIT = 1.01
_ESS_LIMIT = 400.0

_MIN_CHI2, _MAX_CHI2 = 0.25, 3.0  # per pixel
MAX_SHIFT = 5.0
"""Difference of fitted and input velocity, in input errors, above which they disagree."""
_MAX_OUTSIDE = 0.05
_WD_TEFF = 6500.0
_CARBON_OVER_OXYGEN = 0.26
"""log(O/C) of the Sun, dex (Asplund et al. 2009: 8.69 - 8.43); [C/O] above it means C/O > 1."""
_ROTATION_SD = 5.0
_OUTLIER = 1e-3
_PRIOR_DRAWS = 8192
_VALLEY, _LEAST_MASS = 0.5, 0.05
_PEAK_DRAWS = 256


def check(posterior: Posterior, problem: Problem, vrad_err: np.ndarray) -> np.ndarray:
    """[star] int64, all warnings about the posteriors of a batch.

    vrad_err : [star], error of the catalogue's velocity, km/s.
    """
    space = problem.prior.space
    warn: np.ndarray = sampler_warning(posterior) | chi2_warning(posterior)
    card = problem.emulator.card
    limits = model_limits(space, card.table if card else {})
    warn |= velocity_warning(posterior, vrad_err) | edge_warning(posterior, limits)
    trained = trained_density(LabelPrior(space, problem.prior.density))
    warn |= odd_warning(posterior, trained, lsf_sd=problem.parameters.lsf_sd)
    warn |= carbon_warning(posterior, limits)
    return warn


def fit_warning(pixels: np.ndarray, *, converged: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """[star] int64: ``NOT_CONVERGED`` and ``BAD_HESSIAN`` of stars that have pixels.

    pixels : [star] number. converged, positive : [star] bool, of the optimiser and the curvature.
    """
    fitted = pixels > 0
    warn = _bit(fitted & ~converged, WARN.NOT_CONVERGED)
    warn |= _bit(fitted & ~positive, WARN.BAD_HESSIAN)
    return warn


def sampler_warning(posterior: Posterior) -> np.ndarray:
    """[star] int64: ``HIGH_RHAT``, ``LOW_ESS`` and ``DIVERGENT``, by the worst label."""
    warn, found = np.zeros(len(posterior), np.int64), posterior.diagnostics
    if "rhat" in found:  # comparisons are False for NaN
        warn |= _bit((found["rhat"] > RHAT_LIMIT).any(axis=1), WARN.HIGH_RHAT)
    if "ess" in found:
        warn |= _bit((found["ess"] < _ESS_LIMIT).any(axis=1), WARN.LOW_ESS)
    if "divergences" in found:
        warn |= _bit(found["divergences"] > 0, WARN.DIVERGENT)
    return warn


def _share(posterior: Posterior, outside: np.ndarray) -> np.ndarray:
    """[star], weighted mean of ``outside`` [draw star], bool or probabilities."""
    weight = np.exp(posterior.log_weight - posterior.log_weight.max(axis=0))
    share: np.ndarray = (weight * outside).sum(axis=0) / weight.sum(axis=0)
    return share


def _bit(where: np.ndarray, bit: WARN) -> np.ndarray:
    return np.where(where, int(bit), 0).astype(np.int64)


def edge_warning(posterior: Posterior, limits: ModelLimits) -> np.ndarray:
    """[star] int64: where over 5 % of the draws leave the trained Teff, log g or [Fe/H].

    ``LABEL_EDGE`` for any of them, with ``HOT`` and ``COOL`` for the ends of Teff, and ``WD``
    where a star above 6500 K leaves log g upwards: pressure broadens its Balmer lines more than
    any dwarf's. ``LABEL_EDGE`` also where one of them depends on another label that is outside
    its range (``moved_by_edges``).
    """
    space = limits.space
    beyond: dict[tuple[str, int], np.ndarray] = {}
    core = [name for name in ("teff", "logg", "feh") if name in posterior.names]
    for name in core:
        values, at = posterior.draws[..., posterior.names.index(name)], space.index(name)
        beyond[name, -1], beyond[name, 1] = values < space.low[at], values > space.high[at]
    nothing = np.zeros(posterior.log_weight.shape, bool)
    anywhere = np.logical_or.reduce(list(beyond.values())) if beyond else nothing
    depends = moved_by_edges(posterior, limits)[:, [posterior.names.index(n) for n in core]]
    lost = (_share(posterior, anywhere) > _MAX_OUTSIDE) | depends.any(axis=1)
    warn = _bit(lost, WARN.LABEL_EDGE)
    for bit, key in ((WARN.HOT, ("teff", 1)), (WARN.COOL, ("teff", -1))):
        warn |= _bit(_share(posterior, beyond.get(key, nothing)) > _MAX_OUTSIDE, bit)
    if ("logg", 1) in beyond and ("teff", 1) in beyond:
        dense = _share(posterior, beyond["logg", 1]) > _MAX_OUTSIDE
        warn |= _bit(
            dense & (posterior.mean[:, posterior.names.index("teff")] > _WD_TEFF), WARN.WD
        )
    return warn


class Trained(NamedTuple):
    """The density of the training labels of a model, and a lower limit of its values.

    depth : ln density that 99.9 % of its draws exceed.
    """

    density: LabelPrior
    depth: float


@lru_cache(maxsize=16)
def trained_density(density: LabelPrior) -> Trained:
    """The density of a model's training labels and the 0.1 % quantile of its ln values."""
    depth = _log_density(density, jnp.asarray(density.draws(jax.random.key(0), _PRIOR_DRAWS)))
    return Trained(density, float(np.quantile(np.asarray(depth), _OUTLIER)))


@eqx.filter_jit
def _log_density(law: LabelPrior, labels: Array) -> Array:
    return jax.vmap(law.log_prob)(labels)


def odd_warning(posterior: Posterior, trained: Trained, *, lsf_sd: float) -> np.ndarray:
    """[star] int64: ``FAST_ROTATOR``, ``EXTRAPOLATION`` and ``MULTIMODAL``.

    lsf_sd : prior sd of the LSF factors, 0 where they were not fitted.

    FAST_ROTATOR: lines broader than the instrument makes them; the LSF factors of all arms lie
    above 1 by 5 prior sd in quadrature. EXTRAPOLATION: the posterior's mean is rarer among
    the labels that the model was trained on than one in a thousand. MULTIMODAL: the draws of a
    label have two peaks.
    """
    warn = np.zeros(len(posterior), np.int64)
    if lsf_sd > 0:
        broad = (posterior.lsf - 1) / lsf_sd
        far = np.sum(broad**2, axis=1) > _ROTATION_SD**2
        warn |= _bit(far & (np.sum(broad, axis=1) > 0), WARN.FAST_ROTATOR)
    fitted = np.isfinite(posterior.mean).all(axis=1)
    means = np.where(fitted[:, None], posterior.mean, trained.density.space.middle)
    depth = np.asarray(_log_density(trained.density, jnp.asarray(means)))
    warn |= _bit(fitted & (depth < trained.depth), WARN.EXTRAPOLATION)
    warn |= _bit(several_peaks(posterior.draws, posterior.weight), WARN.MULTIMODAL)
    return warn


def carbon_warning(posterior: Posterior, limits: ModelLimits) -> np.ndarray:
    """[star] int64: ``CARBON`` where C/O is above 1 at 95 %; molecules then rule the spectrum.

    The probability is that over the draws, each widened by the model's errors of carbon and oxygen
    (``ModelLimits.label_error``). Carbon stars have much carbon: hardly a star has [O/Fe] far
    below 0, and a fit with less is a flaw of the model, so that [O/Fe] below 0 counts as 0.
    """
    names = posterior.names
    if not {"c_fe", "o_fe"} <= set(names):
        return np.zeros(len(posterior), np.int64)
    places = [names.index("c_fe"), names.index("o_fe")]
    carbon, oxygen = (posterior.draws[..., at] for at in places)
    error = np.hypot(*np.nan_to_num(limits.label_error(posterior.mean))[:, places].T)
    excess = carbon - np.maximum(oxygen, 0.0) - _CARBON_OVER_OXYGEN
    above = ndtr(excess / np.maximum(error, 1e-6))
    return _bit(_share(posterior, above) > 1 - _MAX_OUTSIDE, WARN.CARBON)


def several_peaks(draws: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """[star] bool: two peaks in the density of a label, with a valley of half their height.

    draws : [draw star label]. weight : [draw star], sum 1. A Gaussian kernel estimate with three
    quarters of the normal-rule width; both sides of the valley hold at least 5 % of the weight.
    """
    number, stars, labels = draws.shape
    found = np.zeros(stars, bool)
    if number < 100:
        return found
    for star in np.flatnonzero(np.isfinite(draws).all(axis=(0, 2))):
        each, share = draws[:, star].astype(float), weight[:, star]
        centre = share @ each
        spread = np.sqrt(share @ (each - centre) ** 2)
        z = (each - centre) / np.where(spread > 0, spread, 1.0)
        found[star] = any(_has_valley(z[:, i], share) for i in range(labels) if spread[i] > 0)
    return found


def _has_valley(z: np.ndarray, weight: np.ndarray) -> bool:
    """Whether the weighted density of z [draw], of unit variance, has a valley."""
    fine = np.linspace(-5, 5, 401)
    binned, _ = np.histogram(np.clip(z, -4.99, 4.99), bins=fine, weights=weight)
    cumulated = np.cumsum(binned)
    quartile = np.interp([0.25, 0.75], cumulated, fine[1:])
    # the width of the kernel is that for a few hundred draws: more of them are correlated
    number = min(1 / np.sum(weight**2), _PEAK_DRAWS)
    width = 0.8 * min(1.0, np.ptp(quartile) / 1.349) * number**-0.2
    grid, centre = np.linspace(-4, 4, 81), 0.5 * (fine[1:] + fine[:-1])
    height = np.exp(-0.5 * ((grid[:, None] - centre) / max(width, 0.1)) ** 2) @ binned
    left, right = np.maximum.accumulate(height), np.maximum.accumulate(height[::-1])[::-1]
    valley = height < _VALLEY * np.minimum(left, right)
    below = np.interp(grid, fine[1:], cumulated)
    return bool(np.any(valley & (np.minimum(below, 1 - below) > _LEAST_MASS)))


def velocity_warning(posterior: Posterior, prior_sd: np.ndarray) -> np.ndarray:
    """[star] int64: ``RV_DISAGREES`` where the fit leaves the catalogue's velocity by 5 sigma.

    prior_sd : [star], error of the catalogue's velocity, km/s. Where it is right, the fitted
    shift scatters by less than that. Where it is wrong, prior and spectrum pull apart, the shift
    ends between them, and the labels compensate for misplaced lines.
    """
    far = np.abs(posterior.velocity[:, 0]) > MAX_SHIFT * prior_sd  # False for NaN
    return np.where(far, int(WARN.RV_DISAGREES), 0).astype(np.int64)


def chi2_warning(posterior: Posterior) -> np.ndarray:
    """[star] int64: ``POOR_CHI2`` where chi2 per pixel exceeds 3, ``SMALL_CHI2`` below 0.25."""
    fitted = posterior.pixels > 0  # comparisons are False for NaN
    poor = posterior.chi2 > _MAX_CHI2 * posterior.pixels
    small = posterior.chi2 < _MIN_CHI2 * posterior.pixels
    result: np.ndarray = _bit(fitted & poor, WARN.POOR_CHI2) | _bit(
        fitted & small, WARN.SMALL_CHI2
    )
    return result
