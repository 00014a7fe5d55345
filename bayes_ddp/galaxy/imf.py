"""The initial mass function of Kroupa (2001)."""

import numpy as np

__all__ = ["KROUPA_BREAK", "KROUPA_LOW", "imf_fraction", "imf_number"]

KROUPA_LOW = 0.1
"""Solar masses; lighter stars are not on the isochrones."""

KROUPA_BREAK = 0.5
_TOP = 120.0


def imf_fraction(mass: np.ndarray) -> np.ndarray:
    """Fraction of stars born lighter than ``mass``, Msun, of those above ``KROUPA_LOW``.

    Kroupa (2001): m^-1.3 below 0.5 Msun, m^-2.3 above.

    >>> imf_fraction(np.array([0.1, 0.5, 120.0])).round(2).tolist()
    [0.0, 0.73, 1.0]
    """
    return imf_number(mass) / imf_number(np.array(_TOP))


def imf_number(mass: np.ndarray) -> np.ndarray:
    """The same, not normalised: the integral of m^-1.3, and of m^-2.3 / 2 above 0.5 Msun."""
    light = (KROUPA_LOW**-0.3 - np.minimum(mass, KROUPA_BREAK) ** -0.3) / 0.3
    heavy = KROUPA_BREAK * (KROUPA_BREAK**-1.3 - np.maximum(mass, KROUPA_BREAK) ** -1.3) / 1.3
    return light + heavy
