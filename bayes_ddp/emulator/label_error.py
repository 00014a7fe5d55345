"""Shifts of fitted labels due to the error of the network, which `_ERR` does not include.

If the network differs from the physics by ``r``, the best fit shifts by
``(J' W J + P)^-1 J' W r``, with the network's derivatives ``J`` by label, the weights ``W`` of a
fit at the stated S/N and the precision ``P`` of a prior with the labels' ranges. Both spectra are
divided by their pseudo-continuum (Eq. 1-2 of the paper) first, as in a fit. ``r`` is out of fold,
so that the network was not trained on the star.
"""

from typing import TYPE_CHECKING

import numpy as np

from bayes_ddp.emulator.network import BasisNetwork, PixelNetwork, predict
from bayes_ddp.spectra.masks import rest_continuum_weight
from bayes_ddp.spectra.prepare import pseudo_continuum

if TYPE_CHECKING:
    from bayes_ddp.emulator.training_set import TrainingSet

__all__ = ["SNR", "label_shifts"]

SNR = 100.0
"""S/N per pixel of the working grid for which the shifts are computed."""

_STARS = 400
_BATCH = 25
_STEP = 0.01  # of a label's range


def label_shifts(
    network: BasisNetwork | PixelNetwork,
    known: "TrainingSet",
    residual: np.ndarray,
    *,
    error: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """(labels of a sample of stars, shifts of these labels due to the network's error).

    Parameters
    ----------
    network
        Network whose derivatives are used.
    known, residual : residual is [spectrum pixel], network - physics, out of fold.
    error : [pixel], the network's error spectrum.

    Returns
    -------
    Both [star label], in the units of the labels; at most 400 stars, drawn with a fixed seed.
    """
    count = min(_STARS, len(known.names))
    chosen = np.sort(np.random.default_rng(2).permutation(len(known.names))[:count])
    shifts = [
        _shift(network, known, rows, residual=residual[rows], error=error)
        for rows in np.array_split(chosen, -(-count // _BATCH))
    ]
    return known.labels[chosen], np.concatenate(shifts)


def _shift(
    network: BasisNetwork | PixelNetwork,
    known: "TrainingSet",
    rows: np.ndarray,
    *,
    residual: np.ndarray,
    error: np.ndarray,
) -> np.ndarray:
    """[star label], shifts for the spectra ``rows``."""
    at = known.labels[rows]
    width = np.asarray(known.space.high) - np.asarray(known.space.low)
    step = _STEP * width * np.eye(known.space.size)
    points = np.concatenate([at[:, None] - step, at[:, None] + step], axis=1)
    model = _normalised(network, predict(network, points))
    low, high = np.split(model, 2, axis=1)
    jacobian = (high - low) / (2 * np.diag(step)[:, None])
    centre = _normalised(network, predict(network, at))
    truth = _normalised(network, predict(network, at) - residual)
    weight = rest_continuum_weight(np.asarray(network.wave)) / (SNR**-2 + error.astype(float) ** 2)
    weighted = jacobian * weight
    normal = weighted @ jacobian.swapaxes(1, 2) + np.diag(12 / width**2)
    pull = np.einsum("nlp,np->nl", weighted, truth - centre)
    return np.linalg.solve(normal, pull[..., None])[..., 0]


def _normalised(network: BasisNetwork | PixelNetwork, flux: np.ndarray) -> np.ndarray:
    weight = np.broadcast_to(rest_continuum_weight(np.asarray(network.wave)), flux.shape)
    level = pseudo_continuum(np.asarray(network.wave), flux, weight)
    return np.where(weight > 0, flux / level, 0.0)
