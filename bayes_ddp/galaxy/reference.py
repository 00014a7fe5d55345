"""galpy behind one door, and orbits by it: the reference that the faster engine is compared with.

``import galpy`` reads ``.galpyrc`` from the current folder, writes one to the home folder and may
look for updates on the network. Here, and only here, it is imported from an empty folder with a
configuration of its own; scales are always passed and never taken from a configuration.

Rows that are not finite never reach galpy, whose integrator does not return on them, and unbound
ones neither, since one of them turns the results of all others into NaN.
"""

import contextlib
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, final

import numpy as np
from scipy.interpolate import CubicSpline

from bayes_ddp.galaxy.frames import Cylindrical
from bayes_ddp.galaxy.staeckel import Integrals

__all__ = [
    "GalpyIntegration",
    "GalpyStaeckel",
    "evaluate",
    "load_galpy",
    "quiet",
    "value_at_infinity",
]

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

_CHUNK = 256  # orbits that are integrated at once
_FAR, _SETTLED = 1e10, 1e-6  # R0 where potentials are as at infinity, and how nearly
_LEAST_FOCUS = 1e-3  # R0; galpy needs some focal length


@contextlib.contextmanager
def _empty_folder() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / ".galpyrc").write_text(_CONFIGURATION)
        with contextlib.chdir(folder):
            yield


@lru_cache(maxsize=1)
def load_galpy() -> SimpleNamespace:
    """The modules of galpy: ``potential``, ``milky_ways``, ``orbit`` and ``action_angle``."""
    with _empty_folder(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells which of its optional parts are absent
        from galpy import actionAngle, orbit, potential
        from galpy.potential import mwpotentials
    return SimpleNamespace(
        potential=potential,
        milky_ways=mwpotentials,
        orbit=orbit,
        action_angle=actionAngle,
        in_c=import_module("galpy.potential.interpRZPotential"),
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without galpy's warnings; impossible orbits are NaN in the result."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def value_at_infinity(potential: Any) -> float | None:
    """The limit of a potential of galpy far out; None where there is none."""
    far = evaluate(potential, np.array([_FAR, 2 * _FAR]), np.zeros(2))
    settled = np.isfinite(far).all() and abs(far[1] - far[0]) < _SETTLED
    return float(far[0]) if settled else None


def evaluate(
    potential: Any, R: np.ndarray, z: np.ndarray, *, phi: np.ndarray | float = 0.0
) -> np.ndarray:
    """[orbit], a potential of galpy in natural units, by its C code where there is some."""
    galpy = load_galpy()
    R, z = (np.ascontiguousarray(x, float) for x in (R, z))
    with quiet():
        if not potential.isNonAxi and potential.hasC:
            return galpy.in_c.eval_potential_c(potential, R, z)[0]
        angle = np.broadcast_to(np.asarray(phi, float), R.shape)
        try:
            value = galpy.potential.evaluatePotentials(potential, R, z, phi=angle)
        except (TypeError, ValueError):  # parts that take one place at a time
            rows = zip(R, z, angle, strict=True)
            one = galpy.potential.evaluatePotentials
            value = [float(one(potential, *place[:2], phi=place[2])) for place in rows]
    return np.broadcast_to(np.asarray(value, float), R.shape)


@dataclass(frozen=True)
class _Galpy:
    """What both engines share: the energy, and which orbits are computed at all.

    potential : of galpy, in natural units.
    """

    potential: Any

    def solve(self, phase: Cylindrical) -> Integrals:
        """Integrals [orbit] of positions and velocities [orbit], NumPy, natural units.

        NaN but for the energy and J_phi of unbound orbits, and altogether where not finite.
        """
        phase = Cylindrical(*(np.asarray(part, float) for part in phase))
        finite = np.isfinite(np.array(phase)).all(axis=0) & (phase.R > 0)
        found = {name: np.full(len(phase.R), np.nan) for name in Integrals._fields}
        whole = Cylindrical(*(part[finite] for part in phase))
        value, escapes = self._depth(whole)
        energy = value + 0.5 * (whole.v_R**2 + whole.v_phi**2 + whole.v_z**2)
        found["energy"][finite] = energy
        found["j_phi"][finite] = whole.R * whole.v_phi
        bound = np.flatnonzero(finite)[energy < 0] if escapes else np.flatnonzero(finite)
        if len(bound):
            for name, values in self._bound(Cylindrical(*(part[bound] for part in phase))).items():
                found[name][bound] = values
        return Integrals(**found)

    def _bound(self, phase: Cylindrical) -> dict[str, np.ndarray]:
        raise NotImplementedError

    def _depth(self, phase: Cylindrical) -> tuple[np.ndarray, bool]:
        """([orbit], the potential, 0 at infinity where it has a limit; whether it has)."""
        far = value_at_infinity(self.potential)
        value = evaluate(self.potential, phase.R, phase.z, phi=phase.phi)
        return value - (far or 0.0), far is not None

    def _guiding(self, phase: Cylindrical) -> np.ndarray:
        """Radius of the circular orbit with the same J_phi; NaN without axial symmetry."""
        galpy = load_galpy().potential
        if self.potential.isNonAxi:
            return np.full(len(phase.R), np.nan)
        radii = np.geomspace(1e-4, 1e4, 600)
        with quiet():
            speeds = np.array([float(galpy.vcirc(self.potential, r)) for r in radii])
            wanted = np.log(np.abs(phase.R * phase.v_phi))
        return np.exp(CubicSpline(np.log(radii * speeds), np.log(radii))(wanted))


@final
@dataclass(frozen=True)
class GalpyStaeckel(_Galpy):
    """galpy's actionAngleStaeckel with the focal length of each orbit's own place.

    order : nodes of each quadrature, 10 by galpy's default.
    """

    order: int = 10

    def _bound(self, phase: Cylindrical) -> dict[str, np.ndarray]:
        galpy = load_galpy().action_angle
        args = phase.R, phase.v_R, phase.v_phi, phase.z, phase.v_z
        with quiet():
            finder = galpy.actionAngleStaeckel(pot=self.potential, delta=0.45, c=True)
            height = np.where(phase.z == 0, 1e-4, phase.z)
            delta = galpy.estimateDeltaStaeckel(self.potential, phase.R, height, no_median=True)
            delta = np.maximum(np.nan_to_num(delta, nan=_LEAST_FOCUS), _LEAST_FOCUS)
            j_r, _, j_z = finder(*args, delta=delta, order=self.order)
            ecc, z_max, r_peri, r_apo = finder.EccZmaxRperiRap(*args, delta=delta)
        names = ("j_r", "j_z", "ecc", "z_max", "r_peri", "r_apo")
        found = dict(zip(names, (j_r, j_z, ecc, z_max, r_peri, r_apo), strict=True))
        # galpy returns 9999.99 for an action that it cannot compute
        known = {name: np.where(values < 9999, values, np.nan) for name, values in found.items()}
        return known | {"r_guide": self._guiding(phase)}


@final
@dataclass(frozen=True)
class GalpyIntegration(_Galpy):
    """Orbits integrated by galpy (dop853_c); the actions are NaN.

    span : R0 / v_c(R0), 36 Myr for 8 kpc and 220 km/s; 280 are 10 Gyr.
    step : of the same, between the places that are kept.
    seconds : after which no further chunk of orbits is begun; orbits left are NaN.
    """

    span: float = 280.0
    step: float = 0.1
    seconds: float = np.inf

    def _bound(self, phase: Cylindrical) -> dict[str, np.ndarray]:
        names = ("ecc", "z_max", "r_peri", "r_apo")
        found = {name: np.full(len(phase.R), np.nan) for name in names}
        began = time.monotonic()
        for first in range(0, len(phase.R), _CHUNK):
            if time.monotonic() - began > self.seconds:
                break
            rows = slice(first, first + _CHUNK)
            track = self.track(Cylindrical(*(part[rows] for part in phase)))
            r2 = track.R**2 + track.z**2, 2 * (track.R * track.v_R + track.z * track.v_z)
            peri, apo = (
                np.sqrt(_least(*r2, self.step)),
                np.sqrt(-_least(-r2[0], -r2[1], self.step)),
            )
            found["r_peri"][rows], found["r_apo"][rows] = peri, apo
            found["z_max"][rows] = np.sqrt(
                -_least(-(track.z**2), -2 * track.z * track.v_z, self.step)
            )
            found["ecc"][rows] = (apo - peri) / (apo + peri)
        return found | {"r_guide": self._guiding(phase)}

    def track(self, phase: Cylindrical) -> Cylindrical:
        """[orbit time] of finite, bound orbits, from the given places on."""
        times = np.arange(0.0, self.span, self.step)
        start = np.stack([phase.R, phase.v_R, phase.v_phi, phase.z, phase.v_z, phase.phi], axis=1)
        with quiet():
            orbit = load_galpy().orbit.Orbit(start)
            orbit.integrate(times, self.potential, method="dop853_c", progressbar=False)
        R, v_R, v_phi, z, v_z, phi = np.moveaxis(orbit.getOrbit(), -1, 0)
        return Cylindrical(R, phi, z, v_R, v_phi, v_z)


def _least(values: np.ndarray, slopes: np.ndarray, step: float) -> np.ndarray:
    """[orbit], least value of functions of time given by values and slopes [orbit time].

    Between two times the function is the cubic with these values and slopes, and its least value
    is taken where the slope, linear between the times, vanishes.
    """
    left, right = slopes[:, :-1] * step, slopes[:, 1:] * step
    turns = (left < 0) & (right > 0)
    x = np.where(turns, left / np.where(turns, left - right, 1.0), 0.0)
    before, after = values[:, :-1], values[:, 1:]
    between = (
        (1 + 2 * x) * (1 - x) ** 2 * before
        + x * (1 - x) ** 2 * left
        + x * x * (3 - 2 * x) * after
        + x * x * (x - 1) * right
    )
    inner = np.where(turns, between, before)
    return np.minimum(inner.min(axis=1), values[:, -1])
