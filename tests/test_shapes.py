"""Shapes in annotations are compared with those of the arrays while the tests run."""

import importlib
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from jaxtyping import TypeCheckError

from bayes_ddp.inference.forward import gather
from bayes_ddp.inference.hmc import run_chains
from bayes_ddp.inference.likelihood import Noise, information, score, whitening_root

PIXELS, TAPS, PARAMETERS = 7, 3, 4


def annotated(root: Path) -> list[str]:
    """Modules of the package that import jaxtyping."""
    found = [
        path for path in (root / "bayes_ddp").rglob("*.py") if "jaxtyping" in path.read_text()
    ]
    return [path.relative_to(root).with_suffix("").as_posix().replace("/", ".") for path in found]


def test_every_module_that_states_shapes_is_checked(root: Path) -> None:
    names = annotated(root)
    assert len(names) > 20
    loaders = {name: type(importlib.import_module(name).__loader__).__name__ for name in names}
    unchecked = [name for name, loader in loaders.items() if loader != "_JaxtypingLoader"]
    assert not unchecked, "add them to CHECKED in tests/conftest.py"


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["plain", "jit"])
def test_kernel_refuses_swapped_axes(wrap) -> None:
    rows, first = jnp.ones((2, 20)), jnp.arange(PIXELS)
    weights = jnp.ones((PIXELS, TAPS))
    assert wrap(gather)(rows, first, weights).shape == (2, PIXELS)
    with pytest.raises(TypeCheckError, match="weights"):
        wrap(gather)(rows, first, weights.T)
    with pytest.raises(TypeCheckError, match="first"):
        wrap(gather)(rows, first.astype(float), weights)


def test_likelihood_refuses_a_jacobian_with_pixels_first() -> None:
    noise, residual = Noise(jnp.ones(PIXELS)), jnp.ones(PIXELS)
    jacobian = jnp.ones((PARAMETERS, PIXELS))
    assert score(noise, jacobian, residual).shape == (PARAMETERS,)
    with pytest.raises(TypeCheckError, match="residual"):
        score(noise, jacobian.T, residual)
    with pytest.raises(TypeCheckError, match="covariance"):
        whitening_root(jacobian)


def test_result_of_the_wrong_shape_is_refused() -> None:
    """A precision of one number would broadcast, and give information of the right shape."""
    with pytest.raises(TypeCheckError, match="precision"):
        information(Noise(jnp.ones(())), jnp.ones((PARAMETERS, PIXELS)))
    with pytest.raises(TypeCheckError, match="precision"):
        Noise(jnp.ones(PIXELS), factors=jnp.ones((PIXELS, 2)))


def test_chains_refuse_one_start_without_a_chain_axis() -> None:
    with pytest.raises(TypeCheckError, match="start"):
        run_chains(lambda q: -0.5 * q @ q, jnp.zeros(PARAMETERS), jax.random.key(0))
