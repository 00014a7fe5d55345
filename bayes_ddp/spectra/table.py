"""Spectra in tables or archives of arrays become ``RawSpectra``, as a ``Layout`` describes them.

A ``Layout``, the table [input.table] of a run file, defines the names of the arrays, whether
wavelengths are in air or in vacuum, and the width of the line-spread function, which every fit
needs. The arrays of a file are passed to ``from_arrays``; all spectra of a file share one list of
wavelengths.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from bayes_ddp.files.errors import BadFileError, did_you_mean
from bayes_ddp.files.fits import FitsFile
from bayes_ddp.spectra.arrays import GUESSED_SNR, check_names, from_arrays, per_star, span
from bayes_ddp.spectra.content import count_spectra, read_content
from bayes_ddp.spectra.image import has_spectrum_image, stated_air
from bayes_ddp.spectra.names import clean_names, filled
from bayes_ddp.spectra.raw import RawSpectra, concatenate, same_pixels
from bayes_ddp.spectra.survey import Survey
from bayes_ddp.spectra.units import column_unit, to_angstrom
from bayes_ddp.tables.arrays import Content
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
    """The table [input.table] of a run file: names of the arrays in the user's files.

    wave, flux : names. Wavelengths of a FITS image are computed from its header, and other names
        are EXTNAMEs.
    ivar or error : name; neither if errors are to be estimated.
    wave_unit : unit of the wavelengths; by default that of the file, else Å.
    air : whether wavelengths are in air, or "header" if the header of each file defines it.
    fwhm : Å, or a name; or resolution : wave / FWHM, or a name.
    vrad, vrad_err : km/s, or names of arrays or metadata.
    name : metadata or array with the names of the stars, which is also copied to the catalogue.
        Without it, and for an empty name, the file's name is used.

    Raises ValueError for options that exclude each other and for an unknown unit.
    """

    air: bool | Literal["header"]
    wave: str = "wave"
    flux: str = "flux"
    wave_unit: str | None = None
    ivar: str | None = None
    error: str | None = None
    fwhm: Positive | str | None = None
    resolution: Positive | str | None = None
    vrad: float | str = 0.0
    vrad_err: Annotated[float, Field(ge=0)] | str = 5.0
    name: str | None = None

    def __post_init__(self) -> None:
        if self.wave_unit is not None:
            to_angstrom(np.ones(1), self.wave_unit)
        if self.ivar is not None and self.error is not None:
            raise ValueError("give 'ivar' or 'error', not both")
        if (self.fwhm is None) == (self.resolution is None):
            raise ValueError(
                "give either 'fwhm' (Å) or 'resolution' (wavelength / FWHM) of the spectra"
            )
        if self.name is not None:
            check_column_name(self.name.upper())


def layout_of(table: Layout | Mapping[str, Any]) -> Layout:
    """The layout with the fields in ``table``; a ``Layout`` is returned unchanged.

    Raises ValueError with one sentence for unknown fields and unsuitable values.
    """
    if isinstance(table, Layout):
        return table
    known = [field.name for field in fields(Layout)]
    for key in table:
        if key not in known:
            hint = did_you_mean(key, known)
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
    """Spectra of the files that ``layout`` describes, in the order of the files.

    Parameters
    ----------
    spectra
        .ecsv, .fits or .npz: one star, or arrays [star pixel] with one list of wavelengths. Or
        one-dimensional FITS images.
    catalog, redshifts
        Refused for tables, whose velocities are in the files or in the run file.

    Raises BadFileError for files that cannot be read, lack an array that ``layout`` names, or have
    other wavelengths than the first.
    """
    if catalog is not None or redshifts:
        raise BadFileError(
            "survey = 'table' takes velocities from [input.table] vrad: leave the catalogue and "
            "the redshift files out."
        )
    if not spectra:
        raise BadFileError("No spectrum file was given. Name at least one.")
    parts = [_read(Path(path), layout) for path in spectra]
    for path, part in zip(spectra, parts, strict=True):
        if not same_pixels(part, parts[0]):
            raise BadFileError(
                f"{path} has other wavelengths ({span(_wave(part))} Å in vacuum) than "
                f"{spectra[0]} ({span(_wave(parts[0]))}), and spectra are not resampled. Read "
                "them one by one; a run accepts them together."
            )
    raw = concatenate(parts)
    try:
        check_names(raw.columns["NAME"])
    except ValueError as error:
        raise BadFileError(f"[input.table] name: {error}") from None
    return raw


def is_table(file: FitsFile) -> bool:
    """Whether a FITS file has a spectrum image or a first table with 'flux' in a column name."""
    tables = (file.columns(hdu)[0] for hdu in range(1, len(file.names)))
    first = next((names for names in tables if names), [])
    return any("flux" in name.lower() for name in first) or has_spectrum_image(file)


def count_tables(path: Path, *, layout: Layout | None = None) -> int:
    """Number of spectra in a file; only the headers of npz and FITS files are read.

    layout : has the names of fluxes and wavelengths; by default 'flux' and 'wave'.

    Raises BadFileError for files that cannot be read or have no such array.
    """
    wave, flux = ("wave", "flux") if layout is None else (layout.wave, layout.flux)
    return count_spectra(path, wave=wave, flux=flux)


def _read(path: Path, layout: Layout) -> RawSpectra:
    """The stars of one file."""
    content = read_content(path, wave=layout.wave, flux=layout.flux)
    keys = ("wave", "flux", "ivar", "error", "fwhm", "resolution", "vrad", "vrad_err")
    arrays = {key: _value(content, getattr(layout, key)) for key in keys}
    stars = len(np.atleast_2d(arrays["flux"]))
    try:
        unit = layout.wave_unit or str(content.meta.get("wave_unit") or "")
        unit = unit or column_unit(path, content.meta, layout.wave)
        if unit:
            arrays["wave"] = to_angstrom(arrays["wave"], unit)
        width = column_unit(path, content.meta, str(layout.fwhm))
        if width:
            arrays["fwhm"] = to_angstrom(arrays["fwhm"], width)
        names, own = _names(content, layout.name, stars)
        raw = from_arrays(**arrays, names=names, air=_in_air(content, layout))
    except ValueError as error:
        raise BadFileError(f"{path}: {error}") from None
    source = {"SRCFILE": np.full(stars, path.name)}
    return replace(raw, columns={**own, "NAME": raw.columns["NAME"], **source})


def _in_air(content: Content, layout: Layout) -> bool:
    """Whether wavelengths are in air; ValueError if it is undefined or file and layout differ."""
    stated = stated_air(content.meta)
    if layout.air == "header":
        if stated is None:
            raise ValueError(
                "its header does not say whether wavelengths are in air (CTYPE1 = 'AWAV') or in "
                "vacuum ('WAVE'). Give air = true or air = false."
            )
        return stated
    if stated is not None and stated != layout.air:
        medium = ("vacuum", "air")
        raise ValueError(
            f"its header says that wavelengths are in {medium[stated]}, and [input.table] air = "
            f"{str(layout.air).lower()} says {medium[layout.air]}. Correct one of them."
        )
    return layout.air


def _value(content: Content, entry: float | str | None) -> Any:
    """The array or metadata with the name ``entry``; a number is returned unchanged."""
    return content.numbers(entry) if isinstance(entry, str) else entry


def _names(
    content: Content, key: str | None, stars: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """([star] names of the array ``key``, the same array as a column of the catalogue).

    A star without a name gets that of its file. Numbers stay numbers in the column.
    """
    stem = Path(content.path.name.removesuffix(".gz")).stem
    made = np.array([stem] if stars == 1 else [f"{stem}-{i:05d}" for i in range(stars)])
    if key is None:
        return made, {}
    values = per_star(key, content.get(key), stars)
    names = clean_names(values)
    numbers = values.dtype.kind in "iuf" and not np.ma.is_masked(values)
    wide = float if values.dtype.kind == "f" else values.dtype
    return filled(names, made), {key.upper(): np.array(values, wide) if numbers else names}


def _wave(raw: RawSpectra) -> np.ndarray:
    return np.concatenate([arm.wave for arm in raw.arms])


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
