"""What orbits are computed from: distances of a catalogue joined with astrometry."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bayes_ddp.commands.joins import identifiers_of, joined_table, names_of
from bayes_ddp.files.errors import BadFileError
from bayes_ddp.galaxy.draws import read_distance_draws
from bayes_ddp.galaxy.motion import Astrometry, astrometry_of
from bayes_ddp.galaxy.records import DistancePosterior
from bayes_ddp.galaxy.sampling import OrbitSettings
from bayes_ddp.spectra.surveys import SURVEYS
from bayes_ddp.tables.read import Content, read_columns
from bayes_ddp.tables.values import real

__all__ = ["DRAWS", "Inputs", "draws_from_columns", "read_inputs"]

DRAWS = 512
"""Draws per star where the catalogue has distances with errors alone."""

_DISTANCE = ("dist_p50", "dist", "distance")
_LN_ERROR = ("lndist_err", "ln_dist_err")
_ERROR = ("dist_err", "distance_err", "e_dist", "distance_error")
_VRAD = (
    ("vrad_fit", "vrad_err"),
    ("vrad", "vrad_err"),
    ("rv_adop", "rv_err"),
    ("radial_velocity", "radial_velocity_error"),
)


@dataclass(frozen=True)
class Inputs:
    """Distances and astrometry of the same stars, in the order of the catalogue.

    columns : lower-case name -> [star], of the catalogue. identifiers : its identifier columns.
    joined_by, distances_from : words for the header. settings : with the survey's velocity floor.
    """

    distance: DistancePosterior
    astrometry: Astrometry
    columns: Content
    identifiers: dict[str, np.ndarray]
    joined_by: str
    distances_from: str
    settings: OrbitSettings


def read_inputs(
    catalogue: Path,
    astrometry: Path | None,
    *,
    draws: Path | None,
    hdu: str | None,
    settings: OrbitSettings,
) -> Inputs:
    """Read and join the tables; arguments as in ``commands.orbits.OrbitFiles``.

    Distances are the draws in ``draws`` or beside the catalogue (.nc), else lognormal draws
    from its columns of distance and error. A star that the astrometry does not have stays
    in the table, without an orbit.

    Raises BadFileError for files that cannot be read or do not belong together.
    """
    columns = read_columns(catalogue)
    beside = catalogue.with_suffix(".nc")
    file = draws or (beside if beside.exists() else None)
    if file is None:
        distance, origin = (
            draws_from_columns(columns, str(catalogue), seed=settings.seed),
            "columns",
        )
    else:
        distance, origin = _aligned(read_distance_draws(file), columns), "draws"
    if astrometry is None:
        motion, joined = astrometry_of(columns, where=str(catalogue)), "nothing: one table"
    else:
        theirs, rows, joined = joined_table(columns, catalogue, astrometry, hdu=hdu)
        motion = astrometry_of(theirs, where=str(astrometry)).take(rows)
    floor = settings.vrad_floor or _floor(columns, own=origin == "draws")
    return Inputs(
        distance=distance,
        astrometry=motion,
        columns=columns,
        identifiers=identifiers_of(columns, distance.ids),
        joined_by=joined,
        distances_from=origin,
        settings=replace(settings, vrad_floor=floor),
    )


def _floor(columns: Content, *, own: bool) -> float:
    """km/s, of the survey whose catalogue this is; 0 where the error includes it or is unknown."""
    if not own:
        return 0.0
    survey = "desi" if "targetid" in columns else "lamost" if "obsid" in columns else None
    return SURVEYS[survey].vrad_floor if survey in SURVEYS else 0.0


def _aligned(distance: DistancePosterior, columns: Content) -> DistancePosterior:
    """The draws in the order of the catalogue; stars without draws are NaN."""
    place = {name: i for i, name in enumerate(distance.ids.tolist())}
    names = names_of(columns, set(place))
    rows = np.array([place.get(name, -1) for name in names.tolist()])
    known = rows >= 0

    def chosen(values: np.ndarray, axis: int) -> np.ndarray:
        taken = np.take(values, np.where(known, rows, 0), axis=axis)
        shape = [1] * taken.ndim
        shape[axis] = len(rows)
        return np.where(known.reshape(shape), taken, np.nan)

    return replace(
        distance,
        ids=names,
        log_weight=np.where(known, distance.log_weight[:, rows], 0.0),
        quantities={n: chosen(v, 1) for n, v in distance.quantities.items()},
        labels=chosen(distance.labels, 1) if distance.labels.size else distance.labels,
        warn=np.where(known, distance.warn[rows], 0),
        diagnostics={},
    )


def draws_from_columns(columns: Content, where: str, *, seed: int) -> DistancePosterior:
    """Draws from columns of distance (kpc) and error, and of velocity and error (km/s).

    ln d is normal: with the error of ln d where there is one (``LNDIST_ERR``), else with the
    relative error, or the quantiles ``DIST_P16`` and ``DIST_P84``.
    """
    column = next((name for name in _DISTANCE if name in columns), None)
    if column is None:
        raise BadFileError(
            f"{where} has no distances: neither draws beside it (.nc) nor a column "
            f"{', '.join(_DISTANCE).upper()}. Run `bayes-ddp distance` first, or add them in kpc."
        )
    far = real(columns[column], f"{where}: column {column}")
    with np.errstate(divide="ignore", invalid="ignore"):
        error = _relative_error(columns, far, where)
    velocity = next((p for p in _VRAD if p[0] in columns and p[1] in columns), None)
    rng = np.random.default_rng([seed, 2])
    noise = rng.standard_normal((2, DRAWS, len(far)))
    speed = np.full((DRAWS, len(far)), np.nan)
    if velocity:
        centre, width = (real(columns[n], f"{where}: column {n}") for n in velocity)
        speed = centre + np.maximum(width, 0) * noise[1]
    good = (far > 0) & (error >= 0)
    with np.errstate(invalid="ignore"):
        drawn = np.where(good, far * np.exp(np.where(good, error, 0.0) * noise[0]), np.nan)
    warn = columns.get("warn", np.zeros(len(far)))
    return DistancePosterior(
        ids=names_of(columns),
        log_weight=np.zeros((DRAWS, len(far))),
        quantities={"dist": drawn, "vrad": speed},
        warn=np.asarray(np.ma.filled(warn, 0), np.int64),
    )


def _relative_error(columns: Content, far: np.ndarray, where: str) -> np.ndarray:
    for names, scale in ((_LN_ERROR, 1.0), (_ERROR, far)):
        for name in names:
            if name in columns:
                return real(columns[name], f"{where}: column {name}") / scale
    if "dist_p16" in columns and "dist_p84" in columns:
        low, high = (real(columns[n], f"{where}: {n}") for n in ("dist_p16", "dist_p84"))
        return 0.5 * np.log(high / low)
    raise BadFileError(
        f"{where} has distances without errors. Add a column DIST_ERR (kpc) or LNDIST_ERR, "
        "0 where the distance is exact."
    )
