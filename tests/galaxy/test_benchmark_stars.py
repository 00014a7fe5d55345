"""Bolometric corrections and colours against stars of known angular diameter and Teff.

Gaia FGK benchmark stars (Soubiran et al. 2024): a magnitude follows from the angular diameter,
Teff, log g and [Fe/H] without a mass or a distance. Dust is neglected; the stars are near.
"""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astropy.table import Table

from bayes_ddp.galaxy.bolometric import ALL_BANDS, load_bolometric_table
from bayes_ddp.galaxy.distance_settings import DistanceSettings
from bayes_ddp.galaxy.distances import distance
from bayes_ddp.galaxy.label_draws import draws_of_moments
from bayes_ddp.galaxy.photometry import Photometry, photometry_of

COLUMNS = (
    *("teff", "e_teff", "logg", "e_logg", "fe_h", "theta_ld", "e_theta_ld"),
    *("ra", "dec", "parallax", "parallax_error", "ruwe", "ph_qual_tmass"),
    *(f"phot_{band}_mean_{kind}" for band in ("g", "bp", "rp") for kind in ("mag",)),
    *(f"phot_{band}_mean_flux_over_error" for band in ("g", "bp", "rp")),
    *(f"{band}_{kind}" for band in ("j", "h", "ks") for kind in ("m", "msigcom")),
    *("nu_eff_used_in_astrometry", "pseudocolour", "astrometric_params_solved", "ecl_lat"),
)
SUN_AT_TEN_PC = 6.957e8 / 3.0856776e17  # rad, radius
MAS = np.pi / 180 / 3600e3
DWARF = 3.5  # log g above which a star is a dwarf

Stars = dict[str, Any]


@pytest.fixture(scope="module")
def stars(data: Path) -> Stars:
    """Columns of the benchmark stars, their photometry, and residuals [star band]."""
    name = "gbs_v3_tmass_gaiadr3_hip_allwise_all_columns.fits"
    table = Table.read(data / "gaia_benchmark_v3" / name, unit_parse_strict="silent")
    found: Stars = {}
    for column in COLUMNS:
        values = table[column]
        if values.dtype.kind in "fi":
            values = np.ma.filled(np.ma.asarray(values, float), np.nan)
        found[column] = np.asarray(values)
    found["ph_qual_tmass"] = found["ph_qual_tmass"].astype(str)
    found["photometry"] = photometry_of(found)
    found["residual"] = found["photometry"].magnitude - predicted(found)
    return found


def predicted(stars: Stars) -> np.ndarray:
    """[star band], apparent magnitudes without dust."""
    core = np.stack([np.log(stars["teff"]), stars["logg"], stars["fe_h"]], axis=1)
    light = jax.vmap(load_bolometric_table().magnitudes, (0, None))(core, jnp.zeros(()))
    # the table takes the radius from log g and the mass: this is that of 1 Msun
    by_mass = -0.5 * (stars["logg"] - 4.438)
    radius = np.log10(0.5 * MAS * stars["theta_ld"] / SUN_AT_TEN_PC)
    return np.asarray(light) - 5 * (radius - by_mass)[:, None]


def robust(values: np.ndarray) -> tuple[float, float, float]:
    """(median, standard deviation by the median deviation, standard error of the median)."""
    values = values[np.isfinite(values)]
    middle = float(np.median(values))
    sd = 1.4826 * float(np.median(np.abs(values - middle)))
    return middle, sd, 1.2533 * sd / np.sqrt(len(values))


def band(stars: Stars, name: str) -> np.ndarray:
    """[star] residual, observed less predicted, of a band or a colour such as BP-RP."""
    first, _, second = name.partition("-")
    residual = stars["residual"][:, ALL_BANDS.index(first)]
    return residual - stars["residual"][:, ALL_BANDS.index(second)] if second else residual


@pytest.mark.parametrize("dwarfs", [True, False], ids=["dwarfs", "giants"])
@pytest.mark.parametrize("colour", ["BP-RP", "G-RP", "BP-G"])
def test_colours_of_gaia_are_good_to_five_hundredths(
    stars: Stars, colour: str, dwarfs: bool
) -> None:
    """Offset below 0.05 mag at 3 standard errors, scatter below 0.06."""
    offset, sd, error = robust(band(stars, colour)[(stars["logg"] > DWARF) == dwarfs])
    print(f"{colour} {'dwarfs' if dwarfs else 'giants'}: {offset:+.3f} +- {error:.3f} sd {sd:.3f}")
    assert abs(offset) < 0.05 + 3 * error
    assert sd < 0.06


@pytest.mark.parametrize("colour", ["G-Ks", "J-Ks", "RP-J"])
def test_infrared_colours_of_dwarfs_have_no_significant_offset(stars: Stars, colour: str) -> None:
    """Few stars are not saturated in 2MASS: offsets below 3 standard errors and the floor."""
    offset, sd, error = robust(band(stars, colour)[stars["logg"] > DWARF])
    print(f"{colour} dwarfs: {offset:+.3f} +- {error:.3f} sd {sd:.3f}")
    assert abs(offset) < 0.02 + 3 * error
    assert sd < 0.08


@pytest.mark.parametrize("dwarfs", [True, False], ids=["dwarfs", "giants"])
@pytest.mark.parametrize("name", ["G", "BP", "RP"])
def test_magnitudes_agree_within_the_errors_of_teff_and_diameter(
    stars: Stars, name: str, dwarfs: bool
) -> None:
    """The scatter is that of the quoted errors; 1 % of the scale of Teff is 0.04 mag."""
    quoted = np.hypot(
        10 / np.log(10) * stars["e_teff"] / stars["teff"],
        5 / np.log(10) * stars["e_theta_ld"] / stars["theta_ld"],
    )
    group = (stars["logg"] > DWARF) == dwarfs
    offset, sd, error = robust(band(stars, name)[group])
    residual = (band(stars, name) - offset) / np.hypot(quoted, 0.02)
    print(f"{name} {'dwarfs' if dwarfs else 'giants'}: {offset:+.3f} +- {error:.3f} sd {sd:.3f}")
    assert abs(offset) < 0.04 + 3 * error
    assert 0.5 < robust(residual[group])[1] < 1.5


def test_g_of_bright_stars_changes_with_magnitude_as_the_correction_says(stars: Stars) -> None:
    """G against the mean of BP and RP, whose scatter is 0.005 mag at a given type of star.

    Without the correction the coefficient of its negative would be 1; it is 0 with it.
    """
    seen = stars["phot_g_mean_mag"]
    correction = stars["photometry"].magnitude[:, 0] - seen
    residual = band(stars, "G") - 0.5 * (band(stars, "BP") + band(stars, "RP"))
    x, use = stars["teff"] / 1000 - 5, np.isfinite(residual)
    design = np.stack(
        [np.ones_like(x), x, x**2, stars["logg"] - 4, stars["fe_h"], -correction], axis=1
    )
    for _ in range(5):
        slope, *_ = np.linalg.lstsq(design[use], (residual - correction)[use], rcond=None)
        away = residual - correction - design @ slope
        sd = robust(away[use])[1]
        use &= np.abs(away) < 3 * sd
    error = sd * np.sqrt(np.linalg.inv(design[use].T @ design[use])[-1, -1])
    print(f"coefficient of the correction of G: {slope[-1]:.2f} +- {error:.2f}, scatter {sd:.4f}")
    assert slope[-1] > 2 * error  # it is there in the data
    assert abs(slope[-1] - 1) < 3 * error  # with the size that is subtracted


def test_saturated_magnitudes_are_not_used(stars: Stars) -> None:
    used: Photometry = stars["photometry"]
    known = np.isfinite(used.magnitude)
    assert known[:, :3].sum(axis=0).min() > 130
    assert (known[:, 3:6].sum(axis=0) < 30).all()  # nearly all are saturated in 2MASS
    for name, limit in (("BP", 4.0), ("RP", 3.0), ("J", 5.5), ("H", 5.0), ("Ks", 4.5)):
        assert np.nanmin(used.magnitude[:, ALL_BANDS.index(name)]) > limit


@pytest.mark.slow
def test_distances_without_parallaxes_are_those_of_the_parallaxes(stars: Stars) -> None:
    """log g is fundamental, so labels and magnitudes have to give the distance back.

    Errors of Teff and log g as quoted, with a floor of 1 % in Teff; of [Fe/H] 0.08 dex. The z
    scatter has no lower limit: parallax and diameter are in log g and the same in both.
    """
    labels = {"teff": stars["teff"], "logg": stars["logg"], "feh": stars["fe_h"]}
    errors = {
        "teff": np.hypot(stars["e_teff"], 0.01 * stars["teff"]),
        "logg": stars["e_logg"],
        "feh": np.full(len(stars["teff"]), 0.08),
    }
    ids = np.arange(len(stars["teff"])).astype(str)
    photometry = stars["photometry"]
    found = distance(
        draws_of_moments(ids, labels, errors), photometry, DistanceSettings(parallax=False)
    )
    seen = np.isfinite(photometry.magnitude[:, :3]).all(axis=1)
    seen &= stars["parallax"] > 20 * stars["parallax_error"]
    modulus = 5 * np.log10(found["dist"]) + 10
    away = modulus.mean(axis=0) - (10 - 5 * np.log10(stars["parallax"]))
    for dwarfs in (True, False):
        use = seen & ((stars["logg"] > DWARF) == dwarfs)
        offset, sd, error = robust(away[use])
        z = robust((away / modulus.std(axis=0))[use])[1]
        print(f"dwarfs {dwarfs}: {offset:+.3f} +- {error:.3f} sd {sd:.3f} z {z:.2f}")
        assert abs(offset) < 0.05 + 3 * error
        assert z < 1.3
