"""Which stars are not what the model was made for, by what their posterior says.

Each test asks a physical question of the draws and sets a bit of ``WARN``; none changes a number.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bayes_ddp.flags import WARN
from bayes_ddp.inference.posterior import Posterior
from bayes_ddp.inference.prior import LabelPrior
from bayes_ddp.labels import LabelSpace

__all__ = [
    "Trained",
    "chi2_warning",
    "edge_warning",
    "odd_warning",
    "trained_density",
    "velocity_warning",
]

_MAX_CHI2 = 3.0  # per pixel
_MAX_SHIFT = 5.0  # sigma
_MAX_OUTSIDE = 0.05
_WD_TEFF = 6500.0
_CARBON_OVER_OXYGEN = 0.26
"""log(O/C) of the Sun, dex (Asplund et al. 2009: 8.69 - 8.43); [C/O] above it means C/O > 1."""
_ROTATION_SD = 5.0
_OUTLIER = 1e-3
_PRIOR_DRAWS = 8192
_VALLEY, _LEAST_MASS = 0.5, 0.05


def _share(posterior: Posterior, outside: np.ndarray) -> np.ndarray:
    """[star], weighted share of draws in ``outside`` [draw star]; 0 where there are none."""
    weight = np.exp(posterior.log_weight - posterior.log_weight.max(axis=0))
    return (weight * outside).sum(axis=0) / weight.sum(axis=0)


def _bit(where: np.ndarray, bit: WARN) -> np.ndarray:
    return np.where(where, int(bit), 0).astype(np.int64)


def edge_warning(posterior: Posterior, space: LabelSpace) -> np.ndarray:
    """[star] int64: where over 5 % of the draws leave the trained Teff, log g or [Fe/H].

    ``LABEL_EDGE`` for any of them, with ``HOT`` and ``COOL`` for the ends of Teff, and ``WD``
    where a star above 6500 K leaves log g upwards: pressure broadens its Balmer lines more than
    any dwarf's.
    """
    beyond: dict[tuple[str, int], np.ndarray] = {}
    for name in {"teff", "logg", "feh"} & set(posterior.names):
        values, at = posterior.draws[..., posterior.names.index(name)], space.index(name)
        beyond[name, -1], beyond[name, 1] = values < space.low[at], values > space.high[at]
    nothing = np.zeros(posterior.log_weight.shape, bool)
    anywhere = np.logical_or.reduce(list(beyond.values())) if beyond else nothing
    warn = _bit(_share(posterior, anywhere) > _MAX_OUTSIDE, WARN.LABEL_EDGE)
    for bit, key in ((WARN.HOT, ("teff", 1)), (WARN.COOL, ("teff", -1))):
        warn |= _bit(_share(posterior, beyond.get(key, nothing)) > _MAX_OUTSIDE, bit)
    if ("logg", 1) in beyond and ("teff", 1) in beyond:
        dense = _share(posterior, beyond["logg", 1]) > _MAX_OUTSIDE
        warn |= _bit(
            dense & (posterior.mean[:, posterior.names.index("teff")] > _WD_TEFF), WARN.WD
        )
    return warn


class Trained(NamedTuple):
    """The density of labels that a model was trained on, and where it ends.

    depth : ln density that all but a thousandth of its own draws exceed.
    """

    density: LabelPrior
    depth: float


def trained_density(space: LabelSpace, density: dict[str, Any]) -> Trained:
    """The ``Trained`` of a model's card."""
    law = LabelPrior(space, density)
    keys = jax.random.split(jax.random.key(0), _PRIOR_DRAWS)
    depth = jax.jit(jax.vmap(lambda key: law.log_prob(law.sample(key))))(keys)
    return Trained(law, float(np.quantile(np.asarray(depth), _OUTLIER)))


@eqx.filter_jit
def _log_density(law: LabelPrior, labels: Array) -> Array:
    return jax.vmap(law.log_prob)(labels)


def odd_warning(posterior: Posterior, trained: Trained, *, lsf_sd: float) -> np.ndarray:
    """[star] int64: ``CARBON``, ``FAST_ROTATOR``, ``EXTRAPOLATION`` and ``MULTIMODAL``.

    lsf_sd : prior sd of the LSF factors, 0 where they were not fitted.

    CARBON: C/O above 1 in 95 % of the draws; molecules then change the whole spectrum.
    FAST_ROTATOR: lines broader than the instrument makes them; the LSF factors of all arms lie
    above 1 by 5 prior sd in quadrature. EXTRAPOLATION: the posterior's mean is rarer among
    the labels that the model was trained on than one in a thousand. MULTIMODAL: the draws of a
    label have two peaks.
    """
    names = posterior.names
    warn = np.zeros(len(posterior), np.int64)
    if {"c_fe", "o_fe"} <= set(names):
        carbon = posterior.draws[..., names.index("c_fe")]
        excess = carbon - posterior.draws[..., names.index("o_fe")] > _CARBON_OVER_OXYGEN
        warn |= _bit(_share(posterior, excess) > 1 - _MAX_OUTSIDE, WARN.CARBON)
    if lsf_sd > 0:
        broad = (posterior.lsf - 1) / lsf_sd
        far = np.sum(broad**2, axis=1) > _ROTATION_SD**2
        warn |= _bit(far & (np.sum(broad, axis=1) > 0), WARN.FAST_ROTATOR)
    fitted = np.isfinite(posterior.mean).all(axis=1)
    means = np.where(fitted[:, None], posterior.mean, trained.density.space.middle)
    depth = np.asarray(_log_density(trained.density, jnp.asarray(means)))
    warn |= _bit(fitted & (depth < trained.depth), WARN.EXTRAPOLATION)
    return warn | _bit(several_peaks(posterior.draws), WARN.MULTIMODAL)


def several_peaks(draws: np.ndarray) -> np.ndarray:
    """[star] bool: two peaks in a label's density, half as deep again between them.

    draws : [draw star label], equally weighted. A Gaussian kernel estimate with three quarters
    of the normal-rule width; both sides of the valley hold at least 5 % of the draws.
    """
    number, stars, labels = draws.shape
    found = np.zeros(stars, bool)
    if number < 100:
        return found
    for star in np.flatnonzero(np.isfinite(draws).all(axis=(0, 2))):
        each = draws[:, star]
        spread = each.std(axis=0)
        z = (each - each.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        found[star] = any(_has_valley(z[:, i]) for i in range(labels) if spread[i] > 0)
    return found


def _has_valley(z: np.ndarray) -> bool:
    width = 0.8 * min(1.0, np.subtract(*np.quantile(z, [0.75, 0.25])) / 1.349) * len(z) ** -0.2
    grid = np.linspace(-4, 4, 81)
    height = np.exp(-0.5 * ((grid[:, None] - z) / max(width, 0.1)) ** 2).sum(axis=1)
    left, right = np.maximum.accumulate(height), np.maximum.accumulate(height[::-1])[::-1]
    valley = height < _VALLEY * np.minimum(left, right)
    below = (z[:, None] < grid).mean(axis=0)
    return bool(np.any(valley & (np.minimum(below, 1 - below) > _LEAST_MASS)))


def velocity_warning(posterior: Posterior, prior_sd: np.ndarray) -> np.ndarray:
    """[star] int64: ``RV_DISAGREES`` where the fit leaves the catalogue's velocity by 5 sigma.

    prior_sd : [star], error of the catalogue's velocity, km/s. Where it is right, the fitted
    shift scatters by less than that. Where it is wrong, prior and spectrum pull apart, the shift
    ends between them, and the labels make up for lines in the wrong place.
    """
    far = np.abs(posterior.velocity[:, 0]) > _MAX_SHIFT * prior_sd  # False for NaN
    return np.where(far, int(WARN.RV_DISAGREES), 0).astype(np.int64)


def chi2_warning(posterior: Posterior) -> np.ndarray:
    """[star] int64: ``POOR_CHI2`` where chi2 per pixel exceeds 3."""
    poor = posterior.chi2 > _MAX_CHI2 * posterior.pixels
    return np.where(poor & (posterior.pixels > 0), int(WARN.POOR_CHI2), 0).astype(np.int64)
