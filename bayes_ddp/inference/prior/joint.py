"""The joint prior of all labels: the trained density, with priors of the run file for some labels.

It is a product of one conditional density per label, so that the NumPyro model has a site for each
label, and a run file can replace the prior of a single label.
"""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Float
from numpyro.distributions import constraints
from numpyro.distributions.transforms import biject_to

from bayes_ddp.inference.prior.boxes import Boxes, Noise
from bayes_ddp.inference.prior.density import TrainedDensity
from bayes_ddp.inference.prior.gaussian import GaussianDensity
from bayes_ddp.inference.prior.single import Choice, Fixed, TruncatedNormal, Uniform
from bayes_ddp.labels import LabelSpace

__all__ = ["LabelPrior"]

_TOGETHER = 4096
"""Draws that are made together. Every call has this shape, so it is compiled once for a prior."""


class LabelPrior:
    """The joint prior of all labels of a model; equal priors share compiled code.

    space : labels of the model. density : table [density] of its card. chosen : label -> prior
    from the run file, which replaces the default of that label only. Raises KeyError for a name
    that is not a label of the model.
    """

    def __init__(
        self,
        space: LabelSpace,
        density: Mapping[str, Any],
        chosen: Mapping[str, Choice] | None = None,
    ) -> None:
        self.space, self.density, self.chosen = space, dict(density), dict(chosen or {})
        for name in self.chosen:
            space.index(name)
        first = [n for n in ("teff", "feh", "logg", "vmic") if n in space.names]
        self.order = tuple(first + [n for n in space.names if n not in first])
        self.fixed = {n: c.value for n, c in self.chosen.items() if isinstance(c, Fixed)}
        self.free = tuple(n for n in space.names if n not in self.fixed)
        self._trained = TrainedDensity(space, self.density)
        self._gaussian = GaussianDensity(self._trained)
        self._key = (
            space,
            json.dumps(self.density, sort_keys=True),
            tuple(sorted(self.chosen.items())),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LabelPrior) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def conditional(
        self, name: str, values: Mapping[str, Any], *, gaussian: bool = False
    ) -> dist.Distribution:
        """Density of one label given ``values`` of the labels before it in ``order``.

        gaussian : whether to use the Gaussian approximation of the default density.
        """
        choice = self.chosen.get(name)
        if choice is None:
            return (self._gaussian if gaussian else self._trained).conditional(name, values)
        if isinstance(choice, Fixed):
            return dist.Delta(jnp.asarray(choice.value, float))
        return choice.distribution()

    def log_prob(
        self, labels: Float[Array, " label"], *, gaussian: bool = False
    ) -> Float[Array, ""]:
        """Ln density at [label]; fixed labels contribute nothing."""
        values = {n: labels[self.space.index(n)] for n in self.order}
        # equal to the product of conditionals, with a small part of the operations
        density = self._gaussian if gaussian else self._trained
        total = density.log_prob(values, [n for n in self.order if n not in self.chosen])
        for name in self.chosen:
            if name not in self.fixed:
                total = total + self.conditional(name, values).log_prob(values[name])
        return jnp.asarray(total)

    def sample(self, key: Array) -> Float[Array, " label"]:
        """One draw, [label] in the order of the space."""
        values: dict[str, Any] = {}
        keys = jax.random.split(key, len(self.order))
        # the random numbers of all labels at once: a generator for each takes ten times as long to
        # compile
        noise = jax.vmap(partial(Noise.of, sample_shape=(), boxes=self._trained.most_boxes))(keys)
        for i, name in enumerate(self.order):
            law = self.conditional(name, values)
            own = Noise(*(part[i] for part in noise))
            drawn = law.at(own) if isinstance(law, Boxes) else law.sample(keys[i])
            # without the barrier XLA computes each label again for all that depend on it, and
            # compiles four times as many operations
            values[name] = jax.lax.optimization_barrier(drawn)
        return jnp.stack([values[n] for n in self.space.names])

    def draws(self, key: Array, count: int) -> Float[np.ndarray, "draw label"]:
        """[draw label] of ``count`` draws; compiled once, whatever their number."""
        size = -(-count // _TOGETHER) * _TOGETHER
        keys = jax.random.split(key, size)
        parts = [_sample(self, keys[i : i + _TOGETHER]) for i in range(0, size, _TOGETHER)]
        return np.concatenate([np.asarray(part) for part in parts])[:count]

    def moments(self, labels: Float[Array, " label"]) -> tuple[Array, Array]:
        """Prior mean [label] and covariance [label label] at this star's Teff, log g and [Fe/H].

        Mean and variance of log g are those at this Teff, of Teff and [Fe/H] those of the marginal
        density. A fixed label has variance 0.
        """
        values = {n: labels[self.space.index(n)] for n in self.order}
        together = tuple(n for n in self._trained.alpha if n not in self.chosen)
        for name in together:
            values[name] = self._trained.trend(name, values["feh"])
        laws = [self.conditional(n, values, gaussian=True) for n in self.space.names]
        covariance = jnp.diag(jnp.stack([law.variance for law in laws]))
        if together:
            rows = jnp.array([self.space.index(n) for n in together])
            alpha = jnp.asarray(self._gaussian.alpha_covariance(together))
            covariance = covariance.at[jnp.ix_(rows, rows)].set(alpha)
        return jnp.stack([law.mean for law in laws]), covariance

    def constrain(self, free: Float[Array, " free"]) -> Float[Array, " label"]:
        """[label], all labels from unconstrained values of the free ones.

        It is the identity for labels without bounds.
        """
        values: dict[str, Any] = dict(self.fixed)
        for name, z in zip(self.free, free, strict=True):
            values[name] = self._bijection(name)(z)
        return jnp.stack([jnp.asarray(values[n], free.dtype) for n in self.space.names])

    def unconstrain(self, labels: Float[Array, " label"]) -> Float[Array, " free"]:
        """The inverse of ``constrain`` for labels inside their bounds."""
        return jnp.stack(
            [self._bijection(n)._inverse(labels[self.space.index(n)]) for n in self.free]
        )

    def box(self, names: tuple[str, ...]) -> tuple[Array, Array]:
        """(low, high) [label], bounds that contain nearly all of the trained density.

        They are infinite for a label with a prior of the run file.
        """
        low, high = self._trained.box(names)
        own = jnp.array([name in self.chosen for name in names], bool)
        return jnp.where(own, -jnp.inf, low), jnp.where(own, jnp.inf, high)

    def _bijection(self, name: str) -> Any:
        choice = self.chosen.get(name)
        if choice is None or isinstance(choice, Fixed):
            return biject_to(constraints.real)
        return biject_to(choice.distribution().support)

    def log_prob_free(
        self, free: Float[Array, " free"], *, gaussian: bool = False
    ) -> Float[Array, ""]:
        """Ln density of the unconstrained values, with the Jacobian of the bounds."""
        jacobian = jnp.zeros(())
        for name, z in zip(self.free, free, strict=True):
            if name in self.chosen:  # the others are unbounded
                bijection = self._bijection(name)
                jacobian = jacobian + bijection.log_abs_det_jacobian(z, bijection(z))
        return self.log_prob(self.constrain(free), gaussian=gaussian) + jacobian

    def inside(self, labels: Float[Array, " label"]) -> Float[Array, " label"]:
        """[label], labels moved inside the bounds of the run file, for the start of a fit."""
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


@partial(jax.jit, static_argnums=0)
def _sample(prior: LabelPrior, keys: Array) -> Float[Array, "draw label"]:
    """One draw for each key."""
    return jax.vmap(prior.sample)(keys)
