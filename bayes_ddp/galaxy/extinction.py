"""Reddening by a model of Galactic dust, and the extinction in each band.

E(B-V) is on the scale of Schlegel, Finkbeiner & Davis (1998), as DESI's FIBERMAP has it, which by
Schlafly & Finkbeiner (2011) means A_V = 2.742 E(B-V). Gaia and 2MASS: the difference of MIST's
bolometric corrections with and without this A_V, so it depends on the star (Cardelli et al. 1989
inside). g, r, z: 3.214, 2.165 and 1.211 per E(B-V), as the DESI Legacy Imaging Surveys give them.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from bayes_ddp.galaxy.magnitudes import bolometric_corrections

__all__ = ["LEGACY", "dust", "extinction"]

AV_PER_EBV = 2.742
LEGACY = {"g": 3.214, "r": 2.165, "z": 1.211}
"""Extinction per E(B-V) in the bands of the DESI Legacy Imaging Surveys."""

_SUN_HEIGHT = 0.0208  # kpc (Bennett & Bovy 2019)
_SUN_RADIUS = 8.0
_SCALE_LENGTH, _SCALE_HEIGHT = 3.2, 0.10
"""kpc, of an exponential dust disc (Li et al. 2018, ApJ 858, 75: 3.19 and 0.103)."""

_LOCAL = 0.26
"""mag of E(B-V) per kpc in the plane at the Sun: 0.026 to the pole, (?) between the 0.015 and 0.05
of maps at high latitude."""

_STEPS, _FARTHEST = 200, 30.0  # number of steps; kpc, beyond which there is no dust


def extinction(
    bands: Sequence[str], teff: np.ndarray, logg: np.ndarray, *, feh: np.ndarray, ebv: np.ndarray
) -> dict[str, np.ndarray]:
    """Band -> extinction in mag, [star].

    bands : of G, BP, RP, J, H, Ks, g, r, z. feh : effective metallicity. ebv : mag.
    """
    found: dict[str, np.ndarray] = {}
    mist = [band for band in bands if band not in LEGACY]
    if mist:
        clear = bolometric_corrections(teff, logg, feh)
        dimmed = bolometric_corrections(teff, logg, feh, av=AV_PER_EBV * np.asarray(ebv))
    for band in bands:
        if band in LEGACY:
            found[band] = LEGACY[band] * np.asarray(ebv)
        else:
            found[band] = clear[band] - dimmed[band]
    return found


def dust(lon: np.ndarray, lat: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """[star], mag, foreground E(B-V) of stars at Galactic lon, lat (rad) and distance (kpc).

    An exponential disc of dust, integrated along the line of sight by the midpoint rule on fixed
    cells that grow with distance (to 1e-3 of the result above 10 degrees of latitude). It never
    falls with distance.
    """
    lon, lat, distance = (np.asarray(x, float) for x in np.broadcast_arrays(lon, lat, distance))
    edges = _FARTHEST * np.linspace(0, 1, _STEPS + 1) ** 2
    total = np.zeros(np.shape(distance))
    for low, high in pairwise(edges):
        along = 0.5 * (low + high)
        flat = along * np.cos(lat)
        radius = np.sqrt(_SUN_RADIUS**2 + flat**2 - 2 * _SUN_RADIUS * flat * np.cos(lon))
        height = np.abs(_SUN_HEIGHT + along * np.sin(lat))
        density = np.exp(-(radius - _SUN_RADIUS) / _SCALE_LENGTH - height / _SCALE_HEIGHT)
        total += density * np.clip(distance - low, 0, high - low)
    return _LOCAL * total
