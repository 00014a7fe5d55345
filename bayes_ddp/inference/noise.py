"""Errors of spectra without errors are estimated from the residuals of a first fit.

The first fit gives every pixel the same S/N. The scatter of its residuals in a running window is
the noise level of the star; it includes noise and model errors. The resulting chi2 per pixel is
about 1 for good and bad models, so that with ``WARN.NO_ERRORS`` chi2 does not measure the quality
of the fit. Residuals due to model errors are correlated between pixels, which the likelihood
ignores, so that label errors are lower limits.
"""

import jax
import numpy as np

from bayes_ddp.flags import FATAL, WARN
from bayes_ddp.inference.optimise import fit_stars
from bayes_ddp.inference.problem import Problem, load_stars, model_flux, prepare_for
from bayes_ddp.spectra.raw import RawSpectra
from bayes_ddp.spectra.spectrum import Spectrum
from bayes_ddp.spectra.table import GUESSED_SNR

__all__ = ["noise_level", "with_errors"]

STEP = 100.0
"""Å between the wavelengths of the noise level; each uses pixels within twice this distance."""
_MIN_PIXELS = 30


def with_errors(raw: RawSpectra, problem: Problem, *, batch: int) -> RawSpectra:
    """The spectra; those with ``WARN.NO_ERRORS`` get errors from a first fit.

    batch : number of stars that are fitted together.
    """
    todo = np.flatnonzero(((raw.warn & int(WARN.NO_ERRORS)) > 0) & ((raw.warn & int(FATAL)) == 0))
    if not len(todo):
        return raw
    ivars = [arm.ivar.copy() for arm in raw.arms]
    for start in range(0, len(todo), batch):
        rows = todo[start : start + batch]
        filled = np.concatenate([rows, np.full(batch - len(rows), rows[-1])])
        spectrum, _ = prepare_for(problem.emulator, raw.take(filled))
        wave = np.asarray(spectrum.wave)
        centres = _centres(wave)
        level = noise_level(wave, _residual(problem, spectrum)[: len(rows)], centres)
        for arm, ivar, (_, low, high) in zip(raw.arms, ivars, spectrum.arms, strict=True):
            continuum = np.asarray(spectrum.continuum)[: len(rows), low:high]
            bright = np.where(np.isfinite(continuum), continuum, arm.flux[rows])
            noise = bright * np.stack([np.interp(arm.wave, centres, row) for row in level])
            known = (ivar[rows] > 0) & (noise > 0)
            ivar[rows] = np.where(known, np.where(known, noise, 1.0) ** -2.0, 0.0)
    return raw.with_ivar(ivars)


def noise_level(wave: np.ndarray, residual: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """[star centre], normalised flux, robust standard deviation of residuals about each centre.

    wave : [pixel], Å. residual : [star pixel], NaN if unknown. centres : [centre], Å, ascending.

    The level is interpolated at centres with fewer than 30 pixels; a star without residuals has
    the level of ``GUESSED_SNR``.
    """
    level = np.full((len(residual), len(centres)), np.nan)
    for i, centre in enumerate(centres):
        near = np.abs(residual[:, np.abs(wave - centre) <= 2 * STEP])
        enough = np.isfinite(near).sum(axis=1) >= _MIN_PIXELS
        if enough.any():
            level[enough, i] = 1.4826 * np.nanmedian(near[enough], axis=1)
    for row in level:
        known = np.isfinite(row) & (row > 0)
        row[:] = np.interp(centres, centres[known], row[known]) if known.any() else 1 / GUESSED_SNR
    return level


def _centres(wave: np.ndarray) -> np.ndarray:
    low, high = float(wave.min()), float(wave.max())
    return np.linspace(low, high, max(int((high - low) / STEP), 1) + 1)


def _residual(problem: Problem, spectrum: Spectrum) -> np.ndarray:
    """[star pixel], data minus best fit, normalised flux; NaN for pixels that are not fitted."""
    stars = load_stars(problem, spectrum)
    fit = fit_stars(problem, stars)
    _, nuisances = jax.vmap(problem.parameters.split)(fit.q)
    model = model_flux(problem, stars, fit.labels, nuisances)
    used = np.asarray(stars.precision) > 0
    return np.where(used, np.asarray(stars.flux) - np.asarray(model), np.nan)
