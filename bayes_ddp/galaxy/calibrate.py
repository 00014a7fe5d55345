"""Control stars to a calibration: empirical magnitudes, band zero points, and their card."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from bayes_ddp.galaxy.band_offsets import PRIOR_SD, BandOffsets, band_offsets
from bayes_ddp.galaxy.bolometric import ALL_BANDS
from bayes_ddp.galaxy.calibration import Fit, fit_empirical
from bayes_ddp.galaxy.control import CalibrationSettings, select_control
from bayes_ddp.galaxy.distances import observe, with_zero_points
from bayes_ddp.galaxy.empirical import Calibration
from bayes_ddp.galaxy.label_draws import LabelDraws
from bayes_ddp.galaxy.photometry import Photometry

__all__ = ["calibrate"]

_OUTLIER = 0.5  # share from which a star is counted as an outlier

Progress = Callable[[str, int, int], None]


def calibrate(
    labels: LabelDraws,
    photometry: Photometry,
    settings: CalibrationSettings | None = None,
    *,
    offsets: bool = True,
    progress: Progress | None = None,
) -> tuple[Calibration, Fit]:
    """Empirical magnitudes of control stars, and the zero points of stellar evolution.

    Parameters
    ----------
    labels, photometry
        Of the same stars in the same order, such as ``draws_of_moments`` and ``photometry_of``.
    settings
        Selection of the control stars.
    offsets
        Whether the zero points of the bands are measured, which takes most of the time.
    progress : called with (text, number done, number)

    Returns
    -------
    The calibration, and the fit with the residuals of its stars.

    Raises ValueError where the control sample is too small, RuntimeError without float64.
    """
    settings = settings or CalibrationSettings()
    photometry = with_zero_points(photometry, settings.distance)
    control = select_control(labels, photometry, settings)
    fit = fit_empirical(control, law=settings.law, progress=progress)
    found = BandOffsets.unknown()
    if offsets:
        stars = observe(labels, photometry, settings.distance)
        good = control.rows[(fit.outlier < _OUTLIER) & np.isfinite(control.parallax)]
        some = jax.tree.map(lambda x: x[good], stars)
        found = band_offsets(
            labels.ids[good],
            some,
            errors=photometry.error[good],
            law=settings.law,
            seed=settings.seed,
        )
    card = _card(fit, found, settings)
    return Calibration(fit.model, settings.law, found.given, card), fit


def _card(fit: Fit, offsets: BandOffsets, settings: CalibrationSettings) -> dict[str, Any]:
    """Figures of a calibration; keys without a value are left out."""
    control, bands = fit.control, fit.control.bands
    outputs = [f"M_{bands[0]}", *(f"{band}-{bands[0]}" for band in bands[1:])]
    scatter = np.sqrt(np.diag(fit.mixture.scatter))
    turned = fit.model.turn @ fit.mixture.scatter @ fit.model.turn.T
    used = np.isfinite(fit.residual).sum(axis=0)
    total = [_robust(column[fit.outlier < _OUTLIER]) for column in fit.residual.T]
    low, high = control.core.min(axis=0), control.core.max(axis=0)
    absolute = {
        f"M_{band}": {"scatter": float(np.sqrt(turned[i, i]))}
        for i, band in enumerate(ALL_BANDS)
        if band in bands and band in ("G", "Ks")
    }
    return {
        "stars": len(control),
        "cuts": control.cuts,
        "selection": {
            "max_ebv": settings.max_ebv,
            "min_latitude": settings.min_latitude,
            "ruwe": settings.ruwe,
            "law": settings.law,
        },
        "range": {
            "teff": [float(np.exp(low[0])), float(np.exp(high[0]))],
            "logg": [float(low[1]), float(high[1])],
            "m_h": [float(low[2]), float(high[2])],
            "places": len(fit.model.support),
        },
        "mixture": {
            "fraction_with_companion": fit.mixture.fraction,
            "mean_share_of_pairs": float(fit.pair.mean()),
            "outliers": fit.mixture.outliers,
        },
        "absolute": absolute,
        "outputs": {
            name: {
                "stars": int(used[i]),
                "intrinsic_scatter": float(scatter[i]),
                "total_scatter": total[i],
                "parameters": float(fit.freedom[i]),
            }
            for i, name in enumerate(outputs)
        },
        "zero_points": {
            "prior_sd": PRIOR_SD,
            **{
                band: {
                    "stars": int(offsets.stars[i]),
                    "offset": float(offsets.offset[i]),
                    "error": float(offsets.error[i]),
                    "median": float(offsets.median[i]),
                }
                for i, band in enumerate(ALL_BANDS)
                if np.isfinite(offsets.offset[i])
            },
        },
    }


def _robust(values: np.ndarray) -> float:
    """1.4826 times the median absolute deviation, of the finite values."""
    known = values[np.isfinite(values)]
    return float(1.4826 * np.median(np.abs(known - np.median(known))))
