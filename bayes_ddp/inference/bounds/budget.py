"""Where along the spectrum the information on each label lies, the others being unknown.

The efficient score of label i is its gradient spectrum less what a change of all other labels and
nuisances can imitate, ``g_i = sum_j C_ij J_j / C_ii`` with C the covariance of the bounds. Its
weighted square adds up to the marginal information, ``1 / C_ii = sum_p W_p g_ip^2``, up to the
share of priors. Each pixel has therefore a part of the bound after the others are marginalised.

Source: Bickel et al. (1993), Efficient and Adaptive Estimation, section 2.4.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from bayes_ddp.inference.bounds.design import Design
from bayes_ddp.inference.bounds.fisher import generalised_inverse
from bayes_ddp.inference.bounds.gradients import jacobian, model_rows, noise_of, prior_precision
from bayes_ddp.inference.bounds.star import Bounds, bounds_on
from bayes_ddp.spectra.features import window_names

__all__ = ["Budget", "Window", "budget"]


@dataclass(frozen=True)
class Window:
    """A stretch of wavelength: name, its share of a label's information, first and last Å used."""

    name: str
    share: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Budget:
    """The information on every label along wavelength.

    wave : [pixel], Å, in ascending order. density : [label pixel], share of each pixel in the
    marginal information of a label; NaN for labels without a bound. priors : [label], the share
    of the priors; shares add up to 1. bounds : of the same star.
    """

    bounds: Bounds
    wave: np.ndarray
    density: np.ndarray
    priors: np.ndarray

    @property
    def cumulative(self) -> np.ndarray:
        """[label pixel], share of the information blueward of each pixel, itself included."""
        return np.cumsum(self.density, axis=1)

    def windows(self, name: str, number: int = 10) -> tuple[Window, ...]:
        """The windows with most information on a label, in descending order."""
        row = self.density[self.bounds.names.index(name)]
        if not np.isfinite(row).all():
            return ()
        every = np.array(window_names(self.wave))
        found = []
        for window in dict.fromkeys(every):
            inside = every == window
            used = self.wave[inside]
            found.append(Window(window, float(row[inside].sum()), used[0], used[-1]))
        return tuple(sorted(found, key=lambda w: -w.share)[:number])


def budget(design: Design, snr: float) -> Budget:
    """The information budget of a star at one S/N; raises as ``bounds_at``."""
    exposure = design.exposure(snr)
    found = bounds_on(design, exposure, snr=snr)
    terms = design.terms(tuple(name for name, _, _ in exposure.shape.arms))
    _, rows = jacobian(exposure, model_rows(design.model, design.labels), terms=terms)
    noise, size = noise_of(exposure.star), terms.labels
    prior = np.array(prior_precision(exposure.star, terms))
    prior[:size] += design.label_precision()
    derivative, weight = np.asarray(rows), np.asarray(noise.precision)
    curvature = (derivative * weight) @ derivative.T + np.diag(prior)
    inverse = np.asarray(generalised_inverse(jnp.asarray(curvature)))[:size]
    variance = np.diagonal(inverse)
    score = inverse @ derivative / variance[:, None]
    total = 1 / variance
    density = weight * score**2 / total[:, None]
    shares = (inverse / variance[:, None]) ** 2 @ prior / total
    hide = ~np.isfinite(found.marginal)
    density[hide], shares[hide] = np.nan, np.nan
    order = np.argsort(np.asarray(exposure.shape.wave), kind="stable")
    return Budget(found, np.asarray(exposure.shape.wave)[order], density[:, order], shares)
