"""Labels and magnitudes of a mock star from mass, age, abundances, companion and dust.

Drawing and checking use the same functions: the magnitudes of a truth table, computed again from
its columns, must agree.
"""

import numpy as np

from bayes_ddp.galaxy.extinction import extinction
from bayes_ddp.galaxy.isochrones import effective_metallicity, load_isochrones
from bayes_ddp.galaxy.magnitudes import absolute_magnitudes

__all__ = [
    "ALPHA",
    "BANDS",
    "apparent_magnitudes",
    "combine",
    "components_of_light",
    "effective_feh",
    "single_magnitudes",
]

Columns = dict[str, np.ndarray]

BANDS = ("G", "BP", "RP", "J", "H", "Ks", "g", "r", "z")
"""Gaia and 2MASS (Vega), DESI Legacy Imaging Surveys (AB)."""

ALPHA = ("mg_fe", "si_fe", "ca_fe")
"""Elements whose mean is [alpha/Fe] of the isochrones."""


def effective_feh(star: Columns) -> np.ndarray:
    """[star], metallicity of the isochrones of stars with these ``feh`` and ``ALPHA``."""
    alpha = np.mean([star[name] for name in ALPHA], axis=0)
    return effective_metallicity(star["feh"], np.clip(alpha, -0.1, 0.6))


def components_of_light(star: Columns) -> tuple[Columns, Columns, Columns]:
    """(labels of the primary, its absolute magnitudes, those of its companion), name -> [star].

    star : feh, ``ALPHA``, age (Gyr), mass_ini (Msun), mass_ratio (0 for single stars).

    A companion has its primary's age and metallicity. Where there is none, or it is below the
    lightest isochrone mass, its magnitudes are NaN: it gives no light.
    """
    feh, log_age = effective_feh(star), 9 + np.log10(star["age"])
    isochrones = load_isochrones()
    first = isochrones.star(feh, log_age, star["mass_ini"])
    light = absolute_magnitudes(first.teff, first.logg, feh, log_lum=first.log_lum)
    pair = np.flatnonzero(star["mass_ratio"] > 0)
    second = {band: np.full(len(feh), np.nan) for band in BANDS}
    if len(pair):
        mass = star["mass_ratio"][pair] * star["mass_ini"][pair]
        other = isochrones.star(feh[pair], log_age[pair], mass)
        found = absolute_magnitudes(other.teff, other.logg, feh[pair], log_lum=other.log_lum)
        for band in BANDS:
            second[band][pair] = found[band]
    labels = {
        "teff": first.teff,
        "logg": first.logg,
        "log_lum": first.log_lum,
        "mass": first.mass,
        "eep": first.eep,
        "feh_eff": feh,
    }
    return labels, {band: light[band] for band in BANDS}, second


def single_magnitudes(star: Columns) -> Columns:
    """Absolute magnitudes of primaries alone; ``star`` as above."""
    return components_of_light(star | {"mass_ratio": np.zeros(len(star["feh"]))})[1]


def combine(first: Columns, second: Columns) -> Columns:
    """Total magnitudes of two stars; a companion with NaN does not contribute."""
    more = {band: np.nan_to_num(10 ** (-0.4 * second[band])) for band in BANDS}
    return {band: -2.5 * np.log10(10 ** (-0.4 * first[band]) + more[band]) for band in BANDS}


def apparent_magnitudes(star: Columns) -> Columns:
    """Apparent magnitudes of each system from the columns of the truth.

    star : as above, and distance (kpc) and ebv (mag). Both stars of a pair are dimmed alike, by
    the extinction of the primary's spectrum.
    """
    labels, first, second = components_of_light(star)
    dimmed = extinction(
        BANDS, labels["teff"], labels["logg"], feh=labels["feh_eff"], ebv=star["ebv"]
    )
    modulus = 5 * np.log10(star["distance"]) + 10
    both = combine(first, second)
    return {band: both[band] + modulus + dimmed[band] for band in BANDS}
