"""What distances are computed from: labels of a catalogue joined with photometry.

Labels are, in this order: draws of a run (OUTPUT/draws), means and covariances of a catalogue of
this program, labels with errors of any other table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bayes_ddp.catalog.fits import read_catalogue
from bayes_ddp.catalog.table import unpack_covariance
from bayes_ddp.commands.joins import identifiers_of, joined_table, names_of
from bayes_ddp.files.errors import BadFileError
from bayes_ddp.galaxy.dust_maps import ebv_of_map
from bayes_ddp.galaxy.label_draws import (
    LabelDraws,
    draws_of_moments,
    draws_of_posterior,
)
from bayes_ddp.galaxy.photometry import Photometry, photometry_of
from bayes_ddp.inference.parts import find_parts, read_part
from bayes_ddp.inference.posterior import concatenate
from bayes_ddp.tables.read import Content, read_columns
from bayes_ddp.tables.values import real

__all__ = [
    "DistanceInputs",
    "photometry_of_stars",
    "read_distance_inputs",
    "systematic_errors",
    "with_dust",
]

_ALIASES = {
    "teff": ("teff", "teff_k"),
    "logg": ("logg", "log_g"),
    "feh": ("feh", "fe_h", "[fe/h]"),
    "m_h": ("m_h", "mh", "[m/h]"),
    "alpha_fe": ("alpha_fe", "alphafe", "alpha_m", "[alpha/fe]"),
    "mg_fe": ("mg_fe", "[mg/fe]"),
    "si_fe": ("si_fe", "[si/fe]"),
    "ca_fe": ("ca_fe", "[ca/fe]"),
}
"""Label -> its names in other tables, lower case."""

_ERRORS = ("{}_err", "{}_error", "e_{}", "{}_unc", "err_{}")


@dataclass(frozen=True)
class DistanceInputs:
    """Labels and photometry of the same stars, in the order of the catalogue.

    columns : lower-case name -> [star], of the catalogue. identifiers : its identifier columns.
    joined_by, labels_from : words for the header.
    """

    labels: LabelDraws
    photometry: Photometry
    columns: Content
    identifiers: dict[str, np.ndarray]
    joined_by: str
    labels_from: str


def read_distance_inputs(
    catalogue: Path,
    photometry: Path | None,
    *,
    draws: Path | None,
    hdu: str | None,
    names: Mapping[str, Sequence[str]],
    number: int,
    systematics: bool,
) -> DistanceInputs:
    """Read and join the tables; arguments as in ``commands.distance.DistanceFiles``.

    number : draws per star. systematics : include the errors in columns ``_SYS``. A star that the
    photometry does not have keeps what the catalogue itself has.

    Raises BadFileError for files that cannot be read or do not belong together.
    """
    columns = read_columns(catalogue)
    if not columns or not len(next(iter(columns.values()))):
        raise BadFileError(f"{catalogue} has no stars.")
    folder = draws or catalogue.parent / "draws"
    parts = find_parts(folder) if folder.is_dir() else []
    if draws and not parts:
        raise BadFileError(f"{draws} has no parts of a run. Give the folder OUTPUT/draws.")
    if parts:
        labels, origin = (
            _of_parts(parts, columns, number=number, systematics=systematics),
            "draws",
        )
    else:
        labels, origin = _of_table(catalogue, columns, number=number, systematics=systematics)
    measured, joined = photometry_of_stars(columns, catalogue, photometry, hdu=hdu, names=names)
    return DistanceInputs(
        labels=labels,
        photometry=measured,
        columns=columns,
        identifiers=identifiers_of(columns, labels.ids),
        joined_by=joined,
        labels_from=origin,
    )


def photometry_of_stars(
    columns: Content,
    catalogue: Path,
    photometry: Path | None,
    *,
    hdu: str | None = None,
    names: Mapping[str, Sequence[str]] | None = None,
) -> tuple[Photometry, str]:
    """(photometry of the stars of a catalogue, by what it was joined).

    What the table does not have is taken from the catalogue. names : as in ``photometry_of``.
    """
    if photometry is None:
        return photometry_of(columns, names=names, where=str(catalogue)), "nothing: one table"
    theirs, rows, by = joined_table(columns, catalogue, photometry, hdu=hdu)
    found = photometry_of(theirs, names=names, where=str(photometry)).take(rows)
    own = photometry_of(columns, where=str(catalogue), empty=True)
    return found.filled(own), by


def with_dust(photometry: Photometry, name: str | None, scale: float) -> Photometry:
    """The photometry with E(B-V) of a map of ``dustmaps``; unchanged without one."""
    if name is None:
        return photometry
    return replace(photometry, ebv=ebv_of_map(name, photometry.ra, photometry.dec, scale=scale))


def systematic_errors(columns: Content, names: Sequence[str]) -> np.ndarray:
    """[star label], the columns ``_SYS`` of a catalogue; 0 where it has none."""
    size = len(next(iter(columns.values())))
    each = [
        np.nan_to_num(real(columns[column], f"column {column}"))
        if (column := f"{name}_sys") in columns
        else np.zeros(size)
        for name in names
    ]
    return np.stack(each, axis=1)


def _of_parts(
    paths: Sequence[Path], columns: Content, *, number: int, systematics: bool
) -> LabelDraws:
    """Draws of the parts of a run, in the order of the catalogue."""
    read = [part for path in paths if (part := read_part(path)) is not None]
    posterior = concatenate([part.posterior for part in read])
    vrad = np.concatenate([part.vrad for part in read])
    place = {name: i for i, name in enumerate(posterior.ids.tolist())}
    names = names_of(columns, set(place))
    rows = np.array([place.get(name, -1) for name in names.tolist()])
    known = rows >= 0
    errors = systematic_errors(columns, posterior.names) if systematics else None
    chosen = posterior.take(np.where(known, rows, 0))
    labels = draws_of_posterior(
        chosen, number=number, errors=errors, vrad=vrad[np.where(known, rows, 0)]
    )
    return replace(
        labels,
        ids=names,
        draws=np.where(known[:, None], labels.draws, np.nan),
        mean=np.where(known[:, None], labels.mean, np.nan),
        vrad=np.where(known, labels.vrad, np.nan),
    )


def _of_table(
    catalogue: Path, columns: Content, *, number: int, systematics: bool
) -> tuple[LabelDraws, str]:
    """(labels with errors of a table without draws, words for the header)."""
    where, names = str(catalogue), names_of(columns)
    if {"label_mean", "label_cov", "prior_mean", "prior_cov"} <= set(columns):
        return _of_covariance(
            catalogue, columns, number=number, systematics=systematics
        ), "LABEL_COV"
    labels, errors = {}, {}
    for name, aliases in _ALIASES.items():
        column = next((alias for alias in aliases if alias in columns), None)
        if column is None:
            continue
        error = next((e.format(column) for e in _ERRORS if e.format(column) in columns), None)
        if error is None:
            continue
        labels[name] = real(columns[column], f"{where}: column {column}")
        errors[name] = real(columns[error], f"{where}: column {error}")
    if {"feh", "m_h"} <= set(labels):
        del labels["m_h"], errors["m_h"]
    missing = [name for name in ("teff", "logg") if name not in labels]
    if missing or not {"feh", "m_h"} & set(labels):
        raise BadFileError(
            f"{where} lacks labels with errors, and no draws are beside it. Labels with errors: "
            f"{', '.join(labels) or 'none'}. Give TEFF, LOGG, FEH and TEFF_ERR, LOGG_ERR, FEH_ERR."
        )
    return draws_of_moments(names, labels, errors, number=number), "columns"


def _of_covariance(
    catalogue: Path, columns: Content, *, number: int, systematics: bool
) -> LabelDraws:
    """Gaussian draws from the columns LABEL_MEAN, LABEL_COV, PRIOR_MEAN and PRIOR_COV."""
    cards = read_catalogue(catalogue).meta
    mean, centre = np.asarray(columns["label_mean"]), np.asarray(columns["prior_mean"])
    size = mean.shape[1]
    covariance, spread = (
        unpack_covariance(np.asarray(columns[name]), size) for name in ("label_cov", "prior_cov")
    )
    labels = [str(cards[f"LABEL{i:02d}"]).lower() for i in range(1, size + 1)]
    return draws_of_moments(
        names_of(columns),
        dict(zip(labels, mean.T, strict=True)),
        covariance,
        prior=(centre, spread),
        systematic=systematic_errors(columns, labels) if systematics else None,
        number=number,
    )
