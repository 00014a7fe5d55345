"""The pictures of a mock Galaxy: distributions, kinematics, abundances, magnitudes, orbits."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bayes_ddp.commands.pictures import save
from bayes_ddp.galaxy.isochrones import load_isochrones
from bayes_ddp.galaxy.magnitudes import absolute_magnitudes
from bayes_ddp.mock.check import MIN_SNR, profile
from bayes_ddp.mock.components import COMPONENTS
from bayes_ddp.mock.draw import Mock
from bayes_ddp.plots import galaxy as plots

__all__ = ["PICTURES", "draw_check"]

PICTURES = ("distributions", "kinematics", "abundances", "colour-magnitude", "orbits")
"""File names of the pictures without .png."""

_NAMES = tuple(part.name for part in COMPONENTS)


def draw_check(stars: Mock, folder: Path) -> list[Path]:
    """Write the pictures of a mock as PNG: distributions, kinematics, abundances, magnitudes."""
    draw = (_distributions, _kinematics, _abundances, _colour_magnitude, _orbits)
    return [
        save(one(stars), folder / f"{name}.png") for name, one in zip(PICTURES, draw, strict=True)
    ]


def _figure(columns: int, rows: int = 1, width: float = 5.4) -> tuple[Figure, np.ndarray]:
    figure = Figure(figsize=(width * columns, 4.2 * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _key(figure: Figure, group: np.ndarray, *more: Line2D) -> None:
    """Add a legend of the components in ``group`` above the figure."""
    marks = [
        Line2D([], [], marker="o", linestyle="none", color=plots.COLOURS[i], label=name)
        for i, name in enumerate(_NAMES)
        if np.any(group == i)
    ]
    figure.legend(
        handles=[*marks, *more],
        loc="outside upper center",
        ncols=len(marks) + len(more),
        frameon=False,
    )


def _distributions(stars: Mock) -> Figure:
    bright = stars.seen["sn_b"] > MIN_SNR
    group, distance = stars.truth["component"][bright], stars.truth["distance"][bright]
    figure, axes = _figure(2)
    plots.plot_distribution(
        axes[0, 0],
        np.log10(distance),
        group,
        names=_NAMES,
        edges=np.arange(-1.2, 2.21, 0.1),
        title="log distance [kpc], S/N(B) > 10",
    )
    plots.plot_distribution(
        axes[0, 1],
        stars.truth["feh"][bright],
        group,
        names=_NAMES,
        edges=np.arange(-3.5, 0.61, 0.1),
        title="[Fe/H], S/N(B) > 10",
    )
    for ax, at in ((axes[0, 0], 1.0), (axes[0, 1], -1.0)):
        ax.axvline(at, color="0.6", linewidth=0.8, linestyle="--")
    _key(figure, group, Line2D([], [], color="0.3", label="all"))
    return figure


def _kinematics(stars: Mock) -> Figure:
    truth, group = stars.truth, stars.truth["component"]
    R, height = truth["position"][:, 0], np.abs(truth["position"][:, 2])
    radii, heights = np.arange(3.0, 15.1, 1.0), np.arange(0.0, 8.1, 0.5)
    figure, axes = _figure(2, 2)
    for ax, axis, what, x, edges, word in (
        (axes[0, 0], 1, "mean", R, radii, "mean $v_\\phi$ [km/s]"),
        (axes[0, 1], 0, "sd", R, radii, "$\\sigma_R$ [km/s]"),
        (axes[1, 0], 1, "sd", R, radii, "$\\sigma_\\phi$ [km/s]"),
        (axes[1, 1], 2, "sd", height, heights, "$\\sigma_z$ [km/s]"),
    ):
        rows = {}
        for i in np.unique(group):
            own = group == i
            centre, mean, spread = profile(x[own], truth["velocity"][own, axis], edges)
            rows[int(i)] = mean if what == "mean" else spread
        titles = ("$R$ [kpc]" if x is R else "$|z|$ [kpc]", word)
        plots.plot_profile(ax, centre, rows, names=_NAMES, titles=titles)
    _key(figure, group)
    return figure


def _abundances(stars: Mock, most: int = 20_000) -> Figure:
    truth, figure_axes = stars.first(most).truth, _figure(2)
    figure, axes = figure_axes
    for ax, name, word in zip(axes[0], ("mg_fe", "al_fe"), ("Mg", "Al"), strict=True):
        plots.plot_plane(
            ax,
            truth["feh"],
            truth[name],
            group=truth["component"],
            titles=("[Fe/H]", f"[{word}/Fe]"),
        )
    _key(figure, truth["component"])
    return figure


def _colour_magnitude(stars: Mock, most: int = 20_000) -> Figure:
    truth = stars.first(most).truth
    figure, axes = _figure(2, width=5.0)
    for ax, (blue, red, top) in zip(axes[0], (("BP", "RP", "G"), ("g", "r", "r")), strict=True):
        plots.plot_plane(
            ax,
            truth[f"m1_{blue}"] - truth[f"m1_{red}"],
            truth[f"m1_{top}"],
            group=truth["component"],
            titles=(f"{blue} − {red} (no dust, primary)", f"$M_{{{top}}}$"),
        )
        for feh, age, style in ((0.0, 4.0, "-"), (-0.5, 10.0, "--"), (-1.5, 12.5, ":")):
            track = load_isochrones().along(feh, 9 + np.log10(age))
            light = absolute_magnitudes(
                track.teff, track.logg, np.full(len(track.teff), feh), log_lum=track.log_lum
            )
            plots.plot_isochrone(
                ax,
                light[blue] - light[red],
                light[top],
                style=style,
                label=f"[Fe/H] {feh}, {age:g} Gyr",
            )
        ax.set_ylim(15, -5)
    axes[0, 0].legend(loc="lower left", frameon=False, fontsize="small")
    _key(figure, truth["component"])
    return figure


def _orbits(stars: Mock, most: int = 20_000) -> Figure:
    truth = stars.first(most).truth
    figure, axes = _figure(2)
    group, (R, _, z) = truth["component"], truth["position"].T
    plots.plot_plane(
        axes[0, 0],
        truth["J_PHI"],
        truth["ENERGY"] / 1e5,
        group=group,
        titles=("$J_\\phi$ [kpc km/s]", "$E$ [$10^5$ km²/s²]"),
    )
    axes[0, 0].set_xlim(-4000, 4000)
    plots.plot_plane(axes[0, 1], R, z, group=group, titles=("$R$ [kpc]", "$z$ [kpc]"))
    axes[0, 1].set(xlim=(0, 25), ylim=(-20, 20))
    _key(figure, group)
    return figure
