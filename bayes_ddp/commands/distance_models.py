"""The models of magnitudes of `bayes-ddp distance`, and the point estimate of the paper."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bayes_ddp.galaxy.calibration_file import load_calibration
from bayes_ddp.galaxy.distance_settings import DistanceSettings
from bayes_ddp.galaxy.distances import distances_of
from bayes_ddp.galaxy.label_draws import LabelDraws
from bayes_ddp.galaxy.photometry import Photometry
from bayes_ddp.galaxy.records import DistancePosterior
from bayes_ddp.galaxy.weighted_mean import weighted_mean

__all__ = ["DistanceModel"]

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class DistanceModel:
    """How distances follow from labels and photometry.

    calibration : file of `bayes-ddp calibrate` with empirical magnitudes; None for stellar
    evolution. offsets : such a file whose band zero points stellar evolution gets. mean : the
    weighted mean of the paper instead of the joint posterior.

    Raises ValueError if both files are given.
    """

    calibration: Path | None = None
    offsets: Path | None = None
    mean: bool = False

    def __post_init__(self) -> None:
        if self.calibration and self.offsets:
            raise ValueError(
                "--calibration and --offsets exclude each other: empirical magnitudes include "
                "the zero points. Leave one of them out."
            )

    def settings(self, settings: DistanceSettings) -> DistanceSettings:
        """The settings with the zero points of ``offsets``."""
        if self.offsets is None:
            return settings
        return replace(settings, offsets=load_calibration(self.offsets).offsets)

    def distances(
        self,
        labels: LabelDraws,
        photometry: Photometry,
        settings: DistanceSettings,
        *,
        progress: Progress | None = None,
    ) -> DistancePosterior:
        """The distances; raises BadFileError for a file that is no calibration."""
        calibration = load_calibration(self.calibration) if self.calibration else None
        compute = weighted_mean if self.mean else distances_of
        return compute(labels, photometry, settings, calibration=calibration, progress=progress)

    def cards(self) -> dict[str, Any]:
        """Cards of the header."""
        magnitudes = self.calibration.name if self.calibration else "stellar evolution"
        method = "weighted mean" if self.mean else "joint posterior"
        return {"DMAGS": magnitudes, "DMETHOD": method}
