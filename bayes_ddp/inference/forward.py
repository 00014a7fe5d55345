"""The model brought to the data: Doppler shift, line spread, sampling, pseudo-continuum.

The data keep their native pixels. Each star has its own linear operator, a dozen taps a pixel,
that takes a rest-frame model on the emulator's grid to that star's pixels; the star's own
pseudo-continuum operator (same 0/1 weights as on the data) then normalises the result. Everything
is linear in the model flux but one division, so derivatives are carried along exactly.

Pixel arrays are float32; ``StarModel`` keeps them accurate by working with the change from a
reference: the change of the flux ratio ``n / c`` is ``(dn - m dc) / (c + dc)``, with no
cancellation.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayes_ddp.emulator.network import BasisNetwork, PixelNetwork
from bayes_ddp.inference.likelihood import Noise
from bayes_ddp.inference.parameters import Nuisances
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
    "render",
    "star_data",
    "taps_needed",
]

_NARROWEST = 0.35
_REACH = 1e-3
"""Least weight, of the arm's most, with which a pseudo-continuum is formed in a gap."""


Taps = Int[Array, " pixel"]
"""First model pixel under the LSF of each pixel."""
Weights = Float[Array, "pixel tap"]


class Pixels(NamedTuple):
    """The pixels that all spectra of a problem share; a ``Spectrum`` has the same fields.

    wave : [pixel] Å vacuum, barycentric. arms : (name, first pixel, past the last pixel).
    """

    wave: np.ndarray
    arms: tuple[tuple[str, int, int], ...]
    survey: str


class Geometry(eqx.Module):
    """What all stars of one run share: the data's pixels, the model's grid, the smoothers.

    wave : [pixel] Å, observed. arm : [pixel] index of the arm. taps : model pixels under one LSF.
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
    """One star's pixels; batches carry a leading star axis.

    flux, precision : [pixel], normalised flux and 1 / variance, 0 where masked. weight, total :
    [pixel], 0/1 weight in the pseudo-continuum, and its sums, 0 where too little is in reach.
    fwhm : [pixel] Å. vrad, vrad_err : km/s.
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
        """The noise of the pixels as the likelihood takes it."""
        return Noise(self.precision)


def doppler(vrad: Float[Array, "*any"]) -> Float[Array, "*any"]:
    """Observed over rest wavelength, relativistic; any shape, km/s. ``doppler_factor`` in JAX."""
    beta = vrad / LIGHT_SPEED
    return jnp.sqrt((1 + beta) / (1 - beta))


def narrowest_fwhm(emulator: BasisNetwork | PixelNetwork) -> float:
    """FWHM, Å, of the narrowest LSF of data that a model can be broadened to."""
    step = float(emulator.wave[1] - emulator.wave[0])
    return float(np.hypot(emulator.fwhm, FWHM_PER_SIGMA * _NARROWEST * step))


def taps_needed(fwhm: np.ndarray, emulator: BasisNetwork | PixelNetwork) -> int:
    """Model pixels that four and a half widths of the broadest LSF cover, an odd number.

    Raises ValueError where the data are as sharp as the model: a model cannot be sharpened.
    """
    sharpest, broadest = float(np.min(fwhm)), float(np.max(fwhm))
    step = float(emulator.wave[1] - emulator.wave[0])
    if sharpest < narrowest_fwhm(emulator):
        raise ValueError(
            f"The data's LSF is {sharpest:.2f} Å wide (FWHM) and the model's {emulator.fwhm:.2f} "
            "Å: the model must be sharper. Take a model made for this survey."
        )
    sigma = np.sqrt((1.15 * broadest) ** 2 - emulator.fwhm**2) / FWHM_PER_SIGMA
    return 2 * int(np.ceil(4.5 * sigma / step)) + 1


def geometry(
    pixels: Pixels | Spectrum, emulator: BasisNetwork | PixelNetwork, *, taps: int
) -> Geometry:
    """The fixed geometry of a run; raises ValueError where the model covers none of the data."""
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
    """Sums over each pixel's neighbourhood (not means), each arm by its own smoother."""
    parts = [
        smoother(values[..., a:b])
        for smoother, (_, a, b) in zip(shape.smoothers, shape.arms, strict=True)
    ]
    return jnp.concatenate(parts, axis=-1)


def gaussian_taps(
    shape: Geometry, rest: Float[Array, " point"], sigma: Float[Array, " point"]
) -> tuple[Int[Array, " point"], Float[Array, "point tap"], Float[Array, "point tap"]]:
    """(first tap, weights, distance in sigma) for rest wavelengths.

    rest, sigma : Å. Weights sum to one.
    """
    # pixels beyond the model are not fitted, but far from every tap their weights would be 0 / 0
    place = jnp.clip((rest - shape.first) / shape.step, 0.0, shape.model_pixels - 1.0)
    first = jnp.round(place).astype(jnp.int32) - shape.taps // 2
    first = jnp.clip(first, 0, shape.model_pixels - shape.taps)
    offset = (first - place)[:, None] + jnp.arange(shape.taps)
    x = (offset * (shape.step / sigma)[:, None]).astype(jnp.float32)
    weights = jnp.exp(-0.5 * x**2)
    return first, weights / weights.sum(axis=1, keepdims=True), x


def pseudo_level(
    shape: Geometry, star: StarData, native: Float[Array, "*row pixel"]
) -> Float[Array, "*row pixel"]:
    """Pseudo-continuum of model fluxes on a star's pixels; 0 where none is formed."""
    reached = star.total > 0
    sums = smooth(shape, native * star.weight)
    return jnp.where(reached, sums / jnp.where(reached, star.total, 1.0), 0.0)


def kernel(
    shape: Geometry, star: StarData, velocity: Float[Array, ""], *, width: Float[Array, " arm"]
) -> tuple[Taps, Weights, Weights, Weights]:
    """(first tap, weights, d/dvelocity, d/dwidth) of one star.

    Weights are a Gaussian with what the data's LSF has beyond the model's, normalised to one.
    velocity : km/s, beyond the star's vrad. width : factor on the data's LSF.
    """
    beta = (star.vrad + velocity) / LIGHT_SPEED
    stretched = doppler(star.vrad + velocity)
    rest = shape.wave / stretched
    factor = width[shape.arm]
    data = factor * star.fwhm / FWHM_PER_SIGMA / stretched
    variance = jnp.maximum(
        data**2 - (shape.model_fwhm / FWHM_PER_SIGMA) ** 2, (_NARROWEST * shape.step) ** 2
    )
    sigma = jnp.sqrt(variance)
    first, weights, x = gaussian_taps(shape, rest, sigma)
    by_place = weights * (x - (weights * x).sum(axis=1, keepdims=True))
    by_sigma = weights * (x**2 - (weights * x**2).sum(axis=1, keepdims=True))
    # d rest / d velocity = -rest / (c (1 - beta^2))
    shift = -rest / (LIGHT_SPEED * (1 - beta**2)) / sigma
    stretch = jnp.where(
        variance > (_NARROWEST * shape.step) ** 2, data**2 / (factor * variance), 0.0
    )
    by_velocity = by_place * shift[:, None].astype(jnp.float32)
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
        Flux over pseudo-continuum; its derivatives by label, velocity and LSF factors.
    """
    velocity, width = nuisances
    first, weights, by_velocity, by_width = kernel(shape, star, velocity, width=width)
    native = gather(rows, first, weights)
    moved = gather(rows[:1], first, by_velocity)
    spread = gather(rows[:1], first, by_width)
    each = jnp.arange(len(shape.arms))[:, None] == shape.arm
    native = jnp.concatenate([native, moved, spread * each])
    native = jax.lax.optimization_barrier(native)  # else gathered again for each use
    level = pseudo_level(shape, star, native)
    level = level.at[0].set(jnp.where(star.total > 0, level[0], 1.0))
    flux = native[0] / level[0]
    return flux, (native[1:] - flux * level[1:]) / level[0]


def star_data(
    shape: Geometry, spectrum: Spectrum, error: Float[Array, " model_pixel"]
) -> StarData:
    """Likelihood arrays of a batch: the emulator's error is added to the noise (paper: none).

    error : the emulator's error spectrum, taken at each star's catalogue velocity.
    Masked pixels get precision 0, and so do pixels that the model does not reach.
    """

    def one(star: tuple[Array, ...]) -> StarData:
        flux, ivar, weight, fwhm, vrad, err = star
        total = smooth(shape, weight)
        bare = StarData(flux, ivar, weight, total, fwhm, vrad, err)
        place = shape.wave / doppler(vrad)
        inside = (place > shape.first + 2 * shape.step) & (
            place < shape.first + (shape.model_pixels - 3) * shape.step
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
    # one by one, so that a star's pixels are rounded the same in batches of every size
    stars: StarData = jax.lax.map(one, tuple(map(jnp.asarray, parts)))
    return stars
