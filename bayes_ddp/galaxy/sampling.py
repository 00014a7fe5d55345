"""Draws of distances to draws of orbits: the orbit posterior of stars.

A draw of the distance gets a proper motion that belongs to it, the velocity of the same draw, and
with these an orbit, so that all correlations are kept. Draws whose orbits are unbound have no
eccentricity or apocentre; the quantiles of a star are those of its other draws.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bayes_ddp.flags import WARN
from bayes_ddp.galaxy.check import Accuracy, measure_accuracy
from bayes_ddp.galaxy.engines import EngineName, FastStaeckel, make_engine
from bayes_ddp.galaxy.frames import Cylindrical, galactocentric
from bayes_ddp.galaxy.motion import Astrometry, draw_sky
from bayes_ddp.galaxy.orbit import QUANTITIES, cartesian, orbit_integrals
from bayes_ddp.galaxy.potential import DEFAULT, HEAVY, load_potential
from bayes_ddp.galaxy.preset import Preset, draw_presets, preset_of
from bayes_ddp.galaxy.records import DistancePosterior, OrbitPosterior

__all__ = ["OrbitSettings", "orbits", "orbits_and_accuracy"]

_STARS = 1024  # worked on at a time
_MANY = 0.05  # of the posterior, beyond which a bit is set
_FAR = 30.0  # kpc from the centre
_DERIVED = (*QUANTITIES, "x", "y", "z", "v_x", "v_y", "v_z", "unbound", "unbound_heavy")

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class OrbitSettings:
    """How orbits are computed.

    preset : the Sun's place and motion and the scale of the potential, ``galpy2014`` or ``sgrA``.
    potential : ``MWPotential2014``, or any of galpy's by name. engine : see ``make_engine``.
    heavy : a second, heavier potential for ``unbound_heavy``; empty for none.
    vary_preset : include the errors of the preset, with one draw for all stars.
    vrad_floor : km/s, scatter of the survey's velocities beyond their errors.
    check : orbits that are integrated to measure the error of the approximation; 0 for none.
    seed : of proper motions, velocities and presets.
    """

    preset: str = "galpy2014"
    potential: str = DEFAULT
    engine: EngineName = "auto"
    heavy: str = HEAVY
    vary_preset: bool = False
    vrad_floor: float = 0.0
    check: int = 64
    seed: int = 1

    def __post_init__(self) -> None:
        preset_of(self.preset)
        if self.vrad_floor < 0 or not np.isfinite(self.vrad_floor):
            raise ValueError(
                f"vrad_floor = {self.vrad_floor} km/s: give a scatter, 0 where there is none."
            )
        if self.check < 0 or self.seed < 0:
            raise ValueError(
                f"check = {self.check} and seed = {self.seed} have to be whole numbers from 0 on."
            )


def orbits(
    distance: DistancePosterior,
    astrometry: Astrometry,
    settings: OrbitSettings | None = None,
    *,
    progress: Progress | None = None,
) -> OrbitPosterior:
    """Draws of orbits, aligned with draws of distances.

    Parameters
    ----------
    distance
        With ``dist`` (kpc) and ``vrad`` (km/s).
    astrometry
        Of the same stars in the same order (``astrometry_of``).
    settings
        By default MWPotential2014 with the preset ``galpy2014``.
    progress : called with (text, stars done, stars)

    Returns
    -------
    OrbitPosterior
        Its diagnostics are ``p_unbound`` and ``p_unbound_heavy`` [star].

    Raises ValueError where both have other numbers of stars or a name does not exist, RuntimeError
    without float64.
    """
    return orbits_and_accuracy(distance, astrometry, settings, progress=progress)[0]


def orbits_and_accuracy(
    distance: DistancePosterior,
    astrometry: Astrometry,
    settings: OrbitSettings | None = None,
    *,
    progress: Progress | None = None,
) -> tuple[OrbitPosterior, Accuracy | None]:
    """As ``orbits``, and how far a random subset is from integrated orbits; None without one."""
    settings = settings or OrbitSettings()
    if len(distance) != len(astrometry):
        raise ValueError(
            f"Distances of {len(distance)} stars and astrometry of {len(astrometry)}: match them "
            "first, so that row i of both is the same star."
        )
    named, preset = load_potential(settings.potential), preset_of(settings.preset)
    draws = len(distance.log_weight)
    if settings.vary_preset:
        preset = draw_presets(preset, draws, np.random.default_rng([settings.seed, 0]))
    engine = make_engine(settings.potential, settings.engine)
    whole: dict[str, np.ndarray] = {
        name: np.full((draws, len(distance)), np.nan, np.float32) for name in _DERIVED
    }
    for first in range(0, len(distance), _STARS):
        rows = slice(first, min(first + _STARS, len(distance)))
        star = _places(distance, astrometry, rows, preset=preset, settings=settings)
        found = orbit_integrals(star, preset, engine, scale=named.scale)
        found |= cartesian(star) | _unbound(star, found, preset, heavy=settings.heavy)
        for name, values in found.items():
            whole[name][:, rows] = values
        if progress:
            progress("orbits", rows.stop, len(distance))
    posterior = _posterior(distance, whole)
    if not settings.check or not isinstance(engine, FastStaeckel):
        return posterior, None
    star = _some(distance, astrometry, posterior, preset=preset, settings=settings)
    return posterior, measure_accuracy(star, preset_of(settings.preset), named)


def _places(
    distance: DistancePosterior,
    astrometry: Astrometry,
    rows: slice,
    *,
    preset: Preset,
    settings: OrbitSettings,
) -> Cylindrical:
    """Places and velocities in the Galaxy, [draw star]."""
    far = distance["dist"][:, rows].astype(float)
    speed = (
        distance["vrad"] if "vrad" in distance.names else np.full_like(distance["dist"], np.nan)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        sky = draw_sky(
            astrometry.take(rows),
            np.where(far > 0, far, np.nan),
            speed[:, rows].astype(float),
            ids=distance.ids[rows],
            floor=settings.vrad_floor,
            seed=settings.seed,
        )
        return galactocentric(sky, preset)


def _unbound(
    star: Cylindrical, found: dict[str, np.ndarray], preset: Preset, *, heavy: str
) -> dict[str, np.ndarray]:
    """``unbound`` in the potential and in a heavier one: 0, 1, or NaN where not known."""

    def escaped(energy: np.ndarray) -> np.ndarray:
        return np.where(np.isfinite(energy), (energy >= 0).astype(float), np.nan)

    result = {"unbound": escaped(found["energy"])}
    if heavy:
        named = load_potential(heavy)
        speed2 = star.v_R**2 + star.v_phi**2 + star.v_z**2
        result["unbound_heavy"] = escaped(named.depth(star, preset) + 0.5 * speed2)
    return result


def _posterior(distance: DistancePosterior, whole: dict[str, np.ndarray]) -> OrbitPosterior:
    weight = np.nan_to_num(distance.weight)

    def mass(condition: np.ndarray) -> np.ndarray:
        return np.asarray(np.sum(weight * condition, axis=0))

    known = mass(np.isfinite(whole["energy"]))
    safe = np.where(known > 0, known, np.nan)
    outside = {f"p_{name}": mass(whole[name] == 1) / safe for name in ("unbound", "unbound_heavy")}
    if np.isnan(whole["unbound_heavy"]).all():
        outside["p_unbound_heavy"] = np.full(len(distance), np.nan)
    far = whole["x"] ** 2 + whole["y"] ** 2 + whole["z"] ** 2 > _FAR**2
    lost = (whole["unbound"] == 0) & np.isnan(whole["ecc"])
    warn = np.asarray(distance.warn, np.int64).copy()
    for bit, condition in (
        (WARN.UNBOUND, outside["p_unbound"] > _MANY),
        (WARN.NO_ORBIT, known == 0),
        (WARN.OUTER_HALO, mass(far) > 0.5 * known),
        (WARN.LOST_DRAWS, mass(lost) > _MANY * known),
    ):
        warn |= np.where(condition & ((known > 0) | (bit == WARN.NO_ORBIT)), int(bit), 0)
    return OrbitPosterior(distance.ids, distance.log_weight, whole, warn, diagnostics=outside)


def _some(
    distance: DistancePosterior,
    astrometry: Astrometry,
    posterior: OrbitPosterior,
    *,
    preset: Preset,
    settings: OrbitSettings,
) -> Cylindrical:
    """Places [orbit] of ``check`` random draws whose orbits are known, chosen by weight."""
    rng = np.random.default_rng([settings.seed, 1])
    weight = np.where(np.isfinite(posterior["ecc"]), np.nan_to_num(distance.weight), 0.0)
    stars = np.flatnonzero(weight.any(axis=0))
    if len(stars):
        stars = rng.choice(stars, settings.check, replace=len(stars) < settings.check)
    pairs = []
    for star in stars:
        chance = weight[:, star] / weight[:, star].sum()
        pairs.append((rng.choice(len(chance), p=chance), star))
    parts = []
    for draw, star in pairs:
        rows = slice(int(star), int(star) + 1)
        place = _places(distance, astrometry, rows, preset=preset, settings=settings)
        parts.append([part[draw, 0] for part in place])
    return Cylindrical(*np.array(parts, float).reshape(-1, 6).T)
