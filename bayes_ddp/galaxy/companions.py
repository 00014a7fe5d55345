"""Light of unresolved companions: main-sequence stars of the primary's age and metallicity.

The mass ratio is uniform from 0.1 to 1 for 45 % of the stars (Raghavan et al. 2010) and taken at
four values; companions below a mass ratio of 0.4 give less than 2 % of the light in G and count as
none.
"""

from functools import cache

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayes_ddp.galaxy.bolometric import ALL_BANDS
from bayes_ddp.galaxy.isochrones import load_isochrones
from bayes_ddp.galaxy.magnitudes import absolute_magnitudes

__all__ = ["EDGES", "RATIOS", "Companions", "load_companions", "shares"]

EDGES = (0.4, 0.6, 0.78, 0.92, 1.0)
RATIOS = (0.5, 0.69, 0.85, 0.96)
"""Mass ratios that stand for the ranges between ``EDGES``."""

_LOWEST = 0.1
_END_OF_SEQUENCE = 454  # equal evolutionary phase
_METALS = np.array([-3.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5])
_LOG_AGES = np.array([8.0, 8.6, 9.0, 9.3, 9.6, 9.8, 10.0, 10.13])
_LOG_MASS = np.linspace(-1.0, 0.8, 61)


class Companions(eqx.Module):
    """Flux of a star, 10^(-0.4 M), [mh age mass band] flattened to [node band]."""

    flux: Float[Array, "node band"]

    def at(self, mh: Array, log_age: Array, log_mass: Array) -> Float[Array, " band"]:
        """Flux [band] of a star of this [M/H], log10 age (yr) and log10 initial mass (Msun)."""
        axes = ((_METALS, mh), (_LOG_AGES, log_age), (_LOG_MASS, log_mass))
        places = [
            jnp.interp(value, jnp.asarray(nodes), jnp.arange(float(len(nodes))))
            for nodes, value in axes
        ]
        row = jnp.rint(places[0]).astype(jnp.int32) * len(_LOG_AGES)
        row = (row + jnp.rint(places[1]).astype(jnp.int32)) * len(_LOG_MASS)
        cell = jnp.minimum(places[2].astype(jnp.int32), len(_LOG_MASS) - 2)
        part = places[2] - cell
        return self.flux[row + cell] * (1 - part) + self.flux[row + cell + 1] * part


def shares(fraction: float) -> np.ndarray:
    """[1 + ratio], prior probability of no companion that counts, and of each mass ratio.

    fraction : of stars that have a companion of any mass ratio.
    """
    width = np.diff(EDGES) / (1 - _LOWEST)
    return np.concatenate([[1 - fraction * width.sum()], fraction * width])


@cache
def load_companions() -> Companions:
    """The fluxes from the isochrones of ``models/mist``.

    Masses beyond the end of the main sequence have the flux of its heaviest star.
    """
    grid = np.meshgrid(_METALS, _LOG_AGES, 10**_LOG_MASS, indexing="ij")
    star = load_isochrones().star(*(part.ravel() for part in grid))
    found = absolute_magnitudes(star.teff, star.logg, grid[0].ravel(), log_lum=star.log_lum)
    flux = 10 ** (-0.4 * np.stack([found[band] for band in ALL_BANDS], axis=1))
    shape = (-1, len(_LOG_MASS))
    dwarf = (np.isfinite(flux).all(axis=1) & (star.eep <= _END_OF_SEQUENCE)).reshape(shape)
    rows = flux.reshape(*shape, len(ALL_BANDS))
    for row, use in zip(rows, dwarf, strict=True):
        known = np.flatnonzero(use)
        for band in row.T:
            # lighter than the isochrones: no light
            band[:] = np.interp(_LOG_MASS, _LOG_MASS[known], band[known], left=0.0)
    return Companions(jnp.asarray(rows.reshape(flux.shape)))
