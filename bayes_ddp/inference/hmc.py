"""Many short Hamiltonian chains in lockstep (BlackJAX), for posteriors that no Gaussian holds.

The chains start from re-weighted importance draws, so they are spread over the posterior from the
first step, and move in coordinates in which the last proposal is a unit normal. All take the same
number of leapfrog steps at a time, so none waits for another. R-hat is the nested one (Margossian
et al. 2024): the ordinary one needs long chains.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
from arviz_stats.base import array_stats
from jaxtyping import Array, Float
from numpyro.infer.hmc_util import dual_averaging

__all__ = ["CHAINS", "STEPS", "SUPERCHAINS", "Chains", "nested_rhat", "run_chains", "superchains"]

CHAINS = 64
SUPERCHAINS = 8
"""Groups of chains; those of one group start at one point."""
STEPS = 64
"""Steps of each chain that are kept, after half as many of warm-up."""
_WARM = 32
_LEAST_STEPS, _MOST_STEPS = 3, 9
_FIRST_STEP = 0.4
_ACCEPT = 0.8


class Chains(NamedTuple):
    """Positions [chain step parameter], their ln density [chain step], accepted share."""

    path: Float[Array, "chain step parameter"]
    log_density: Float[Array, "chain step"]
    accepted: Float[Array, ""]


def run_chains(
    log_density: Callable[[Array], Array], start: Float[Array, "chain parameter"], key: Array
) -> Chains:
    """Chains of ``log_density`` from ``start``.

    log_density : ln density of [parameter], about unit scale. The step size follows the mean
    acceptance of the chains while they warm up, and is constant after that.
    """
    kernel = blackjax.hmc.build_kernel()
    unit = jnp.ones(start.shape[1])
    adapt_start, adapt = dual_averaging()
    state = jax.vmap(lambda z: blackjax.hmc.init(z, log_density))(start)

    def move(state: Any, key: Array, size: Array) -> tuple[Any, Array]:
        count, turn = jax.random.split(key)
        steps = jax.random.randint(count, (), _LEAST_STEPS, _MOST_STEPS + 1)
        keys = jax.random.split(turn, len(start))
        state, info = jax.vmap(lambda k, s: kernel(k, s, log_density, size, unit, steps))(
            keys, state
        )
        return state, jnp.mean(info.acceptance_rate)

    def turn(carry: Any, each: tuple[Array, Array]) -> tuple[Any, tuple[Array, ...]]:
        state, tuned = carry
        warm, key = each
        size = _FIRST_STEP * jnp.exp(jnp.where(warm, tuned[0], tuned[1]))
        state, accepted = move(state, key, size)
        following = adapt(_ACCEPT - accepted, tuned)
        tuned = jax.tree.map(lambda new, old: jnp.where(warm, new, old), following, tuned)
        return (state, tuned), (state.position, state.logdensity, accepted)

    turns = _WARM + STEPS
    each = jnp.arange(turns) < _WARM, jax.random.split(key, turns)
    _, (path, value, accepted) = jax.lax.scan(turn, (state, adapt_start(0.0)), each)
    kept = jnp.moveaxis(path[_WARM:], 0, 1), jnp.moveaxis(value[_WARM:], 0, 1)
    return Chains(*kept, jnp.mean(accepted[_WARM:]))


def superchains(starts: np.ndarray, chains: int = CHAINS) -> np.ndarray:
    """[chain], what each chain starts from: ``starts`` [superchain], each for a group of chains.

    Nested R-hat compares superchains, so that the chains of one must share their start
    (Margossian et al. 2024): with starts of their own, chains that never leave them would look
    converged.
    """
    return np.repeat(starts, chains // len(starts))


def nested_rhat(draws: np.ndarray) -> np.ndarray:
    """[column], nested R-hat of draws [chain step column]; NaN for a column that does not vary."""
    owner = superchains(np.arange(SUPERCHAINS), len(draws))
    rhat = np.full(draws.shape[2], np.nan)
    for i in np.flatnonzero(np.ptp(draws, axis=(0, 1)) > 0):
        rhat[i] = array_stats.rhat_nested(draws[..., i], owner, chain_axis=0, draw_axis=1)
    return rhat
