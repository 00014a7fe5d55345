"""Proper motions and line-of-sight velocities that belong to draws of the distance.

Gaia measures parallax and proper motion together. A draw of the distance fixes the parallax, and
with it shifts the proper motion by their covariance, so that the parallax is used once:

    mu | d ~ N(mu_obs + S_mu,plx / s_plx^2 (1 / d + zp - plx_obs),
               S_mu,mu - S_mu,plx S_plx,mu / s_plx^2)

with zp the zero point that the measured parallax has (Lindegren et al. 2021; about -0.03 mas).
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from bayes_ddp.galaxy.frames import Sky
from bayes_ddp.inference.weights import generator_of
from bayes_ddp.tables.values import real

__all__ = ["Astrometry", "astrometry_of", "draw_sky", "proper_motion"]

_POSITIONS = (("target_ra", "target_dec"), ("ra", "dec"), ("ra_icrs", "de_icrs"))
_COLUMNS = {
    "parallax": "parallax",
    "pmra": "pmra",
    "pmdec": "pmdec",
    "parallax_error": "parallax_error",
    "pmra_error": "pmra_error",
    "pmdec_error": "pmdec_error",
    "parallax_pmra": "parallax_pmra_corr",
    "parallax_pmdec": "parallax_pmdec_corr",
    "pmra_pmdec": "pmra_pmdec_corr",
    "zero_point": "parallax_zero_point",
    "vrad": "radial_velocity",
    "vrad_error": "radial_velocity_error",
}
"""Field of ``Astrometry`` -> column of Gaia."""


@dataclass(frozen=True)
class Astrometry:
    """Positions and motions on the sky as measured, each [star]; NaN where unknown.

    ra, dec : degrees. parallax : mas. pmra (with cos dec), pmdec : mas/yr, and their errors.
    parallax_pmra, parallax_pmdec, pmra_pmdec : correlations; 0 where unknown.
    zero_point : mas, what the parallaxes of distant sources are on average.
    vrad, vrad_error : km/s, for stars whose distance draws have no velocity.
    """

    ra: np.ndarray
    dec: np.ndarray
    parallax: np.ndarray
    pmra: np.ndarray
    pmdec: np.ndarray
    parallax_error: np.ndarray
    pmra_error: np.ndarray
    pmdec_error: np.ndarray
    parallax_pmra: np.ndarray
    parallax_pmdec: np.ndarray
    pmra_pmdec: np.ndarray
    zero_point: np.ndarray
    vrad: np.ndarray
    vrad_error: np.ndarray

    def __len__(self) -> int:
        return len(self.ra)

    def take(self, rows: np.ndarray | slice) -> "Astrometry":
        """The stars of ``rows``; a row of -1 is a star of which nothing is known."""
        if isinstance(rows, slice):
            return replace(self, **{f.name: getattr(self, f.name)[rows] for f in fields(self)})
        known = np.asarray(rows) >= 0
        return replace(
            self,
            **{f.name: np.where(known, getattr(self, f.name)[rows], np.nan) for f in fields(self)},
        )


def astrometry_of(table: Mapping[str, np.ndarray], *, where: str = "astrometry") -> Astrometry:
    """Astrometry from columns with Gaia's names in lower case, [star] each.

    Needed: a position (``ra``, ``dec``), ``pmra``, ``pmdec`` and their errors. Correlations
    (``parallax_pmra_corr`` ...) are 0 and the zero point (``parallax_zero_point``, mas) is 0 where
    there is no column or value; other unknown values are NaN.

    where : the table in messages. Raises ValueError for missing columns.
    """
    place = next((p for p in _POSITIONS if p[0] in table and p[1] in table), None)
    needed = ("pmra", "pmdec", "pmra_error", "pmdec_error")
    missing = [name for name in needed if name not in table]
    if place is None or missing:
        lacks = missing if place is not None else ["ra", "dec", *missing]
        raise ValueError(
            f"{where} has no column {', '.join(lacks)}, which orbits need. Give a table with the "
            "columns of Gaia (ra, dec, pmra, pmra_error, pmdec, pmdec_error, parallax ...)."
        )
    size = len(table[place[0]])
    found: dict[str, np.ndarray] = {
        name: real(table[column], f"{where}: column {column}")
        for name, column in zip(("ra", "dec"), place, strict=True)
    }
    for name, column in _COLUMNS.items():
        known = column in table
        values = (
            real(table[column], f"{where}: column {column}") if known else np.full(size, np.nan)
        )
        if name in ("parallax_pmra", "parallax_pmdec", "pmra_pmdec", "zero_point"):
            values = np.nan_to_num(values, nan=0.0)
        found[name] = values
    return Astrometry(**found)


def proper_motion(star: Astrometry, distance: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Proper motions (pmra, pmdec) [2 draw star] in mas/yr, given distances [draw star] in kpc.

    noise : [2 draw star], standard normal. Where the parallax is unknown, the measured proper
    motion and its own covariance are used. NaN where an error is not positive.
    """
    sd = np.stack([star.pmra_error, star.pmdec_error])
    sd = np.where(sd > 0, sd, np.nan)
    corr = np.stack([star.parallax_pmra, star.parallax_pmdec])
    known = np.isfinite(star.parallax) & (star.parallax_error > 0)
    corr = np.where(known, corr, 0.0)
    scale = np.where(known, star.parallax_error, 1.0)
    offset = np.where(known, (1 / distance + star.zero_point - star.parallax) / scale, 0.0)
    centre = np.stack([star.pmra, star.pmdec])[:, None] + (sd * corr)[:, None] * offset
    # what is left of the variances and the covariance, and its Cholesky factor
    left = np.maximum(1 - corr**2, 0.0)
    cross = star.pmra_pmdec - corr[0] * corr[1]
    first = np.sqrt(left[0])
    lean = np.where(first > 0, cross / np.where(first > 0, first, 1.0), 0.0)
    second = np.sqrt(np.maximum(left[1] - lean**2, 0.0))
    shift = np.stack([first * noise[0], lean * noise[0] + second * noise[1]])
    return centre + sd[:, None] * shift


def draw_sky(
    star: Astrometry,
    distance: np.ndarray,
    vrad: np.ndarray,
    *,
    ids: np.ndarray,
    floor: np.ndarray | float = 0.0,
    seed: int = 1,
) -> Sky:
    """Positions and motions [draw star] that belong to draws of distance and velocity.

    distance, vrad : [draw star], kpc and km/s; stars whose velocities are all NaN take the one of
    ``star``. floor : km/s [star], scatter of the survey's velocities beyond their errors, added
    to the former. The noise of a star depends on its identifier and the seed alone.
    """
    draws, size = distance.shape
    noise = np.empty((3, draws, size))
    for i, name in enumerate(ids):
        noise[:, :, i] = generator_of(str(name), seed).standard_normal((3, draws))
    pmra, pmdec = proper_motion(star, distance, noise[:2])
    own = np.isfinite(vrad).any(axis=0)
    error = np.where(own, floor, star.vrad_error)
    speed = np.where(own, vrad, star.vrad) + error * noise[2]
    shape = np.ones((draws, 1))
    return Sky(star.ra * shape, star.dec * shape, distance, pmra, pmdec, speed)
