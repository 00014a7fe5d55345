"""How distances are computed."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from bayes_ddp.galaxy.bolometric import ALL_BANDS, Law

__all__ = ["EMPIRICAL_FLOORS", "FLOORS", "DistanceSettings"]

Prior = Literal["galaxy", "exponential"]
"""Prior of distances."""

LabelPrior = Literal["isochrones", "own"]
"""How common labels are, with empirical magnitudes."""

_CHOICES = {
    "prior": get_args(Prior),
    "law": get_args(Law),
    "label_prior": get_args(LabelPrior),
}

FLOORS = {
    "G": 0.01,
    "BP": 0.02,
    "RP": 0.02,
    "J": 0.02,
    "H": 0.02,
    "Ks": 0.02,
    "g": 0.10,
    "r": 0.10,
    "z": 0.12,
}
"""mag, added in quadrature to the error of a magnitude.

The magnitudes of the Legacy Surveys are predicted from Gaia's bands, which is good to 0.1 mag.
"""

EMPIRICAL_FLOORS = dict.fromkeys(ALL_BANDS, 0.002)
"""The same for empirical magnitudes, whose intrinsic scatter has what the errors lack."""


@dataclass(frozen=True)
class DistanceSettings:
    """How distances are computed.

    draws : per star. bands : of ``ALL_BANDS``, those that are used where they are measured.
    parallax : False hides the parallaxes. prior : ``galaxy``, thin disc, thick disc and halo, or
    ``exponential``, one density with the scale length ``scale`` (kpc). pairs : fraction of stars
    with a companion. law : extinction law. inflation, floor : factor on the error of the
    parallax, and mas added to it in quadrature. zero_point : mas, of parallaxes whose own is not
    known; None takes 0 and sets a bit. zero_point_error : mas, standard deviation of an
    error of the zero point that all stars share. ruwe : limit above which the error of the
    parallax is multiplied by RUWE and a bit is set. offsets : mag per band of ``ALL_BANDS``, which
    are subtracted from the magnitudes. label_prior : with empirical magnitudes, how common labels
    are: as on isochrones, or as the prior of their fit has it. seed : of the draws.
    """

    draws: int = 256
    bands: tuple[str, ...] = ALL_BANDS
    parallax: bool = True
    prior: Prior = "galaxy"
    scale: float = 1.35
    pairs: float = 0.45
    law: Law = "fitzpatrick"
    inflation: float = 1.0
    floor: float = 0.01
    zero_point: float | None = None
    zero_point_error: float = 0.01
    ruwe: float = 1.4
    offsets: tuple[float, ...] = (0.0,) * len(ALL_BANDS)
    label_prior: LabelPrior = "isochrones"
    seed: int = 1

    def __post_init__(self) -> None:
        unknown = [band for band in self.bands if band not in ALL_BANDS]
        if unknown:
            raise ValueError(f"bands = {unknown}: the bands are {' '.join(ALL_BANDS)}.")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} = {getattr(self, name)!r}: give one of {choices}.")
        if not 1 <= self.draws <= 100_000:
            raise ValueError(f"draws = {self.draws}: give 1 to 100000 draws per star.")
        if len(self.offsets) != len(ALL_BANDS) or not np.isfinite(self.offsets).all():
            raise ValueError(
                f"offsets: give {len(ALL_BANDS)} numbers, mag, {' '.join(ALL_BANDS)}."
            )
        limits: dict[str, tuple[float, float]] = {
            "scale": (0.01, 100),
            "pairs": (0, 1),
            "inflation": (0.1, 10),
            "floor": (0, 10),
            "zero_point_error": (0, 1),
            "ruwe": (1, np.inf),
            "seed": (0, 2**31),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} = {getattr(self, name)}: give {low} to {high}.")
