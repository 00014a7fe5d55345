"""Input velocities and their errors are checked before they become the prior of the fit.

The error of a velocity is the prior standard deviation of the residual velocity. A survey writes
-1, 0 or 0.1 (of a redshift) if it did not measure the error. The velocity then has a prior of
30 km/s, which is wide compared with the precision of the fit, and the star has ``WARN.RV_WARN``.
"""

import numpy as np

from bayes_ddp.flags import WARN
from bayes_ddp.spectra.masks import LIGHT_SPEED, MAX_VRAD, redshift_velocity

__all__ = ["WIDE_ERROR", "usable_velocities", "from_redshift"]

WIDE_ERROR = 30.0
"""km/s, error of a velocity whose own error is unknown or doubtful."""

_MOST_ERROR = 100.0
"""km/s, largest accepted error of a survey's velocity: half the width of a line at R = 1500."""


def usable_velocities(
    vrad: np.ndarray,
    error: np.ndarray,
    *,
    largest: float = _MOST_ERROR,
    doubtful: np.ndarray | bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(vrad, its error, WARN bits) for the fit.

    Parameters
    ----------
    vrad, error : [star], km/s, NaN if unknown.
    largest : km/s
        An error that is not positive or above this counts as not measured.
    doubtful : [star] bool
        Velocities for which the survey has a warning.

    Returns
    -------
    [star], [star], [star] int64
        NaN and ``BAD_RV`` for a velocity that is unknown or beyond 1500 km/s; an error of 30 km/s
        and ``RV_WARN`` for an error that is not usable or a doubtful velocity.
    """
    good = np.abs(vrad) <= MAX_VRAD  # False for NaN
    wide = ~((error > 0) & (error <= largest)) | doubtful
    warn = np.where(good, np.where(wide, int(WARN.RV_WARN), 0), int(WARN.BAD_RV))
    sd = np.where(wide, WIDE_ERROR, error)
    return np.where(good, vrad, np.nan), np.where(good, sd, np.nan), warn


def from_redshift(
    redshift: np.ndarray, error: np.ndarray, floor: float, *, doubtful: np.ndarray | bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(vrad, its error, WARN bits) as in ``usable_velocities``, from redshifts.

    redshift, error : [star], NaN if unknown. floor : km/s, added in quadrature to a usable error.
    """
    vrad, sd, warn = usable_velocities(
        redshift_velocity(redshift), LIGHT_SPEED * np.asarray(error, float), doubtful=doubtful
    )
    known = (warn & int(WARN.RV_WARN)) == 0
    return vrad, np.where(known, np.hypot(sd, floor), sd), warn
