"""The fitting problem: emulator, prior, nuisances and geometry that all stars share."""

from typing import Annotated, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from bayes_ddp.emulator.network import BasisNetwork, PixelNetwork
from bayes_ddp.inference.forward import (
    Geometry,
    Pixels,
    StarData,
    geometry,
    render,
    star_data,
    taps_needed,
)
from bayes_ddp.inference.parameters import Nuisances, Parameters
from bayes_ddp.inference.prior import LabelPrior
from bayes_ddp.inference.templates import Templates, make_templates
from bayes_ddp.spectra.prepare import prepare
from bayes_ddp.spectra.raw import RawSpectra
from bayes_ddp.spectra.spectrum import Spectrum
from bayes_ddp.spectra.surveys import SURVEYS

__all__ = [
    "Nuisance",
    "Pixels",
    "Problem",
    "load_stars",
    "make_problem",
    "model_flux",
    "pad",
    "prepare_for",
    "require_float64",
]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Nuisance:
    """The table [nuisance]: parameters that are fitted besides the labels.

    velocity : whether a residual velocity is fitted, with the error of the input velocity as the
        sd of its prior.
    lsf : prior sd of a factor on the LSF width of each arm; 0 means that it is not fitted. The
        default is 0.03 for DESI and 0.05 for SDSS, which measure their LSF, 0.10 for LAMOST, which
        does not, and 0.05 for tables.
    mismatch : whether the mismatch spectrum of the model to real stars is added to the error.
    """

    velocity: bool = True
    lsf: Annotated[float, Field(ge=0, le=0.3)] | None = None
    mismatch: bool = False

    def lsf_sd(self, survey: str) -> float:
        """Prior sd of the LSF factors for one survey."""
        return SURVEYS[survey].lsf_sd if self.lsf is None else self.lsf


class Problem(eqx.Module):
    """Everything that is the same for all stars of a run; ``make_problem`` creates it.

    error : [model pixel], error of the model in normalised flux.
    """

    shape: Geometry
    emulator: BasisNetwork | PixelNetwork
    error: Float[Array, " model_pixel"]
    templates: Templates
    prior: LabelPrior = eqx.field(static=True)
    parameters: Parameters = eqx.field(static=True)


def require_float64() -> None:
    """Raise RuntimeError if JAX runs without float64, which label algebra needs."""
    if not jax.config.read("jax_enable_x64"):
        raise RuntimeError(
            "bayes_ddp needs JAX in float64 for label algebra, and jax_enable_x64 is off: call "
            "jax.config.update('jax_enable_x64', True) before the first JAX array is made."
        )


def make_problem(
    pixels: Pixels | Spectrum,
    emulator: BasisNetwork | PixelNetwork,
    prior: LabelPrior,
    *,
    nuisance: Nuisance | None = None,
    mismatch: np.ndarray | None = None,
    fwhm: tuple[float, float] | None = None,
) -> Problem:
    """The ``Problem`` of spectra on these pixels.

    Parameters
    ----------
    pixels
        A batch of spectra, or their wavelengths, arms and survey.
    emulator, prior
        They have the same label space.
    nuisance
        By default velocity and LSF are fitted.
    mismatch : [model pixel], normalised flux
        Added in quadrature to the emulator's error.
    fwhm : Å
        Typical and largest width of the LSF; by default those of ``pixels``, a Spectrum.

    Raises RuntimeError without float64, ValueError if model and data are not compatible.
    """
    require_float64()
    nuisance = nuisance or Nuisance()
    if fwhm is None:
        if isinstance(pixels, Pixels):
            raise ValueError("Pixels have no LSF: state its typical and largest width as fwhm.")
        widths = np.asarray(pixels.fwhm)
        fwhm = float(np.median(widths)), float(widths.max())
    shape = geometry(pixels, emulator, taps=taps_needed(np.array(fwhm), emulator))
    error = np.asarray(emulator.error, np.float32)
    if mismatch is not None:
        error = np.sqrt(error**2 + np.asarray(mismatch, np.float32) ** 2)
    emulator = jax.tree.map(lambda x: jnp.asarray(x) if eqx.is_array_like(x) else x, emulator)
    return Problem(
        shape=shape,
        emulator=emulator,
        error=jnp.asarray(error),
        templates=make_templates(shape, emulator, prior, fwhm=fwhm[0]),
        prior=prior,
        parameters=Parameters(
            names=prior.space.names,
            free=prior.free,
            arms=tuple(name for name, _, _ in pixels.arms),
            velocity=nuisance.velocity,
            lsf_sd=nuisance.lsf_sd(pixels.survey),
        ),
    )


@eqx.filter_jit
def model_flux(problem: Problem, stars: StarData, labels: Array, nuisances: Nuisances) -> Array:
    """[star pixel] normalised models of a batch.

    labels : [star label]. nuisances : velocity [star], km/s, added to vrad; LSF factors [star,
    arm].
    """

    def one(star: StarData, labels: Array, nuisances: Nuisances) -> Array:
        rows = problem.emulator(labels)[None]
        return render(problem.shape, star, rows, nuisances)[0]

    return jax.vmap(one)(stars, labels, nuisances)


def prepare_for(
    emulator: BasisNetwork | PixelNetwork, raw: RawSpectra
) -> tuple[Spectrum, np.ndarray]:
    """(spectra, warnings) of ``prepare`` with the masks and the reach of an emulator."""
    physics = emulator.card.physics_only if emulator.card else True
    return prepare(raw, physics=physics, reach=emulator.reach)


@eqx.filter_jit
def _stars(problem: Problem, spectrum: Spectrum) -> StarData:
    return star_data(problem.shape, spectrum, problem.error)


def load_stars(problem: Problem, spectrum: Spectrum) -> StarData:
    """Likelihood arrays of a batch [star ...]; compiled once per batch size."""
    loaded: Any = spectrum.on_device()
    return _stars(problem, loaded)


def pad(spectrum: Spectrum, size: int) -> Spectrum:
    """The batch with its last star repeated, without pixels, up to ``size`` stars."""
    missing = size - len(spectrum)
    if missing <= 0:
        return spectrum
    rows = np.concatenate([np.arange(len(spectrum)), np.full(missing, len(spectrum) - 1)])
    padded = spectrum.take(rows)
    ivar = np.array(padded.ivar)
    ivar[len(spectrum) :] = 0.0
    result: Spectrum = eqx.tree_at(lambda s: s.ivar, padded, ivar)
    return result
