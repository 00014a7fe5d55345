"""Bolometric corrections and extinction in a table that JAX interpolates and differentiates.

The nodes of MIST's table are refined once by monotone cubic interpolation (PCHIP) in log Teff,
log g and [Fe/H], and then interpolated linearly on a uniform grid. Extinction against A_V is a
cubic without a constant term, fitted to the six tabulated A_V; it reproduces them to 2e-4 of A_V.
``left_out_errors`` measures the interpolation by leaving out every node in turn.
"""

from functools import cache
from itertools import product
from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from scipy.interpolate import PchipInterpolator

from bayes_ddp.galaxy.dust_law import law_ratio
from bayes_ddp.galaxy.extinction import AV_PER_EBV, LEGACY
from bayes_ddp.galaxy.magnitudes import SUN_BOLOMETRIC, sdss_from_gaia
from bayes_ddp.galaxy.mist import BANDS, load_tables

__all__ = ["ALL_BANDS", "BolometricTable", "Law", "left_out_errors", "load_bolometric_table"]

Law = Literal["fitzpatrick", "cardelli"]
"""Extinction law that the coefficients follow; MIST's own is Cardelli's."""

ALL_BANDS = (*BANDS, *LEGACY)
"""Gaia and 2MASS (Vega), and g, r, z of the Legacy Surveys (AB), in the order of all arrays."""

_SIZES = {"teff": 97, "logg": 29, "feh": 39}
_LN10 = float(np.log(10.0))
_SUN_LOGG, _SUN_LN_TEFF = 4.438, 3.7617 * _LN10  # those of the isochrones


class BolometricTable(eqx.Module):
    """Bolometric corrections and coefficients of extinction on a uniform grid.

    correction : [node band] without dust. loss : [node 3 band], extinction in powers of A_V; the
        nodes are those of a grid of ``sizes``, the last axis fastest. low, step : [3], of ln Teff,
        log g and [M/H].
    """

    correction: Float[Array, "node band"]
    loss: Float[Array, "node 3 band"]
    low: Float[Array, "3"]
    step: Float[Array, "3"]
    sizes: tuple[int, int, int] = eqx.field(static=True)

    def _mix(self, rows: Array, core: Float[Array, "3"]) -> Array:
        """Rows of nodes at (ln Teff, log g, [M/H]), linear between nodes, held at the edges."""
        place = jnp.clip((core - self.low) / self.step, 0.0, jnp.array(self.sizes) - 1.000001)
        cell = place.astype(jnp.int32)
        corners = jnp.array(list(product((0, 1), repeat=3)))
        part = place - cell
        weight = jnp.prod(jnp.where(corners == 1, part, 1 - part), axis=1)
        nodes = (cell + corners) @ jnp.array([self.sizes[1] * self.sizes[2], self.sizes[2], 1])
        return jnp.tensordot(weight, rows[nodes], axes=1)

    def inside(self, core: Float[Array, "3"]) -> Bool[Array, ""]:
        """Whether Teff and log g are on the table; [M/H] is held at the edge."""
        high = self.low + self.step * (jnp.array(self.sizes) - 1)
        return jnp.all((core >= self.low)[:2] & (core <= high)[:2])

    def magnitudes(
        self, core: Float[Array, "3"], log_mass: Float[Array, ""]
    ) -> Float[Array, " band"]:
        """Absolute magnitudes without dust, ``ALL_BANDS``.

        core : (ln Teff, log g, [M/H]). log_mass : log10 of the present mass, Msun.

        L = M Teff^4 / g in units of the Sun.
        """
        log_lum = log_mass + 4 * (core[0] - _SUN_LN_TEFF) / _LN10 - (core[1] - _SUN_LOGG)
        mist = SUN_BOLOMETRIC - 2.5 * log_lum - self._mix(self.correction, core)
        sloan = sdss_from_gaia(mist[0], mist[1] - mist[2], xp=jnp)
        return jnp.concatenate([mist, jnp.stack([sloan[band] for band in LEGACY])])

    def extinction(
        self, core: Float[Array, "3"], ebv: Float[Array, ""] | float
    ) -> tuple[Float[Array, " band"], Float[Array, " band"]]:
        """(extinction in mag, its derivative by E(B-V)), ``ALL_BANDS``; A_V = 2.742 E(B-V).

        ebv : on the scale of SFD. Gaia and 2MASS depend on the star, g, r and z do not.
        """
        av = AV_PER_EBV * jnp.asarray(ebv)
        loss = self._mix(self.loss, core)
        dimmed = av * (loss[0] + av * (loss[1] + av * loss[2]))
        slope = AV_PER_EBV * (loss[0] + av * (2 * loss[1] + 3 * av * loss[2]))
        fixed = jnp.array(list(LEGACY.values()))
        return jnp.concatenate([dimmed, fixed * ebv]), jnp.concatenate([slope, fixed])


@cache
def load_bolometric_table(law: Law = "fitzpatrick") -> BolometricTable:
    """The refined table of ``models/mist`` with extinction by this law."""
    tables = load_tables()
    values = _with_extinction(tables["bc"], tables["bc_av"])
    low, step = [], []
    for axis, (name, size) in enumerate(_SIZES.items()):
        nodes = _axis(name, tables[f"bc_{name}"])
        fine = np.linspace(nodes[0], nodes[-1], size)
        values = PchipInterpolator(nodes, values, axis=axis)(fine)
        low.append(fine[0])
        step.append(fine[1] - fine[0])
    if law == "fitzpatrick":
        values[..., 1:, :] *= np.array([law_ratio(band) for band in BANDS])
    nodes = values.reshape(-1, *values.shape[-2:])
    return BolometricTable(
        correction=jnp.asarray(nodes[:, 0]),
        loss=jnp.asarray(nodes[:, 1:]),
        low=jnp.asarray(low),
        step=jnp.asarray(step),
        sizes=(_SIZES["teff"], _SIZES["logg"], _SIZES["feh"]),
    )


def _axis(name: str, nodes: np.ndarray) -> np.ndarray:
    return np.log(nodes) if name == "teff" else nodes


def _with_extinction(bc: np.ndarray, av: np.ndarray) -> np.ndarray:
    """[teff logg feh 4 band] of [teff logg feh av band]; av[0] is 0."""
    loss = (bc[..., :1, :] - bc[..., 1:, :]) / av[1:, None]
    powers = np.stack([av[1:] ** k for k in range(3)], axis=1)
    cubic = np.einsum("ka,...ab->...kb", np.linalg.pinv(powers), loss)
    return np.concatenate([bc[..., :1, :], cubic], axis=-2)


def left_out_errors() -> dict[str, np.ndarray]:
    """Axis -> [node colour] error of BP - RP, G - Ks and J - Ks at nodes that were left out.

    Every inner node of an axis is interpolated from the others, for all values of the other axes
    and A_V = 0. The distance to the neighbours is twice that of the table, so that these errors
    exceed those of the table itself.
    """
    tables = load_tables()
    bc, found = tables["bc"][..., 0, :], {}
    for axis, name in enumerate(_SIZES):
        nodes, table = _axis(name, tables[f"bc_{name}"]), np.moveaxis(bc, axis, 0)
        errors = []
        for i in range(1, len(nodes) - 1):
            rest = np.delete(np.arange(len(nodes)), i)
            errors.append(PchipInterpolator(nodes[rest], table[rest])(nodes[i]) - table[i])
        wrong = dict(zip(BANDS, np.moveaxis(np.array(errors), -1, 0), strict=True))
        pairs = (("BP", "RP"), ("G", "Ks"), ("J", "Ks"))
        found[name] = np.stack([(wrong[a] - wrong[b]).ravel() for a, b in pairs], axis=1)
    return found
