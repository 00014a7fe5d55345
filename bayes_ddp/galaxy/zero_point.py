"""Zero points of Gaia EDR3 and DR3 parallaxes (Lindegren et al. 2021, A&A 649, A4).

The coefficients are those of the package ``gaiadr3-zeropoint``. They are valid for 6 < G < 21 and
for effective wavenumbers of 1.1 to 1.9 / µm (five-parameter solutions) or pseudocolours of 1.24 to
1.72 / µm (six-parameter solutions). Parallaxes of DR2 have another zero point, about -0.05 mas.
"""

from collections.abc import Mapping

import astropy.units as u
import numpy as np
from astropy.coordinates import BarycentricMeanEcliptic, SkyCoord

from bayes_ddp.tables.values import real

__all__ = ["ZERO_POINT_COLUMNS", "zero_points"]

ZERO_POINT_COLUMNS = (
    "phot_g_mean_mag",
    "nu_eff_used_in_astrometry",
    "pseudocolour",
    "astrometric_params_solved",
)
"""Columns of Gaia that the zero point depends on, beside the ecliptic latitude."""

_SOLUTIONS = {31: "nu_eff_used_in_astrometry", 95: "pseudocolour"}
"""``astrometric_params_solved`` of five and six parameters -> column of the colour."""


def zero_points(
    table: Mapping[str, np.ndarray], ra: np.ndarray, dec: np.ndarray, *, where: str
) -> np.ndarray:
    """[star], mas, to be subtracted from the parallaxes; NaN where not known or out of range.

    table : lower-case name -> [star], with Gaia's columns. ra, dec : degrees; the ecliptic
    latitude is computed from them where the table has no ``ecl_lat``.
    """
    result = np.full(len(ra), np.nan)
    needed = [name for name in ZERO_POINT_COLUMNS if name in table]
    if "astrometric_params_solved" not in needed or "phot_g_mean_mag" not in needed:
        return result
    columns = {name: real(table[name], f"{where}: column {name}") for name in needed}
    latitude = _latitude(table, ra, dec, where=where)
    from zero_point import zpt

    zpt.load_tables()
    for solution, colour in _SOLUTIONS.items():
        if colour not in columns:
            continue
        known = np.isfinite(columns["phot_g_mean_mag"] + columns[colour] + latitude)
        rows = np.flatnonzero(known & (columns["astrometric_params_solved"] == solution))
        if len(rows):
            result[rows] = zpt.get_zpt(
                columns["phot_g_mean_mag"][rows],
                columns[colour][rows],  # the package uses the colour of the solution alone
                columns[colour][rows],
                latitude[rows],
                np.full(len(rows), solution),
                _warnings=False,
            )
    return result


def _latitude(
    table: Mapping[str, np.ndarray], ra: np.ndarray, dec: np.ndarray, *, where: str
) -> np.ndarray:
    if "ecl_lat" in table:
        return real(table["ecl_lat"], f"{where}: column ecl_lat")
    placed = np.isfinite(ra) & np.isfinite(dec)
    sky = SkyCoord(np.where(placed, ra, 0.0) * u.deg, np.where(placed, dec, 0.0) * u.deg)
    latitude = sky.transform_to(BarycentricMeanEcliptic()).lat.deg
    return np.where(placed, latitude, np.nan)
