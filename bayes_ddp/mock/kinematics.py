"""The velocities that mock stars have where they are.

Positions are [star 3], (R, phi, z) in kpc, rad, kpc, and velocities [star 3], (v_R, v_phi, v_z) in
km/s, as in ``galaxy.frames``.
"""

import numpy as np

from bayes_ddp.galaxy.frames import Cylindrical
from bayes_ddp.galaxy.potential import circular_speed, escape_speed
from bayes_ddp.mock.components import PRESET, Component

__all__ = ["SPEED_LIMIT", "draw_velocity", "phase_of"]

SPEED_LIMIT = 0.95
"""Stars that would be faster than this fraction of the escape speed are drawn again (?)."""

_DISC_FALL = 8.0  # kpc (?), length over which a disc's velocity widths fall


def phase_of(position: np.ndarray, velocity: np.ndarray) -> Cylindrical:
    """The record of positions and velocities [star 3]."""
    (R, phi, z), (v_R, v_phi, v_z) = position.T, velocity.T
    return Cylindrical(R, phi, z, v_R, v_phi, v_z)


def draw_velocity(
    component: Component, position: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """[star 3], (v_R, v_phi, v_z) km/s drawn from a component's ellipsoid at (R, phi, z)."""
    velocity = np.zeros((len(position), 3))
    limit = SPEED_LIMIT * escape_speed(position[:, 0], position[:, 2], PRESET)
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
        mean = circular_speed(R, PRESET) - component.lag
        return normal + np.stack([np.zeros_like(R), mean, np.zeros_like(R)], 1)
    local = escape_speed(np.array([PRESET.r0]), np.zeros(1), PRESET)
    normal *= (escape_speed(R, z, PRESET) / local)[:, None]
    radial, around, polar = normal.T
    r = np.hypot(R, z)
    sine, cosine = R / r, z / r  # of the polar angle theta
    return np.stack(
        [radial * sine + polar * cosine, around + component.lag, radial * cosine - polar * sine], 1
    )
