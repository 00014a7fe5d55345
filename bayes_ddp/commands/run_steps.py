"""The steps of a run after its catalogue: distances and orbits of its stars, part by part.

Draws of a part of the run become draws of distances and orbits in the folders ``distance`` and
``orbit`` of the output, with the name of the part, so that memory does not grow with the number of
stars. A step that was stopped resumes: a file with the fingerprint of part, settings, joined rows
and code is not computed again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table, vstack

from bayes_ddp import config
from bayes_ddp.catalog.distance import distance_table
from bayes_ddp.catalog.fits import write_catalogue
from bayes_ddp.catalog.orbits import orbit_table
from bayes_ddp.commands.distance import distance_cards
from bayes_ddp.commands.distance_inputs import photometry_of_stars, systematic_errors, with_dust
from bayes_ddp.commands.distance_pictures import draw_distances
from bayes_ddp.commands.joins import identifiers_of, joined_table
from bayes_ddp.commands.orbit_pictures import draw_orbits
from bayes_ddp.commands.orbits import masses_of, orbit_cards
from bayes_ddp.commands.step_files import (
    fingerprint,
    remove_others,
    store,
    stored,
    stored_cards,
)
from bayes_ddp.commands.step_settings import digest_of, model_of, orbit_settings, selections_of
from bayes_ddp.files.outputs import check_apart, check_replaceable
from bayes_ddp.files.paths import check_file
from bayes_ddp.galaxy.distances import with_zero_points
from bayes_ddp.galaxy.draws import read_distance_draws, read_orbit_draws
from bayes_ddp.galaxy.label_draws import draws_of_posterior
from bayes_ddp.galaxy.motion import Astrometry, astrometry_of
from bayes_ddp.galaxy.photometry import Photometry
from bayes_ddp.galaxy.records import (
    DistancePosterior,
    OrbitPosterior,
    join_distances,
    join_orbits,
)
from bayes_ddp.galaxy.sampling import OrbitSettings, orbits_and_accuracy
from bayes_ddp.galaxy.steps import DistanceStep, OrbitStep
from bayes_ddp.inference.parts import Part, read_part
from bayes_ddp.pipeline.run import Outcome
from bayes_ddp.tables.read import Content

__all__ = ["check_steps", "run_steps"]

_SHOWN = 2000
"""Stars in the pictures at most."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class _Joined:
    """The catalogue of the run and what its steps join to it, each [star].

    columns : lower-case name -> values. cards : of the headers.
    """

    columns: Content
    photometry: Photometry
    astrometry: Astrometry | None
    cards: dict[str, str]


@dataclass
class _Results:
    """What the parts gave so far: tables, and records of the first stars for the pictures."""

    distances: list[Table] = field(default_factory=list)
    orbits: list[Table] = field(default_factory=list)
    shown: list[DistancePosterior] = field(default_factory=list)
    shown_orbits: list[OrbitPosterior] = field(default_factory=list)
    used: list[Path] = field(default_factory=list)
    cards: dict[str, Any] = field(default_factory=dict)

    @property
    def full(self) -> bool:
        """Whether the pictures have enough stars."""
        return sum(map(len, self.shown)) >= _SHOWN


def check_steps(settings: config.Run) -> None:
    """Raise the errors of inputs and outputs of the steps before a star is fitted."""
    if settings.distance is None:
        return
    output = Path(settings.output.directory)
    step = settings.distance
    inputs = [step.photometry, step.calibration, step.offsets_of]
    if settings.orbit:
        inputs.append(settings.orbit.astrometry)
    for path in filter(None, inputs):
        check_file(Path(path))
    outputs = [output / "distances.fits", output / "orbits.fits"]
    check_apart(outputs, [path for path in inputs if path])
    check_replaceable(outputs)
    if settings.output.pictures:
        names = ("distances.png", "orbits.png", "orbit.png")
        check_replaceable(output / "pictures" / name for name in names)


def run_steps(outcome: Outcome, *, progress: Progress) -> tuple[dict[str, Any], list[str]]:
    """(figures, lines to print) of the steps of a finished run; nothing where it has none.

    Writes OUTPUT/distances.fits and OUTPUT/orbits.fits, whose rows are those of the catalogue.
    """
    run = outcome.setup.run
    if run.distance is None or outcome.draws is None:
        return {}, []
    output = outcome.path.parent
    stars = _join(outcome, run.distance, run.orbit)
    results = _Results()
    done = 0
    for path in outcome.parts:
        part = read_part(path)
        assert part is not None, path
        rows = np.arange(done, done + len(part))
        if len(rows):
            _one_part(path, part, rows, stars=stars, run=run, results=results)
        done += len(rows)
        progress("distances and orbits" if run.orbit else "distances", done, len(outcome.table))
    remove_others(output, results.used)
    return _written(outcome, stars, results)


def _join(outcome: Outcome, step: DistanceStep, orbit: OrbitStep | None) -> _Joined:
    columns = {name.lower(): np.asarray(outcome.table[name]) for name in outcome.table.colnames}
    path = Path(step.photometry) if step.photometry else None
    photometry, by = photometry_of_stars(
        columns, outcome.path, path, hdu=step.hdu, names=step.column
    )
    photometry = with_dust(photometry, step.dust_map, step.dust_scale)
    cards = {"DJOINED": by}
    motion = None
    if orbit:
        name = orbit.astrometry or step.photometry
        hdu = orbit.hdu if orbit.astrometry else step.hdu
        if name is None:
            motion, cards["JOINEDBY"] = astrometry_of(columns, where=str(outcome.path)), "nothing"
        else:
            theirs, rows, by = joined_table(columns, outcome.path, Path(name), hdu=hdu)
            motion, cards["JOINEDBY"] = astrometry_of(theirs, where=name).take(rows), by
    return _Joined(columns, with_zero_points(photometry, step.settings), motion, cards)


def _one_part(
    path: Path,
    part: Part,
    rows: np.ndarray,
    *,
    stars: _Joined,
    run: config.Run,
    results: _Results,
) -> None:
    """Distances and orbits of one part, computed or read, and their rows of the tables."""
    step = run.distance
    assert step is not None
    columns = {name: values[rows] for name, values in stars.columns.items()}
    ids = identifiers_of(columns, part.posterior.ids)
    photometry = stars.photometry.take(rows)
    errors = systematic_errors(columns, part.posterior.names) if step.systematics else None
    model = model_of(step)
    settings = model.settings(step.settings)
    before = f"{part.fingerprint} {digest_of(step.calibration)}"
    mark = fingerprint(before, settings, photometry, errors=errors)
    file = path.parents[1] / "distance" / path.name
    distance = stored(file, mark, read_distance_draws)
    if distance is None:
        labels = draws_of_posterior(
            part.posterior, number=settings.draws, errors=errors, vrad=part.vrad
        )
        distance = model.distances(labels, photometry, settings)
        distance = replace(distance, warn=distance.warn | part.posterior.warn)
        store(file, distance, mark)
        distance = read_distance_draws(file)  # float32, as a run that resumes has them
    results.used.append(file)
    results.distances.append(distance_table(distance, ids))
    if run.orbit and stars.astrometry:
        orbits = _orbits(
            orbit_settings(run.orbit, part.survey),
            distance,
            stars.astrometry.take(rows),
            file=path.parents[1] / "orbit" / path.name,
            mark=mark,
            results=results,
        )
        selections = selections_of(run.orbit)
        masses = masses_of(orbits, distance, columns, chosen=selections)
        results.orbits.append(orbit_table(orbits, ids, masses))
        if not results.full:
            results.shown_orbits.append(orbits)
    if not results.full:
        results.shown.append(distance)


def _orbits(
    settings: OrbitSettings,
    distance: DistancePosterior,
    astrometry: Astrometry,
    *,
    file: Path,
    mark: str,
    results: _Results,
) -> OrbitPosterior:
    """Orbits of one part, computed or read; the first part that has orbits is checked."""
    if results.cards.get("NCHECK"):
        settings = replace(settings, check=0)
    mark = fingerprint(mark, settings, astrometry)
    found = stored(file, mark, read_orbit_draws)
    if found is None:
        found, accuracy = orbits_and_accuracy(distance, astrometry, settings)
        store(file, found, mark, cards=accuracy.cards() if accuracy else {})
        found = read_orbit_draws(file)
    cards = {key: value for key, value in stored_cards(file).items() if key != "STEPMARK"}
    results.cards = cards | results.cards if results.cards.get("NCHECK") else cards
    results.used.append(file)
    return found


def _written(
    outcome: Outcome, stars: _Joined, results: _Results
) -> tuple[dict[str, Any], list[str]]:
    """Write tables and pictures; (figures, lines to print)."""
    run, output = outcome.setup.run, outcome.path.parent
    step, orbit = run.distance, run.orbit
    assert step is not None
    table = vstack(results.distances, metadata_conflicts="silent")
    model = model_of(step)
    cards: dict[str, Any] = stars.cards | model.cards()
    cards |= distance_cards(model.settings(step.settings), systematics=step.systematics)
    write_catalogue(table, output / "distances.fits", cards)
    known = np.isfinite(np.asarray(table["DIST_P50"]))
    by = np.asarray(table["DIST_BY"])
    figures: dict[str, Any] = {
        "distances": str(output / "distances.fits"),
        "with_distance": int(known.sum()),
        "dominated_by": {n: int((by == n).sum()) for n in ("parallax", "labels", "prior")},
    }
    lines = [f"Distances: {output / 'distances.fits'} ({known.sum()} stars)"]
    if orbit and results.orbits:
        table = vstack(results.orbits, metadata_conflicts="silent")
        cards |= results.cards | orbit_cards(
            orbit_settings(orbit, run.input.survey), selections_of(orbit)
        )
        write_catalogue(table, output / "orbits.fits", cards)
        number = int(np.isfinite(np.asarray(table["J_PHI_P50"])).sum())
        figures |= {"orbits": str(output / "orbits.fits"), "with_orbit": number}
        lines.append(f"Orbits: {output / 'orbits.fits'} ({number} stars)")
    if run.output.pictures and known.any():
        drawn = _pictures(outcome, stars, results)
        figures["step_pictures"] = [str(path) for path in drawn]
        lines += [f"Picture: {path}" for path in drawn]
    return figures, lines


def _pictures(outcome: Outcome, stars: _Joined, results: _Results) -> list[Path]:
    folder, run = outcome.path.parent / "pictures", outcome.setup.run
    distance = join_distances(results.shown)
    rows = np.arange(len(distance))
    written = draw_distances(distance, stars.photometry.take(rows), folder)
    if run.orbit and results.shown_orbits:
        orbits = join_orbits(results.shown_orbits)
        columns = {name: values[rows] for name, values in stars.columns.items()}
        masses = masses_of(orbits, distance, columns, chosen=selections_of(run.orbit))
        written += draw_orbits(orbits, masses, folder, settings=run.orbit.settings)
    return written
