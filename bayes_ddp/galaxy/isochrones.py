"""Teff, log g and luminosity of a star from mass, age and metallicity (MIST isochrones).

Between the tabulated [Fe/H] and ages, stars of equal evolutionary phase (EEP) are interpolated
linearly, initial mass included, so that turn-off and giant branch keep their shapes (Dotter 2016).
A star is then found on its own isochrone by its initial mass. Beyond the tabulated [Fe/H] (-4 to
0.5) and ages (0.1 to 16 Gyr) the edge stands in.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from bayes_ddp.galaxy.mist import FIRST_EEP, load_tables

__all__ = ["Isochrones", "StarProperties", "effective_metallicity", "load_isochrones"]

_ALPHA_SHARE = 0.69
"""f of Salaris et al. (1993) for the solar mixture of the isochrones (Grevesse & Sauval 1998)."""

_SUN = 4.438, 3.7617  # log g and log Teff of the Sun


def effective_metallicity(feh: np.ndarray, alpha_fe: np.ndarray) -> np.ndarray:
    """[M/H] of the solar-scaled isochrone that approximates these [Fe/H] and [alpha/Fe].

    Salaris, Chieffi & Straniero (1993), ApJ 414, 580, with f = 0.69.

    >>> effective_metallicity(-1.0, 0.0)
    np.float64(-1.0)
    """
    return feh + np.log10(_ALPHA_SHARE * 10.0 ** np.asarray(alpha_fe) + 1 - _ALPHA_SHARE)


@dataclass(frozen=True)
class StarProperties:
    """Properties of stars from isochrones, each [star]; NaN beyond the ends of an isochrone.

    teff : K. logg. log_lum : log10 L / L_sun. mass : present mass, M_sun. eep : equal
    evolutionary phase (202 zero age, 353 and 454 middle and end of the main sequence, 605 tip of
    the giant branch, 631 to 707 core helium burning, 808 first thermal pulse). initial_mass :
    M_sun.
    """

    teff: np.ndarray
    logg: np.ndarray
    log_lum: np.ndarray
    mass: np.ndarray
    eep: np.ndarray
    initial_mass: np.ndarray


@dataclass(frozen=True)
class Isochrones:
    """Isochrones on a grid: feh, log_age (log10 yr), and by [feh age eep] the stars on them."""

    feh: np.ndarray
    log_age: np.ndarray
    initial_mass: np.ndarray
    log_teff: np.ndarray
    logg: np.ndarray
    log_lum: np.ndarray

    def star(
        self, feh: np.ndarray, log_age: np.ndarray, initial_mass: np.ndarray
    ) -> StarProperties:
        """Properties of stars; all arguments [star].

        feh : effective metallicity. log_age : log10 yr. initial_mass : M_sun.
        """
        mass = np.atleast_1d(np.asarray(initial_mass, float))
        cells, weight = self._corners(*np.broadcast_arrays(feh, log_age, mass)[:2])
        low, high = self._ends(cells)

        def mass_at(eep: np.ndarray) -> np.ndarray:
            return self._mix(self.initial_mass, cells, weight, eep=eep)

        alive = (high > low) & (mass >= mass_at(low)) & (mass <= mass_at(high))
        left, right = low.copy(), high.copy()
        while np.any(right - left > 1):
            middle = (left + right) // 2
            above = mass_at(middle) > mass
            right = np.where(above, middle, right)
            left = np.where(above, left, middle)
        right = np.minimum(left + 1, high)
        first, last = mass_at(left), mass_at(right)
        gap = last - first
        part = np.where(gap > 0, (mass - first) / np.where(gap > 0, gap, 1.0), 0.0)

        def value(grid: np.ndarray) -> np.ndarray:
            ends = [self._mix(grid, cells, weight, eep=at) for at in (left, right)]
            return np.where(alive, ends[0] + part * (ends[1] - ends[0]), np.nan)

        return _properties(
            value(self.log_teff),
            value(self.logg),
            value(self.log_lum),
            eep=np.where(alive, FIRST_EEP + left + part, np.nan),
            initial_mass=np.where(alive, mass, np.nan),
        )

    def along(self, feh: float, log_age: float) -> StarProperties:
        """One isochrone from the lightest star to the first thermal pulse, [eep]."""
        cells, weight = self._corners(np.array([feh]), np.array([log_age]))
        low, high = self._ends(cells)
        eep = np.arange(int(low[0]), int(high[0]) + 1)
        cells, weight = cells[:, :, [0] * len(eep)], weight[:, [0] * len(eep)]
        log_teff, logg, log_lum, mass = (
            self._mix(grid, cells, weight, eep=eep)
            for grid in (self.log_teff, self.logg, self.log_lum, self.initial_mass)
        )
        phase = (FIRST_EEP + eep).astype(float)
        return _properties(log_teff, logg, log_lum, eep=phase, initial_mass=mass)

    def _corners(self, feh: np.ndarray, log_age: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """([corner, (feh, age), star] grid indices, [corner star] weights)."""
        indices, parts = [], []
        for nodes, values in ((self.feh, feh), (self.log_age, log_age)):
            inside = np.clip(np.atleast_1d(np.asarray(values, float)), nodes[0], nodes[-1])
            at = np.clip(np.searchsorted(nodes, inside, side="right") - 1, 0, len(nodes) - 2)
            indices.append(at)
            parts.append((inside - nodes[at]) / (nodes[at + 1] - nodes[at]))
        cells, weight = [], []
        for i in (0, 1):
            for j in (0, 1):
                share = (parts[0] if i else 1 - parts[0]) * (parts[1] if j else 1 - parts[1])
                # a corner without weight may be an isochrone that ends earlier: stay on the other
                near = [
                    np.where(part > 0, at + k, at)
                    for at, part, k in zip(indices, parts, (i, j), strict=True)
                ]
                cells.append(near)
                weight.append(share)
        return np.array(cells), np.array(weight)

    def _ends(self, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First and last EEP, counted from ``FIRST_EEP``, that all corners have, [star]."""
        known = np.isfinite(self.initial_mass)
        first = np.argmax(known, axis=2)
        last = known.shape[2] - 1 - np.argmax(known[:, :, ::-1], axis=2)
        low = np.max([first[f, a] for f, a in cells], axis=0)
        return low, np.min([last[f, a] for f, a in cells], axis=0)

    def _mix(
        self, grid: np.ndarray, cells: np.ndarray, weight: np.ndarray, *, eep: np.ndarray
    ) -> np.ndarray:
        corners = zip(cells, weight, strict=True)
        return np.sum([w * grid[f, a, eep] for (f, a), w in corners], axis=0)


def _properties(
    log_teff: np.ndarray,
    logg: np.ndarray,
    log_lum: np.ndarray,
    *,
    eep: np.ndarray,
    initial_mass: np.ndarray,
) -> StarProperties:
    # M = g R^2 with R^2 = L / Teff^4, all in units of the Sun's
    log_mass = logg - _SUN[0] + log_lum - 4 * (log_teff - _SUN[1])
    return StarProperties(10.0**log_teff, logg, log_lum, 10.0**log_mass, eep, initial_mass)


def _filled(grid: np.ndarray) -> np.ndarray:
    """The grid with missing phases within an isochrone interpolated."""
    full, eep = grid.copy(), np.arange(grid.shape[2])
    for row in full.reshape(-1, grid.shape[2]):
        known = np.flatnonzero(np.isfinite(row))
        if len(known):
            inside = slice(known[0], known[-1] + 1)
            row[inside] = np.interp(eep[inside], known, row[known])
    return full


@cache
def load_isochrones() -> Isochrones:
    """The isochrones of ``models/mist``; raises ValueError if the checksum is not the card's."""
    tables = load_tables()
    stars = ("initial_mass", "log_teff", "logg", "log_lum")
    return Isochrones(
        feh=tables["feh"], log_age=tables["log_age"], **{n: _filled(tables[n]) for n in stars}
    )
