"""The sampler ``exact``: the exact posterior by importance sampling or Markov chains.

The likelihood is compressed at the best fit, so that thousands of draws take milliseconds. For an
emulator without a basis every draw is evaluated on all pixels.
"""

from typing import Annotated, ClassVar, Literal

import jax
import numpy as np
from jaxtyping import Array
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from bayes_ddp.inference.diagnostics import chain_diagnostics
from bayes_ddp.inference.forward import StarData
from bayes_ddp.inference.hmc import CHAINS, nested_rhat
from bayes_ddp.inference.importance import DRAWS, Drawn, Gaussian, draw
from bayes_ddp.inference.laplace import summarise
from bayes_ddp.inference.likelihood import whitening_root
from bayes_ddp.inference.optimise import Fit, fit_stars
from bayes_ddp.inference.posterior import Posterior
from bayes_ddp.inference.problem import Problem
from bayes_ddp.inference.record import with_room, write_star
from bayes_ddp.inference.target import Described, describe, star_target

__all__ = ["Exact", "sample_star"]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Exact:
    """``kind = "exact"``: importance sampling, or Markov chains if that is not reliable.

    draws : equally weighted draws per star that a run keeps. Mean, covariance and quantiles are
    computed from all weighted draws.
    """

    draws: Annotated[int, Field(ge=2, le=3072)] = 256
    kind: Literal["exact"] = "exact"
    diagnostics: ClassVar[tuple[str, ...]] = ("khat", "rhat", "ess")
    chains: ClassVar[int] = 1
    made: ClassVar[int] = DRAWS
    """Draws per star that the sampler generates."""

    def __call__(
        self, problem: Problem, stars: StarData, keys: Array, *, fit: Fit | None = None
    ) -> Posterior:
        """Posterior of a batch; stars without a best fit are NaN.

        keys : [star], random keys. fit : best fits of the batch, computed here by default.
        """
        fit = fit_stars(problem, stars) if fit is None else fit
        result = with_room(summarise(problem, fit, keys, number=2), DRAWS, self.diagnostics)
        for i in np.flatnonzero(np.asarray(fit.positive)):
            star = jax.tree.map(lambda x, at=int(i): x[at], stars)
            drawn, described = sample_star(problem, star, fit=one_fit(fit, int(i)), key=keys[i])
            write_star(result, int(i), described, weight=drawn.weight)
            _diagnose(result, int(i), drawn, labels=np.asarray(described.labels))
        return result


def one_fit(fit: Fit, star: int) -> Fit:
    """The best fit of one star of a batch."""
    one: Fit = jax.tree.map(lambda x: x[star], fit)
    return one


def sample_star(
    problem: Problem, star: StarData, *, fit: Fit, key: Array
) -> tuple[Drawn, Described]:
    """Weighted draws of one star, started at its best fit, and their labels and nuisances."""
    target = star_target(problem, star, fit.q)
    start = Gaussian(fit.q, whitening_root(fit.covariance))
    drawn = draw(target, start, key, chart=target.chart)
    return drawn, describe(target, drawn.points, drawn.log_density)


def _diagnose(result: Posterior, star: int, drawn: Drawn, *, labels: np.ndarray) -> None:
    result.diagnostics["khat"][star] = drawn.khat
    if drawn.chains:
        by_chain = labels.reshape(CHAINS, -1, labels.shape[1])
        result.diagnostics["rhat"][star] = nested_rhat(by_chain)
        result.diagnostics["ess"][star] = chain_diagnostics(labels, CHAINS)[1]
    else:
        result.diagnostics["ess"][star] = 1 / np.sum(drawn.weight**2)
