"""Spectra in tables or archives of arrays, as the run file describes them: ``RawSpectra``.

The table [input.table] of a run file, a ``Layout``, says which array is what, whether wavelengths
are in air or in vacuum, and how wide the line-spread function is: a spectrum without that cannot
be fitted. The arrays of a file go through ``from_arrays``; all spectra of a run share one list of
wavelengths.
"""

import difflib
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from bayes_ddp.files.compressed import suffix
from bayes_ddp.files.errors import BadFileError
from bayes_ddp.files.fits import FitsFile, scan_fits
from bayes_ddp.files.paths import check_file
from bayes_ddp.spectra.arrays import GUESSED_SNR, check_names, from_arrays, per_star, span
from bayes_ddp.spectra.names import clean_names, filled
from bayes_ddp.spectra.raw import RawSpectra, concatenate
from bayes_ddp.spectra.survey import Survey
from bayes_ddp.tables.arrays import Content, read_arrays
from bayes_ddp.tables.escape import check_column_name

__all__ = [
    "GUESSED_SNR",
    "TABLE",
    "Layout",
    "count_tables",
    "is_table",
    "layout_of",
    "read_tables",
]

Positive = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Layout:
    """The [input.table] table: what the arrays of the user's files are called.

    wave, flux : names. ivar or error : name; neither where errors are to be estimated.
    air : whether wavelengths are in air. fwhm : Å, or a name; or resolution : wave / FWHM, or a
    name. vrad, vrad_err : km/s, or names of arrays or metadata. name : metadata or array with the
    stars' names, which the catalogue keeps under that name too; else, and for a star whose name
    is empty, the file's name.
    """

    air: bool
    wave: str = "wave"
    flux: str = "flux"
    ivar: str | None = None
    error: str | None = None
    fwhm: Positive | str | None = None
    resolution: Positive | str | None = None
    vrad: float | str = 0.0
    vrad_err: Positive | str = 5.0
    name: str | None = None

    def __post_init__(self) -> None:
        if self.ivar is not None and self.error is not None:
            raise ValueError("give 'ivar' or 'error', not both")
        if (self.fwhm is None) == (self.resolution is None):
            raise ValueError(
                "give either 'fwhm' (Å) or 'resolution' (wavelength / FWHM) of the spectra"
            )
        if self.name is not None:
            check_column_name(self.name.upper())


def layout_of(table: Layout | Mapping[str, Any]) -> Layout:
    """The layout that a table of its fields describes; a layout is returned as it is.

    Raises ValueError with one sentence for unknown fields and unsuitable values.
    """
    if isinstance(table, Layout):
        return table
    known = [field.name for field in fields(Layout)]
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise ValueError(f"layout: {key!r} is not an option.{hint} Options: {known}.")
    try:
        return Layout(**table)
    except ValidationError as error:
        first = error.errors()[0]
        where = f" '{first['loc'][0]}':" if first["loc"] else ""
        text = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"layout:{where} {text}.") from None


def read_tables(
    spectra: Sequence[Path],
    catalog: Path | None = None,
    redshifts: Sequence[Path] | None = None,
    *,
    layout: Layout,
) -> RawSpectra:
    """All stars of some files that ``layout`` describes, in the order of the files.

    Parameters
    ----------
    spectra
        .ecsv, .fits or .npz: one star, or arrays [star pixel] with one list of wavelengths.
    catalog, redshifts
        Not for tables: velocities stand in the files or in the run file.

    Raises BadFileError for files that cannot be read, lack something that ``layout`` names, or
    are on another grid than the first.
    """
    if catalog is not None or redshifts:
        raise BadFileError(
            "survey = 'table' takes velocities from [input.table] vrad: leave the catalogue and "
            "the redshift files out."
        )
    if not spectra:
        raise BadFileError("No spectrum file was given. Name at least one.")
    parts = [_read(Path(path), layout) for path in spectra]
    first = _wave(parts[0])
    for path, part in zip(spectra, parts, strict=True):
        wave = _wave(part)
        if not np.array_equal(wave, first):
            raise BadFileError(
                f"{path} has other wavelengths ({span(wave)} Å in vacuum) than {spectra[0]} "
                f"({span(first)}), and nothing is resampled here. Fit them in runs of their own."
            )
    raw = concatenate(parts)
    try:
        check_names(raw.columns["NAME"])
    except ValueError as error:
        raise BadFileError(f"[input.table] name: {error}") from None
    return raw


def is_table(file: FitsFile) -> bool:
    """Whether the first table of a file has a column whose name contains 'flux'."""
    for hdu in range(1, len(file.names)):
        names, _ = file.columns(hdu)
        if names:
            return any("flux" in name.lower() for name in names)
    return False


def count_tables(path: Path, *, layout: Layout | None = None) -> int:
    """Number of spectra in a file; of npz and FITS files from their headers alone.

    layout : names the fluxes and wavelengths; without it they are called 'flux' and 'wave'.

    Raises BadFileError for files that cannot be read or have no such array.
    """
    wave, flux = ("wave", "flux") if layout is None else (layout.wave, layout.flux)
    match suffix(check_file(path)):
        case ".npz":
            shape = _npz_shape(path, flux)
        case ".fits" | ".fit":
            shape = _fits_shape(path, wave, flux)
        case _:
            shape = None
    if shape is None:
        shape = read_arrays(path, wave).get(flux).shape
    return shape[0] if len(shape) > 1 else 1


def _read(path: Path, layout: Layout) -> RawSpectra:
    """The stars of one file."""
    content = read_arrays(path, layout.wave)
    keys = ("wave", "flux", "ivar", "error", "fwhm", "resolution", "vrad", "vrad_err")
    arrays = {key: _value(content, getattr(layout, key)) for key in keys}
    stars = len(np.atleast_2d(arrays["flux"]))
    try:
        names, own = _names(content, layout.name, stars)
        raw = from_arrays(**arrays, names=names, air=layout.air)
    except ValueError as error:
        raise BadFileError(f"{path}: {error}") from None
    source = {"SRCFILE": np.full(stars, path.name)}
    return replace(raw, columns={**own, "NAME": raw.columns["NAME"], **source})


def _value(content: Content, entry: float | str | None) -> Any:
    """The numbers of the array or metadata that a layout's entry names; a number as it is."""
    return content.numbers(entry) if isinstance(entry, str) else entry


def _names(
    content: Content, key: str | None, stars: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """([star] names under ``key``, the same as a column of the catalogue).

    A star without a name has that of its file. The column has numbers as they are.
    """
    stem = Path(content.path.name.removesuffix(".gz")).stem
    made = np.array([stem] if stars == 1 else [f"{stem}-{i:05d}" for i in range(stars)])
    if key is None:
        return made, {}
    given = per_star(key, content.get(key), stars)
    names = clean_names(given)
    numbers = given.dtype.kind in "iuf" and not np.ma.is_masked(given)
    wide = float if given.dtype.kind == "f" else given.dtype
    return filled(names, made), {key.upper(): np.array(given, wide) if numbers else names}


def _wave(raw: RawSpectra) -> np.ndarray:
    return np.concatenate([arm.wave for arm in raw.arms])


def _npz_shape(path: Path, name: str) -> tuple[int, ...] | None:
    """Shape of one array of an archive, from its header; None where that cannot be told."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {n.lower().removesuffix(".npy"): n for n in archive.namelist()}
            with archive.open(members[name.lower()]) as stream:
                one = np.lib.format.read_magic(stream) == (1, 0)
                header = "read_array_header_1_0" if one else "read_array_header_2_0"
                shape: tuple[int, ...] = getattr(np.lib.format, header)(stream)[0]
                return shape
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def _fits_shape(path: Path, wave: str, flux: str) -> tuple[int, ...] | None:
    """(row, pixel) or (pixel,) of the fluxes of a FITS table, from its header; None for others."""
    for hdu in scan_fits(path):
        forms = {
            hdu.cards.get(f"TTYPE{i}", "").strip().lower(): hdu.cards.get(f"TFORM{i}", "")
            for i in range(1, int(hdu.cards.get("TFIELDS", 0)) + 1)
        }
        if wave.lower() in forms and flux.lower() in forms:
            repeat = re.match(r"\d*", forms[flux.lower()])
            pixels = int(repeat[0] or 1) if repeat else 1
            rows = int(hdu.cards["NAXIS2"])
            return (rows,) if pixels == 1 else (rows, pixels)
    return None


TABLE = Survey(
    name="table",
    title="tables",
    read=read_tables,
    recognise=is_table,
    count=count_tables,
    lsf_sd=0.05,
    suffixes=(".npz", ".ecsv"),
    file_kind="table of spectra",
    needs_layout=True,
)
