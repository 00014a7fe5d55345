"""The mismatch of the model to real stars, per pixel and per label, from a finished run.

Every fitted star leaves a residual: data minus the model at its posterior mean. Brought to the
model's rest grid, what many stars have in common, and what they scatter beyond their noise, is
the model's mismatch to real stars as far as it exceeds the emulator's own error. With
``[nuisance] mismatch = true`` that spectrum goes into the variance of later fits.

Stars with ``POOR_CHI2`` are kept: a fit is poor where the model is wrong, and without them the
mismatch would be measured on the stars that show least of it.

Spectra without errors give the scatter of labels only (``label_mismatch``): noise and mismatch of
their pixels cannot be told apart.
"""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from astropy.table import Table
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter1d

from bayes_ddp import config
from bayes_ddp.commands.finished import finished_catalogue, spectra_of, usable_rows
from bayes_ddp.commands.label_mismatch import label_figures, label_lines, label_mismatch
from bayes_ddp.commands.pictures import check_picture, save
from bayes_ddp.emulator.error import mismatch_files, write_mismatch
from bayes_ddp.files.outputs import check_replaceable
from bayes_ddp.flags import WARN
from bayes_ddp.inference.residuals import model_spectra
from bayes_ddp.pipeline.work import Setup, open_run
from bayes_ddp.spectra.masks import doppler_factor
from bayes_ddp.spectra.raw import RawSpectra

__all__ = ["REGIONS", "Residuals", "excess", "measure", "rest_residuals"]

REGIONS = (3900, 4400, 4800, 5300, 5800, 6800, 7600, 8900)
"""Å, edges of the wavelength regions of the figures."""

MIN_STARS = 10
"""Smallest number of stars for a mismatch at a pixel."""

_SMOOTH_PIXELS = 2.0


class Residuals(NamedTuple):
    """Data minus model at the model's rest wavelengths, [star, model pixel], normalised flux.

    ``noise`` is the variance of the data alone. Both are NaN where a star has no usable pixel.
    """

    difference: np.ndarray
    noise: np.ndarray


def measure(
    run: config.Run,
    *,
    snr: float,
    write: bool,
    picture: Path | None = None,
    source: str | None = None,
) -> tuple[dict[str, Any], str]:
    """(figures, text to print) of the mismatch of a run's model to the stars that the run fitted.

    Parameters
    ----------
    run
        A finished run; its catalogue is read back.
    snr
        Only stars whose median signal-to-noise ratio per pixel is above this.
    write
        Write the spectrum beside the model's weights and the figures into its card.
    picture
        PNG to draw; by default ``pictures/mismatch.png`` in the run's folder.
    source
        Where the spectra come from, for the card; by default the survey.

    Raises ValueError where the run is not finished, was made with other weights, or has fewer than
    ten such stars; OutputError where a file that is not ours would be replaced.
    """
    output = Path(run.output.directory)
    picture = picture or output / "pictures" / "mismatch.png"
    check_picture(picture)
    setup = _opened(run, write=write)
    table = finished_catalogue(output, setup.card)
    rows = _enough(table, snr, output)
    about: dict[str, Any] = {
        "stars": len(rows),
        "snr_above": float(snr),
        "survey": run.input.survey,
        "source": source or run.input.survey,
        "emulator_sha256": setup.card.sha256,
    }
    labels = label_figures(*label_mismatch(setup, table, rows), setup.emulator.space)
    spectrum, figures, lines = _by_pixel(setup, table, rows, to=picture)
    figures |= about | {"label_error": about | labels}
    head = f"{len(rows)} stars of {about['source']} with a median S/N above {snr:g}, or unknown."
    lines = [head, *lines, *label_lines(labels)]
    if write:
        write_mismatch(setup.card.folder, spectrum, figures)
        lines.append(f"Written to [mismatch] of {setup.card.folder / 'card.toml'}.")
    drawn = None if spectrum is None else str(picture)
    lines += [f"Picture: {drawn}"] if drawn else []
    return figures | {"picture": drawn, "written": write}, "\n".join(lines)


def _opened(run: config.Run, *, write: bool) -> Setup:
    """The run; raises OutputError where ``write`` would replace a file that is not ours."""
    # the mismatch itself must not be in the variance that is taken off
    setup = open_run(replace(run, nuisance=replace(run.nuisance, mismatch=False)))
    if write:
        check_replaceable(mismatch_files(setup.card.folder))
    return setup


def _enough(table: Table, snr: float, output: Path) -> np.ndarray:
    """The usable rows of a catalogue; raises ValueError where there are fewer than ten."""
    rows = usable_rows(table, snr)
    if len(rows) < MIN_STARS:
        raise ValueError(
            f"{output} holds {len(rows)} well fitted stars with a median S/N above {snr:g}, and "
            f"{MIN_STARS} are needed. Lower --snr or fit more stars."
        )
    return rows


def _by_pixel(
    setup: Setup, table: Table, rows: np.ndarray, *, to: Path
) -> tuple[np.ndarray | None, dict[str, Any], list[str]]:
    """(mismatch [model pixel], figures, lines to print), drawn to ``to``.

    Nothing where the spectra came without errors. Raises ValueError where no pixel has enough
    stars.
    """
    if (np.asarray(table["WARN"])[rows] & int(WARN.NO_ERRORS)).any():
        return None, {}, []
    wave, error = np.asarray(setup.emulator.wave), np.asarray(setup.emulator.error)
    mismatch, offset = excess(rest_residuals(setup, table, rows), error)
    if not np.isfinite(mismatch).any():
        raise ValueError(
            f"{setup.run.output.directory}: no model pixel has {MIN_STARS} stars. Fit more stars "
            "of this survey."
        )
    _draw(wave, mismatch, offset, to=to)
    figures = _figures(wave, mismatch, offset)
    return mismatch, figures, _lines(figures)


def rest_residuals(setup: Setup, table: Table, rows: np.ndarray) -> Residuals:
    """Residuals of some stars of a finished run about their posterior means, at rest.

    table : the catalogue. rows : its rows that are used.

    Raises ValueError where a task of the run does not have the catalogue's stars.
    """
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for raw, at in spectra_of(setup, table, rows):
        found += _of_task(setup, raw, table[at])
    return Residuals(*(np.stack(column) for column in zip(*found, strict=True)))


def _of_task(setup: Setup, raw: RawSpectra, rows: Table) -> list[tuple[np.ndarray, np.ndarray]]:
    """(difference, noise) [model pixel] of each star; rows : of the catalogue, the same stars."""
    velocity = np.asarray(rows["VRAD_FIT"]) - np.asarray(rows["VRAD_IN"])
    lsf = np.stack([np.asarray(rows[f"LSF_{arm.name}"]) for arm in raw.arms], axis=1)
    labels = np.asarray(rows["LABEL_MEAN"], float)
    modelled = model_spectra(raw, setup.emulator, labels, velocity=velocity, lsf=lsf)
    spectrum, wave = modelled.spectrum, np.asarray(setup.emulator.wave)
    ivar = np.where(modelled.used, spectrum.ivar, 0.0)
    found = []
    for i in range(len(raw)):
        seen = wave * doppler_factor(spectrum.vrad[i] + velocity[i])
        at = _nearest(np.asarray(spectrum.wave), spectrum.arms, ivar[i], seen=seen)
        good = at >= 0
        noise = 1 / np.where(good, ivar[i, at], 1.0)
        difference = modelled.residual[i, at]
        found.append((np.where(good, difference, np.nan), np.where(good, noise, np.nan)))
    return found


def _nearest(
    wave: np.ndarray,
    arms: tuple[tuple[str, int, int], ...],
    ivar: np.ndarray,
    *,
    seen: np.ndarray,
) -> np.ndarray:
    """Index of the data pixel nearest to each wavelength ``seen``; -1 where none is usable.

    Where arms overlap, the more precise pixel counts.
    """
    best, found = np.zeros(len(seen)), np.full(len(seen), -1)
    for _, first, last in arms:
        own = wave[first:last]
        at = np.round(np.interp(seen, own, np.arange(len(own)))).astype(int)
        covered = np.abs(own[at] - seen) <= 0.6 * np.gradient(own)[at]
        weight = np.where(covered, ivar[first + at], 0.0)
        found = np.where(weight > best, first + at, found)
        best = np.maximum(weight, best)
    return found


def excess(residuals: Residuals, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mismatch, offset), both [model pixel] in normalised flux; NaN below ``MIN_STARS`` stars.

    error : [model pixel], the emulator's own error, which the likelihood holds already.

    The offset is the median residual. The mismatch squared is what the stars have in common,
    offset^2 less the variance of a median, plus what they scatter, (1.4826 MAD)^2 less the median
    noise variance, less error^2. The two parts are cut at 0 apart, so that a survey which
    overstates its noise does not hide a residual that all stars share; and they are smoothed over
    neighbouring pixels before they are cut, so that the noise of the estimate adds nothing.
    """
    count = np.isfinite(residuals.difference).sum(axis=0)
    enough = count >= MIN_STARS
    difference = residuals.difference[:, enough].astype(float)
    middle = np.nanmedian(difference, axis=0)
    spread = (1.4826 * np.nanmedian(np.abs(difference - middle), axis=0)) ** 2
    noise = np.nanmedian(residuals.noise[:, enough].astype(float), axis=0)
    common = middle**2 - np.pi / 2 * spread / count[enough]
    weight = gaussian_filter1d(enough.astype(float), _SMOOTH_PIXELS)[enough]

    def smooth(values: np.ndarray) -> np.ndarray:
        full = np.zeros(enough.shape)
        full[enough] = values
        return np.maximum(gaussian_filter1d(full, _SMOOTH_PIXELS)[enough] / weight, 0.0)

    mismatch, offset = np.full(enough.shape, np.nan), np.full(enough.shape, np.nan)
    square = smooth(common) + smooth(spread - noise) - error[enough].astype(float) ** 2
    mismatch[enough], offset[enough] = np.sqrt(np.maximum(square, 0.0)), middle
    return mismatch, offset


def _figures(wave: np.ndarray, mismatch: np.ndarray, offset: np.ndarray) -> dict[str, Any]:
    """Median mismatch and mean signed residual of each region that has pixels, for the card."""
    figures: dict[str, Any] = {"pixels": int(np.isfinite(mismatch).sum())}
    figures["columns"] = ["median mismatch", "mean residual, data - model"]
    for low, high in pairwise(REGIONS):
        inside = (wave >= low) & (wave < high) & np.isfinite(mismatch)
        if inside.any():
            pair = np.median(mismatch[inside]), np.mean(offset[inside])
            figures[f"wave_{low}_{high}"] = [float(f"{value:.3g}") for value in pair]
    return figures


def _lines(figures: dict[str, Any]) -> list[str]:
    lines = [
        f"{figures['pixels']} model pixels with {MIN_STARS} stars or more:",
        f"{'region [Å]':12s}{'mismatch':>10s}{'data - model':>14s}   (median, mean; per cent)",
    ]
    for name, pair in figures.items():
        if name.startswith("wave_"):
            region = name.removeprefix("wave_").replace("_", "-")
            lines.append(f"{region:12s}{100 * pair[0]:10.2f}{100 * pair[1]:+14.2f}")
    return lines


def _draw(wave: np.ndarray, mismatch: np.ndarray, offset: np.ndarray, *, to: Path) -> Path:
    """Mismatch and median residual against wavelength, as PNG."""
    figure = Figure(figsize=(12, 5.5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    upper.plot(wave, 100 * mismatch, color="0.15", linewidth=0.7)
    lower.plot(wave, 100 * offset, color="0.4", linewidth=0.5)
    lower.axhline(0.0, color="#c23b22", linewidth=0.8)
    known = np.isfinite(mismatch)
    top = 100 * np.quantile(mismatch[known], 0.998)
    upper.set(ylabel="mismatch [%]", ylim=(0, 1.15 * max(top, 0.1)))
    reach = 115 * max(np.quantile(np.abs(offset[known]), 0.998), 1e-3)
    lower.set(ylabel="median data − model [%]", ylim=(-reach, reach))
    lower.set(xlabel="rest wavelength (vacuum) [Å]", xlim=(wave[known][0], wave[known][-1]))
    for axes in (upper, lower):
        axes.tick_params(direction="in", top=True, right=True)
        for edge in REGIONS:
            axes.axvline(edge, color="0.88", linewidth=0.7, zorder=0)
    return save(figure, to)
