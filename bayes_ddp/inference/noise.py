"""Errors of spectra that came without any, from the residuals of a first fit.

A first best fit gives every pixel the same weight. Its residuals, in a window that runs along the
spectrum, give each star a noise level: the scatter of data about model, which is noise and what
the model gets wrong together. That is the right weight for a fit with this model, and it makes
chi2 per pixel about 1 whether the model is good or not: with ``WARN.NO_ERRORS``, chi2 says nothing
about the fit as a whole. Residuals of a wrong model are correlated from pixel to pixel, which the
likelihood ignores, so that label errors are lower limits.
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
"""Å between the places where the noise level is measured, each from twice this on either side."""
_MIN_PIXELS = 30


def with_errors(raw: RawSpectra, problem: Problem, *, batch: int) -> RawSpectra:
    """The same spectra, those with ``WARN.NO_ERRORS`` with errors from a first fit.

    raw, problem : as in the fit to come. batch : stars that are fitted together.
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
        place = _places(wave)
        level = noise_level(wave, _residual(problem, spectrum)[: len(rows)], place)
        for arm, ivar, (_, low, high) in zip(raw.arms, ivars, spectrum.arms, strict=True):
            continuum = np.asarray(spectrum.continuum)[: len(rows), low:high]
            bright = np.where(np.isfinite(continuum), continuum, arm.flux[rows])
            noise = bright * np.stack([np.interp(arm.wave, place, row) for row in level])
            known = (ivar[rows] > 0) & (noise > 0)
            ivar[rows] = np.where(known, np.where(known, noise, 1.0) ** -2.0, 0.0)
    return raw.with_ivar(ivars)


def noise_level(wave: np.ndarray, residual: np.ndarray, place: np.ndarray) -> np.ndarray:
    """[star place], normalised flux: robust standard deviation of residuals near each place.

    wave : [pixel] Å. residual : [star pixel], NaN where there is none. place : Å, ascending.

    Places with too few pixels take the level of their neighbours; a star without any residual
    that of the first guess.
    """
    level = np.full((len(residual), len(place)), np.nan)
    for i, centre in enumerate(place):
        near = np.abs(residual[:, np.abs(wave - centre) <= 2 * STEP])
        enough = np.isfinite(near).sum(axis=1) >= _MIN_PIXELS
        if enough.any():
            level[enough, i] = 1.4826 * np.nanmedian(near[enough], axis=1)
    for row in level:
        known = np.isfinite(row) & (row > 0)
        row[:] = np.interp(place, place[known], row[known]) if known.any() else 1 / GUESSED_SNR
    return level


def _places(wave: np.ndarray) -> np.ndarray:
    low, high = float(wave.min()), float(wave.max())
    return np.linspace(low, high, max(int((high - low) / STEP), 1) + 1)


def _residual(problem: Problem, spectrum: Spectrum) -> np.ndarray:
    """[star pixel] data minus best fit, normalised flux; NaN where no pixel was fitted."""
    stars = load_stars(problem, spectrum)
    fit = fit_stars(problem, stars)
    _, nuisances = jax.vmap(problem.parameters.split)(fit.q)
    model = model_flux(problem, stars, fit.labels, nuisances)
    used = np.asarray(stars.precision) > 0
    return np.where(used, np.asarray(stars.flux) - np.asarray(model), np.nan)
