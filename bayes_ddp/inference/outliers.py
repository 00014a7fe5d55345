"""Outlying pixels, such as cosmic rays and defects, are found in the residuals of a fit.

A pixel is an outlier if it deviates by over six times the local scatter of the residuals, which
includes noise and model errors, and if no spectral line can explain it: the feature is narrower
than the LSF, or it exceeds the continuum. A line that the model lacks, or predicts too strong, is
therefore not an outlier. Gaussian noise exceeds six sigma in 2e-9 of the pixels.
"""

import numpy as np
from scipy.ndimage import maximum_filter1d

from bayes_ddp.inference.compared import Compared
from bayes_ddp.spectra.lsf import FWHM_PER_SIGMA
from bayes_ddp.spectra.pixels import in_runs

__all__ = ["outlying"]

_SIGMA = 6.0
_BESIDE = 3.0
"""Significance from which a neighbour of an outlier is rejected, and a feature is too narrow."""
_CONTINUUM = 20.0
"""Å on either side, within which the maximum of the model is taken as its continuum."""
_MOST = 0.02
"""Largest fraction of a star's pixels that can be outliers; beyond it none is rejected."""

_WIDE, _MOST_WIDE = 5, 0.003
"""The same fraction for pixels in runs of five or more, which may be emission lines. A few runs
can be rejected; a galaxy has many, which must increase its chi2."""


def outlying(compared: Compared) -> np.ndarray:
    """[star pixel] bool, outliers among the fitted pixels."""
    found = np.zeros(compared.used.shape, bool)
    scale = compared.scale()
    deviation = np.where(compared.used, compared.residual / compared.sigma / scale, 0.0)
    high = np.abs(deviation) > _SIGMA
    rows = np.flatnonzero(high.any(axis=1))
    if not len(rows):
        return found
    some = compared._replace(
        **{n: getattr(compared, n)[rows] for n in ("flux", "model", "sigma", "used", "fwhm")}
    )
    t, strange = deviation[rows], high[rows]
    strange &= _sharp(some, t) | _above(some, scale[rows])
    beside = _moved(strange, 1) | _moved(strange, -1)
    strange |= beside & (np.abs(t) > _BESIDE) & some.used
    number = some.used.sum(axis=1)
    wide = in_runs(strange, _WIDE)
    strange &= ~wide | (wide.sum(axis=1) <= _MOST_WIDE * number)[:, None]
    strange &= (strange.sum(axis=1) <= _MOST * number)[:, None]
    found[rows] = strange
    return found


def _moved(values: np.ndarray, by: int) -> np.ndarray:
    """[star pixel], the values shifted by ``by`` pixels; the end values are repeated."""
    index = np.clip(np.arange(values.shape[1]) + by, 0, values.shape[1] - 1)
    return values[:, index]


def _sharp(compared: Compared, t: np.ndarray) -> np.ndarray:
    """[star pixel] bool, whether a feature of one or two pixels is narrower than the LSF.

    t : [star pixel], deviations in sigma. Let g be the value of the LSF one pixel from its centre.
    For any centre, the mean of the pixels beside the highest pixel of a Gaussian is at least g
    times its height, and beside the two highest pixels at least g^2 times.
    """
    step = np.concatenate([np.gradient(compared.wave[a:b]) for _, a, b in compared.arms])
    g = np.exp(-0.5 * (step / (compared.fwhm / FWHM_PER_SIGMA)) ** 2)
    height = np.abs(t)
    own = np.sign(t)
    left, right = own * _moved(t, -1), own * _moved(t, 1)
    has_left, has_right = _moved(compared.used, -1), _moved(compared.used, 1)
    left, right = (  # an unknown neighbour gets the value of the other one, or of the pixel itself
        np.where(has_left, left, np.where(has_right, right, height)),
        np.where(has_right, right, np.where(has_left, left, height)),
    )
    alone = 0.5 * (left + right) < g * height - _BESIDE * np.sqrt(0.5 + g**2)
    for near, far, beyond in ((right, left, 2), (left, right, -2)):
        inner = 0.5 * (height + near)
        outer = 0.5 * (
            far + np.where(_moved(compared.used, beyond), own * _moved(t, beyond), inner)
        )
        pair = outer < g**2 * inner - _BESIDE * np.sqrt(0.5 * (1 + g**4))
        alone |= pair & (near > _BESIDE)
    result: np.ndarray = alone
    return result


def _above(compared: Compared, scale: np.ndarray) -> np.ndarray:
    """[star pixel] bool, whether the flux exceeds the local maximum of the model by 6 sigma."""
    parts = []
    for _, a, b in compared.arms:
        step = float(np.median(np.diff(compared.wave[a:b])))
        size = 2 * int(_CONTINUUM / step) + 1
        parts.append(maximum_filter1d(compared.model[:, a:b], size, axis=1, mode="nearest"))
    top = np.concatenate(parts, axis=1)
    result: np.ndarray = compared.flux > top + _SIGMA * scale * compared.sigma
    return result
