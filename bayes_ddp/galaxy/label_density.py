"""How common labels are in each population: the density of the isochrones on a grid.

It is the library of stellar evolution without mass and age. The kernel of its members is widened
to two cells of the grid, on which the density is linear.
"""

from functools import cache
from itertools import product

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.ndimage import gaussian_filter

from bayes_ddp.galaxy.library import load_library

__all__ = ["LabelDensity", "load_label_density"]

_STEP = np.array([0.01, 0.05, 0.1])
_LOW, _HIGH = np.array([7.95, -0.5, -4.3]), np.array([9.45, 5.9, 0.8])
_SMOOTH = (1.5, 1.2, 1.0)  # cells, standard deviation
_LEAST = 1e-9
"""Fraction of the highest density that labels off the isochrones have."""


class LabelDensity(eqx.Module):
    """density : [teff logg mh population], stars per ln Teff, log g and [M/H], relative."""

    density: Float[Array, "teff logg mh population"]

    def at(self, core: Float[Array, "3"]) -> Float[Array, " population"]:
        """The density of each population at (ln Teff, log g, [M/H]), linear between nodes."""
        sizes = jnp.array(self.density.shape[:3])
        place = jnp.clip((core - jnp.asarray(_LOW)) / jnp.asarray(_STEP), 0.0, sizes - 1.000001)
        cell = place.astype(jnp.int32)
        corners = jnp.array(list(product((0, 1), repeat=3)))
        part = place - cell
        weight = jnp.prod(jnp.where(corners == 1, part, 1 - part), axis=1)
        node = cell + corners
        return weight @ self.density[node[:, 0], node[:, 1], node[:, 2]]


@cache
def load_label_density() -> LabelDensity:
    """The density of the library of ``models/mist``."""
    library = load_library()
    place = np.asarray(library.place)[..., :3].reshape(-1, 3)
    weight = np.asarray(library.weight).reshape(len(place), -1)
    sizes = np.rint((_HIGH - _LOW) / _STEP).astype(int) + 1
    node = np.clip(np.rint((place - _LOW) / _STEP).astype(int), 0, sizes - 1)
    flat = np.ravel_multi_index(tuple(node.T), tuple(sizes))
    each = [np.bincount(flat, column, int(np.prod(sizes))).reshape(sizes) for column in weight.T]
    smooth = np.stack([gaussian_filter(part, _SMOOTH) for part in each], axis=-1)
    return LabelDensity(jnp.asarray(smooth + _LEAST * smooth.max(axis=(0, 1, 2))))
