"""Convergence diagnostics tell good chains from bad ones."""

import numpy as np

from bayes_ddp.inference.diagnostics import chain_diagnostics


def test_diagnostics_tell_good_chains_from_bad_ones() -> None:
    rng = np.random.default_rng(1)
    good = rng.standard_normal((4000, 1))
    apart = good + np.repeat([0.0, 0.0, 0.0, 2.0], 1000)[:, None]
    slow = np.cumsum(good, axis=0)
    still = np.ones((4000, 1))
    rhat, ess = chain_diagnostics(np.hstack([good, apart, slow, still]), 4)
    assert rhat[0] < 1.005
    assert 3000 < ess[0] < 5000
    assert rhat[1] > 1.1
    assert ess[1] < 100
    assert rhat[2] > 1.1
    assert np.isnan([rhat[3], ess[3]]).all()


def test_order_of_the_chains_does_not_matter() -> None:
    draws = np.random.default_rng(2).standard_normal((400, 2)).cumsum(axis=0)
    turned = draws.reshape(4, 100, 2)[::-1].reshape(400, 2)
    np.testing.assert_allclose(chain_diagnostics(draws, 4), chain_diagnostics(turned, 4))
