"""The control sample: stars with labels, magnitudes and parallaxes behind little dust.

Selections use labels, positions and dust only, and no quantity that depends on the measured
parallax but the expected dust in front of the star. A cut in parallax over error would prefer
parallaxes that are too large.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord

from bayes_ddp.galaxy.bolometric import ALL_BANDS, Law
from bayes_ddp.galaxy.distance_settings import EMPIRICAL_FLOORS, DistanceSettings
from bayes_ddp.galaxy.distances import observe
from bayes_ddp.galaxy.label_draws import LabelDraws
from bayes_ddp.galaxy.label_moments import label_moments
from bayes_ddp.galaxy.observed import MODULUS, Observed, Tables
from bayes_ddp.galaxy.photometry import Photometry

__all__ = ["CalibrationSettings", "Control", "select_control"]

_PRECISE = 4.0  # parallax over error from which dust is taken in front of the star alone


@dataclass(frozen=True)
class CalibrationSettings:
    """How empirical magnitudes are learned.

    max_ebv : mag, largest E(B-V) in front of a control star. min_latitude : deg, smallest absolute
    Galactic latitude. ruwe : limit above which a parallax is not used. fewest : control stars
    that a band needs, and the sample. law : extinction law. floor, inflation : mas added in
    quadrature to the error of the parallax, and factor on it. zero_point : mas, of parallaxes
    whose zero point is not known. seed : of the draws for the band zero points.
    """

    max_ebv: float = 0.05
    min_latitude: float = 30.0
    ruwe: float = 1.4
    fewest: int = 60
    law: Law = "fitzpatrick"
    floor: float = 0.01
    inflation: float = 1.0
    zero_point: float | None = None
    seed: int = 1

    def __post_init__(self) -> None:
        limits: dict[str, tuple[float, float]] = {
            "max_ebv": (0.001, 1),
            "min_latitude": (0, 89),
            "ruwe": (1, np.inf),
            "fewest": (40, 100_000),
            "floor": (0, 10),
            "inflation": (0.1, 10),
            "seed": (0, 2**31),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} = {getattr(self, name)}: give {low} to {high}.")

    @property
    def distance(self) -> DistanceSettings:
        """Settings with which stars are observed."""
        return DistanceSettings(
            law=self.law,
            floor=self.floor,
            inflation=self.inflation,
            ruwe=self.ruwe,
            zero_point=self.zero_point,
        )


@dataclass(frozen=True)
class Control:
    """Control stars, NumPy arrays [star].

    rows : in the table that was given. core, spread : [star 3], [star 3 3], mean and covariance of
    (ln Teff, log g, [M/H]). magnitude, variance : [star band], NaN where not measured. parallax,
    parallax_sd : mas, corrected for the zero point; NaN where not used. tables : priors of
    distance and dust. bands : calibrated ones, the reference first. cuts : words -> stars left.
    """

    rows: np.ndarray
    core: np.ndarray
    spread: np.ndarray
    magnitude: np.ndarray
    variance: np.ndarray
    parallax: np.ndarray
    parallax_sd: np.ndarray
    tables: Tables
    bands: tuple[str, ...]
    cuts: dict[str, int]

    def __len__(self) -> int:
        return len(self.rows)


def select_control(
    labels: LabelDraws, photometry: Photometry, settings: CalibrationSettings
) -> Control:
    """The control stars of a table, and how many are left after each cut.

    Raises ValueError, with the numbers of stars after each cut, where too few are left.
    """
    mean, covariance = label_moments(labels)
    stars = observe(labels, photometry, settings.distance, floors=EMPIRICAL_FLOORS)
    ebv = _dust_in_front(stars)
    measured = np.asarray(stars.ivar) > 0
    known = labels.known & np.isfinite(covariance).all(axis=(1, 2))
    cuts, left = {"in the table": len(labels)}, np.ones(len(labels), bool)
    for words, good in (
        ("with labels and errors", known),
        (f"with E(B-V) up to {settings.max_ebv:g}", ebv <= settings.max_ebv),
        (f"at |b| from {settings.min_latitude:g} deg", _latitude_above(photometry, settings)),
    ):
        left = left & good
        cuts[words] = int(left.sum())
    reference = _reference(measured[left], settings.fewest)
    if reference:
        left &= measured[:, ALL_BANDS.index(reference)]
        cuts[f"with {reference}"] = int(left.sum())
    high = photometry.ruwe > settings.ruwe
    used = (np.asarray(stars.parallax_ivar) > 0) & ~high
    cuts[f"with parallax and RUWE up to {settings.ruwe:g}"] = int((left & used).sum())
    if not reference or (left & used).sum() < settings.fewest:
        raise ValueError(
            f"The control sample is too small: {_sentence(cuts)}; at least {settings.fewest} with "
            "labels, G or Ks, and parallax are needed. Give more stars, or relax --max-ebv or "
            "--min-latitude."
        )
    rows = np.flatnonzero(left)
    bands = _calibrated(measured[rows], reference, settings.fewest)
    return _taken(stars, rows, mean=mean, covariance=covariance, used=used, bands=bands, cuts=cuts)


def _taken(
    stars: Observed,
    rows: np.ndarray,
    *,
    mean: np.ndarray,
    covariance: np.ndarray,
    used: np.ndarray,
    bands: tuple[str, ...],
    cuts: dict[str, int],
) -> Control:
    ivar = np.asarray(stars.ivar)[rows]
    measured = ivar > 0
    sd = 1 / np.sqrt(np.where(used, np.asarray(stars.parallax_ivar), 1.0))
    return Control(
        rows=rows,
        core=mean[rows],
        spread=covariance[rows],
        magnitude=np.where(measured, np.asarray(stars.magnitude)[rows], np.nan),
        variance=np.where(measured, 1 / np.where(measured, ivar, 1.0), np.nan),
        parallax=np.where(used, np.asarray(stars.parallax), np.nan)[rows],
        parallax_sd=np.where(used, sd, np.nan)[rows],
        tables=Tables(stars.tables.volume[rows], stars.tables.dust[rows]),
        bands=bands,
        cuts=cuts,
    )


def _dust_in_front(stars: Observed) -> np.ndarray:
    """[star], mag, mean E(B-V) at the distance of the parallax; of all dust without one."""
    sd = 1 / np.sqrt(np.maximum(np.asarray(stars.parallax_ivar), 1e-12))
    parallax = np.asarray(stars.parallax)
    near = parallax > _PRECISE * sd
    modulus = np.where(near, 10 - 5 * np.log10(np.where(near, parallax, 1.0)), MODULUS[-1])
    table = np.asarray(stars.tables.dust)[..., 0]
    found = [np.interp(m, MODULUS, row) for m, row in zip(modulus, table, strict=True)]
    return np.array(found)


def _latitude_above(photometry: Photometry, settings: CalibrationSettings) -> np.ndarray:
    """[star] bool; a star without a position is left out unless the limit is 0."""
    if not settings.min_latitude:
        return np.ones(len(photometry), bool)
    placed = np.isfinite(photometry.ra) & np.isfinite(photometry.dec)
    ra, dec = (np.where(placed, x, 0.0) * u.deg for x in (photometry.ra, photometry.dec))
    result: np.ndarray = placed & (
        np.abs(SkyCoord(ra, dec).galactic.b.deg) >= settings.min_latitude
    )
    return result


def _reference(measured: np.ndarray, fewest: int) -> str:
    """G where enough stars have it, else Ks, else nothing."""
    number = measured.sum(axis=0)
    return next((b for b in ("G", "Ks") if number[ALL_BANDS.index(b)] >= fewest), "")


def _calibrated(measured: np.ndarray, reference: str, fewest: int) -> tuple[str, ...]:
    enough = [band for i, band in enumerate(ALL_BANDS) if measured[:, i].sum() >= fewest]
    return (reference, *(band for band in enough if band != reference))


def _sentence(cuts: dict[str, int]) -> str:
    words: Sequence[str] = [f"{number} stars {text}" for text, number in cuts.items()]
    return ", ".join(words)
