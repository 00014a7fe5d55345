"""Bounds of many stars, S/N, resolutions and windows at once.

The star's operator (Doppler shift, line spread, sampling) is linear in the model flux, so it is
applied once to the mean and the basis spectra of a low-rank emulator. A star then costs products
of its coefficients' gradient with these, its own normalisation, and one information matrix for
each S/N. Nothing is approximated beyond float32 derivatives; sums over pixels are float64.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayes_ddp.emulator.network import BasisNetwork
from bayes_ddp.inference.bounds.design import Design, make_design
from bayes_ddp.inference.bounds.exposure import Exposure
from bayes_ddp.inference.bounds.fisher import precision
from bayes_ddp.inference.bounds.gradients import Terms, derivatives, noise_of, prior_precision
from bayes_ddp.inference.forward import gather, kernel
from bayes_ddp.inference.likelihood import Noise, information
from bayes_ddp.spectra.instruments import Instrument

__all__ = ["Grid", "Projected", "bounds_grid", "project", "projected_bounds"]

_AT_ONCE = 16


class Projected(eqx.Module):
    """An emulator on the pixels of one exposure, before normalisation.

    rows : [1 + rank, pixel] float32, the mean spectrum and the basis. moved : the same for the
    derivative by velocity; spread : by the LSF width.
    """

    emulator: BasisNetwork
    exposure: Exposure
    rows: Float[Array, "row pixel"]
    moved: Float[Array, "row pixel"]
    spread: Float[Array, "row pixel"]


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
def project(emulator: BasisNetwork, exposure: Exposure) -> Projected:
    """The emulator on the pixels of an exposure of a star at rest."""
    shape, star = exposure.shape, exposure.star
    width = jnp.ones(len(shape.arms))
    first, *kernels = kernel(shape, star, jnp.zeros(()), width=width)
    mean, basis = jnp.asarray(emulator.mean)[None], jnp.asarray(emulator.basis)
    model = jnp.concatenate([mean, basis]).astype(jnp.float32)
    rows, moved, spread = (gather(model, first, weights) for weights in kernels)
    return Projected(emulator, exposure, rows, moved, spread)


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

    precisions : inverse variances of the pixels. prior : inverse variances of labels' priors.
    """
    exposure, emulator = found.exposure, found.emulator
    shape, size = exposure.shape, len(exposure.shape.arms)
    each = jnp.arange(size)[:, None] == shape.arm
    fixed = prior_precision(exposure.star, terms).at[: terms.labels].add(prior)

    def native(star: Array) -> Array:
        value, slope = emulator.coefficients_and_gradient(star)
        own = jnp.concatenate([jnp.ones(1), value]).astype(jnp.float32)
        flux = own[None] @ found.rows
        gradient = slope.T.astype(jnp.float32) @ found.rows[1:]
        others = [own[None] @ found.moved, (own @ found.spread) * each]
        return jnp.concatenate([flux, gradient, *others])

    def one(star: Array) -> Array:
        derivative = derivatives(exposure, native(star), terms=terms)[1].astype(jnp.float64)

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

    Raises ValueError for labels outside the emulator's range, and for a model without a basis.
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
    chosen = tuple(instruments) or (design.instrument,)
    marginal = np.full((len(chosen), len(snr), count, len(design.free)), np.nan)
    for i, instrument in enumerate(chosen):
        here = design.on(instrument)
        exposures = [here.exposure(float(value)) for value in snr]
        values = projected_bounds(
            project(emulator, exposures[-1]),
            jnp.asarray(full),
            jnp.stack([noise_of(one.star).precision for one in exposures]),
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
