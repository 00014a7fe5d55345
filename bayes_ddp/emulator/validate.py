"""Validation of a network: cross-validation, held-out spectra and gradient spectra.

The error spectrum of the likelihood is computed from out-of-fold residuals of the training
spectra; the held-out spectra only enter figures of the card. Gradients are compared with finite
differences of physical spectra at reference points that are left out by folds: rms of
(network - physics) relative to rms of physics, over the same step.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import gaussian_filter1d

from bayes_ddp.emulator.label_error import SNR, label_shifts
from bayes_ddp.emulator.limits import (
    METALLICITIES,
    METALLICITY_NAMES,
    group_rows,
    star_groups,
)
from bayes_ddp.emulator.network import BasisNetwork, PixelNetwork, predict
from bayes_ddp.labels import LabelSpace

if TYPE_CHECKING:
    from bayes_ddp.emulator.training_set import TrainingSet

__all__ = ["validate"]

FOLDS = 10
REGIONS = (3600, 4400, 5000, 5800, 6800, 7600, 8900, 9850)
_SMOOTH_PIXELS = 2.0
_WEAK = 1e-5
_LEAST_STARS = 10


def validate(
    fit: "Callable[[TrainingSet], BasisNetwork | PixelNetwork]",
    network: BasisNetwork | PixelNetwork,
    *,
    known: "TrainingSet",
    apart: "TrainingSet",
    folds: int = FOLDS,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Error spectrum [pixel] float32, and the figures of the card's table ``[validation]``.

    Parameters
    ----------
    fit
        Trains a network on a part of ``known``.
    network
        Network trained on all of ``known``, for the figures of ``apart``.
    known, apart
        Training spectra with reference points, and held-out spectra.
    folds
        Number of parts of ``known``, each left out once; at least two.
    """
    residual = np.empty_like(known.flux)
    change = known.reference_flux[:, 1:] - known.reference_flux[:, :1]
    found = np.empty_like(change)
    order = np.random.default_rng(0).permutation(len(known.names))
    points = np.random.default_rng(1).permutation(len(known.reference_names))
    for fold in range(folds):
        out, out_points = order[fold::folds], points[fold::folds]
        part = fit(known.take(np.setdiff1d(order, out), np.setdiff1d(points, out_points)))
        residual[out] = predict(part, known.labels[out]) - known.flux[out]
        for point in out_points:
            rows = predict(part, known.reference_labels[point])
            found[point] = rows[1:] - rows[0]
    error = gaussian_filter1d(np.quantile(np.abs(residual), 0.683, axis=0), _SMOOTH_PIXELS)
    figures: dict[str, Any] = {
        "method": f"{folds}-fold; rms per star over pixels, then mean and median over stars",
        "cross_validation": _flux_figures(known.wave, residual, known.labels, space=known.space),
        "error_spectrum_median": float(np.median(error)),
    }
    if len(apart.names):
        missed = predict(network, apart.labels) - apart.flux
        figures["held_out"] = _flux_figures(apart.wave, missed, apart.labels, space=apart.space)
    figures["gradient"] = _gradient_figures(known, change, found)
    figures["label_error"] = _label_figures(
        *label_shifts(network, known, residual, error=error), known.space
    )
    return error.astype(np.float32), figures


def _flux_figures(
    wave: np.ndarray, residual: np.ndarray, labels: np.ndarray, *, space: LabelSpace
) -> dict[str, Any]:
    def both(rows: np.ndarray) -> list[float]:
        star = np.sqrt(np.mean(rows.astype(float) ** 2, axis=1))
        return [_round(star.mean()), _round(np.median(star))]

    figures: dict[str, Any] = {"stars": len(residual), "mean_and_median_rms": both(residual)}
    for low, high in pairwise(REGIONS):
        inside = (wave >= low) & (wave < high)
        if inside.any():
            figures[f"wave_{low}_{high}"] = both(residual[:, inside])
    groups = star_groups(labels, space)
    return figures | {name: both(residual[rows]) for name, rows in groups.items() if rows.any()}


def _label_figures(labels: np.ndarray, shift: np.ndarray, space: LabelSpace) -> dict[str, Any]:
    """The 68.3 % quantile of the absolute shifts per label, by group of stars."""
    figures: dict[str, Any] = {
        "stars": len(shift),
        "method": "68.3 % of |shift of a label by the network's error|, out of fold, "
        f"fits at S/N {SNR:.0f} a pixel",
        "labels": list(space.names),
    }
    for name, rows in group_rows(labels, space, least=_LEAST_STARS).items():
        figures[name] = [_round(v) for v in np.quantile(np.abs(shift[rows]), 0.683, axis=0)]
    return figures


def _gradient_figures(
    known: "TrainingSet", change: np.ndarray, found: np.ndarray
) -> dict[str, Any]:
    """Relative rms error per label at the reference points, out of fold.

    change, found : [point, label, pixel], differences of physics and network.
    """

    def rms(rows: np.ndarray) -> np.ndarray:
        return np.sqrt(np.mean(rows.astype(float) ** 2, axis=-1))

    def relative(
        pixels: np.ndarray | slice, points: np.ndarray | slice = slice(None)
    ) -> list[float]:
        wrong, size = rms((found - change)[points][..., pixels]), rms(change[points][..., pixels])
        used = size > _WEAK
        ratio = np.where(used, wrong / np.where(used, size, 1.0), np.nan)
        return [
            _round(np.median(r[np.isfinite(r)])) if np.isfinite(r).any() else float("nan")
            for r in ratio.T
        ]

    if not len(known.reference_names):
        return {"reference_points": 0}
    figures: dict[str, Any] = {
        "reference_points": len(known.reference_names),
        "method": "median over left-out points of rms(network - physics) / rms(physics)",
        "labels": list(known.space.names),
        "all": relative(slice(None)),
    }
    for low, high in pairwise(REGIONS):
        inside = (known.wave >= low) & (known.wave < high)
        if inside.any():
            figures[f"wave_{low}_{high}"] = relative(inside)
    feh = known.reference_labels[:, 0, known.space.index("feh")]
    for name, (least, most) in zip(METALLICITY_NAMES, pairwise(METALLICITIES), strict=True):
        group = (feh >= least) & (feh < most)
        if group.any():
            figures[name] = relative(slice(None), group)
    return figures


def _round(value: float) -> float:
    return float(f"{value:.3g}")
