"""How far real stars lie from the model, pixel by pixel, out of the fits of a finished run.

Every fitted star leaves a residual: data minus the model at its posterior mean. Brought to the
model's rest grid, what many stars have in common, and what they scatter beyond their noise, is
the model's mismatch to real stars as far as it exceeds the emulator's own error. With
``[nuisance] mismatch = true`` that spectrum goes into the variance of later fits.

Stars with ``POOR_CHI2`` are kept: a fit is poor where the model is wrong, and without them the
mismatch would be measured on the stars that show least of it.
"""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter1d

from bayes_ddp import config
from bayes_ddp.catalog.fits import read_catalogue
from bayes_ddp.emulator.card import find_model, read_card
from bayes_ddp.emulator.error import write_mismatch
from bayes_ddp.files.paths import atomic_write
from bayes_ddp.flags import FATAL, WARN
from bayes_ddp.inference import posterior as posteriors
from bayes_ddp.inference.posterior import Posterior
from bayes_ddp.inference.problem import load_stars, model_flux
from bayes_ddp.pipeline import run as pipeline
from bayes_ddp.spectra.masks import doppler_factor
from bayes_ddp.spectra.prepare import prepare
from bayes_ddp.spectra.raw import RawSpectra

__all__ = ["REGIONS", "Residuals", "excess", "measure", "rest_residuals"]

REGIONS = (3900, 4400, 4800, 5300, 5800, 6800, 7600, 8900)
"""Å, edges of the wavelength regions that the figures are given for."""

MIN_STARS = 10
"""Fewer stars than this at a pixel say nothing about it."""

_EXCLUDED = FATAL | WARN.LABEL_EDGE | WARN.NOT_CONVERGED
_SMOOTH_PIXELS = 2.0


class Residuals(NamedTuple):
    """Data minus model at the model's rest wavelengths, [star, model pixel], normalised flux.

    ``noise`` is the variance of the data alone. Both are NaN where a star has no usable pixel.
    """

    difference: np.ndarray
    noise: np.ndarray


def measure(run: config.Run, *, snr: float, write: bool) -> tuple[dict[str, Any], str]:
    """(figures, text to print) of the mismatch of a run's model to the stars that the run fitted.

    Parameters
    ----------
    run
        A finished run that kept its draws; its catalogue and parts are read back.
    snr
        Only stars whose median signal-to-noise ratio per pixel is above this.
    write
        Put the spectrum beside the model's weights and the figures into its card.

    Draws ``pictures/mismatch.png`` into the run's folder. Raises ValueError where the run is not
    finished, was made with other weights, or has fewer than ten such stars.
    """
    output = Path(run.output.directory)
    _check_finished(output, read_card(find_model(run.emulator.name)))
    # the mismatch itself must not be in the variance that is taken off
    setup = pipeline.open_run(replace(run, nuisance=replace(run.nuisance, mismatch=False)))
    if (setup.raw.warn & int(WARN.NO_ERRORS)).any():
        raise ValueError(
            f"{output}: these spectra came without errors, so that noise and mismatch cannot be "
            "told apart. Measure the mismatch on spectra with errors."
        )
    rows, fitted = _fitted(setup, output, snr)
    wave = np.asarray(setup.problem.emulator.wave)
    mismatch, offset = excess(
        rest_residuals(setup, rows, fitted), np.asarray(setup.problem.emulator.error)
    )
    if not np.isfinite(mismatch).any():
        raise ValueError(
            f"{output}: no model pixel has {MIN_STARS} stars. Fit more stars of this survey."
        )
    figures = _figures(wave, mismatch, offset) | {
        "stars": len(rows), "snr_above": float(snr), "survey": setup.raw.survey,
        "emulator_sha256": str(setup.card["sha256"]),
    }  # fmt: skip
    picture = _draw(wave, mismatch, offset, to=output / "pictures" / "mismatch.png")
    lines = _lines(figures)
    if write:
        folder = find_model(run.emulator.name)
        write_mismatch(folder, mismatch, figures)
        lines.append(f"Written to {folder}: mismatch.safetensors, and [mismatch] of card.toml.")
    lines.append(f"Picture: {picture}")
    return figures | {"picture": str(picture), "written": write}, "\n".join(lines)


def _check_finished(output: Path, card: dict[str, Any]) -> None:
    """Raise ValueError where the run has not ended, or has with weights other than the card's."""
    if not (output / "catalogue.fits").is_file() or not any(output.glob("draws/part-*.nc")):
        raise ValueError(
            f"{output} holds no catalogue.fits with draws/part-*.nc: run 'bayes-ddp run' to its "
            "end first, with [output] draws = true."
        )
    made_with = str(read_catalogue(output / "catalogue.fits").meta.get("EMUSHA"))
    if made_with != card["sha256"]:
        raise ValueError(
            f"{output} was fitted with weights {made_with[:12]}, and {card['name']} now has "
            f"{card['sha256'][:12]}: run it again."
        )


def _fitted(setup: pipeline.Setup, output: Path, snr: float) -> tuple[np.ndarray, Posterior]:
    """Rows of the run's input that may be used, and their posteriors in the same order."""
    parts = sorted((output / "draws").glob("part-*.nc"))
    place = {name: row for row, name in enumerate(setup.raw.identifiers())}
    rows, kept = [], []
    bright = _median_snr(setup.raw) > snr
    for path in parts:
        data = posteriors.open_part(path)
        names = [str(name) for name in data["star"].values]
        unknown = [name for name in names if name not in place]
        if unknown:
            raise ValueError(
                f"{path} holds {unknown[0]}, which is not in the run's input: the run file has "
                "changed since. Run it again."
            )
        at = np.array([place[name] for name in names])
        part = posteriors.from_dataset(data)
        use = np.flatnonzero(bright[at] & ((part.warn & int(_EXCLUDED)) == 0))
        rows.append(at[use])
        kept.append(part.take(use))
    found = np.concatenate(rows)
    if len(found) < MIN_STARS:
        raise ValueError(
            f"{output} holds {len(found)} well fitted stars with a median S/N above {snr:g}, and "
            f"{MIN_STARS} are needed. Lower --snr or fit more stars."
        )
    return found, posteriors.concatenate(kept)


def _median_snr(raw: RawSpectra) -> np.ndarray:
    """[star] median of flux over error over the usable pixels of all arms; 0 without any."""
    ratio = np.concatenate(
        [np.where(a.ivar > 0, a.flux * np.sqrt(a.ivar), np.nan) for a in raw.arms], axis=1
    )
    ratio[~np.isfinite(ratio).any(axis=1)] = 0.0
    return np.nanmedian(ratio, axis=1)


def rest_residuals(setup: pipeline.Setup, rows: np.ndarray, fitted: Posterior) -> Residuals:
    """Residuals of the stars in ``rows`` about their posterior means, on the model's pixels.

    fitted : the posteriors of ``rows``, in the same order.
    """
    wave = np.asarray(setup.problem.emulator.wave)
    size = min(pipeline.CHUNK, len(rows))
    found = []
    for start in range(0, len(rows), size):
        part = np.arange(start, min(start + size, len(rows)))
        spectrum, _ = prepare(setup.raw.take(rows[part]), physics=setup.physics)
        stars = load_stars(setup.problem, pipeline.pad(spectrum, size))
        padded = np.concatenate([part, np.full(size - len(part), part[-1])])
        velocity = fitted.velocity[padded, 0]
        model = model_flux(
            setup.problem, stars, jnp.asarray(fitted.mean[padded]),
            (jnp.asarray(velocity), jnp.asarray(fitted.lsf[padded])),
        )  # fmt: skip
        difference = np.asarray(stars.flux) - np.asarray(model)
        ivar = np.where(np.asarray(stars.precision)[: len(part)] > 0, spectrum.ivar, 0.0)
        for i in range(len(part)):
            seen = wave * doppler_factor(spectrum.vrad[i] + velocity[i])
            at = _nearest(np.asarray(spectrum.wave), spectrum.arms, ivar[i], seen)
            good = at >= 0
            noise = 1 / np.where(good, ivar[i, at], 1.0)
            found.append(
                (np.where(good, difference[i, at], np.nan), np.where(good, noise, np.nan))
            )
    return Residuals(*(np.stack(column) for column in zip(*found, strict=True)))


def _nearest(
    wave: np.ndarray, arms: tuple[tuple[str, int, int], ...], ivar: np.ndarray, seen: np.ndarray
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
        f"{figures['stars']} stars of {figures['survey']} with a median S/N above "
        f"{figures['snr_above']:g}, {figures['pixels']} model pixels with {MIN_STARS} or more.",
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
    FigureCanvasAgg(figure)
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
    to.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(to) as temporary:
        figure.savefig(temporary, format="png", dpi=130)
    return to
