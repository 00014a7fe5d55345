"""Settings of the steps of a run as the objects that do the work."""

import hashlib
from dataclasses import replace
from pathlib import Path

from bayes_ddp.commands.distance_models import DistanceModel
from bayes_ddp.commands.orbits import chosen_selections
from bayes_ddp.galaxy.membership import Box, Selection
from bayes_ddp.galaxy.sampling import OrbitSettings
from bayes_ddp.galaxy.steps import DistanceStep, OrbitStep
from bayes_ddp.spectra.surveys import find_survey

__all__ = ["digest_of", "model_of", "orbit_settings", "selections_of"]


def model_of(step: DistanceStep) -> DistanceModel:
    """The model of magnitudes of a step."""
    calibration, offsets = (
        Path(name) if name else None for name in (step.calibration, step.offsets_of)
    )
    return DistanceModel(calibration, offsets)


def digest_of(name: str | None) -> str:
    """SHA-256 of a file; empty without one."""
    return hashlib.sha256(Path(name).read_bytes()).hexdigest() if name else ""


def orbit_settings(step: OrbitStep, survey: str) -> OrbitSettings:
    """The settings of a step, with the survey's scatter of velocities where none is given."""
    floor = step.settings.vrad_floor or find_survey(survey).vrad_floor
    return replace(step.settings, vrad_floor=floor)


def selections_of(step: OrbitStep) -> dict[str, Selection]:
    """The selections of a step, those by name and the boxes."""
    boxes: dict[str, Selection] = {name: Box(limits) for name, limits in step.box.items()}
    return chosen_selections(step.settings.preset, step.select, boxes)
