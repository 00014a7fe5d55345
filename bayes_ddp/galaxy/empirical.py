"""Empirical magnitudes: intrinsic colours and absolute magnitudes learned from control stars.

The absolute magnitudes of stars with given labels are a Gaussian vector over bands. Its mean is a
smooth function of (ln Teff, log g, [M/H]); its covariance is the intrinsic scatter, common to all
stars, and the error of the mean. Unresolved companions are Gaussians with a shifted mean. How it
is learned: ``calibration``. [alpha/Fe] acts through the effective metallicity [M/H].
"""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from bayes_ddp.galaxy.bolometric import ALL_BANDS, Law
from bayes_ddp.galaxy.smooth import SCALE, Basis

__all__ = ["DWARF", "REACH", "Calibration", "Empirical", "turn_of"]

DWARF = 3.5
"""log g above which a companion changes the magnitudes; giants outshine theirs."""

REACH = 0.4
"""Distance from control stars, in units of ``smooth.SCALE``, within which the model is valid."""


class Empirical(eqx.Module):
    """Absolute magnitudes as functions of labels.

    Outputs are the absolute magnitude of the reference band and the colours (band minus
    reference) of the other calibrated bands.

    coefficient : [term output]. root : [output term term], of the covariance of coefficients.
    scatter : [output output], intrinsic covariance, mag^2. turn : [band output], outputs to
    magnitudes in ``ALL_BANDS``; rows of 0 for bands that are not calibrated. shift : [ratio
    output], effect of a companion of each of ``companions.RATIOS``. shares : [1 + ratio], of
    single stars and pairs among dwarfs. support : [place 3], where there are control stars.
    """

    basis: Basis
    coefficient: Float[Array, "term output"]
    root: Float[Array, "output term term"]
    scatter: Float[Array, "output output"]
    turn: Float[Array, "band output"]
    shift: Float[Array, "ratio output"]
    shares: Float[Array, " kind"]
    support: Float[Array, "place 3"]

    @property
    def known(self) -> Bool[Array, " band"]:
        """Whether each band is calibrated."""
        return jnp.any(self.turn != 0, axis=1)

    def outputs(self, core: Float[Array, "3"]) -> Float[Array, " output"]:
        """Reference magnitude and colours of single stars."""
        return self.basis(core) @ self.coefficient

    def magnitudes(self, core: Float[Array, "3"]) -> Float[Array, " band"]:
        """Absolute magnitudes of single stars, ``ALL_BANDS``; 0 in bands not calibrated."""
        return self.turn @ self.outputs(core)

    def covariance(self, core: Float[Array, "3"]) -> Float[Array, "band band"]:
        """Scatter and error of the mean, mag^2, ``ALL_BANDS``."""
        terms = self.basis(core)
        error = jnp.sum(jnp.einsum("t,otu->ou", terms, self.root) ** 2, axis=1)
        return self.turn @ (self.scatter + jnp.diag(error)) @ self.turn.T

    def log_shares(self, core: Float[Array, "3"]) -> Float[Array, " kind"]:
        """Log of the prior probability of no companion, and of each mass ratio."""
        single = jnp.zeros(len(self.shares)).at[0].set(1.0)
        return jnp.log(jnp.where(core[1] > DWARF, self.shares, single) + 1e-300)

    def inside(self, core: Float[Array, "3"]) -> Bool[Array, ""]:
        """Whether there are control stars with such labels."""
        away = (self.support - core) / jnp.asarray(SCALE)
        return jnp.min(jnp.sum(away**2, axis=1)) <= REACH**2


@dataclass(frozen=True)
class Calibration:
    """Empirical magnitudes with their card.

    law : extinction law of the control stars. offsets : mag per band of ``ALL_BANDS``, measured
    magnitudes less those of stellar evolution, for ``DistanceSettings.offsets``. card : figures of
    the calibration, as the TOML beside the file has them.
    """

    model: Empirical
    law: Law
    offsets: tuple[float, ...]
    card: dict[str, Any]


def turn_of(bands: tuple[str, ...]) -> np.ndarray:
    """[band output] of calibrated bands, of which the first is the reference.

    >>> turn_of(("G", "BP"))[:2].tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    turn = np.zeros((len(ALL_BANDS), len(bands)))
    for i, band in enumerate(bands):
        turn[ALL_BANDS.index(band), 0] = 1.0
        turn[ALL_BANDS.index(band), i] = 1.0
    return turn
