"""How far labels scatter when neighbouring pixels are wrong together: the robust covariance.

A fit takes the errors of its pixels as independent. Where a model does not match a star, the
residuals of neighbouring pixels have a common cause, and labels scatter by more than the fit
states. The cluster-robust ("sandwich") covariance measures it from one spectrum. With the gradient
``g_b`` and the information ``H_b`` of a block of wavelengths, ``P`` the precision of the prior and
``H = P + sum_b H_b``, it is

    sum_b t_b t_b',    t_b = H^-1/2 R^-1 (1 - N_b)^-1/2 R H^-1/2 g_b,

    N_b = R H^-1/2 H_b H^-1/2 R,    R^2 = 1 + H^-1/2 P H^-1/2

for errors that are independent between blocks. The factor with ``N_b`` corrects for the residuals
being smaller than the errors, since the fit follows them: for ``P = 0`` it is that of the
estimator called CR2. Where errors are independent between all pixels, and of the size that the fit
assumes, its expectation is the variance that the fit itself states for the data,
``H^-1 - H^-1 P H^-1``.

A difference between model and star that looks like a change of a label leaves no residual and is
not seen.

Source: Liang & Zeger (1986), Biometrika 73, 13; Bell & McCaffrey (2002), Survey Methodology 28,
169.
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bayes_ddp.inference.forward import StarData, render
from bayes_ddp.inference.parameters import Nuisances
from bayes_ddp.inference.problem import Problem

__all__ = ["BLOCK", "Variances", "label_variances", "robust_variances"]

BLOCK = 100.0
"""Å, length of a block: several times the pseudo-continuum's 20 Å and the widths of lines."""

_LEAST = 10


class Variances(NamedTuple):
    """Variances of parameters: robust, and as the fit states them for independent pixels."""

    robust: np.ndarray
    stated: np.ndarray


def robust_variances(
    jacobian: np.ndarray,
    weight: np.ndarray,
    residual: np.ndarray,
    *,
    block: np.ndarray,
    prior: np.ndarray,
) -> Variances:
    """Both variances [parameter] of a least-squares fit, at its solution.

    Parameters
    ----------
    jacobian : [parameter pixel]
        Derivatives of the model.
    weight, residual : [pixel]
        Inverse variance, 0 where masked; data minus model.
    block : [pixel] int
        Number of the block of each pixel.
    prior : [parameter parameter]
        Precision of the prior.

    NaN where fewer than ten blocks have pixels.
    """
    used = np.unique(block[weight > 0])
    if len(used) < _LEAST:
        unknown = np.full(len(prior), np.nan)
        return Variances(unknown, unknown)
    score, information = np.zeros((len(used), len(prior))), np.zeros((len(used), *prior.shape))
    for i, number in enumerate(used):
        inside = block == number
        rows = jacobian[:, inside] * weight[inside]
        score[i], information[i] = rows @ residual[inside], rows @ jacobian[:, inside].T
    whole = prior + information.sum(axis=0)
    unit = np.sqrt(np.diag(whole))  # kelvin and dex differ by 1e4
    root = _power(whole / np.outer(unit, unit), -0.5) / unit
    shrink = root @ prior @ root.T
    stretch = _power(np.eye(len(prior)) + shrink, 0.5)
    left = stretch @ root
    share, turn = np.linalg.eigh(left @ information @ left.T)
    seen = np.einsum("bji,bj->bi", turn, score @ left.T)
    corrected = seen / np.sqrt(np.maximum(1 - share, 1e-6))
    moves = np.einsum("bij,bj->bi", turn, corrected) @ np.linalg.solve(stretch, root)
    stated = np.diag(root.T @ (np.eye(len(prior)) - shrink) @ root)
    return Variances(np.sum(moves**2, axis=0), stated)


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    """A power of a symmetric positive definite matrix."""
    value, vector = np.linalg.eigh(matrix)
    result: np.ndarray = (vector * value**exponent) @ vector.T
    return result


@eqx.filter_jit
def _model(
    problem: Problem, star: StarData, *, labels: Array, nuisances: Nuisances
) -> tuple[Array, Array, Array]:
    """Flux [pixel], derivatives [parameter pixel] and prior precisions [nuisance] of one star."""
    rows = problem.emulator.flux_and_gradient(labels)
    flux, by_row = render(problem.shape, star, rows, nuisances)
    chosen = jnp.array(problem.parameters.derivative_rows())
    return flux, by_row[chosen], problem.parameters.nuisance_precision(star)


def label_variances(
    problem: Problem,
    star: StarData,
    *,
    labels: np.ndarray,
    nuisances: Nuisances,
    prior_covariance: np.ndarray,
) -> Variances:
    """Both variances [label] of the labels of one star, NaN for labels that were held fixed.

    Parameters
    ----------
    problem, star
        As for a fit; the star has no leading axis.
    labels : [label]
        Of the best fit.
    nuisances
        Of the best fit.
    prior_covariance : [label label]
        Of the prior at the star's labels.
    """
    given = _model(problem, star, labels=jnp.asarray(labels), nuisances=nuisances)
    flux, jacobian, tightness = (np.asarray(values, float) for values in given)
    parameters = problem.parameters
    free = [parameters.names.index(name) for name in parameters.free]
    prior = np.diag(np.concatenate([np.zeros(len(free)), tightness]))
    prior[: len(free), : len(free)] = np.linalg.inv(prior_covariance[np.ix_(free, free)])
    weight = np.asarray(star.precision, float)
    wave, arm = np.asarray(problem.shape.wave, float), np.asarray(problem.shape.arm)
    block = ((wave - wave.min()) // BLOCK).astype(int) * (arm.max() + 1) + arm
    residual = np.where(weight > 0, np.asarray(star.flux, float) - flux, 0.0)
    found = robust_variances(jacobian, weight, residual, block=block, prior=prior)
    result = np.full((2, len(parameters.names)), np.nan)
    result[:, free] = [values[: len(free)] for values in found]
    return Variances(*result)
