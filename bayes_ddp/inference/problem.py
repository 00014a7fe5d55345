"""What a run fits: emulator, prior, nuisances and geometry, put together once."""

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
    StarData,
    geometry,
    render,
    star_data,
    taps_needed,
)
from bayes_ddp.inference.prior import LabelPrior
from bayes_ddp.inference.templates import Templates, make_templates
from bayes_ddp.spectra.spectrum import Spectrum

__all__ = ["Nuisance", "Problem", "load_stars", "make_problem", "model_flux", "require_float64"]

_LSF_SD = {"desi": 0.03, "lamost": 0.10, "sdss": 0.05, "table": 0.05}


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Nuisance:
    """The [nuisance] table: what is fitted beside the labels.

    velocity : fit a residual velocity with the catalogue's error as its prior.
    lsf : prior sd of a factor on the LSF width of each arm; 0 switches it off; without a value
        0.03 for DESI and 0.05 for SDSS, which measure their LSF, 0.10 for LAMOST, which does not,
        and 0.05 for tables.
    mismatch : add the model's mismatch spectrum (from real stars) to the error.
    """

    velocity: bool = True
    lsf: Annotated[float, Field(ge=0, le=0.3)] | None = None
    mismatch: bool = False

    def lsf_sd(self, survey: str) -> float:
        """Prior sd of the LSF factors for one survey."""
        return _LSF_SD[survey] if self.lsf is None else self.lsf


class Problem(eqx.Module):
    """Everything that stays the same from star to star. Made by ``make_problem``."""

    shape: Geometry
    emulator: BasisNetwork | PixelNetwork
    error: Float[Array, " model_pixel"]
    templates: Templates
    prior: LabelPrior = eqx.field(static=True)
    velocity: bool = eqx.field(static=True)
    lsf_sd: float = eqx.field(static=True)

    @property
    def free(self) -> int:
        """Number of labels that are fitted."""
        return len(self.prior.free)

    @property
    def size(self) -> int:
        """Number of parameters: free labels, velocity, LSF factors."""
        return self.free + int(self.velocity) + (len(self.shape.arms) if self.lsf_sd > 0 else 0)

    def split(self, q: Array) -> tuple[Array, Array, Array]:
        """(free labels, velocity in km/s, [arm] LSF factors) from a parameter vector."""
        velocity = q[self.free] if self.velocity else jnp.zeros(())
        arms = len(self.shape.arms)
        width = 1 + q[-arms:] if self.lsf_sd > 0 else jnp.ones(arms)
        return q[: self.free], velocity, width

    def picks(self) -> list[int]:
        """Rows of ``render``'s derivatives that belong to the parameters, in order."""
        names = self.prior.space.names
        rows = [names.index(n) for n in self.prior.free]
        if self.velocity:
            rows.append(len(names))
        if self.lsf_sd > 0:
            rows.extend(len(names) + 1 + i for i in range(len(self.shape.arms)))
        return rows

    def nuisance_precision(self, star: StarData) -> Array:
        """[parameter - free], inverse prior variance of the nuisances, whose means are 0."""
        parts = []
        if self.velocity:
            parts.append(1 / star.vrad_err[None] ** 2)
        if self.lsf_sd > 0:
            parts.append(jnp.full(len(self.shape.arms), self.lsf_sd**-2))
        return jnp.concatenate(parts) if parts else jnp.zeros(0)


def require_float64() -> None:
    """Raise RuntimeError where JAX runs without float64, which label algebra needs."""
    if not jax.config.read("jax_enable_x64"):
        raise RuntimeError(
            "bayes_ddp needs JAX in float64 for label algebra, and jax_enable_x64 is off: call "
            "jax.config.update('jax_enable_x64', True) before the first JAX array is made."
        )


def make_problem(
    spectrum: Spectrum,
    emulator: BasisNetwork | PixelNetwork,
    prior: LabelPrior,
    *,
    nuisance: Nuisance | None = None,
    mismatch: np.ndarray | None = None,
    fwhm: np.ndarray | None = None,
) -> Problem:
    """Put a run together.

    Parameters
    ----------
    spectrum
        Any batch of the run; its wavelengths, survey and widths of the LSF hold for all.
    emulator, prior
        Prior and emulator share a label space.
    nuisance
        Default: velocity and LSF fitted.
    mismatch : [model pixel], normalised flux
        Added in quadrature to the emulator's error.
    fwhm : Å
        LSF widths of all stars of the run, where ``spectrum`` is only some of them.

    Raises RuntimeError without float64, ValueError where model and data do not fit together.
    """
    require_float64()
    nuisance = nuisance or Nuisance()
    fwhm = np.asarray(spectrum.fwhm if fwhm is None else fwhm)
    shape = geometry(spectrum, emulator, taps=taps_needed(fwhm, emulator))
    error = np.asarray(emulator.error, np.float32)
    if mismatch is not None:
        error = np.sqrt(error**2 + np.asarray(mismatch, np.float32) ** 2)
    emulator = jax.tree.map(lambda x: jnp.asarray(x) if eqx.is_array_like(x) else x, emulator)
    return Problem(
        shape=shape,
        emulator=emulator,
        error=jnp.asarray(error),
        templates=make_templates(shape, emulator, prior, fwhm=float(np.median(fwhm))),
        prior=prior,
        velocity=nuisance.velocity,
        lsf_sd=nuisance.lsf_sd(spectrum.survey),
    )


@eqx.filter_jit
def model_flux(
    problem: Problem, stars: StarData, labels: Array, nuisance: tuple[Array, Array]
) -> Array:
    """[star pixel] normalised models of a batch.

    labels : [star label]. nuisance : velocity beyond vrad [star], km/s; LSF factors [star arm].
    """

    def one(star: StarData, labels: Array, velocity: Array, width: Array) -> Array:
        rows = problem.emulator(labels)[None]
        return render(problem.shape, star, rows, (velocity, width))[0]

    return jax.vmap(one)(stars, labels, *nuisance)


@eqx.filter_jit
def _stars(problem: Problem, spectrum: Spectrum) -> StarData:
    return star_data(problem.shape, spectrum, problem.error)


def load_stars(problem: Problem, spectrum: Spectrum) -> StarData:
    """Likelihood arrays of a batch [star ...]; compiled once for each batch size."""
    loaded: Any = spectrum.on_device()
    return _stars(problem, loaded)
