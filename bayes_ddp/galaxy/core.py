"""The core of the labels, on which distances act: ln Teff, log g and [M/H], and its moments.

[M/H] is the effective metallicity of the isochrones, from [Fe/H] and [alpha/Fe]. What a spectrum
alone says about the core is its posterior divided by its prior, both as Gaussians.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from bayes_ddp.galaxy.isochrones import effective_metallicity
from bayes_ddp.galaxy.light import ALPHA

__all__ = ["CORE", "core_moments", "core_of", "turn_of", "widened", "without_prior"]

CORE = ("teff", "logg", "m_h")
"""Labels that distances act on: K, dex, and the effective metallicity of the isochrones."""

_ALPHA_RANGE = (-0.1, 0.6)
_MOST_PRIOR = 0.95
"""Share of the precision along a direction that is attributed to the prior at most."""


def core_of(draws: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """[..., 3], (ln Teff, log g, [M/H]) of labels [..., label].

    [alpha/Fe] is the mean of Mg, Si and Ca, held within -0.1 and 0.6; ``alpha_fe`` where the
    labels have that, and 0 without either. ``m_h`` is used as it is.
    """
    column = {name: draws[..., i] for i, name in enumerate(names)}
    return np.stack([np.log(column["teff"]), column["logg"], _metals(column)], axis=-1)


def _metals(column: Mapping[str, np.ndarray]) -> np.ndarray:
    if "m_h" in column:
        return column["m_h"]
    alpha = np.clip(_alpha(column), *_ALPHA_RANGE)
    result: np.ndarray = effective_metallicity(column["feh"], alpha)
    return result


def _alpha(column: Mapping[str, np.ndarray]) -> np.ndarray:
    """[alpha/Fe]: the mean of those of Mg, Si, Ca that are labels, or ``alpha_fe``, or 0."""
    known = [column[name] for name in (*ALPHA, "alpha_fe") if name in column]
    return np.mean(known, axis=0) if known else np.zeros_like(column["feh"])


def turn_of(mean: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """[star 3 label], derivative of the core by the labels."""
    turn = np.zeros((len(mean), 3, len(names)))
    place = {name: i for i, name in enumerate(names)}
    turn[:, 0, place["teff"]] = 1 / mean[:, place["teff"]]
    turn[:, 1, place["logg"]] = 1
    if "m_h" in place:
        turn[:, 2, place["m_h"]] = 1
        return turn
    for name in ("feh", *ALPHA, "alpha_fe"):
        if name in place:
            step = np.zeros(len(names))
            step[place[name]] = 1e-3
            high, low = core_of(mean + step, names), core_of(mean - step, names)
            turn[:, 2, place[name]] = (high - low)[:, 2] / 2e-3
    return turn


def core_moments(
    mean: np.ndarray, covariance: np.ndarray, names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Mean [star 3] and covariance [star 3 3] of the core, linear about the mean."""
    with np.errstate(invalid="ignore", divide="ignore"):
        turn = turn_of(mean, names)
        return core_of(mean, names), turn @ covariance @ turn.swapaxes(1, 2)


def without_prior(
    mean: np.ndarray, covariance: np.ndarray, *, centre: np.ndarray, spread: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(mean, precision of the likelihood, largest share of the prior), Gaussian division.

    In the whitened space of the posterior the precision of the likelihood is 1 minus that of the
    prior. Along a direction where the prior has more than 95 % of the precision, 5 % are left to
    the likelihood: such a direction has no more than a weak constraint.
    """
    likely, precision = np.full(mean.shape, np.nan), np.full(covariance.shape, np.nan)
    share = np.full(len(mean), np.nan)
    finite = np.isfinite(covariance).all(axis=(1, 2)) & np.isfinite(spread).all(axis=(1, 2))
    root = np.linalg.cholesky(covariance[finite])
    back = np.linalg.inv(root).swapaxes(1, 2)
    part, turn = np.linalg.eigh(root.swapaxes(1, 2) @ np.linalg.inv(spread[finite]) @ root)
    share[finite] = np.clip(part[:, -1], 0.0, 1.0)
    part = np.clip(part, 0.0, _MOST_PRIOR)
    away = turn.swapaxes(1, 2) @ back.swapaxes(1, 2) @ (mean - centre)[finite, :, None]
    shift = root @ turn @ ((part / (1 - part))[..., None] * away)
    likely[finite] = mean[finite] + shift[..., 0]
    axes = back @ turn
    precision[finite] = (axes * (1 - part)[:, None, :]) @ axes.swapaxes(1, 2)
    return likely, precision, share


def widened(precision: np.ndarray, turn: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """The precision [star 3 3] with independent errors [star label] of the labels added."""
    result = precision.copy()
    good = np.isfinite(precision).all(axis=(1, 2))
    more = (turn[good] * errors[good, None, :] ** 2) @ turn[good].swapaxes(1, 2)
    result[good] = np.linalg.inv(np.linalg.inv(precision[good]) + more)
    return result
