"""Flux and inverse variance as the rest of the package can trust them."""

import numpy as np

__all__ = ["clean_pixels"]

_MOST_FLUX = 1e4
"""Times the median of a spectrum; what is beyond is no measurement of a star."""


def clean_pixels(
    flux: np.ndarray, ivar: np.ndarray, masked: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flux and ivar that the rest of the package can trust, and which stars had to be mended.

    flux, ivar : [star pixel], as read.
    masked : [star pixel] bool, pixels that the survey rejects.

    Returns flux and ivar as float32, finite, with ivar >= 0 and ivar = 0 where masked; and
    [star] bool, whether a pixel that the survey offers as good was not finite, had ivar < 0, or a
    flux over 1e4 times the spectrum's median.
    """
    limit = np.finfo(np.float32).max
    unfit = ~(np.abs(flux) < limit) | ~(ivar < limit) | (ivar < 0)  # True for NaN
    unfit |= _beyond(np.abs(np.where(unfit, 0, flux)), ~unfit & ~masked & (ivar > 0))
    mended = np.any(unfit & ~masked & (ivar != 0), axis=1)
    kept = np.where(unfit | masked, 0, ivar)
    return np.where(unfit, 0, flux).astype(np.float32), kept.astype(np.float32), mended


def _beyond(size: np.ndarray, good: np.ndarray) -> np.ndarray:
    """[star pixel] bool, where a flux of this size is too far from the star's others.

    good : [star pixel] bool, pixels that form the median.
    """
    known = good.any(axis=1)
    median = np.zeros(len(size))
    median[known] = np.nanmedian(np.where(good[known], size[known], np.nan), axis=1)
    return (size > _MOST_FLUX * median[:, None]) & (median > 0)[:, None]
