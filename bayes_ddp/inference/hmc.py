"""Many short vectorised Hamiltonian chains (BlackJAX), for clearly non-Gaussian posteriors.

The chains start from re-weighted importance draws, so that they cover the posterior from the first
step, in coordinates in which the last proposal is a unit normal. All chains take the same number
of leapfrog steps per iteration, which is efficient under ``vmap``. Convergence is measured by the
nested R-hat (Margossian et al. 2024), since the ordinary R-hat needs long chains.
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
"""Number of groups of chains; chains of one group start at the same point."""
STEPS = 64
"""Steps per chain that are kept, after half as many of warm-up."""
_WARM = 32
_LEAST_STEPS, _MOST_STEPS = 3, 9
_FIRST_STEP = 0.4
_ACCEPT = 0.8


class Chains(NamedTuple):
    """path [chain step parameter]; log_density [chain step]; accepted, mean acceptance rate."""

    path: Float[Array, "chain step parameter"]
    log_density: Float[Array, "chain step"]
    accepted: Float[Array, ""]


def run_chains(
    log_density: Callable[[Array], Array], start: Float[Array, "chain parameter"], key: Array
) -> Chains:
    """Chains that sample ``log_density`` from ``start``.

    log_density : ln density of a vector [parameter] of about unit scale. The step size is adapted
    to the mean acceptance rate of all chains during warm-up and constant afterwards.
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
    """[chain], the start of each chain; ``starts`` [superchain] is repeated for each group.

    Nested R-hat compares superchains, whose chains must share their start (Margossian et al.
    2024): with different starts within a superchain, chains that do not move would appear
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
