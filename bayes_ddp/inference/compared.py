"""Data and best model of a batch as NumPy arrays, the input of checks of residuals."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayes_ddp.inference.forward import StarData
from bayes_ddp.inference.optimise import Fit
from bayes_ddp.inference.problem import Problem, model_flux
from bayes_ddp.spectra.masks import doppler_factor
from bayes_ddp.spectra.pixels import block_median
from bayes_ddp.spectra.raw import RawSpectra
from bayes_ddp.spectra.spectrum import Spectrum

__all__ = ["Compared", "compare", "fitted_velocity"]

_BLOCK = 64
"""Number of pixels over which the scatter of the residuals is measured."""


class Compared(NamedTuple):
    """Normalised data and model of some stars, including pixels that are masked by wavelength.

    wave : [pixel], Å, observed. rest : [star pixel], Å, rest frame of the fitted velocity. flux,
    model : [star pixel]. sigma : [star pixel], error of the flux, including that of the model in
    fitted pixels; inf without data. used : [star pixel] bool, whether the pixel is fitted. fwhm :
    [star pixel], Å. arms : (name, first pixel, end pixel, exclusive).
    """

    wave: np.ndarray
    rest: np.ndarray
    flux: np.ndarray
    model: np.ndarray
    sigma: np.ndarray
    used: np.ndarray
    fwhm: np.ndarray
    arms: tuple[tuple[str, int, int], ...]

    @property
    def residual(self) -> np.ndarray:
        """[star pixel], data minus model; 0 without data."""
        return np.where(np.isfinite(self.sigma), self.flux - self.model, 0.0)

    def scale(self) -> np.ndarray:
        """[star pixel], robust scatter of the local residuals in units of their errors, >= 1.

        It exceeds 1 if the model does not match the star.
        """
        deviation = np.abs(self.residual) / self.sigma
        parts = []
        for _, a, b in self.arms:
            block = block_median(deviation[:, a:b], self.used[:, a:b], _BLOCK)
            parts.append(block[:, np.arange(b - a) // _BLOCK])
        return np.maximum(1.4826 * np.concatenate(parts, axis=1), 1.0)


def fitted_velocity(problem: Problem, fit: Fit) -> np.ndarray:
    """[star], km/s, best-fit velocity minus the input velocity; 0 for a star without a fit."""
    block = problem.parameters.block("velocity")
    if block is None:
        return np.zeros(len(fit.q))
    shift = np.asarray(fit.q)[:, block.start]
    return np.where(np.asarray(fit.positive) & np.isfinite(shift), shift, 0.0)


def compare(
    problem: Problem, raw: RawSpectra, spectrum: Spectrum, *, stars: StarData, fit: Fit
) -> Compared:
    """Data and best models of the stars of ``raw``.

    spectrum : the normalised spectra of ``raw``. stars, fit : of a batch whose first stars are
    those of ``raw``; it may be padded.
    """
    count = len(raw)
    _, nuisances = jax.vmap(problem.parameters.split)(fit.q)
    model = np.asarray(model_flux(problem, stars, jnp.asarray(fit.labels), nuisances))[:count]
    precision = np.asarray(stars.precision)[:count]
    used = precision > 0
    level = np.asarray(spectrum.continuum, float)
    flux = np.concatenate([arm.flux for arm in raw.arms], axis=1)
    ivar = np.concatenate([arm.ivar for arm in raw.arms], axis=1)
    known = (ivar > 0) & np.isfinite(level) & np.isfinite(flux) & np.isfinite(model)
    safe = np.where(known, level, 1.0)
    own = 1 / np.sqrt(np.where(known, ivar, 1.0)) / safe
    sigma = np.where(used, 1 / np.sqrt(np.where(used, precision, 1.0)), own)
    velocity = np.asarray(stars.vrad)[:count] + fitted_velocity(problem, fit)[:count]
    wave = np.asarray(spectrum.wave)
    return Compared(
        wave=wave,
        rest=wave / doppler_factor(velocity)[:, None],
        flux=np.where(known, flux, 0.0) / safe,
        model=np.where(np.isfinite(model), model, 1.0),
        sigma=np.where(known, sigma, np.inf),
        used=used & known,
        fwhm=np.asarray(spectrum.fwhm),
        arms=spectrum.arms,
    )
