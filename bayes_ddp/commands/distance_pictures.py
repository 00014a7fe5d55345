"""The picture of distances: their errors, the diagram of magnitudes, agreement with parallaxes."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from bayes_ddp.catalog.orbits import LEVELS
from bayes_ddp.commands.pictures import save
from bayes_ddp.galaxy.photometry import Photometry
from bayes_ddp.galaxy.records import DistancePosterior
from bayes_ddp.plots import distance as plots

__all__ = ["draw_distances"]


def draw_distances(
    posterior: DistancePosterior, photometry: Photometry, folder: Path
) -> list[Path]:
    """Write distances.png; the files written."""
    figure = Figure(figsize=(15.0, 4.4), layout="constrained")
    axes = figure.subplots(1, 3)
    parallax = photometry.parallax - np.nan_to_num(photometry.zero_point)
    ratio = parallax / photometry.parallax_error
    points = plots.plot_errors(
        axes[0],
        ratio,
        np.std(np.log(posterior["dist"]), axis=0),
        share=posterior.diagnostics["f_parallax"],
    )
    axes[0].legend(loc="upper right", frameon=False, fontsize="small")
    figure.colorbar(points, ax=axes[0], pad=0.01, label="share of the parallax")
    place = {name: i for i, name in enumerate(posterior.label_names)}
    middle = np.median(posterior.labels, axis=0)
    metals = middle[:, place["feh"] if "feh" in place else place["m_h"]]
    points = plots.plot_hr(
        axes[1], middle[:, place["teff"]], posterior.quantiles("m_g", LEVELS), colour=metals
    )
    figure.colorbar(points, ax=axes[1], pad=0.01, label="[Fe/H]" if "feh" in place else "[M/H]")
    plots.plot_against_parallax(
        axes[2],
        parallax,
        photometry.parallax_error,
        distance=posterior.quantiles("dist", LEVELS),
    )
    return [save(figure, folder / "distances.png")]
