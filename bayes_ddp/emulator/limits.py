"""Trained range of each label and the label error of a model, from its card."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from bayes_ddp.labels import LabelSpace

__all__ = ["METALLICITIES", "METALLICITY_NAMES", "ModelLimits", "model_limits", "star_groups"]

METALLICITIES = (-9.0, -2.0, -1.0, 0.0, 9.0)
METALLICITY_NAMES = ("feh_below_-2", "feh_-2_to_-1", "feh_-1_to_0", "feh_above_0")


@dataclass(frozen=True)
class ModelLimits:
    """Trained range and error of the labels of a model.

    space : the labels and their ranges.
    error : group of stars -> [label], label error of a fit due to the error of the model (see
        ``bayes_ddp.emulator.label_error``), in label units; empty if the card has none.
    """

    space: LabelSpace
    error: Mapping[str, np.ndarray]

    def outside(self, labels: np.ndarray) -> np.ndarray:
        """[star label] bool, whether each of ``labels`` [star label] is outside the range."""
        return (labels < np.asarray(self.space.low)) | (labels > np.asarray(self.space.high))

    def label_error(self, labels: np.ndarray) -> np.ndarray:
        """[star label], label error of stars with these labels [star label], in their units.

        A star belongs to one group by [Fe/H] and one by Teff, of which the larger error is
        returned. It is NaN for a star without labels or if the card has no error.
        """
        result = np.full(labels.shape, np.nan)
        for name, rows in star_groups(labels, self.space).items():
            if name in self.error:
                result[rows] = np.fmax(result[rows], self.error[name])
        return result


def model_limits(space: LabelSpace, card: Mapping[str, Any]) -> ModelLimits:
    """The ``ModelLimits`` of a card; without errors if its labels are not ``space.names``."""
    table = card.get("validation", {}).get("label_error", {})
    if tuple(table.get("labels", ())) != tuple(space.names):
        return ModelLimits(space, {})
    error = {k: np.array(v, float) for k, v in table.items() if k.startswith(("feh_", "teff_"))}
    return ModelLimits(space, error)


def star_groups(labels: np.ndarray, space: LabelSpace) -> dict[str, np.ndarray]:
    """Name -> [star] bool, membership in the groups of stars of a card.

    labels : [star label], in the order of ``space``.
    """
    feh, teff = labels[:, space.index("feh")], labels[:, space.index("teff")]
    return {
        name: (feh >= least) & (feh < most)
        for name, (least, most) in zip(METALLICITY_NAMES, pairwise(METALLICITIES), strict=True)
    } | {"teff_below_4700": teff < 4700, "teff_above_4700": teff >= 4700}
