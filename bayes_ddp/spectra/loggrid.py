"""The wavelength grid of SDSS and LAMOST: pixels of 1e-4 in log10 of the wavelength.

Files of these surveys have different first and last pixels, but all pixels are at multiples of one
step. All stars of a run are therefore copied to one range of that grid without resampling. A file
that is off the grid is an error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bayes_ddp.files.errors import BadFileError
from bayes_ddp.flags import WARN
from bayes_ddp.spectra.raw import RawArm
from bayes_ddp.tables.values import NULLS

__all__ = ["STEP", "LogGrid", "first_pixel", "integer", "is_number", "numbers"]

STEP = 1e-4
"""Pixel width in log10 of the wavelength."""

_TOLERANCE = 0.01
"""Largest distance of a wavelength from the grid, pixels: wavelengths are float32."""

_UNITS = {"Å": 0, "nm": 1, "µm": 4, "m": 10}
"""Unit -> log10 of its length in Å."""
_OPTICAL = (3.3, 4.2)  # log10 of the wavelength in Å; the range identifies the unit


@dataclass(frozen=True)
class LogGrid:
    """A range of the grid, cut into a blue and a red arm, each with its own LSF.

    first, cut, last : log10(wave / Å) / STEP; ``last`` is exclusive.
    """

    first: int
    cut: int
    last: int

    def place(self, values: np.ndarray, start: int) -> np.ndarray:
        """[grid pixel] float32, values [pixel] copied to the grid from ``start`` on; else 0."""
        grid = np.zeros(self.last - self.first, np.float32)
        low, high = max(start, self.first), min(start + values.size, self.last)
        if low < high:
            grid[low - self.first : high - self.first] = values[low - start : high - start]
        return grid

    def wave(self) -> np.ndarray:
        """[grid pixel], wavelengths, Å."""
        return 10 ** (STEP * np.arange(self.first, self.last))

    def arms(self, flux: np.ndarray, ivar: np.ndarray, fwhm: np.ndarray) -> tuple[RawArm, ...]:
        """Arms B and R of flux, ivar and fwhm [star grid pixel]."""
        edge = self.cut - self.first
        return tuple(
            RawArm(name, self.wave()[part], flux[:, part], ivar[:, part], fwhm[:, part])
            for name, part in (("B", slice(None, edge)), ("R", slice(edge, None)))
        )

    def warnings(self, ivar: np.ndarray) -> np.ndarray:
        """[star] int64, NODATA or MISSING_ARM if arms have no ivar > 0; ivar [star grid pixel]."""
        edge = self.cut - self.first
        blue, red = np.any(ivar[:, :edge] > 0, axis=1), np.any(ivar[:, edge:] > 0, axis=1)
        missing = np.where(blue != red, int(WARN.MISSING_ARM), 0)
        return missing | np.where(~blue & ~red, int(WARN.NODATA), 0)


def first_pixel(path: Path, log_wave: np.ndarray) -> int:
    """The grid pixel at which a file begins.

    log_wave : [pixel], log10 of the wavelength in Å, nm, µm or m; the unit follows from the values
        of an optical spectrum.

    Raises BadFileError with the first pixel off the grid, and for wavelengths that are not optical
    in any of these units.
    """
    number = (np.asarray(log_wave, float) + _to_angstrom(path, log_wave)) / STEP
    start = round(float(number[0])) if number.size and np.isfinite(number[0]) else 0
    off = ~(np.abs(number - start - np.arange(number.size)) <= _TOLERANCE)
    if not number.size or off.any():
        at = int(np.argmax(off)) if number.size else 0
        value = number[at] * STEP if number.size else np.nan
        raise BadFileError(
            f"{path}: pixel {at} has log10(wavelength) = {value:.6f}, off the survey's grid "
            f"(multiples of {STEP}, one per pixel). Give the file as released."
        )
    return start


def _to_angstrom(path: Path, log_wave: np.ndarray) -> int:
    """The offset to add to log10 of the wavelengths to convert them to Å."""
    known = np.asarray(log_wave, float)[np.isfinite(log_wave)]
    if not known.size:
        return 0
    for power in _UNITS.values():
        if _OPTICAL[0] < np.median(known) + power < _OPTICAL[1]:
            return power
    raise BadFileError(
        f"{path}: its log10(wavelength) is {known[0]:.4f} to {known[-1]:.4f}, which in none of "
        f"{list(_UNITS)} are the wavelengths of an optical spectrum. Give the file as released."
    )


def is_number(value: Any) -> bool:
    """Whether a header card or table cell is a number or marked as unknown."""
    if value is None or str(value).strip().lower() in NULLS:
        return True
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def integer(value: Any) -> int:
    """The integer in a card or cell, from a number or text; -1 for anything else.

    >>> integer(" 12 "), integer(7.0), integer(float("nan")), integer("null"), integer(None)
    (12, 7, -1, -1, -1)
    """
    try:
        return int(str(value).strip())  # all digits of an identifier, which a float would lose
    except ValueError:
        pass
    try:
        number = float(value)
    except (TypeError, ValueError):
        return -1
    return int(number) if np.isfinite(number) and number == int(number) else -1


def numbers(
    rows: Sequence[Mapping[str, Any]], *names: str, unknown: float = -9999.0
) -> np.ndarray:
    """[row] float64, value of the first of ``names`` in each row; NaN if missing or unknown."""
    values = np.full(len(rows), np.nan)
    for i, row in enumerate(rows):
        found = next((row[name] for name in names if row.get(name) is not None), np.nan)
        if str(found).strip().lower() not in NULLS:
            values[i] = float(found)
    return np.where(values == unknown, np.nan, values)
