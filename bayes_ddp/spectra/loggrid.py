"""Spectra on the grid that SDSS and LAMOST share: pixels of 1e-4 in log10 of the wavelength.

Files of these surveys begin and end where their light does, but all their pixels lie on multiples
of one step. So every star of a run can be put on one stretch of that grid, pixel by pixel, and
nothing is resampled. A file that is off the grid is an error.
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
"""Of log10 wavelength, one pixel."""

_TOLERANCE = 0.01
"""Pixels that a wavelength may be off the grid: wavelengths come in float32."""

_UNITS = {"Å": 0, "nm": 1, "µm": 4, "m": 10}
"""Unit -> log10 of how many Å it is."""
_OPTICAL = (3.3, 4.2)  # log10 of Å; in any other of the units these wavelengths are far from here


@dataclass(frozen=True)
class LogGrid:
    """One stretch of the grid, cut into a blue and a red arm, each with an LSF of its own.

    first, cut, last : log10(wave / Å) / STEP; ``last`` is past the end.
    """

    first: int
    cut: int
    last: int

    def place(self, values: np.ndarray, start: int) -> np.ndarray:
        """[grid pixel] float32 of values [pixel] that begin at pixel ``start``; 0 elsewhere."""
        grid = np.zeros(self.last - self.first, np.float32)
        low, high = max(start, self.first), min(start + values.size, self.last)
        if low < high:
            grid[low - self.first : high - self.first] = values[low - start : high - start]
        return grid

    def wave(self) -> np.ndarray:
        """[grid pixel], Å."""
        return 10 ** (STEP * np.arange(self.first, self.last))

    def arms(self, flux: np.ndarray, ivar: np.ndarray, fwhm: np.ndarray) -> tuple[RawArm, ...]:
        """Arms B and R of flux, ivar and fwhm [star grid pixel]."""
        edge = self.cut - self.first
        return tuple(
            RawArm(name, self.wave()[part], flux[:, part], ivar[:, part], fwhm[:, part])
            for name, part in (("B", slice(None, edge)), ("R", slice(edge, None)))
        )

    def warnings(self, ivar: np.ndarray) -> np.ndarray:
        """[star] int64, NODATA or MISSING_ARM where ivar [star grid pixel] says so."""
        edge = self.cut - self.first
        blue, red = np.any(ivar[:, :edge] > 0, axis=1), np.any(ivar[:, edge:] > 0, axis=1)
        missing = np.where(blue != red, int(WARN.MISSING_ARM), 0)
        return missing | np.where(~blue & ~red, int(WARN.NODATA), 0)


def first_pixel(path: Path, log_wave: np.ndarray) -> int:
    """The grid pixel at which a file begins.

    log_wave : [pixel], log10 of the wavelength in Å, nm, µm or m. For optical spectra its values
        leave no doubt which of them it is.

    Raises BadFileError naming the first pixel off the grid, or the wavelengths that are none of
    an optical spectrum.
    """
    place = (np.asarray(log_wave, float) + _to_angstrom(path, log_wave)) / STEP
    start = round(float(place[0])) if place.size and np.isfinite(place[0]) else 0
    off = ~(np.abs(place - start - np.arange(place.size)) <= _TOLERANCE)
    if not place.size or off.any():
        at = int(np.argmax(off)) if place.size else 0
        value = place[at] * STEP if place.size else np.nan
        raise BadFileError(
            f"{path}: pixel {at} has log10(wavelength) = {value:.6f}, off the survey's grid "
            f"(multiples of {STEP}, one a pixel). Give the file as released."
        )
    return start


def _to_angstrom(path: Path, log_wave: np.ndarray) -> int:
    """What is to be added to log10 of the wavelengths so that they are in Å."""
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
    """Whether a header card or table cell is a number, or says that it is unknown."""
    if value is None or str(value).strip().lower() in NULLS:
        return True
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def integer(value: Any) -> int:
    """The integer that a card or cell has, as a number or as text; -1 for anything else.

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
    """[row] float64 of the first of ``names`` that a row has; NaN where missing or unknown."""
    values = np.full(len(rows), np.nan)
    for i, row in enumerate(rows):
        found = next((row[name] for name in names if row.get(name) is not None), np.nan)
        if str(found).strip().lower() not in NULLS:
            values[i] = float(found)
    return np.where(values == unknown, np.nan, values)
