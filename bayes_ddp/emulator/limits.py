"""Trained range, error and spread of each label of a model.

The error has two parts: that of the network, from cross-validation, and the mismatch of its
physics to real stars, measured on them (``bayes-ddp mismatch``). The spread is that of the label
among stars: an error that exceeds it leaves no information.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from bayes_ddp.labels import LabelSpace

__all__ = [
    "METALLICITIES",
    "METALLICITY_NAMES",
    "SPREAD",
    "ModelLimits",
    "group_rows",
    "label_spread",
    "model_limits",
    "star_groups",
]

METALLICITIES = (-9.0, -2.0, -1.0, 0.0, 9.0)
METALLICITY_NAMES = ("feh_below_-2", "feh_-2_to_-1", "feh_-1_to_0", "feh_above_0")
_TEMPERATURE_NAMES = ("teff_below_4700", "teff_above_4700")


SPREAD: Mapping[str, tuple[float, float, float, float]] = {
    "c_fe": (0.60, 0.13, 0.13, 0.13),
    "n_fe": (0.17, 0.16, 0.12, 0.12),
    "o_fe": (0.15, 0.15, 0.15, 0.15),
    "mg_fe": (0.12, 0.12, 0.12, 0.12),
    "al_fe": (0.21, 0.22, 0.21, 0.21),
    "si_fe": (0.10, 0.10, 0.10, 0.10),
    "ca_fe": (0.09, 0.09, 0.09, 0.09),
    "ti_fe": (0.09, 0.09, 0.09, 0.09),
    "cr_fe": (0.04, 0.04, 0.04, 0.04),
    "mn_fe": (0.13, 0.13, 0.13, 0.13),
    "ni_fe": (0.05, 0.06, 0.05, 0.05),
}
"""dex, standard deviation of [X/Fe] among stars, for each range of ``METALLICITIES``.

Of the mock Galaxy as DESI selects it (docs/mock.md): that of all its stars or of those with a
similar [Fe/H], whichever is larger. The labels of ``LABELS`` that are not here differ between
stars by more than any error of a fit.
"""


@dataclass(frozen=True)
class ModelLimits:
    """Trained range and error of the labels of a model.

    space : the labels and their ranges.
    error : group of stars -> [label], label error of a fit due to the error of the network (see
        ``bayes_ddp.emulator.label_error``), in label units; empty if the card has none.
    mismatch : group of stars, or ``all``, -> [label], standard deviation of labels of real stars
        that is due to the physics (see ``bayes_ddp.inference.sandwich``); empty where it has not
        been measured.
    """

    space: LabelSpace
    error: Mapping[str, np.ndarray]
    mismatch: Mapping[str, np.ndarray]

    def outside(self, labels: np.ndarray) -> np.ndarray:
        """[star label] bool, whether each of ``labels`` [star label] is outside the range."""
        return (labels < np.asarray(self.space.low)) | (labels > np.asarray(self.space.high))

    def label_error(self, labels: np.ndarray) -> np.ndarray:
        """[star label], label error of stars with these labels [star label], in their units.

        The errors of network and physics are added in quadrature; an unknown one counts as 0. A
        star belongs to one group by [Fe/H] and one by Teff, of which the larger error is returned.
        It is NaN for a star without labels or if the card has neither.
        """
        network, physics = (self._worst(labels, table) for table in (self.error, self.mismatch))
        if "all" in self.mismatch:
            known = np.isfinite(labels).all(axis=1)[:, None]
            physics = np.where(np.isnan(physics) & known, self.mismatch["all"], physics)
        both = np.hypot(np.nan_to_num(network), np.nan_to_num(physics))
        return np.where(np.isnan(network) & np.isnan(physics), np.nan, both)

    def _worst(self, labels: np.ndarray, table: Mapping[str, np.ndarray]) -> np.ndarray:
        """[star label] of the kinds of stars in a table; NaN where none fits."""
        result = np.full(labels.shape, np.nan)
        for name, rows in star_groups(labels, self.space).items():
            if name in table:
                result[rows] = np.fmax(result[rows], table[name])
        return result


def model_limits(space: LabelSpace, card: Mapping[str, Any]) -> ModelLimits:
    """The ``ModelLimits`` of a card; its labels are those of ``space``, in their order."""
    network = card.get("validation", {}).get("label_error", {})
    physics = card.get("mismatch", {}).get("label_error", {})
    return ModelLimits(
        space,
        {k: v for k, v in _by_kind(network, space).items() if k != "all"},
        _by_kind(physics, space),
    )


def _by_kind(table: Mapping[str, Any], space: LabelSpace) -> dict[str, np.ndarray]:
    """Kind of star -> [label] of a table of a card; empty where its labels are others."""
    if tuple(table.get("labels", ())) != tuple(space.names):
        return {}
    kinds = ("all", *METALLICITY_NAMES, *_TEMPERATURE_NAMES)
    return {kind: np.array(table[kind], float) for kind in kinds if kind in table}


def label_spread(names: tuple[str, ...], feh: np.ndarray) -> np.ndarray:
    """[star label], ``SPREAD`` at the stars' [Fe/H]; inf for labels without a row there.

    feh : [star], dex.
    """
    at = np.clip(np.digitize(feh, METALLICITIES[1:-1]), 0, len(METALLICITY_NAMES) - 1)
    unlimited = (np.inf,) * len(METALLICITY_NAMES)
    return np.array([SPREAD.get(name, unlimited) for name in names])[:, at].T


def star_groups(labels: np.ndarray, space: LabelSpace) -> dict[str, np.ndarray]:
    """Name -> [star] bool, membership in the groups of stars of a card.

    labels : [star label], in the order of ``space``.
    """
    feh, teff = labels[:, space.index("feh")], labels[:, space.index("teff")]
    return {
        name: (feh >= least) & (feh < most)
        for name, (least, most) in zip(METALLICITY_NAMES, pairwise(METALLICITIES), strict=True)
    } | dict(zip(_TEMPERATURE_NAMES, (teff < 4700, teff >= 4700), strict=True))


def group_rows(labels: np.ndarray, space: LabelSpace, *, least: int) -> dict[str, np.ndarray]:
    """``star_groups`` with at least this many stars, after ``all`` of them."""
    groups = {"all": np.ones(len(labels), bool)} | star_groups(labels, space)
    return {name: rows for name, rows in groups.items() if rows.sum() >= least}
