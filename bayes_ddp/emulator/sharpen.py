"""Residual spectra at the resolution of data, brought to that of a sharper model.

The spectrum at infinite resolution is taken as white noise with a slowly varying amplitude, data
and model are its convolutions with Gaussians. What the data say of the model is then the posterior
mean of a Gaussian process: a regularised deconvolution that returns to zero in gaps.
"""

import numpy as np
from scipy.linalg import solveh_banded
from scipy.ndimage import gaussian_filter1d

from bayes_ddp.spectra.lsf import FWHM_PER_SIGMA

__all__ = ["sharpen"]

_AMPLITUDE_LENGTH = 40.0
"""Å over which the amplitude of a row is averaged."""
_FLOOR = 0.02
"""Least amplitude, as a fraction of the row's own rms."""
_LEAST_NOISE = 1e-3
"""Least noise variance relative to the amplitude's square; it bounds the amplification."""
_REACH = 5.0
"""Standard deviations over which kernels are followed."""


def sharpen(
    rows: np.ndarray,
    variance: np.ndarray,
    *,
    wave: np.ndarray,
    fwhm: np.ndarray,
    model: tuple[np.ndarray, float],
) -> np.ndarray:
    """Rows on a model's wavelengths and at its resolution.

    Parameters
    ----------
    rows : [row pixel]
        On the data's grid, at the data's resolution.
    variance : [row pixel]
        Of their errors; infinite where nothing is known.
    wave : [pixel] Å
        Uniform.
    fwhm : [pixel] Å
        LSF of the data, broader than the model's.
    model : [model pixel] Å, and Å
        Wavelengths and FWHM of the model.

    Returns [row, model pixel].
    """
    step = float(wave[1] - wave[0])
    sigma = fwhm / FWHM_PER_SIGMA
    own = model[1] / FWHM_PER_SIGMA
    result = np.zeros((len(rows), len(model[0])))
    band = _band(sigma, step)
    for i, (row, error) in enumerate(zip(rows, variance, strict=True)):
        known = np.isfinite(error)
        if not known.any() or not np.any(row[known]):
            continue
        scale = _amplitude(np.where(known, row, 0.0), known, _AMPLITUDE_LENGTH / step)
        noise = np.where(known, np.where(known, error, 0.0) / scale**2, 1e6)
        matrix = band.copy()
        matrix[0] += np.maximum(noise, _LEAST_NOISE)
        found = solveh_banded(matrix, np.where(known, row, 0.0) / scale, lower=True)
        result[i] = _cross(found, scale, wave=wave, sigma=sigma, model=(model[0], own))
    return result


def _band(sigma: np.ndarray, step: float) -> np.ndarray:
    """[diagonal pixel], lower bands of the data's covariance, 1 on the diagonal.

    Two pixels with widths s and t share sqrt(2 s t / (s^2 + t^2)) exp(-d^2 / (2 (s^2 + t^2))).
    """
    reach = int(np.ceil(_REACH * np.sqrt(2) * sigma.max() / step))
    band = np.zeros((reach + 1, len(sigma)))
    for k in range(reach + 1):
        left, right = sigma[: len(sigma) - k], sigma[k:]
        square = left**2 + right**2
        value = np.sqrt(2 * left * right / square) * np.exp(-0.5 * (k * step) ** 2 / square)
        band[k, : len(value)] = value
    return band


def _cross(
    found: np.ndarray,
    scale: np.ndarray,
    *,
    wave: np.ndarray,
    sigma: np.ndarray,
    model: tuple[np.ndarray, float],
) -> np.ndarray:
    """[model pixel]: covariance of model and data times ``found`` [pixel].

    In units in which the data have variance 1, so that the model's standard deviation is
    sqrt(sigma / own): unresolved lines are deeper at a higher resolution.
    """
    step, (grid, own) = float(wave[1] - wave[0]), model
    reach = int(np.ceil(_REACH * np.hypot(sigma.max(), own) / step))
    middle = np.round((grid - wave[0]) / step).astype(int)
    total = np.zeros(len(grid))
    for k in range(-reach, reach + 1):
        at = middle + k
        inside = (at >= 0) & (at < len(wave))
        at = at[inside]
        square = own**2 + sigma[at] ** 2
        value = np.sqrt(2 * sigma[at] ** 2 / square)
        value *= np.exp(-0.5 * (grid[inside] - wave[at]) ** 2 / square)
        total[inside] += value * found[at]
    amplitude = np.interp(grid, wave, scale, left=0.0, right=0.0)
    widened: np.ndarray = total * amplitude
    return widened


def _amplitude(row: np.ndarray, known: np.ndarray, length: float) -> np.ndarray:
    """[pixel] rms of a row near each pixel."""
    weight = gaussian_filter1d(known.astype(float), length) + 1e-6
    local = gaussian_filter1d(row**2, length) / weight
    whole = float(np.mean(row[known] ** 2))
    size: np.ndarray = np.sqrt(np.maximum(local, _FLOOR**2 * whole))
    return size
