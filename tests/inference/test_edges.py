"""Labels that depend on another one outside the trained range are found, and no others."""

from dataclasses import replace

import numpy as np
import pytest

from bayes_ddp.emulator.limits import ModelLimits
from bayes_ddp.inference.edges import edge_moves, moved_by_edges
from bayes_ddp.inference.posterior import Posterior, blank
from bayes_ddp.labels import LabelSpace

SPACE = LabelSpace(("teff", "c_fe", "feh", "o_fe"), (4000.0, -1.0, -1.0, -0.4), (8e3, 1, 1, 0.8))
SD = np.array([20.0, 0.1, 0.1, 0.1])
UNKNOWN = ModelLimits(SPACE, {}, {})


def star(mode: list[float], correlation: float) -> Posterior:
    """One star; [O/Fe] varies with Teff and, the other way, with [C/Fe], but not with [Fe/H]."""
    factor = np.eye(4)
    factor[0, 3], factor[1, 3] = correlation, -correlation
    root = SD[:, None] * factor
    covariance = root @ root.T
    unit = SD / np.sqrt(np.diag(covariance))
    covariance *= np.outer(unit, unit)
    return replace(
        blank(SPACE.names, np.array(["star"]), ("b",)),
        mode=np.array([mode]),
        mean=np.array([mode]),
        covariance=covariance[None],
    )


def test_moves_are_those_of_the_mean_of_a_conditional_gaussian():
    """Draws of the Gaussian with [O/Fe] at its edge: their mean, to five of its errors."""
    posterior = star([5000.0, 0.0, 0.0, -0.7], 1.0)
    rng = np.random.default_rng(1)
    draws = rng.multivariate_normal(posterior.mean[0], posterior.covariance[0], 400_000)
    near = draws[np.abs(draws[:, 3] + 0.4) < 0.01]
    error = near.std(axis=0) / np.sqrt(len(near))
    found = posterior.mean[0] + edge_moves(posterior, UNKNOWN)[0]
    assert np.all(np.abs(near.mean(axis=0) - found)[:3] < 5 * error[:3])
    assert found[3] == pytest.approx(-0.4)


def test_draws_that_end_at_the_edge_give_the_same_moves():
    """A prior cuts the draws, not the best fit; what an element does to the others stays."""
    whole = star([5000.0, 0.0, 0.0, -0.45], 1.0)
    rng = np.random.default_rng(2)
    draws = rng.multivariate_normal(whole.mean[0], whole.covariance[0], 400_000)
    kept = draws[draws[:, 3] > -0.4]
    cut = replace(whole, covariance=np.cov(kept.T)[None], mean=kept.mean(axis=0)[None])
    np.testing.assert_allclose(
        edge_moves(cut, UNKNOWN) / SD, edge_moves(whole, UNKNOWN) / SD, atol=0.005
    )


def test_what_does_not_vary_with_the_outer_label_is_not_moved():
    found = moved_by_edges(star([5000.0, 0.0, 0.0, -0.7], 1.0), UNKNOWN)
    assert found.tolist() == [[True, True, False, True]]
    assert not moved_by_edges(star([5000.0, 0.0, 0.0, -0.7], 0.2), UNKNOWN)[0, :3].any()
    assert not moved_by_edges(star([5000.0, 0.0, 0.0, -0.35], 1.0), UNKNOWN).any()


def test_a_move_counts_against_the_total_error():
    """[O/Fe] is 3 sd outside and correlated by 0.71 with Teff: 2.1 of its 20 K, below 60 K."""
    limits = ModelLimits(SPACE, {}, {"all": np.array([60.0, 0.0, 0.0, 0.0])})
    found = moved_by_edges(star([5000.0, 0.0, 0.0, -0.7], 1.0), limits)
    assert found.tolist() == [[False, True, False, True]]


def test_two_labels_outside_are_put_back_together():
    """Perfectly correlated labels are one direction: Teff is moved once, not twice."""
    one = star([5000.0, 0.0, 0.0, -0.7], 1.0)
    covariance = one.covariance.copy()
    covariance[0, 2] = covariance[0, 3]
    covariance[0, :, 2] = covariance[0, :, 3]
    covariance[0, 2, 2] = covariance[0, 3, 3]
    two = replace(one, mode=np.array([[5000.0, 0.0, -1.3, -0.7]]), covariance=covariance)
    np.testing.assert_allclose(
        edge_moves(two, UNKNOWN)[0, :2], edge_moves(one, UNKNOWN)[0, :2], rtol=1e-6
    )


def test_star_without_a_fit_or_with_a_fixed_label_is_not_moved():
    nothing = blank(SPACE.names, np.array(["star"]), ("b",))
    assert not moved_by_edges(nothing, UNKNOWN).any()
    fixed = star([5000.0, 0.0, 0.0, -0.7], 1.0)
    fixed.covariance[0, 3] = fixed.covariance[0, :, 3] = 0
    assert not moved_by_edges(fixed, UNKNOWN).any()
