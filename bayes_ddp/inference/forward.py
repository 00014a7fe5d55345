"""The forward model on the pixels of a star: Doppler shift, LSF, sampling, pseudo-continuum.

The data are not resampled. A linear operator per star, with a dozen taps per pixel, maps a
rest-frame model on the emulator's grid to the star's pixels; the pseudo-continuum operator of the
star (same 0/1 weights as for the data) then normalises the result. All steps are linear in the
model flux except one division, so that derivatives are propagated exactly.

Pixel arrays are float32; ``StarModel`` keeps them accurate by using the change from a reference:
the change of the flux ratio ``m = n / c`` is ``(dn - m dc) / (c + dc)``, without cancellation.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayes_ddp.inference.likelihood import Noise
from bayes_ddp.inference.parameters import Nuisances
from bayes_ddp.inference.resolution import NARROWEST, Sampled, narrowest_fwhm, taps_needed
from bayes_ddp.spectra.lsf import FWHM_PER_SIGMA
from bayes_ddp.spectra.masks import LIGHT_SPEED
from bayes_ddp.spectra.prepare import Smoother
from bayes_ddp.spectra.spectrum import Spectrum

__all__ = [
    "Geometry",
    "Pixels",
    "StarData",
    "doppler",
    "geometry",
    "narrowest_fwhm",
    "native_rows",
    "normalised",
    "render",
    "star_data",
    "taps_needed",
]

_REACH = 1e-3
"""Smallest kernel weight, as a fraction of the arm's maximum, for a pseudo-continuum."""


Taps = Int[Array, " pixel"]
"""First model pixel under the LSF of each pixel."""
Weights = Float[Array, "pixel tap"]


class Pixels(NamedTuple):
    """The pixels that all spectra of a problem share; a ``Spectrum`` has the same fields.

    wave : [pixel], Å vacuum, barycentric. arms : (name, first pixel, end pixel, exclusive).
    survey : key of ``SURVEYS``.
    """

    wave: np.ndarray
    arms: tuple[tuple[str, int, int], ...]
    survey: str


class Geometry(eqx.Module):
    """The pixels of the data, the grid of the model and the smoothers, shared by all stars.

    wave : [pixel], Å, observed. arm : [pixel], index of the arm. first, step : Å, first pixel and
    step of the model. model_fwhm : Å. taps : number of model pixels within one LSF.
    """

    wave: Float[Array, " pixel"]
    arm: Int[Array, " pixel"]
    smoothers: tuple[Smoother, ...]
    first: float = eqx.field(static=True)
    step: float = eqx.field(static=True)
    model_pixels: int = eqx.field(static=True)
    model_fwhm: float = eqx.field(static=True)
    taps: int = eqx.field(static=True)
    arms: tuple[tuple[str, int, int], ...] = eqx.field(static=True)


class StarData(eqx.Module):
    """The likelihood arrays of one star; batches have a leading star axis.

    flux, precision : [pixel], normalised flux and 1 / variance; masked pixels have precision 0.
    weight : [pixel], 0/1 weight in the pseudo-continuum. total : [pixel], kernel sum of
    ``weight``; 0 for pixels without a pseudo-continuum. fwhm : [pixel], Å. vrad, vrad_err : km/s.
    """

    flux: Float[Array, " pixel"]
    precision: Float[Array, " pixel"]
    weight: Float[Array, " pixel"]
    total: Float[Array, " pixel"]
    fwhm: Float[Array, " pixel"]
    vrad: Float[Array, ""]
    vrad_err: Float[Array, ""]

    @property
    def noise(self) -> Noise:
        """The noise of the pixels, an argument of the functions in ``likelihood``."""
        return Noise(self.precision)


def doppler(vrad: Float[Array, "*any"]) -> Float[Array, "*any"]:
    """Observed over rest wavelength, relativistic; any shape, km/s. ``doppler_factor`` in JAX."""
    beta = vrad / LIGHT_SPEED
    return jnp.sqrt((1 + beta) / (1 - beta))


def geometry(pixels: Pixels | Spectrum, emulator: Sampled, *, taps: int) -> Geometry:
    """The ``Geometry`` of a problem; raises ValueError if model and data do not overlap."""
    wave, grid = np.asarray(pixels.wave), np.asarray(emulator.wave)
    if wave[-1] < grid[0] or wave[0] > grid[-1]:
        raise ValueError(
            f"The data span {wave[0]:.0f}-{wave[-1]:.0f} Å and the model "
            f"{grid[0]:.0f}-{grid[-1]:.0f} Å: they do not overlap. Choose another emulator."
        )
    arm = np.concatenate([np.full(b - a, i) for i, (_, a, b) in enumerate(pixels.arms)])
    return Geometry(
        wave=jnp.asarray(wave),
        arm=jnp.asarray(arm),
        smoothers=tuple(Smoother(wave[a:b]) for _, a, b in pixels.arms),
        first=float(grid[0]),
        step=float(grid[1] - grid[0]),
        model_pixels=len(grid),
        model_fwhm=float(emulator.fwhm),
        taps=taps,
        arms=pixels.arms,
    )


def smooth(shape: Geometry, values: Float[Array, "*row pixel"]) -> Float[Array, "*row pixel"]:
    """Kernel-weighted sums (not means) about each pixel, separately for each arm."""
    parts = [
        smoother(values[..., a:b])
        for smoother, (_, a, b) in zip(shape.smoothers, shape.arms, strict=True)
    ]
    return jnp.concatenate(parts, axis=-1)


def gaussian_taps(
    shape: Geometry, rest: Float[Array, " point"], sigma: Float[Array, " point"]
) -> tuple[Int[Array, " point"], Float[Array, "point tap"], Float[Array, "point tap"]]:
    """(first tap, weights, distance in sigma) of a Gaussian kernel at rest wavelengths.

    rest, sigma : Å. The weights of a point sum to one.
    """
    # pixels beyond the model are not fitted; without the limits their weights would be 0 / 0
    position = jnp.clip((rest - shape.first) / shape.step, 0.0, shape.model_pixels - 1.0)
    first = jnp.round(position).astype(jnp.int32) - shape.taps // 2
    first = jnp.clip(first, 0, shape.model_pixels - shape.taps)
    offset = (first - position)[:, None] + jnp.arange(shape.taps)
    x = (offset * (shape.step / sigma)[:, None]).astype(jnp.float32)
    weights = jnp.exp(-0.5 * x**2)
    return first, weights / weights.sum(axis=1, keepdims=True), x


def pseudo_level(
    shape: Geometry, star: StarData, native: Float[Array, "*row pixel"]
) -> Float[Array, "*row pixel"]:
    """Pseudo-continuum of model fluxes on a star's pixels; 0 for pixels without one."""
    reached = star.total > 0
    sums = smooth(shape, native * star.weight)
    return jnp.where(reached, sums / jnp.where(reached, star.total, 1.0), 0.0)


def kernel(
    shape: Geometry, star: StarData, velocity: Float[Array, ""], *, width: Float[Array, " arm"]
) -> tuple[Taps, Weights, Weights, Weights]:
    """(first tap, weights, d/dvelocity, d/dwidth) of one star.

    Weights: a normalised Gaussian with the variance of the data's LSF minus that of the model's.
    velocity : km/s, added to the star's vrad. width : [arm], factor on the data's LSF width.
    """
    beta = (star.vrad + velocity) / LIGHT_SPEED
    stretched = doppler(star.vrad + velocity)
    rest = shape.wave / stretched
    factor = width[shape.arm]
    data = factor * star.fwhm / FWHM_PER_SIGMA / stretched
    variance = jnp.maximum(
        data**2 - (shape.model_fwhm / FWHM_PER_SIGMA) ** 2, (NARROWEST * shape.step) ** 2
    )
    sigma = jnp.sqrt(variance)
    first, weights, x = gaussian_taps(shape, rest, sigma)
    by_position = weights * (x - (weights * x).sum(axis=1, keepdims=True))
    by_sigma = weights * (x**2 - (weights * x**2).sum(axis=1, keepdims=True))
    # d rest / d velocity = -rest / (c (1 - beta^2))
    shift = -rest / (LIGHT_SPEED * (1 - beta**2)) / sigma
    stretch = jnp.where(
        variance > (NARROWEST * shape.step) ** 2, data**2 / (factor * variance), 0.0
    )
    by_velocity = by_position * shift[:, None].astype(jnp.float32)
    by_width = by_sigma * stretch[:, None].astype(jnp.float32)
    return first, weights, by_velocity, by_width


def gather(
    rows: Float[Array, "row model_pixel"], first: Taps, weights: Weights
) -> Float[Array, "row pixel"]:
    """Model spectra on a star's pixels, with the taps of ``kernel``."""
    columns = rows.T
    total = jnp.zeros((first.shape[0], rows.shape[0]), rows.dtype)
    for tap in range(weights.shape[1]):
        total = total + columns[first + tap] * weights[:, tap, None]
    return total.T


def render(
    shape: Geometry, star: StarData, rows: Float[Array, "row model_pixel"], nuisances: Nuisances
) -> tuple[Float[Array, " pixel"], Float[Array, "derivative pixel"]]:
    """The normalised model of one star and its derivatives.

    Parameters
    ----------
    rows : [1 + label, model pixel] float32
        Model flux, then its gradient spectra.
    nuisances
        Values of this star's nuisances.

    Returns
    -------
    [pixel], [label + 1 + arm, pixel]
        Flux / pseudo-continuum; its derivatives by label, velocity (km/s) and LSF factors.
    """
    return normalised(shape, star, native_rows(shape, star, rows, nuisances=nuisances))


def native_rows(
    shape: Geometry, star: StarData, rows: Float[Array, "row model_pixel"], *, nuisances: Nuisances
) -> Float[Array, "derivative pixel"]:
    """[1 + label + 1 + arm, pixel]: flux and derivatives of ``render`` before normalisation."""
    velocity, width = nuisances
    first, weights, by_velocity, by_width = kernel(shape, star, velocity, width=width)
    native = gather(rows, first, weights)
    moved = gather(rows[:1], first, by_velocity)
    spread = gather(rows[:1], first, by_width)
    each = jnp.arange(len(shape.arms))[:, None] == shape.arm
    together = jnp.concatenate([native, moved, spread * each])
    every: Array = jax.lax.optimization_barrier(together)  # else gathered again for each use
    return every


def normalised(
    shape: Geometry,
    star: StarData,
    native: Float[Array, "derivative pixel"],
    *,
    level: Float[Array, "derivative pixel"] | None = None,
) -> tuple[Float[Array, " pixel"], Float[Array, "row pixel"]]:
    """Flux over pseudo-continuum, from row 0 of ``native``, and the derivatives of that.

    level : pseudo-continua of the rows, where they are known.
    """
    level = pseudo_level(shape, star, native) if level is None else level
    level = level.at[0].set(jnp.where(star.total > 0, level[0], 1.0))
    flux = native[0] / level[0]
    return flux, (native[1:] - flux * level[1:]) / level[0]


def star_data(
    shape: Geometry, spectrum: Spectrum, error: Float[Array, " model_pixel"]
) -> StarData:
    """Likelihood arrays of a batch, with the emulator's error added to the noise (paper: none).

    error : [model pixel], error spectrum of the emulator, evaluated at each star's input velocity.
    Masked pixels and pixels beyond the model have precision 0.
    """

    def one(star: tuple[Array, ...]) -> StarData:
        flux, ivar, weight, fwhm, vrad, err = star
        total = smooth(shape, weight)
        bare = StarData(flux, ivar, weight, total, fwhm, vrad, err)
        rest = shape.wave / doppler(vrad)
        inside = (rest > shape.first + 2 * shape.step) & (
            rest < shape.first + (shape.model_pixels - 3) * shape.step
        )
        first, weights, *_ = kernel(shape, bare, jnp.zeros(()), width=jnp.ones(len(shape.arms)))
        sigma = gather(error[None].astype(jnp.float32), first, weights)[0]
        good = (ivar > 0) & inside
        precision = jnp.where(good, 1 / (1 / jnp.where(good, ivar, 1.0) + sigma**2), 0.0)
        used = jnp.where(inside, weight, 0.0)
        total = smooth(shape, used)
        reached = total > _REACH * jnp.max(total)
        precision = jnp.where(reached, precision, 0.0)
        total = jnp.where(reached, total, 0.0)
        return StarData(jnp.where(good, flux, 0.0), precision, used, total, fwhm, vrad, err)

    parts = (
        spectrum.flux,
        spectrum.ivar,
        spectrum.weight,
        spectrum.fwhm,
        spectrum.vrad,
        spectrum.vrad_err,
    )
    # one star at a time, so that rounding does not depend on the size of the batch
    stars: StarData = jax.lax.map(one, tuple(map(jnp.asarray, parts)))
    return stars
