"""The Laplace approximation, a Gaussian at the best fit, and the sampler ``map`` that uses it."""

from typing import Annotated, ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from bayes_ddp.inference.checks import fit_warning
from bayes_ddp.inference.forward import StarData
from bayes_ddp.inference.likelihood import whitening_root
from bayes_ddp.inference.optimise import Fit, fit_stars
from bayes_ddp.inference.parameters import Nuisances
from bayes_ddp.inference.posterior import Posterior, by_name
from bayes_ddp.inference.problem import Problem

__all__ = ["Map", "summarise"]


class _Summary(NamedTuple):
    """Draws [draw ...] and moments of labels and nuisances of one star."""

    draws: Array
    nuisances: Nuisances
    log_prior: Array
    mean: Array
    covariance: Array
    prior_mean: Array
    prior_covariance: Array
    velocity: Array
    lsf: Array


@eqx.filter_jit
def _laplace(problem: Problem, fit: Fit, keys: Array, *, number: int) -> _Summary:
    """Gaussian draws in unconstrained parameters, and first-order moments of the labels."""
    parameters, prior = problem.parameters, problem.prior
    count = parameters.labels
    chosen = jnp.array([parameters.names.index(name) for name in parameters.free])
    block = parameters.block("velocity")

    def one(q: Array, covariance: Array, key: Array) -> _Summary:
        free, nuisances = parameters.split(q)
        labels, slope = jax.jvp(prior.constrain, (free,), (jnp.ones_like(free),))
        scaled = covariance[:count, :count] * jnp.outer(slope[chosen], slope[chosen])
        full = jnp.zeros((labels.size, labels.size)).at[jnp.ix_(chosen, chosen)].set(scaled)
        # separate noise for nuisances, so that draws of labels do not depend on which are fitted
        noise = jax.random.normal(key, (number, count))
        other = jax.random.normal(jax.random.fold_in(key, 1), (number, parameters.size - count))
        steps = jnp.concatenate([noise, other], axis=1) @ whitening_root(covariance).T
        drawn, drawn_nuisances = jax.vmap(parameters.split)(q + steps)
        draws = jax.vmap(prior.constrain)(drawn)
        mean, prior_covariance = prior.moments(labels)
        spread = 0.0 if block is None else jnp.sqrt(covariance[block.start, block.start])
        return _Summary(
            draws=draws,
            nuisances=drawn_nuisances,
            log_prior=jax.vmap(prior.log_prob)(draws),
            mean=labels,
            covariance=full,
            prior_mean=mean,
            prior_covariance=prior_covariance,
            velocity=jnp.stack([nuisances.velocity, spread]),
            lsf=nuisances.lsf,
        )

    return jax.vmap(one)(fit.q, fit.covariance, keys)


def summarise(problem: Problem, fit: Fit, keys: Array, *, number: int) -> Posterior:
    """The Laplace approximation as a Posterior with ``number`` draws per star.

    keys : [star] random keys. Stars that were not fitted are NaN.
    """
    summary = jax.tree.map(np.asarray, _laplace(problem, fit, keys, number=number))
    pixels, positive = np.asarray(fit.pixels), np.asarray(fit.positive)

    def known(values: np.ndarray) -> np.ndarray:
        keep = positive.reshape(-1, *(1,) * (values.ndim - 1))
        return np.where(keep, values, np.nan)

    def drawn(values: np.ndarray) -> np.ndarray:
        return np.moveaxis(known(values), 1, 0)

    draws = drawn(summary.draws)
    mean = known(summary.mean)
    return Posterior(
        ids=np.arange(len(mean)).astype(str),
        names=problem.parameters.names,
        arms=problem.parameters.arms,
        draws=draws,
        nuisances=by_name(problem.parameters.arms, *(drawn(part) for part in summary.nuisances)),
        log_weight=np.zeros(draws.shape[:2]),
        log_prior=drawn(summary.log_prior),
        log_likelihood=np.full(draws.shape[:2], np.nan),  # it is not evaluated at these draws
        mode=mean,
        mean=mean,
        covariance=known(summary.covariance),
        prior_mean=known(summary.prior_mean),
        prior_covariance=known(summary.prior_covariance),
        velocity=known(summary.velocity),
        lsf=known(summary.lsf),
        chi2=known(np.asarray(fit.chi2)),
        pixels=pixels,
        rejected=np.zeros(len(mean), np.int64),
        warn=fit_warning(pixels, converged=np.asarray(fit.converged), positive=positive),
    )


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Map:
    """``kind = "map"``: best fit, its full covariance, and draws from this Gaussian.

    draws : number of draws per star.
    """

    draws: Annotated[int, Field(ge=0, le=100_000)] = 256
    kind: Literal["map"] = "map"
    diagnostics: ClassVar[tuple[str, ...]] = ()
    chains: ClassVar[int] = 1

    @property
    def made(self) -> int:
        """Draws per star that the sampler generates."""
        return max(self.draws, 2)

    def __call__(
        self, problem: Problem, stars: StarData, keys: Array, *, fit: Fit | None = None
    ) -> Posterior:
        """Posterior of a batch; stars without a best fit are NaN.

        keys : [star], random keys. fit : best fits of the batch, computed here by default.
        """
        fit = fit_stars(problem, stars) if fit is None else fit
        return summarise(problem, fit, keys, number=self.made)
