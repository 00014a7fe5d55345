"""The Posterior of a batch is allocated and then filled star by star by a sampler."""

from dataclasses import replace

import numpy as np

from bayes_ddp.inference.posterior import Posterior, blank
from bayes_ddp.inference.target import Described

__all__ = ["with_room", "write_star"]


def with_room(
    laplace: Posterior, number: int, diagnostics: tuple[str, ...], *, chains: int = 1
) -> Posterior:
    """A copy of the Laplace posterior with ``number`` draws per star and ``diagnostics``.

    Draws are NaN until ``write_star`` replaces them.
    """
    room = blank(laplace.names, laplace.ids, laplace.arms, number=number, diagnostics=diagnostics)
    kept = {name: getattr(laplace, name) for name in ("mode", "prior_mean", "prior_covariance")}
    kept |= {name: getattr(laplace, name) for name in ("chi2", "pixels", "rejected", "warn")}
    return replace(room, chains=chains, **kept)


def write_star(result: Posterior, star: int, described: Described, *, weight: np.ndarray) -> None:
    """Write the draws of one star and their moments into row ``star`` of ``result``, in place.

    weight : [draw], sum 1. If ``result`` has more draws, the others get weight 0.
    """
    count = len(weight)
    labels, velocity, lsf = (np.asarray(part) for part in (described.labels, *described.nuisances))
    result.draws[:count, star], result.draws[count:, star] = labels, labels[0]
    for name, values in zip(result.nuisances, (velocity, *lsf.T), strict=True):
        result.nuisances[name][:count, star] = values
        result.nuisances[name][count:, star] = values[0]
    with np.errstate(divide="ignore"):
        result.log_weight[:count, star] = np.log(weight)
    result.log_weight[count:, star] = -np.inf
    result.log_prior[:count, star] = described.log_prior
    absolute = np.asarray(described.log_likelihood) - 0.5 * result.chi2[star]
    result.log_likelihood[:count, star] = absolute
    for values in (result.log_prior, result.log_likelihood):
        values[count:, star] = values[0, star]
    result.mean[star] = weight @ labels
    away = labels - result.mean[star]
    result.covariance[star] = (away.T * weight) @ away
    centre = weight @ velocity
    result.velocity[star] = centre, np.sqrt(weight @ (velocity - centre) ** 2)
    result.lsf[star] = weight @ lsf
