"""Selections of stars by orbits and abundances, evaluated draw by draw.

The result is posterior mass: the share of a star's posterior that satisfies the selection, under
the priors of labels and distance that the posterior was made with. It is no probability of
membership in a population before these priors are replaced by the populations' own densities.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np

from bayes_ddp.files.errors import did_you_mean

__all__ = ["SELECTIONS", "Box", "Gaussian", "Mixture", "Selection", "posterior_mass", "selection"]

Draws = Mapping[str, np.ndarray]
"""Column -> [draw star], or [star] where the value has no draws."""


@final
@dataclass(frozen=True)
class Box:
    """Intervals that all have to contain their column.

    limits : column -> (low, high), exclusive; infinite where open. preset : the only preset with
    which the limits may be used, empty where any may. source : paper and equation.
    """

    limits: Mapping[str, tuple[float, float]]
    preset: str = ""
    source: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that are needed."""
        return tuple(self.limits)

    def share(self, columns: Sequence[np.ndarray]) -> np.ndarray:
        """[draw star], 1 inside and 0 outside, of the columns in order."""
        ends = self.limits.values()
        inside = [(x > low) & (x < high) for x, (low, high) in zip(columns, ends, strict=True)]
        return np.all(np.broadcast_arrays(*inside), axis=0).astype(float)


@final
@dataclass(frozen=True)
class Gaussian:
    """One component of a mixture: its weight, mean [column] and covariance [column column]."""

    weight: float
    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        size = len(self.mean)
        covariance = np.array(self.covariance, float)
        if covariance.shape != (size, size) or not np.allclose(covariance, covariance.T):
            raise ValueError(
                f"A Gaussian of {size} columns needs a symmetric covariance of {size} x {size}."
            )
        if self.weight <= 0 or np.linalg.eigvalsh(covariance).min() <= 0:
            raise ValueError("The weight and the covariance of a Gaussian have to be positive.")

    def density(self, columns: np.ndarray) -> np.ndarray:
        """[draw star], weight times density at columns [column draw star]."""
        chol = np.linalg.cholesky(np.array(self.covariance, float))
        offset = columns - np.array(self.mean)[:, None, None]
        white = np.linalg.solve(chol, offset.reshape(len(self.mean), -1))
        norm = np.log(np.diag(chol)).sum() + 0.5 * len(self.mean) * np.log(2 * np.pi)
        value = self.weight * np.exp(-0.5 * (white**2).sum(axis=0) - norm)
        return value.reshape(columns.shape[1:])


@final
@dataclass(frozen=True)
class Mixture:
    """The share of one Gaussian mixture in the sum of two.

    columns : what the Gaussians are in. members, others : of the population, and of the rest.
    """

    columns: tuple[str, ...]
    members: tuple[Gaussian, ...]
    others: tuple[Gaussian, ...]
    preset: str = ""
    source: str = ""
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict, init=False)

    def share(self, columns: Sequence[np.ndarray]) -> np.ndarray:
        """[draw star], members / (members + others), of the columns in order."""
        place = np.stack(np.broadcast_arrays(*columns))
        members, others = (
            sum((part.density(place) for part in group), np.zeros(place.shape[1:]))
            for group in (self.members, self.others)
        )
        total = members + others
        return np.where(total > 0, members / np.where(total > 0, total, 1.0), 0.0)


Selection = Box | Mixture

_ANY = float("inf")
SELECTIONS: dict[str, Selection] = {
    "ges": Box(
        {"j_phi": (-700.0, 500.0), "ecc": (0.9, _ANY)}, "galpy2014", "Eq. 7 of the DD-Payne paper"
    ),
    "ges_sgra": Box(
        {"j_phi": (-600.0, 600.0), "ecc": (0.9, _ANY)}, "sgrA", "Eq. 7 with a symmetric window"
    ),
    "ges_actions": Box(
        {"j_phi": (-500.0, 500.0), "j_r": (900.0, 2500.0)}, source="Feuillet et al. (2020)"
    ),
    "ges_chemistry": Box(
        {"ecc": (0.7, _ANY), "feh": (-2.5, -0.7), "mg_fe": (-_ANY, 0.3)},
        source="e > 0.7 of Naidu et al. (2020), [Fe/H] and [Mg/Fe] of the accreted sequence",
    ),
}
"""Selections by name."""


def selection(name: str, preset: str) -> Selection:
    """A selection by name; raises ValueError for unknown ones and for another preset's limits."""
    if name not in SELECTIONS:
        raise ValueError(
            f"'{name}' is no selection.{did_you_mean(name, SELECTIONS)} Selections: "
            f"{', '.join(SELECTIONS)}."
        )
    chosen = SELECTIONS[name]
    check_preset(name, chosen, preset)
    return chosen


def check_preset(name: str, chosen: Selection, preset: str) -> None:
    """Raise ValueError where a selection's limits are those of another preset."""
    if chosen.preset and chosen.preset != preset:
        raise ValueError(
            f"The limits of the selection '{name}' ({chosen.source}) hold for the preset "
            f"{chosen.preset}, and the orbits are of {preset}: the angular momentum of a star "
            "differs by tens of kpc km/s between them. Take another selection, or that preset."
        )


def posterior_mass(
    chosen: Selection, draws: Draws, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(mass, its Monte Carlo error), [star]: the share of the posterior in a selection.

    draws : the columns by name; ``unbound`` [draw star] where there is one: such draws have no
    eccentricity and are outside. weight : [draw star], sum 1.

    A draw with another unknown column is left out; NaN where none is left. The error is never
    below that of one draw in ``ess + 2``. Raises KeyError for a column that there is not.
    """
    missing = [name for name in chosen.columns if name not in draws]
    if missing:
        raise KeyError(
            f"The selection needs {', '.join(missing)}, which the draws do not have. They have: "
            f"{', '.join(draws)}."
        )
    columns = [np.broadcast_to(draws[name], weight.shape) for name in chosen.columns]
    known = np.all(np.isfinite(columns), axis=0)
    unbound = np.broadcast_to(draws.get("unbound", np.zeros(1)), weight.shape) == 1
    with np.errstate(invalid="ignore"):
        share = np.where(known, chosen.share(columns), 0.0)
    use = np.where(known | unbound, np.nan_to_num(weight), 0.0)
    total = use.sum(axis=0)
    use = use / np.where(total > 0, total, np.nan)
    mass = np.sum(use * share, axis=0)
    size = 1 / np.sum(use**2, axis=0)
    # where all draws agree their scatter is 0, but one more draw may differ
    safe = (mass * size + 1) / (size + 2)
    least = np.sqrt(safe * (1 - safe) / (size + 2))
    return mass, np.maximum(np.sqrt(np.sum((use * (share - mass)) ** 2, axis=0)), least)
