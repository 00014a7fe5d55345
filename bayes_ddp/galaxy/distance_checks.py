"""Checks of distance posteriors: what dominates them, what they do not constrain, warnings."""

import numpy as np

from bayes_ddp.flags import WARN
from bayes_ddp.galaxy.library import load_library
from bayes_ddp.galaxy.observed import MODULUS
from bayes_ddp.galaxy.photometry import Photometry
from bayes_ddp.galaxy.records import DistancePosterior

__all__ = ["age_is_known", "check_distances", "parallax_share"]

_FEWEST = 100.0  # effective proposals
_POOR = 5.0  # mean chi2 per band
_MANY, _MOSTLY = 0.05, 0.5  # of the posterior
_NARROWER = 0.7
"""An age is known if its standard deviation is below this fraction of the prior's."""

_TEFF = (3050.0, 11900.0)  # K, just inside the table of magnitudes
_BIN = 0.1  # dex, of the library's [M/H]


def parallax_share(record: DistancePosterior, ivar: np.ndarray) -> np.ndarray:
    """[star], share of the information on 1 / distance that is the parallax's, 0 to 1.

    ivar : mas^-2, of the parallax; 0 without one. The share is the posterior variance of the
    parallax times this, which is exact for a Gaussian posterior.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        share: np.ndarray = np.clip(np.var(1 / record["dist"], axis=0) * ivar, 0.0, 1.0)
    return share


def age_is_known(record: DistancePosterior, volume: np.ndarray) -> np.ndarray:
    """[star] bool, whether the data narrow the age.

    The spread of the posterior is compared with that of the prior for stars of the same [M/H]
    at the same distance. volume : [star modulus population].
    """
    total, mean, square = _prior_ages()
    modulus = 5 * np.log10(np.median(record["dist"], axis=0)) + 10
    metals = np.median(record.labels[..., 2], axis=0)
    good = np.isfinite(modulus) & np.isfinite(metals)
    step = MODULUS[1] - MODULUS[0]
    far = np.clip(np.rint((np.where(good, modulus, 0) - MODULUS[0]) / step), 0, len(MODULUS) - 1)
    row = np.clip(np.rint((np.where(good, metals, 0) + 4) / _BIN), 0, len(total) - 1).astype(int)
    share = volume[np.arange(len(volume)), far.astype(int)] * total[row]
    share /= np.maximum(share.sum(axis=1, keepdims=True), 1e-300)
    first, second = (np.sum(share * table[row], axis=1) for table in (mean, square))
    prior = np.sqrt(np.maximum(second - first**2, 0.0))
    with np.errstate(invalid="ignore"):
        known: np.ndarray = good & (np.std(record["age"], axis=0) < _NARROWER * prior)
    return known


def _prior_ages() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[metallicity population]: number of stars, mean age and mean square of the age, Gyr."""
    library = load_library()
    weight = np.asarray(library.weight).reshape(-1, library.weight.shape[-1])
    metals = np.asarray(library.place)[..., 2].ravel()
    age = 10 ** (np.asarray(library.log_age).ravel() - 9)
    row = np.rint((metals + 4) / _BIN).astype(int)
    size = row.max() + 1
    sums = [
        np.stack([np.bincount(row, w * age**power, size) for w in weight.T], axis=1)
        for power in range(3)
    ]
    safe = np.maximum(sums[0], 1e-300)
    return sums[0], sums[1] / safe, sums[2] / safe


def check_distances(
    record: DistancePosterior,
    photometry: Photometry,
    *,
    parallax_used: np.ndarray,
    ruwe: float,
) -> np.ndarray:
    """[star] int64, the bits of ``WARN`` of a record whose diagnostics are complete."""
    figures, dist = record.diagnostics, record["dist"]
    missing = ~np.isfinite(dist).all(axis=0) | ~np.isfinite(figures["ess"])
    outside = figures.get("outside", np.zeros(len(record)))
    missing |= outside > _MOSTLY
    modulus, teff = 5 * np.log10(dist) + 10, record.labels[..., 0]
    off = (modulus < MODULUS[1]) | (modulus > MODULUS[-2])
    off |= (teff < _TEFF[0]) | (teff > _TEFF[1])
    suspect = (photometry.ruwe > ruwe) | ~np.isfinite(photometry.zero_point)
    with np.errstate(invalid="ignore", divide="ignore"):
        poor = figures["chi2"] > _POOR * figures["bands"]
    warn = np.zeros(len(record), np.int64)
    for bit, condition in (
        (WARN.FEW_PROPOSALS, figures["ess"] < _FEWEST),
        (WARN.PARALLAX_WARN, parallax_used & suspect),
        (WARN.PHOTOMETRY_WARN, poor & (figures["bands"] > 0)),
        (WARN.NO_PHOTOMETRY, figures["bands"] == 0),
        (WARN.DISTANCE_EDGE, (off.mean(axis=0) > _MANY) | (outside > _MANY)),
    ):
        warn |= np.where(condition & ~missing, int(bit), 0)
    return warn | np.where(missing, int(WARN.NO_DISTANCE), 0)
