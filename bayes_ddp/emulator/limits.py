"""What a model's card says it knows of each label: the trained range, and its own error."""

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
    error : kind of star -> [label], how far the model's own error moves a label of a fit (see
        ``bayes_ddp.emulator.label_error``); empty where the card does not say.
    """

    space: LabelSpace
    error: Mapping[str, np.ndarray]

    def outside(self, labels: np.ndarray) -> np.ndarray:
        """[star label] bool, which labels [star label] lie outside the trained range."""
        return (labels < np.asarray(self.space.low)) | (labels > np.asarray(self.space.high))

    def label_error(self, labels: np.ndarray) -> np.ndarray:
        """[star label], the model's error in stars with these labels, in their units.

        Of the kinds of stars that a star belongs to, by [Fe/H] and by Teff, the worst counts.
        NaN where the star has no labels or the card does not say.
        """
        result = np.full(labels.shape, np.nan)
        for name, rows in star_groups(labels, self.space).items():
            if name in self.error:
                result[rows] = np.fmax(result[rows], self.error[name])
        return result


def model_limits(space: LabelSpace, card: Mapping[str, Any]) -> ModelLimits:
    """The ``ModelLimits`` of a card; its labels are those of ``space``, in their order."""
    table = card.get("validation", {}).get("label_error", {})
    if tuple(table.get("labels", ())) != tuple(space.names):
        return ModelLimits(space, {})
    error = {k: np.array(v, float) for k, v in table.items() if k.startswith(("feh_", "teff_"))}
    return ModelLimits(space, error)


def star_groups(labels: np.ndarray, space: LabelSpace) -> dict[str, np.ndarray]:
    """Name -> [star] bool of the kinds of stars that a card tells apart.

    labels : [star label], in the order of ``space``.
    """
    feh, teff = labels[:, space.index("feh")], labels[:, space.index("teff")]
    return {
        name: (feh >= least) & (feh < most)
        for name, (least, most) in zip(METALLICITY_NAMES, pairwise(METALLICITIES), strict=True)
    } | {"teff_below_4700": teff < 4700, "teff_above_4700": teff >= 4700}
