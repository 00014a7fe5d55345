"""Axisymmetric potentials that JAX evaluates: MWPotential2014, and sums of simple parts of galpy.

All spherical parts together are one table in the squared radius, and the whole potential in the
plane is another one; flattened discs (Miyamoto & Nagai 1975) and logarithmic haloes are
evaluated as they are. Everything is in natural units: lengths in R0, velocities in the circular
speed at R0, so that one potential serves every preset. Potentials vanish at infinity, where they
have a limit.

MWPotential2014 is made from the formulas of Bovy (2015), ApJS 216, 29, Table 1: a bulge with
density r^-1.8 exp(-(r / 1.9 kpc)^2), a disc of 3 and 0.28 kpc and a halo of Navarro, Frenk & White
(1996) of 16 kpc, which carry 5, 60 and 35 % of the squared circular speed at R0.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import gamma, gammainc, gammaincc

from bayes_ddp.galaxy.radial import RadialTable, make_table

__all__ = ["Axisymmetric", "Radial", "milky_way_2014", "miyamoto_nagai", "sum_of_parts"]

Radial = Callable[[np.ndarray], np.ndarray]
"""A spherical potential as a NumPy function of the radius."""

_NO_DISC = 1.0  # scale of height where nothing is flattened


class Axisymmetric(eqx.Module):
    """A potential that depends on R and z, in natural units.

    sphere : all spherical parts, over r^2. plane : the whole potential at z = 0, over R^2.
    discs : [disc 3], amplitude, a and b of Miyamoto & Nagai. haloes : [halo 3], amplitude, squared
    core and 1 / q^2 of logarithmic haloes. height : the smallest scale of height.
    escapes : False where the potential has no limit at infinity, so that no orbit is unbound.
    """

    sphere: RadialTable
    plane: RadialTable
    discs: jax.Array
    haloes: jax.Array
    height: jax.Array
    escapes: bool = eqx.field(static=True)

    def value(self, rho: jax.Array, zeta: jax.Array) -> jax.Array:
        """The potential at R^2 = ``rho`` and z^2 = ``zeta``, of any shape."""
        return self.sphere.value(rho + zeta) + self._flattened(rho, zeta)

    def value_and_slopes(
        self, rho: jax.Array, zeta: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """The potential and its derivatives by R^2 and by z^2."""
        value, slope = self.sphere.value_and_slope(rho + zeta)
        by_rho, by_zeta = slope, slope
        for amplitude, a, b in self.discs:
            inner = jnp.sqrt(zeta + b * b)
            inverse = 1 / (rho + (a + inner) ** 2)
            part = amplitude * jnp.sqrt(inverse)
            value, by_rho = value - part, by_rho + 0.5 * part * inverse
            by_zeta = by_zeta + 0.5 * part * inverse * (1 + a / inner)
        for amplitude, core, flat in self.haloes:
            inside = core + rho + flat * zeta
            value = value + 0.5 * amplitude * jnp.log(inside)
            by_rho = by_rho + 0.5 * amplitude / inside
            by_zeta = by_zeta + 0.5 * amplitude * flat / inside
        return value, by_rho, by_zeta

    def focal(self, rho: jax.Array, zeta: jax.Array) -> jax.Array:
        """Squared focal length of the Staeckel potential that fits best at (R^2, z^2).

        Sanders (2012), MNRAS 426, 128, Eq. 9, which in f(R^2, z^2) has no singular places:
        (z^2 - R^2) + (2 (f_1 - f_2) + R^2 f_11 - z^2 f_22) / f_12. What spherical parts add to the
        numerator cancels. 0 for a spherical potential; negative where it is prolate.
        """
        curvature = self.sphere.curvature(rho + zeta)
        one = jnp.ones_like(rho), jnp.zeros_like(rho)

        def slopes(x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
            return tuple(jax.jvp(self._flattened, (x, y), way)[1] for way in (one, one[::-1]))  # type: ignore[return-value]

        (by_rho, by_zeta), (f11, f12) = jax.jvp(slopes, (rho, zeta), one)
        f22 = jax.jvp(slopes, (rho, zeta), one[::-1])[1][1]
        above = (zeta - rho) * f12 + 2 * (by_rho - by_zeta) + rho * f11 - zeta * f22
        return above / (curvature + f12)

    def _flattened(self, rho: jax.Array, zeta: jax.Array) -> jax.Array:
        total = jnp.zeros_like(rho)
        for amplitude, a, b in self.discs:
            total -= amplitude * jax.lax.rsqrt(rho + (a + jnp.sqrt(zeta + b * b)) ** 2)
        for amplitude, core, flat in self.haloes:
            total += 0.5 * amplitude * jnp.log(core + rho + flat * zeta)
        return total


def miyamoto_nagai(amplitude: float, a: float, b: float) -> Radial:
    """The potential of a disc in its plane."""
    return lambda R: -amplitude / np.sqrt(R**2 + (a + b) ** 2)


def sum_of_parts(
    spheres: list[Radial],
    discs: list[tuple[float, float, float]],
    *,
    haloes: list[tuple[float, float, float]] | None = None,
    escapes: bool = True,
) -> Axisymmetric:
    """A potential of spherical parts and flattened ones, see ``Axisymmetric``."""
    halo = haloes or []

    def sphere(w: np.ndarray) -> np.ndarray:
        return sum((part(np.sqrt(w)) for part in spheres), np.zeros_like(w))

    def plane(w: np.ndarray) -> np.ndarray:
        flat = sum((miyamoto_nagai(*disc)(np.sqrt(w)) for disc in discs), np.zeros_like(w))
        return sphere(w) + flat + sum(0.5 * A * np.log(core + w) for A, core, _ in halo)

    heights = [b for _, _, b in discs] or [_NO_DISC]
    return Axisymmetric(
        sphere=make_table(sphere),
        plane=make_table(plane),
        discs=jnp.asarray(np.reshape(np.array(discs, float), (-1, 3))),
        haloes=jnp.asarray(np.reshape(np.array(halo, float), (-1, 3))),
        height=jnp.asarray(float(min(heights))),
        escapes=escapes,
    )


def milky_way_2014(*, halo_mass: float = 1.0) -> Axisymmetric:
    """MWPotential2014 from its formulas, 0 at infinity.

    halo_mass : factor on the mass of the halo.
    """
    alpha, cut, halo = 1.8, 1.9 / 8, 2.0
    a, b = 3.0 / 8, 0.28 / 8

    def mass(r: np.ndarray) -> np.ndarray:  # of the bulge of unit amplitude, over 2 pi
        return (
            cut ** (3 - alpha) * gamma(1.5 - alpha / 2) * gammainc(1.5 - alpha / 2, (r / cut) ** 2)
        )

    def bulge(r: np.ndarray) -> np.ndarray:
        outside = gamma(1 - alpha / 2) * gammaincc(1 - alpha / 2, (r / cut) ** 2)
        return -(cut ** (2 - alpha) * outside + mass(r) / r)

    # R times the force at R = 1, of unit amplitude each
    force_bulge = float(mass(np.array(1.0)))
    force_disc = (1 + (a + b) ** 2) ** -1.5
    force_halo = np.log(1 + 1 / halo) - 1 / (halo + 1)
    return sum_of_parts(
        [
            lambda r: 0.05 / force_bulge * bulge(r),
            lambda r: -0.35 * halo_mass / force_halo * np.log1p(r / halo) / r,
        ],
        [(0.6 / force_disc, a, b)],
    )
