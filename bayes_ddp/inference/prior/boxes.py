"""A mixture of uniform densities with smooth edges, as a NumPyro distribution."""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.scipy.special import log_ndtr
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from numpyro.distributions import constraints

__all__ = ["Boxes", "Noise", "log_boxes_of"]


class Noise(NamedTuple):
    """Random numbers of a draw: gumbel [*draw box], uniform [*draw], normal [*draw]."""

    gumbel: Float[Array, "*draw box"]
    uniform: Float[Array, "*draw"]
    normal: Float[Array, "*draw"]

    @classmethod
    def of(cls, key: Array, sample_shape: tuple[int, ...], *, boxes: int) -> "Noise":
        """Noise for mixtures of at most ``boxes`` uniform densities."""
        which, place, edge = jax.random.split(key, 3)
        return cls(
            jax.random.gumbel(which, (*sample_shape, boxes)),
            jax.random.uniform(place, sample_shape),
            jax.random.normal(edge, sample_shape),
        )


class Boxes(dist.Distribution):
    """``sum_k w_k Uniform(low_k, high_k)``, convolved with a normal of sd ``width``.

    log_weight, low, high : [box]; the weights need not be normalised. width : scalar. narrow :
    whether boxes may be narrower than six times ``width``; the smoothing of one edge then changes
    the density at the other. Smooth edges have finite gradients. The density of one box is
    ``[Phi((x - low) / width) - Phi((x - high) / width)] / (high - low)``.
    """

    arg_constraints: ClassVar = {
        "log_weight": constraints.real_vector,
        "low": constraints.real_vector,
        "high": constraints.real_vector,
        "width": constraints.positive,
    }
    support = constraints.real
    reparametrized_params: ClassVar = ["low", "high", "width"]

    def __init__(
        self,
        log_weight: ArrayLike,
        low: ArrayLike,
        high: ArrayLike,
        *,
        width: ArrayLike,
        narrow: bool = False,
        validate_args: bool | None = None,
    ) -> None:
        self.low, self.high, log_weight = jnp.broadcast_arrays(
            jnp.atleast_1d(low), jnp.atleast_1d(high), jnp.atleast_1d(log_weight)
        )
        self.log_weight = jax.nn.log_softmax(log_weight)
        self.width, self.narrow = jnp.asarray(width), narrow
        super().__init__(batch_shape=(), validate_args=validate_args)

    def log_boxes(self, value: ArrayLike) -> Float[Array, "*draw box"]:
        """Ln density of each box at ``value`` [*draw]."""
        place = jnp.asarray(value)[..., None]
        narrow = self.low.size if self.narrow else 0
        return _log_box(place, self.low, self.high, width=self.width, narrow=narrow)

    def log_prob(self, value: ArrayLike, intermediates: Any = None) -> Float[Array, "*draw"]:
        """Ln density; integrates to one."""
        return jax.nn.logsumexp(self.log_boxes(value) + self.log_weight, axis=-1)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Float[Array, "*draw"]:
        """Draws: a box by its weight, a uniform number in it, and a normal one for the edges."""
        return self.at(Noise.of(key, sample_shape, boxes=self.low.size))

    def at(self, noise: Noise) -> Float[Array, "*draw"]:
        """Draws from the random numbers of ``noise``; those beyond the last box are not used."""
        gumbel = noise.gumbel[..., : self.low.size]
        box = jnp.argmax(gumbel + self.log_weight, axis=-1)  # Gumbel-max: box k by its weight
        inside = self.low[box] + noise.uniform * (self.high - self.low)[box]
        return inside + self.width * noise.normal

    @property
    def mean(self) -> Float[Array, ""]:
        """Mean of the mixture."""
        return jnp.exp(self.log_weight) @ (0.5 * (self.low + self.high))

    @property
    def variance(self) -> Float[Array, ""]:
        """Variance of the mixture."""
        weight, middle = jnp.exp(self.log_weight), 0.5 * (self.low + self.high)
        own = (self.high - self.low) ** 2 / 12 + (middle - self.mean) ** 2
        return weight @ own + self.width**2


def log_boxes_of(laws: Sequence[Boxes], values: Sequence[ArrayLike]) -> list[Array]:
    """[law][box], ``log_boxes`` of several laws at a number each, from one call of log Phi.

    A call compiles to hundreds of operations, so that one per law takes most of the time in which
    a fit compiles.
    """
    order = sorted(range(len(laws)), key=lambda i: not laws[i].narrow)  # narrow boxes come first
    sizes = [laws[i].low.size for i in order]

    def joined(numbers: Sequence[ArrayLike]) -> Array:
        return jnp.repeat(
            jnp.stack([jnp.asarray(x, float) for x in numbers]),
            np.array(sizes),
            total_repeat_length=sum(sizes),
        )

    each = _log_box(
        joined([values[i] for i in order]),
        jnp.concatenate([laws[i].low for i in order]),
        jnp.concatenate([laws[i].high for i in order]),
        width=joined([laws[i].width for i in order]),
        narrow=sum(size for i, size in zip(order, sizes, strict=True) if laws[i].narrow),
    )
    parts = jnp.split(each, np.cumsum(sizes)[:-1])
    return [parts[order.index(i)] for i in range(len(laws))]


def _log_box(
    value: Array, low: Array, high: Array, *, width: ArrayLike, narrow: int
) -> Float[Array, "*draw box"]:
    """Ln density of each box; the first ``narrow`` boxes may be narrower than six widths."""
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    # the density is symmetric about the middle; with the distance from it both arguments stay in
    # the range where log Phi is accurate
    away = jnp.abs(value - middle)
    near, far = (half - away) / width, ((-half - away) / width)[..., :narrow]
    both = log_ndtr(jnp.concatenate([near, far], axis=-1))
    inner, outer = both[..., : low.size], both[..., low.size :]
    both_edges = inner[..., :narrow] + jnp.log1p(-jnp.exp(outer - inner[..., :narrow]))
    inner = jnp.concatenate([both_edges, inner[..., narrow:]], axis=-1)
    return inner - jnp.log(2 * half)
