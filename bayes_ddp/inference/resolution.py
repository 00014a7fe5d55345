"""How sharp a model has to be for the LSF of data: the narrowest width, and the taps it needs."""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Float

from bayes_ddp.spectra.lsf import FWHM_PER_SIGMA

__all__ = ["NARROWEST", "Sampled", "narrowest_fwhm", "taps_needed"]

NARROWEST = 0.35
"""Model pixels, the least sigma of the Gaussian that broadens the model to the data."""


@runtime_checkable
class Sampled(Protocol):
    """Model spectra on a uniform grid, whatever makes them."""

    @property
    def wave(self) -> Float[Array | np.ndarray, " model_pixel"]:
        """Å vacuum, rest frame."""
        ...

    @property
    def fwhm(self) -> float:
        """Å, width of the model's Gaussian LSF."""
        ...


def narrowest_fwhm(emulator: Sampled) -> float:
    """FWHM, Å, of the narrowest LSF to which the model can be convolved."""
    step = float(emulator.wave[1] - emulator.wave[0])
    return float(np.hypot(emulator.fwhm, FWHM_PER_SIGMA * NARROWEST * step))


def taps_needed(fwhm: np.ndarray, emulator: Sampled) -> int:
    """Number of model pixels, odd, within 4.5 sigma on either side of the broadest kernel.

    fwhm : Å, of the data's LSF. Raises ValueError if it is below ``narrowest_fwhm``.
    """
    sharpest, broadest = float(np.min(fwhm)), float(np.max(fwhm))
    step = float(emulator.wave[1] - emulator.wave[0])
    if sharpest < narrowest_fwhm(emulator):
        raise ValueError(
            f"The data's LSF is {sharpest:.2f} Å wide (FWHM) and the model's {emulator.fwhm:.2f} "
            "Å: the model must be sharper. Use a model made for this survey."
        )
    sigma = np.sqrt((1.15 * broadest) ** 2 - emulator.fwhm**2) / FWHM_PER_SIGMA
    return 2 * int(np.ceil(4.5 * sigma / step)) + 1
