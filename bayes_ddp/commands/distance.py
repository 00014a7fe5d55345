"""The distances of a catalogue: labels and photometry in, a table with draws and pictures out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bayes_ddp.catalog.distance import distance_table, dominated_by
from bayes_ddp.catalog.fits import write_catalogue
from bayes_ddp.commands.distance_inputs import DistanceInputs, read_distance_inputs, with_dust
from bayes_ddp.commands.distance_models import DistanceModel
from bayes_ddp.files.errors import OutputError
from bayes_ddp.files.outputs import check_apart, check_replaceable
from bayes_ddp.flags import WARN
from bayes_ddp.galaxy.bolometric import ALL_BANDS
from bayes_ddp.galaxy.distance_settings import DistanceSettings
from bayes_ddp.galaxy.distances import with_zero_points
from bayes_ddp.galaxy.draws import write_draws
from bayes_ddp.galaxy.records import DistancePosterior

__all__ = ["DistanceFiles", "columns_of", "distance_cards", "make_distances"]


@dataclass(frozen=True)
class DistanceFiles:
    """Files of one call.

    catalogue : with labels. photometry : table to join; None where the catalogue has the columns
    itself. output : FITS table to write; draws go beside it as .nc. draws : folder OUTPUT/draws of
    the run, by default beside the catalogue. hdu : extension of the photometry. columns : band or
    quantity -> columns of the photometry with other names. pictures : folder. dust_map,
    dust_scale : arguments of ``ebv_of_map``, instead of a column of E(B-V).
    """

    catalogue: Path
    photometry: Path | None
    output: Path
    draws: Path | None = None
    hdu: str | None = None
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    pictures: Path | None = None
    dust_map: str | None = None
    dust_scale: float = 1.0

    @property
    def distance_draws(self) -> Path:
        """Where the draws of distances go."""
        return self.output.with_suffix(".nc")


def make_distances(
    files: DistanceFiles,
    settings: DistanceSettings,
    *,
    model: DistanceModel | None = None,
    systematics: bool = True,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[dict[str, Any], str]:
    """Compute and write the distances of a catalogue; (figures, text to print).

    model : of the magnitudes, by default stellar evolution. systematics : include the errors in
    columns ``_SYS`` of the catalogue.

    Raises OutputError before the work where a file would be replaced that must not be.
    """
    _check(files)
    model = model or DistanceModel()
    settings = model.settings(settings)
    files.output.parent.mkdir(parents=True, exist_ok=True)
    inputs = read_distance_inputs(
        files.catalogue,
        files.photometry,
        draws=files.draws,
        hdu=files.hdu,
        names=files.columns,
        number=settings.draws,
        systematics=systematics,
    )
    photometry = with_dust(inputs.photometry, files.dust_map, files.dust_scale)
    photometry = with_zero_points(photometry, settings)
    posterior = model.distances(inputs.labels, photometry, settings, progress=progress)
    cards = distance_cards(settings, systematics=systematics) | model.cards()
    cards |= {"DJOINED": inputs.joined_by, "DLABELS": inputs.labels_from}
    bits = inputs.columns.get("warn")
    table = distance_table(
        posterior, inputs.identifiers, None if bits is None else np.ma.filled(bits, 0)
    )
    posterior = replace(posterior, warn=np.asarray(table["WARN"]))
    write_catalogue(table, files.output, cards)
    write_draws(files.distance_draws, posterior, cards)
    written = [files.output, files.distance_draws]
    if files.pictures and np.isfinite(posterior["dist"]).any():
        from bayes_ddp.commands.distance_pictures import draw_distances

        written += draw_distances(posterior, photometry, files.pictures)
    return _report(posterior, inputs, settings, written=written)


def columns_of(words: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Columns from words ``QUANTITY=COLUMN`` or ``QUANTITY=COLUMN,COLUMN_OF_ERROR``.

    Raises ValueError for words that are neither.

    >>> columns_of(["G=MY_G,MY_G_ERR"])
    {'G': ('MY_G', 'MY_G_ERR')}
    """
    found = {}
    for word in words:
        name, equals, columns = word.partition("=")
        parts = tuple(part.strip() for part in columns.split(",") if part.strip())
        if not equals or not 1 <= len(parts) <= 2:
            raise ValueError(f"--column {word!r} is not BAND=COLUMN,ERROR. Give G=MY_G,MY_G_ERR.")
        found[name.strip()] = parts
    return found


def _check(files: DistanceFiles) -> None:
    if files.output.suffix.lower() != ".fits":
        raise OutputError(f"{files.output}: tables of distances are FITS. End the name in .fits.")
    outputs = [files.output, files.distance_draws]
    check_apart(outputs, [p for p in (files.catalogue, files.photometry) if p is not None])
    check_replaceable(outputs)
    if files.pictures:
        check_replaceable([files.pictures / "distances.png"])


def distance_cards(settings: DistanceSettings, *, systematics: bool) -> dict[str, Any]:
    """Cards of the header: how the distances were made."""
    return {
        "DPRIOR": settings.prior,
        "DSCALE": settings.scale if settings.prior == "exponential" else 0.0,
        "DLAW": settings.law,
        "DPAIRS": settings.pairs,
        "DBANDS": " ".join(settings.bands),
        "DPLX": settings.parallax,
        "DPLXINFL": settings.inflation,
        "DPLXFLR": settings.floor,
        "DZPOINT": "none" if settings.zero_point is None else settings.zero_point,
        "DZPERR": settings.zero_point_error,
        "DRUWE": settings.ruwe,
        "DSYS": systematics,
        "DSEED": settings.seed,
        "DNDRAWS": settings.draws,
        **{f"DOFF_{b.upper()}"[:8]: v for b, v in _offsets(settings).items()},
    }


def _offsets(settings: DistanceSettings) -> dict[str, float]:
    """Gaia and 2MASS alone: a keyword of FITS does not tell g from G."""
    pairs = zip(ALL_BANDS, settings.offsets, strict=True)
    return {band: value for band, value in pairs if value and band not in "grz"}


def _report(
    posterior: DistancePosterior,
    inputs: DistanceInputs,
    settings: DistanceSettings,
    *,
    written: Sequence[Path],
) -> tuple[dict[str, Any], str]:
    known = np.isfinite(posterior["dist"]).all(axis=0)
    error = np.std(np.log(posterior["dist"]), axis=0)
    by = dominated_by(posterior)
    parts = {name: int((by == name).sum()) for name in ("parallax", "labels", "prior")}
    low = (posterior.warn & int(WARN.FEW_PROPOSALS)) != 0
    used = {
        band: int(np.isfinite(inputs.photometry.error[:, i]).sum())
        for i, band in enumerate(ALL_BANDS)
        if band in settings.bands
    }
    figures: dict[str, Any] = {
        "stars": len(posterior),
        "bands": used,
        "parallaxes": int(np.isfinite(inputs.photometry.parallax).sum()),
        "with_distance": int(known.sum()),
        "dominated_by": parts,
        "median_lndist_error": float(np.median(error[known])) if known.any() else None,
        "median_distance_kpc": float(np.median(posterior["dist"][:, known]))
        if known.any()
        else None,
        "few_proposals": int(low.sum()),
        "joined_by": inputs.joined_by,
        "labels_from": inputs.labels_from,
        "files": [str(path) for path in written],
    }
    lines = [
        f"Distances of {known.sum()} of {len(posterior)} stars (joined by {inputs.joined_by}; "
        f"labels from {inputs.labels_from}).",
        "Magnitudes: "
        + (", ".join(f"{band} {n}" for band, n in used.items() if n) or "none")
        + f"; parallaxes: {figures['parallaxes']}.",
        f"The parallax dominates {parts['parallax']}, labels and magnitudes {parts['labels']}, "
        f"the prior {parts['prior']}.",
        *([f"Median error {100 * np.median(error[known]):.1f} %."] if known.any() else []),
        *([f"Effective sample size below 100: {low.sum()} stars (flagged)."] if low.any() else []),
        *(f"File: {path}" for path in written),
    ]
    return figures, "\n".join(lines)
