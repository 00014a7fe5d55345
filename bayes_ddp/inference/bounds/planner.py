"""Questions of a survey planner: S/N and resolution that a precision needs, and what arms buy.

Bounds at many S/N share one set of derivatives; only the weights of the pixels change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bayes_ddp.inference.bounds.design import Design
from bayes_ddp.inference.bounds.exposure import Exposure, sharp_enough
from bayes_ddp.inference.bounds.fisher import precision
from bayes_ddp.inference.bounds.gradients import (
    Terms,
    jacobian,
    model_rows,
    noise_of,
    prior_precision,
)
from bayes_ddp.inference.bounds.star import bounds_at
from bayes_ddp.inference.likelihood import Noise, information

__all__ = ["Curve", "against_resolution", "against_snr", "snr_needed"]

SNR_GRID = np.geomspace(3.0, 1000.0, 31)


@dataclass(frozen=True, eq=False)
class Curve:
    """Marginal bounds [point label] along ``x`` [point], of labels ``names``."""

    names: tuple[str, ...]
    x: np.ndarray
    marginal: np.ndarray


def against_snr(design: Design, snr: Sequence[float] | np.ndarray = SNR_GRID) -> Curve:
    """Bounds at several S/N of the median pixel."""
    exposures = [design.exposure(float(value)) for value in snr]
    terms = design.terms(tuple(name for name, _, _ in exposures[0].shape.arms))
    weights = jnp.stack([noise_of(one.star).precision for one in exposures])
    priors = jnp.asarray(design.label_precision())
    rows = model_rows(design.model, design.labels)
    marginal = _at_weights(exposures[-1], rows, weights, priors=priors, terms=terms)
    return Curve(design.free, np.asarray(snr, float), np.asarray(marginal))


@eqx.filter_jit
def _at_weights(
    exposure: Exposure, rows: Array, weights: Array, *, priors: Array, terms: Terms
) -> Array:
    """[snr label]; weights [snr pixel]."""
    _, derivative = jacobian(exposure, rows, terms=terms)
    prior = prior_precision(exposure.star, terms).at[: terms.labels].add(priors)

    def one(weight: Array) -> Array:
        found = information(Noise(weight), derivative) + jnp.diag(prior)
        return precision(found, labels=terms.labels).marginal

    result: Array = jax.lax.map(one, weights)
    return result


def snr_needed(curve: Curve, target: float | Mapping[str, float]) -> dict[str, float]:
    """Label -> S/N at which its bound is ``target``, in the unit of the label.

    target : one number for all abundances and [Fe/H], log g and vmic, or label -> number. NaN
    where the bound stays above it at the largest S/N, the smallest S/N where it is below
    throughout. The curve is interpolated in logarithms.
    """
    wanted = dict(target) if isinstance(target, Mapping) else _for_all(curve.names, target)
    result = {}
    for name, value in wanted.items():
        bound = curve.marginal[:, curve.names.index(name)]
        if not np.isfinite(bound).all() or bound.min() > value:
            result[name] = np.nan
        else:
            result[name] = float(
                np.exp(np.interp(np.log(value), np.log(bound[::-1]), np.log(curve.x[::-1])))
            )
    return result


def _for_all(names: Sequence[str], target: float) -> dict[str, float]:
    """The target of every label; 1 dex of abundance stands for 1000 K."""
    return {name: target * (1000.0 if name == "teff" else 1.0) for name in names}


def against_resolution(design: Design, snr: float, factors: Sequence[float]) -> Curve:
    """Bounds of one exposure time at other resolutions; x is the median wave / FWHM.

    The photons per Å and the pixels per FWHM stay as they are, so that S/N per pixel falls with
    the root of the resolution. Factors at which the instrument is sharper than the model are left
    out; raises ValueError where none is left.
    """
    x, marginal = [], []
    for factor in sorted(factors):
        instrument = design.instrument.sharpened(factor)
        if sharp_enough(instrument, design.model):
            x.append(instrument.resolution)
            marginal.append(bounds_at(design.on(instrument), snr).marginal)
    if not x:
        raise ValueError(
            f"At every one of the factors {list(factors)} {design.instrument.title} is sharper "
            f"than the model ({design.source}, FWHM {design.model.fwhm:.2f} Å)."
        )
    return Curve(design.free, np.array(x), np.array(marginal))
