"""The open cluster M67: one distance, from labels and photometry with the parallaxes hidden.

Labels are those of APOGEE-Payne (Ting et al. 2019, ApJ 879, 69), which come without errors and
without recalibration. Their log g of subgiants and turn-off stars is 0.1 dex too high, by the
radii that follow from the parallax of the cluster; such a star is placed 0.25 mag too near. The
log g of giants is sound, and that of unevolved dwarfs is not needed. Gaia's parallaxes are those
of DR2, with a zero point of -0.05 ± 0.03 mas.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table

from bayes_ddp.galaxy.distance_settings import DistanceSettings
from bayes_ddp.galaxy.distances import distance
from bayes_ddp.galaxy.label_draws import draws_of_moments
from bayes_ddp.galaxy.magnitudes import bolometric_corrections
from bayes_ddp.galaxy.photometry import Photometry, photometry_of

ZERO_POINT, ZERO_POINT_ERROR = -0.05, 0.03  # mas, Lindegren et al. (2018)
ERRORS = {"teff": 70.0, "logg": 0.10, "feh": 0.05}
"""K and dex, by which members scatter about the isochrone of the cluster."""

BANDS = {
    **{b: (f"gaia_{b}_dr2rev".lower(), f"gaia_{b}_dr2rev_err".lower()) for b in ("G", "BP", "RP")},
    **{b: (f"2mass_{b}".lower(), f"2mass_{b}_err".lower()) for b in ("J", "H", "Ks")},
    "parallax": ("parallax", "parallax_err"),
    "ebv": "ebv",
}

Members = dict[str, Any]


@pytest.fixture(scope="module")
def members(data: Path) -> Members:
    """Members by proper motion, parallax and density (HDBSCAN) with labels flagged as good."""
    table = Table.read(data / "m67" / "NGC_2682.fits", unit_parse_strict="silent")
    columns = {name.lower(): np.asarray(table[name]) for name in table.colnames}
    motion = np.hypot(columns["pm_ra"] + 10.97, columns["pm_dec"] + 2.94)
    spread = np.hypot(0.6, 3 * np.hypot(columns["pm_ra_err"], columns["pm_dec_err"]))
    parallax = np.abs(columns["parallax"] - 1.14)
    use = (motion < spread) & (parallax < 3 * np.hypot(columns["parallax_err"], 0.05))
    use &= (columns["hdbscan_memprob"] > 0.5) & (columns["payne.quality_flag"] == b"good")
    use &= np.abs(columns["payne.feh"] + 0.05) < 0.3
    found = {name: values[use] for name, values in columns.items()}
    found |= {"ra": found["gaia_dr2_source.ra"], "dec": found["gaia_dr2_source.dec"]}
    photometry = photometry_of(found, names=BANDS)
    found["photometry"] = replace(photometry, zero_point=np.full(use.sum(), ZERO_POINT))
    return found


def labels_of(members: Members) -> dict[str, np.ndarray]:
    feh = members["payne.feh"].astype(float)
    labels = {"teff": members["payne.teff"], "logg": members["payne.logg"], "feh": feh}
    for name, column in (("mg_fe", "mgh"), ("si_fe", "sih"), ("ca_fe", "cah")):
        labels[name] = members[f"payne.{column}"] - feh
    return {name: np.asarray(values, float) for name, values in labels.items()}


def modulus_of_parallaxes(members: Members) -> tuple[float, float]:
    """(distance modulus, its error by the zero point) of the mean parallax."""
    weight = members["parallax_err"].astype(float) ** -2
    mean = np.average(members["parallax"], weights=weight) - ZERO_POINT
    return 10 - 5 * np.log10(mean), 5 / np.log(10) * ZERO_POINT_ERROR / mean


def moduli(members: Members, use: np.ndarray, errors: dict[str, float]) -> tuple[Any, Any]:
    """(mean, standard deviation) [star] of the distance modulus without the parallax."""
    labels = {name: values[use] for name, values in labels_of(members).items()}
    every = {name: np.full(use.sum(), errors.get(name, 0.05)) for name in labels}
    photometry: Photometry = members["photometry"].take(np.flatnonzero(use))
    draws = draws_of_moments(np.flatnonzero(use).astype(str), labels, every)
    found = distance(draws, photometry, DistanceSettings(parallax=False))
    modulus = 5 * np.log10(found["dist"]) + 10
    return modulus.mean(axis=0), modulus.std(axis=0)


def mean_of(values: np.ndarray, sd: np.ndarray) -> tuple[float, float]:
    return float(np.average(values, weights=sd**-2)), float(np.sum(sd**-2) ** -0.5)


@pytest.mark.parametrize(
    "low, high, group, bias",
    [(3.0, 3.7, "giants", 0.0), (3.7, 4.3, "subgiants", 0.1)],
)
def test_payne_log_g_of_subgiants_is_too_high(
    members: Members, low: float, high: float, group: str, bias: float
) -> None:
    """log g from Teff, G and the parallax of the cluster, for 1.25 Msun; isochrones play no part.

    The mass of these stars is 1.2 to 1.35 Msun, which is 0.03 dex; 50 K are 0.02 dex.
    """
    labels, photometry = labels_of(members), members["photometry"]
    modulus, _ = modulus_of_parallaxes(members)
    g = photometry.magnitude[:, 0] - modulus - 2.36 * 0.86 * 0.033
    correction = bolometric_corrections(labels["teff"], labels["logg"], labels["feh"])["G"]
    luminosity = -0.4 * (g + correction - 4.74)
    expected = 4.438 + np.log10(1.25) + 4 * np.log10(labels["teff"] / 5772) - luminosity
    away = labels["logg"] - expected
    use = (expected > low) & (expected < high) & (g < 3.4)
    middle = np.median(away[use])
    error = 1.2533 * 1.4826 * np.median(np.abs(away[use] - middle)) / np.sqrt(use.sum())
    print(f"{group}: log g of Payne less that of radius {middle:+.3f} +- {error:.3f}, {use.sum()}")
    assert abs(middle - bias) < 0.05 + 3 * error


@pytest.mark.slow
def test_giants_of_m67_have_one_distance(members: Members) -> None:
    """z-scatter 0.8 to 1.3, no trend along the branch, and the modulus of the parallaxes."""
    labels = labels_of(members)
    giants = labels["logg"] < 3.7
    modulus, sd = moduli(members, giants, ERRORS)
    mean, error = mean_of(modulus, sd)
    scatter = np.std((modulus - mean) / sd, ddof=1)
    logg = labels["logg"][giants] - 3.2
    design = np.stack([np.ones_like(logg), logg], axis=1)
    covariance = np.linalg.inv(design.T @ (design / sd[:, None] ** 2))
    slope = (covariance @ (design.T @ (modulus / sd**2)))[1]
    slope_error = np.sqrt(covariance[1, 1])
    parallax, by_zero_point = modulus_of_parallaxes(members)
    print(
        f"{giants.sum()} giants: modulus {mean:.3f} +- {error:.3f}, z-scatter {scatter:.2f}, "
        f"slope {slope:+.3f} +- {slope_error:.3f} mag per dex of log g; by parallaxes "
        f"{parallax:.3f} +- {by_zero_point:.3f}"
    )
    assert 0.8 < scatter < 1.3
    assert abs(slope) < 0.1 + 2 * slope_error
    assert abs(mean - parallax) < 2 * np.hypot(error, by_zero_point)
    assert 9.5 < mean < 9.75


@pytest.mark.slow
def test_unevolved_dwarfs_of_m67_have_the_distance_of_its_giants(members: Members) -> None:
    """Their Teff and [Fe/H] give the luminosity; log g has an error of 0.3 dex, so it adds none.

    The median of all is compared, since a third of them are pairs.
    """
    labels = labels_of(members)
    dwarfs = (labels["teff"] < 5600) & (labels["logg"] > 4.3)
    modulus, sd = moduli(members, dwarfs, ERRORS | {"logg": 0.3})
    middle = float(np.median(modulus))
    error = 1.2533 * float(np.median(sd)) / np.sqrt(dwarfs.sum())
    scatter = 1.4826 * np.median(np.abs(modulus - middle) / sd)
    giants, of_giants = mean_of(*moduli(members, labels["logg"] < 3.7, ERRORS))
    print(f"{dwarfs.sum()} dwarfs: modulus {middle:.3f} +- {error:.3f}, z-scatter {scatter:.2f}")
    assert 0.6 < scatter < 1.3
    assert abs(middle - giants) < 0.1 + 2 * np.hypot(error, of_giants)


@pytest.mark.slow
def test_parallaxes_of_m67_mend_the_log_g_of_its_subgiants(members: Members) -> None:
    """With the parallaxes all members have one distance, whatever their labels say."""
    labels = labels_of(members)
    every = {name: np.full(len(members["ra"]), ERRORS.get(name, 0.05)) for name in labels}
    draws = draws_of_moments(np.arange(len(members["ra"])).astype(str), labels, every)
    found = distance(draws, members["photometry"], DistanceSettings())
    modulus = 5 * np.log10(found["dist"]) + 10
    parallax, _ = modulus_of_parallaxes(members)
    logg = found.labels[..., list(found.label_names).index("logg")].mean(axis=0)
    ess = found.diagnostics["ess"]
    print(f"ess below 100: {np.mean(ess < 100):.3f}, below 30: {np.mean(ess < 30):.3f}")
    assert np.mean(ess < 100) < 0.05
    for low, high in ((2.5, 3.7), (3.7, 4.1), (4.1, 4.35), (4.35, 5.0)):
        use = (logg > low) & (logg < high)
        middle, sd = np.median(modulus.mean(axis=0)[use]), np.median(modulus.std(axis=0)[use])
        shift = np.median((labels["logg"] - logg)[use])
        print(f"log g {low}-{high}: {use.sum()}, modulus {middle:.3f}, sd {sd:.3f}, {shift:+.3f}")
        assert abs(middle - parallax) < 0.05 + 3 * sd / np.sqrt(use.sum())
