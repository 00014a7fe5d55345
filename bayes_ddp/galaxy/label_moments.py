"""Moments of the labels of stars, their own prior included."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np

from bayes_ddp.galaxy.core import core_of
from bayes_ddp.galaxy.label_draws import LabelDraws
from bayes_ddp.galaxy.observed import Observed

__all__ = ["label_moments", "with_own_prior"]


def label_moments(labels: LabelDraws) -> tuple[np.ndarray, np.ndarray]:
    """Mean [star 3] and covariance [star 3 3] of (ln Teff, log g, [M/H]); NaN where unknown.

    Of the draws where the labels have a prior, else of the likelihood.
    """
    mean, covariance = labels.mean.copy(), np.full(labels.precision.shape, np.nan)
    known = labels.known
    covariance[known] = np.linalg.inv(labels.precision[known])
    own = known & (labels.prior_share > 0)
    if own.any():
        core = core_of(labels.draws[:, own], labels.names)
        away = core - core.mean(axis=0)
        mean[own] = core.mean(axis=0)
        spread = np.einsum("dsa,dsb->sab", away, away) / (len(core) - 1)
        covariance[own] = spread + 1e-10 * np.eye(3)
    return mean, covariance


def with_own_prior(stars: Observed, labels: LabelDraws) -> Observed:
    """The stars with the posterior of the labels in place of their likelihood."""
    mean, covariance = label_moments(labels)
    known = labels.known
    safe = np.where(known[:, None, None], covariance, np.eye(3))
    return replace(
        stars,
        core=jnp.asarray(np.where(known[:, None], mean, stars.core)),
        precision=jnp.asarray(np.linalg.inv(safe)),
    )
