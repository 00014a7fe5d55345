"""Short Hamiltonian chains and the R-hat that belongs to them."""

import jax
import jax.numpy as jnp
import numpy as np

from bayes_ddp.inference.diagnostics import chain_diagnostics
from bayes_ddp.inference.hmc import (
    CHAINS,
    STEPS,
    SUPERCHAINS,
    nested_rhat,
    run_chains,
    superchains,
)


def two_hills(z: jax.Array) -> jax.Array:
    """Ln density of two unit normals 8 sigma apart along both axes."""
    hills = jnp.stack([-0.5 * jnp.sum((z - 4) ** 2), -0.5 * jnp.sum((z + 4) ** 2)])
    return jax.nn.logsumexp(hills)


def test_chains_sample_the_hills_they_are_started_on() -> None:
    """A third of the chains on one, two thirds on the other, both widths right; five errors."""
    rng = np.random.default_rng(1)
    start = np.where(rng.random((CHAINS, 1)) < 1 / 3, 4.0, -4.0) + rng.normal(size=(CHAINS, 2))
    chains = jax.jit(lambda s, k: run_chains(two_hills, s, k))(start, jax.random.key(3))
    draws = np.asarray(chains.path)
    assert draws.shape == (CHAINS, STEPS, 2)
    assert 0.6 < chains.accepted < 0.99
    np.testing.assert_allclose(
        chains.log_density, jax.vmap(jax.vmap(two_hills))(chains.path), atol=1e-9
    )
    high = draws[draws.mean(axis=(1, 2)) > 0].reshape(-1, 2)
    ess = chain_diagnostics(high, len(high) // STEPS)[1].min()
    assert np.abs(high.mean(axis=0) - 4).max() < 5 / np.sqrt(ess)
    assert np.abs(high.std(axis=0) - 1).max() < 5 / np.sqrt(ess)
    assert nested_rhat(draws - draws.mean(axis=1, keepdims=True)).max() < 1.02
    sorted_by_hill = draws[np.argsort(draws.mean(axis=(1, 2)))]
    assert nested_rhat(sorted_by_hill).min() > 1.3


def test_nested_rhat_is_one_for_independent_draws_and_unknown_for_a_constant() -> None:
    draws = np.random.default_rng(1).standard_normal((CHAINS, STEPS, 3))
    draws[..., 1] = 2.0
    draws[: CHAINS // 4, :, 2] += 1.0  # one of four groups of chains elsewhere
    rhat = nested_rhat(draws)
    assert abs(rhat[0] - 1) < 0.01
    assert np.isnan(rhat[1])
    assert rhat[2] > 1.05


def test_chains_of_one_superchain_share_their_start_and_are_compared_together() -> None:
    """Chains that never leave their starts have a large R-hat, however the starts are spread."""
    starts = np.random.default_rng(3).standard_normal(SUPERCHAINS)
    owner = superchains(starts)
    assert owner.shape == (CHAINS,)
    np.testing.assert_array_equal(
        owner.reshape(SUPERCHAINS, -1).T, np.tile(starts, (CHAINS // SUPERCHAINS, 1))
    )
    noise = 0.01 * np.random.default_rng(4).standard_normal((CHAINS, STEPS, 1))
    assert nested_rhat(owner[:, None, None] + noise)[0] > 2
