"""Actions and orbit parameters in the Staeckel approximation, many orbits at a time.

In prolate spheroidal coordinates with focal length D, R = D sinh u sin v and z = D cosh u cos v, a
Staeckel potential separates: p_u and p_v depend on u and v alone and on E, L_z and I_3. Binney
(2012), MNRAS 426, 1324, uses this for any axisymmetric potential; u is separated in the plane
v = pi/2 and v along the spheroid of the star's own u, as in galpy (Bovy 2015, ApJS 216, 29).
Sanders & Binney (2016), MNRAS 457, 2107, review the method. Pericentre, apocentre, greatest height
and eccentricity follow from the limits of u and v (Mackereth & Bovy 2018, PASP 130, 114501).

Here w = (D sinh u)^2 and t = cos^2 v take the place of u and v: everything is regular at D = 0,
where the approximation is exact for spherical potentials. Units are natural ones throughout.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from bayes_ddp.galaxy.axisymmetric import Axisymmetric
from bayes_ddp.galaxy.frames import Array, Cylindrical
from bayes_ddp.galaxy.roots import Function, beyond, find_root

__all__ = ["BLOCK", "ORDER", "Integrals", "integrals"]

ORDER = 20
"""Nodes of each quadrature."""

BLOCK = 1024
"""Orbits computed together; what they need fits into a core's cache."""

_INNER = 1e-3  # fraction of the outer limit below which R is sampled linearly
_POLE = 1e3  # cot(v) beyond which the integral over v is taken analytically
_NOISE = 1e-10  # relative, of p_u^2, below which its sign is not known
_FLOOR, _TINY = 1e-12, 1e-30  # w below which R is taken as 0; divisor in place of 0
_GUIDE_ROUNDS = 8


class Integrals(NamedTuple):
    """What is constant along an orbit, each [orbit], natural units.

    All but ``energy`` and ``j_phi`` are NaN for unbound orbits.
    """

    energy: Array
    j_phi: Array
    j_r: Array
    j_z: Array
    ecc: Array
    r_peri: Array
    r_apo: Array
    z_max: Array
    r_guide: Array


class _Spheroid(NamedTuple):
    """Orbits in spheroidal coordinates, each [orbit].

    E, L2, D2 : energy, L_z^2, squared focal length. w, sine2, t : (D sinh u)^2, sin^2 v, cos^2 v.
    speed2 : v_phi^2. pu2, pv2 : squared momenta.
    """

    E: jax.Array
    L2: jax.Array
    D2: jax.Array
    w: jax.Array
    sine2: jax.Array
    t: jax.Array
    speed2: jax.Array
    pu2: jax.Array
    pv2: jax.Array


def integrals(
    potential: Axisymmetric,
    phase: Cylindrical,
    focal: jax.Array | None = None,
    *,
    order: jax.Array | int = ORDER,
) -> Integrals:
    """Actions, energy and orbit parameters of stars [orbit] in natural units, jit-able.

    focal : squared focal length; by default that of the potential at the star's place
        (``Axisymmetric.focal``). order : nodes of each quadrature.
    """
    R, _, z, v_R, v_phi, v_z = phase
    rho, zeta = R * R, z * z
    depth = potential.value(rho, zeta)
    energy = depth + 0.5 * (v_R * v_R + v_phi * v_phi + v_z * v_z)
    usable = jnp.isfinite(energy) & (rho + zeta > 0)
    if potential.escapes:
        usable &= energy < 0
    D2 = potential.focal(rho, zeta) if focal is None else focal
    D2 = jnp.where(jnp.isfinite(D2), jnp.maximum(D2, 0.0), 0.0)
    # orbits without an answer are computed as a circle, and lose the result below
    circle = Cylindrical(*(jnp.full_like(R, x) for x in (1.0, 0.0, 0.0, 0.0, 0.9, 0.0)))
    safe = Cylindrical(*(jnp.where(usable, x, y) for x, y in zip(phase, circle, strict=True)))
    depth = jnp.where(usable, depth, potential.plane.value(circle.R))
    orbit = _spheroid(safe, depth, D2)

    inner, outer, j_r = _radial(potential, orbit, order)
    top, j_z = _vertical(potential, orbit, depth, order=order)
    r_peri, r_apo = jnp.sqrt(inner), jnp.sqrt(outer + orbit.D2 * top)
    found = (
        j_r,
        j_z,
        (r_apo - r_peri) / (r_apo + r_peri),
        r_peri,
        r_apo,
        jnp.sqrt((outer + orbit.D2) * top),
        _guiding(potential, orbit.L2),
    )
    return Integrals(energy, R * v_phi, *(jnp.where(usable, x, jnp.nan) for x in found))


def _spheroid(phase: Cylindrical, depth: jax.Array, D2: jax.Array) -> _Spheroid:
    R, _, z, v_R, v_phi, v_z = phase
    rho, zeta = R * R, z * z
    # w is the positive root of w^2 - w (R^2 + z^2 - D^2) - D^2 R^2, without cancellation
    half = 0.5 * (rho + zeta - D2)
    root = jnp.sqrt(half * half + D2 * rho)
    w = jnp.where(half > 0, half + root, D2 * rho / jnp.maximum(root - half, _TINY))
    w = jnp.maximum(w, _TINY)
    t = jnp.minimum(zeta / (w + D2), 1.0)
    sine2 = jnp.where(rho > 0, jnp.minimum(rho / w, 1.0), 1 - t)
    sine, cosine = jnp.sqrt(sine2), jnp.sign(z) * jnp.sqrt(t)
    long, short = jnp.sqrt(w + D2), jnp.sqrt(w)
    pu = long * sine * v_R + short * cosine * v_z
    pv = short * cosine * v_R - long * sine * v_z
    energy = depth + 0.5 * (v_R * v_R + v_phi * v_phi + v_z * v_z)
    return _Spheroid(energy, rho * v_phi**2, D2, w, sine2, t, v_phi**2, pu * pu, pv * pv)


def _radial(
    potential: Axisymmetric, orbit: _Spheroid, order: jax.Array | int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Least and greatest w, and J_R = (1 / pi) times the integral of p_u over half a period.

    f(w) = p_u^2 w / (w + D^2) / 2 is concave for realistic potentials, so that Newton's method
    from outside both roots does not overshoot. p_u du = sqrt(2 f) d ln R.
    """
    E, D2, w0 = orbit.E, orbit.D2, orbit.w
    square = 0.5 * orbit.L2 * D2
    # D^2 I_3, from p_u at the star's own place
    C = E * w0 - (w0 + D2) * potential.plane.value(w0)
    C -= 0.5 * (D2 * orbit.sine2 * orbit.speed2 + orbit.pu2)

    def f(w: jax.Array) -> tuple[jax.Array, jax.Array]:
        depth, slope = potential.plane.value_and_slope(w)
        ratio = (w * (E * w - C) - square) / (w + D2)
        return ratio - w * depth, (2 * E * w - C - ratio) / (w + D2) - depth - w * slope

    floor = jnp.minimum(_FLOOR, 0.5 * w0)
    inner = jnp.where(f(floor)[0] < 0, find_root(f, (floor, w0), start=floor), 0.0)
    outside = beyond(f, 2 * w0)
    outer = find_root(f, (outside, w0), start=outside)

    def act(ends: _Ends) -> _Ends:
        return _radial_action(f, ends, w0, order=order)

    def again(ends: _Ends) -> _Ends:
        # other roots lie between: the orbit is where p_u^2 > 0 around the star
        below, above = ends.gap
        inner = find_root(f, (jnp.maximum(below, floor), w0), start=w0)
        outer = find_root(f, (jnp.minimum(above, outside), w0), start=w0)
        inner = jnp.where(below > 0, inner, ends.inner)
        outer = jnp.where(above < jnp.inf, outer, ends.outer)
        found = act(_Ends(inner, outer, ends.gap, w0))
        return ends._replace(
            inner=inner,
            outer=outer,
            action=jnp.where((below > 0) | (above < jnp.inf), found.action, ends.action),
        )

    found = act(_Ends(inner, outer, (0 * w0, jnp.inf * w0), w0))
    gap = jnp.any((found.gap[0] > 0) | (found.gap[1] < jnp.inf))
    found = lax.cond(gap, again, lambda ends: ends, found)
    return found.inner, found.outer, found.action


class _Ends(NamedTuple):
    """Limits of w, the places nearest to the star where p_u^2 < 0 between them, and J_R."""

    inner: jax.Array
    outer: jax.Array
    gap: tuple[jax.Array, jax.Array]
    action: jax.Array


def _radial_action(f: Function, ends: _Ends, w0: jax.Array, *, order: jax.Array | int) -> _Ends:
    # ln(R + a) is sampled, with small a, because radial orbits come to R = 0
    a = _INNER * jnp.sqrt(ends.outer)
    low, high = jnp.log(jnp.sqrt(ends.inner) + a), jnp.log(jnp.sqrt(ends.outer) + a)
    middle, half = 0.5 * (high + low), 0.5 * (high - low)
    noise = -_NOISE * f(w0)[0] - _NOISE * w0

    State = tuple[jax.Array, jax.Array, jax.Array]

    def add(i: jax.Array, state: State) -> State:
        total, below, above = state
        sine, cosine = _node(i, order, -0.5 * np.pi)
        shifted = jnp.exp(middle + half * sine)
        R = shifted - a
        w = R * R
        value = f(w)[0]
        gap = value < noise
        below = jnp.where(gap & (w < w0), jnp.maximum(below, w), below)
        above = jnp.where(gap & (w > w0), jnp.minimum(above, w), above)
        return total + cosine * jnp.sqrt(jnp.maximum(value, 0.0)) * shifted / R, below, above

    start = jnp.zeros_like(half), *ends.gap
    total, below, above = lax.fori_loop(0, order, add, start)
    return _Ends(ends.inner, ends.outer, (below, above), np.sqrt(2) / order * half * total)


def _vertical(
    potential: Axisymmetric, orbit: _Spheroid, depth: jax.Array, *, order: jax.Array | int
) -> tuple[jax.Array, jax.Array]:
    """Greatest t and J_z = (2 / pi) times the integral of p_v from its limit to v = pi / 2.

    n(t) = p_v^2 (1 - t) / 2. With x = cot v and x = c sinh y, where c is the angle that the
    thinnest disc spans, the integrand varies slowly in the disc and near the pole.
    """
    E, D2, w, sine2 = orbit.E, orbit.D2, orbit.w, orbit.sine2
    half = 0.5 * orbit.L2
    # the constant of the v equation, from p_v at the star's own place
    C = 0.5 * orbit.pv2 + 0.5 * w * orbit.speed2 + (w + D2 * sine2) * depth - E * D2 * sine2

    def n(t: jax.Array) -> tuple[jax.Array, jax.Array]:
        value, by_rho, by_zeta = potential.value_and_slopes(w * (1 - t), (w + D2) * t)
        q = D2 * (1 - t)
        inside = C + E * q - (w + q) * value
        slope = D2 * (value - E) - (w + q) * ((w + D2) * by_zeta - w * by_rho)
        return (1 - t) * inside - half, (1 - t) * slope - inside

    top = find_root(n, (jnp.ones_like(w), orbit.t), start=orbit.t)
    cot = jnp.sqrt(top / jnp.maximum(1 - top, _TINY))
    scale = jnp.minimum(potential.height / jnp.sqrt(w + D2), 1.0)
    length = jnp.arcsinh(jnp.minimum(cot, _POLE) / scale)

    def add(i: jax.Array, total: jax.Array) -> jax.Array:
        sine, cosine = _node(i, order, 0.0)
        up = jnp.exp(length * sine)
        square = (0.5 * scale * (up - 1 / up)) ** 2  # cot^2 v
        rest = 1 / (1 + square)
        momentum = jnp.sqrt(jnp.maximum(n(square * rest)[0] * rest, 0.0))
        return total + cosine * momentum * (up + 1 / up)

    total = lax.fori_loop(0, order, add, jnp.zeros_like(w))
    j_z = np.sqrt(2) / (2 * order) * scale * length * total
    return top, j_z + _polar_cap(n, orbit.L2, top)


def _polar_cap(n: Function, L2: jax.Array, top: jax.Array) -> jax.Array:
    """(2 / pi) times the integral of p_v over angles below 1 / ``_POLE``, where it is simple.

    There p_v^2 = P^2 - (L_z / v)^2 with constant P.
    """
    angle, L = 1 / _POLE, jnp.sqrt(L2)
    P2 = jnp.maximum(2 * n(jnp.ones_like(L2) - angle**2)[0] / angle**2 + L2 / angle**2, _TINY)
    edge = jnp.sqrt(jnp.maximum(P2 * angle**2 - L2, 0.0))
    area = edge - L * jnp.arctan2(edge, L)
    return jnp.where(((1 - top) * _POLE**2 < 1) & (edge > 0), 2 / np.pi * area, 0.0)


def _node(i: jax.Array, order: jax.Array | int, start: float) -> tuple[jax.Array, jax.Array]:
    """Sine and cosine of the middle of step i of ``order`` equal ones from ``start`` to pi / 2.

    The integrand is periodic and even at both ends, so the midpoint rule converges exponentially.
    """
    angle = start + (np.pi / 2 - start) * (i + 0.5) / order
    return jnp.sin(angle), jnp.cos(angle)


def _guiding(potential: Axisymmetric, L2: jax.Array) -> jax.Array:
    """Radius of the circular orbit with this angular momentum: 2 w^2 dPhi/dw = L_z^2, w = R^2."""
    target = jnp.log(jnp.maximum(L2, _FLOOR**2))

    def step(_: jax.Array, x: jax.Array) -> jax.Array:
        w = jnp.exp(x)
        slope = potential.plane.value_and_slope(w)[1]
        power = 2 + w * potential.plane.curvature(w) / slope
        return x - (jnp.log(2 * w * w * slope) - target) / jnp.clip(power, 0.4, 2.5)

    x = lax.fori_loop(0, _GUIDE_ROUNDS, step, target)
    return jnp.where(L2 > 0, jnp.exp(0.5 * x), 0.0)
