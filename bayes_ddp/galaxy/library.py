"""The isochrones as one joint prior of (ln Teff, log g, [M/H]), mass and age.

The prior is a mixture: each member is a star on an isochrone, with a weight from the mass
function, the ages and the metallicities of each component of the Galaxy, and a Gaussian kernel in
the labels. The kernel joins neighbouring members, and stands for the error of the isochrones.
Members are grouped into cells of neighbours, so that those that matter to a star are found fast.
"""

from functools import cache

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayes_ddp.galaxy.imf import imf_fraction
from bayes_ddp.galaxy.isochrones import Isochrones, load_isochrones
from bayes_ddp.galaxy.populations import OLDEST, POPULATIONS

__all__ = ["CELL", "KERNEL", "Library", "load_library"]

KERNEL = (0.007, 0.025, 0.06)
"""Standard deviation in ln Teff, log g and [M/H] about each member (40 K at 5772 K)."""

CELL = 32
"""Members per cell."""

_SPACING = 1.5  # kernels between members of one isochrone; 1.7 would leave ripples of 1 %
_METALS = np.round(np.arange(-4.0, 0.51, 0.1), 3)
_LOG_AGES = np.round([*np.arange(8.0, 9.0, 0.1), *np.arange(9.0, 10.11, 0.05)], 3)
_TEFF, _LOGG = (3000.0, 12000.0), (-1.0, 6.0)
_MASS_SCALE = 0.05  # dex, of one kernel's width when cells are made


class Library(eqx.Module):
    """The members, [cell member], and a summary of each cell.

    place : [cell member 4], ln Teff, log g, [M/H] and log10 of the present mass (Msun).
    weight : [cell member population], of the mass function, age and [M/H]; the sum over members is
        the fraction of a population's stars that are alive.
    initial_mass : Msun. log_age : log10 yr. centre : [4 cell], float32. spread : [4], typical
        standard deviation within a cell. total : [population cell], float32.
    """

    place: Float[Array, "cell member 4"]
    weight: Float[Array, "cell member population"]
    initial_mass: Float[Array, "cell member"]
    log_age: Float[Array, "cell member"]
    centre: Float[Array, "4 cell"]
    spread: Float[Array, "4"]
    total: Float[Array, "population cell"]


@cache
def load_library() -> Library:
    """The library of ``models/mist``; it is made in a few seconds and kept."""
    isochrones = load_isochrones()
    rows = np.concatenate(
        [_isochrone(isochrones, mh, log_age) for mh in _METALS for log_age in _LOG_AGES]
    )
    rows = rows[(rows[:, 0] > np.log(_TEFF[0])) & (rows[:, 0] < np.log(_TEFF[1]))]
    rows = rows[(rows[:, 1] > _LOGG[0]) & (rows[:, 1] < _LOGG[1])]
    padding = np.repeat(rows[-1:], -len(rows) % CELL, axis=0)
    padding[:, 4] = 0.0  # no weight
    rows = np.concatenate([rows, padding])
    rows = rows[_grouped(rows[:, :4] / (*KERNEL, _MASS_SCALE))]
    place, number = rows[:, :4], rows[:, 4]
    shares = number[:, None] * _population_shares(place[:, 2], rows[:, 6])
    place = place.reshape(-1, CELL, 4)
    weight = shares.reshape(-1, CELL, len(POPULATIONS))
    return Library(
        place=jnp.asarray(place),
        weight=jnp.asarray(weight),
        initial_mass=jnp.asarray(rows[:, 5].reshape(-1, CELL)),
        log_age=jnp.asarray(rows[:, 6].reshape(-1, CELL)),
        centre=jnp.asarray(place.mean(axis=1).T, jnp.float32),
        spread=jnp.asarray(np.median(place.std(axis=1), axis=0)),
        total=jnp.asarray(weight.sum(axis=1).T, jnp.float32),
    )


def _isochrone(isochrones: Isochrones, mh: float, log_age: float) -> np.ndarray:
    """[member 7]: place, number of stars by the mass function, initial mass, log age.

    Members follow one another at equal steps along the isochrone in units of the kernel.
    """
    track = isochrones.along(mh, log_age)
    values = np.stack(
        [np.log(track.teff), track.logg, np.log10(track.mass), track.initial_mass], axis=1
    )
    values = values[np.concatenate([[True], np.diff(track.initial_mass) > 0])]
    step = np.hypot(np.diff(values[:, 0]) / KERNEL[0], np.diff(values[:, 1]) / KERNEL[1])
    way = np.concatenate([[0.0], np.cumsum(step + 1e-9)]) / _SPACING
    edges = np.linspace(0, way[-1], max(int(way[-1]), 1) + 1)
    middle = 0.5 * (edges[1:] + edges[:-1])
    found = np.stack([np.interp(middle, way, column) for column in values.T], axis=1)
    number = np.diff(imf_fraction(np.interp(edges, way, values[:, 3])))
    metals, ages = np.full(len(middle), mh), np.full(len(middle), log_age)
    return np.stack(
        [found[:, 0], found[:, 1], metals, found[:, 2], number, found[:, 3], ages], axis=1
    )


def _population_shares(mh: np.ndarray, log_age: np.ndarray) -> np.ndarray:
    """[member population], probability of the member's [M/H] and age."""
    inner = 0.5 * (_LOG_AGES[1:] + _LOG_AGES[:-1])
    edges = np.concatenate([[0.1], 10 ** (inner - 9), [OLDEST]])
    bins = np.searchsorted(_LOG_AGES, log_age - 1e-6)
    step = float(np.diff(_METALS)[0])
    return np.stack(
        [p.share_of_ages(edges)[bins] * p.density_of_metals(mh) * step for p in POPULATIONS],
        axis=1,
    )


def _grouped(scaled: np.ndarray) -> np.ndarray:
    """[member] order in which each run of ``CELL`` members is a cell of neighbours (k-d tree)."""
    order = np.arange(len(scaled))
    runs = [(0, len(scaled))]
    while runs:
        start, stop = runs.pop()
        if stop - start <= CELL:
            continue
        part = order[start:stop]
        points = scaled[part]
        axis = int(np.argmax(np.ptp(points, axis=0)))
        half = max((stop - start) // CELL // 2, 1) * CELL
        order[start:stop] = part[np.argpartition(points[:, axis], half - 1)]
        runs += [(start, start + half), (start + half, stop)]
    return order
