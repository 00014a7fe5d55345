"""Flux and inverse variance as the rest of the package can trust them."""

import numpy as np

__all__ = ["clean_pixels"]


def clean_pixels(
    flux: np.ndarray, ivar: np.ndarray, masked: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flux and ivar that the rest of the package can trust, and which stars had to be mended.

    flux, ivar : [star pixel], as read.
    masked : [star pixel] bool, pixels that the survey rejects.

    Returns flux and ivar as float32, finite, with ivar >= 0 and ivar = 0 where masked; and
    [star] bool, whether a pixel that the survey offers as good was not finite or had ivar < 0.
    """
    unfit = ~np.isfinite(flux) | ~np.isfinite(ivar) | (ivar < 0)
    mended = np.any(unfit & ~masked & (ivar != 0), axis=1)
    kept = np.where(unfit | masked, 0, ivar)
    return np.where(unfit, 0, flux).astype(np.float32), kept.astype(np.float32), mended
