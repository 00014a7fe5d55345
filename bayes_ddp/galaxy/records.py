"""Draws of distances and orbits, aligned with the draws of the labels that they come from.

NumPy only. The draw axis is that of the label posterior: draw i of a distance belongs to draw i of
the star's labels, so that correlations between labels, distance and orbit are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bayes_ddp.inference.weights import normalised_weight, weighted_quantiles

__all__ = ["DistancePosterior", "OrbitPosterior", "join_distances", "join_orbits"]


@dataclass(frozen=True, repr=False)
class _Draws:
    """The fields and methods that both records share.

    ids : [star] identifiers.
    log_weight : [draw star], -inf for draws of weight 0.
    quantities : name -> [draw star].
    warn : [star] int64, bits of ``WARN``.
    """

    ids: np.ndarray
    log_weight: np.ndarray
    quantities: dict[str, np.ndarray]
    warn: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        kind = type(self).__name__
        return f"<{kind} of {len(self)} stars: {len(self.log_weight)} draws of {self.names}>"

    def __getitem__(self, name: str) -> np.ndarray:
        """[draw star] of one quantity; raises KeyError that lists the quantities there are."""
        if name not in self.quantities:
            raise KeyError(f"'{name}' is not a quantity of this record. Quantities: {self.names}.")
        return self.quantities[name]

    @property
    def names(self) -> list[str]:
        """Names of the quantities."""
        return list(self.quantities)

    @property
    def weight(self) -> np.ndarray:
        """[draw star], weights that sum to 1 for each star; NaN for stars without draws."""
        return normalised_weight(self.log_weight)

    @property
    def ess(self) -> np.ndarray:
        """[star], effective number of draws, 1 / sum of squared weights."""
        size: np.ndarray = 1 / np.sum(self.weight**2, axis=0)
        return size

    def quantiles(self, name: str, levels: Sequence[float] | np.ndarray) -> np.ndarray:
        """[level star], weighted quantiles of one quantity over its finite draws."""
        values, weight = self[name], self.weight
        result = np.full((len(levels), len(self)), np.nan)
        for star in range(len(self)):
            use = np.isfinite(values[:, star]) & (weight[:, star] > 0)
            if use.any():
                result[:, star] = weighted_quantiles(
                    values[use, star, None], weight[use, star], levels
                )[:, 0]
        return result


@dataclass(frozen=True, repr=False)
class DistancePosterior(_Draws):
    """Joint draws of labels, distance and extinction.

    Quantities: ``dist`` (kpc), ``ebv`` (mag), ``vrad`` (km/s, absolute, of the spectrum; NaN where
    there is none), absolute magnitudes ``m_g``, ``m_ks``, ``mass`` (solar), ``age`` (Gyr).

    labels : [draw star label], in the order of ``label_names``; those that the weights belong to.
    diagnostics : name -> [star].
    """

    labels: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0)))
    label_names: tuple[str, ...] = ()
    diagnostics: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, repr=False)
class OrbitPosterior(_Draws):
    """Draws of orbits, with the weights of the distance draws they come from.

    Quantities: ``j_r j_phi j_z`` (kpc km/s), ``energy`` (km2/s2), ``ecc``, ``r_peri r_apo z_max
    r_guide`` and Galactocentric ``x y z`` (kpc), ``v_x v_y v_z`` (km/s), ``unbound`` (0 or 1).
    """

    diagnostics: dict[str, np.ndarray] = field(default_factory=dict)


def join_distances(records: Sequence[DistancePosterior]) -> DistancePosterior:
    """One record of the stars of several, which share draws, quantities and labels."""
    first = records[0]
    return replace(
        first,
        labels=np.concatenate([record.labels for record in records], axis=1),
        **_together(records),
    )


def join_orbits(records: Sequence[OrbitPosterior]) -> OrbitPosterior:
    """One record of the stars of several, which share draws and quantities."""
    return replace(records[0], **_together(records))


def _together(records: Sequence[DistancePosterior] | Sequence[OrbitPosterior]) -> dict[str, Any]:
    first = records[0]
    return {
        "ids": np.concatenate([record.ids for record in records]),
        "log_weight": np.concatenate([record.log_weight for record in records], axis=1),
        "warn": np.concatenate([record.warn for record in records]),
        "quantities": {
            name: np.concatenate([record[name] for record in records], axis=1)
            for name in first.names
        },
        "diagnostics": {
            name: np.concatenate([record.diagnostics[name] for record in records])
            for name in first.diagnostics
        },
    }
