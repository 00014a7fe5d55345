"""The arcsine of the features, against NumPy's."""

import jax
import jax.numpy as jnp
import numpy as np

from bayes_ddp.emulator.arcsine import arcsine


def test_arcsine_is_that_of_numpy_to_rounding() -> None:
    ends = np.concatenate([np.geomspace(1e-18, 0.1, 2000), [0.0, 0.5, np.nextafter(0.5, 1), 1.0]])
    x = np.concatenate([np.linspace(-1, 1, 100_001), ends, -ends, 1 - ends[:2000]])
    found = np.asarray(jax.jit(arcsine)(jnp.asarray(x)))
    np.testing.assert_allclose(found, np.arcsin(x), rtol=1e-15, atol=0)


def test_derivative_of_the_arcsine_is_analytic() -> None:
    x = np.linspace(-0.999, 0.999, 1001)
    found = jax.jit(jax.vmap(jax.grad(arcsine)))(jnp.asarray(x))
    np.testing.assert_allclose(found, 1 / np.sqrt(1 - x**2), rtol=1e-14)
