"""Detection flags of labels: detected, upper limit, prior-dominated or out of range."""

import numpy as np

from bayes_ddp.inference.posterior import Posterior

__all__ = [
    "DETECTED",
    "NOT_FITTED",
    "OUT_OF_RANGE",
    "PRIOR_DOMINATED",
    "UPPER_LIMIT",
    "label_flags",
]

DETECTED, UPPER_LIMIT, PRIOR_DOMINATED, OUT_OF_RANGE, NOT_FITTED = 0, 1, 2, 3, 255
"""Values of the ``_FLAG`` columns; ``NOT_FITTED`` also marks a label that the run held fixed."""

_BY_INFORMATION = ("teff", "logg", "vmic", "feh")


def label_flags(
    posterior: Posterior,
    error: np.ndarray | float = 0.0,
    outside: np.ndarray | bool = False,
    *,
    spread: np.ndarray | float = np.inf,
) -> tuple[np.ndarray, np.ndarray]:
    """(information [star label], flag [star label] uint8) of each label.

    error : [star label], error of the model in addition to the posterior's; NaN counts as 0.
    outside : [star label] bool, whether the label is outside the trained range, or depends on one
        that is.
    spread : [star label], standard deviation of the label among stars.

    Information is ``1 - sd_posterior^2 / sd_prior^2``: 0 if the spectrum does not constrain it.

    The flag depends on the likelihood only. A Gaussian posterior and a Gaussian prior imply a
    Gaussian likelihood, of precision ``1/sd_posterior^2 - 1/sd_prior^2``; the model's error
    (network, and mismatch to real stars) widens it. The lines of an element at abundance x are
    weaker by a factor 10^-dx at x - dx, so in the weak-line limit they stand out of the noise by
    ``1 / (ln 10 sd_likelihood)`` sigma (saturated lines by more). A label is *detected* where the
    likelihood is narrower than the prior and than the spread of the label among stars, so that at
    least half of the variance of the values is that of the stars, and where its lines stand out by
    2 sigma. It has an *upper limit* where they do not, but the likelihood excludes the prior's
    high end (mean plus 2 sd) at 2 sigma; anything else is *prior-dominated*. A label that is
    detected ``outside`` the trained range is *out of range*. Teff, log g, vmic and [Fe/H] shape
    the whole spectrum and do not fade, so information alone detects them. Labels that were fixed,
    or not fitted, have 255.
    """
    sd, prior_sd = posterior.sd, posterior.prior_sd
    with np.errstate(divide="ignore", invalid="ignore"):
        information = np.where(prior_sd > 0, 1 - (sd / prior_sd) ** 2, np.nan)
        weight, prior_weight = 1 / sd**2, 1 / prior_sd**2
        precision = weight - prior_weight
        precision = np.where(
            precision > 0, 1 / (1 / precision + np.nan_to_num(error) ** 2), precision
        )
        pull = np.where(prior_weight > 0, posterior.prior_mean * prior_weight, 0.0)
        centre = (posterior.mean * weight - pull) / (weight - prior_weight)
        high = posterior.prior_mean + 2 * prior_sd
        lines = precision > (2 * np.log(10)) ** 2
        not_high = (centre < high) & (precision * (centre - high) ** 2 > 4)
        sharp = (precision >= prior_weight) & (precision >= 1 / np.square(spread))
    plain = np.array([name in _BY_INFORMATION for name in posterior.names])
    detected = sharp & (plain | lines)
    flag = np.where(detected, DETECTED, np.where(not_high & ~lines, UPPER_LIMIT, PRIOR_DOMINATED))
    flag = np.where((flag == DETECTED) & outside, OUT_OF_RANGE, flag)
    fitted = np.isfinite(posterior.mean) & (sd > 0) & (prior_sd > 0)
    return information, np.where(fitted, flag, NOT_FITTED).astype(np.uint8)
