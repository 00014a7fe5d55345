"""The model of fitted stars on their own pixels, for comparison with the data."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from bayes_ddp.inference.fit import BATCH, pad, problem_of
from bayes_ddp.inference.parameters import Nuisances
from bayes_ddp.inference.problem import Nuisance, load_stars, model_flux, prepare_for
from bayes_ddp.spectra.raw import RawSpectra
from bayes_ddp.spectra.spectrum import Spectrum

if TYPE_CHECKING:
    from bayes_ddp.emulator.network import BasisNetwork, PixelNetwork

__all__ = ["Modelled", "model_spectra"]


@dataclass(frozen=True)
class Modelled:
    """Data and model of some stars.

    spectrum : the normalised data. model : [star pixel], normalised flux. used : [star pixel]
    bool, whether the pixel is fitted.
    """

    spectrum: Spectrum
    model: np.ndarray
    used: np.ndarray

    @property
    def residual(self) -> np.ndarray:
        """[star pixel], data minus model; NaN for pixels that are not used."""
        return np.where(self.used, np.asarray(self.spectrum.flux) - self.model, np.nan)


def model_spectra(
    spectra: RawSpectra,
    emulator: "BasisNetwork | PixelNetwork",
    labels: np.ndarray,
    *,
    velocity: np.ndarray,
    lsf: np.ndarray,
    batch: int = BATCH,
) -> Modelled:
    """Data and model of every star at these labels and nuisances.

    Parameters
    ----------
    spectra
        Spectra of the stars.
    emulator
        With its card, as for ``fit``.
    labels : [star label]
        Such as a posterior's mean.
    velocity : [star], km/s
        Relative to the input velocity.
    lsf : [star arm]
        Factor on the width of the LSF.
    batch
        Number of stars that are computed together.
    """
    problem = problem_of(spectra, emulator, nuisance=Nuisance())
    spectrum, _ = prepare_for(emulator, spectra)
    models, used = [], []
    for start in range(0, len(spectra), batch):
        rows = np.arange(start, min(start + batch, len(spectra)))
        filled = np.concatenate([rows, np.full(batch - len(rows), rows[-1])])
        stars = load_stars(problem, pad(spectrum.take(rows), batch))
        values = Nuisances(jnp.asarray(velocity[filled]), jnp.asarray(lsf[filled]))
        model = model_flux(problem, stars, jnp.asarray(labels[filled]), values)
        models.append(np.asarray(model)[: len(rows)])
        used.append(np.asarray(stars.precision)[: len(rows)] > 0)
    return Modelled(spectrum, np.concatenate(models), np.concatenate(used))
