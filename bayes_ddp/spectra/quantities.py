"""Quantities, masked arrays and specutils spectra are converted to plain float64 arrays.

An array without a unit is in the unit that the description of its argument states. specutils is
not a dependency: any object with ``spectral_axis`` and ``flux`` counts as one of its spectra.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import astropy.units as u
import numpy as np
from numpy.typing import ArrayLike

__all__ = ["Sampled", "SpectrumLike", "numbers", "per_pixel", "sampled"]

_POWERS = {"std": 1, "var": 2, "ivar": -2}
"""Kind of uncertainty -> power of the flux unit in its unit."""


@runtime_checkable
class SpectrumLike(Protocol):
    """The attributes of a ``specutils.Spectrum`` that are used; two more are optional.

    These are ``uncertainty`` and ``mask``. The types are ``Any`` because astropy has none.
    """

    spectral_axis: Any
    flux: Any


@dataclass(frozen=True)
class Sampled:
    """Wavelengths and fluxes, all float64 and without units.

    wave : Å, in the shape of the input.
    flux : [star pixel]. ivar : 1 / flux unit squared, in the shape of the input, or None.
    masked : [star pixel] bool, pixels that the input masks.
    """

    wave: np.ndarray
    flux: np.ndarray
    ivar: np.ndarray | None
    masked: np.ndarray


def numbers(name: str, value: ArrayLike | None, unit: u.UnitBase | None = None) -> np.ndarray:
    """Float64 array of the values in ``unit``, NaN if masked.

    name : name of the argument in messages. Raises ValueError for a value that is not an array of
    real numbers, or whose unit cannot be converted.
    """
    values = _real(name, value)
    own = getattr(value, "unit", None)
    if own is not None and unit is not None:
        try:
            values = u.Unit(own).to(unit, values)
        except (TypeError, ValueError):
            raise ValueError(
                f"'{name}' has {_text(own)}, which cannot be converted to {unit}. Convert it to "
                f"{unit} first."
            ) from None
    return np.where(_mask(value, values.shape), np.nan, values)


def sampled(
    wave: ArrayLike | SpectrumLike | Sequence[SpectrumLike],
    flux: ArrayLike | None,
    ivar: ArrayLike | None,
    *,
    error: ArrayLike | None,
) -> Sampled:
    """Wavelengths, fluxes and weights from the arguments of ``from_arrays``, of any type.

    Raises ValueError for units, types or shapes that do not fit together.
    """
    spectra = _spectra(wave)
    if spectra:
        if not (flux is ivar is error is None):
            raise ValueError(
                "A spectrum object contains its flux and uncertainty, and 'flux', 'ivar' or "
                "'error' were given beside it. Leave these out, or give plain arrays."
            )
        return _joined([_unpacked(one, spectra[0].flux) for one in spectra])
    if flux is None:
        raise ValueError("'flux' is missing: give it beside 'wave'.")
    if ivar is not None and error is not None:
        raise ValueError("'ivar' and 'error' were both given. Give one of them.")
    kind, uncertainty = ("ivar", ivar) if error is None else ("std", error)
    name = "ivar" if error is None else "error"
    return _sampled(wave, flux, _weights(name, uncertainty, kind, flux=flux), mask=None)


def _sampled(
    wave: Any, flux: Any, weights: tuple[np.ndarray, np.ndarray] | None, *, mask: Any
) -> Sampled:
    """Arrays of one input; ``mask`` has further masked pixels, or is None."""
    values = np.atleast_2d(_real("flux", flux))
    _flux_unit(flux)
    masked = np.broadcast_to(_mask(flux, values.shape), values.shape)
    if weights is not None and weights[1].any():
        masked = masked | per_pixel("ivar", weights[1], values.shape)
    if mask is not None:
        masked = masked | per_pixel("mask", np.asarray(mask, bool), values.shape)
    ivar = None if weights is None else weights[0]
    return Sampled(numbers("wave", wave, u.AA), values, ivar, masked)


def _weights(
    name: str, value: Any, kind: str, *, flux: Any
) -> tuple[np.ndarray, np.ndarray] | None:
    """(inverse variance, mask) of an uncertainty; None without one.

    kind : key of ``_POWERS``. The unit must be that power of the flux unit; ValueError otherwise.
    A standard deviation or variance of 0 gives ``ivar = 0``, a negative one NaN.
    """
    if value is None:
        return None
    values, own = _real(name, value), getattr(value, "unit", None)
    if own is not None:
        base = _flux_unit(flux)
        due = base ** _POWERS[kind]
        try:
            values = u.Unit(own).to(due, values)
        except (TypeError, ValueError):
            raise ValueError(
                f"'{name}' has {_text(own)} and the flux has {_text(base)}, so '{name}' must have "
                f"{_text(due)}. Convert it, or give both without units."
            ) from None
    if kind != "ivar":
        power = -2.0 / _POWERS[kind]
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.where(values == 0, 0.0, np.where(values > 0, values**power, np.nan))
    return values, _mask(value, values.shape)


def _spectra(value: Any) -> list[SpectrumLike]:
    """Spectrum objects in ``value``, which may be one or a list; empty for an array."""
    several = isinstance(value, list | tuple) and len(value) > 0
    found = list(value) if several else [value]
    return found if all(isinstance(one, SpectrumLike) for one in found) else []


def _unpacked(spectrum: Any, first: Any) -> Sampled:
    """One spectrum object in the flux unit of ``first``, the flux of the first object."""
    flux, unit = spectrum.flux, getattr(first, "unit", None)
    uncertainty = getattr(spectrum, "uncertainty", None)
    weights = None
    if uncertainty is not None:
        kind = str(getattr(uncertainty, "uncertainty_type", None))
        if kind not in _POWERS:
            raise ValueError(
                f"The uncertainty of a spectrum is of type {kind!r}, and {list(_POWERS)} are "
                "known. Convert it to one of these."
            )
        values = uncertainty.array
        own = getattr(uncertainty, "unit", None)
        weights = _weights("uncertainty", values if own is None else values * own, kind, flux=flux)
    found = _sampled(spectrum.spectral_axis, flux, weights, mask=getattr(spectrum, "mask", None))
    if unit is None or getattr(flux, "unit", None) is None or flux.unit == unit:
        return found
    scale = numbers("flux", 1.0 * flux.unit, unit)
    ivar = None if found.ivar is None else found.ivar / scale**2
    return Sampled(found.wave, found.flux * scale, ivar, found.masked)


def _joined(parts: list[Sampled]) -> Sampled:
    """All stars of several spectrum objects, which must share one list of wavelengths."""
    first = parts[0]
    for number, part in enumerate(parts):
        if not np.array_equal(part.wave, first.wave):
            raise ValueError(
                f"Spectrum {number} of the list has other wavelengths than spectrum 0, and "
                "spectra are not resampled. Convert them in separate calls."
            )
        if (part.ivar is None) != (first.ivar is None):
            raise ValueError(
                f"Spectra 0 and {number} of the list differ in that only one has an uncertainty. "
                "Convert those without in a separate call."
            )
    flux = np.concatenate([part.flux for part in parts])
    masked = np.concatenate([part.masked for part in parts])
    if first.ivar is None:
        return Sampled(first.wave, flux, None, masked)
    ivar = [per_pixel("uncertainty", np.asarray(part.ivar), part.flux.shape) for part in parts]
    return Sampled(first.wave, flux, np.concatenate(ivar), masked)


def _real(name: str, value: Any) -> np.ndarray:
    """Float64 values without unit and mask."""
    if value is None:
        raise ValueError(f"'{name}' is None: give numbers.")
    try:
        array = np.asarray(np.ma.getdata(getattr(value, "unmasked", value)))
    except (TypeError, ValueError):
        raise ValueError(
            f"'{name}' is not an array of numbers (rows of different length, or a list of "
            "Quantities). Give one array or one Quantity."
        ) from None
    if array.dtype.kind not in "iuf":
        raise ValueError(
            f"'{name}' has the data type {array.dtype}, and real numbers are needed. Convert it "
            "to float first."
        )
    return array.astype(float)


def _mask(value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Bool mask of a NumPy or astropy masked array; False everywhere for anything else."""
    mask = getattr(value, "mask", None)
    known = isinstance(mask, np.ndarray | np.bool) and np.asarray(mask).dtype == bool
    return np.broadcast_to(np.asarray(mask if known else False), shape)


def per_pixel(name: str, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """[star pixel], the values broadcast to ``shape``; ValueError if that is not possible."""
    if values.shape not in (shape, shape[1:], ()):
        raise ValueError(
            f"'{name}' has the shape {values.shape} and the flux {shape} (star, pixel). Give one "
            "value per pixel."
        )
    return np.broadcast_to(values, shape)


def _flux_unit(flux: Any) -> u.UnitBase:
    """Unit of the flux, dimensionless if it has none; ValueError for magnitudes."""
    own = getattr(flux, "unit", None)
    unit = u.dimensionless_unscaled if own is None else u.Unit(own)
    if not isinstance(unit, u.UnitBase):
        raise ValueError(f"'flux' is in {unit}, a logarithm. Convert it to a linear flux first.")
    return unit


def _text(unit: Any) -> str:
    """Text for the unit of an array in messages."""
    return f"the unit {unit}" if str(unit) else "no unit"
