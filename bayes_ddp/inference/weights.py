"""Weights of draws: normalised, as quantiles, and resampled to equal ones."""

import hashlib
from collections.abc import Sequence

import numpy as np

__all__ = ["generator_of", "normalised_weight", "systematic", "weighted_quantiles"]


def generator_of(name: str, *seeds: int) -> np.random.Generator:
    """Random numbers of one star, which depend on its identifier and the seeds alone."""
    digest = hashlib.sha256(name.encode()).digest()[:8]
    return np.random.default_rng([*seeds, int.from_bytes(digest, "little")])


def normalised_weight(log_weight: np.ndarray) -> np.ndarray:
    """[draw star], weights of ``log_weight`` [draw star] that sum to 1; NaN without draws."""
    with np.errstate(invalid="ignore"):
        weight: np.ndarray = np.exp(log_weight - np.max(log_weight, axis=0))
    weight /= weight.sum(axis=0)
    return weight


def weighted_quantiles(
    draws: np.ndarray, weight: np.ndarray, levels: Sequence[float] | np.ndarray
) -> np.ndarray:
    """[level label], quantiles of draws [draw label] with weights [draw], linear between draws."""
    order = np.argsort(draws, axis=0)
    ranked, share = np.take_along_axis(draws, order, axis=0), weight[order]
    centre = (np.cumsum(share, axis=0) - 0.5 * share) / weight.sum()
    columns = zip(centre.T, ranked.T, strict=True)
    return np.stack([np.interp(levels, at, values) for at, values in columns], axis=1)


def systematic(weight: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """[number] indices drawn with ``weight`` [draw] (sum 1): systematic resampling, shuffled."""
    levels = (np.arange(number) + rng.random()) / number
    chosen = np.searchsorted(np.cumsum(weight), levels).clip(max=len(weight) - 1)
    return rng.permutation(chosen)
