"""Potentials of the Galaxy by name, and speeds and orbits in the default one.

A name is ``MWPotential2014``, any other potential that galpy ships (``McMillan17``), one of its
classes with default parameters, or a sum such as ``MWPotential2014 + DehnenBarPotential``.
"""

import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayes_ddp.files.errors import did_you_mean
from bayes_ddp.galaxy.axisymmetric import Axisymmetric, Radial, milky_way_2014, sum_of_parts
from bayes_ddp.galaxy.frames import Cylindrical
from bayes_ddp.galaxy.preset import Preset
from bayes_ddp.galaxy.reference import evaluate, load_galpy, quiet, value_at_infinity
from bayes_ddp.inference.problem import require_float64

__all__ = [
    "DEFAULT",
    "HEAVY",
    "NamedPotential",
    "circular_speed",
    "escape_speed",
    "load_potential",
]

DEFAULT = "MWPotential2014"
HEAVY = "MWPotential2014-heavy"
"""The default with 1.5 times the mass of its halo: within 100 kpc that of McMillan (2017)."""

_MILKY_WAYS = (
    DEFAULT,
    "McMillan17",
    "Cautun20",
    *(f"Irrgang13{part}" for part in ("I", "II", "III")),
    *(f"DehnenBinney98{part}" for part in ("I", "II", "III", "IV")),
)
_HEAVIER = 1.5
_SAME = 1e-12  # relative, by which a spherical potential may vary over a sphere


@dataclass(frozen=True)
class NamedPotential:
    """A potential in natural units.

    fast : what JAX evaluates; None where it has parts that JAX does not know.
    galpy : the same of galpy; None where it is not loaded yet (``of_galpy``).
    scale : (R0 in kpc, v_c in km/s) that belong to it; None where those of the preset do.
    """

    name: str
    fast: Axisymmetric | None
    scale: tuple[float, float] | None = None

    def of_galpy(self) -> Any:
        """The object of galpy, which is imported."""
        return _galpy_potential(self.name)

    def depth(self, star: Cylindrical, preset: Preset) -> np.ndarray:
        """The potential in km2/s2 at places of any shape, 0 at infinity where it has a limit."""
        r0, vc = self.scale or (preset.r0, preset.vc)
        R, z, phi = (
            np.broadcast_to(x, np.shape(star.R)) for x in (star.R / r0, star.z / r0, star.phi)
        )
        if self.fast is not None:
            value = _slopes(R.ravel() ** 2, z.ravel() ** 2, self.fast)[0]
        else:
            theirs = self.of_galpy()
            value = evaluate(theirs, R.ravel(), z.ravel(), phi=phi.ravel())
            value = value - (value_at_infinity(theirs) or 0.0)
        return value.reshape(R.shape) * vc**2


@lru_cache(maxsize=8)
def load_potential(name: str = DEFAULT) -> NamedPotential:
    """The potential of a name; raises ValueError for a name that galpy does not have."""
    require_float64()
    if name == DEFAULT:
        return NamedPotential(name, milky_way_2014())
    if name == HEAVY:
        return NamedPotential(name, milky_way_2014(halo_mass=_HEAVIER))
    whole = _galpy_potential(name)
    own = name in _MILKY_WAYS  # those have scales of their own
    scale = (float(whole._ro), float(whole._vo)) if own else None
    return NamedPotential(name, _convert(list(_parts(whole))), scale)


@lru_cache(maxsize=8)
def _galpy_potential(name: str) -> Any:
    """The object of galpy for a name or a sum of names, scales switched off."""
    galpy = load_galpy()
    if name == HEAVY:
        bulge, disc, halo = galpy.potential.MWPotential2014
        return bulge + disc + _HEAVIER * halo
    found = []
    for word in (word.strip() for word in name.split("+")):
        if word in _MILKY_WAYS:
            with quiet():
                found.append(getattr(galpy.milky_ways, word))
            continue
        kind = getattr(galpy.potential, word, None)
        if not (isinstance(kind, type) and issubclass(kind, galpy.potential.Potential)):
            known = [*_MILKY_WAYS, *(n for n in dir(galpy.potential) if n.endswith("Potential"))]
            raise ValueError(
                f"'{word}' is no potential of galpy.{did_you_mean(word, known)} Give one of "
                f"{', '.join(_MILKY_WAYS)}, a class of galpy.potential, or a sum with +."
            )
        try:
            found.append(kind(normalize=1.0) if not found else kind())
        except TypeError:
            found.append(kind())
    whole = found[0]
    for part in found[1:]:
        whole = whole + part
    whole = copy.deepcopy(whole)  # galpy's own object stays as it is
    for part in (whole, *_parts(whole)):
        part.turn_physical_off()
    return whole


def _parts(whole: Any) -> Any:
    """The parts of a sum, or the potential itself."""
    return whole if hasattr(whole, "__iter__") else [whole]


def _convert(parts: list[Any]) -> Axisymmetric | None:
    """The potential for JAX, 0 at infinity where it has a limit; None where a part is unknown."""
    spheres: list[Radial] = []
    discs, haloes, escapes = [], [], True
    for part in parts:
        match type(part).__name__:
            case "MiyamotoNagaiPotential":
                discs.append((float(part._amp), float(part._a), float(part._b)))
            case "LogarithmicHaloPotential" if not part.isNonAxi:
                haloes.append((float(part._amp), float(part._core2), float(part._q) ** -2))
                escapes = False
            case _ if _is_spherical(part):
                far = value_at_infinity(part)
                escapes &= far is not None
                spheres.append(_radial(part, far or 0.0))
            case _:
                return None
    try:
        return sum_of_parts(spheres, discs, haloes=haloes, escapes=escapes)
    except ValueError:  # not finite at the centre, or far out
        return None


def _is_spherical(part: Any) -> bool:
    if getattr(part, "isNonAxi", True):
        return False
    angle = np.linspace(0.05, 1.5, 7)
    values = [evaluate(part, r * np.cos(angle), r * np.sin(angle)) for r in (0.1, 1.0, 10.0)]
    return bool(np.all(np.ptp(values, axis=1) <= _SAME * np.abs(values).max(axis=1)))


def _radial(part: Any, far: float) -> Radial:
    return lambda r: evaluate(part, r, np.zeros_like(r)) - far


def circular_speed(radius: np.ndarray, preset: Preset) -> np.ndarray:
    """[star] km/s, circular speed of MWPotential2014 in the plane at ``radius`` kpc."""
    w = np.square(np.asarray(radius) / preset.r0)
    return np.asarray(preset.vc) * np.sqrt(2 * w * _slopes(w, 0 * w)[1])


def escape_speed(radius: np.ndarray, height: np.ndarray, preset: Preset) -> np.ndarray:
    """[star] km/s, escape speed of MWPotential2014 at (R, z) kpc."""
    rho, zeta = (np.square(np.asarray(x) / preset.r0) for x in (radius, height))
    return np.asarray(preset.vc) * np.sqrt(-2 * _slopes(rho, zeta)[0])


def _slopes(
    rho: np.ndarray, zeta: np.ndarray, potential: Axisymmetric | None = None
) -> tuple[np.ndarray, ...]:
    """Potential and derivatives by R^2 and z^2 [star]; padded, so that few sizes are compiled."""
    size = len(rho)
    full = max(1024, 1 << (size - 1).bit_length())
    given = (jnp.asarray(np.append(x, np.ones(full - size))) for x in (rho, zeta))
    return tuple(
        np.asarray(part)[:size] for part in _compiled(potential or load_potential().fast, *given)
    )


@jax.jit
def _compiled(potential: Axisymmetric, rho: jax.Array, zeta: jax.Array) -> tuple[jax.Array, ...]:
    return potential.value_and_slopes(rho, zeta)
