"""Labels of stars from a table, completed where the table has none, with their covariance.

A label that is not in the table takes part with its population: abundances with the mean at this
[Fe/H] of the stars that have them, and with their scatter; a label that no star has with the mean
and variance of the model's prior. A label of the table has its own error, and moves towards the
population as far as that error allows.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from bayes_ddp.emulator.correction import CORE, usual_design
from bayes_ddp.inference.prior import LabelPrior

__all__ = ["Completed", "complete_labels"]

FEWEST = 30
"""Fewer stars than this do not define the usual abundance of an element."""

_RIDGE = 0.5
_RAISED_SCATTER = 1.4826


@dataclass(frozen=True)
class Completed:
    """Labels of some stars, all of them known to some accuracy.

    labels : [star label]. covariance : [star label label]. elements : abundances that the table
    defines. usual : [element 2], their usual values (``correction.usual_design``).
    """

    labels: np.ndarray
    covariance: np.ndarray
    elements: tuple[str, ...]
    usual: np.ndarray


def complete_labels(values: np.ndarray, errors: np.ndarray, prior: LabelPrior) -> Completed:
    """The labels of stars whose Teff, log g and [Fe/H] are known.

    values, errors : [star label] in the order of the prior's space, NaN where unknown. Labels are
    kept inside the trained range.

    Raises ValueError for a star without Teff, log g or [Fe/H], or without their errors.
    """
    space = prior.space
    core = [space.index(name) for name in CORE]
    if not (np.isfinite(values[:, core]).all() and (errors[:, core] > 0).all()):
        raise ValueError("Every star needs Teff, log g and [Fe/H] with errors above 0.")
    low, high = np.array(space.low), np.array(space.high)
    inside = np.where(np.isfinite(values), np.clip(values, low, high), space.middle)
    mean, covariance = (np.array(part) for part in jax.vmap(prior.moments)(jnp.asarray(inside)))
    elements, usual = [], []
    for name in space.names:
        place = space.index(name)
        known = np.isfinite(values[:, place]) & (errors[:, place] > 0)
        if name.endswith("_fe") and known.sum() >= FEWEST:
            feh = inside[:, core[2]]
            fit, scatter = _population(values[known, place], feh[known], errors[known, place])
            mean[:, place] = usual_design(feh) @ fit
            factor = scatter / np.sqrt(covariance[:, place, place])
            covariance[:, place] *= factor[:, None]
            covariance[:, :, place] *= factor[:, None]
            elements.append(name)
            usual.append(fit)
    for i in range(len(values)):
        mean[i], covariance[i] = _updated(
            mean[i], covariance[i], values[i], errors=errors[i], core=core
        )
    return Completed(
        np.clip(mean, low, high), covariance, tuple(elements), np.reshape(usual, (-1, 2))
    )


def _population(
    values: np.ndarray, feh: np.ndarray, errors: np.ndarray
) -> tuple[np.ndarray, float]:
    """(coefficients of the usual [X/Fe], true scatter about it), robust against odd stars."""
    design = usual_design(feh)
    weight = np.ones(len(values))
    for _ in range(5):
        loaded = design * weight[:, None]
        fit = np.linalg.solve(loaded.T @ design + _RIDGE * np.eye(2), loaded.T @ values)
        left = values - design @ fit
        spread = _RAISED_SCATTER * np.median(np.abs(left))
        weight = 1 / (1 + (left / (3 * spread)) ** 2)
    true = spread**2 - np.median(errors) ** 2
    return fit, float(np.sqrt(max(true, 0.25 * spread**2)))


def _updated(
    mean: np.ndarray,
    covariance: np.ndarray,
    values: np.ndarray,
    *,
    errors: np.ndarray,
    core: list[int],
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of one star's labels given the table's; the core labels as they are."""
    mean, covariance = mean.copy(), covariance.copy()
    seen = np.isfinite(values) & (errors > 0)
    seen[core] = False
    at = np.flatnonzero(seen)
    if len(at):
        inner = covariance[np.ix_(at, at)] + np.diag(errors[at] ** 2)
        gain = np.linalg.solve(inner, covariance[at]).T
        mean += gain @ (values[at] - mean[at])
        covariance -= gain @ covariance[at]
    mean[core] = values[core]
    covariance[core], covariance[:, core] = 0.0, 0.0
    covariance[core, core] = errors[core] ** 2
    return mean, 0.5 * (covariance + covariance.T)
