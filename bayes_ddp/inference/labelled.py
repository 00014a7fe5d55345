"""Spectra of stars with known labels, compared with a model at these labels, on one rest grid.

Data and model go through the same operator as in a fit: Doppler shift, LSF, sampling and
pseudo-continuum. The derivatives by labels, velocity and LSF width come along, so that errors of
the labels can be taken into account to first order.
"""

from dataclasses import dataclass, replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bayes_ddp.emulator.network import BasisNetwork, Card
from bayes_ddp.inference.fit import BATCH, pad, problem_of
from bayes_ddp.inference.forward import StarData, narrowest_fwhm, render
from bayes_ddp.inference.parameters import Nuisances
from bayes_ddp.inference.problem import Nuisance, Problem, load_stars, prepare_for
from bayes_ddp.spectra.masks import doppler_factor
from bayes_ddp.spectra.raw import RawSpectra
from bayes_ddp.spectra.widths import mask_sharp

__all__ = ["Labelled", "labelled_residuals", "rest_grid"]

Arms = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Labelled:
    """Data minus model of stars at given labels, all stars on one list of rest wavelengths.

    wave : [pixel] Å vacuum, uniform. fwhm : [pixel] Å, median LSF of the stars.
    residual : [star pixel], normalised flux, NaN where a star has no usable pixel.
    jacobian : [star, label + 1 + 1, pixel], derivatives of the model by labels, velocity (km/s)
    and the factor on the LSF width of all arms.
    """

    wave: np.ndarray
    fwhm: np.ndarray
    residual: np.ndarray
    jacobian: np.ndarray

    def take(self, rows: np.ndarray) -> "Labelled":
        """Some of the stars."""
        return replace(self, residual=self.residual[rows], jacobian=self.jacobian[rows])


def labelled_residuals(
    spectra: RawSpectra,
    emulator: BasisNetwork,
    labels: np.ndarray,
    *,
    wave: np.ndarray,
    batch: int = BATCH,
) -> Labelled:
    """Data minus model at known labels, and the model's derivatives.

    Parameters
    ----------
    spectra
        The stars, with velocities.
    emulator
        With its card. Line cores that are masked for physical models take part.
    labels : [star label]
        Where the model is evaluated.
    wave : [pixel] Å vacuum, at rest
        Uniform grid on which the residuals are wanted (``rest_grid``).
    batch
        Number of stars that are computed together.
    """
    assert emulator.card is not None
    table = dict(emulator.card.table) | {"physics_only": False}
    network = replace(emulator, card=Card(emulator.card.folder, table))
    spectra = mask_sharp(spectra, narrowest_fwhm(network))
    problem = problem_of(spectra, network, nuisance=Nuisance())
    spectrum, _ = prepare_for(network, spectra)
    residual, jacobian, width = [], [], []
    for start in range(0, len(spectra), batch):
        rows = np.arange(start, min(start + batch, len(spectra)))
        filled = np.concatenate([rows, np.full(batch - len(rows), rows[-1])])
        stars = load_stars(problem, pad(spectrum.take(rows), batch))
        flux, by_row = _render(problem, stars, jnp.asarray(labels[filled]))
        for i, row in enumerate(rows):
            difference = np.asarray(stars.flux[i]) - np.asarray(flux[i])
            stack = np.concatenate([difference[None], by_row[i], stars.fwhm[i][None]])
            used = np.asarray(stars.precision[i]) > 0
            seen = wave * doppler_factor(float(spectrum.vrad[row]))
            found = _resample(
                np.asarray(spectrum.wave), stack, used, arms=spectrum.arms, seen=seen
            )
            residual.append(found[0])
            jacobian.append(np.nan_to_num(found[1:-1]))
            width.append(found[-1])
    known = np.isfinite(width).any(axis=0)
    fwhm = np.full(len(wave), np.nan)
    fwhm[known] = np.nanmedian(np.array(width)[:, known], axis=0)
    fwhm = np.interp(wave, wave[known], fwhm[known])
    return Labelled(wave, fwhm, np.array(residual), np.array(jacobian))


@eqx.filter_jit
def _render(problem: Problem, stars: StarData, labels: Array) -> tuple[Array, Array]:
    """([star pixel] model, [star, label + 2, pixel] derivatives), LSF factors of arms summed."""
    number, arms = problem.prior.space.size, len(problem.shape.arms)

    def one(star: StarData, labels: Array) -> tuple[Array, Array]:
        rows = problem.emulator.flux_and_gradient(labels)
        nuisances = Nuisances(jnp.zeros(()), jnp.ones(arms))
        flux, by_row = render(problem.shape, star, rows, nuisances)
        width = by_row[number + 1 :].sum(axis=0, keepdims=True)
        return flux, jnp.concatenate([by_row[: number + 1], width])

    result: tuple[Array, Array] = jax.lax.map(lambda pair: one(*pair), (stars, labels))
    return result


def rest_grid(spectra: RawSpectra, low: float, high: float) -> np.ndarray:
    """Uniform rest wavelengths, Å, with the median step of the data's pixels."""
    steps = np.concatenate([np.diff(arm.wave) for arm in spectra.arms])
    step = float(np.median(steps))
    return low + step * np.arange(int((high - low) / step) + 1)


def _resample(
    wave: np.ndarray, rows: np.ndarray, used: np.ndarray, *, arms: Arms, seen: np.ndarray
) -> np.ndarray:
    """Rows [row pixel] at the wavelengths ``seen``, by cubic interpolation in pixel number.

    NaN where one of the four pixels is not used. Where arms overlap, the first one counts.
    """
    found = np.full((len(rows), len(seen)), np.nan)
    for _, first, last in arms:
        own = wave[first:last]
        place = np.interp(seen, own, np.arange(len(own)), left=-1.0, right=-1.0)
        base = np.floor(place).astype(int) - 1
        inside = (base >= 0) & (base + 3 < len(own)) & np.isnan(found[0])
        t = place - base - 1
        taps = base[:, None] + np.arange(4)
        inside[inside] &= used[first + taps[inside]].all(axis=1)
        weight = np.stack(
            [
                -t * (t - 1) * (t - 2) / 6,
                (t + 1) * (t - 1) * (t - 2) / 2,
                -(t + 1) * t * (t - 2) / 2,
                (t + 1) * t * (t - 1) / 6,
            ],
            axis=1,
        )[inside]
        at = first + taps[inside]
        found[:, inside] = np.einsum("rpt,pt->rp", rows[:, at], weight)
    return found
