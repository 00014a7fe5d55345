"""The sampler ``nuts``: several NUTS chains per star, started at the best fit (NumPyro).

The sampler uses coordinates in which the Laplace approximation is a unit normal, so the mass
matrix needs no adaptation and about seven leapfrog steps give an independent draw. Everything that
differs between stars is an argument, so that the sampler is compiled once.
"""

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpyro.infer import MCMC, NUTS
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from bayes_ddp.inference.diagnostics import chain_diagnostics
from bayes_ddp.inference.forward import StarData
from bayes_ddp.inference.importance import Gaussian
from bayes_ddp.inference.laplace import summarise
from bayes_ddp.inference.likelihood import whitening_root
from bayes_ddp.inference.model import one_star_model
from bayes_ddp.inference.optimise import Fit, fit_stars
from bayes_ddp.inference.posterior import Posterior
from bayes_ddp.inference.problem import Problem
from bayes_ddp.inference.record import with_room, write_star
from bayes_ddp.inference.target import Target, describe, log_densities, star_target

__all__ = ["NutsDrawn", "Nuts"]


class NutsDrawn(NamedTuple):
    """points [draw parameter], chains concatenated; number of divergent transitions."""

    points: Float[Array, "draw parameter"]
    divergences: Array


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Nuts:
    """``kind = "nuts"``: NumPyro's NUTS.

    num_warmup, num_samples : iterations and draws per chain. chains : chains per star.
    target_accept : target acceptance rate of the step-size adaptation.
    """

    num_warmup: Annotated[int, Field(ge=50)] = 200
    num_samples: Annotated[int, Field(ge=50)] = 500
    chains: Annotated[int, Field(ge=2, le=64)] = 4  # R-hat compares chains
    target_accept: Annotated[float, Field(gt=0.5, lt=1)] = 0.8
    kind: Literal["nuts"] = "nuts"
    diagnostics: ClassVar[tuple[str, ...]] = ("rhat", "ess", "divergences")

    @property
    def made(self) -> int:
        """Draws per star of all chains; a run keeps all of them."""
        return self.chains * self.num_samples

    draws = made

    def sample(
        self, log_density: Callable[[Array], Array], start: Gaussian, key: Array
    ) -> NutsDrawn:
        """Draws of a density that ``start`` approximates; arguments as in ``importance.draw``."""
        return _sample(self, log_density, start, key=key)

    def __call__(
        self, problem: Problem, stars: StarData, keys: Array, *, fit: Fit | None = None
    ) -> Posterior:
        """Posterior of a batch; stars without a best fit are NaN.

        keys : [star], random keys. fit : best fits of the batch, computed here by default.
        """
        fit = fit_stars(problem, stars) if fit is None else fit
        laplace = summarise(problem, fit, keys, number=2)
        result = with_room(laplace, self.made, self.diagnostics, chains=self.chains)
        for i in np.flatnonzero(np.asarray(fit.positive)):
            one = jax.tree.map(lambda x, at=int(i): x[at], stars)
            # the density of the NumPyro model; its sites take three times as long to compile
            density = Target(
                likelihood=one_star_model(problem, stars, fit.q, int(i)),
                tightness=problem.parameters.nuisance_precision(one),
                prior=problem.prior,
                parameters=problem.parameters,
            )
            start = Gaussian(fit.q[i], whitening_root(fit.covariance[i]))
            drawn = self.sample(density, start, keys[i])
            target = star_target(problem, one, fit.q[i])
            described = describe(target, drawn.points, log_densities(target, drawn.points))
            write_star(result, int(i), described, weight=np.full(self.made, 1 / self.made))
            rhat, ess = chain_diagnostics(np.asarray(described.labels), self.chains)
            result.diagnostics["rhat"][i], result.diagnostics["ess"][i] = rhat, ess
            result.diagnostics["divergences"][i] = int(drawn.divergences)
        return result


@eqx.filter_jit
def _sample(
    settings: Nuts, log_density: Callable[[Array], Array], start: Gaussian, *, key: Array
) -> NutsDrawn:
    """Draws of all chains within one ``jit``, since NumPyro compiles its loop at every call."""

    def potential(z: Array) -> Array:
        return -log_density(start.mean + start.root @ z)

    kernel = NUTS(
        potential_fn=potential,
        adapt_mass_matrix=False,
        target_accept_prob=settings.target_accept,
        max_tree_depth=8,
    )
    sampler = MCMC(
        kernel,
        num_warmup=settings.num_warmup,
        num_samples=settings.num_samples,
        num_chains=settings.chains,
        chain_method="vectorized",
        progress_bar=False,
    )
    centre = jnp.zeros((settings.chains, len(start.mean)))
    sampler.run(key, init_params=centre, extra_fields=("diverging",))
    points = start.mean + sampler.get_samples() @ start.root.T
    return NutsDrawn(points, jnp.sum(sampler.get_extra_fields()["diverging"]))
