"""Spectra in a table or in arrays of any origin, as the run file describes them: ``RawSpectra``.

The table [input.table] of a run file says which array is what, whether wavelengths are in air or
in vacuum, and how wide the line-spread function is: a spectrum without that cannot be fitted.
Pixels are kept as they are; all spectra of a run share one list of wavelengths. Where it jumps (a
gap between orders or arms) the spectrum is cut into arms, each with its own pseudo-continuum.

Spectra without errors get a flat signal-to-noise ratio of 100 here and ``WARN.NO_ERRORS``; the
pipeline replaces it by what the residuals of a first fit say. Without errors nothing marks a bad
pixel, so that flux which is not positive counts as missing.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from bayes_ddp.files.errors import BadFileError
from bayes_ddp.flags import WARN
from bayes_ddp.spectra.masks import MAX_VRAD
from bayes_ddp.spectra.pixels import clean_pixels
from bayes_ddp.spectra.raw import RawArm, RawSpectra
from bayes_ddp.tables.arrays import Content, read_arrays

__all__ = ["GUESSED_SNR", "Layout", "air_to_vacuum", "read_tables"]

GUESSED_SNR = 100.0
"""Per pixel, of spectra without errors, until their residuals are known."""

_GAP = 5.0
"""Steps between two pixels, in units of the steps around, at which an arm ends."""
_SHORTEST, _LONGEST = 1000.0, 30_000.0  # Å; beyond them the unit is most likely another
_AIR_FROM = 2000.0  # Å; below, wavelengths are given in vacuum by convention

Positive = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Layout:
    """The [input.table] table: what the arrays of the user's files are called.

    wave, flux : names. ivar or error : name; neither where errors are to be estimated.
    air : whether wavelengths are in air. fwhm : Å, or a name; or resolution : wave / FWHM, or a
    name. vrad, vrad_err : km/s, or names of arrays or metadata. name : metadata or array with the
    stars' names, which the catalogue keeps under that name too; else the file's name.
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
    blocks = [_read(Path(path), layout) for path in spectra]
    first = blocks[0]
    for path, block in zip(spectra, blocks, strict=True):
        if not np.array_equal(block.wave, first.wave):
            raise BadFileError(
                f"{path} has other wavelengths ({_span(block.wave)}) than {spectra[0]} "
                f"({_span(first.wave)}), and nothing is resampled here. Fit them in runs of their "
                "own."
            )
    given = np.concatenate([block.names for block in blocks])
    names = np.char.strip(given.astype(str))
    twice = [name for name, number in Counter(names.tolist()).items() if number > 1]
    if twice:
        raise BadFileError(
            f"The name {twice[0]!r} belongs to more than one spectrum, and rows are told apart by "
            "it. Give [input.table] name an array or metadata that differs from star to star."
        )
    flux, ivar, fwhm, vrad, vrad_err, warn = (
        np.concatenate([getattr(block, part) for block in blocks])
        for part in ("flux", "ivar", "fwhm", "vrad", "vrad_err", "warn")
    )
    wave = air_to_vacuum(first.wave) if layout.air else first.wave
    return RawSpectra(
        survey="table",
        arms=tuple(
            RawArm(f"A{i}", wave[p], flux[:, p], ivar[:, p], fwhm[:, p])
            for i, p in enumerate(_arms(wave), 1)
        ),
        vrad=vrad,
        vrad_err=vrad_err,
        ebv=np.full(len(names), np.nan),
        warn=warn,
        key=("NAME",),
        columns={
            **({} if layout.name is None else {layout.name.upper(): given}),
            "NAME": names,
            "SRCFILE": np.concatenate([block.files for block in blocks]),
        },
    )


def air_to_vacuum(wave: np.ndarray) -> np.ndarray:
    """Vacuum wavelengths, Å, of air wavelengths, Å; those below 2000 Å are vacuum as they are.

    The refractive index of standard air is that of Morton (2000), ApJS 130, 403, Eq. 8 (Birch &
    Downs 1994); it is a function of the vacuum wavelength, so it is found by iteration.

    >>> float(np.round(air_to_vacuum(np.array([5889.950]))[0], 2))
    5891.58
    """
    wave = np.asarray(wave, float)
    vacuum = wave
    for _ in range(4):
        square = (1e4 / vacuum) ** 2
        index = 1 + 8.34254e-5 + 2.406147e-2 / (130 - square) + 1.5998e-4 / (38.9 - square)
        vacuum = wave * index
    return np.where(wave < _AIR_FROM, wave, vacuum)


class _Block(NamedTuple):
    """The stars of one file: wave [pixel] as given, the rest [star ...]."""

    wave: np.ndarray
    flux: np.ndarray
    ivar: np.ndarray
    fwhm: np.ndarray
    vrad: np.ndarray
    vrad_err: np.ndarray
    warn: np.ndarray
    names: np.ndarray
    files: np.ndarray


def _unit(flux: np.ndarray) -> np.ndarray:
    """[star 1], a power of two by which to divide so that float32 holds flux and ivar.

    1 where the median flux is between 1e-3 and 1e6 as it is, or not known.
    """
    size = np.abs(np.where(np.isfinite(flux) & (flux != 0), flux, np.nan))
    known = np.isfinite(size).any(axis=1)
    typical = np.ones(len(flux))
    typical[known] = np.nanmedian(size[known], axis=1)
    far = (typical < 1e-3) | (typical > 1e6)
    return np.where(far, 2.0 ** np.round(np.log2(typical)), 1.0)[:, None]


def _read(path: Path, layout: Layout) -> _Block:
    content = read_arrays(path, layout.wave)
    flux = np.atleast_2d(content.numbers(layout.flux))
    unit = _unit(flux)
    flux = flux / unit
    wave = _wavelengths(content, layout.wave, flux.shape)
    warn = np.zeros(len(flux), np.int64)
    if layout.ivar is None and layout.error is None:
        ivar, masked = _guessed(flux), ~(flux > 0)
        warn |= int(WARN.NO_ERRORS)
        flux = np.where(flux > 0, flux, np.where(np.isfinite(flux), 0.0, np.nan))
        broken = ~np.isfinite(flux).all(axis=1)
        clean, weight, _ = clean_pixels(flux, ivar, masked)
    else:
        ivar = _weights(content, layout, flux.shape) * unit**2
        clean, weight, broken = clean_pixels(flux, ivar, np.zeros(flux.shape, bool))
    warn |= np.where(broken, int(WARN.NONFINITE_INPUT), 0)
    warn |= np.where((weight > 0).any(axis=1), 0, int(WARN.NODATA))
    vrad = _per_star(content, layout.vrad, len(flux))
    vrad_err = _per_star(content, layout.vrad_err, len(flux))
    good = (np.abs(vrad) <= MAX_VRAD) & (vrad_err > 0) & np.isfinite(vrad_err)
    return _Block(
        wave, clean, weight, _widths(content, layout, wave, flux.shape),
        np.where(good, vrad, np.nan), np.where(good, vrad_err, np.nan),
        warn | np.where(good, 0, int(WARN.BAD_RV)),
        _names(content, layout.name, len(flux)), np.full(len(flux), path.name),
    )  # fmt: skip


def _wavelengths(content: Content, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """[pixel], checked: as many as there are fluxes, the same for all stars, ascending, in Å."""
    wave = content.numbers(name)
    if wave.ndim == 2 and len(wave) and np.array_equal(wave, np.broadcast_to(wave[0], wave.shape)):
        wave = wave[0]
    if len(shape) != 2 or wave.shape != shape[1:] or wave.size < 2:
        raise BadFileError(
            f"{content.path}: '{name}' has shape {wave.shape} and the flux {shape} (star, pixel); "
            "all stars of a file share one list of wavelengths. Put the others into files of "
            "their own."
        )
    wrong = ~np.isfinite(wave)
    wrong[1:] |= ~(np.diff(wave) > 0)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise BadFileError(
            f"{content.path}: '{name}' does not rise at pixel {at} ({wave[max(at - 1, 0)]:.6g}, "
            f"then {wave[at]:.6g}). Sort the pixels and drop doubled ones."
        )
    if wave[0] < _SHORTEST or wave[-1] > _LONGEST:
        raise BadFileError(
            f"{content.path}: '{name}' spans {_span(wave)}, outside {_SHORTEST:g}-{_LONGEST:g} Å. "
            "Give wavelengths in Å, not their logarithm, nm or µm."
        )
    return wave


def _guessed(flux: np.ndarray) -> np.ndarray:
    """[star pixel] ivar of a flat signal-to-noise ratio: noise in proportion to the flux."""
    bright = np.where(np.isfinite(flux) & (flux > 0), flux, np.inf)
    return (GUESSED_SNR / bright) ** 2


def _weights(content: Content, layout: Layout, shape: tuple[int, ...]) -> np.ndarray:
    """[star pixel] inverse variance out of 'ivar' or 'error'; an error that is 0 masks."""
    if layout.ivar is not None:
        return _per_pixel(content, layout.ivar, shape)
    error = _per_pixel(content, str(layout.error), shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(error == 0, 0.0, np.where(error > 0, error**-2.0, np.nan))


def _widths(
    content: Content, layout: Layout, wave: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """[star pixel] FWHM of the LSF, Å."""
    given = layout.fwhm if layout.fwhm is not None else layout.resolution
    values = (
        _per_pixel(content, given, shape)
        if isinstance(given, str)
        else np.full(shape, float(given or np.nan))
    )
    fwhm = values if layout.fwhm is not None else wave / np.where(values > 0, values, np.nan)
    if not (np.isfinite(fwhm) & (fwhm > 0)).all():
        raise BadFileError(
            f"{content.path}: '{given}' is not a positive number in every pixel; the width of the "
            "line-spread function must be known. Mend it, or give one number in [input.table]."
        )
    return fwhm


def _per_pixel(content: Content, name: str, shape: tuple[int, ...]) -> np.ndarray:
    values = content.numbers(name)
    if values.shape not in (shape, shape[1:], ()):
        raise BadFileError(
            f"{content.path}: '{name}' has shape {values.shape}, the flux {shape} (star, pixel). "
            "Give one value a pixel."
        )
    return np.broadcast_to(values, shape)


def _per_star(content: Content, given: float | str, stars: int) -> np.ndarray:
    values = content.numbers(given) if isinstance(given, str) else np.asarray(float(given))
    return _spread(content, given, values, stars).astype(float)


def _names(content: Content, given: str | None, stars: int) -> np.ndarray:
    if given is None:
        stem = Path(content.path.name.removesuffix(".gz")).stem
        return np.array([stem] if stars == 1 else [f"{stem}-{i:05d}" for i in range(stars)])
    return _spread(content, given, content.get(given), stars)


def _spread(content: Content, given: Any, values: np.ndarray, stars: int) -> np.ndarray:
    if values.size not in (1, stars):
        raise BadFileError(
            f"{content.path}: '{given}' has {values.size} values for {stars} stars. Give one a "
            "star, or one for all."
        )
    return np.broadcast_to(values.reshape(-1), (stars,))


def _arms(wave: np.ndarray) -> list[slice]:
    """Stretches of pixels without a gap."""
    step = np.diff(wave)
    around = np.minimum(np.r_[step[1:], np.inf], np.r_[np.inf, step[:-1]])
    ends = np.flatnonzero(step > _GAP * around) + 1
    return [slice(a, b) for a, b in zip([0, *ends], [*ends, len(wave)], strict=True)]


def _span(wave: np.ndarray) -> str:
    return f"{len(wave)} pixels, {wave[0]:.6g} to {wave[-1]:.6g}"
