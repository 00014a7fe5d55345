"""Absolute magnitudes of stars of known Teff, log g, [Fe/H] and luminosity.

Gaia and 2MASS (Vega) by the bolometric corrections of MIST, M = 4.74 - 2.5 log L - BC (IAU 2015
B2). DESI's g, r, z (AB) from Gaia's by polynomials in BP - RP: g and r by Riello et al. (2021,
A&A 649, A3, Table C.2, to SDSS; scatter 0.07, valid for 0.3 < BP - RP < 3), z with their i and the
stellar locus i - z = 0.57 (r - i) (after Covey et al. 2007, AJ 134, 2398; (?) to 0.05). SDSS and
DECam bands differ by up to 0.1 mag: these magnitudes select a mock sample, they do not calibrate.
"""

from functools import cache
from typing import Any

import numpy as np
from scipy.interpolate import RegularGridInterpolator

from bayes_ddp.galaxy.mist import BANDS, load_tables

__all__ = ["absolute_magnitudes", "bolometric_corrections", "sdss_from_gaia"]

SUN_BOLOMETRIC = 4.74

_TO_SDSS = {  # G minus the band, in powers of BP - RP
    "g": (0.2199, -0.6365, -0.1548, 0.0064),
    "r": (-0.09837, 0.08592, 0.1907, -0.1701, 0.02263),
    "i": (-0.293, 0.6404, -0.09609, -0.002104),
}
_LOCUS = 0.57
_VALID = (0.3, 3.0)


@cache
def _table() -> RegularGridInterpolator:
    tables = load_tables()
    axes = [np.log10(tables["bc_teff"])] + [tables[f"bc_{n}"] for n in ("logg", "feh", "av")]
    return RegularGridInterpolator(axes, tables["bc"], bounds_error=False, fill_value=np.nan)


def bolometric_corrections(
    teff: np.ndarray, logg: np.ndarray, feh: np.ndarray, *, av: np.ndarray | float = 0.0
) -> dict[str, np.ndarray]:
    """Band -> BC [star] of ``mist.BANDS`` behind A_V mag of dust, linear between the nodes.

    NaN outside 3000-12000 K and log g -1 to 6; [Fe/H] and A_V (0 to 4) are held at the edge.
    """
    feh = np.clip(feh, -4.0, 0.75)
    points = np.stack(np.broadcast_arrays(np.log10(teff), logg, feh, np.clip(av, 0, 4)), axis=-1)
    found = _table()(points)
    return {band: found[..., i] for i, band in enumerate(BANDS)}


def absolute_magnitudes(
    teff: np.ndarray, logg: np.ndarray, feh: np.ndarray, *, log_lum: np.ndarray
) -> dict[str, np.ndarray]:
    """Band -> absolute magnitude [star] in G, BP, RP, J, H, Ks, g, r, z; NaN off the tables.

    teff : K. feh : effective metallicity. log_lum : log10 L / L_sun.
    """
    correction = bolometric_corrections(teff, logg, feh)
    bright = SUN_BOLOMETRIC - 2.5 * np.asarray(log_lum)
    found = {band: bright - correction[band] for band in BANDS}
    return found | sdss_from_gaia(found["G"], found["BP"] - found["RP"])


def sdss_from_gaia(g: Any, bp_rp: Any, *, xp: Any = np) -> dict[str, Any]:
    """Band -> magnitude in g, r, z (AB) from Gaia's G and BP - RP, held at 0.3 and 3.

    xp : ``numpy``, or ``jax.numpy`` inside ``jit``.
    """
    colour = xp.clip(bp_rp, *_VALID)
    sdss = {
        band: g - sum(power * colour**n for n, power in enumerate(powers))
        for band, powers in _TO_SDSS.items()
    }
    z = sdss["i"] - _LOCUS * (sdss["r"] - sdss["i"])
    return {"g": sdss["g"], "r": sdss["r"], "z": z}
