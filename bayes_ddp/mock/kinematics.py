"""Conversion of positions and velocities between sky and Galaxy, and draws of velocities.

The change of frame is linear, so its matrix is taken once from Astropy's Galactocentric frame with
the preset's Sun and used on plain arrays; a test holds it to Astropy star by star. Cylindrical
coordinates are those of galpy: phi = 0 at the Sun, v_phi and L_z positive along its rotation.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bayes_ddp.galaxy.potential import PRESET, circular_speed, escape_speed
from bayes_ddp.mock.components import Component

__all__ = [
    "SPEED_LIMIT",
    "Sky",
    "draw_velocity",
    "from_galactic",
    "galactic_to_icrs",
    "galactocentric",
    "observed",
    "unit_vector",
]

SPEED_LIMIT = 0.95
"""Stars that would be faster than this fraction of the escape speed are drawn again (?)."""

_KMS_PER_MASYR_KPC = 4.740470463533349
_DISC_FALL = 8.0  # kpc (?), length over which a disc's velocity widths fall


@dataclass(frozen=True)
class Sky:
    """Observed positions and motions.

    ra, dec : [star] degrees, ICRS. distance : kpc. pmra (with cos dec), pmdec : mas/yr.
    vrad : km/s, barycentric.
    """

    ra: np.ndarray
    dec: np.ndarray
    distance: np.ndarray
    pmra: np.ndarray
    pmdec: np.ndarray
    vrad: np.ndarray


@lru_cache(maxsize=1)
def _frames() -> tuple[np.ndarray, np.ndarray]:
    """(Galactic -> Galactocentric, Galactic -> ICRS), rotations [3 3] of column vectors."""
    from astropy import units as u
    from astropy.coordinates import (
        ICRS,
        CartesianRepresentation,
        Galactic,
        Galactocentric,
    )

    centre = Galactocentric(
        galcen_distance=PRESET.r0 * u.kpc,
        z_sun=PRESET.z0 * u.kpc,
        galcen_v_sun=np.array(PRESET.sun) * u.km / u.s,
    )
    ends = np.concatenate([np.eye(3), -np.eye(3)], axis=1)  # x, y, z and their opposites
    points = Galactic(CartesianRepresentation(ends * u.kpc))
    rotations = []
    for frame in (centre, ICRS()):
        xyz = points.transform_to(frame).cartesian.xyz.to_value(u.kpc)
        rotations.append(0.5 * (xyz[:, :3] - xyz[:, 3:]))  # the shift of the origin drops out
    return rotations[0], rotations[1]


def _sun() -> np.ndarray:
    """[3] kpc, the Sun in Astropy's Galactocentric frame: x points from the Sun to the centre."""
    return np.array([-np.sqrt(PRESET.r0**2 - PRESET.z0**2), 0.0, PRESET.z0])


def unit_vector(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """[star 3] from angles in radians."""
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def from_galactic(
    lon: np.ndarray, lat: np.ndarray, distance: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(R, phi, z) in kpc, rad, kpc of stars at Galactic (l, b) rad and distance kpc."""
    x, y, z = (_frames()[0] @ (distance[..., None] * unit_vector(lon, lat))[..., None])[..., 0].T
    sun = _sun()
    x, y, z = x + sun[0], y + sun[1], z + sun[2]
    return np.hypot(x, y).T, np.arctan2(y, -x).T, z.T


def galactic_to_icrs(lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(RA, Dec) [star] rad of Galactic (l, b) rad."""
    x, y, z = (unit_vector(lon, lat) @ _frames()[1].T).T
    return np.arctan2(y, x) % (2 * np.pi), np.arcsin(np.clip(z, -1, 1))


def galactocentric(sky: Sky) -> tuple[np.ndarray, np.ndarray]:
    """Position [star 3], (R, phi, z) in kpc and rad, and velocity (v_R, v_phi, v_z) km/s.

    The inverse of ``observed``.
    """
    alpha, delta = np.radians(sky.ra), np.radians(sky.dec)
    radial, east, north = _triad(alpha, delta)
    scale = _KMS_PER_MASYR_KPC * sky.distance
    icrs = (
        radial * sky.vrad[:, None]
        + east * (scale * sky.pmra)[:, None]
        + north * (scale * sky.pmdec)[:, None]
    )
    turn = _frames()[0] @ _frames()[1].T  # ICRS -> Galactocentric
    x = sky.distance[:, None] * radial @ turn.T + _sun()
    v = icrs @ turn.T + np.array(PRESET.sun)
    R, phi = np.hypot(x[:, 0], x[:, 1]), np.arctan2(x[:, 1], -x[:, 0])
    v_r = (x[:, 0] * v[:, 0] + x[:, 1] * v[:, 1]) / R
    v_phi = -(x[:, 0] * v[:, 1] - x[:, 1] * v[:, 0]) / R
    return np.stack([R, phi, x[:, 2]], 1), np.stack([v_r, v_phi, v[:, 2]], 1)


def observed(position: np.ndarray, velocity: np.ndarray) -> Sky:
    """Observables of stars at (R, phi, z) with velocities (v_R, v_phi, v_z), from the Sun."""
    R, phi, z = position.T
    v_r, v_phi, v_z = velocity.T
    x = np.stack([-R * np.cos(phi), R * np.sin(phi), z], 1) - _sun()
    v = np.stack(
        [-v_r * np.cos(phi) + v_phi * np.sin(phi), v_r * np.sin(phi) + v_phi * np.cos(phi), v_z], 1
    ) - np.array(PRESET.sun)
    turn = _frames()[1] @ _frames()[0].T  # Galactocentric -> ICRS
    x, v = x @ turn.T, v @ turn.T
    distance = np.sqrt(np.sum(x**2, axis=1))
    alpha, delta = np.arctan2(x[:, 1], x[:, 0]) % (2 * np.pi), np.arcsin(x[:, 2] / distance)
    radial, east, north = _triad(alpha, delta)
    scale = 1 / (_KMS_PER_MASYR_KPC * distance)
    return Sky(
        ra=np.degrees(alpha),
        dec=np.degrees(delta),
        distance=distance,
        pmra=scale * np.sum(east * v, axis=1),
        pmdec=scale * np.sum(north * v, axis=1),
        vrad=np.sum(radial * v, axis=1),
    )


def _triad(alpha: np.ndarray, delta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors [star 3] along the line of sight, to the east and to the north."""
    east = np.stack([-np.sin(alpha), np.cos(alpha), np.zeros_like(alpha)], axis=-1)
    north = unit_vector(alpha + np.pi, np.pi / 2 - delta)
    return unit_vector(alpha, delta), east, north


def draw_velocity(
    component: Component, position: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """[star 3], (v_R, v_phi, v_z) km/s drawn from a component's ellipsoid at (R, phi, z)."""
    velocity = np.zeros((len(position), 3))
    limit = SPEED_LIMIT * escape_speed(position[:, 0], position[:, 2])
    left = np.arange(len(position))
    for _ in range(200):
        if not len(left):
            break
        velocity[left] = _ellipsoid(component, position[left], rng)
        left = left[np.sum(velocity[left] ** 2, axis=1) > limit[left] ** 2]
    velocity[left] *= (0.9 * limit[left] / np.sqrt(np.sum(velocity[left] ** 2, 1)))[:, None]
    return velocity


def _ellipsoid(component: Component, position: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    R, _, z = position.T
    normal = rng.standard_normal((len(R), 3)) * component.sigma
    if component.frame == "disc":
        normal *= np.exp(-(R - PRESET.r0) / _DISC_FALL)[:, None]
        mean = circular_speed(R) - component.lag
        return normal + np.stack([np.zeros_like(R), mean, np.zeros_like(R)], 1)
    local = escape_speed(np.array([PRESET.r0]), np.zeros(1))
    normal *= (escape_speed(R, z) / local)[:, None]
    radial, around, polar = normal.T
    r = np.hypot(R, z)
    sine, cosine = R / r, z / r  # of the polar angle theta
    return np.stack(
        [radial * sine + polar * cosine, around + component.lag, radial * cosine - polar * sine], 1
    )
