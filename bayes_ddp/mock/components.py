"""The components of the mock Galaxy: one record each, and the densities they follow.

The model is plausible but not fitted to data. Every number has its paper beside it; ``(?)`` marks
choices without a published value. Lengths are in kpc, velocities in km/s, ages in Gyr, abundances
in dex.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bayes_ddp.galaxy.preset import GALPY2014

__all__ = ["COMPONENTS", "PRESET", "Component", "Knots"]

PRESET = GALPY2014
"""Where the mock's Sun is; the components have lengths and speeds of this scale."""

Shape = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Knots:
    """A piecewise linear relation with constant ends: y at each x, and the spread about it."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    sd: float

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The line at ``x``."""
        return np.interp(x, self.x, self.y)


@dataclass(frozen=True)
class Component:
    """One population of stars.

    shape : (R, z) kpc -> density over any unit.
    local : number of stars at the Sun, relative to the thin disc.
    frame : axes of the velocity ellipsoid. disc: (R, phi, z), its width falls outwards with
        exp(-(R - R0) / 8 kpc) (?). spheroid: (r, phi, theta), its width follows the escape
        speed (?), so that far stars stay bound.
    lag : km/s below the circular speed for a disc; mean v_phi itself for a spheroid.
    sigma : km/s, at the Sun, in the order of ``frame``.
    age : mean and sd of a Gaussian, Gyr; or lowest and highest of a uniform law.
    feh : mean and sd at R0. gradient : dex/kpc. feh_low, feh_high : where [Fe/H] is cut.
    tail : fraction of stars uniform in [Fe/H] from ``tail_end`` to two sd below the mean.
    mg, al : [Mg/Fe] and [Al/Fe] along [Fe/H].
    ni : mean [Ni/Fe].
    """

    name: str
    shape: Shape
    local: float
    frame: Literal["disc", "spheroid"]
    lag: float
    sigma: tuple[float, float, float]
    age: tuple[float, float]
    feh: tuple[float, float]
    mg: Knots
    al: Knots
    age_law: Literal["uniform", "gauss", "thick"] = "gauss"
    age_limit: float = 13.8
    gradient: float = 0.0
    feh_low: float = -4.0
    feh_high: float = 0.5
    tail: float = 0.0
    tail_end: float = -1.8
    ni: float = 0.02

    def density(self, radius: np.ndarray, height: np.ndarray) -> np.ndarray:
        """Stars per kpc3 at (R, z) kpc, relative to the thin disc at the Sun."""
        sun = self.shape(np.array(PRESET.r0), np.array(0.0))
        return self.local * self.shape(radius, height) / sun


def _disc(length: float, height: float) -> Shape:
    return lambda R, z: np.exp(-R / length - np.abs(z) / height)


def _flattened(R: np.ndarray, z: np.ndarray, q: float) -> np.ndarray:
    return np.hypot(R, z / q)


def _aurora(R: np.ndarray, z: np.ndarray) -> np.ndarray:
    return (_flattened(R, z, 0.7) ** 2 + 4.0**2) ** -2  # r^-4 with a core of 4 kpc (?)


def _ges(R: np.ndarray, z: np.ndarray) -> np.ndarray:
    m = np.maximum(_flattened(R, z, 0.6), 0.5) / 27.0  # no cusp within 0.5 kpc (?)
    return np.where(m < 1, m**-2.3, m**-4.6)  # Deason, Belokurov & Evans (2011)


def _accreted(R: np.ndarray, z: np.ndarray) -> np.ndarray:
    return np.maximum(_flattened(R, z, 0.8), 0.5) ** -3.5


_THICK_MG = Knots((-2.0, -0.7, 0.0, 0.3), (0.35, 0.33, 0.15, 0.08), 0.035)
_THICK_AL = Knots((-1.0, -0.4, 0.0), (0.25, 0.25, 0.12), 0.05)

COMPONENTS = (
    Component(  # density Jurić+2008, kinematics Bensby+2003, [Fe/H] Hayden+2014, Anders+2017
        name="thin",
        shape=_disc(2.6, 0.30),
        local=1.0,
        frame="disc",
        lag=15.0,
        sigma=(35.0, 20.0, 16.0),
        age=(0.5, 8.0),
        feh=(-0.02, 0.20),
        mg=Knots((-1.0, 1.0), (0.18, -0.12), 0.03),
        al=Knots((0.0,), (0.02,), 0.05),
        age_law="uniform",
        gradient=-0.06,
    ),
    Component(  # Bland-Hawthorn & Gerhard (2016), Jurić+2008, Bensby+2003, Xiang & Rix (2022)
        name="thick",
        shape=_disc(2.0, 0.90),
        local=0.12,
        frame="disc",
        lag=46.0,
        sigma=(67.0, 38.0, 35.0),
        age=(10.5, 1.0),
        feh=(-0.55, 0.25),
        mg=_THICK_MG,
        al=_THICK_AL,
        age_law="thick",
        tail=0.05,
    ),
    Component(  # Belokurov+2020; height and number (?)
        name="splash",
        shape=_disc(2.0, 2.0),
        local=0.004,
        frame="spheroid",
        lag=25.0,
        sigma=(110.0, 100.0, 80.0),
        age=(10.0, 1.0),
        feh=(-0.6, 0.15),
        mg=_THICK_MG,
        al=_THICK_AL,
    ),
    Component(  # Belokurov & Kravtsov (2022)
        name="aurora",
        shape=_aurora,
        local=0.0008,
        frame="spheroid",
        lag=50.0,
        sigma=(110.0, 100.0, 95.0),
        age=(12.8, 0.5),
        feh=(-1.5, 0.35),
        mg=Knots((0.0,), (0.33,), 0.06),
        al=Knots((-1.7, -1.0), (-0.25, 0.2), 0.10),
        feh_high=-0.9,
    ),
    Component(  # Deason+2011, Naidu+2019-2020, Belokurov+2018, Feuillet+2020; Al Hawkins+2015
        name="ges",
        shape=_ges,
        local=0.003,
        frame="spheroid",
        lag=0.0,
        sigma=(180.0, 60.0, 60.0),
        age=(11.5, 1.0),
        feh=(-1.2, 0.35),
        mg=Knots((-2.5, -1.5, -1.2, -0.9, -0.6), (0.36, 0.28, 0.20, 0.10, 0.03), 0.06),
        al=Knots((0.0,), (-0.25,), 0.08),
        age_limit=13.5,
        ni=-0.08,
    ),
    Component(
        name="accreted",
        shape=_accreted,
        local=0.0013,
        frame="spheroid",
        lag=0.0,
        sigma=(130.0, 115.0, 115.0),
        age=(12.0, 1.0),
        feh=(-1.7, 0.45),
        mg=Knots((0.0,), (0.25,), 0.10),
        al=Knots((0.0,), (-0.25,), 0.12),
    ),
)
"""Thin disc, thick disc, Splash, Aurora (in-situ halo), the last major merger, other debris."""
