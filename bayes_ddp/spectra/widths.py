"""Pixels with an unusable width of the line-spread function are masked, star by star.

A width in a file can be wrong in one pixel or in all: 0, NaN, negative, a third of a pixel or a
thousand pixels. The largest width sets the memory and time of a whole batch, and a width below
that of the model cannot be fitted. Pixels with an unusable width are masked and their star has
``WARN.LSF_WARN``; other stars are not affected.
"""

from dataclasses import replace

import numpy as np

from bayes_ddp.flags import WARN
from bayes_ddp.spectra.pixels import block_median
from bayes_ddp.spectra.raw import RawArm, RawSpectra

__all__ = ["BROADEST", "UNKNOWN_FWHM", "mask_sharp", "usable", "usable_widths"]

BROADEST = 20.0
"""Å, largest FWHM that is fitted: the pseudo-continuum (L = 20 Å) removes broader features."""

UNKNOWN_FWHM = 2.5
"""Å, placeholder in masked pixels of an arm without a usable width."""

_BLOCK = 64  # pixels whose median width is the reference of each pixel
_RATIO = 2.0  # largest accepted ratio of a width and its reference, or its inverse
_BLOCK_RATIO = 3.0  # the same for a block and the arm; constant R over 3600-10000 Å has 2.8
_FEW = 0.05  # up to this fraction only the pixels that are sharper than the model are masked


def usable(width: np.ndarray) -> np.ndarray:
    """Whether widths, Å, are positive numbers of at most 20 Å; bool of the same shape."""
    return np.isfinite(width) & (width > 0) & (width <= BROADEST)


def usable_widths(raw: RawSpectra) -> RawSpectra:
    """The spectra with pixels of unusable width masked, and a usable width in every pixel.

    A width is unusable if it is not a positive number, above 20 Å, or differs by more than a
    factor of 2 from that of the surrounding pixels, which then replaces it. A star with pixels
    masked here has ``LSF_WARN``, and ``NODATA`` if none is left.
    """
    arms, lost = [], np.zeros(len(raw), bool)
    for arm in raw.arms:
        fixed, masked = _mended(arm)
        arms.append(fixed)
        lost |= masked
    return _flagged(replace(raw, arms=tuple(arms)), lost)


def mask_sharp(raw: RawSpectra, narrowest: float) -> RawSpectra:
    """The spectra with pixels masked whose LSF is narrower than that of the model.

    If more than 5 % of a star's pixels are narrower, all its pixels are masked. The star has
    ``LSF_WARN`` then, and ``NODATA`` if no pixel is left.

    narrowest : Å, FWHM below which the model cannot be fitted.
    """
    sharp = [(arm.ivar > 0) & (arm.fwhm < narrowest) for arm in raw.arms]
    number = np.sum([part.sum(axis=1) for part in sharp], axis=0)
    if not number.any():
        return raw
    total = np.sum([(arm.ivar > 0).sum(axis=1) for arm in raw.arms], axis=0)
    drop = (number > _FEW * total)[:, None]
    ivars = [
        np.where(part | drop, np.float32(0), arm.ivar)
        for part, arm in zip(sharp, raw.arms, strict=True)
    ]
    return _flagged(raw.with_ivar(ivars), number > 0)


def _flagged(raw: RawSpectra, lost: np.ndarray) -> RawSpectra:
    """The spectra with the warning bits of stars [star] with pixels masked for their width."""
    empty = ~np.any([(arm.ivar > 0).any(axis=1) for arm in raw.arms], axis=0)
    warn = np.where(lost, int(WARN.LSF_WARN), 0) | np.where(lost & empty, int(WARN.NODATA), 0)
    return replace(raw, warn=raw.warn | warn)


def _mended(arm: RawArm) -> tuple[RawArm, np.ndarray]:
    """(the arm with usable widths, [star] bool, whether pixels were masked for their width)."""
    width = np.asarray(arm.fwhm, float)
    good = usable(width)
    if good.all() and (np.ptp(width, axis=1) == 0).all():  # one width per star
        return arm, np.zeros(len(width), bool)
    reference = _reference(width, good & (arm.ivar > 0))
    ratio = np.where(good, width, np.nan) / reference
    bad = ~((ratio <= _RATIO) & (ratio >= 1 / _RATIO))  # True for NaN
    lost = np.any(bad & (arm.ivar > 0), axis=1)
    if not bad.any():
        return arm, lost
    replacement = np.where(np.isfinite(reference), reference, UNKNOWN_FWHM)
    fixed = replace(
        arm, fwhm=np.where(bad, replacement, width), ivar=np.where(bad, np.float32(0), arm.ivar)
    )
    return fixed, lost


def _reference(width: np.ndarray, good: np.ndarray) -> np.ndarray:
    """[star pixel], Å, typical width of the surrounding pixels; NaN for stars without any.

    width : [star pixel], Å. good : [star pixel] bool, whether it is usable. Medians of blocks of
    64 pixels are interpolated linearly; blocks that are far from the star's median are left out.
    """
    median = block_median(width, good, _BLOCK)
    whole = block_median(median, median > 0, median.shape[1])
    known = (median > 0) & (median <= _BLOCK_RATIO * whole) & (median >= whole / _BLOCK_RATIO)
    centre = (np.arange(median.shape[1]) + 0.5) * _BLOCK - 0.5
    result = np.full(width.shape, np.nan)
    for star in np.flatnonzero(known.any(axis=1)):
        row = known[star]
        result[star] = np.interp(np.arange(width.shape[1]), centre[row], median[star, row])
    return result
