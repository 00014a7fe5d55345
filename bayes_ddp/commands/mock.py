"""What ``bayes-ddp simulate`` does: draw a mock Galaxy, write it, check it, draw its figures."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bayes_ddp.commands.pictures import save
from bayes_ddp.galaxy.isochrones import load_isochrones
from bayes_ddp.galaxy.magnitudes import absolute_magnitudes
from bayes_ddp.mock.check import MIN_SNR, format_check, profile
from bayes_ddp.mock.check import check as check_stars
from bayes_ddp.mock.components import COMPONENTS
from bayes_ddp.mock.draw import Mock, Settings, iter_chunks, join
from bayes_ddp.mock.files import TableFiles
from bayes_ddp.mock.spectra import Chosen, write_spectra
from bayes_ddp.pipeline.run import Progress
from bayes_ddp.plots import galaxy as plots

__all__ = ["CHECKED", "MOST_STARS", "Request", "draw_check", "make_mock", "simulate"]

CHECKED = 100_000
"""Stars that are kept in memory for ``--check``: the first ones, which are a fair sample."""

MOST_STARS = 5_000_000
"""With more, the truth would have over the 4 GiB that are read at once (files/structure.py)."""

_NAMES = tuple(part.name for part in COMPONENTS)


@dataclass(frozen=True)
class Request:
    """What is asked for: stars in the tables, stars with spectra, whether to check."""

    stars: int
    spectra: int = 0
    check: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.stars <= MOST_STARS:
            raise ValueError(
                f"--stars {self.stars}: from 1 to {MOST_STARS:,} in one folder. Take several "
                "seeds for more."
            )
        if not 0 <= self.spectra <= self.stars:
            raise ValueError(
                f"--spectra {self.spectra}: at least 0 and at most the {self.stars} stars drawn."
            )


def simulate(
    output: str | Path,
    *,
    stars: int,
    spectra: int = 0,
    seed: int = 1,
    faint: float = 19.0,
    check: bool = False,
) -> dict[str, Any]:
    """Draw a mock Milky Way as DESI, Gaia and 2MASS would see it, with the truth of every star.

    Parameters
    ----------
    output
        Folder for mwsall-sim.fits, photometry.fits and truth.fits (docs/mock.md).
    stars
        Number of stars that the survey targets.
    spectra
        How many of them get spectra: coadd files, and a run file that fits them.
    seed
        Of everything; the same seed gives the same files.
    faint
        Limit of the survey in r, mag.
    check
        Compare the stars with published figures, and draw that.

    Returns the figures that ``bayes-ddp simulate --json`` prints.
    """
    request, settings = Request(stars, spectra, check), Settings(seed, faint=faint)
    return make_mock(Path(output), request, settings, progress=lambda what, done, total: None)[0]


def make_mock(
    folder: Path, request: Request, settings: Settings, *, progress: Progress
) -> tuple[dict[str, Any], str]:
    """(figures, text to print); writes the tables, spectra and pictures into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    began, done = time.perf_counter(), 0
    kept: list[Mock] = []
    parts: list[Chosen] = []
    with TableFiles(folder) as files:
        for stars in iter_chunks(request.stars, settings):
            if request.check and done < CHECKED:
                kept.append(stars)
            wanted = request.spectra - sum(len(part) for part in parts)
            if wanted > 0:
                parts.append(Chosen.of(stars, done, wanted))
            files.add(stars)
            done += len(stars)
            progress("stars", done, request.stars)
        written = files.finish(_provenance(request, settings))
    seconds = time.perf_counter() - began
    chosen = Chosen.join(parts) if parts else None
    if chosen is not None and len(chosen):
        written += write_spectra(folder, chosen, settings.seed, progress=progress)
    figures: dict[str, Any] = {
        "stars": done,
        "seconds": seconds,
        "rate": done / seconds,
        "spectra": len(chosen) if chosen is not None else 0,
    }
    lines = [f"{done} stars in {seconds:.1f} s ({done / seconds:.0f} a second)."]
    if request.check:
        sample = join(kept)
        figures["check"] = check_stars(sample)
        lines += format_check(figures["check"])
        written += draw_check(sample, folder / "pictures")
    figures["files"] = [str(path) for path in written]
    if figures["spectra"]:
        lines.append(
            f"{figures['spectra']} spectra. Fit them with: bayes-ddp run {folder / 'run.toml'}"
        )
    if figures["spectra"] < request.spectra:
        lines.append(
            f"{request.spectra - figures['spectra']} spectra fewer than asked for: the model does "
            "not know the labels of the other stars. Draw more stars."
        )
    return figures, "\n".join([*lines, *(f"File: {path}" for path in written)])


def _provenance(request: Request, settings: Settings) -> dict[str, Any]:
    from bayes_ddp import __version__

    return {
        "CREATOR": f"bayes_ddp {__version__}",
        "MOCK": True,
        "SEED": settings.seed,
        "RBRIGHT": settings.bright,
        "RFAINT": settings.faint,
        "NSTARS": request.stars,
        "PRESET": "galpy2014",
    }


def draw_check(stars: Mock, folder: Path) -> list[Path]:
    """Write the pictures of a mock as PNG: distributions, kinematics, abundances, magnitudes."""
    figures = {
        "distributions": _distributions(stars),
        "kinematics": _kinematics(stars),
        "abundances": _abundances(stars),
        "colour-magnitude": _colour_magnitude(stars),
        "orbits": _orbits(stars),
    }
    return [save(figure, folder / f"{name}.png") for name, figure in figures.items()]


def _figure(columns: int, rows: int = 1, width: float = 5.4) -> tuple[Figure, np.ndarray]:
    figure = Figure(figsize=(width * columns, 4.2 * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _key(figure: Figure, group: np.ndarray, *more: Line2D) -> None:
    """A legend of the components that are there, over the whole figure."""
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
