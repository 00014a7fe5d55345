"""Pixels with unusable flux or inverse variance are found and masked."""

import numpy as np

__all__ = ["absurd_pixels", "block_median", "clean_pixels", "in_runs", "usable_pixels"]

_BLOCK = 8
"""Pixels per block; median flux and error of a block are compared with those of other blocks."""
_REACH = 300.0
"""Å on either side of a block that contain the blocks it is compared with."""
_WEAK_RUN, _WEAK_PIXEL = 20.0, 100.0
"""Three or more pixels in a row are masked if their S/N is lower than that of blocks on both sides
by the first factor; a single pixel if its S/N is lower than that of its arm by the second. In 176
spectra of LAMOST and two coadds of DESI, including sky lines, arm ends and faint targets, the
largest factors of a block and of a pixel are 12 and 43."""
_ABSURD_LEVEL, _ABSURD_SIGMA, _LINE = 10.0, 20.0, 5
"""A pixel is absurd if it differs from the local level by these factors of the level and of its
error, unless at least so many neighbouring pixels do, as in a line."""

_MOST_FLUX = 1e4
"""Largest accepted flux in units of the median of the spectrum."""


def clean_pixels(
    flux: np.ndarray, ivar: np.ndarray, masked: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Finite flux and ivar as float32, and which stars had invalid pixels.

    flux, ivar : [star pixel], as read.
    masked : [star pixel] bool, pixels that the survey rejects.

    Returns flux and ivar [star pixel] float32, finite, with ivar >= 0 and ivar = 0 if masked; and
    [star] bool, whether a pixel that the survey does not mask was not finite, had ivar < 0, or a
    flux over 1e4 times the spectrum's median.
    """
    limit = np.finfo(np.float32).max
    unfit = ~(np.abs(flux) < limit) | ~(ivar < limit) | (ivar < 0)  # True for NaN
    unfit |= _beyond(np.abs(np.where(unfit, 0, flux)), ~unfit & ~masked & (ivar > 0))
    mended = np.any(unfit & ~masked & (ivar != 0), axis=1)
    kept = np.where(unfit | masked, 0, ivar)
    return np.where(unfit, 0, flux).astype(np.float32), kept.astype(np.float32), mended


def _beyond(size: np.ndarray, good: np.ndarray) -> np.ndarray:
    """[star pixel] bool, whether the absolute flux exceeds 1e4 times the star's median.

    size : [star pixel], absolute flux. good : [star pixel] bool, pixels of the median.
    """
    median = block_median(size, good, max(size.shape[1], 1))
    return (size > _MOST_FLUX * median) & (median > 0)


def usable_pixels(wave: np.ndarray, flux: np.ndarray, ivar: np.ndarray) -> np.ndarray:
    """[star pixel] bool, usable pixels of one arm.

    wave : [pixel], Å. flux, ivar : [star pixel], any unit; ivar = 0 marks a masked pixel.

    A pixel is not usable if it is masked or not finite; if its S/N and inverse error are both far
    below those of its neighbours, since it would have no weight in the fit but full weight in the
    pseudo-continuum; or if its flux differs from the local level by ten times that level.
    """
    valid = (ivar > 0) & np.isfinite(flux) & np.isfinite(ivar)
    root = np.sqrt(np.where(valid, ivar, 0.0).astype(float))
    level = np.abs(block_median(flux, valid, _BLOCK))
    weight = block_median(root, valid, _BLOCK)
    step = float(np.median(np.diff(wave))) if len(wave) > 1 else 1.0
    reach = max(int(_REACH / (_BLOCK * step)), 1)
    at = np.arange(len(wave)) // _BLOCK
    weak, lone = np.ones(flux.shape, bool), np.ones(flux.shape, bool)
    for block, pixel in ((weight, root), (level * weight, level[:, at] * root)):
        weak &= _WEAK_RUN * pixel < _both_sides(block, reach)[:, at]
        lone &= _WEAK_PIXEL * pixel < _middle(block)
    return valid & ~in_runs(weak, 3) & ~lone & ~absurd_pixels(flux, ivar)


def absurd_pixels(flux: np.ndarray, ivar: np.ndarray) -> np.ndarray:
    """[star pixel] bool, unmasked pixels that differ from the local level by ten times the level.

    flux, ivar : [star pixel], of one arm. Five or more such pixels in a row are a line and are not
    marked.
    """
    valid = (ivar > 0) & np.isfinite(flux) & np.isfinite(ivar)
    level = np.abs(block_median(flux, valid, _BLOCK))
    around = _around(level)[:, np.arange(flux.shape[1]) // _BLOCK]
    away = np.abs(np.where(valid, flux, 0.0) - around)
    sigma = away * np.sqrt(np.where(valid, ivar, 0.0).astype(float))
    absurd = valid & (away > _ABSURD_LEVEL * around) & (sigma > _ABSURD_SIGMA)
    return absurd & ~in_runs(absurd, _LINE)


def in_runs(marked: np.ndarray, length: int) -> np.ndarray:
    """[star pixel] bool, marked pixels within runs of at least ``length`` marked pixels."""
    padded = np.pad(marked, ((0, 0), (length - 1, length - 1)))
    whole = np.lib.stride_tricks.sliding_window_view(padded, length, axis=1).all(axis=2)
    return np.lib.stride_tricks.sliding_window_view(whole, length, axis=1).any(axis=2)


def block_median(values: np.ndarray, valid: np.ndarray, size: int) -> np.ndarray:
    """[star block], median of the valid values in blocks of ``size`` pixels; 0 if there is none.

    values : [star pixel]. valid : [star pixel] bool.
    """
    stars, pixels = values.shape
    blocks = -(-pixels // size)
    padded = np.full((stars, blocks * size), np.inf)
    padded[:, :pixels] = np.where(valid, values, np.inf)
    return _ranked(padded.reshape(stars, blocks, size))


def _ranked(values: np.ndarray) -> np.ndarray:
    """Lower median of the finite values along the last axis; 0 if there is none."""
    ordered = np.sort(values, axis=-1)
    count = np.isfinite(ordered).sum(axis=-1, keepdims=True)
    middle = np.take_along_axis(ordered, np.maximum(count - 1, 0) // 2, axis=-1)
    return np.where(count > 0, middle, 0.0)[..., 0]


def _middle(blocks: np.ndarray) -> np.ndarray:
    """[star 1], median over the non-empty blocks of an arm."""
    return _ranked(np.where(blocks > 0, blocks, np.inf))[:, None]


def _both_sides(blocks: np.ndarray, reach: int) -> np.ndarray:
    """[star block], the smaller of the maxima of the ``reach`` blocks on the left and right."""
    padded = np.pad(blocks, ((0, 0), (reach, reach)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=1).max(axis=2)
    count = blocks.shape[1]
    return np.minimum(windows[:, :count], windows[:, reach + 1 : reach + 1 + count])


def _around(level: np.ndarray) -> np.ndarray:
    """[star block], median level of nine blocks centred on each block."""
    padded = np.pad(np.where(level > 0, level, np.inf), ((0, 0), (4, 4)), constant_values=np.inf)
    return _ranked(np.lib.stride_tricks.sliding_window_view(padded, 9, axis=1))
