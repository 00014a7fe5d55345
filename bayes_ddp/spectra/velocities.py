"""Velocities that files state, as far as a fit can use them.

The error of a velocity is the prior standard deviation of what the fit adds to it. A survey
writes -1, 0 or 0.1 (of a redshift) where it did not measure the error. Then the velocity is fitted
with an error of 30 km/s, which the spectrum overrules, and the star has ``WARN.RV_WARN``.
"""

import numpy as np

from bayes_ddp.flags import WARN
from bayes_ddp.spectra.masks import LIGHT_SPEED, MAX_VRAD, redshift_velocity

__all__ = ["WIDE_ERROR", "believed", "from_redshift"]

WIDE_ERROR = 30.0
"""km/s, error of a velocity whose own error is unknown or doubtful."""

_MOST_ERROR = 100.0
"""km/s, largest error of a survey's velocity of a star: half the width of a line at R = 1500."""


def believed(
    vrad: np.ndarray,
    error: np.ndarray,
    *,
    largest: float = _MOST_ERROR,
    doubtful: np.ndarray | bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(vrad, its error, [star] WARN bits) of stated velocities.

    Parameters
    ----------
    vrad, error : [star], km/s, NaN where unknown.
    largest : km/s
        An error that is not positive or above this says that it was not measured.
    doubtful : [star] bool
        Velocities that the survey warns of.

    Returns
    -------
    [star], [star], [star] int64
        NaN and ``BAD_RV`` where the velocity is unknown or beyond 1500 km/s; an error of 30 km/s
        and ``RV_WARN`` where the error is not usable or the velocity doubtful.
    """
    good = np.abs(vrad) <= MAX_VRAD  # False for NaN
    wide = ~((error > 0) & (error <= largest)) | doubtful
    warn = np.where(good, np.where(wide, int(WARN.RV_WARN), 0), int(WARN.BAD_RV))
    sd = np.where(wide, WIDE_ERROR, error)
    return np.where(good, vrad, np.nan), np.where(good, sd, np.nan), warn


def from_redshift(
    redshift: np.ndarray, error: np.ndarray, floor: float, *, doubtful: np.ndarray | bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``believed`` of redshifts and their errors, [star], NaN where unknown.

    floor : km/s, added in quadrature to an error that is usable.
    """
    vrad, sd, warn = believed(
        redshift_velocity(redshift), LIGHT_SPEED * np.asarray(error, float), doubtful=doubtful
    )
    known = (warn & int(WARN.RV_WARN)) == 0
    return vrad, np.where(known, np.hypot(sd, floor), sd), warn
