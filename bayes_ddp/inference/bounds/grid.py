"""Bounds of many stars, S/N, resolutions and windows at once.

The star's operator (Doppler shift, line spread, sampling) and its pseudo-continuum are linear in
the model flux, so they are applied once to the mean and the basis spectra of a low-rank emulator,
and kept where pixels are fitted. A star then costs products of its coefficients' gradient with
these, one division, and one information matrix for each S/N. Nothing is approximated beyond
float32 derivatives; sums over pixels are float64.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayes_ddp.emulator.network import BasisNetwork
from bayes_ddp.inference.bounds.design import Design, make_design
from bayes_ddp.inference.bounds.exposure import Exposure
from bayes_ddp.inference.bounds.fisher import precision
from bayes_ddp.inference.bounds.gradients import Terms, noise_of, prior_precision
from bayes_ddp.inference.forward import (
    Geometry,
    StarData,
    gather,
    kernel,
    normalised,
    pseudo_level,
)
from bayes_ddp.inference.likelihood import Noise, information
from bayes_ddp.spectra.instruments import Instrument

__all__ = ["Grid", "Projected", "bounds_grid", "project", "projected_bounds"]

_AT_ONCE = 16


class Projected(eqx.Module):
    """An emulator on the fitted pixels of one exposure, before normalisation, float32.

    star : of the exposure, its fitted pixels alone. arm : [pixel], index of the arm. rows :
    [1 + rank, 2 pixel], the mean spectrum and the basis, and behind each its pseudo-continuum.
    moved : the same for the derivative by velocity; spread : by the LSF width.
    """

    emulator: BasisNetwork
    shape: Geometry
    star: StarData
    arm: Int[Array, " pixel"]
    rows: Float[Array, "row twice"]
    moved: Float[Array, "row twice"]
    spread: Float[Array, "row twice"]


@dataclass(frozen=True, eq=False)
class Grid:
    """Marginal bounds of labels ``names``: [instrument, snr, star, label].

    snr, instruments, labels : the axes; labels [star label] in the order of ``all_names``.
    """

    names: tuple[str, ...]
    all_names: tuple[str, ...]
    instruments: tuple[str, ...]
    snr: np.ndarray
    labels: np.ndarray
    marginal: np.ndarray


@eqx.filter_jit
def project(
    emulator: BasisNetwork, exposure: Exposure, used: Int[np.ndarray | Array, " pixel"]
) -> Projected:
    """The emulator on the pixels ``used`` of an exposure of a star at rest."""
    shape, star = exposure.shape, exposure.star
    width = jnp.ones(len(shape.arms))
    first, *kernels = kernel(shape, star, jnp.zeros(()), width=width)
    mean, basis = jnp.asarray(emulator.mean)[None], jnp.asarray(emulator.basis)
    model = jnp.concatenate([mean, basis]).astype(jnp.float32)
    native = [gather(model, first, weights) for weights in kernels]
    pairs = [
        jnp.concatenate([one[:, used], pseudo_level(shape, star, one)[:, used]], axis=1)
        for one in native
    ]
    fitted = jax.tree.map(lambda x: x[used] if x.ndim else x, star)
    return Projected(emulator, shape, fitted, shape.arm[used], *pairs)


@eqx.filter_jit
def projected_bounds(
    found: Projected,
    labels: Float[Array, "star label"],
    precisions: Float[Array, "snr pixel"],
    *,
    prior: Float[Array, " free"],
    terms: Terms,
) -> Float[Array, "star snr free"]:
    """Marginal bounds of stars at several noise levels.

    precisions : inverse variances of the fitted pixels. prior : those of the labels' priors.
    """
    emulator, parameters, reached = found.emulator, terms.parameters, found.star.total > 0
    each = jnp.arange(len(found.shape.arms))[:, None] == jnp.tile(found.arm, 2)
    free = jnp.array([parameters.names.index(name) for name in parameters.free])
    fixed = prior_precision(found.star, terms).at[: terms.labels].add(prior)

    def native(star: Array) -> Array:
        value, slope = emulator.coefficients_and_gradient(star)
        own = jnp.concatenate([jnp.ones(1), value]).astype(jnp.float32)
        gradient = jnp.zeros((len(free), len(own)), own.dtype)
        gradient = gradient.at[:, 1:].set(slope.T[free].astype(own.dtype))
        parts = [jnp.concatenate([own[None], gradient]) @ found.rows]
        if parameters.velocity:
            parts.append(own[None] @ found.moved)
        if parameters.lsf_sd > 0:
            parts.append((own @ found.spread) * each)
        return jnp.concatenate(parts)

    def one(star: Array) -> Array:
        rows, level = jnp.split(native(star), 2, axis=1)
        if terms.pseudo_continuum:
            small = normalised(found.shape, found.star, rows, level=level)[1]
        else:
            small = rows[1:] / jnp.where(reached, level[0], 1.0)
        derivative = small.astype(jnp.float64)

        def at(weight: Array) -> Array:
            full = information(Noise(weight), derivative) + jnp.diag(fixed)
            return precision(full, labels=terms.labels).marginal

        return jax.vmap(at)(precisions)

    result: Array = jax.lax.map(one, labels, batch_size=_AT_ONCE)
    return result


def bounds_grid(
    labels: Mapping[str, np.ndarray | float],
    *,
    snr: Sequence[float] = (100.0,),
    instruments: Sequence[Instrument] = (),
    design: Design | None = None,
) -> Grid:
    """Bounds of many stars at several S/N on several instruments.

    Parameters
    ----------
    labels
        Label -> [star] or one number; Teff, log g and [Fe/H] are needed, others as in ``bounds``.
    snr
        Of the median pixel.
    instruments
        Instruments, also ``instrument.cut(low, high)`` and ``instrument.sharpened(factor)``: the
        axes of wavelength windows and resolution. By default that of ``design``.
    design
        Model and unknowns; its labels are not used. By default those of ``bounds``.

    Raises ValueError for labels outside the emulator's range, a model without a basis, and
    for continuum terms.
    """
    stars = _stars(labels)
    design = design or make_design({n: float(v[0]) for n, v in stars.items()})
    emulator = design.model
    if not isinstance(emulator, BasisNetwork):
        raise ValueError("Grids need an emulator with a basis, such as desi-physics.")
    count = len(next(iter(stars.values())))
    full = np.array(
        [
            make_design(
                {n: float(v[i]) for n, v in stars.items()},
                instrument=design.instrument,
                emulator=emulator,
                unknowns=design.unknowns,
            ).labels
            for i in range(count)
        ]
    )
    if design.unknowns.continuum:
        raise ValueError("Grids have no continuum terms: leave continuum out, or call bounds.")
    chosen = tuple(instruments) or (design.instrument,)
    marginal = np.full((len(chosen), len(snr), count, len(design.free)), np.nan)
    for i, instrument in enumerate(chosen):
        here = design.on(instrument)
        exposures = [here.exposure(float(value)) for value in snr]
        weights = np.stack([np.asarray(noise_of(one.star).precision) for one in exposures])
        used = np.flatnonzero(weights.any(axis=0))
        values = projected_bounds(
            project(emulator, exposures[-1], used),
            jnp.asarray(full),
            jnp.asarray(weights[:, used]),
            prior=jnp.asarray(design.label_precision()),
            terms=here.terms(tuple(name for name, _, _ in exposures[0].shape.arms)),
        )
        marginal[i] = np.moveaxis(np.asarray(values), 1, 0)
    names = tuple(one.name for one in chosen)
    return Grid(design.free, design.names, names, np.asarray(snr, float), full, marginal)


def _stars(labels: Mapping[str, np.ndarray | float]) -> dict[str, np.ndarray]:
    """Label -> [star], numbers repeated; ValueError for arrays of different lengths."""
    arrays = np.broadcast_arrays(*(np.atleast_1d(np.asarray(v, float)) for v in labels.values()))
    if not arrays or arrays[0].ndim != 1:
        raise ValueError("Labels of a grid are numbers or arrays with one value per star.")
    return dict(zip(labels, arrays, strict=True))
