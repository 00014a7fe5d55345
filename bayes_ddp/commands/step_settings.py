"""Settings of the steps of a run as the objects that do the work."""

import hashlib
from pathlib import Path

from bayes_ddp.commands.distance_models import DistanceModel
from bayes_ddp.commands.orbits import chosen_selections
from bayes_ddp.galaxy.membership import Box, Selection
from bayes_ddp.galaxy.steps import DistanceStep, OrbitStep

__all__ = ["digest_of", "model_of", "selections_of"]


def model_of(step: DistanceStep) -> DistanceModel:
    """The model of magnitudes of a step."""
    calibration, offsets = (
        Path(name) if name else None for name in (step.calibration, step.offsets_of)
    )
    return DistanceModel(calibration, offsets)


def digest_of(name: str | None) -> str:
    """SHA-256 of a file; empty without one."""
    return hashlib.sha256(Path(name).read_bytes()).hexdigest() if name else ""


def selections_of(step: OrbitStep) -> dict[str, Selection]:
    """The selections of a step, those by name and the boxes."""
    boxes: dict[str, Selection] = {name: Box(limits) for name, limits in step.box.items()}
    return chosen_selections(step.settings.preset, step.select, boxes)
