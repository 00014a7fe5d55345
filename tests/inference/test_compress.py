"""The compressed likelihood is that of all pixels to within what is negligible for weights."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayes_ddp.inference.compress import compress
from bayes_ddp.inference.model import StarModel, star_model
from bayes_ddp.inference.problem import load_stars


@eqx.filter_jit
def both(problem: Any, star: Any, q: Any, points: Any) -> Any:
    """Ln L of [draw parameter] by all pixels and by the compressed form."""
    full: StarModel = star_model(problem, star, q)
    short = compress(full)

    def values(x: Any) -> Any:
        free, nuisances = problem.parameters.split(x)
        labels = problem.prior.constrain(free)
        return full.log_likelihood(labels, nuisances), short.log_likelihood(labels, nuisances)

    return jax.vmap(values)(points)


@pytest.mark.parametrize(("snr", "limit"), [(300.0, 0.01), (30.0, 0.1)])
def test_compressed_likelihood_is_that_of_all_pixels(
    survey: Any, blank_spectrum: Any, snr: float, limit: float
) -> None:
    """Draws of the posterior: the scatter of the difference, which is what changes weights."""
    truth = survey.typical([5200.0] * 3, [4.5] * 3, [-0.5] * 3)
    pixels = blank_spectrum(3)
    ivar = np.full(pixels.ivar.shape, snr**2, np.float32)
    spectrum = survey.paint(truth, eqx.tree_at(lambda s: s.ivar, pixels, ivar), 8)
    fit, _ = survey.fit(spectrum, draws=2)
    star = jax.tree.map(lambda x: x[0], load_stars(survey.problem, spectrum))
    rng = np.random.default_rng(2)
    root = np.linalg.cholesky(fit.covariance[0])
    points = fit.q[0] + rng.standard_normal((200, len(root))) @ root.T
    full, short = map(np.asarray, both(survey.problem, star, fit.q[0], jnp.asarray(points)))
    assert np.ptp(full) > 5
    assert (full - short).std() < limit


def test_model_without_a_basis_is_refused(survey: Any, three_stars: Any) -> None:
    star = jax.tree.map(lambda x: x[0], three_stars)
    q = jnp.concatenate([jnp.asarray(survey.prior.space.middle), jnp.zeros(3)])
    model = jax.eval_shape(lambda: star_model(survey.problem, star, q, general=True))
    with pytest.raises(ValueError, match="has no low-rank basis"):
        compress(model)
