"""Emission in Balmer cores and forbidden lines is detected as an excess of data over the model.

The cores of the Balmer lines are not fitted with LTE models, so that their residuals measure
emission. Forbidden lines of a nebula may have another velocity than the star: they are searched at
the velocity of the star and at zero barycentric velocity. The error of a residual includes noise,
the local mismatch between star and model, and the known error of such models at these lines.

Vacuum wavelengths of forbidden lines: NIST Atomic Spectra Database 5.11 (Kramida et al. 2023).
"""

from typing import NamedTuple

import numpy as np

from bayes_ddp.inference.compared import Compared
from bayes_ddp.spectra.masks import BALMER, BALMER_HALF_WIDTH

__all__ = ["FORBIDDEN", "emitting", "emission_pixels"]

FORBIDDEN = {
    "[N II]": (6585.27, 6549.86),
    "[S II]": (6718.29, 6732.67),
    "[O III]": (5008.24, 4960.30),
}
"""The two lines of each ion, vacuum Å, the stronger one first."""

_RATIO = {"[N II]": 1 / 3, "[S II]": 0.7, "[O III]": 1 / 3}
"""Least flux of the second line over that of the first, by their transition probabilities."""

_SIGMA = 5.0
_CORE, _NARROW = 3.0, 2.0
"""Half widths, Å, of the intervals over which a residual is averaged."""
_MODEL_ERROR = (0.03, 0.03, 0.05, 0.05, 0.02)
"""Error of the model's mean flux in the cores of H alpha to delta, and at forbidden lines. Stars
of LAMOST DR1 scatter by 0.03 to 0.06, most of which is noise."""
_AROUND_FORBIDDEN = 4.0


class _Excess(NamedTuple):
    """[star], mean residual of an interval and its error; 0 and inf without pixels."""

    mean: np.ndarray
    error: np.ndarray


def emitting(compared: Compared) -> np.ndarray:
    """[star] bool, whether a Balmer core or the two lines of a forbidden pair are in emission."""
    scale = compared.scale()
    found = np.zeros(len(compared.flux), bool)
    for centre, floor in zip(BALMER, _MODEL_ERROR, strict=False):
        core = _excess(compared, compared.rest, centre, half=_CORE, scale=scale)
        found |= core.mean > _SIGMA * np.hypot(core.error, floor)
    floor = _MODEL_ERROR[-1]
    for wave in (compared.rest, np.broadcast_to(compared.wave, compared.rest.shape)):
        for ion, lines in FORBIDDEN.items():
            one, other = (_excess(compared, wave, c, half=_NARROW, scale=scale) for c in lines)
            strong = one.mean > _SIGMA * np.hypot(one.error, floor)
            least = 0.5 * _RATIO[ion] * one.mean
            found |= strong & (other.mean > least) & (other.mean > 2 * other.error)
    return found


def _excess(
    compared: Compared, wave: np.ndarray, centre: float, *, half: float, scale: np.ndarray
) -> _Excess:
    near = (np.abs(wave - centre) < half) & np.isfinite(compared.sigma)
    columns = np.flatnonzero(near.any(axis=0))
    near = near[:, columns]
    count = np.maximum(near.sum(axis=1), 1)
    mean = np.where(near, compared.residual[:, columns], 0.0).sum(axis=1) / count
    sigma = np.where(near, compared.sigma[:, columns] * scale[:, columns], 0.0)
    error = np.sqrt((sigma**2).sum(axis=1)) / count
    enough = near.sum(axis=1) >= 2
    return _Excess(np.where(enough, mean, 0.0), np.where(enough, error, np.inf))


def emission_pixels(compared: Compared) -> np.ndarray:
    """[star pixel] bool, pixels that emission may affect: Balmer wings, forbidden lines."""
    intervals = [(compared.rest, centre, BALMER_HALF_WIDTH) for centre in BALMER]
    still = np.broadcast_to(compared.wave, compared.rest.shape)
    for wave in (compared.rest, still):
        intervals += [(wave, c, _AROUND_FORBIDDEN) for pair in FORBIDDEN.values() for c in pair]
    result: np.ndarray = np.logical_or.reduce(
        [np.abs(wave - centre) < half for wave, centre, half in intervals]
    )
    return result
