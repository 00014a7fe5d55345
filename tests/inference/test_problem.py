"""What a problem needs before any spectrum is fitted."""

import jax
import pytest

from bayes_ddp.inference.problem import require_float64


def test_single_precision_is_refused() -> None:
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(RuntimeError, match="jax_enable_x64"):
            require_float64()
    finally:
        jax.config.update("jax_enable_x64", True)
