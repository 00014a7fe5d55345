"""Spectra in arrays of any origin become ``RawSpectra``; ``table`` reads such arrays from files.

All spectra share one list of wavelengths and are not resampled. A long gap between orders or arms
cuts the spectrum into arms, each with its own pseudo-continuum; short gaps are filled with masked
pixels (``gaps``).

Spectra without errors get a flat signal-to-noise ratio of 100 here and ``WARN.NO_ERRORS``; ``fit``
replaces it by an estimate from the residuals of a first fit. Without errors a bad pixel cannot be
marked by ``ivar = 0``, so flux that is not positive counts as missing.
"""

from collections import Counter
from collections.abc import Sequence

import astropy.units as u
import numpy as np
from numpy.typing import ArrayLike

from bayes_ddp.flags import WARN
from bayes_ddp.spectra.gaps import fill_gaps
from bayes_ddp.spectra.names import check_text, clean_names, filled
from bayes_ddp.spectra.pixels import clean_pixels
from bayes_ddp.spectra.quantities import Sampled, SpectrumLike, numbers, per_pixel, sampled
from bayes_ddp.spectra.raw import RawArm, RawSpectra
from bayes_ddp.spectra.velocities import usable_velocities
from bayes_ddp.spectra.widths import BROADEST, usable, usable_widths

__all__ = ["GUESSED_SNR", "air_to_vacuum", "check_names", "from_arrays", "per_star", "span"]

GUESSED_SNR = 100.0
"""S/N per pixel assumed for spectra without errors until residuals of a fit are known."""

_SHORTEST, _LONGEST = 1000.0, 30_000.0  # Å; beyond them the unit is most likely another
_MOST_VRAD_ERR = 300.0  # km/s; a user's velocity error is accepted up to this
_AIR_FROM = 2000.0  # Å; shorter wavelengths are in vacuum by convention


def from_arrays(
    wave: ArrayLike | SpectrumLike | Sequence[SpectrumLike],
    flux: ArrayLike | None = None,
    ivar: ArrayLike | None = None,
    *,
    error: ArrayLike | None = None,
    fwhm: ArrayLike | None = None,
    resolution: ArrayLike | None = None,
    vrad: ArrayLike = 0.0,
    vrad_err: ArrayLike = 5.0,
    names: ArrayLike | None = None,
    ebv: ArrayLike | None = None,
    air: bool = False,
) -> RawSpectra:
    """Spectra of the survey 'table', one per row of ``flux``.

    Every array may be an astropy Quantity; without a unit it is in the unit stated below.

    Parameters
    ----------
    wave : [pixel], Å, barycentric, ascending
        Or a ``specutils.Spectrum``, or a list of them on one spectral axis, which also contain
        flux, uncertainty and mask.
    flux : [pixel] or [star pixel], any unit per Å
        The unit is not kept. Masked pixels of a masked array are not fitted.
    ivar : [pixel] or [star pixel], 1 / flux unit squared
        Inverse variance; 0 marks a masked pixel.
    error : [pixel] or [star pixel], flux unit
        Standard deviation instead of ``ivar``; 0 marks a masked pixel. If neither is passed,
        errors are estimated when the spectra are fitted.
    fwhm : one number, [pixel] or [star pixel], Å
        Full width at half maximum of the LSF, at most 20 Å. Pixels with another width in an array
        are masked, and their star has ``WARN.LSF_WARN``.
    resolution : one number, [pixel] or [star pixel]
        ``wave / fwhm``, instead of ``fwhm``.
    vrad, vrad_err : one number or [star], km/s
        The velocity and its standard deviation. A star whose velocity is not a number, or beyond
        1500 km/s, has ``WARN.BAD_RV`` and is not fitted. One whose standard deviation is not
        positive or above 300 km/s has ``WARN.RV_WARN`` and a standard deviation of 30 km/s.
    names : [star]
        Identifiers, all different, stripped of surrounding blanks. The default is ``star`` for one
        spectrum, else ``star-00000`` and so on, which also replaces empty names.
    ebv : one number or [star], mag
        Reddening E(B-V); diffuse interstellar bands are masked above 0.1 mag or if it is unknown.
    air
        Whether wavelengths are in air; they are converted to vacuum (Morton 2000).

    Raises ValueError for units, shapes or values that are not consistent.

    Examples
    --------
    >>> wave = np.arange(4000.0, 5000.0)
    >>> from_arrays(wave, np.ones(1000), np.full(1000, 1e4), fwhm=2.0)
    <RawSpectra of table: 1 spectrum, 1 with a velocity; arms A1 4000-4999 Å>
    """
    sample = sampled(wave, flux, ivar, error=error)
    stars, shape = len(sample.flux), sample.flux.shape
    pixels = _wavelengths(sample.wave, shape)
    width = _widths(fwhm, resolution, wave=pixels, shape=shape)
    clean, weight, warn = _pixels(sample)
    velocity, spread, bad = _velocities(vrad, vrad_err, stars)
    reddening = numbers("ebv", np.nan if ebv is None else ebv, u.mag)
    grid = fill_gaps(pixels)
    vacuum = air_to_vacuum(grid.wave) if air else grid.wave
    clean, weight, width = grid.spread(clean), grid.spread(weight), grid.interpolated(width)
    raw = RawSpectra(
        survey="table",
        arms=tuple(
            RawArm(f"A{i}", vacuum[p], clean[:, p], weight[:, p], width[:, p])
            for i, p in enumerate(grid.arms, 1)
        ),
        vrad=velocity,
        vrad_err=spread,
        ebv=np.array(per_star("ebv", reddening, stars)),
        warn=warn | bad,
        key=("NAME",),
        columns={"NAME": _names(names, stars)},
    )
    return usable_widths(raw)


def air_to_vacuum(wave: np.ndarray) -> np.ndarray:
    """Vacuum wavelengths, Å, from air wavelengths, Å; below 2000 Å they are returned unchanged.

    The refractive index of standard air is that of Morton (2000), ApJS 130, 403, Eq. 8 (Birch &
    Downs 1994). It is a function of the vacuum wavelength, so the equation is solved by iteration.

    >>> float(np.round(air_to_vacuum(np.array([5889.950]))[0], 2))
    5891.58
    """
    wave = np.asarray(wave, float)
    vacuum = wave
    for _ in range(4):
        square = (1e4 / vacuum) ** 2
        index = 1 + 8.34254e-5 + 2.406147e-2 / (130 - square) + 1.5998e-4 / (38.9 - square)
        vacuum = wave * index
    return np.where(wave < _AIR_FROM, wave, vacuum)


def check_names(names: np.ndarray) -> None:
    """Raise ValueError for a repeated name, since names identify rows of the catalogue."""
    twice = [name for name, number in Counter(names.tolist()).items() if number > 1]
    if twice:
        raise ValueError(
            f"The name {twice[0]!r} belongs to more than one spectrum, and names identify the "
            "rows of the catalogue. Give each star its own name."
        )


def per_star(name: str, values: np.ndarray, stars: int) -> np.ndarray:
    """[star], from one value or one per star; ValueError for any other number of values."""
    if values.size not in (1, stars):
        raise ValueError(
            f"'{name}' has {values.size} values for {stars} stars. Give one per star, or one for "
            "all."
        )
    return np.broadcast_to(values.reshape(-1), (stars,))


def span(wave: np.ndarray) -> str:
    """Number of pixels and first and last wavelength as text for messages."""
    return f"{len(wave)} pixels, {wave[0]:.6g} to {wave[-1]:.6g}"


def _pixels(sample: Sampled) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(flux and ivar [star pixel] float32, WARN bits [star]); masked pixels have ivar = 0."""
    unit = _unit(np.where(sample.masked, np.nan, sample.flux))
    flux = sample.flux / unit
    warn = np.zeros(len(flux), np.int64)
    if sample.ivar is None:
        masked = sample.masked | ~(flux > 0)
        ivar = _guessed(flux)
        warn |= int(WARN.NO_ERRORS)
        missing = masked & (np.isfinite(flux) | sample.masked)
        flux = np.where(missing, 0.0, flux)
        broken = ~np.isfinite(flux).all(axis=1)
        clean, weight, _ = clean_pixels(flux, ivar, masked)
    else:
        ivar = per_pixel("ivar", sample.ivar, flux.shape) * unit**2
        clean, weight, broken = clean_pixels(flux, ivar, sample.masked)
    warn |= np.where(broken, int(WARN.NONFINITE_INPUT), 0)
    return clean, weight, warn | np.where((weight > 0).any(axis=1), 0, int(WARN.NODATA))


def _unit(flux: np.ndarray) -> np.ndarray:
    """[star 1], power of two that scales the flux so that flux and ivar fit into float32.

    It is 1 if the median flux is between 1e-3 and 1e6, or not known.
    """
    size = np.abs(np.where(np.isfinite(flux) & (flux != 0), flux, np.nan))
    known = np.isfinite(size).any(axis=1)
    typical = np.ones(len(flux))
    typical[known] = np.nanmedian(size[known], axis=1)
    far = (typical < 1e-3) | (typical > 1e6)
    return np.where(far, 2.0 ** np.round(np.log2(typical)), 1.0)[:, None]


def _guessed(flux: np.ndarray) -> np.ndarray:
    """[star pixel] ivar of a flat signal-to-noise ratio: noise proportional to the flux."""
    bright = np.where(np.isfinite(flux) & (flux > 0), flux, np.inf)
    return (GUESSED_SNR / bright) ** 2


def _wavelengths(wave: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """[pixel], Å; ValueError unless they match the flux, are the same for all stars and ascend."""
    if wave.ndim == 2 and len(wave) and np.array_equal(wave, np.broadcast_to(wave[0], wave.shape)):
        wave = wave[0]
    if len(shape) != 2 or wave.shape != shape[1:] or wave.size < 2:
        raise ValueError(
            f"'wave' has the shape {wave.shape} and the flux {shape} (star, pixel); all stars "
            "share one list of wavelengths, of at least 2 pixels. Give others separately."
        )
    wrong = ~np.isfinite(wave)
    wrong[1:] |= ~(np.diff(wave) > 0)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise ValueError(
            f"'wave' does not rise at pixel {at} ({wave[max(at - 1, 0)]:.6g}, then "
            f"{wave[at]:.6g}). Sort the pixels and drop doubled ones."
        )
    if wave[0] < _SHORTEST or wave[-1] > _LONGEST:
        raise ValueError(
            f"'wave' spans {span(wave)}, outside {_SHORTEST:g}-{_LONGEST:g} Å. Give wavelengths "
            "in Å, not their logarithm, nm or µm; of a file, name their unit as 'wave_unit'."
        )
    return wave


def _widths(
    fwhm: ArrayLike | None,
    resolution: ArrayLike | None,
    *,
    wave: np.ndarray,
    shape: tuple[int, ...],
) -> np.ndarray:
    """[star pixel] FWHM of the LSF, Å."""
    if (fwhm is None) == (resolution is None):
        raise ValueError(
            "The width of the line-spread function must be known: give either 'fwhm' (Å) or "
            "'resolution' (wavelength / FWHM) of the spectra."
        )
    if fwhm is not None:
        name, values = "fwhm", numbers("fwhm", fwhm, u.AA)
    else:
        name, values = "resolution", numbers("resolution", resolution, u.one)
    single = values.size == 1
    values = per_pixel(name, values.reshape(()) if single else values, shape)
    width = np.array(values) if fwhm is not None else wave / np.where(values > 0, values, np.nan)
    if single and not usable(width).any():
        value = float(values.flat[0]) if values.size else np.nan
        raise ValueError(
            f"'{name}' is not a positive number in every pixel, or the FWHM is above "
            f"{BROADEST:g} Å ({name} = {value:g}); the width of the line-spread function must be "
            "known. Correct it."
        )
    return width


def _velocities(
    vrad: ArrayLike, vrad_err: ArrayLike, stars: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(vrad, its error, WARN bits), each [star], after the checks of ``usable_velocities``."""
    velocity = per_star("vrad", numbers("vrad", vrad, u.km / u.s), stars)
    spread = per_star("vrad_err", numbers("vrad_err", vrad_err, u.km / u.s), stars)
    return usable_velocities(velocity, spread, largest=_MOST_VRAD_ERR)


def _names(names: ArrayLike | None, stars: int) -> np.ndarray:
    """[star] names without surrounding blanks; ValueError unless all are different."""
    if names is None:
        return np.array(["star"] if stars == 1 else [f"star-{i:05d}" for i in range(stars)])
    cleaned = clean_names(per_star("names", np.ma.asanyarray(names), stars))
    text = filled(cleaned, np.array([f"star-{i:05d}" for i in range(stars)]))
    check_text(text)
    check_names(text)
    return text
