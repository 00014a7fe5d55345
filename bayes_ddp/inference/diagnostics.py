"""Convergence diagnostics of Markov chains per label, computed by ArviZ."""

import numpy as np
from arviz_stats.base import array_stats

__all__ = ["chain_diagnostics"]


def chain_diagnostics(draws: np.ndarray, chains: int) -> tuple[np.ndarray, np.ndarray]:
    """(rank-normalised split R-hat, bulk ESS), both [label]; NaN for a label that does not vary.

    draws : [draw label], chains concatenated. chains : their number.
    """
    by_chain = draws.reshape(chains, -1, draws.shape[1])
    rhat, ess = np.full(draws.shape[1], np.nan), np.full(draws.shape[1], np.nan)
    for i in np.flatnonzero(np.ptp(draws, axis=0) > 0):
        rhat[i] = array_stats.rhat(by_chain[..., i], chain_axis=0, draw_axis=1)
        ess[i] = array_stats.ess(by_chain[..., i], chain_axis=0, draw_axis=1)
    return rhat, ess
