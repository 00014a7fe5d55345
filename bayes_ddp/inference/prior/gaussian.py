"""Gaussian approximation of the trained density, for the optimiser and the first proposal.

A uniform density has no curvature, so that a label which the spectrum does not constrain would
have no best fit and an infinite Laplace error. Each label except Teff, log g and [Fe/H] therefore
has a normal density here, with the mean and the variance of the trained one; the alpha elements
are jointly normal. Samplers of the exact posterior use the trained density itself.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Float

from bayes_ddp.emulator.density import usual_vmic
from bayes_ddp.inference.prior.density import TrainedDensity

__all__ = ["GaussianDensity"]

_TURN_FEH = 0.25
"""dex, width of transitions in [Fe/H]: at a sharp step the log prior would have a larger curvature
than the likelihood of a noisy spectrum."""


_CORE = ("teff", "feh", "logg")
"""Labels that keep their trained density."""


class GaussianDensity:
    """Conditional normal densities with the moments of a ``TrainedDensity``."""

    def __init__(self, density: TrainedDensity) -> None:
        self.density, self.table = density, density.table
        self._regression = self._regress()

    def conditional(self, name: str, values: Mapping[str, Any]) -> dist.Distribution:
        """Density of one label given those before it."""
        if name in _CORE:
            return self.density.conditional(name, values)
        if name in self._regression:
            before, slope, sd = self._regression[name]
            mean = self.density.trend(name, values["feh"])
            for other, weight in zip(before, slope, strict=True):
                mean = mean + weight * (values[other] - self.density.trend(other, values["feh"]))
            return dist.Normal(mean, sd)
        return dist.Normal(*self._separate(name, values))

    def log_prob(self, values: Mapping[str, Any], names: Sequence[str]) -> Any:
        """Ln density of the labels ``names`` at ``values``: the product of their conditionals."""
        total = self.density.log_prob(values, [name for name in names if name in _CORE])
        separate = [name for name in names if name not in (*_CORE, *self._regression)]
        if separate:
            each = [self._separate(name, values) for name in separate]
            mean, spread = (jnp.stack(column) for column in zip(*each, strict=True))
            at = jnp.stack([values[name] for name in separate])
            total = total + _log_normal((at - mean) / spread, spread)
        alpha = [name for name in names if name in self._regression]
        if alpha:
            every = self.density.alpha
            share = np.array([self.table["alpha_share"][name] for name in every])
            gap = jnp.stack([values[name] for name in every])
            gap = gap - share * self.density.common_trend(values["feh"])
            rows, sd = self._residuals([every.index(name) for name in alpha])
            total = total + _log_normal(rows @ gap, sd)
        return total

    def _residuals(self, chosen: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """(rows, sd): ``rows`` @ differences from the trend are independent unit normals."""
        rows, sd = np.eye(len(self.density.alpha)), np.ones(len(self.density.alpha))
        for i, (_, slope, own) in enumerate(self._regression.values()):
            rows[i, :i], sd[i] = -slope, own
        return (rows / sd[:, None])[chosen], sd[chosen]

    def _separate(self, name: str, values: Mapping[str, Any]) -> tuple[Array, Array]:
        """(mean, sd) of a label that is no alpha element."""
        if name == "vmic":
            middle = usual_vmic(values["teff"], values["logg"], self.table, xp=jnp)
            return middle, jnp.asarray(self.table["vmic_half_width"] / np.sqrt(3))
        if name in ("c_fe", "n_fe"):
            return self._light(name, values)
        below = jax.nn.sigmoid((self.table["offset_below_feh"] - values["feh"]) / _TURN_FEH)
        mean = self.table["offset"].get(name, 0.0) * below
        return mean, jnp.asarray(self.table["half_width"][name] / np.sqrt(3))

    def alpha_covariance(self, names: tuple[str, ...]) -> Float[np.ndarray, "alpha alpha"]:
        """Covariance of alpha elements at one [Fe/H], dex2: a common part and individual parts."""
        share = np.array([self.table["alpha_share"][n] for n in names])
        own = np.array([self.table["half_width"][n] for n in names])
        common = float(self.table["alpha_half_width"])
        return (common**2 * np.outer(share, share) + np.diag(own**2)) / 3

    def _regress(self) -> dict[str, tuple[tuple[str, ...], np.ndarray, float]]:
        """Element -> (earlier alpha elements, regression on their residuals, conditional sd)."""
        names = self.density.alpha
        covariance = self.alpha_covariance(names)
        result = {}
        for i, name in enumerate(names):
            slope = np.linalg.solve(covariance[:i, :i], covariance[:i, i]) if i else np.zeros(0)
            sd = np.sqrt(covariance[i, i] - slope @ covariance[:i, i])
            result[name] = (names[:i], slope, float(sd))
        return result

    def _light(self, name: str, values: Mapping[str, Array]) -> tuple[Array, Array]:
        """(mean, sd) of C or N: those of the mixture of normal and carbon-rich stars."""
        table = self.table
        half, (low, high) = table["half_width"][name], table[f"carbon_{name}"]
        share = table["carbon_fraction"] * jax.nn.sigmoid(
            (table["carbon_feh"] - values["feh"]) / _TURN_FEH
        )
        centre, usual = 0.5 * (low + high), jnp.zeros(())
        spread = half**2 / 3
        if name == "n_fe":
            boost = table["nitrogen_giant_boost"]
            giant = jax.nn.sigmoid((table["nitrogen_giant_logg"] - values["logg"]) / 0.1)
            usual, spread = 0.5 * boost * giant, spread + boost**2 / 12 * giant
        mean = (1 - share) * usual + share * centre
        variance = (1 - share) * (spread + usual**2)
        variance = variance + share * ((high - low) ** 2 / 12 + centre**2) - mean**2
        return mean, jnp.sqrt(variance)


def _log_normal(z: Array, sd: Array | np.ndarray) -> Array:
    """Ln density of independent normals: ``z`` are differences from the means in units of sd."""
    total: Array = -0.5 * jnp.sum(z**2 + np.log(2 * np.pi)) - jnp.sum(jnp.log(sd))
    return total
