"""Label priors: by default the density the model was trained on, else what the run file says.

The default is written as one conditional distribution per label, in the order ``ORDER``: Teff and
[Fe/H] uniform over the trained range, log g uniform above the coolest giants of that Teff, vmic
about the usual relation, C and N wider at low metallicity, alpha elements about the trend with a
common part. Edges are logistic, a hundredth of the range wide, so that a posterior near an edge
stays smooth and a sampler never meets a wall; labels beyond the edge are flagged in the catalogue.
"""

import json
from typing import Annotated, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Float
from numpyro.distributions import constraints
from numpyro.distributions.transforms import biject_to
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from bayes_ddp.emulator.density import usual_vmic
from bayes_ddp.labels import LabelSpace

__all__ = ["PRIORS", "Fixed", "LabelPrior", "Normal", "SoftUniform", "TruncatedNormal", "Uniform"]

_STRICT = ConfigDict(extra="forbid")
_EDGE = 0.01
_TURN_FEH = 0.25
"""dex over which the density's steps in [Fe/H] are spread: a step would bend the log prior more
than a noisy spectrum can outweigh."""
_KNEE = 0.1


class SoftUniform(dist.Distribution):
    """Uniform between ``low`` and ``high`` plus logistic noise of scale ``width``."""

    arg_constraints: ClassVar = {
        "low": constraints.real,
        "high": constraints.real,
        "width": constraints.positive,
    }
    support = constraints.real
    reparametrized_params: ClassVar = ["low", "high", "width"]

    def __init__(self, low: Any, high: Any, width: Any, *, validate_args: Any = None) -> None:
        self.low, self.high, self.width = jnp.asarray(low), jnp.asarray(high), jnp.asarray(width)
        shape = jnp.broadcast_shapes(self.low.shape, self.high.shape, self.width.shape)
        super().__init__(batch_shape=shape, validate_args=validate_args)

    def log_prob(self, value: Any, intermediates: Any = None) -> Any:
        """Log density; integrates to one exactly."""
        span = (self.high - self.low) / self.width
        inside = jax.nn.log_sigmoid((value - self.low) / self.width)
        inside = inside + jax.nn.log_sigmoid((self.high - value) / self.width)
        return inside + jnp.log1p(-jnp.exp(-span)) - jnp.log(self.high - self.low)

    def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Any:
        """Draws: a uniform number plus a logistic one."""
        uniform, logistic = jax.random.split(key)
        shape = sample_shape + self.batch_shape
        place = jax.random.uniform(uniform, shape) * (self.high - self.low) + self.low
        return place + self.width * jax.random.logistic(logistic, shape)

    @property
    def mean(self) -> Any:
        """Centre of the range."""
        return jnp.broadcast_to(0.5 * (self.low + self.high), self.batch_shape)

    @property
    def variance(self) -> Any:
        """Variance of the sum."""
        spread = (self.high - self.low) ** 2 / 12 + (jnp.pi * self.width) ** 2 / 3
        return jnp.broadcast_to(spread, self.batch_shape)


Finite = Annotated[float, Field(allow_inf_nan=False)]


def _check_walls(low: float, high: float) -> None:
    if not low < high:
        raise ValueError(f"low = {low} is not below high = {high}: a prior needs room between")


@dataclass(frozen=True, config=_STRICT)
class Uniform:
    """``kind = "uniform"``: flat between two walls."""

    low: Finite
    high: Finite
    kind: Literal["uniform"] = "uniform"

    def __post_init__(self) -> None:
        _check_walls(self.low, self.high)

    def distribution(self) -> dist.Distribution:
        """The NumPyro distribution."""
        return dist.Uniform(self.low, self.high)


@dataclass(frozen=True, config=_STRICT)
class Normal:
    """``kind = "normal"``."""

    mean: Finite
    sd: Annotated[Finite, Field(gt=0)]
    kind: Literal["normal"] = "normal"

    def distribution(self) -> dist.Distribution:
        """The NumPyro distribution."""
        return dist.Normal(self.mean, self.sd)


@dataclass(frozen=True, config=_STRICT)
class TruncatedNormal:
    """``kind = "truncated_normal"``: a normal between two walls."""

    mean: Finite
    sd: Annotated[Finite, Field(gt=0)]
    low: Finite
    high: Finite
    kind: Literal["truncated_normal"] = "truncated_normal"

    def __post_init__(self) -> None:
        _check_walls(self.low, self.high)

    def distribution(self) -> dist.Distribution:
        """The NumPyro distribution."""
        return dist.TruncatedNormal(self.mean, self.sd, low=self.low, high=self.high)


@dataclass(frozen=True, config=_STRICT)
class Fixed:
    """``kind = "fixed"``: the label is not fitted."""

    value: Finite
    kind: Literal["fixed"] = "fixed"


PRIORS = {
    "uniform": Uniform,
    "normal": Normal,
    "truncated_normal": TruncatedNormal,
    "fixed": Fixed,
}
"""Kinds of a [prior.LABEL] table; without one, the model card's density holds."""

Choice = Uniform | Normal | TruncatedNormal | Fixed


def _soft(low: Any, high: Any, span: float) -> SoftUniform:
    return SoftUniform(low, high, _EDGE * span)


class LabelPrior:
    """The joint prior of all labels of a model.

    space : the model's labels. density : the card's [density] table. chosen : label -> a prior
    from the run file, which replaces the default of that label alone.
    """

    def __init__(
        self, space: LabelSpace, density: dict[str, Any], chosen: dict[str, Choice] | None = None
    ) -> None:
        self.space, self.density, self.chosen = space, density, dict(chosen or {})
        for name in self.chosen:
            space.index(name)
        first = [n for n in ("teff", "feh", "logg", "vmic") if n in space.names]
        self.order = tuple(first + [n for n in space.names if n not in first])
        self.fixed = {n: c.value for n, c in self.chosen.items() if isinstance(c, Fixed)}
        self.free = tuple(n for n in space.names if n not in self.fixed)
        self._alpha = self._alpha_regression()
        self._key = (
            space.names,
            space.low,
            space.high,
            json.dumps(density, sort_keys=True),
            tuple(sorted(self.chosen.items())),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LabelPrior) and self._key == other._key

    def __hash__(self) -> int:  # equal priors share compiled code
        return hash(self._key)

    def _alpha_regression(self) -> dict[str, tuple[tuple[str, ...], np.ndarray, float]]:
        """Element -> (earlier alpha elements, regression on their residuals, conditional sd)."""
        share, half = self.density["alpha_share"], self.density["half_width"]
        names = [n for n in self.order if n in share]
        scale = np.array([share[n] for n in names])
        own = np.array([half[n] for n in names]) / np.sqrt(3)
        common = self.density["alpha_half_width"] / np.sqrt(3)
        covariance = common**2 * np.outer(scale, scale) + np.diag(own**2)
        result = {}
        for i, name in enumerate(names):
            slope = np.linalg.solve(covariance[:i, :i], covariance[:i, i]) if i else np.zeros(0)
            sd = np.sqrt(covariance[i, i] - slope @ covariance[:i, i])
            result[name] = (tuple(names[:i]), slope, float(sd))
        return result

    def _trend(self, name: str, feh: Any) -> Any:
        """Mean of an alpha element at this [Fe/H]."""
        (low, high), (start, end) = self.density["alpha_feh"], self.density["alpha"]
        bend = jax.nn.softplus((feh - low) / _KNEE) - jax.nn.softplus((feh - high) / _KNEE)
        trend = start + (end - start) / (high - low) * _KNEE * bend
        return self.density["alpha_share"][name] * trend

    def conditional(self, name: str, given: dict[str, Any]) -> dist.Distribution:
        """Distribution of one label given those before it in ``order``."""
        choice = self.chosen.get(name)
        if choice is not None:
            if isinstance(choice, Fixed):
                return dist.Delta(jnp.asarray(choice.value, float))
            return choice.distribution()
        i = self.space.index(name)
        low, high = self.space.low[i], self.space.high[i]
        if name in ("teff", "feh"):
            return _soft(low, high, high - low)
        if name == "logg":
            return self._logg(given["teff"], high, high - low)
        if name == "vmic":
            half = self.density["vmic_half_width"]
            return dist.Normal(
                usual_vmic(given["teff"], given["logg"], self.density, xp=jnp), half / np.sqrt(3)
            )
        if name in self._alpha:
            before, slope, sd = self._alpha[name]
            mean = self._trend(name, given["feh"])
            for other, weight in zip(before, slope, strict=True):
                mean = mean + weight * (given[other] - self._trend(other, given["feh"]))
            return dist.Normal(mean, sd)
        if name in ("c_fe", "n_fe"):
            return self._light(name, given)
        table = self.density
        below = jax.nn.sigmoid((table["offset_below_feh"] - given["feh"]) / _TURN_FEH)
        mean = table["offset"].get(name, 0.0) * below
        return dist.Normal(mean, table["half_width"][name] / np.sqrt(3))

    def _logg(self, teff: Any, high: float, span: float) -> SoftUniform:
        """Uniform above the coolest giants; the cuts that reach the top lower it there."""
        table = self.density
        knots = jnp.array(table["lowest_logg_teff"]), jnp.array(table["lowest_logg"])
        highest = jnp.asarray(high)
        for first, last, bottom, top in table["cuts"]:
            if top >= high:
                inside = jax.nn.sigmoid((teff - first) / 50.0)
                if last < table["teff"][1]:
                    inside = inside * jax.nn.sigmoid((last - teff) / 50.0)
                highest = highest - (high - bottom) * inside
        lowest = jnp.maximum(jnp.interp(teff, *knots), table["logg"][0])
        return _soft(lowest, highest, span)

    def _light(self, name: str, given: dict[str, Any]) -> dist.Normal:
        """C or N: a normal with the moments of usual and carbon-rich stars together."""
        table = self.density
        half, (low, high) = table["half_width"][name], table[f"carbon_{name}"]
        share = table["carbon_fraction"] * jax.nn.sigmoid(
            (table["carbon_feh"] - given["feh"]) / _TURN_FEH
        )
        centre, usual = 0.5 * (low + high), jnp.zeros(())
        spread = half**2 / 3
        if name == "n_fe":
            boost = table["nitrogen_giant_boost"]
            giant = jax.nn.sigmoid((table["nitrogen_giant_logg"] - given["logg"]) / 0.1)
            usual, spread = 0.5 * boost * giant, spread + boost**2 / 12 * giant
        mean = (1 - share) * usual + share * centre
        variance = (1 - share) * (spread + usual**2)
        variance = variance + share * ((high - low) ** 2 / 12 + centre**2) - mean**2
        return dist.Normal(mean, jnp.sqrt(variance))

    def log_prob(self, labels: Float[Array, " label"]) -> Float[Array, ""]:
        """Log density at [label]; fixed labels contribute nothing."""
        given = {n: labels[self.space.index(n)] for n in self.order}
        return sum(
            (self.conditional(n, given).log_prob(given[n]) for n in self.order if n in self.free),
            start=jnp.zeros(()),
        )

    def sample(self, key: Array) -> Float[Array, " label"]:
        """One draw, [label] in the order of the space."""
        given: dict[str, Any] = {}
        for name, part in zip(self.order, jax.random.split(key, len(self.order)), strict=True):
            given[name] = self.conditional(name, given).sample(part)
        return jnp.stack([given[n] for n in self.space.names])

    def moments(self, labels: Float[Array, " label"]) -> tuple[Array, Array]:
        """Prior mean [label] and covariance [label label] at this star's Teff, log g and [Fe/H].

        Those three themselves have their marginal mean and variance. A fixed label has variance 0.
        """
        given = {n: labels[self.space.index(n)] for n in self.order}
        for name in self._alpha:
            given[name] = self._trend(name, given["feh"])
        laws = [self.conditional(name, given) for name in self.space.names]
        covariance = jnp.diag(jnp.stack([law.variance for law in laws]))
        table, common = self.density, self.density["alpha_half_width"]
        together = [name for name in self._alpha if name not in self.chosen]
        for name in together:
            for other in together:
                shared = common**2 * table["alpha_share"][name] * table["alpha_share"][other]
                own = table["half_width"][name] ** 2 if name == other else 0.0
                place = self.space.index(name), self.space.index(other)
                covariance = covariance.at[place].set((shared + own) / 3)
        return jnp.stack([law.mean for law in laws]), covariance

    def constrain(self, free: Float[Array, " free"]) -> Float[Array, " label"]:
        """All labels from unconstrained values of the free ones (the identity without walls)."""
        values = dict(self.fixed)
        for name, z in zip(self.free, free, strict=True):
            values[name] = self._bijection(name)(z)
        return jnp.stack([jnp.asarray(values[n], free.dtype) for n in self.space.names])

    def unconstrain(self, labels: Float[Array, " label"]) -> Float[Array, " free"]:
        """The inverse of ``constrain`` for labels inside their walls."""
        return jnp.stack(
            [self._bijection(n)._inverse(labels[self.space.index(n)]) for n in self.free]
        )

    def _bijection(self, name: str) -> Any:
        choice = self.chosen.get(name)
        if choice is None or isinstance(choice, Fixed):
            return biject_to(constraints.real)
        return biject_to(choice.distribution().support)

    def log_prob_free(self, free: Float[Array, " free"]) -> Float[Array, ""]:
        """Log density of the unconstrained values, with the Jacobian of the walls."""
        jacobian = jnp.zeros(())
        for name, z in zip(self.free, free, strict=True):
            bijection = self._bijection(name)
            jacobian = jacobian + bijection.log_abs_det_jacobian(z, bijection(z))
        return self.log_prob(self.constrain(free)) + jacobian

    def inside(self, labels: Float[Array, " label"]) -> Float[Array, " label"]:
        """Labels moved a hair inside the walls of the run file, so that a start is legal."""
        moved = []
        for i, name in enumerate(self.space.names):
            choice, value = self.chosen.get(name), labels[i]
            if isinstance(choice, Uniform | TruncatedNormal):
                margin = 0.02 * (choice.high - choice.low)
                value = jnp.clip(value, choice.low + margin, choice.high - margin)
            elif isinstance(choice, Fixed):
                value = jnp.asarray(choice.value, labels.dtype)
            moved.append(value)
        return jnp.stack(moved)
