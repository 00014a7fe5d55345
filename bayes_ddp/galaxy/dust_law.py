"""Extinction laws, and how the bands of MIST change from one law to the other.

The bolometric corrections of MIST are reddened with the law of Cardelli, Clayton & Mathis (1989)
with the optical part of O'Donnell (1994). Maps of E(B-V) are used with Fitzpatrick (1999), R_V =
3.1 (Schlafly & Finkbeiner 2011). ``law_ratio`` is what the extinction in a band is multiplied by:
the ratio of both laws at the wavelength where the first gives the band's extinction for the Sun.
"""

from functools import cache

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.optimize import brentq

__all__ = ["cardelli", "fitzpatrick", "law_ratio"]

_R_V = 3.1
_BRACKETS = {
    "G": (0.50, 0.80),
    "BP": (0.42, 0.62),
    "RP": (0.66, 0.90),
    "J": (1.1, 1.45),
    "H": (1.45, 1.9),
    "Ks": (1.9, 2.5),
}
"""µm, between which the wavelength of each band is looked for."""

_SUN_RATIO = {"G": 0.876, "BP": 1.074, "RP": 0.647, "J": 0.290, "H": 0.183, "Ks": 0.118}
"""A_X / A_V of MIST's tables for 5772 K, log g 4.438 and little dust."""


def cardelli(wave: np.ndarray) -> np.ndarray:
    """A(wave) / A_V for R_V = 3.1, wave in µm from 0.303 to 3.33."""
    x = 1 / np.asarray(wave, float)
    y = x - 1.82
    optical_a = np.polynomial.polynomial.polyval(
        y, (1.0, 0.104, -0.609, 0.701, 1.137, -1.718, -0.827, 1.647, -0.505)
    )
    optical_b = np.polynomial.polynomial.polyval(
        y, (0.0, 1.952, 2.908, -3.989, -7.985, 11.102, 5.491, -10.805, 3.347)
    )
    infrared = x**1.61
    a = np.where(x < 1.1, 0.574 * infrared, optical_a)
    b = np.where(x < 1.1, -0.527 * infrared, optical_b)
    return a + b / _R_V


@cache
def _spline() -> CubicSpline:
    """A / E(B-V) against 1 / µm through the anchors of Fitzpatrick (1999), Table 3, R_V = 3.1."""
    x = 1 / np.array([np.inf, 2.65, 1.22, 0.6, 0.547, 0.467, 0.411, 0.27, 0.26])
    y = np.array(
        [
            0.0,
            0.265 * _R_V / 3.1,
            0.829 * _R_V / 3.1,
            -0.426 + 1.0044 * _R_V,
            -0.050 + 1.0016 * _R_V,
            0.701 + 1.0016 * _R_V,
            1.208 + 1.0032 * _R_V - 0.00033 * _R_V**2,
            *(_ultraviolet(x[-2:]) + _R_V),
        ]
    )
    return CubicSpline(x, y, bc_type="natural")


def _ultraviolet(x: np.ndarray) -> np.ndarray:
    """E(wave - V) / E(B-V) after Fitzpatrick & Massa (1990), constants of Fitzpatrick (1999)."""
    c2 = -0.824 + 4.717 / _R_V
    c1 = 2.030 - 3.007 * c2
    bump = x**2 / ((x**2 - 4.596**2) ** 2 + (x * 0.99) ** 2)
    return c1 + c2 * x + 3.23 * bump  # the term of the far ultraviolet is 0 below 5.9 / µm


def fitzpatrick(wave: np.ndarray) -> np.ndarray:
    """A(wave) / A_V for R_V = 3.1, wave in µm from 0.27 on; A_V is that of the law at 0.55 µm."""
    x = 1 / np.asarray(wave, float)
    return _spline()(x) / _R_V


@cache
def law_ratio(band: str) -> float:
    """Fitzpatrick's over Cardelli's extinction per A_V in one of G, BP, RP, J, H, Ks."""
    low, high = _BRACKETS[band]
    target = _SUN_RATIO[band]
    wave = brentq(lambda w: float(cardelli(w)) - target, low, high)
    return float(fitzpatrick(wave)) / target
