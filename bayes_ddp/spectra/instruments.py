"""Spectrographs as data: arms, pixels, LSF and the shape of S/N along wavelength.

``instruments.toml`` beside this module holds those that are known; a user's own is a TOML file of
the same form. Masks, edge pixels and the prior of the LSF width of a survey that can be read are
those of its ``Survey`` record.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from bayes_ddp.files.errors import did_you_mean
from bayes_ddp.spectra.raw import RawArm, RawSpectra
from bayes_ddp.spectra.surveys import find_survey

__all__ = ["Instrument", "InstrumentArm", "find_instrument", "known_instruments"]

_FILE = Path(__file__).with_name("instruments.toml")
_STRICT = ConfigDict(extra="forbid")
_LEAST_PIXELS = 20

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Curve = Positive | list[tuple[Positive, Positive]]
"""One number, or pairs (Å, value)."""


@checked(frozen=True, config=_STRICT)
class _ArmTable:
    """An entry of ``arms`` in a file."""

    name: str
    wave: tuple[Positive, Positive]
    step: Positive | None = None
    dex: Annotated[float, Field(gt=0, lt=0.01)] | None = None
    fwhm: Curve | None = None
    resolution: Curve | None = None
    snr: Curve = 1.0


@checked(frozen=True, config=_STRICT)
class _Table:
    """One instrument in a file."""

    title: str
    arms: Annotated[list[_ArmTable], Field(min_length=1)]
    source: str = ""
    survey: str = "table"
    name: str = ""


@dataclass(frozen=True, eq=False)
class InstrumentArm:
    """Pixels of one arm.

    wave : [pixel], Å vacuum. fwhm : [pixel], Å. snr : [pixel], S/N relative to that of the
    instrument's median pixel.
    """

    name: str
    wave: np.ndarray
    fwhm: np.ndarray
    snr: np.ndarray

    def take(self, keep: np.ndarray) -> "InstrumentArm":
        """The pixels in ``keep``."""
        return InstrumentArm(self.name, self.wave[keep], self.fwhm[keep], self.snr[keep])


@dataclass(frozen=True, eq=False)
class Instrument:
    """A spectrograph.

    survey : key of ``SURVEYS``. source : where the numbers come from.
    """

    name: str
    title: str
    survey: str
    source: str
    arms: tuple[InstrumentArm, ...]

    @property
    def fwhm(self) -> tuple[float, float, float]:
        """Least, median and largest FWHM of a pixel, Å."""
        every = np.concatenate([arm.fwhm for arm in self.arms])
        return float(every.min()), float(np.median(every)), float(every.max())

    @property
    def resolution(self) -> float:
        """Median of wave / FWHM."""
        return float(np.median(np.concatenate([arm.wave / arm.fwhm for arm in self.arms])))

    @property
    def lsf_sd(self) -> float:
        """Prior standard deviation of the factor on the LSF width."""
        return find_survey(self.survey).lsf_sd

    def only(self, names: Sequence[str]) -> "Instrument":
        """The instrument with these arms; ValueError for an arm that it does not have."""
        known = [arm.name for arm in self.arms]
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            raise ValueError(f"{self.title} has no arm {unknown}. Its arms: {known}.")
        return replace(self, arms=tuple(arm for arm in self.arms if arm.name in names))

    def cut(self, low: float, high: float) -> "Instrument":
        """The pixels between two wavelengths, Å; arms without any are left out.

        Raises ValueError where fewer than 20 pixels of every arm are left.
        """
        parts = [arm.take((arm.wave >= low) & (arm.wave <= high)) for arm in self.arms]
        kept = tuple(arm for arm in parts if len(arm.wave) >= _LEAST_PIXELS)
        if not kept:
            spans = ", ".join(f"{a.wave[0]:.0f}-{a.wave[-1]:.0f}" for a in self.arms)
            raise ValueError(
                f"{self.title} has fewer than {_LEAST_PIXELS} pixels between {low:.0f} and "
                f"{high:.0f} Å. Its arms: {spans} Å."
            )
        return replace(self, arms=kept)

    def sharpened(self, factor: float) -> "Instrument":
        """The same exposure at ``factor`` times the resolution: pixels and LSF are narrower.

        The number of photons per Å stays: S/N per pixel falls with the root of the factor.
        """
        arms = []
        for arm in self.arms:
            count = max(round((len(arm.wave) - 1) * factor) + 1, 2)
            place = np.linspace(0, len(arm.wave) - 1, count)
            values = [np.interp(place, np.arange(len(arm.wave)), v) for v in _columns(arm)]
            wave, fwhm, snr = values
            arms.append(InstrumentArm(arm.name, wave, fwhm / factor, snr / np.sqrt(factor)))
        return replace(self, name=f"{self.name} x {factor:g}", survey="table", arms=tuple(arms))

    def spectra(self, snr: float, *, vrad_err: float) -> RawSpectra:
        """One star of flux 1 at rest whose median pixel has this S/N.

        vrad_err : km/s, error of its catalogue velocity.
        """
        return RawSpectra(
            survey=self.survey,
            arms=tuple(
                RawArm(
                    arm.name,
                    arm.wave,
                    np.ones((1, len(arm.wave)), np.float32),
                    ((snr * arm.snr) ** 2)[None].astype(np.float32),
                    arm.fwhm[None].astype(np.float32),
                )
                for arm in self.arms
            ),
            vrad=np.zeros(1),
            vrad_err=np.full(1, vrad_err),
            ebv=np.zeros(1),
            warn=np.zeros(1, np.int64),
            key=("NAME",),
            columns={"NAME": np.array(["star"])},
        )


def _columns(arm: InstrumentArm) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return arm.wave, arm.fwhm, arm.snr


def find_instrument(name_or_path: str | Path) -> Instrument:
    """The instrument of that name, or of that TOML file.

    Raises ValueError for an unknown name and for a file that is not as ``instruments.toml``.
    """
    known = known_instruments()
    if str(name_or_path) in known:
        return known[str(name_or_path)]
    path = Path(name_or_path)
    if path.suffix == ".toml":
        return _instrument(path.stem, _read(path), place=str(path))
    hint = did_you_mean(name_or_path, known)
    raise ValueError(
        f"There is no instrument '{name_or_path}'.{hint} Known: {list(known)}; or give a TOML "
        "file of your own (docs/bounds.md)."
    )


@cache
def known_instruments() -> dict[str, Instrument]:
    """Name -> instrument, of those that are shipped."""
    tables = _read(_FILE)
    return {n: _instrument(n, table, place=f"{_FILE.name} [{n}]") for n, table in tables.items()}


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as TOML: {error}.") from error


def _instrument(name: str, content: Any, *, place: str) -> Instrument:
    try:
        table = TypeAdapter(_Table).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(str(part) for part in first["loc"])
        raise ValueError(
            f"{place}: {at or 'the table'} is wrong: {first['msg']}. An example: docs/bounds.md."
        ) from error
    find_survey(table.survey)  # it raises
    arms = [_arm(arm, place=f"{place}, arm {arm.name}") for arm in table.arms]
    middle = float(np.median(np.concatenate([arm.snr for arm in arms])))
    return Instrument(
        name=table.name or name,
        title=table.title,
        survey=table.survey,
        source=table.source,
        arms=tuple(replace(arm, snr=arm.snr / middle) for arm in arms),
    )


def _arm(table: _ArmTable, *, place: str) -> InstrumentArm:
    low, high = table.wave
    if not low < high:
        raise ValueError(f"{place}: wave = [{low:g}, {high:g}] is not ascending.")
    if (table.step is None) == (table.dex is None):
        raise ValueError(f"{place}: give either step (Å per pixel) or dex (log10 step).")
    if (table.fwhm is None) == (table.resolution is None):
        raise ValueError(f"{place}: give either fwhm (Å) or resolution.")
    if table.step is not None:
        wave = low + table.step * np.arange(int((high - low) / table.step) + 1)
    else:
        assert table.dex is not None
        wave = low * 10 ** (table.dex * np.arange(int(np.log10(high / low) / table.dex) + 1))
    if len(wave) < _LEAST_PIXELS:
        raise ValueError(f"{place}: {len(wave)} pixels are fewer than {_LEAST_PIXELS}.")
    fwhm = (
        _along(table.fwhm, wave)
        if table.fwhm is not None
        else wave / _along(table.resolution, wave)
    )
    return InstrumentArm(table.name, wave, fwhm, _along(table.snr, wave))


def _along(curve: Any, wave: np.ndarray) -> np.ndarray:
    """[pixel] of a number or of pairs, constant beyond the first and the last pair."""
    if isinstance(curve, float):
        return np.full(len(wave), curve)
    pairs = np.array(sorted(curve))
    return np.interp(wave, pairs[:, 0], pairs[:, 1])
