"""From the sky to the Galaxy and back: positions and velocities of stars for a preset.

The frame is Astropy's Galactocentric frame; a test compares star by star. Cylindrical coordinates
are those of galpy: phi = 0 at the Sun, v_phi and L_z positive along its rotation.

The functions take arrays of NumPy or of JAX and give the same kind, of any shape.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from bayes_ddp.galaxy.preset import Preset

__all__ = [
    "KMS_PER_MASYR_KPC",
    "Array",
    "Cylindrical",
    "Sky",
    "from_galactic",
    "galactic_to_icrs",
    "galactocentric",
    "observed",
    "unit_vector",
]

KMS_PER_MASYR_KPC = 4.740470463533349
"""km/s of one mas/yr at one kpc."""

Array = Any
"""An array of NumPy or of JAX."""


class Sky(NamedTuple):
    """What is seen of positions and motions, arrays that broadcast.

    ra, dec : degrees, ICRS. distance : kpc. pmra (with cos dec), pmdec : mas/yr.
    vrad : km/s, barycentric.
    """

    ra: Array
    dec: Array
    distance: Array
    pmra: Array
    pmdec: Array
    vrad: Array


class Cylindrical(NamedTuple):
    """Positions and velocities in the Galaxy: R, z in kpc, phi in rad, velocities in km/s."""

    R: Array
    phi: Array
    z: Array
    v_R: Array
    v_phi: Array
    v_z: Array


@lru_cache(maxsize=1)
def _rotations() -> tuple[np.ndarray, np.ndarray]:
    """(ICRS -> centre, Galactic -> ICRS), rotations [3 3] of column vectors.

    The first has x towards the Galactic centre and z = 0 through the Sun. Both are taken from
    Astropy; differences of opposite points cancel the shift of the origin.
    """
    from astropy import units as u
    from astropy.coordinates import ICRS, CartesianRepresentation, Galactic, Galactocentric

    ends = CartesianRepresentation(np.concatenate([np.eye(3), -np.eye(3)], axis=1) * u.kpc)
    level = Galactocentric(galcen_distance=8 * u.kpc, z_sun=0 * u.kpc)
    found = []
    for points, frame in ((ICRS(ends), level), (Galactic(ends), ICRS())):
        xyz = points.transform_to(frame).cartesian.xyz.to_value(u.kpc)
        found.append(0.5 * (xyz[:, :3] - xyz[:, 3:]))
    return found[0], found[1]


def unit_vector(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """[star 3] from angles in radians."""
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def galactic_to_icrs(lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(RA, Dec) [star] rad of Galactic (l, b) rad."""
    x, y, z = (unit_vector(lon, lat) @ _rotations()[1].T).T
    return np.arctan2(y, x) % (2 * np.pi), np.arcsin(np.clip(z, -1, 1))


def from_galactic(
    lon: np.ndarray, lat: np.ndarray, distance: np.ndarray, *, preset: Preset
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(R, phi, z) in kpc, rad, kpc of stars at Galactic (l, b) rad and distance kpc."""
    turn = _rotations()[0] @ _rotations()[1]
    level = (distance[..., None] * unit_vector(lon, lat)) @ turn.T
    x, y, z = _tilt(level[..., 0] - preset.r0, level[..., 1], level[..., 2], preset=preset)
    return np.hypot(x, y), np.arctan2(y, -x), z


def galactocentric(sky: Sky, preset: Preset) -> Cylindrical:
    """Where stars are and how they move in the Galaxy; the inverse of ``observed``.

    The kind of the array ``sky.distance`` is that of the result.
    """
    xp = sky.distance.__array_namespace__()
    triad = _triad(xp.radians(sky.ra), xp.radians(sky.dec), xp=xp)
    scale = KMS_PER_MASYR_KPC * sky.distance
    speeds = sky.vrad, scale * sky.pmra, scale * sky.pmdec
    velocity = [sum(s * axis[i] for s, axis in zip(speeds, triad, strict=True)) for i in range(3)]
    x, y, z = _turn(_rotations()[0], [sky.distance * part for part in triad[0]])
    x, y, z = _tilt(x - preset.r0, y, z, preset=preset)
    moved = _tilt(*_turn(_rotations()[0], velocity), preset=preset)
    v_x, v_y, v_z = (part + own for part, own in zip(moved, preset.sun, strict=True))
    R = xp.hypot(x, y)
    off = R > 0  # on the axis phi is 0
    cosine, sine = xp.where(off, -x, 1.0), xp.where(off, y, 0.0)
    cosine, sine = cosine / xp.where(off, R, 1.0), sine / xp.where(off, R, 1.0)
    v_R, v_phi = sine * v_y - cosine * v_x, sine * v_x + cosine * v_y
    return Cylindrical(R, xp.arctan2(sine, cosine), z, v_R, v_phi, v_z)


def observed(star: Cylindrical, preset: Preset) -> Sky:
    """What the Sun's observer sees of stars in the Galaxy, NumPy arrays."""
    cosine, sine = np.cos(star.phi), np.sin(star.phi)
    x, y, z = _level(-star.R * cosine, star.R * sine, star.z, preset=preset)
    speeds = (
        -star.v_R * cosine + star.v_phi * sine,
        star.v_R * sine + star.v_phi * cosine,
        star.v_z,
    )
    moved = _level(*(v - own for v, own in zip(speeds, preset.sun, strict=True)), preset=preset)
    back = _rotations()[0].T
    x, y, z = _turn(back, [x + preset.r0, y, z])
    velocity = _turn(back, moved)
    distance = np.sqrt(x * x + y * y + z * z)
    alpha, delta = np.arctan2(y, x) % (2 * np.pi), np.arcsin(z / distance)
    vrad, east, north = (
        sum(a * v for a, v in zip(axis, velocity, strict=True))
        for axis in _triad(alpha, delta, xp=np)
    )
    scale = 1 / (KMS_PER_MASYR_KPC * distance)
    return Sky(np.degrees(alpha), np.degrees(delta), distance, scale * east, scale * north, vrad)


def _turn(matrix: np.ndarray, vector: Sequence[Array]) -> list[Array]:
    """The matrix times a vector whose three parts are arrays."""
    return [
        sum(float(cell) * part for cell, part in zip(row, vector, strict=True)) for row in matrix
    ]


def _tilt(x: Array, y: Array, z: Array, *, preset: Preset) -> tuple[Array, Array, Array]:
    """From axes with the Sun at z = 0 to those of the Galactic plane."""
    sine = preset.z0 / preset.r0
    cosine = np.sqrt(1 - sine**2)
    return cosine * x + sine * z, y, cosine * z - sine * x


def _level(x: Array, y: Array, z: Array, *, preset: Preset) -> tuple[Array, Array, Array]:
    """The inverse of ``_tilt``."""
    sine = preset.z0 / preset.r0
    cosine = np.sqrt(1 - sine**2)
    return cosine * x - sine * z, y, cosine * z + sine * x


def _triad(alpha: Array, delta: Array, *, xp: Any) -> tuple[tuple[Array, ...], ...]:
    """Unit vectors along the line of sight, to the east and to the north; x, y, z of each."""
    ca, sa, cd, sd = xp.cos(alpha), xp.sin(alpha), xp.cos(delta), xp.sin(delta)
    return (cd * ca, cd * sa, sd), (-sa, ca, 0 * ca), (-sd * ca, -sd * sa, cd)
