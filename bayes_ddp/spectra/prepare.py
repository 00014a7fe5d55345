"""Raw spectra are masked and divided by their pseudo-continuum on their native pixels.

The pseudo-continuum is the paper's Eq. 1-2, a Gaussian-weighted running mean with L = 20 Å. Its
weights are a 0/1 mask times a fixed function of wavelength, never the inverse variance, because
the same operator must act on the model: different weights shift labels by many sigma.

Source: Zhang et al. (DD-Payne on DESI EDR), section 2, Eq. 1-2.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from bayes_ddp.flags import WARN
from bayes_ddp.spectra.masks import MAX_VRAD, apply_masks, doppler_factor
from bayes_ddp.spectra.pixels import usable_pixels
from bayes_ddp.spectra.raw import RawArm, RawSpectra
from bayes_ddp.spectra.spectrum import Spectrum
from bayes_ddp.spectra.surveys import find_survey
from bayes_ddp.spectra.velocities import WIDE_ERROR

__all__ = ["BROAD", "LENGTH", "MIN_PIXELS", "Smoother", "prepare", "pseudo_continuum"]

LENGTH = 20.0
"""L of Eq. 2, Å."""

BROAD = 150.0
"""Å, kernel width of the broad level that is divided out first, in data and training spectra. It
removes the slope due to star, dust and calibration, which gaps would turn into features."""

MIN_PIXELS = 500
"""A star with fewer usable pixels is not fitted."""

_MOST_FLUX, _MOST_SNR = 1e4, 1e5
"""Of a normalised pixel. What is beyond is no measurement of a star, and float32 would break."""

_NODE_STEP = 4.0
_SHAPE_ORDER = 4


class Smoother(eqx.Module):
    """Sums over a Gaussian kernel on one arm: ``sum_j exp(-(l_j - l_i)^2 / 2 L^2) x_j``.

    The kernel is smooth, so it is evaluated on nodes about 4 Å apart; values are transferred from
    pixels to nodes and back by cubic interpolation in pixel number. The result agrees with the
    direct sum to 1e-5 of the kernel's sum at a hundredth of the cost.

    wave : [pixel], Å, ascending and smooth in pixel number. length : Å, L of the kernel.
    """

    taps: np.ndarray
    kernel: np.ndarray
    pixels: int = eqx.field(static=True)

    def __init__(self, wave: np.ndarray, length: float = LENGTH) -> None:
        wave = np.asarray(wave, float)
        step = np.diff(wave).max() if len(wave) > 1 else _NODE_STEP
        block = int(np.clip(_NODE_STEP * length / LENGTH / step, 1, max(len(wave) - 1, 1)))
        self.pixels = len(wave)
        blocks = -(-len(wave) // block)
        number = block * np.arange(-1, blocks + 2)
        index = np.arange(len(wave))
        node = np.interp(number, index, wave)
        for end, side in ((0, number < 0), (-1, number > index[-1])):
            slope = np.diff(wave)[end] if len(wave) > 1 else _NODE_STEP
            node[side] = wave[end] + slope * (number[side] - index[end])
        t = np.arange(block) / block
        self.taps = np.stack(
            [
                -t * (t - 1) * (t - 2) / 6,
                (t + 1) * (t - 1) * (t - 2) / 2,
                -(t + 1) * t * (t - 2) / 2,
                (t + 1) * t * (t - 1) / 6,
            ]
        )
        self.kernel = np.exp(-0.5 * ((node[:, None] - node[None, :]) / length) ** 2)

    def __call__(self, values: Any) -> Any:
        """[..., pixel], sums of ``values`` [..., pixel], in their dtype and array library."""
        xp = jnp if isinstance(values, jax.Array) else np
        taps, kernel = (xp.asarray(a, values.dtype) for a in (self.taps, self.kernel))
        lead, block = values.shape[:-1], taps.shape[1]
        blocks = kernel.shape[0] - 3
        pad = xp.zeros((*lead, blocks * block - self.pixels), values.dtype)
        cells = xp.concatenate([values, pad], axis=-1).reshape(*lead, blocks, block)
        deposit = cells @ taps.T
        edge = [(0, 0)] * len(lead)
        on_nodes = sum(xp.pad(deposit[..., k], [*edge, (k, 3 - k)]) for k in range(4))
        sums = on_nodes @ kernel
        four = xp.stack([sums[..., k : k + blocks] for k in range(4)], axis=-1)
        return (four @ taps).reshape(*lead, blocks * block)[..., : self.pixels]


def pseudo_continuum(
    wave: np.ndarray, flux: np.ndarray, weight: np.ndarray, *, length: float = LENGTH
) -> np.ndarray:
    """Gaussian-weighted running mean of a spectrum (Eq. 1-2 of the paper).

    Parameters
    ----------
    wave : [pixel], Å
    flux : [..., pixel]
    weight : [..., pixel], 0 or 1
        Which pixels contribute; never the inverse variance.
    length : Å
        L of Eq. 2.

    Returns
    -------
    [..., pixel], unit of ``flux``
        NaN if no pixel with weight is within about five L.

    Examples
    --------
    >>> wave = np.arange(4000.0, 4400.0, 0.8)
    >>> level = pseudo_continuum(wave, np.full(wave.size, 3.0), np.ones(wave.size))
    >>> bool(np.allclose(level, 3.0))
    True
    """
    smooth = Smoother(wave, length)
    total = smooth(np.broadcast_to(np.asarray(weight, float), np.shape(flux)))
    enough = total > 1e-6 * smooth.kernel.sum(axis=1).max()
    level = smooth(np.where(weight > 0, flux, 0.0) * weight)
    return np.where(enough, level / np.where(enough, total, 1.0), np.nan)


def _flat_shape(arm: RawArm, use: np.ndarray) -> np.ndarray:
    """[star pixel], a quartic polynomial fitted to each star's arm, relative to its mean.

    It is divided out before the broad level, whose kernel is one-sided at the ends of an arm.
    """
    x = np.linspace(-1, 1, len(arm.wave))
    design = np.polynomial.chebyshev.chebvander(x, _SHAPE_ORDER)
    weight = use.astype(float)
    normal = np.einsum("sp,pi,pj->sij", weight, design, design)
    right = np.einsum("sp,pi->si", weight * arm.flux, design)
    ridge = 1e-9 * np.trace(normal, axis1=1, axis2=2)[:, None, None] + 1e-30
    fit = np.linalg.solve(normal + ridge * np.eye(_SHAPE_ORDER + 1), right[..., None])[..., 0]
    shape = fit @ design.T
    level = np.abs(fit[:, :1])
    safe = (shape > 0.05 * level).all(axis=1, keepdims=True) & (level > 0)
    return np.where(safe, shape / np.where(level > 0, level, 1.0), 1.0)


def _normalise(
    arm: RawArm, good: np.ndarray, floor: np.ndarray, *, use: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(normalised flux, ivar, continuum) of one arm, each [star pixel]; masks as there."""
    shape = _flat_shape(arm, use)
    weight = use.astype(float)
    broad = pseudo_continuum(arm.wave, arm.flux / shape, weight, length=BROAD)
    shape = shape * np.where(broad > 0, broad, np.nan)
    ratio = np.where(use, arm.flux / shape, 0.0)
    level = shape * pseudo_continuum(arm.wave, ratio, weight)
    known = (arm.ivar > 0) & np.isfinite(level) & (level > 0)
    fit = good & known
    level = np.where(known, level, 1.0)
    variance = np.where(fit, 1 / np.where(arm.ivar > 0, arm.ivar, 1.0), 1.0) / level**2
    ivar = np.where(fit, 1 / (variance + floor.astype(float) ** 2), 0.0)
    flux = np.where(fit, arm.flux / level, 0.0)
    sane = (np.abs(flux) < _MOST_FLUX) & (ivar < _MOST_SNR**2)
    level = np.where(known & sane, level, np.nan)
    return np.where(sane, flux, 0.0), np.where(sane, ivar, 0.0), level


class _Arm(NamedTuple):
    """One arm after preparation, each [star pixel]."""

    flux: np.ndarray
    ivar: np.ndarray
    use: np.ndarray
    fwhm: np.ndarray
    level: np.ndarray


def prepare(
    raw: RawSpectra, *, physics: bool = True, reach: tuple[float, float] | None = None
) -> tuple[Spectrum, np.ndarray]:
    """Normalised spectra on their native pixels, and the warning bits.

    Parameters
    ----------
    raw
        One or more stars of one survey.
    physics
        Whether the model is trained on 1-D LTE spectra; line cores that it cannot reproduce are
        masked then.
    reach : Å, at rest
        First and last wavelength of the model; all wavelengths by default. Pixels beyond it get
        no weight and no inverse variance before the normalisation; otherwise the pseudo-continua
        of data and model would differ by per cents at the ends of the model.

    Returns
    -------
    Spectrum, [star] int64
        A star that cannot be fitted (no velocity, no pixels) has ``ivar = 0`` everywhere.
    """
    warn = raw.warn.astype(np.int64)
    bad_rv = ~(np.abs(raw.vrad) <= MAX_VRAD)
    unknown = (warn & int(WARN.NO_CATALOG_ROW)) > 0
    warn = warn | np.where(bad_rv & ~unknown, int(WARN.BAD_RV), 0)
    vrad = np.where(bad_rv, 0.0, raw.vrad)
    parts = [_prepare_arm(raw, arm, vrad, physics=physics, reach=reach) for arm in raw.arms]
    flux, ivar, use, fwhm, level = (
        np.concatenate(block, axis=1) for block in zip(*parts, strict=True)
    )
    pixels = (ivar > 0).sum(axis=1)
    per_arm = np.stack([(part.ivar > 0).any(axis=1) for part in parts], axis=1)
    warn = warn | np.where(pixels == 0, int(WARN.NODATA), 0)
    warn = warn | np.where((pixels > 0) & (pixels < MIN_PIXELS), int(WARN.FEW_PIXELS), 0)
    warn = warn | np.where(per_arm.any(1) & ~per_arm.all(1), int(WARN.MISSING_ARM), 0)
    skip = bad_rv | (pixels < MIN_PIXELS)
    ends = np.cumsum([0, *(len(arm.wave) for arm in raw.arms)])
    spectrum = Spectrum(
        wave=np.concatenate([arm.wave for arm in raw.arms]),
        flux=flux.astype(np.float32),
        ivar=np.where(skip[:, None], 0.0, ivar).astype(np.float32),
        weight=use.astype(np.float32),
        fwhm=fwhm.astype(np.float32),
        continuum=level.astype(np.float32),
        vrad=vrad.astype(float),
        vrad_err=np.where(np.isfinite(raw.vrad_err), raw.vrad_err, WIDE_ERROR).astype(float),
        arms=tuple(
            (arm.name, int(a), int(b))
            for arm, a, b in zip(raw.arms, ends[:-1], ends[1:], strict=True)
        ),
        survey=raw.survey,
    )
    return spectrum, warn


def _prepare_arm(
    raw: RawSpectra,
    arm: RawArm,
    vrad: np.ndarray,
    *,
    physics: bool,
    reach: tuple[float, float] | None,
) -> _Arm:
    """One arm of all stars, masked and normalised; vrad [star] km/s."""
    valid = usable_pixels(arm.wave, arm.flux, arm.ivar)
    if reach is not None:
        rest = arm.wave / doppler_factor(vrad)[:, None]
        valid &= (rest > reach[0]) & (rest < reach[1])
    clean = RawArm(
        arm.name,
        arm.wave,
        np.where(valid, arm.flux, 0.0).astype(float),
        np.where(valid, arm.ivar, 0.0).astype(float),
        arm.fwhm,
    )
    good, floor, use = apply_masks(arm.wave, vrad, raw.survey, physics=physics, ebv=raw.ebv)
    edge = find_survey(raw.survey).edge_pixels
    good[:, :edge] = False
    good[:, len(arm.wave) - edge :] = False
    use = use & valid
    flux, ivar, level = _normalise(clean, good & valid, floor, use=use)
    return _Arm(flux, ivar, use, np.broadcast_to(arm.fwhm, flux.shape), level)
