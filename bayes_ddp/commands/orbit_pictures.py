"""The pictures of orbits: actions, eccentricities and places of all stars, the path of one."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from bayes_ddp.commands.pictures import save
from bayes_ddp.galaxy.frames import Cylindrical
from bayes_ddp.galaxy.membership import SELECTIONS, Box
from bayes_ddp.galaxy.orbit import CARTESIAN, cylindrical
from bayes_ddp.galaxy.potential import load_potential
from bayes_ddp.galaxy.preset import preset_of
from bayes_ddp.galaxy.records import OrbitPosterior
from bayes_ddp.galaxy.reference import GalpyIntegration
from bayes_ddp.galaxy.sampling import OrbitSettings
from bayes_ddp.plots import orbits as plots

__all__ = ["draw_orbits"]

_LEVELS = (0.16, 0.5, 0.84)
_PATHS = 12  # draws of the star whose path is drawn
_SPAN = 60.0  # R0 / v_c, about 2 Gyr

Masses = Mapping[str, tuple[np.ndarray, np.ndarray]]


def draw_orbits(
    posterior: OrbitPosterior, masses: Masses, folder: Path, *, settings: OrbitSettings
) -> list[Path]:
    """Write orbits.png and, where a star has an orbit, orbit.png; the files written."""
    written = [save(_overview(posterior, masses, settings), folder / "orbits.png")]
    star = _instructive(posterior, masses)
    if star is not None:
        written.append(save(_path(posterior, star, settings), folder / "orbit.png"))
    return written


def _overview(posterior: OrbitPosterior, masses: Masses, settings: OrbitSettings) -> Figure:
    figure = Figure(figsize=(15.5, 4.6), layout="constrained")
    axes = figure.subplots(1, 3)
    name = next(iter(masses), "")
    member = np.nan_to_num(masses[name][0]) > 0.5 if name else np.zeros(len(posterior), bool)
    q = {n: posterior.quantiles(n, _LEVELS) for n in ("j_phi", "j_r", "r_apo", "ecc", "x", "z")}
    root = {"j_r": np.sqrt(posterior["j_r"])}
    q["j_r"] = np.sqrt(q["j_r"])
    high = _limit(q["j_r"][1], 20.0, 80.0), _limit(q["r_apo"][1], 20.0, 100.0)
    planes = (
        ("j_phi", "j_r", (-4000, 4000), (0, high[0])),
        ("r_apo", "ecc", (0, high[1]), (0, 1)),
    )
    titles = {
        "j_phi": "$J_\\phi$ [kpc km s$^{-1}$]",
        "j_r": "$\\sqrt{J_R}$ [(kpc km s$^{-1}$)$^{1/2}$]",
        "r_apo": "$r_\\mathrm{apo}$ [kpc]",
        "ecc": "eccentricity",
    }
    for ax, (x, y, wide, tall) in zip(axes, planes, strict=False):
        mesh = plots.plot_cloud(
            ax,
            posterior[x],
            root.get(y, posterior[y]),
            weight=posterior.weight,
            edges=(np.linspace(*wide, 81), np.linspace(*tall, 61)),
            titles=(titles[x], titles[y]),
        )
        ax.set(xlim=wide, ylim=tall)
        shown = f"P_{name.upper()} > 0.5 ({member.sum()})"
        plots.plot_members(ax, q[x][:, member], q[y][:, member], label=shown)
    _limits(axes, name)
    if member.any():
        axes[0].legend(loc="upper left", frameon=False, fontsize="small")
    figure.colorbar(mesh, ax=axes[:2], pad=0.01, label="stars per bin, summed over draws")
    chance = masses[name][0] if name else None
    sun = preset_of(settings.preset)
    points = plots.plot_places(
        axes[2], q["x"], q["z"], colour=chance, sun=-float(np.sqrt(sun.r0**2 - sun.z0**2))
    )
    if chance is not None:
        points.set_clim(0, 1)
        figure.colorbar(points, ax=axes[2], pad=0.01, label=f"P_{name.upper()}")
    return figure


def _limit(values: np.ndarray, least: float, most: float) -> float:
    known = values[np.isfinite(values)]
    return float(np.clip(1.1 * np.quantile(known, 0.98), least, most)) if len(known) else least


def _limits(axes: np.ndarray, name: str) -> None:
    """The limits of the selection as lines, where they are in the planes."""
    box = next((s for n, s in SELECTIONS.items() if n.startswith(name) and name), None)
    if not isinstance(box, Box):
        return
    for end in box.limits.get("j_phi", ()):
        axes[0].axvline(end, color="0.3", linewidth=0.8, linestyle="--")
    for end in box.limits.get("ecc", ())[:1]:
        axes[1].axhline(end, color="0.3", linewidth=0.8, linestyle="--")


def _instructive(posterior: OrbitPosterior, masses: Masses) -> int | None:
    """The star without a warning, or else any with an orbit, that is most surely a member."""
    chance = np.nan_to_num(next(iter(masses.values()))[0]) if masses else np.zeros(len(posterior))
    known = np.isfinite(posterior["ecc"]).mean(axis=0) > 0.9
    if not known.any():
        return None
    return int(np.argmax(np.where(known, 1.0, -9.0) + chance + 2.0 * (posterior.warn == 0)))


def _path(posterior: OrbitPosterior, star: int, settings: OrbitSettings) -> Figure:
    """Paths in the potential of the settings, with the preset's scale."""
    named, preset = load_potential(settings.potential), preset_of(settings.preset)
    r0, vc = named.scale or (preset.r0, preset.vc)
    weight = np.where(np.isfinite(posterior["ecc"][:, star]), posterior.weight[:, star], 0.0)
    rng = np.random.default_rng(settings.seed)
    chosen = rng.choice(len(weight), _PATHS, p=weight / weight.sum())
    place = {name: posterior[name][chosen, star].astype(float) for name in CARTESIAN}
    units = (r0, 1.0, r0, vc, vc, vc)
    start = Cylindrical(*(v / u for v, u in zip(cylindrical(place), units, strict=True)))
    track = GalpyIntegration(named.of_galpy(), span=_SPAN, step=0.02).track(start)
    offset = posterior["ecc"][chosen, star] - posterior.quantiles("ecc", [0.5])[0, star]
    best = int(np.argmin(np.abs(offset)))
    figure = Figure(figsize=(9.6, 4.6), layout="constrained")
    axes = figure.subplots(1, 2)
    plots.plot_track(
        axes[0],
        -r0 * track.R * np.cos(track.phi),
        r0 * track.R * np.sin(track.phi),
        titles=("$X$ [kpc]", "$Y$ [kpc]"),
        best=best,
    )
    axes[0].set_aspect("equal", adjustable="datalim")
    plots.plot_track(
        axes[1], r0 * track.R, r0 * track.z, titles=("$R$ [kpc]", "$Z$ [kpc]"), best=best
    )
    figure.suptitle(f"{posterior.ids[star]}: {_PATHS} draws, 2 Gyr", fontsize=10)
    return figure
