"""Integrals of motion in kpc and km/s, from positions and velocities in the Galaxy."""

from collections.abc import Mapping

import numpy as np

from bayes_ddp.galaxy.engines import Engine
from bayes_ddp.galaxy.frames import Cylindrical
from bayes_ddp.galaxy.preset import Preset
from bayes_ddp.galaxy.staeckel import Integrals

__all__ = ["CARTESIAN", "QUANTITIES", "cartesian", "cylindrical", "orbit_integrals"]

_ACTIONS, _LENGTHS = ("j_r", "j_phi", "j_z"), ("r_peri", "r_apo", "z_max", "r_guide")
QUANTITIES = (*_ACTIONS, "energy", "ecc", *_LENGTHS)
"""Names of the integrals."""

CARTESIAN = ("x", "y", "z", "v_x", "v_y", "v_z")
"""Names of place and velocity."""


def orbit_integrals(
    star: Cylindrical,
    preset: Preset,
    engine: Engine,
    *,
    scale: tuple[float, float] | None = None,
) -> dict[str, np.ndarray]:
    """Name -> values of the shape of ``star.R``, for every one of ``QUANTITIES``.

    Actions are in kpc km/s, the energy in km2/s2, lengths in kpc. All but ``energy`` and
    ``j_phi`` are NaN for unbound stars, and all where a position or velocity is not finite.

    preset : its values may be arrays that broadcast with those of the stars.
    scale : (kpc, km/s), the potential's own units instead of those of the preset.
    """
    r0, vc = scale or (preset.r0, preset.vc)
    shape = np.shape(star.R)

    def natural(values: np.ndarray, unit: float | np.ndarray) -> np.ndarray:
        return np.broadcast_to(values / unit, shape).ravel()

    units = (r0, 1.0, r0, vc, vc, vc)
    phase = Cylindrical(*(natural(v, u) for v, u in zip(star, units, strict=True)))
    found: Integrals = engine.solve(phase)
    sizes = {"energy": vc * vc, "ecc": 1.0} | dict.fromkeys(_ACTIONS, r0 * vc)
    sizes |= dict.fromkeys(_LENGTHS, r0)
    return {n: getattr(found, n).reshape(shape) * sizes[n] for n in QUANTITIES}


def cartesian(star: Cylindrical) -> dict[str, np.ndarray]:
    """Name -> values: ``x y z`` (kpc) and ``v_x v_y v_z`` (km/s) of Astropy's frame.

    x points from the Sun to the centre and beyond, y along the Sun's rotation, z to the north:
    the Sun is at x = -R0.
    """
    cosine, sine = np.cos(star.phi), np.sin(star.phi)
    return {
        "x": -star.R * cosine,
        "y": star.R * sine,
        "z": star.z,
        "v_x": star.v_phi * sine - star.v_R * cosine,
        "v_y": star.v_R * sine + star.v_phi * cosine,
        "v_z": star.v_z,
    }


def cylindrical(place: Mapping[str, np.ndarray]) -> Cylindrical:
    """The inverse of ``cartesian``."""
    x, y, z, v_x, v_y, v_z = (place[name] for name in CARTESIAN)
    phi = np.arctan2(y, -x)
    cosine, sine = np.cos(phi), np.sin(phi)
    v_R, v_phi = sine * v_y - cosine * v_x, sine * v_x + cosine * v_y
    return Cylindrical(np.hypot(x, y), phi, z, v_R, v_phi, v_z)
