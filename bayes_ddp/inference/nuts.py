"""NUTS for one star after the other: started and whitened at the best fit, several chains.

The sampler moves in coordinates in which the Laplace approximation is a unit normal, so the mass
matrix needs no adaptation and about seven leapfrog steps make an independent draw. Everything
that differs between stars is an argument, so that the sampler is compiled once.
"""

from typing import Annotated, Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from arviz_stats.base import array_stats
from jaxtyping import Array
from numpyro.handlers import block
from numpyro.infer import MCMC, NUTS
from numpyro.infer.util import potential_energy
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from bayes_ddp.flags import WARN
from bayes_ddp.inference.forward import StarData
from bayes_ddp.inference.laplace import fit_stars, summarise
from bayes_ddp.inference.model import StarModel, one_star_model, spectrum_model
from bayes_ddp.inference.posterior import Posterior
from bayes_ddp.inference.problem import Problem

__all__ = ["RHAT_LIMIT", "Nuts", "chain_diagnostics", "unpack"]

RHAT_LIMIT = 1.01
_ESS_LIMIT = 400.0


def unpack(problem: Problem, q: Array) -> dict[str, Array]:
    """A parameter vector as the unconstrained sites of ``spectrum_model``."""
    sites: dict[str, Array] = dict(zip(problem.prior.free, q[: problem.free], strict=True))
    if problem.velocity:
        sites["velocity"] = q[problem.free]
    if problem.lsf_sd > 0:
        sites["lsf"] = q[-len(problem.shape.arms) :]
    return sites


def whitened_model(star: StarModel, problem: Problem, root: Array) -> None:
    """``spectrum_model`` in coordinates ``z``: parameters are the reference plus ``root @ z``."""
    flat = dist.ImproperUniform(dist.constraints.real_vector, (), (problem.size,))
    z = numpyro.sample("z", flat)
    sites = unpack(problem, star.reference + root @ z)
    with block():  # the sites of the inner model are arguments here, not sites of this one
        potential = potential_energy(spectrum_model, (star, problem.prior, problem), {}, sites)
    numpyro.factor("log_posterior", -potential)


def chain_diagnostics(draws: np.ndarray, chains: int) -> tuple[np.ndarray, np.ndarray]:
    """(rank-normalised split R-hat, bulk ESS), both [label], of draws [draw label] (ArviZ).

    NaN for a label that does not vary.
    """
    by_chain = draws.reshape(chains, -1, draws.shape[1])
    rhat, ess = np.full(draws.shape[1], np.nan), np.full(draws.shape[1], np.nan)
    for i in np.flatnonzero(np.ptp(draws, axis=0) > 0):
        rhat[i] = array_stats.rhat(by_chain[..., i], chain_axis=0, draw_axis=1)
        ess[i] = array_stats.ess(by_chain[..., i], chain_axis=0, draw_axis=1)
    return rhat, ess


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Nuts:
    """``kind = "nuts"``: NumPyro's NUTS, ``chains`` chains of ``num_samples`` draws a star."""

    num_warmup: Annotated[int, Field(ge=50)] = 200
    num_samples: Annotated[int, Field(ge=50)] = 500
    chains: Annotated[int, Field(ge=2, le=64)] = 4  # R-hat compares chains
    target_accept: Annotated[float, Field(gt=0.5, lt=1)] = 0.8
    kind: Literal["nuts"] = "nuts"
    diagnostics: ClassVar[tuple[str, ...]] = ("rhat", "ess", "divergences")

    def sampler(self, problem: Problem) -> MCMC:
        """The NumPyro sampler of a run; its model takes (star, root)."""

        def model(star: StarModel, root: Array) -> None:
            whitened_model(star, problem, root)

        kernel = NUTS(
            model,
            adapt_mass_matrix=False,
            target_accept_prob=self.target_accept,
            max_tree_depth=8,
            init_strategy=numpyro.infer.init_to_value(values={"z": jnp.zeros(problem.size)}),
        )
        return MCMC(
            kernel,
            num_warmup=self.num_warmup,
            num_samples=self.num_samples,
            num_chains=self.chains,
            chain_method="vectorized",
            progress_bar=False,
        )

    def __call__(self, problem: Problem, stars: StarData, keys: Array) -> Posterior:
        """Posterior of a batch; keys [star]. Stars without a best fit stay NaN."""
        fit = fit_stars(problem, stars)
        laplace = summarise(problem, fit, keys, number=2)
        count, number = len(laplace), problem.prior.space.size
        draws = np.full((self.chains * self.num_samples, count, number), np.nan)
        result = {
            "rhat": np.full((count, number), np.nan),
            "ess": np.full((count, number), np.nan),
            "divergences": np.zeros(count, np.int32),
        }
        mean, covariance = laplace.mean.copy(), laplace.covariance.copy()
        velocity, lsf, warn = laplace.velocity.copy(), laplace.lsf.copy(), laplace.warn.copy()
        for star in np.flatnonzero(np.asarray(fit.positive)):
            local = one_star_model(problem, stars, fit.q, int(star))
            unit = jnp.sqrt(jnp.diagonal(fit.covariance[star]))
            scaled = fit.covariance[star] / jnp.outer(unit, unit)
            root = unit[:, None] * jnp.linalg.cholesky(scaled)
            labels, moved, width, diverging = _chains(self, problem, local, root, keys[star])
            draws[:, star] = np.asarray(labels)
            mean[star] = draws[:, star].mean(axis=0)
            covariance[star] = np.cov(draws[:, star].T)
            velocity[star] = float(moved.mean()), float(moved.std())
            lsf[star] = np.asarray(width.mean(axis=0))
            rhat, ess = chain_diagnostics(draws[:, star], self.chains)
            result["rhat"][star], result["ess"][star] = rhat, ess
            result["divergences"][star] = int(diverging)
            warn[star] |= _chain_warnings(rhat, ess, int(diverging))
        return _sampled(laplace, draws, self.chains, mean=mean, covariance=covariance,
                        velocity=velocity, lsf=lsf, warn=warn, diagnostics=result)  # fmt: skip


@eqx.filter_jit
def _chains(
    settings: Nuts, problem: Problem, star: StarModel, root: Array, key: Array
) -> tuple[Array, ...]:
    """(labels [draw label], velocity, LSF factors, number of divergences) of one star's chains.

    The whole run stands inside one ``jit``: NumPyro's own loop is compiled again at every call.
    """
    sampler = settings.sampler(problem)
    sampler.run(key, star, root, extra_fields=("diverging",))
    q = star.reference + sampler.get_samples()["z"] @ root.T
    diverging = sampler.get_extra_fields()["diverging"]
    return *jax.vmap(lambda x: _physical(problem, x))(q), jnp.sum(diverging)


def _physical(problem: Problem, q: Array) -> tuple[Array, Array, Array]:
    free, velocity, width = problem.split(q)
    return problem.prior.constrain(free), velocity, width


def _chain_warnings(rhat: np.ndarray, ess: np.ndarray, diverging: int) -> int:
    warn = int(WARN.HIGH_RHAT) if np.nanmax(rhat) > RHAT_LIMIT else 0
    warn |= int(WARN.LOW_ESS) if np.nanmin(ess) < _ESS_LIMIT else 0
    return warn | (int(WARN.DIVERGENT) if diverging else 0)


def _sampled(laplace: Posterior, draws: np.ndarray, chains: int, **changed: Any) -> Posterior:
    from dataclasses import replace

    return replace(
        laplace, draws=draws, log_weight=np.zeros(draws.shape[:2]), chains=chains, **changed
    )
