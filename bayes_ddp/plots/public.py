"""Figures of a posterior in one call, as ``bayes_ddp.plot``.

Each function returns a matplotlib Figure that is neither shown nor saved: a notebook displays it,
and ``figure.savefig("name.png")`` writes it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bayes_ddp.inference.posterior import Posterior
from bayes_ddp.inference.residuals import Modelled, model_spectra
from bayes_ddp.plots.figures import fit_axes, plot_corner, plot_fit, plot_recovery

if TYPE_CHECKING:
    from bayes_ddp.emulator.network import BasisNetwork, PixelNetwork
    from bayes_ddp.spectra.raw import RawSpectra

__all__ = ["corner", "fit", "fit_figure", "measured", "recovery"]

_MEASURED = 0.5
_DRAWS = 4000


def measured(posterior: Posterior, star: int) -> list[str]:
    """Labels with an information of at least 1/2 from the spectrum; at least two labels.

    Information is ``1 - variance of the posterior / variance of the prior``.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        information = 1 - (posterior.sd[star] / posterior.prior_sd[star]) ** 2
    free = np.isfinite(information)
    least = np.sort(np.where(free, information, -np.inf))[::-1][:2].min()
    chosen = free & (information >= min(_MEASURED, least))
    return [name for name, keep in zip(posterior.names, chosen, strict=True) if keep]


def corner(
    posterior: Posterior,
    star: int,
    *,
    labels: Sequence[str] | None = None,
    truth: np.ndarray | None = None,
) -> Figure:
    """Corner figure of one star: 68 and 95 % contours of all pairs of labels.

    Parameters
    ----------
    posterior
        From ``fit``.
    star
        Index in the posterior.
    labels
        Labels to draw; by default those that the spectrum measures (``measured``).
    truth : [label], in the order of ``posterior.names``
        True values to mark; NaN if unknown.
    """
    names = list(labels) if labels is not None else measured(posterior, star)
    unknown = [name for name in names if name not in posterior.names]
    if unknown:
        raise ValueError(f"{unknown} are not labels of this posterior: {posterior.names}.")
    columns = [posterior.names.index(name) for name in names]
    draws = posterior.take([star]).equally_weighted(_DRAWS).draws[:, 0, columns]
    figure = Figure(figsize=(1.6 * len(names) + 0.6,) * 2)
    FigureCanvasAgg(figure)
    known = None if truth is None else np.asarray(truth, float)[columns]
    plot_corner(figure, draws, names, truth=known)
    return figure


def fit(
    spectra: "RawSpectra",
    emulator: "BasisNetwork | PixelNetwork",
    posterior: Posterior,
    *,
    star: int = 0,
) -> Figure:
    """Spectrum, model at the posterior mean, and residuals of one star per arm.

    spectra, emulator : arguments of ``bayes_ddp.fit``. star : index in ``spectra``.
    """
    rows = np.array([star])
    found = model_spectra(
        spectra.take(rows),
        emulator,
        posterior.mean[rows],
        velocity=posterior.velocity[rows, 0],
        lsf=posterior.lsf[rows],
        batch=1,
    )
    return fit_figure(found, str(posterior.ids[star]))


def fit_figure(found: Modelled, note: str) -> Figure:
    """The figure of ``fit`` from the spectrum and the model of one star."""
    spectrum = found.spectrum
    figure = Figure(figsize=(11, 3.4 * len(spectrum.arms)))
    FigureCanvasAgg(figure)
    plot_fit(
        fit_axes(figure, len(spectrum.arms)),
        np.asarray(spectrum.wave),
        np.asarray(spectrum.flux[0]),
        ivar=np.asarray(spectrum.ivar[0]),
        model=found.model[0],
        arms=spectrum.arms,
        note=note,
    )
    return figure


def recovery(posterior: Posterior, truth: np.ndarray) -> Figure:
    """Fitted minus true labels against truth, one panel per label.

    truth : [star label], in the order of ``posterior.names``.
    """
    columns = 5
    lines = -(-len(posterior.names) // columns)
    figure = Figure(figsize=(14, 2.8 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    plot_recovery(list(axes), truth, posterior.mean, sd=posterior.sd, names=posterior.names)
    return figure
