"""Stars of a magnitude-limited survey are drawn from a mock Milky Way, with their true values.

Candidates come from ``sightlines`` in proportion to the density; each draws [Fe/H], age, elements
and mass from its component, goes through the isochrones to a spectrum's labels and to magnitudes,
may be two stars, is reddened, moves, is measured with errors, and is kept if the survey targets
it. Chunk ``k`` depends on the seed and on ``k`` alone, so memory is flat, the same seed gives the
same stars, and a larger sample begins with the smaller one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bayes_ddp.galaxy.columns import ORBIT_COLUMNS
from bayes_ddp.galaxy.engines import make_engine
from bayes_ddp.galaxy.extinction import LEGACY, dust
from bayes_ddp.galaxy.frames import galactic_to_icrs, observed
from bayes_ddp.galaxy.light import (
    BANDS,
    apparent_magnitudes,
    combine,
    components_of_light,
    single_magnitudes,
)
from bayes_ddp.galaxy.orbit import orbit_integrals
from bayes_ddp.mock import elements, survey
from bayes_ddp.mock.components import COMPONENTS, PRESET, Component
from bayes_ddp.mock.kinematics import draw_velocity, phase_of
from bayes_ddp.mock.sightlines import (
    DEC_LOW,
    LAT_LOW,
    Candidates,
    Cells,
    draw_candidates,
    make_cells,
)

__all__ = ["CHUNK", "Mock", "Settings", "draw_chunk", "draw_stars", "iter_chunks", "join"]

Columns = dict[str, np.ndarray]

CHUNK = 16_384
"""Cells drawn at a time; about a fifth become stars of the survey."""

BINARY_FRACTION = 0.45
"""Raghavan et al. (2010); mass ratios are uniform from 0.1 to 1."""

_BEYOND = 1000.0  # kpc, behind all dust
_NOISE = 0.3  # mag by which noise may bring a star across a limit


@dataclass(frozen=True)
class Settings:
    """Settings of the draw.

    seed : of everything. bright, faint : limits of the survey in dereddened r; 19 is DESI's main
        survey, 20 its survey validation.
    """

    seed: int = 1
    bright: float = 16.0
    faint: float = 19.0

    def __post_init__(self) -> None:
        if not 12 <= self.bright < self.faint <= 21:
            raise ValueError(
                f"The limits r = {self.bright} to {self.faint} must be in order and between 12 "
                "and 21: DESI's main survey is 16 to 19, its survey validation 16 to 20."
            )
        if self.seed < 0:
            raise ValueError(f"The seed {self.seed} is negative: take a whole number from 0 on.")

    @property
    def limits(self) -> tuple[float, float]:
        """(bright, faint)."""
        return self.bright, self.faint


@dataclass(frozen=True)
class Mock:
    """Stars of the survey, row by row the same in both tables.

    truth : name -> [star], see ``columns.TRUTH``. seen : name -> [star], what was measured.
    density : targets per square degree for one thin-disc star per kpc3 at the Sun.
    overshoot : see ``Candidates``.
    """

    truth: Columns
    seen: Columns
    density: float
    overshoot: float

    def __len__(self) -> int:
        return len(self.truth["ra"])

    def first(self, count: int) -> "Mock":
        """The same with only the first ``count`` stars."""
        truth = {name: values[:count] for name, values in self.truth.items()}
        seen = {name: values[:count] for name, values in self.seen.items()}
        return Mock(truth, seen, self.density, self.overshoot)


def iter_chunks(count: int, settings: Settings) -> Iterator[Mock]:
    """``count`` stars in pieces whose size varies; raises ValueError for a count below one."""
    if count < 1:
        raise ValueError(f"{count} stars: ask for at least one.")
    number, left = 0, count
    while left > 0:
        chunk = draw_chunk(number, settings).first(left)
        number, left = number + 1, left - len(chunk)
        yield chunk


def draw_stars(count: int, settings: Settings | None = None) -> Mock:
    """``count`` stars as one record; raises ValueError for a count below one."""
    return join(list(iter_chunks(count, settings or Settings())))


def join(parts: Sequence[Mock]) -> Mock:
    """The rows of all parts, concatenated."""
    truth = {n: np.concatenate([p.truth[n] for p in parts]) for n in parts[0].truth}
    seen = {n: np.concatenate([p.seen[n] for p in parts]) for n in parts[0].seen}
    mean = float(np.mean([p.density for p in parts]))
    return Mock(truth, seen, mean, max(p.overshoot for p in parts))


@lru_cache(maxsize=4)
def _cells(limits: tuple[float, float]) -> Cells:
    return make_cells(_anywhere, limits)


def _anywhere(component: Component, mass: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[star], M_r of stars of a component anywhere in the Galaxy."""
    born = _born(component, rng.uniform(2.0, 16.0, len(mass)), rng)
    return single_magnitudes(born | {"mass_ini": mass})["r"]


def _born(component: Component, radius: np.ndarray, rng: np.random.Generator) -> Columns:
    """[Fe/H], age and alpha elements of stars of a component at ``radius`` kpc."""
    feh = elements.draw_feh(component, radius, rng)
    age = elements.draw_age(component, feh, rng)
    return {"feh": feh, "age": age} | elements.draw_alpha(component, feh, rng)


def draw_chunk(number: int, settings: Settings) -> Mock:
    """The stars of one chunk that the survey targets; the same numbers give the same stars."""
    rng = np.random.default_rng([settings.seed, number])
    cells = _cells(settings.limits)
    places = draw_candidates(cells, CHUNK, rng)
    star = _shining(places, settings.limits, rng)
    star |= _moving(star, rng)
    seen, star = _observed(star, settings, rng)
    found = orbit_integrals(phase_of(star["position"], star["velocity"]), PRESET, make_engine())
    star |= {column.name: found[column.name.lower()] for column in ORBIT_COLUMNS}
    square_degrees = _footprint() * 4 * np.pi * (180 / np.pi) ** 2
    density = cells.rate.sum() / CHUNK * len(seen["ra"]) / square_degrees
    return Mock(star, seen, float(density), places.overshoot)


def _per_component(
    component: np.ndarray, draw: Callable[[Component, np.ndarray], Columns]
) -> Columns:
    """Name -> [star] (or [star n]), values that each component draws for its own rows."""
    result: Columns = {}
    for i, part in enumerate(COMPONENTS):
        rows = np.flatnonzero(component == i)
        for name, values in draw(part, rows).items():
            whole = result.setdefault(name, np.empty((len(component), *values.shape[1:])))
            whole[rows] = values
    return result


def _take(columns: Columns, keep: np.ndarray) -> Columns:
    return {name: values[keep] for name, values in columns.items()}


def _shining(places: Candidates, limits: tuple[float, float], rng: np.random.Generator) -> Columns:
    """Labels and magnitudes of the stars that are alive and within the dereddened limits."""
    star = _per_component(
        places.component, lambda part, rows: _born(part, places.position[rows, 0], rng)
    )
    count = len(places.lon)
    star["mass_ini"] = elements.draw_mass(places.mass_low, places.mass_high, rng)
    double, ratio = rng.random(count) < BINARY_FRACTION, rng.uniform(0.1, 1.0, count)
    star["mass_ratio"] = np.where(double, ratio, 0.0)
    star["component"], star["position"] = places.component, places.position
    star["lon"], star["lat"], star["distance"] = places.lon, places.lat, places.distance
    light, first, second = components_of_light(star)
    r = combine(first, second)["r"] + 5 * np.log10(star["distance"]) + 10
    keep = (r > limits[0] - _NOISE) & (r < limits[1] + _NOISE)  # False for the dead
    star = _take(
        star
        | light
        | {f"m1_{b}": first[b] for b in BANDS}
        | {f"m2_{b}": second[b] for b in BANDS},
        keep,
    )
    star["ebv"] = dust(star["lon"], star["lat"], star["distance"])
    return star


def _moving(star: Columns, rng: np.random.Generator) -> Columns:
    """The stars with further elements, microturbulence and velocities."""
    component, position = star["component"], star["position"]
    drawn = _per_component(
        component,
        lambda part, rows: (
            elements.draw_others(part, star["feh"][rows], star["logg"][rows], rng=rng)
            | {"velocity": draw_velocity(part, position[rows], rng)}
        ),
    )
    drawn["vmic"] = elements.draw_vmic(star["teff"], star["logg"], rng)
    sky = observed(phase_of(position, drawn["velocity"]), PRESET)
    return drawn | {
        "ra": sky.ra,
        "dec": sky.dec,
        "pmra": sky.pmra,
        "pmdec": sky.pmdec,
        "vrad": sky.vrad,
        "parallax": 1 / sky.distance,
    }


def _observed(
    star: Columns, settings: Settings, rng: np.random.Generator
) -> tuple[Columns, Columns]:
    """(measured values, true values) of the stars that the survey targets."""
    true = apparent_magnitudes(star)
    column = dust(star["lon"], star["lat"], np.full(len(star["lon"]), _BEYOND))
    motion = {key: star[key] for key in ("parallax", "pmra", "pmdec")}
    seen = survey.measure(true, **motion, ebv=column, rng=rng)
    clear = {band: seen.magnitudes[band] - a * seen.ebv for band, a in LEGACY.items()}
    target = survey.targets(seen, clear, settings.limits, rng=rng)
    snr = survey.signal_to_noise(true, rng)
    vrad_err = survey.velocity_error(snr["R"], star["teff"], star["feh"])
    columns = {
        "ra": star["ra"],
        "dec": star["dec"],
        "target": target,
        "ebv": seen.ebv,
        "parallax": seen.parallax,
        "pmra": seen.pmra,
        "pmdec": seen.pmdec,
        "astrometric_error": seen.astrometric_error,
        "vrad": star["vrad"] + vrad_err * rng.standard_normal(len(vrad_err)),
        "vrad_err": vrad_err,
    }
    columns |= {f"sn_{arm.lower()}": values for arm, values in snr.items()}
    columns |= {f"mag_{band}": values for band, values in seen.magnitudes.items()}
    columns |= {f"err_{band}": values for band, values in seen.errors.items()}
    columns |= survey.measure_labels(star, snr["R"], rng)
    keep = target > 0
    truth = star | {f"mag_{band}": values for band, values in true.items()}
    return _take(columns, keep), _take(truth, keep)


@lru_cache(maxsize=1)
def _footprint() -> float:
    """Fraction of the sky within the survey's footprint, to 0.1 %."""
    lon = (np.arange(1440) + 0.5) * np.pi / 720
    sine = (np.arange(1440) - 719.5) / 720
    lon, lat = (part.ravel() for part in np.meshgrid(lon, np.arcsin(sine)))
    inside = np.abs(lat) > np.radians(LAT_LOW)
    return float(np.mean(inside & (galactic_to_icrs(lon, lat)[1] > np.radians(DEC_LOW))))
