"""A second star in the spectrum is detected by correlating the residuals with the star's model.

The fit leaves the lines of a companion in the residuals, moved by the velocity between the stars.
The best model, moved by a trial velocity, is fitted to the residuals: that gives the companion's
share of the light and by how many sigma it is there. Broad structure is taken out of both first
and the Balmer and Ca II lines are left out, since a wrong temperature leaves residuals in them.
"""

import numpy as np
from scipy.ndimage import gaussian_filter1d

from bayes_ddp.inference.compared import Compared
from bayes_ddp.spectra.lsf import FWHM_PER_SIGMA
from bayes_ddp.spectra.masks import BALMER, BALMER_HALF_WIDTH, LIGHT_SPEED

__all__ = ["double"]

_STEP, _FASTEST = 20.0, 600.0
"""Step and limit of the trial velocities, km/s."""
_SMOOTH = 400.0
"""km/s, FWHM of the filter for broad structure."""
_CLOSEST = 0.8
"""Least velocity between the stars, in units of the LSF's FWHM: below, one broad line is seen."""
_SIGMA, _LEAST_LIGHT = 7.0, 0.05
"""Least significance, and least light relative to the star's."""
_OVER_DIPS = 1.5
"""The same over the significance of the deepest dip: mismatch makes peaks and dips alike."""
_OTHER_BROAD = (3971.2, 3934.8)


def double(compared: Compared) -> np.ndarray:
    """[star] bool, whether the residuals contain the star's lines at another velocity."""
    used = compared.used.copy()
    for centre in (*BALMER, *_OTHER_BROAD):
        used &= np.abs(compared.rest - centre) > BALMER_HALF_WIDTH
    precision = np.where(used, 1 / np.where(used, compared.sigma, 1.0) ** 2, 0.0)
    residual, lines = np.zeros(used.shape), np.zeros(used.shape)
    for _, a, b in compared.arms:
        step = np.median(np.diff(compared.wave[a:b])) / np.median(compared.wave[a:b])
        width = _SMOOTH / LIGHT_SPEED / step / FWHM_PER_SIGMA
        share = gaussian_filter1d(used[:, a:b].astype(float), width, axis=1)
        here = np.where(used[:, a:b], compared.residual[:, a:b], 0.0)
        broad = gaussian_filter1d(here, width, axis=1) / np.maximum(share, 1e-3)
        residual[:, a:b] = np.where(used[:, a:b], here - broad, 0.0)
        model = compared.model[:, a:b]
        lines[:, a:b] = model - gaussian_filter1d(model, width, axis=1)
    velocity, score, norm = _correlate(compared.rest, residual, precision, lines=lines)
    mismatch = (precision * residual**2).sum(axis=1) / np.maximum(used.sum(axis=1), 1)
    unit = np.sqrt(np.maximum(norm, 1e-30) * np.maximum(mismatch, 1.0)[:, None])
    width = np.median(compared.fwhm / compared.wave, axis=1) * LIGHT_SPEED
    apart = np.abs(velocity) > _CLOSEST * width[:, None]
    sigma = np.where(norm > 0, score / unit, 0.0)
    # a slope that comes down from the star's own velocity is no second velocity
    summit = np.ones(sigma.shape, bool)
    summit[:, 1:] &= sigma[:, 1:] >= sigma[:, :-1]
    summit[:, :-1] &= sigma[:, :-1] >= sigma[:, 1:]
    best = np.argmax(np.where(apart & summit, sigma, -np.inf), axis=1)
    row = np.arange(len(best))
    peak, light = sigma[row, best], score[row, best] / np.maximum(norm[row, best], 1e-30)
    dip = np.where(apart, -sigma, 0.0).max(axis=1)
    found = (peak > np.maximum(_SIGMA, _OVER_DIPS * dip)) & (light > _LEAST_LIGHT)
    result: np.ndarray = found & (apart & summit)[row, best]
    return result


def _correlate(
    rest: np.ndarray, residual: np.ndarray, precision: np.ndarray, *, lines: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(velocity [trial], score, norm [star trial]): sums of P r l and of P l^2 for moved lines l.

    rest : [star pixel] Å. residual, precision, lines : [star pixel].
    """
    # on a grid of equal velocities the sums are convolutions; arms that overlap just add up
    pixel = np.log(rest) * LIGHT_SPEED / _STEP
    pixel = pixel - pixel.min(axis=1, keepdims=True)
    points, most = int(pixel.max()) + 2, int(_FASTEST / _STEP)
    size = 1 << int(np.ceil(np.log2(points + most)))
    pulled, weight, moved = np.zeros((3, len(rest), size))
    for star, x in enumerate(pixel):
        first = x.astype(int)
        for at, share in ((first, 1 - (x - first)), (first + 1, x - first)):
            weighted = precision[star] * share
            pulled[star] += np.bincount(at, weighted * residual[star], size)
            weight[star] += np.bincount(at, weighted, size)
        order = np.argsort(x)
        moved[star, :points] = np.interp(np.arange(points), x[order], lines[star][order])
    trial = np.arange(-most, most + 1)
    sums = [
        np.fft.irfft(np.fft.rfft(data) * np.conj(np.fft.rfft(template)), size)[:, trial]
        for data, template in ((pulled, moved), (weight, moved**2))
    ]
    return _STEP * trial, sums[0], sums[1]
