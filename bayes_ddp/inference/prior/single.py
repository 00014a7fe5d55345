"""Priors of one label in the run file; each replaces the default prior of that label only."""

from typing import Annotated, Literal

import numpyro.distributions as dist
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

__all__ = ["PRIORS", "Choice", "Fixed", "Normal", "TruncatedNormal", "Uniform"]

_STRICT = ConfigDict(extra="forbid")
Finite = Annotated[float, Field(allow_inf_nan=False)]


def _check_bounds(low: float, high: float) -> None:
    if not low < high:
        raise ValueError(f"low = {low} is not below high = {high}: a prior needs low < high")


@dataclass(frozen=True, config=_STRICT)
class Uniform:
    """``kind = "uniform"``: constant between two bounds, in the label's unit.

    Raises ValueError unless low < high.
    """

    low: Finite
    high: Finite
    kind: Literal["uniform"] = "uniform"

    def __post_init__(self) -> None:
        _check_bounds(self.low, self.high)

    def distribution(self) -> dist.Distribution:
        """The NumPyro distribution."""
        return dist.Uniform(self.low, self.high)


@dataclass(frozen=True, config=_STRICT)
class Normal:
    """``kind = "normal"``: a normal density; mean and sd in the label's unit."""

    mean: Finite
    sd: Annotated[Finite, Field(gt=0)]
    kind: Literal["normal"] = "normal"

    def distribution(self) -> dist.Distribution:
        """The NumPyro distribution."""
        return dist.Normal(self.mean, self.sd)


@dataclass(frozen=True, config=_STRICT)
class TruncatedNormal:
    """``kind = "truncated_normal"``: a normal between two bounds, in the label's unit.

    Raises ValueError unless low < high.
    """

    mean: Finite
    sd: Annotated[Finite, Field(gt=0)]
    low: Finite
    high: Finite
    kind: Literal["truncated_normal"] = "truncated_normal"

    def __post_init__(self) -> None:
        _check_bounds(self.low, self.high)

    def distribution(self) -> dist.Distribution:
        """The NumPyro distribution."""
        return dist.TruncatedNormal(self.mean, self.sd, low=self.low, high=self.high)


@dataclass(frozen=True, config=_STRICT)
class Fixed:
    """``kind = "fixed"``: the label is not fitted and has this value, in its unit."""

    value: Finite
    kind: Literal["fixed"] = "fixed"


PRIORS = {
    "uniform": Uniform,
    "normal": Normal,
    "truncated_normal": TruncatedNormal,
    "fixed": Fixed,
}
"""``kind`` of a table [prior.LABEL] -> class; the default is the density of the model's card."""

Choice = Uniform | Normal | TruncatedNormal | Fixed
