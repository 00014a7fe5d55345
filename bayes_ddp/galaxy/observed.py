"""What is known of one star before its distance: labels, magnitudes, parallax, dust and priors.

Arrays of ``Observed`` are of one star inside ``jit``, and have a leading star axis outside.
Unknown quantities have an inverse variance of 0 and a finite value, so that no NaN enters a sum.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayes_ddp.galaxy.extinction import dust
from bayes_ddp.galaxy.populations import densities

__all__ = ["MODULUS", "Observed", "Tables", "make_tables", "of_modulus"]

MODULUS = np.arange(-2.0, 25.01, 0.1)
"""Distance moduli at which the tables of a star are kept: 4 pc to 1 Mpc."""

_NOWHERE = 30.0  # kpc; the dust model ends there
_MAP_ERROR, _MAP_FLOOR = 0.16, 0.01  # of E(B-V), relative and mag (Schlafly & Finkbeiner 2011)
_UNKNOWN_SD = 0.3  # mag of E(B-V) without a map and without a position


class Tables(eqx.Module):
    """Priors of one star against ``MODULUS``.

    volume : [modulus population], density of stars in ln d, relative to its largest value.
    dust : [modulus 2], mean and standard deviation of E(B-V) before it is cut at 0.
    """

    volume: Float[Array, "*star modulus population"]
    dust: Float[Array, "*star modulus 2"]


class Observed(eqx.Module):
    """One star, or with a leading axis several.

    core, precision : [3], [3 3], mean of (ln Teff, log g, [M/H]) under a flat prior and its
        inverse covariance. magnitude, ivar : [band] of ``bolometric.ALL_BANDS``, floors included.
    parallax, parallax_ivar : mas, mas^-2. tables : priors of distance and dust.
    """

    core: Float[Array, "*star 3"]
    precision: Float[Array, "*star 3 3"]
    magnitude: Float[Array, "*star band"]
    ivar: Float[Array, "*star band"]
    parallax: Float[Array, "*star"]
    parallax_ivar: Float[Array, "*star"]
    tables: Tables


def of_modulus(modulus: Array, table: Array) -> Array:
    """Rows of a table against ``MODULUS``, linear in between and held at the ends."""
    step = MODULUS[1] - MODULUS[0]
    place = jnp.clip((modulus - MODULUS[0]) / step, 0.0, len(MODULUS) - 1.000001)
    cell = place.astype(jnp.int32)
    part = (place - cell)[..., None]
    return table[cell] * (1 - part) + table[cell + 1] * part


def make_tables(
    lon: np.ndarray, lat: np.ndarray, ebv: np.ndarray, *, scale: float | None = None
) -> Tables:
    """Tables [star ...] of stars at Galactic lon, lat (rad; NaN where unknown).

    ebv : mag, E(B-V) of all dust along the line of sight from a map, recalibrated; NaN where
        unknown. The part that lies in front of a star at some distance is that of an exponential
        disc of dust; without a map the disc alone is the prior, with a standard deviation of
        itself and 0.1 mag more.
    scale : kpc, of an exponentially decreasing volume density instead of the three components.
    """
    distance = 10 ** (0.2 * MODULUS - 2)
    placed = np.isfinite(lon) & np.isfinite(lat)
    where = (np.where(placed, lon, 0.0)[:, None], np.where(placed, lat, 1.0)[:, None])
    volume = densities(*where, distance[None], scale=scale)
    volume /= volume.max(axis=(1, 2), keepdims=True)
    coarse = slice(None, None, 5)
    front = dust(*where, distance[None, coarse])
    front = np.stack([np.interp(MODULUS, MODULUS[coarse], row) for row in front])
    whole = dust(*where, np.full((1, 1), _NOWHERE))
    share = front / whole
    known = np.isfinite(ebv)[:, None]
    column = np.where(known, ebv[:, None], 0.0)
    mean = np.where(known, column * share, front)
    near = 0.5 * column * (1 - share) * share  # the share itself is uncertain
    mapped = np.sqrt((_MAP_ERROR * mean) ** 2 + _MAP_FLOOR**2 + near**2)
    sd = np.where(known, mapped, front + 0.1)
    nowhere = (~placed)[:, None] & ~known
    mean, sd = np.where(nowhere, 0.0, mean), np.where(nowhere, _UNKNOWN_SD, sd)
    return Tables(jnp.asarray(volume), jnp.asarray(np.stack([mean, sd], axis=-1)))
