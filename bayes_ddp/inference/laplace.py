"""The Laplace approximation: a Gaussian at the best fit, as a sampler of its own (``map``)."""

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
    """Draws [draw ...] and moments of one star in labels and nuisances."""

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
    """Gaussian draws in unconstrained parameters, and moments in labels by first order."""
    parameters, prior = problem.parameters, problem.prior
    count = parameters.labels
    chosen = jnp.array([parameters.names.index(name) for name in parameters.free])
    place = parameters.block("velocity")

    def one(q: Array, covariance: Array, key: Array) -> _Summary:
        free, nuisances = parameters.split(q)
        labels, slope = jax.jvp(prior.constrain, (free,), (jnp.ones_like(free),))
        scaled = covariance[:count, :count] * jnp.outer(slope[chosen], slope[chosen])
        full = jnp.zeros((labels.size, labels.size)).at[jnp.ix_(chosen, chosen)].set(scaled)
        # nuisances have noise of their own, so that labels do not depend on which are fitted
        noise = jax.random.normal(key, (number, count))
        other = jax.random.normal(jax.random.fold_in(key, 1), (number, parameters.size - count))
        steps = jnp.concatenate([noise, other], axis=1) @ whitening_root(covariance).T
        drawn, drawn_nuisances = jax.vmap(parameters.split)(q + steps)
        draws = jax.vmap(prior.constrain)(drawn)
        mean, prior_covariance = prior.moments(labels)
        spread = 0.0 if place is None else jnp.sqrt(covariance[place.start, place.start])
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
        log_likelihood=np.full(draws.shape[:2], np.nan),  # a Gaussian has none of its own
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
    """``kind = "map"``: best fit, full covariance, draws from that Gaussian."""

    draws: Annotated[int, Field(ge=0, le=100_000)] = 256
    kind: Literal["map"] = "map"
    diagnostics: ClassVar[tuple[str, ...]] = ()
    chains: ClassVar[int] = 1

    @property
    def made(self) -> int:
        """Draws per star that the sampler makes."""
        return max(self.draws, 2)

    def __call__(
        self, problem: Problem, stars: StarData, keys: Array, *, fit: Fit | None = None
    ) -> Posterior:
        """Posterior of a batch; keys [star]; fit : its best fits where they are known."""
        fit = fit_stars(problem, stars) if fit is None else fit
        return summarise(problem, fit, keys, number=self.made)
