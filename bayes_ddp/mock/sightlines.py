"""Candidates for a magnitude-limited sample are drawn in cells of sky and distance modulus.

A star at some distance is seen only if its absolute magnitude lies in the window that the survey's
limits leave there. For every component and distance modulus a window of initial masses is found
that holds all stars which could be seen; outside it nothing is drawn. Cells are chosen by an upper
bound of (density x volume x share of the mass function in the window), a position in the cell
uniformly in volume, and kept with the ratio of the density to its bound. What the caller then
rejects (dead stars, stars outside the limits) was drawn in proportion to the density, so what is
left is a fair sample of the magnitude-limited Galaxy.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np

from bayes_ddp.galaxy.frames import from_galactic, galactic_to_icrs
from bayes_ddp.mock.components import COMPONENTS, PRESET, Component
from bayes_ddp.mock.elements import KROUPA_LOW, imf_fraction

__all__ = ["DEC_LOW", "LAT_LOW", "Candidates", "Cells", "draw_candidates", "make_cells"]

LAT_LOW = 20.0
"""Degrees, smallest Galactic latitude of the survey, absolute value."""

DEC_LOW = -20.0
"""Degrees (?): the southern end of the survey."""

MODULUS = np.arange(0.0, 21.01, 0.2)
"""Edges of the cells in distance modulus: 10 pc to 158 kpc."""

_MARGIN = 1.25  # of the density at a cell's corners, over which it does not rise inside
_SPARE = (0.4, 1.2)  # mag beyond the limits: noise; and two stars together, noise
_LON, _LAT = 18, 10  # cells around the sky, and from b = 20 to 90 degrees

Magnitude = Callable[[Component, np.ndarray, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Cells:
    """The cells from which candidates are drawn.

    rate : [component lon lat modulus], upper bound of the expected candidates in a cell, up to
        the number of thin-disc stars per kpc3 at the Sun.
    bound : the same shape, upper bound of the density.
    mass_low, mass_high : [component modulus] Msun, all stars that could be seen.
    """

    rate: np.ndarray
    bound: np.ndarray
    mass_low: np.ndarray
    mass_high: np.ndarray


@dataclass(frozen=True)
class Candidates:
    """Drawn positions, and the range of masses that are observable there.

    component : [star], position in ``COMPONENTS``. lon, lat : rad, Galactic. distance : kpc.
    position : [star 3], (R, phi, z). mass_low, mass_high : Msun.
    overshoot : largest ratio of the density to its bound; the sample is exact up to 1.
    """

    component: np.ndarray
    lon: np.ndarray
    lat: np.ndarray
    distance: np.ndarray
    position: np.ndarray
    mass_low: np.ndarray
    mass_high: np.ndarray
    overshoot: float


def _edges() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges of the cells in l (rad), abs(sin b) and distance (kpc)."""
    lon = np.linspace(0, 2 * np.pi, _LON + 1)  # the centre of the Galaxy lies on an edge
    return lon, np.linspace(np.sin(np.radians(LAT_LOW)), 1, _LAT + 1), _kpc(MODULUS)


def _kpc(modulus: np.ndarray) -> np.ndarray:
    return 10 ** (0.2 * modulus - 2)


def make_cells(magnitude: Magnitude, limits: tuple[float, float]) -> Cells:
    """The cells for a survey between two apparent magnitudes.

    Parameters
    ----------
    magnitude : (component, masses [star], rng) -> [star]
        Absolute magnitudes of stars of a component, of any age and place; NaN for the dead.
    limits : (bright, faint) apparent magnitudes, extinction taken off.
    """
    lon, sine, distance = _edges()
    lon_, sine_, distance_ = np.meshgrid(lon, sine, distance, indexing="ij")
    R, _, z = from_galactic(lon_, np.arcsin(sine_), distance_, preset=PRESET)
    volume = (
        2 * np.diff(lon)[:, None, None] * np.diff(sine)[:, None] * np.diff(distance**3) / 3
    )  # both hemispheres
    shape = (len(COMPONENTS), len(MODULUS) - 1)
    low, high = np.zeros(shape), np.zeros(shape)
    bound = np.empty((len(COMPONENTS), *volume.shape))
    for i, component in enumerate(COMPONENTS):
        rng = np.random.default_rng([7919, i])  # the windows are no part of the draw
        low[i], high[i] = _mass_windows(magnitude, component, limits, rng=rng)
        density = component.density(R, z)
        corners = [
            density[a:, b:, c:][:_LON, :_LAT, : len(MODULUS) - 1]
            for a, b, c in product((0, 1), repeat=3)
        ]
        bound[i] = _MARGIN * np.max(corners, axis=0)
    seen = imf_fraction(high) - imf_fraction(low)
    return Cells(bound * volume * seen[:, None, None, :], bound, low, high)


def _mass_windows(
    magnitude: Magnitude,
    component: Component,
    limits: tuple[float, float],
    *,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest observable mass [modulus]; equal if none is observable."""
    every = np.exp(rng.uniform(np.log(KROUPA_LOW), np.log(6.0), 12_000))
    mass = np.concatenate([every, rng.uniform(0.65, 1.15, 12_000)])  # more near the turn-off
    seen = magnitude(component, mass, rng)
    mass, seen = mass[np.isfinite(seen)], seen[np.isfinite(seen)]
    low, high = np.full((2, len(MODULUS) - 1), KROUPA_LOW)
    for i, (near, far) in enumerate(pairwise(MODULUS)):
        bright, faint = limits[0] - far - _SPARE[0], limits[1] - near + _SPARE[1]
        inside = mass[(seen > bright) & (seen < faint)]
        if len(inside):
            low[i] = max(0.94 * inside.min(), KROUPA_LOW)
            high[i] = 1.04 * inside.max()
    return low, high


def draw_candidates(cells: Cells, count: int, rng: np.random.Generator) -> Candidates:
    """Candidates from ``count`` draws of a cell; some draws are rejected by the density."""
    total = np.cumsum(cells.rate, axis=None)
    cell = np.searchsorted(total, rng.random(count) * total[-1], side="right")
    component, i_lon, i_lat, i_mod = np.unravel_index(cell, cells.rate.shape)
    lon_edge, sine_edge, distance_edge = _edges()
    place = rng.random((3, count))
    side = np.where(rng.random(count) < 0.5, -1.0, 1.0)
    lon = lon_edge[i_lon] + place[0] * np.diff(lon_edge)[i_lon]
    lat = side * np.arcsin(sine_edge[i_lat] + place[1] * np.diff(sine_edge)[i_lat])
    cube = distance_edge**3
    distance = np.cbrt(cube[i_mod] + place[2] * np.diff(cube)[i_mod])
    position = np.stack(from_galactic(lon, lat, distance, preset=PRESET), 1)
    ratio = np.empty(count)
    for i, part in enumerate(COMPONENTS):
        own = component == i
        ratio[own] = part.density(position[own, 0], position[own, 2])
    ratio /= cells.bound[component, i_lon, i_lat, i_mod]
    keep = rng.random(count) < ratio
    keep &= galactic_to_icrs(lon, lat)[1] > np.radians(DEC_LOW)
    return Candidates(
        component=component[keep],
        lon=lon[keep],
        lat=lat[keep],
        distance=distance[keep],
        position=position[keep],
        mass_low=cells.mass_low[component, i_mod][keep],
        mass_high=cells.mass_high[component, i_mod][keep],
        overshoot=float(ratio.max(initial=0.0)),
    )
