"""Derivatives of one star's pixels by labels and nuisances, and the matrices that follow.

Everything is float64. The derivatives are those of the fit (``forward.native_rows``); what a fit
does not have, polynomials of the continuum, is added here.
"""

from dataclasses import dataclass

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayes_ddp.emulator.network import BasisNetwork
from bayes_ddp.inference.bounds.exposure import Exposure, Model
from bayes_ddp.inference.forward import StarData, native_rows, normalised, pseudo_level, smooth
from bayes_ddp.inference.likelihood import Noise, information
from bayes_ddp.inference.parameters import Nuisances, Parameters

__all__ = [
    "Matrices",
    "Terms",
    "derivatives",
    "jacobian",
    "matrices",
    "model_rows",
    "noise_of",
    "prior_precision",
]


@dataclass(frozen=True)
class Terms:
    """What is unknown beside the labels; static under ``jit``.

    parameters : labels, and velocity and LSF factors with the priors of a fit. continuum : number
    of Legendre terms, from degree 0 on, by which the flux of each arm is multiplied; they have no
    prior. pseudo_continuum : whether star and model are divided by their own pseudo-continuum;
    otherwise the continuum is known up to the terms.
    """

    parameters: Parameters
    continuum: int = 0
    pseudo_continuum: bool = True

    @property
    def labels(self) -> int:
        """Number of labels that are unknown."""
        return self.parameters.labels

    @property
    def nuisances(self) -> tuple[tuple[str, str], ...]:
        """(name, prior) of every nuisance, in words."""
        rows = []
        if self.parameters.velocity:
            rows.append(("velocity", "Gaussian, the catalogue's error"))
        if self.parameters.lsf_sd > 0:
            rows.append(("LSF width per arm", f"Gaussian, {self.parameters.lsf_sd:g} relative"))
        if self.continuum:
            rows.append((f"continuum per arm, {self.continuum} terms", "none"))
        if self.pseudo_continuum:
            rows.append(("pseudo-continuum of the spectrum itself", "operator"))
        return tuple(rows)


class Matrices(eqx.Module):
    """Matrices of one star, [parameter, parameter].

    information : J W J' with the inverse variances of the nuisances' priors. spread : covariance
    of the gradient of the fit's cost where the noise is that of self-normalised pixels. repeats :
    the same of the noise alone, without the model's error, as it scatters between repeats.
    """

    information: Float[Array, "parameter parameter"]
    spread: Float[Array, "parameter parameter"]
    repeats: Float[Array, "parameter parameter"]


def model_rows(
    model: Model, labels: Float[Array | np.ndarray, " label"]
) -> Float[Array, "row model_pixel"]:
    """[1 + label, model pixel] float64: flux, then its derivative by each label."""
    if not isinstance(model, BasisNetwork):
        return model.flux_and_gradient(labels).astype(jnp.float64)
    value, slope = model.coefficients_and_gradient(jnp.asarray(labels, jnp.float64))
    rows = jnp.concatenate([value[None, :], slope.T]) @ jnp.asarray(model.basis, jnp.float64)
    return rows.at[0].add(jnp.asarray(model.mean, jnp.float64))


def noise_of(star: StarData) -> Noise:
    """The noise that a fit takes, in float64."""
    return Noise(star.precision.astype(jnp.float64))


def jacobian(
    exposure: Exposure,
    rows: Float[Array, "row model_pixel"],
    nuisances: Nuisances | None = None,
    *,
    terms: Terms,
) -> tuple[Float[Array, " pixel"], Float[Array, "parameter pixel"]]:
    """(normalised flux [pixel], its derivatives [parameter, pixel]).

    rows : from ``model_rows``. nuisances : velocity 0 and LSF factors 1 by default.
    """
    shape, star = exposure.shape, exposure.star
    if nuisances is None:
        nuisances = Nuisances(jnp.zeros(()), jnp.ones(len(shape.arms)))
    native = native_rows(shape, star, rows, nuisances=nuisances)
    return derivatives(exposure, native, terms=terms)


def derivatives(
    exposure: Exposure, native: Float[Array, "row pixel"], *, terms: Terms
) -> tuple[Float[Array, " pixel"], Float[Array, "parameter pixel"]]:
    """``jacobian`` from the rows of ``forward.native_rows``."""
    star, number = exposure.star, len(native) - 1
    if terms.continuum:
        shapes = jnp.asarray(_polynomials(exposure, terms.continuum), native.dtype)
        native = jnp.concatenate([native, native[0] * shapes])
    chosen = [*terms.parameters.derivative_rows(), *range(number, len(native) - 1)]
    if terms.pseudo_continuum:
        flux, derivative = normalised(exposure.shape, star, native)
    else:
        level = pseudo_level(exposure.shape, star, native[:1])[0]
        level = jnp.where(star.total > 0, level, 1.0)
        flux, derivative = native[0] / level, native[1:] / level
    return flux, derivative[jnp.array(chosen)]


def _polynomials(exposure: Exposure, number: int) -> Float[np.ndarray, "term pixel"]:
    """Legendre polynomials of each arm, 0 outside it."""
    rows = []
    for _, first, last in exposure.shape.arms:
        x = np.linspace(-1.0, 1.0, last - first)
        part = np.polynomial.legendre.legvander(x, number - 1).T
        full = np.zeros((number, exposure.shape.arms[-1][2]))
        full[:, first:last] = part
        rows.append(full)
    return np.concatenate(rows)


def prior_precision(star: StarData, terms: Terms) -> Float[Array, " parameter"]:
    """[parameter], inverse prior variances; 0 for labels and for the continuum."""
    own = terms.parameters.nuisance_precision(star)
    more = terms.continuum * len(terms.parameters.arms)
    return jnp.concatenate([jnp.zeros(terms.labels), own, jnp.zeros(more)])


@eqx.filter_jit
def matrices(
    exposure: Exposure,
    rows: Float[Array, "row model_pixel"],
    nuisances: Nuisances | None = None,
    *,
    terms: Terms,
) -> Matrices:
    """The matrices of one star; arguments as ``jacobian``."""
    star, noise = exposure.star, noise_of(exposure.star)
    flux, derivative = jacobian(exposure, rows, nuisances, terms=terms)
    prior = jnp.diag(prior_precision(star, terms))
    pull = noise.weigh(derivative)
    seen = _unnormalised(exposure, flux, pull) if terms.pseudo_continuum else pull
    repeats = (seen * exposure.variance) @ seen.T
    fitted = noise.precision > 0
    total = jnp.where(fitted, 1 / jnp.where(fitted, noise.precision, 1.0), 0.0)
    model = jnp.where(fitted, jnp.maximum(total - exposure.variance, 0.0), 0.0)
    return Matrices(
        information=information(noise, derivative) + prior,
        spread=repeats + (pull * model) @ pull.T + prior,
        repeats=repeats + prior,
    )


def _unnormalised(
    exposure: Exposure, flux: Float[Array, " pixel"], pull: Float[Array, "parameter pixel"]
) -> Float[Array, "parameter pixel"]:
    """``pull A``, with A the derivative of normalised pixels by the pixels before.

    Noise e of the pixels, in units of their pseudo-continuum c, changes the normalised flux f by
    ``e - f S(c e) / c``, where S is the running mean with the weights w of the pseudo-continuum;
    its transpose is what is applied here. The levels c cancel but for their change within one
    kernel, which the broad level that ``prepare`` divides out makes small.
    """
    shape, star = exposure.shape, exposure.star
    reached = star.total > 0
    share = jnp.where(reached, flux / jnp.where(reached, star.total, 1.0), 0.0)
    return pull - star.weight * smooth(shape, pull * share)
