"""Where the Sun is, how it moves, and the scale of the potential: constants that belong together.

A preset is never taken apart: the Sun's total speed of one with the circular speed of another
shifts every L_z by tens of kpc km/s. ``galpy2014`` is the scale of MWPotential2014 (Bovy 2015);
its total speed of the Sun is 11 km/s below what the proper motion of Sgr A* asks for. ``sgrA``
has the total motion of the Sun from Sgr A* (Drimmel & Poggio 2018) at the distance of GRAVITY
(2018), and scales the potential to it.
"""

from dataclasses import dataclass, replace

import numpy as np

from bayes_ddp.files.errors import did_you_mean

__all__ = ["GALPY2014", "PRESETS", "Preset", "draw_presets", "preset_of"]

Value = float | np.ndarray


@dataclass(frozen=True)
class Preset:
    """The Sun's place and motion, and the scale of the potential.

    Values are numbers, or arrays that broadcast with those of the stars (see ``draw_presets``).

    r0, z0 : kpc, distance of the Sun from the centre and height over the plane.
    vc : km/s, circular speed at r0. sun : km/s, towards the centre, along the rotation (``vc``
        included) and to the north Galactic pole.
    r0_error, z0_error : kpc. sun_error : km/s, of ``sun``. peculiar_error : km/s, of the Sun's
        motion relative to ``vc``; where ``total`` is True, ``sun`` is measured and ``vc`` follows,
        else ``vc`` stays and ``sun`` follows.
    """

    name: str
    r0: Value
    z0: Value
    vc: Value
    sun: tuple[Value, Value, Value]
    r0_error: float = 0.0
    z0_error: float = 0.0
    sun_error: tuple[float, float, float] = (0.0, 0.0, 0.0)
    peculiar_error: float = 0.0
    total: bool = False


_PECULIAR = 12.24, float(np.hypot(0.5, 2.0))
"""km/s, the Sun's speed relative to a circular orbit and its error (Schönrich+2010)."""

GALPY2014 = Preset(
    "galpy2014",
    r0=8.0,
    z0=0.0208,
    vc=220.0,
    sun=(11.1, 220.0 + _PECULIAR[0], 7.25),
    z0_error=0.0003,
    sun_error=(float(np.hypot(0.7, 1.0)), _PECULIAR[1], float(np.hypot(0.4, 0.5))),
    peculiar_error=_PECULIAR[1],
)
"""Bovy (2015); z0 of Bennett & Bovy (2019); the Sun's motion of Schönrich, Binney & Dehnen (2010)
with statistical and systematic errors added in quadrature."""

SGRA = Preset(
    "sgrA",
    r0=8.122,
    z0=0.0208,
    vc=245.6 - _PECULIAR[0],
    sun=(12.9, 245.6, 7.78),
    r0_error=0.031,
    z0_error=0.0003,
    sun_error=(3.0, 1.4, 0.09),
    peculiar_error=_PECULIAR[1],
    total=True,
)
"""GRAVITY Collaboration (2018); Drimmel & Poggio (2018), RNAAS 2, 210."""

PRESETS = {preset.name: preset for preset in (GALPY2014, SGRA)}
"""Name -> preset."""


def preset_of(name: str) -> Preset:
    """The preset of a name; raises ValueError that lists the names."""
    if name not in PRESETS:
        raise ValueError(
            f"'{name}' is no preset of the Sun and the Galaxy.{did_you_mean(name, PRESETS)} "
            f"Presets: {', '.join(PRESETS)}."
        )
    return PRESETS[name]


def draw_presets(preset: Preset, number: int, rng: np.random.Generator) -> Preset:
    """The preset with its errors: arrays [number, 1], one value per draw for all stars.

    Potential, distance of the centre and motion of the Sun of a draw belong together.
    """

    def noise(error: float) -> np.ndarray:
        return error * rng.standard_normal((number, 1))

    r0, z0 = (
        np.asarray(value) + noise(error)
        for value, error in ((preset.r0, preset.r0_error), (preset.z0, preset.z0_error))
    )
    u, v, w = (
        np.asarray(value) + noise(error)
        for value, error in zip(preset.sun, preset.sun_error, strict=True)
    )
    peculiar = preset.sun[1] - preset.vc + noise(preset.peculiar_error)
    if preset.total:
        return replace(preset, r0=r0, z0=z0, sun=(u, v, w), vc=v - peculiar)
    vc = np.full((number, 1), preset.vc)
    return replace(preset, r0=r0, z0=z0, sun=(u, vc + peculiar, w), vc=vc)
