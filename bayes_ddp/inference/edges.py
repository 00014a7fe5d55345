"""What a label outside the trained range does to the others.

The model follows a label beyond its range, but it was not trained there. Where a fit needs such a
value, the labels that vary with it make up for the same lines. If the labels ``S`` that are
outside, by ``e``, are put back onto the edge, the others move by

    -C_jS C_SS^-1 e

with the covariance ``C`` of the posterior, as the mean of a conditional Gaussian does. A label
that moves by more than its total error depends on what the model does not know. Cutting a
Gaussian at the edge of S leaves ``C_jS C_SS^-1`` as it is, so the rule is the same for draws that
a prior keeps inside the range.
"""

import numpy as np

from bayes_ddp.emulator.limits import ModelLimits
from bayes_ddp.inference.posterior import Posterior

__all__ = ["edge_moves", "moved_by_edges"]


def edge_moves(posterior: Posterior, limits: ModelLimits) -> np.ndarray:
    """[star label], by how much labels move when those of the best fit are put inside the range.

    0 where the best fit has all labels inside, or is unknown.
    """
    low, high = np.asarray(limits.space.low), np.asarray(limits.space.high)
    beyond = posterior.mode - np.clip(posterior.mode, low, high)
    variance = np.diagonal(posterior.covariance, axis1=1, axis2=2)
    found = (beyond != 0) & np.isfinite(beyond) & (variance > 0)
    result = np.zeros(posterior.mode.shape)
    for star in np.flatnonzero(found.any(axis=1)):
        at = np.flatnonzero(found[star])
        covariance = posterior.covariance[star]
        unit = np.sqrt(variance[star])
        inner = covariance[np.ix_(at, at)] / np.outer(unit[at], unit[at])
        # labels outside can be the same combination: least squares of a singular block
        share = np.linalg.lstsq(inner, beyond[star, at] / unit[at], rcond=1e-8)[0]
        result[star] = -covariance[:, at] @ (share / unit[at])
    return result


def moved_by_edges(posterior: Posterior, limits: ModelLimits) -> np.ndarray:
    """[star label] bool, whether a label moves by more than its total error."""
    model = np.nan_to_num(limits.label_error(posterior.mean))
    moved: np.ndarray = np.abs(edge_moves(posterior, limits)) > np.hypot(posterior.sd, model)
    return moved
