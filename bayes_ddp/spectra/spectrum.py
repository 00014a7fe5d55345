"""The record of normalised spectra, the input of the likelihood.

``prepare`` computes a ``Spectrum`` from ``RawSpectra``: the same native pixels, divided by their
pseudo-continuum, with everything that the forward model needs. A masked pixel has ``ivar = 0`` and
wavelengths are vacuum Å in the barycentric (observed) frame.
"""

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float

__all__ = ["Spectrum"]


class Spectrum(eqx.Module):
    """Spectra of one survey, normalised, on their native pixels, with their arms concatenated.

    wave : [pixel] float64, Å vacuum, barycentric.
    flux, ivar : [star pixel] float32, flux / pseudo-continuum, and its inverse variance.
    weight : [star pixel] float32, 0 or 1: which pixels contribute to the pseudo-continuum (Eq. 1).
    fwhm : [star pixel] float32, Å, Gaussian LSF of the data.
    continuum : [star pixel] float32, pseudo-continuum in the survey's flux unit.
    vrad, vrad_err : [star] float64, km/s: the input velocity, by which the model is shifted, and
        the standard deviation of the prior of the residual velocity.
    arms : (name, first pixel, end pixel, exclusive) of each arm.
    survey : key of ``SURVEYS``.
    """

    wave: Float[Array | np.ndarray, " pixel"]
    flux: Float[Array | np.ndarray, "star pixel"]
    ivar: Float[Array | np.ndarray, "star pixel"]
    weight: Float[Array | np.ndarray, "star pixel"]
    fwhm: Float[Array | np.ndarray, "star pixel"]
    continuum: Float[Array | np.ndarray, "star pixel"]
    vrad: Float[Array | np.ndarray, " star"]
    vrad_err: Float[Array | np.ndarray, " star"]
    arms: tuple[tuple[str, int, int], ...] = eqx.field(static=True)
    survey: str = eqx.field(static=True)

    def __len__(self) -> int:
        return self.flux.shape[0]

    def take(self, rows: np.ndarray) -> "Spectrum":
        """The stars in ``rows``, in that order."""
        return eqx.tree_at(
            lambda s: (s.flux, s.ivar, s.weight, s.fwhm, s.continuum, s.vrad, s.vrad_err),
            self,
            replace_fn=lambda array: array[rows],
        )

    def on_device(self) -> "Spectrum":
        """The same record with its arrays as JAX arrays."""
        return jax.tree.map(jax.numpy.asarray, self)
