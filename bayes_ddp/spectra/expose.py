"""DESI-like coadds are simulated from known spectra: Doppler shift, LSF, reddening, noise, faults.

The simulation shares no code with the forward model of the fit: it uses float64 NumPy, a quintic
spline through each physical spectrum and direct quadrature of the line-spread function at every
pixel. The result is a record of arrays, which ``desi.writer`` writes to files.
"""

from dataclasses import dataclass as record
from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass
from scipy.interpolate import BSpline, make_interp_spline

from bayes_ddp.spectra.desi.read import DESI_WAVE
from bayes_ddp.spectra.lsf import FWHM_PER_SIGMA, gaussian_resolution
from bayes_ddp.spectra.masks import doppler_factor

__all__ = [
    "MAX_VRAD",
    "Coadd",
    "CoaddArm",
    "Fibres",
    "ModelSpectra",
    "Simulation",
    "expose",
    "observe",
    "simulate_coadd",
]

LSF_RANGE = {"B": (1.58, 1.72), "R": (1.49, 1.56), "Z": (1.66, 1.98)}
"""Arm -> lowest and highest Gaussian FWHM of real DESI fibres, Å."""

MASKED = 4
"""Value in MASK of a pixel that the survey rejects."""

MAX_VRAD = 600.0
"""km/s; beyond it the model spectra end inside the Z arm."""

_NODES = np.arange(-6.0, 6.001, 0.25)  # in sigma; the trapezoid rule on a Gaussian is exact here
_SKY_LEVEL = 0.15  # 1e-17 erg/s/cm2/Å, noise of a pixel in the R arm
_R_LAW = 3.1  # A_V / E(B-V)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Simulation:
    """Settings of a simulated coadd.

    stars : number of fibres; spectra are repeated in turn if there are fewer.
    snr_low, snr_high : range of the median S/N per pixel of the R arm, uniform in its logarithm.
    survey : key of ``SURVEYS`` whose format is written; only 'desi'.
    bad_fraction : fraction of pixels that are flagged in MASK and have random values; a tenth as
        many more have ivar = 0.
    ebv_max : mag, upper end of the uniform distribution of E(B-V) from 0.
    vrad_sd : km/s, standard deviation of the velocities, clipped at 600 km/s.
    """

    stars: Annotated[int, Field(ge=1, le=100_000)] = 64
    snr_low: Annotated[float, Field(gt=0)] = 30.0
    snr_high: Annotated[float, Field(gt=0)] = 150.0
    survey: Annotated[str, Field(pattern="^desi$")] = "desi"
    bad_fraction: Annotated[float, Field(ge=0, lt=0.5)] = 0.005
    ebv_max: Annotated[float, Field(ge=0, le=5)] = 0.1
    vrad_sd: Annotated[float, Field(ge=0, le=300)] = 120.0

    @model_validator(mode="after")
    def _ordered(self) -> "Simulation":
        if self.snr_low > self.snr_high:
            raise ValueError(
                f"snr_low = {self.snr_low} is above snr_high = {self.snr_high}: swap them."
            )
        return self


@record(frozen=True)
class ModelSpectra:
    """Noise-free spectra at rest.

    wave : [pixel], Å vacuum, evenly spaced, from below 3590 to above 9845 Å.
    flux : [spectrum pixel], any flux unit per Å, with the slope of the true continuum.
    fwhm : Å, FWHM of the Gaussian LSF that the spectra already have; below that of every fibre.

    Raises ValueError for wavelengths that do not cover the arms at 600 km/s.
    """

    wave: np.ndarray
    flux: np.ndarray
    fwhm: float = 1.0

    def __post_init__(self) -> None:
        edge = doppler_factor(MAX_VRAD)
        if self.wave[0] > 3600 / edge - 2.5 or self.wave[-1] < 9824 * edge + 2.5:
            raise ValueError(
                f"Model spectra from {self.wave[0]:.0f} to {self.wave[-1]:.0f} Å do not cover the "
                f"DESI arms at {MAX_VRAD:.0f} km/s: they must reach from 3590 to 9847 Å."
            )


@record(frozen=True)
class CoaddArm:
    """One arm of a simulated coadd.

    resolution is [star diagonal pixel], the other arrays are [star pixel]: flux and model (noise-
    free) in 1e-17 erg/s/cm2/Å, ivar, bits of MASK, and fwhm in Å.
    """

    flux: np.ndarray
    ivar: np.ndarray
    mask: np.ndarray
    resolution: np.ndarray
    model: np.ndarray
    fwhm: np.ndarray


@record(frozen=True)
class Coadd:
    """A simulated coadd and its true values.

    arms : arm name -> pixels.
    source : [star], index of the model spectrum.
    targetid, ra, dec : [star], identifiers and degrees.
    vrad, ebv, snr : [star], true velocity km/s, true E(B-V) mag, intended median S/N in R.
    vrad_seen, vrad_err : [star], km/s, velocity and error in the velocity catalogue.
    """

    arms: dict[str, CoaddArm]
    source: np.ndarray
    targetid: np.ndarray
    ra: np.ndarray
    dec: np.ndarray
    vrad: np.ndarray
    ebv: np.ndarray
    snr: np.ndarray
    vrad_seen: np.ndarray
    vrad_err: np.ndarray


@record(frozen=True)
class Fibres:
    """Targets, each [star]: index of the model spectrum, vrad km/s, ebv mag, median S/N in R."""

    source: np.ndarray
    vrad: np.ndarray
    ebv: np.ndarray
    snr: np.ndarray


def simulate_coadd(truth: ModelSpectra, settings: Simulation, key: int) -> Coadd:
    """A coadd of ``settings.stars`` fibres; the same key gives the same numbers.

    truth
        Spectrum ``i % len(truth.flux)`` is star ``i``.
    key
        Seed of ``numpy.random.default_rng``.
    """
    rng = np.random.default_rng(key)
    n = settings.stars
    source = np.arange(n) % len(truth.flux)
    vrad = np.clip(settings.vrad_sd * rng.standard_normal(n), -MAX_VRAD, MAX_VRAD)
    ebv = settings.ebv_max * rng.random(n)
    snr = np.exp(rng.uniform(np.log(settings.snr_low), np.log(settings.snr_high), n))
    arms = expose(truth, Fibres(source, vrad, ebv, snr), settings, rng=rng)
    vrad_err = np.clip(0.5 + 60.0 / snr, 0.5, 5.0)
    return Coadd(
        arms=arms,
        source=source,
        targetid=np.int64(39_089_837_500_000_000) + np.arange(n),
        ra=149.465 + rng.uniform(-0.3, 0.3, n),
        dec=1.794 + rng.uniform(-0.3, 0.3, n),
        vrad=vrad,
        ebv=ebv,
        snr=snr,
        vrad_seen=vrad + vrad_err * rng.standard_normal(n),
        vrad_err=vrad_err,
    )


def expose(
    truth: ModelSpectra, fibres: Fibres, settings: Simulation, *, rng: np.random.Generator
) -> dict[str, CoaddArm]:
    """Arm -> observed pixels of the stars in ``fibres``, with noise and bad pixels."""
    n = len(fibres.source)
    fwhm = {arm: _draw_fwhm(arm, n, rng) for arm in DESI_WAVE}
    model = {arm: np.zeros((n, wave.size)) for arm, wave in DESI_WAVE.items()}
    for i in range(n):
        spline = make_interp_spline(truth.wave, truth.flux[fibres.source[i]], k=5)
        for arm, wave in DESI_WAVE.items():
            seen = observe(spline, wave, fwhm[arm][i], vrad=fibres.vrad[i], intrinsic=truth.fwhm)
            model[arm][i] = seen * _extinction(wave, fibres.ebv[i])
    # Flux in 1e-17 erg/s/cm2/Å at the level that has this S/N in a survey exposure.
    scale = _SKY_LEVEL * (fibres.snr / np.median(model["R"], axis=1))[:, None]
    model = {arm: flux * scale for arm, flux in model.items()}
    sigma = _noise(model, fibres.snr)
    return {
        arm: _paint(arm, model[arm], sigma[arm], fwhm=fwhm[arm], settings=settings, rng=rng)
        for arm in model
    }


def observe(
    spline: BSpline, wave: np.ndarray, fwhm: np.ndarray, *, vrad: float, intrinsic: float
) -> np.ndarray:
    """[pixel], flux of one spectrum after Doppler shift and LSF at the centres of the pixels.

    Parameters
    ----------
    spline
        Flux against rest wavelength, Å vacuum.
    wave : [pixel], Å vacuum, observed.
    fwhm : [pixel], Å, Gaussian LSF there.
    vrad
        km/s.
    intrinsic
        Å, FWHM that the spectrum already has in the rest frame.

    Raises ValueError if an LSF of the fibre is narrower than that of the spectrum.
    """
    factor = float(doppler_factor(vrad))
    square = np.asarray(fwhm) ** 2 - (intrinsic * factor) ** 2
    if np.min(square) <= 0:
        raise ValueError(
            f"An LSF of {np.min(fwhm):.2f} Å cannot be simulated with spectra that already have "
            f"{intrinsic * factor:.2f} Å: give sharper model spectra."
        )
    sigma = np.sqrt(square) / FWHM_PER_SIGMA
    weight = np.exp(-0.5 * _NODES**2)
    at = (wave[:, None] + sigma[:, None] * _NODES) / factor
    return spline(at) @ (weight / weight.sum()) / factor


def _draw_fwhm(arm: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """[star pixel], Å, a parabola along wavelength per fibre within the range of the arm."""
    low, high = LSF_RANGE[arm]
    x = np.linspace(0, 1, DESI_WAVE[arm].size)
    start, middle, end = rng.uniform(0.25, 0.75, (3, count, 1))
    curve = start * (1 - x) ** 2 + 2 * middle * x * (1 - x) + end * x**2  # Bezier: stays inside
    return low + (high - low) * curve


def _extinction(wave: np.ndarray, ebv: float) -> np.ndarray:
    """[pixel], transmitted fraction of the light; a power law close to the optical curve."""
    return 10 ** (-0.4 * _R_LAW * ebv * (wave / 5500.0) ** -1.3)


_OH = (7795.0, 7916.0, 8346.0, 8401.0, 8432.0, 8829.0, 8888.0, 8922.0, 9378.0, 9443.0, 9480.0)
_OTHER_SKY = (5578.9, 5891.6, 5897.6, 6302.0, 6365.5, 7278.0, 7318.0)


def _sky_sigma(arm: str) -> np.ndarray:
    """[pixel], noise of the sky background in units of that at 7000 Å.

    It is larger at the blue edge (fourfold, low throughput), dichroics and sky lines.
    """
    wave = DESI_WAVE[arm]
    smooth = 0.9 + 3.0 * np.exp(-(wave - 3600) / 350) + 1.2 * np.exp(-(wave - 3600) / 1500)
    for dichroic in (5780.0, 7570.0):
        smooth = smooth + 1.5 * np.exp(-0.5 * ((wave - dichroic) / 22) ** 2)
    lines = [(centre, 4.0) for centre in _OTHER_SKY] + [(centre, 3.0) for centre in _OH]
    for centre, height in lines:
        smooth = smooth + height * np.exp(-0.5 * ((wave - centre) / 1.2) ** 2)
    return smooth


def _noise(model: dict[str, np.ndarray], snr: np.ndarray) -> dict[str, np.ndarray]:
    """[star pixel] standard deviations whose median S/N in the R arm is ``snr``.

    Half of the variance is sky, half the star's own photons, at the median flux of the R arm.
    """
    level = np.median(model["R"], axis=1, keepdims=True)
    shape = {
        arm: _sky_sigma(arm) * np.sqrt(0.5 * (1 + np.maximum(flux / level, 0)))
        for arm, flux in model.items()
    }
    now = np.median(model["R"] / shape["R"], axis=1)
    return {arm: sigma * (now / snr)[:, None] for arm, sigma in shape.items()}


def _paint(
    arm: str,
    model: np.ndarray,
    sigma: np.ndarray,
    *,
    fwhm: np.ndarray,
    settings: Simulation,
    rng: np.random.Generator,
) -> CoaddArm:
    ivar = (1 / sigma**2).astype(np.float32)
    flux = (model + rng.standard_normal(model.shape) / np.sqrt(ivar)).astype(np.float32)
    bad = rng.random(model.shape) < settings.bad_fraction
    garbage = (model * rng.normal(0, 30, model.shape)).astype(np.float32)
    dead = rng.random(model.shape) < 0.1 * settings.bad_fraction
    return CoaddArm(
        flux=np.where(bad, garbage, flux),
        ivar=np.where(dead, np.float32(0), ivar),
        mask=np.where(bad, MASKED, 0).astype(np.int32),
        resolution=gaussian_resolution(DESI_WAVE[arm], fwhm),
        model=model,
        fwhm=fwhm,
    )
