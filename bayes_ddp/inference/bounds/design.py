"""What the precision of a star depends on: model, instrument, labels, and what else is unknown."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from bayes_ddp.emulator.card import load_emulator
from bayes_ddp.emulator.density import density_table, usual_vmic
from bayes_ddp.emulator.error import read_mismatch
from bayes_ddp.emulator.physics.points import PACKS, ReferencePoint, nearest_point
from bayes_ddp.files.errors import did_you_mean
from bayes_ddp.inference.bounds.exposure import (
    VRAD_ERR,
    Exposure,
    Model,
    ideal_exposure,
    sharp_enough,
)
from bayes_ddp.inference.bounds.gradients import Terms
from bayes_ddp.inference.parameters import Parameters
from bayes_ddp.inference.problem import Nuisance, require_float64
from bayes_ddp.labels import LABELS, LabelSpace
from bayes_ddp.spectra.instruments import Instrument, find_instrument

__all__ = ["Design", "Unknowns", "choose_model", "complete_labels", "make_design"]

_DEFAULT = "desi-physics"
_NEEDED = ("teff", "logg", "feh")


@dataclass(frozen=True)
class Unknowns:
    """What is unknown beside the labels, and what is known of these.

    nuisance : velocity, LSF and mismatch as in a fit. continuum : Legendre terms of the continuum
    of each arm, without a prior. pseudo_continuum : whether spectrum and model are divided by
    their own pseudo-continuum. emulator_error : whether the emulator's error is part of the
    variance. fixed : labels that are known. priors : label -> standard deviation of a Gaussian
    prior; none by default.
    """

    nuisance: Nuisance = field(default_factory=Nuisance)
    continuum: int = 0
    pseudo_continuum: bool = True
    emulator_error: bool = True
    fixed: tuple[str, ...] = ()
    priors: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.continuum <= 20:
            raise ValueError(f"continuum = {self.continuum}: take 0 to 20 terms per arm.")
        for name, sd in (self.priors or {}).items():
            if not sd > 0:
                raise ValueError(
                    f"The prior of {name} has the standard deviation {sd}: it is > 0."
                )


@dataclass(frozen=True, eq=False)
class Design:
    """A star, an instrument and a model: all that a bound depends on but the S/N.

    labels : [label], in the order of ``model.space``. error : [model pixel], model error in the
    variance.
    """

    model: Model
    instrument: Instrument
    labels: np.ndarray
    unknowns: Unknowns
    error: np.ndarray
    vrad_err: float = VRAD_ERR

    @property
    def names(self) -> tuple[str, ...]:
        """All labels of the model."""
        return self.model.space.names

    @property
    def free(self) -> tuple[str, ...]:
        """Labels that are unknown."""
        return tuple(name for name in self.names if name not in self.unknowns.fixed)

    @property
    def source(self) -> str:
        """Where the gradient spectra come from, in words."""
        if isinstance(self.model, ReferencePoint):
            teff, logg, _, feh = (float(x) for x in self.model.labels[:4])
            return (
                f"finite differences of physical spectra at {self.model.name} (Teff {teff:.0f} K, "
                f"log g {logg:.2f}, [Fe/H] {feh:+.2f})"
            )
        return f"emulator {self.model.card.name if self.model.card else 'without a name'}"

    def terms(self, arms: tuple[str, ...]) -> Terms:
        """The unknowns of spectra with these arms."""
        nuisance, survey = self.unknowns.nuisance, self.instrument.survey
        return Terms(
            Parameters(self.names, self.free, arms, nuisance.velocity, nuisance.lsf_sd(survey)),
            continuum=self.unknowns.continuum,
            pseudo_continuum=self.unknowns.pseudo_continuum,
        )

    def label_precision(self) -> np.ndarray:
        """[free label], inverse variances of the Gaussian priors that were asked for."""
        priors = self.unknowns.priors or {}
        return np.array([priors[n] ** -2 if n in priors else 0.0 for n in self.free])

    def exposure(self, snr: float) -> Exposure:
        """The star's pixels at this S/N of the median pixel."""
        return ideal_exposure(
            self.instrument, self.model, snr=snr, vrad_err=self.vrad_err, error=self.error
        )

    def on(self, instrument: Instrument) -> "Design":
        """The same star on another instrument, with the same model."""
        return replace(self, instrument=instrument)


def make_design(
    labels: Mapping[str, float],
    *,
    instrument: str | Path | Instrument = "desi",
    emulator: str | Path | Model | None = None,
    unknowns: Unknowns | None = None,
    vrad_err: float = VRAD_ERR,
) -> Design:
    """A design with defaults filled in; raises as ``bounds``."""
    require_float64()
    unknowns = unknowns or Unknowns()
    chosen = instrument if isinstance(instrument, Instrument) else find_instrument(instrument)
    model = choose_model(labels, chosen, emulator=emulator)
    for name in (*unknowns.fixed, *(unknowns.priors or {})):
        model.space.index(name)  # it raises
    if set(unknowns.fixed) >= set(model.space.names):
        raise ValueError("All labels are fixed: leave at least one unknown.")
    values = np.array([complete_labels(labels)[name] for name in model.space.names])
    _check_range(model, values)
    error = np.asarray(model.error, np.float32) * np.float32(unknowns.emulator_error)
    if unknowns.nuisance.mismatch:
        if model.card is None:
            raise ValueError(f"{model!r} has no mismatch spectrum: leave mismatch out.")
        error = np.hypot(error, read_mismatch(model.card.folder).astype(np.float32))
    return Design(model, chosen, values, unknowns, error, vrad_err)


def complete_labels(labels: Mapping[str, float]) -> dict[str, float]:
    """All labels: solar [X/Fe] and the usual vmic where they are not given.

    Raises ValueError without Teff, log g and [Fe/H], and for unknown or infinite labels.
    """
    known = [row.name for row in LABELS]
    for name, value in labels.items():
        if name not in known:
            raise ValueError(f"'{name}' is no label.{did_you_mean(name, known)} Labels: {known}.")
        if not np.isfinite(value):
            raise ValueError(f"{name} = {value}: give a number.")
    missing = [name for name in _NEEDED if name not in labels]
    if missing:
        raise ValueError(f"{missing} are not given: a star needs teff, logg and feh.")
    vmic = float(usual_vmic(labels["teff"], labels["logg"], density_table()))
    return {name: 0.0 for name in known} | {"vmic": vmic} | dict(labels)


def choose_model(
    labels: Mapping[str, float],
    instrument: Instrument,
    *,
    emulator: str | Path | Model | None = None,
) -> Model:
    """The model whose gradients are used.

    By default the emulator ``desi-physics``; for an instrument that is sharper the nearest
    reference point of ``physics-lte`` (FWHM 1.0 Å) or ``fine-lte`` (0.25 Å), whose names are
    understood as emulators too.

    Raises ValueError where no model is sharp enough, or no point is near the labels.
    """
    values = np.array([complete_labels(labels)[row.name] for row in LABELS])
    if emulator is not None:
        if not isinstance(emulator, str | Path):
            return emulator
        if str(emulator) in PACKS:
            return nearest_point(str(emulator), values)
        return load_emulator(emulator)
    default = load_emulator(_DEFAULT)
    if sharp_enough(instrument, default):
        return default
    found: ReferencePoint | None = None
    for pack in PACKS:
        try:
            found = nearest_point(pack, values)
        except ValueError:
            if pack == PACKS[-1]:
                raise
            continue
        if sharp_enough(instrument, found):
            return found
    assert found is not None
    raise ValueError(
        f"{instrument.title} resolves {instrument.fwhm[0]:.2f} Å (FWHM), and the sharpest "
        f"physical spectra have {found.fwhm:.2f} Å: bounds from them would be too large."
    )


def _check_range(model: Model, labels: np.ndarray) -> None:
    """Raise ValueError for labels beyond the trained range; a reference point has its own."""
    space: LabelSpace = model.space
    if isinstance(model, ReferencePoint):
        return
    for name, value, low, high in zip(space.names, labels, space.low, space.high, strict=True):
        if not low <= value <= high:
            raise ValueError(
                f"{name} = {value:g} is outside the range of the emulator, {low:g} to {high:g}: "
                "its gradient spectra mean nothing there."
            )
