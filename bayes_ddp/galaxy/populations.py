"""The Galaxy that distances assume before the data: thin disc, thick disc and halo.

Each component has a density in space and laws of [M/H] and age; a star's metallicity therefore
changes how its distance is weighted. The exponentially decreasing volume density of Bailer-Jones
(2015) has no components; it biases halo stars and is there for comparison.

Densities: Jurić et al. (2008) and Bland-Hawthorn & Gerhard (2016) for the discs, r^-3.5 with q =
0.7 (?) for the halo, 0.5 % of the thin disc at the Sun (Jurić et al. 2008). No selection function.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr

from bayes_ddp.galaxy.preset import GALPY2014

__all__ = ["POPULATIONS", "Population", "densities"]

OLDEST = 13.8
"""Gyr, the highest age of a star."""


@dataclass(frozen=True)
class Population:
    """One component.

    local : stars at the Sun relative to the thin disc. length, height : kpc, of an exponential
    disc; a halo has none. mh : mean and standard deviation of [M/H]. age : mean and standard
    deviation of a Gaussian, Gyr, cut at 0.1 and 13.8.
    """

    name: str
    local: float
    mh: tuple[float, float]
    age: tuple[float, float]
    length: float = 0.0
    height: float = 0.0

    def density(self, radius: np.ndarray, height: np.ndarray) -> np.ndarray:
        """Stars per volume at (R, z) kpc, relative to the thin disc at the Sun."""
        if self.height:
            fall = (radius - GALPY2014.r0) / self.length + np.abs(height) / self.height
            return self.local * np.exp(-fall)
        radial = np.hypot(np.hypot(radius, height / 0.7), 0.5)  # no cusp within 0.5 kpc (?)
        return self.local * (radial / GALPY2014.r0) ** -3.5

    def share_of_ages(self, edges: np.ndarray) -> np.ndarray:
        """[bin], fraction of the stars born between rising ``edges``, Gyr."""
        mean, sd = self.age
        below = ndtr((np.clip(edges, 0.1, OLDEST) - mean) / sd)
        ends = ndtr((np.array([0.1, OLDEST]) - mean) / sd)
        return np.diff(below) / (ends[1] - ends[0])

    def density_of_metals(self, mh: Any, *, xp: Any = np) -> Any:
        """Density of [M/H] per dex; 2 % of the stars are spread evenly from -4 to 0.5.

        xp : ``numpy``, or ``jax.numpy`` inside ``jit``.
        """
        mean, sd = self.mh
        usual = xp.exp(-0.5 * ((mh - mean) / sd) ** 2) / (sd * np.sqrt(2 * np.pi))
        return 0.98 * usual + 0.02 / 4.5


POPULATIONS = (
    Population("thin", 1.0, mh=(-0.05, 0.22), age=(4.5, 4.0), length=2.6, height=0.30),
    Population("thick", 0.12, mh=(-0.40, 0.28), age=(10.5, 2.0), length=2.0, height=0.90),
    Population("halo", 0.005, mh=(-1.2, 0.55), age=(12.0, 1.5)),
)
"""[M/H] and ages (?) after Hayden+2014, Xiang & Rix (2022), Naidu+2020."""


def densities(
    lon: np.ndarray, lat: np.ndarray, distance: np.ndarray, *, scale: float | None = None
) -> np.ndarray:
    """[..., population], d^3 times the density of each component: the density in ln d.

    lon, lat : rad, Galactic. distance : kpc. scale : kpc of the exponentially decreasing volume
    density d^2 exp(-d / scale), the same for all components, which is used instead if it is given.
    """
    if scale is not None:
        one = distance**3 * np.exp(-distance / scale)
        return np.repeat(one[..., None], len(POPULATIONS), axis=-1)
    flat = distance * np.cos(lat)
    radius = np.sqrt(GALPY2014.r0**2 + flat**2 - 2 * GALPY2014.r0 * flat * np.cos(lon))
    height = GALPY2014.z0 + distance * np.sin(lat)
    each = [distance**3 * part.density(radius, height) for part in POPULATIONS]
    return np.stack(each, axis=-1)
