"""Simulated measurements of mock stars by DESI, Gaia and 2MASS, and the target selection.

Errors are Gaussian and depend on magnitude alone. Sources: Gaia Collaboration, Lindegren et al.
(2021, A&A 649, A2) and Riello et al. (2021) for Gaia (E)DR3; Skrutskie et al. (2006) for 2MASS;
Cooper et al. (2023) and desitarget for the classes of DESI's Milky Way Survey. Parallaxes have no
zero-point offset.
"""

from dataclasses import dataclass
from enum import IntFlag

import numpy as np

__all__ = [
    "LIMITS_2MASS",
    "SP_LABELS",
    "TARGET",
    "Seen",
    "label_covariance",
    "measure",
    "measure_labels",
    "signal_to_noise",
    "targets",
    "velocity_error",
]

Bands = dict[str, np.ndarray]

LIMITS_2MASS = {"J": 15.8, "H": 15.1, "Ks": 14.3}
"""mag, 10-sigma limits of 2MASS; stars that appear fainter are not detected."""

_ASTROMETRY = (
    (13.0, 15.0, 17.0, 18.0, 19.0, 20.0, 21.0),
    (0.02, 0.025, 0.07, 0.12, 0.25, 0.5, 1.3),
)
_GAIA_PHOTOMETRY = {  # mag at G = 13, 17, 20 (Riello+2021), on a floor of 2 mmag
    "G": (0.0003, 0.001, 0.006),
    "BP": (0.0009, 0.012, 0.108),
    "RP": (0.0006, 0.006, 0.052),
}
_DEPTH_LEGACY = {"g": 24.0, "r": 23.4, "z": 22.5}  # 5 sigma (Dey et al. 2019)
_FLOOR_GAIA, _FLOOR_2MASS, _FLOOR_LEGACY = 0.002, 0.02, 0.005
_MAP_SCATTER = 0.10  # (?) of the dust map, relative


class TARGET(IntFlag):
    """Target classes and further bits of the selection of a star."""

    MAIN_BLUE = 1
    MAIN_RED = 2
    BROAD = 4
    BHB = 8


@dataclass(frozen=True)
class Seen:
    """Measured values of each star; NaN if it is not detected.

    magnitudes, errors : band -> [star] mag. parallax, pmra, pmdec : mas, mas/yr.
    astrometric_error : [star], mas and mas/yr. ebv : mag, of the dust map.
    """

    magnitudes: Bands
    errors: Bands
    parallax: np.ndarray
    pmra: np.ndarray
    pmdec: np.ndarray
    astrometric_error: np.ndarray
    ebv: np.ndarray


def measure(
    magnitudes: Bands,
    *,
    parallax: np.ndarray,
    pmra: np.ndarray,
    pmdec: np.ndarray,
    ebv: np.ndarray,
    rng: np.random.Generator,
) -> Seen:
    """Noisy magnitudes and astrometry of stars.

    magnitudes : band -> [star], true. parallax, pmra, pmdec : [star] mas, mas/yr, true.
    ebv : [star] mag, true reddening through all of the dust.
    """
    seen, errors = {}, {}
    for band, values in magnitudes.items():
        normal = rng.standard_normal(len(values))
        if band in LIMITS_2MASS:
            seen[band], errors[band] = _near_depth(values, LIMITS_2MASS[band], normal)
        else:
            errors[band] = _error(band, values, magnitudes["G"])
            seen[band] = values + errors[band] * normal
    error = 10 ** np.interp(magnitudes["G"], _ASTROMETRY[0], np.log10(_ASTROMETRY[1]))
    return Seen(
        magnitudes=seen,
        errors=errors,
        parallax=parallax + error * rng.standard_normal(len(parallax)),
        pmra=pmra + error * rng.standard_normal(len(pmra)),
        pmdec=pmdec + error * rng.standard_normal(len(pmdec)),
        astrometric_error=error,
        ebv=ebv * np.exp(_MAP_SCATTER * rng.standard_normal(len(ebv))),
    )


def _near_depth(
    values: np.ndarray, limit: float, normal: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(magnitude, error) [star]; NaN where fainter than ``limit``.

    Noise is Gaussian in flux, a tenth of the flux at the limit: in magnitudes it would carry far
    fainter stars across.
    """
    true = 10 ** (-0.4 * (values - limit))
    flux = true + np.hypot(0.1, _FLOOR_2MASS * true) * normal
    there = flux > 1
    flux = np.where(there, flux, np.nan)
    return limit - 2.5 * np.log10(flux), np.hypot(_FLOOR_2MASS, 1.0857 * 0.1 / flux)


def _error(band: str, values: np.ndarray, g: np.ndarray) -> np.ndarray:
    """[star] mag, standard deviation of a magnitude."""
    if band in _GAIA_PHOTOMETRY:
        log = np.interp(g, (13.0, 17.0, 20.0), np.log(_GAIA_PHOTOMETRY[band]))
        return np.hypot(_FLOOR_GAIA, np.exp(log))
    return np.hypot(_FLOOR_LEGACY, 0.21715 * 10 ** (0.4 * (values - _DEPTH_LEGACY[band])))


def targets(
    seen: Seen, dereddened: Bands, limits: tuple[float, float], *, rng: np.random.Generator
) -> np.ndarray:
    """[star] int, ``TARGET`` classes; 0 for what the survey does not observe.

    dereddened : band -> [star], g and r as the survey sees them, without the map's extinction.
    limits : in dereddened r.

    One in three of the class BROAD is observed (?).
    """
    colour, r = dereddened["g"] - dereddened["r"], dereddened["r"]
    motion = np.hypot(seen.pmra, seen.pmdec)
    blue = colour < 0.7
    distant = (seen.parallax < np.maximum(3 * seen.astrometric_error, 1.0)) & (motion < 7)
    broad = ~blue & ~distant & (rng.random(len(r)) < 1 / 3)
    found = np.where(blue, TARGET.MAIN_BLUE, 0) | np.where(~blue & distant, TARGET.MAIN_RED, 0)
    found |= np.where(broad, TARGET.BROAD, 0)
    found |= np.where(blue & (colour > -0.35) & (colour < -0.02), TARGET.BHB, 0)
    return np.where((r > limits[0]) & (r < limits[1]), found, 0)


_SKY_EQUAL = 18.9  # (?) r mag of a star as bright as the moonlit sky in its fibre
_PHOTONS = {"B": (16.5, "g"), "R": (16.5, "r"), "Z": (16.3, "z")}  # (?) magnitude of S/N 60
_EFFECTIVE = 0.3  # (?) spread of ln S/N between exposures


def signal_to_noise(magnitudes: Bands, rng: np.random.Generator) -> Bands:
    """Arm -> [star], median S/N per pixel: photons of the star and of a bright sky.

    The zero point gives the median of about 20 that DESI's early data have (arXiv:2407.06280).
    """
    luck = np.exp(_EFFECTIVE * rng.standard_normal(len(magnitudes["r"])))
    result = {}
    for arm, (zero, band) in _PHOTONS.items():
        star = 10 ** (-0.4 * (magnitudes[band] - zero))
        sky = 10 ** (-0.4 * (_SKY_EQUAL - zero))
        result[arm] = 60.0 * star / np.sqrt(star + sky) * np.sqrt(1 + sky) * luck
    return result


def velocity_error(snr: np.ndarray, teff: np.ndarray, feh: np.ndarray) -> np.ndarray:
    """[star] km/s: a floor of 1 and what noise adds, more where lines are few (?).

    snr : [star], of the R arm.
    """
    return np.hypot(1.0, np.clip(20.0 * _weak(teff, feh) / snr, 0.1, 10.0))


def _weak(teff: np.ndarray, feh: np.ndarray) -> np.ndarray:
    return 10 ** (0.2 * np.clip(-feh, 0, 3)) * np.where(teff > 7000, 2.0, 1.0)


SP_LABELS = ("feh", "alpha_fe", "log_vmic", "teff", "logg")
"""Labels of the survey's own pipeline SP, in the order of its COVAR."""

_SP_FLOOR = np.array([0.05, 0.04, 0.05, 40.0, 0.10])  # (?) dex, dex, dex, K, dex
_SP_NOISE = np.array([0.10, 0.08, 0.10, 80.0, 0.20])  # (?) at S/N 20 of a star of solar lines
_SP_CORRELATION = np.eye(5)
for _i, _j in ((0, 3), (0, 4), (3, 4)):  # (?) [Fe/H], Teff and log g rise and fall together
    _SP_CORRELATION[_i, _j] = _SP_CORRELATION[_j, _i] = 0.5


def label_covariance(snr: np.ndarray, teff: np.ndarray, feh: np.ndarray) -> np.ndarray:
    """[star 5 5] of ``SP_LABELS``: a floor and what noise adds, more where lines are few (?).

    snr : [star], of the R arm.
    """
    noise = np.clip(20.0 * _weak(teff, feh) / snr, 0.1, 5.0)
    sigma = np.hypot(_SP_FLOOR, _SP_NOISE * noise[:, None])
    return sigma[:, :, None] * _SP_CORRELATION * sigma[:, None, :]


def measure_labels(truth: Bands, snr: np.ndarray, rng: np.random.Generator) -> Bands:
    """The survey's own labels: ``sp_`` + name -> [star], and ``sp_covar`` [star 25].

    [alpha/Fe] is the mean of Mg, Si, Ca and Ti; unlike ours, ``log_vmic`` is log10 of km/s.
    """
    alpha = np.mean([truth[f"{name}_fe"] for name in ("mg", "si", "ca", "ti")], axis=0)
    true = np.stack(
        [truth["feh"], alpha, np.log10(truth["vmic"]), truth["teff"], truth["logg"]], axis=1
    )
    covariance = label_covariance(snr, truth["teff"], truth["feh"])
    root = np.linalg.cholesky(covariance)
    found = true + np.einsum("sij,sj->si", root, rng.standard_normal(true.shape))
    columns = {f"sp_{name}": found[:, i] for i, name in enumerate(SP_LABELS)}
    return columns | {"sp_covar": covariance.reshape(-1, 25)}
