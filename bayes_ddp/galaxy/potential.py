"""The interface to galpy: MWPotential2014, actions, orbit parameters, position of the Sun.

``import galpy`` reads ``.galpyrc`` from the current folder, writes one to the home folder and may
look for updates on the network. It is imported only here, from an empty folder with a separate
configuration; scales are always passed and never taken from a configuration.

Actions are those of the Staeckel approximation (Binney 2012; Bovy 2015), with the focal length
that the potential itself suggests at each (R, z). J_phi is positive for the Sun.
"""

import contextlib
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from scipy.interpolate import RegularGridInterpolator

from bayes_ddp.galaxy.columns import ORBIT_COLUMNS

__all__ = ["PRESET", "Preset", "circular_speed", "energy", "escape_speed", "orbits"]


@dataclass(frozen=True)
class Preset:
    """Position and velocity of the Sun and the scale of the potential, a consistent set.

    r0, z0 : kpc. vc : km/s, circular speed at r0. sun : km/s, (U, V + vc, W).
    """

    r0: float = 8.0
    z0: float = 0.0208
    vc: float = 220.0
    sun: tuple[float, float, float] = (11.1, 232.24, 7.25)


PRESET = Preset()
"""``galpy2014``: R0 and v_c of Bovy (2015), z0 of Bennett & Bovy (2019), the Sun's motion of
Schönrich, Binney & Dehnen (2010)."""

_CONFIGURATION = """\
[normalization]
ro = 8.
vo = 220.
[astropy]
astropy-units = False
astropy-coords = False
[plot]
seaborn-bovy-defaults = False
[warnings]
verbose = False
[version-check]
do-check = False
check-non-interactive = False
check-non-interactive-every = 1
last-non-interactive-check = 2000-01-01
"""


@contextlib.contextmanager
def _empty_folder() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / ".galpyrc").write_text(_CONFIGURATION)
        with contextlib.chdir(folder):
            yield


@lru_cache(maxsize=1)
def _galpy() -> SimpleNamespace:
    """The parts of galpy that are used; potential and arguments are in its natural units."""
    with _empty_folder(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # galpy warns about missing optional dependencies
        from galpy.actionAngle import actionAngleStaeckel, estimateDeltaStaeckel
        from galpy.potential import MWPotential2014, evaluatePotentials, vcirc
    # galpy's bulge has another zero point than its disc and halo; here all are 0 at infinity.
    far = float(evaluatePotentials(MWPotential2014, 1e6, 0.0))
    return SimpleNamespace(
        potential=lambda R, z: evaluatePotentials(MWPotential2014, R, z) - far,
        speed=lambda R: vcirc(MWPotential2014, R),
        focus=lambda R, z: estimateDeltaStaeckel(MWPotential2014, R, z, no_median=True),
        actions=actionAngleStaeckel(pot=MWPotential2014, delta=0.45, c=True),
    )


@lru_cache(maxsize=1)
def _tables() -> SimpleNamespace:
    """Potential and focal length against (ln R, abs(z)), circular speed against ln R."""
    galpy = _galpy()
    log_r, z = np.linspace(np.log(5e-3), np.log(60.0), 160), np.sinh(np.linspace(0, 7, 120)) / 10
    R, height = (part.ravel() for part in np.meshgrid(np.exp(log_r), z, indexing="ij"))
    phi = galpy.potential(R, height).reshape(len(log_r), len(z))
    coarse = slice(None, None, 4)
    R, height = (
        part.ravel() for part in np.meshgrid(np.exp(log_r[coarse]), z[coarse], indexing="ij")
    )
    with np.errstate(all="ignore"):
        delta = galpy.focus(R, np.maximum(height, 1e-4))
    delta = np.clip(np.nan_to_num(delta, nan=0.45), 0.05, 5.0)
    delta = delta.reshape(len(log_r[coarse]), len(z[coarse]))
    speed = np.array([galpy.speed(float(r)) for r in np.exp(log_r)])
    grid = {"method": "linear", "bounds_error": False, "fill_value": None}
    return SimpleNamespace(
        potential=RegularGridInterpolator((log_r, z), phi, **grid),
        focus=RegularGridInterpolator((log_r[coarse], z[coarse]), delta, **grid),
        speed=lambda x: np.interp(x, log_r, speed),
    )


def _at(radius: np.ndarray, height: np.ndarray) -> np.ndarray:
    """[star 2], ln R and |z| in natural units."""
    log_r = np.log(np.maximum(np.asarray(radius) / PRESET.r0, 5e-3))
    return np.stack(np.broadcast_arrays(log_r, np.abs(height) / PRESET.r0), axis=-1)


def circular_speed(radius: np.ndarray) -> np.ndarray:
    """[star] km/s, circular speed in the plane at ``radius`` kpc."""
    return PRESET.vc * _tables().speed(np.log(np.asarray(radius) / PRESET.r0))


def escape_speed(radius: np.ndarray, height: np.ndarray) -> np.ndarray:
    """[star] km/s, escape speed at (R, z) kpc; from a table, good to 0.1 %."""
    _galpy()
    return PRESET.vc * np.sqrt(-2 * _tables().potential(_at(radius, height)))


def energy(position: np.ndarray, velocity: np.ndarray) -> np.ndarray:
    """[star] km2/s2, energy per mass; negative for bound stars (galpy's own zero is elsewhere).

    position : [star 3], (R, phi, z) in kpc and rad. velocity : [star 3], km/s.
    """
    R, _, z = position.T / PRESET.r0
    depth = _galpy().potential(R, z) * PRESET.vc**2
    return depth + 0.5 * np.sum(velocity**2, axis=1)


def orbits(position: np.ndarray, velocity: np.ndarray) -> dict[str, np.ndarray]:
    """Actions, energy, eccentricity, apocentre, pericentre and greatest height of each star.

    position : [star 3], (R, phi, z) in kpc, rad, kpc. velocity : [star 3], (v_R, v_phi, v_z) in
    km/s, positive v_phi along the Sun's rotation.

    Returns name -> [star], one entry per row of ``ORBIT_COLUMNS``. Stars that are unbound or not
    finite are NaN except for the energy and J_phi, which do not need an orbit.
    """
    finder = _galpy().actions
    finite = np.isfinite(position).all(axis=1) & np.isfinite(velocity).all(axis=1)
    result = {column.name: np.full(len(position), np.nan) for column in ORBIT_COLUMNS}
    result["ENERGY"][finite] = energy(position[finite], velocity[finite])
    result["J_PHI"] = np.where(finite, position[:, 0] * velocity[:, 1], np.nan)
    good = finite & (result["ENERGY"] < 0)
    if not good.any():
        return result
    R, _, z = position[good].T / PRESET.r0
    vR, vT, vz = velocity[good].T / PRESET.vc
    delta = np.maximum(_tables().focus(_at(position[good, 0], position[good, 2])), 0.05)
    with np.errstate(all="ignore"):
        jr, _, jz = finder(R, vR, vT, z, vz, delta=delta)
        ecc, zmax, peri, apo = finder.EccZmaxRperiRap(R, vR, vT, z, vz, delta=delta)
    action = PRESET.r0 * PRESET.vc
    found = {
        "J_R": (jr, action),
        "J_Z": (jz, action),
        "ECC": (ecc, 1),
        "R_APO": (apo, PRESET.r0),
        "R_PERI": (peri, PRESET.r0),
        "Z_MAX": (zmax, PRESET.r0),
    }
    for name, (values, scale) in found.items():
        # galpy returns 9999.99 for an action that it cannot compute.
        known = np.isfinite(values) & (values < 9999)
        result[name][good] = np.where(known, values, np.nan) * scale
    return result
