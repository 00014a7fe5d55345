"""Cramér-Rao bounds from Fisher information: marginal, conditional, and with correlated noise.

Parameters are the labels, then the nuisances. The bound of a label is that of an unbiased
estimator that fits all parameters (marginal) or the label and the nuisances alone (conditional).

A direction in parameter space without information makes the matrix singular. Nothing is added to
the matrix and no eigenvalue is raised. The bound of a label exists if the label is an estimable
function, that is if no direction without information contains it; the generalised inverse then
gives its variance, whatever the other labels are (Rao 1973, Linear Statistical Inference, section
4a). All other labels have NaN.

Directions are found in parameters scaled to unit information each, so that units do not matter.

Sources: Rao (1945); Cramér (1946); Sandford et al. (2020), arXiv:2006.08640, section 2; White
(1982), Econometrica 50, 1, for the sandwich.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

__all__ = [
    "Precision",
    "free_groups",
    "generalised_inverse",
    "marginalised",
    "precision",
    "sandwich",
]

RCOND = 1e-12
"""Largest eigenvalue, relative to the largest of the scaled matrix, that counts as 0: a marginal
bound a million times the conditional one. Rounding in float64 leaves 1e-15."""


class Precision(NamedTuple):
    """How precise labels can be, in units of the labels.

    covariance : [label label], the bound of all labels together, marginalised over nuisances.
    marginal, conditional : [label], standard deviations where all other labels are unknown, and
        where they are known; nuisances are unknown in both.
    free : [label label], projector on the scaled directions without information.
    """

    covariance: Float[Array, "label label"]
    marginal: Float[Array, " label"]
    conditional: Float[Array, " label"]
    free: Float[Array, "label label"]


class _Inverse(NamedTuple):
    """Generalised inverse of a matrix, and the projector on its scaled null space."""

    inverse: Float[Array, "parameter parameter"]
    null: Float[Array, "parameter parameter"]


def _units(information: Float[Array, "parameter parameter"]) -> Float[Array, " parameter"]:
    """Root of the information of each parameter; 1 for a parameter without any."""
    diagonal = jnp.diagonal(information)
    return jnp.sqrt(jnp.where(diagonal > 0, diagonal, 1.0))


def _invert(information: Float[Array, "parameter parameter"]) -> _Inverse:
    unit = _units(information)
    scale = jnp.outer(unit, unit)
    value, vector = jnp.linalg.eigh(information / scale)
    known = value > RCOND * jnp.max(value)
    weight = jnp.where(known, 1 / jnp.where(known, value, 1.0), 0.0)
    inverse = (vector * weight) @ vector.T / scale
    return _Inverse(inverse, (vector * ~known) @ vector.T)


def _estimable(null: Float[Array, "parameter parameter"]) -> Array:
    """[parameter] bool; false where a null direction contains the parameter.

    The limit is the component with which a direction at ``RCOND`` would add the conditional
    variance once more.
    """
    keep: Array = jnp.diagonal(null) <= RCOND
    return keep


def _hide(covariance: Float[Array, "label label"], keep: Array) -> Float[Array, "label label"]:
    return jnp.where(keep[:, None] & keep[None, :], covariance, jnp.nan)


def generalised_inverse(
    information: Float[Array, "parameter parameter"],
) -> Float[Array, "parameter parameter"]:
    """The covariance of estimable functions; directions without information are left out."""
    return _invert(information).inverse


def marginalised(
    information: Float[Array, "parameter parameter"], *, labels: int
) -> Float[Array, "label label"]:
    """Information of the first ``labels`` parameters where the others are unknown.

    The Schur complement; for nuisances with a null direction with their generalised inverse.
    """
    if information.shape[0] == labels:
        return information
    own, cross = information[:labels, :labels], information[:labels, labels:]
    return own - cross @ _invert(information[labels:, labels:]).inverse @ cross.T


def precision(information: Float[Array, "parameter parameter"], *, labels: int) -> Precision:
    """Bounds of the first ``labels`` parameters.

    Parameters
    ----------
    information : [parameter, parameter], 1 / (unit_i unit_j), float64
        Symmetric and positive semi-definite: ``likelihood.information``, plus the inverse prior
        variances of nuisances that have a prior.
    labels
        Number of labels; they come first.

    Examples
    --------
    >>> found = precision(jnp.diag(jnp.array([4.0, 25.0])), labels=2)
    >>> found.marginal.tolist()
    [0.5, 0.2]
    """
    inverse, null = _invert(information)
    keep = _estimable(null)[:labels]
    covariance = _hide(inverse[:labels, :labels], keep)
    alone = jnp.diagonal(marginalised(information, labels=labels))
    unit = _units(information)[:labels]
    # a label that a nuisance imitates has the rounding error of the difference
    known = alone > RCOND * unit**2
    conditional = jnp.where(known, 1 / jnp.sqrt(jnp.where(known, alone, 1.0)), jnp.nan)
    return Precision(
        covariance, jnp.sqrt(jnp.diagonal(covariance)), conditional, null[:labels, :labels]
    )


def sandwich(
    curvature: Float[Array, "parameter parameter"],
    spread: Float[Array, "parameter parameter"],
    *,
    labels: int,
) -> Float[Array, "label label"]:
    """[label, label] covariance of the estimator whose weights are not the inverse noise.

    Parameters
    ----------
    curvature : [parameter, parameter]
        H = J W J', and inverse prior variances, of the weights W that the fit takes.
    spread : [parameter, parameter]
        Covariance of the gradient of the fit's cost, J W C W J', with the true covariance C of
        the pixels, and the same inverse prior variances.

    ``H^-1 spread H^-1``; NaN as in ``precision``. It equals the bound where W is C^-1.
    """
    inverse, null = _invert(curvature)
    covariance = (inverse @ spread @ inverse)[:labels, :labels]
    return _hide(covariance, _estimable(null)[:labels])


def free_groups(free: np.ndarray, names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Groups of labels that directions without information link, e.g. [("c_fe", "n_fe")].

    free : [label, label], from ``precision``. A label that no data constrain by itself is a group
    of one. A label whose direction leads to nuisances alone is one too.
    """
    left = [i for i in range(len(names)) if free[i, i] > RCOND]
    groups: list[tuple[str, ...]] = []
    while left:
        group, ahead = [], [left.pop(0)]
        while ahead:
            one = ahead.pop()
            group.append(one)
            linked = [i for i in left if abs(free[one, i]) > np.sqrt(RCOND)]
            left = [i for i in left if i not in linked]
            ahead += linked
        groups.append(tuple(names[i] for i in sorted(group)))
    return groups
