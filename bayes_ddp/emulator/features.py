"""Smooth features of the labels, on which a ``BasisNetwork`` is linear.

The inputs are functions of the labels in which spectra are closer to linear: 5040 K / Teff, log g,
vmic, [Fe/H], and per element a mixture of [X/Fe] and [X/H] (a line depends on [X/H], but electron
density and blends depend on [Fe/H]; the mixture follows from cross-validation). A further input
is a smooth step at C/O = 1, where the molecules of a cool star change from oxides to carbon
compounds.

A feature is the arcsine kernel (Williams 1998) between the inputs and one centre: the covariance
of the outputs of a hidden layer with infinitely many random error-function units. It is bounded
far from the centre, and a few hundred features are more accurate than thousands of random units
(median error 0.4 % against 0.7 %).
"""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayes_ddp.emulator.arcsine import arcsine
from bayes_ddp.labels import LabelSpace

__all__ = ["CORE", "Features", "evaluate", "input_names", "make_features"]

CORE = ("teff", "logg", "vmic", "feh")
"""Labels that act on the whole spectrum; the others act through the lines of one element."""

CONSTANT = 10.0
"""Value of the last feature, a constant; large, so that the ridge penalty on it is negligible."""

_CENTRE = {"teff": 0.86, "logg": 3.0, "vmic": 1.5, "feh": -1.25}
_WIDTH = {
    "teff": -0.17,
    "logg": 1.3,
    "vmic": 0.6,
    "feh": 1.0,
    "c_fe": 0.8,
    "n_fe": 0.45,
    "o_fe": 0.35,
    "mg_fe": 0.35,
    "al_fe": 0.29,
    "si_fe": 0.35,
    "ca_fe": 0.3,
    "ti_fe": 0.3,
    "cr_fe": 0.17,
    "mn_fe": 0.25,
    "ni_fe": 0.12,
}
_SOLAR_LOG_C_TO_O = 8.43 - 8.69  # Asplund et al. (2009)
_CO_SHARPNESS = 2.3  # per dex: tanh(2.3 x) = (r**2 - 1) / (r**2 + 1), with r = C/O


class Features(eqx.Module):
    """Labels -> features, with their derivatives.

    mix : [label], factor of [Fe/H] that is added to each [X/Fe]; 0 for the core labels.
    scale : [input], factor on each input; large if spectra change rapidly with it.
    bias : variance of the units' offset, in the kernel of Williams (1998).
    centre : [feature - 1, input], scaled inputs of the centres.
    """

    space: LabelSpace = eqx.field(static=True)
    mix: Float[Array | np.ndarray, " label"]
    scale: Float[Array | np.ndarray, " input"]
    bias: Float[Array | np.ndarray, ""]
    centre: Float[Array | np.ndarray, "centre input"]

    @property
    def size(self) -> int:
        """Number of features."""
        return self.centre.shape[0] + 1

    def prior(self) -> np.ndarray:
        """[centre, centre], kernel of the centres: prior precision of their weights."""
        norm = 1 + 2 * (float(self.bias) + (self.centre**2).sum(axis=1))
        inner = 2 * (float(self.bias) + self.centre @ self.centre.T)
        return 2 / np.pi * np.arcsin(inner / np.sqrt(np.outer(norm, norm)))

    def inputs(self, labels: Float[Array | np.ndarray, " label"]) -> Float[Array, " input"]:
        """[input], scaled inputs at ``labels``, in the units of ``LABELS``."""
        mix, scale = (jnp.asarray(a, labels.dtype) for a in (self.mix, self.scale))
        return scale * _inputs(self.space, mix, labels)

    def __call__(self, labels: Float[Array | np.ndarray, " label"]) -> Float[Array, " feature"]:
        """[feature], values at ``labels``, in their dtype."""
        u = self.inputs(labels)
        kernel = 2 / jnp.pi * arcsine(self._sine(u)[0])
        return jnp.append(kernel, jnp.asarray(CONSTANT, u.dtype))

    def and_gradient(
        self, labels: Float[Array | np.ndarray, " label"]
    ) -> tuple[Float[Array, " feature"], Float[Array, "feature label"]]:
        """[feature] and its derivative [feature, label], per label unit."""
        u = self.inputs(labels)
        slope = jax.jacfwd(self.inputs)(labels)  # [input, label], small
        sine, norm, root, centre = self._sine(u)
        turn = 2 / jnp.pi / jnp.sqrt(1 - sine**2)
        along = centre @ slope  # [centre, label]
        gradient = turn[:, None] * (
            2 * along / root[:, None] - 2 * sine[:, None] * (u @ slope)[None, :] / norm
        )
        value = jnp.append(2 / jnp.pi * arcsine(sine), jnp.asarray(CONSTANT, u.dtype))
        return value, jnp.concatenate([gradient, jnp.zeros_like(gradient[:1])])

    def _sine(self, u: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        """(argument of the arcsine [centre], norm of u, root of both norms [centre], centres)."""
        centre, bias = jnp.asarray(self.centre, u.dtype), jnp.asarray(self.bias, u.dtype)
        norm = 1 + 2 * (bias + u @ u)
        root = jnp.sqrt(norm * (1 + 2 * (bias + jnp.sum(centre**2, axis=1))))
        return 2 * (bias + centre @ u) / root, norm, root, centre


def evaluate(features: Features, labels: np.ndarray) -> np.ndarray:
    """[row, feature] float64 at labels [row, label], for any default precision of JAX."""
    with jax.enable_x64(True):
        return np.asarray(_FEATURES(features, jnp.asarray(labels, jnp.float64)))


_FEATURES = jax.jit(jax.vmap(Features.__call__, in_axes=(None, 0)))
_INPUTS = jax.jit(jax.vmap(Features.inputs, in_axes=(None, 0)))


def input_names(space: LabelSpace) -> tuple[str, ...]:
    """Names of the inputs: the labels, and ``co`` if C and O are labels."""
    both = "c_fe" in space.names and "o_fe" in space.names
    return (*space.names, "co") if both else space.names


def _inputs(space: LabelSpace, mix: jax.Array, labels: jax.Array | np.ndarray) -> jax.Array:
    columns = []
    feh = labels[space.index("feh")] if "feh" in space.names else 0.0
    for i, name in enumerate(space.names):
        if name == "teff":
            columns.append((5040.0 / labels[i] - _CENTRE[name]) / _WIDTH[name])
        elif name in CORE:
            columns.append((labels[i] - _CENTRE[name]) / _WIDTH[name])
        else:
            columns.append((labels[i] + mix[i] * feh) / _WIDTH.get(name, 0.3))
    if len(input_names(space)) > space.size:
        ratio = labels[space.index("c_fe")] - labels[space.index("o_fe")] + _SOLAR_LOG_C_TO_O
        columns.append(jnp.tanh(_CO_SHARPNESS * ratio))
    return jnp.stack(columns)


def make_features(space: LabelSpace, settings: Mapping[str, Any], points: np.ndarray) -> Features:
    """The features with the settings of a ``[train]`` table, centred on training points.

    Parameters
    ----------
    space
        Sets the order of labels.
    settings
        ``features`` (largest number of centres), ``bias``, and the tables ``scales`` (input ->
        scale, see ``input_names``) and ``mix`` (element -> factor of [Fe/H]). The default scale is
        0.05, the default factor 0.
    points : [point, label]
        Candidates for centres. If there are more than ``features``, a pivoted Cholesky
        decomposition of their kernel selects them.
    """
    scales, mix = settings.get("scales", {}), settings.get("mix", {})
    scale = np.array([float(scales.get(name, 0.05)) for name in input_names(space)])
    share = np.array([float(mix.get(name, 0.0)) for name in space.names])
    bias = np.array(float(settings.get("bias", 10.0)))
    empty = Features(space, share, scale, bias, np.zeros((0, len(scale))))
    with jax.enable_x64(True):
        centre = np.asarray(_INPUTS(empty, jnp.asarray(points, jnp.float64)))
    most = int(settings["features"])
    if len(centre) > most:
        centre = centre[_pivots(centre, float(bias), most)]
    return Features(space, share, scale, bias, centre)


def _pivots(points: np.ndarray, bias: float, number: int) -> np.ndarray:
    """First pivots, as row numbers of ``points``, of a Cholesky decomposition of their kernel."""
    norm = 1 + 2 * (bias + (points**2).sum(axis=1))
    left = 2 / np.pi * np.arcsin((norm - 1) / norm)
    factor = np.zeros((len(points), number))
    chosen = np.zeros(number, int)
    for i in range(number):
        chosen[i] = j = int(np.argmax(left))
        column = 2 / np.pi * np.arcsin(2 * (bias + points @ points[j]) / np.sqrt(norm * norm[j]))
        column -= factor[:, :i] @ factor[j, :i]
        factor[:, i] = column / np.sqrt(left[j])
        left = left - factor[:, i] ** 2
        left[chosen[: i + 1]] = -1.0
    return np.sort(chosen)
