"""The pixels of a star whose precision is asked for: an ideal exposure, or a real one.

Both pass through ``prepare``, so that masks, error floors and pseudo-continuum weights are those
of a fit. Noise of an ideal exposure is a fraction of the pseudo-continuum, the same inside lines
and beside them.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayes_ddp.emulator.network import BasisNetwork, PixelNetwork
from bayes_ddp.emulator.physics.points import ReferencePoint
from bayes_ddp.inference.forward import Geometry, StarData, geometry, star_data
from bayes_ddp.inference.resolution import narrowest_fwhm, taps_needed
from bayes_ddp.spectra.instruments import Instrument
from bayes_ddp.spectra.prepare import prepare
from bayes_ddp.spectra.raw import RawSpectra

__all__ = ["VRAD_ERR", "Exposure", "Model", "exposures", "ideal_exposure", "sharp_enough"]

Model = BasisNetwork | PixelNetwork | ReferencePoint

VRAD_ERR = 5.0
"""km/s, error of the catalogue velocity of an ideal star."""


class Exposure(eqx.Module):
    """One star's pixels as the likelihood takes them; batches carry a leading star axis.

    variance : [pixel], of the noise alone in normalised flux, of every pixel that has noise,
        fitted or not; 0 elsewhere. The precision in ``star`` has the emulator's error and the
        floors of masks as well.
    """

    shape: Geometry
    star: StarData
    variance: Float[Array, "*star pixel"]

    def take(self, star: int) -> "Exposure":
        """One star of a batch."""
        one = jax.tree.map(lambda x: x[star], self.star)
        return Exposure(self.shape, one, self.variance[star])


def sharp_enough(instrument: Instrument, model: Model) -> bool:
    """Whether the model can be broadened to every pixel of the instrument that it reaches."""
    low, high = model.reach
    widths = [a.fwhm[(a.wave > low) & (a.wave < high)] for a in instrument.arms]
    used = np.concatenate(widths)
    return len(used) > 0 and float(used.min()) >= narrowest_fwhm(model)


def exposures(raw: RawSpectra, model: Model, *, error: np.ndarray | None = None) -> Exposure:
    """A batch of real or ideal spectra.

    Parameters
    ----------
    raw
        As a reader gives them; the flux matters for the pseudo-continuum alone.
    model
        Whose grid and LSF are used.
    error : [model pixel]
        Model error that is added to the noise; by default the emulator's own, 0 for none.

    Raises ValueError where the model is not as sharp as the spectra, or covers none of them.
    """
    physics = model.card.physics_only if model.card else True
    spectrum, _ = prepare(raw, physics=physics, reach=model.reach)
    widths = np.where(np.asarray(spectrum.ivar) > 0, spectrum.fwhm, np.nan)
    if np.isfinite(widths).any():
        ends = np.array([np.nanmin(widths), np.nanmax(widths)])
    else:
        ends = np.array([np.min(spectrum.fwhm), np.max(spectrum.fwhm)])
    shape = geometry(spectrum, model, taps=taps_needed(ends, model))
    given = np.concatenate([arm.ivar for arm in raw.arms], axis=1).astype(float)
    level = np.asarray(spectrum.continuum, float)
    known = (given > 0) & (level > 0)
    noise = np.where(known, given, 1.0) * np.where(known, level, 1.0) ** 2
    own = np.asarray(model.error, np.float32) if error is None else np.asarray(error, np.float32)
    star = _loaded(shape, spectrum.on_device(), jnp.asarray(own))
    return Exposure(shape, star, jnp.asarray(np.where(known, 1 / noise, 0.0)))


_loaded = eqx.filter_jit(star_data)


def ideal_exposure(
    instrument: Instrument,
    model: Model,
    *,
    snr: float,
    vrad_err: float = VRAD_ERR,
    error: np.ndarray | None = None,
) -> Exposure:
    """One star at rest, without reddening, whose median pixel has this S/N; raises as above."""
    low, high = model.reach
    low, high = max(low, instrument.arms[0].wave[0]), min(high, instrument.arms[-1].wave[-1])
    return exposures(
        instrument.cut(low, high).spectra(snr, vrad_err=vrad_err), model, error=error
    ).take(0)
