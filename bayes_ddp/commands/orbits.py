"""The orbits of a catalogue: distances in, a table with draws and pictures out."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bayes_ddp.catalog.fits import write_catalogue
from bayes_ddp.catalog.orbits import orbit_table
from bayes_ddp.commands.orbit_inputs import Inputs, read_inputs
from bayes_ddp.files.errors import OutputError
from bayes_ddp.files.outputs import check_apart, check_replaceable
from bayes_ddp.flags import WARN
from bayes_ddp.galaxy.check import Accuracy
from bayes_ddp.galaxy.draws import write_draws
from bayes_ddp.galaxy.membership import Box, Selection, check_preset, posterior_mass, selection
from bayes_ddp.galaxy.records import DistancePosterior, OrbitPosterior
from bayes_ddp.galaxy.sampling import OrbitSettings, orbits_and_accuracy

__all__ = [
    "OrbitFiles",
    "box_of",
    "chosen_selections",
    "draw_columns",
    "make_orbits",
    "masses_of",
    "orbit_cards",
]

DEFAULT_SELECTION = {"galpy2014": "ges", "sgrA": "ges_sgra"}
"""Preset -> selection that is made without being asked for."""

_SHORT = {"ges_sgra": "ges"}  # column P_GES, whatever the preset


@dataclass(frozen=True)
class OrbitFiles:
    """Files of one call.

    catalogue : with distances, or with draws of them beside it or in ``draws``.
    astrometry : table to join; None where the catalogue has the columns itself. hdu : its
    extension. output : FITS table to write; draws go beside it as .nc. pictures : folder.
    """

    catalogue: Path
    astrometry: Path | None
    output: Path
    draws: Path | None = None
    hdu: str | None = None
    pictures: Path | None = None

    @property
    def orbit_draws(self) -> Path:
        """Where the draws of orbits go."""
        return self.output.with_suffix(".nc")


def make_orbits(
    files: OrbitFiles,
    settings: OrbitSettings,
    *,
    select: Sequence[str] = (),
    boxes: Mapping[str, Selection] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[dict[str, Any], str]:
    """Compute and write the orbits of a catalogue; (figures, text to print).

    select : selections by name. boxes : further ones.

    Raises OutputError before the work where a file would be replaced that must not be.
    """
    _check(files)
    chosen = chosen_selections(settings.preset, select, boxes or {})
    files.output.parent.mkdir(parents=True, exist_ok=True)
    inputs = read_inputs(
        files.catalogue, files.astrometry, draws=files.draws, hdu=files.hdu, settings=settings
    )
    posterior, accuracy = orbits_and_accuracy(
        inputs.distance, inputs.astrometry, inputs.settings, progress=progress
    )
    masses = masses_of(posterior, inputs.distance, inputs.columns, chosen=chosen)
    cards = orbit_cards(inputs.settings, chosen)
    cards |= {"JOINEDBY": inputs.joined_by, "DISTFROM": inputs.distances_from}
    cards |= accuracy.cards() if accuracy else {"NCHECK": 0}
    table = orbit_table(posterior, inputs.identifiers, masses)
    write_catalogue(table, files.output, cards)
    write_draws(files.orbit_draws, posterior, cards)
    written = [files.output, files.orbit_draws]
    if files.pictures:
        from bayes_ddp.commands.orbit_pictures import draw_orbits

        written += draw_orbits(posterior, masses, files.pictures, settings=inputs.settings)
    return _report(posterior, masses, accuracy, inputs=inputs, written=written)


def chosen_selections(
    preset: str, select: Sequence[str], boxes: Mapping[str, Selection]
) -> dict[str, Selection]:
    """Name of the column after ``P_`` -> selection; the default one where none is named.

    Raises ValueError for unknown names, and for selections of another preset.
    """
    names = list(select) or [DEFAULT_SELECTION[preset]]
    chosen = {_SHORT.get(name, name): selection(name, preset) for name in names}
    for name, box in boxes.items():
        check_preset(name, box, preset)
        chosen[name] = box
    return chosen


def box_of(words: Sequence[str]) -> dict[str, Box]:
    """Boxes from words: a name begins one, ``COLUMN=LOW:HIGH`` adds a limit.

    Raises ValueError for words that are neither.

    >>> box_of(["halo", "ecc=0.7:", "feh=:-1"])["halo"].limits
    {'ecc': (0.7, inf), 'feh': (-inf, -1.0)}
    """
    limits: dict[str, dict[str, tuple[float, float]]] = {}
    name = "box"
    for word in words:
        column, equals, interval = word.partition("=")
        if not equals:
            name = word.strip().lower()
            if not re.fullmatch("[a-z][a-z0-9_]{0,30}", name):
                raise ValueError(f"--box {word!r}: take letters, digits and _ for its name.")
            continue
        low, colon, high = interval.partition(":")
        try:
            ends = float(low or "-inf"), float(high or "inf")
        except ValueError:
            colon = ""
        if not colon or not ends[0] < ends[1]:
            raise ValueError(f"--box {word!r} is not COLUMN=LOW:HIGH. Give such as ecc=0.9:1.")
        limits.setdefault(name, {})[column.strip().lower()] = ends
    return {name: Box(ends) for name, ends in limits.items()}


def _check(files: OrbitFiles) -> None:
    if files.output.suffix.lower() != ".fits":
        raise OutputError(f"{files.output}: tables of orbits are FITS. End the name in .fits.")
    outputs = [files.output, files.orbit_draws]
    inputs = [p for p in (files.catalogue, files.astrometry, files.draws) if p is not None]
    check_apart(outputs, [*inputs, files.catalogue.with_suffix(".nc")])
    check_replaceable(outputs)
    if files.pictures:
        check_replaceable(files.pictures / name for name in ("orbits.png", "orbit.png"))


def draw_columns(
    posterior: OrbitPosterior, distance: DistancePosterior, columns: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Column in lower case -> [draw star] or [star]: orbits, distances, labels, catalogue.

    Labels are draws where the distances have them, else the catalogue's values.
    """
    labels = {
        name: distance.labels[:, :, i]
        for i, name in enumerate(distance.label_names)
        if distance.labels.size
    }
    numbers = {n: v for n, v in columns.items() if v.ndim == 1 and v.dtype.kind in "iuf"}
    return numbers | labels | distance.quantities | posterior.quantities


def masses_of(
    posterior: OrbitPosterior,
    distance: DistancePosterior,
    columns: Mapping[str, np.ndarray],
    *,
    chosen: Mapping[str, Selection],
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Selection -> (posterior mass, its Monte Carlo error) [star]."""
    draws, weight = draw_columns(posterior, distance, columns), posterior.weight
    try:
        return {name: posterior_mass(box, draws, weight) for name, box in chosen.items()}
    except KeyError as error:
        raise ValueError(str(error.args[0])) from None


def orbit_cards(settings: OrbitSettings, chosen: Mapping[str, Selection]) -> dict[str, Any]:
    """Cards of the header: how the orbits were made."""
    cards: dict[str, Any] = {
        "PRESET": settings.preset,
        "POTENTL": settings.potential,
        "ENGINE": settings.engine,
        "HEAVY": settings.heavy or "none",
        "VARYPRE": settings.vary_preset,
        "VFLOOR": settings.vrad_floor,
        "SEED": settings.seed,
    }
    for number, (name, box) in enumerate(chosen.items(), 1):
        cards[f"SELECT{number:02d}"] = f"P_{name.upper()}: {box.source or ', '.join(box.columns)}"
    return cards


def _report(
    posterior: OrbitPosterior,
    masses: Mapping[str, tuple[np.ndarray, np.ndarray]],
    accuracy: Accuracy | None,
    *,
    inputs: Inputs,
    written: Sequence[Path],
) -> tuple[dict[str, Any], str]:
    known = (posterior.warn & int(WARN.NO_ORBIT)) == 0
    unbound = (posterior.warn & int(WARN.UNBOUND)) != 0
    sums = {
        name: (float(np.nansum(mass)), float(np.sqrt(np.nansum(error**2))))
        for name, (mass, error) in masses.items()
    }
    figures: dict[str, Any] = {
        "stars": len(posterior),
        "with_orbit": int(known.sum()),
        "unbound": int(unbound.sum()),
        "joined_by": inputs.joined_by,
        "selections": {n: {"stars": total, "error": error} for n, (total, error) in sums.items()},
        "accuracy": accuracy.cards() if accuracy else None,
        "files": [str(path) for path in written],
    }
    lines = [
        f"Orbits of {known.sum()} of {len(posterior)} stars (joined by {inputs.joined_by}; "
        f"distances from {inputs.distances_from}); {unbound.sum()} may be unbound.",
        *(
            f"P_{name.upper()}: {total:.1f} ± {error:.1f} stars of posterior mass under the "
            "priors of labels and distance."
            for name, (total, error) in sums.items()
        ),
        *([accuracy.sentence()] if accuracy else []),
        *(f"File: {path}" for path in written),
    ]
    return figures, "\n".join(lines)
