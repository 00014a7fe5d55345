"""Best fits of a batch; stars with outliers, emission or a wrong velocity are fitted again.

Outlying pixels and emission lines are detected in the residuals of the first fit. If the fitted
velocity differs from the input velocity by more than a pixel, masks and pseudo-continuum were
misplaced. Only these stars are prepared and fitted again before sampling: without the outliers,
without the Balmer wings, with masks at the fitted velocity. The prior of the velocity does not
change, unless both velocities differ by over five of its errors: its error is then set to their
difference.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from bayes_ddp.flags import WARN
from bayes_ddp.inference.checks import MAX_SHIFT
from bayes_ddp.inference.companion import double
from bayes_ddp.inference.compared import Compared, compare, fitted_velocity
from bayes_ddp.inference.emission import emission_pixels, emitting
from bayes_ddp.inference.forward import StarData
from bayes_ddp.inference.optimise import Fit, first_start, fit_stars
from bayes_ddp.inference.outliers import outlying
from bayes_ddp.inference.problem import Problem, load_stars, pad, prepare_for
from bayes_ddp.spectra.masks import LIGHT_SPEED, MAX_VRAD
from bayes_ddp.spectra.pixels import absurd_pixels
from bayes_ddp.spectra.prepare import MIN_PIXELS
from bayes_ddp.spectra.raw import RawSpectra
from bayes_ddp.spectra.spectrum import Spectrum

__all__ = ["Best", "best_fits"]

_ROUNDS = 3
"""Largest number of further fits of a star; a better fit can reveal more outliers."""


class Best(NamedTuple):
    """Likelihood arrays and best fits of a padded batch.

    warn, rejected : [star] of the spectra alone: bits of ``prepare`` and of the checks; number of
    outlying pixels that were left out.
    """

    stars: StarData
    fit: Fit
    warn: np.ndarray
    rejected: np.ndarray


class _State(NamedTuple):
    """The state of the iteration for a batch; ``raw`` is without the rejected pixels.

    shift : [star] km/s beyond the catalogue's velocity, where masks and pseudo-continuum are.
    """

    raw: RawSpectra
    spectrum: Spectrum
    best: Best
    shift: np.ndarray


class _Change(NamedTuple):
    """Changes after a fit: pixels to reject [star pixel], and the reasons per star."""

    out: np.ndarray
    outliers: np.ndarray
    emission: np.ndarray
    moved: np.ndarray

    @property
    def rows(self) -> np.ndarray:
        """The stars that have to be fitted again."""
        return np.flatnonzero((self.outliers > 0) | self.emission | self.moved)


def best_fits(problem: Problem, raw: RawSpectra, *, size: int) -> Best:
    """Best fits of the stars of ``raw``, those with faulty pixels or velocities fitted again.

    raw : at most ``size`` stars, none of which has a bit that keeps it from being fitted.
    size : number of stars of the padded batch. Sets ``EMISSION`` and ``COMPANION``.
    """
    spectrum, warn = prepare_for(problem.emulator, raw)
    stars = load_stars(problem, pad(spectrum, size))
    absurd = sum(absurd_pixels(arm.flux, arm.ivar).sum(axis=1) for arm in raw.arms)
    best = Best(stars, fit_stars(problem, stars), warn, np.asarray(absurd, np.int64))
    state = _State(raw, spectrum, best, np.zeros(len(raw)))
    compared = _compare(problem, state)
    for _ in range(_ROUNDS):
        change = _change(problem, state, compared)
        if not len(change.rows):
            break
        state = _again(problem, state, change)
        compared = _compare(problem, state)
    two = np.where(double(compared), int(WARN.COMPANION), 0)
    return state.best._replace(warn=state.best.warn | two)


def _compare(problem: Problem, state: _State) -> Compared:
    best = state.best
    return compare(problem, state.raw, state.spectrum, stars=best.stars, fit=best.fit)


def _change(problem: Problem, state: _State, compared: Compared) -> _Change:
    """The changes that follow from residuals and velocities of the last fit."""
    count = len(state.shift)
    velocity = fitted_velocity(problem, state.best.fit)[:count]
    step = min(
        LIGHT_SPEED * np.median(np.diff(compared.wave[a:b]) / compared.wave[a + 1 : b])
        for _, a, b in compared.arms
    )
    error = np.asarray(state.spectrum.vrad_err)
    moved = np.abs(velocity - state.shift) > step
    moved |= (np.abs(velocity) > MAX_SHIFT * error) & (state.shift == 0)
    moved &= np.abs(state.raw.vrad + velocity) < MAX_VRAD
    # residuals of a fit at a wrong velocity are not used; the next fit is at the right one
    known = (state.best.warn & int(WARN.EMISSION)) != 0
    emission = emitting(compared) & ~known & ~moved
    lines = np.zeros(compared.used.shape, bool)
    if emission.any():
        lines = emission_pixels(compared) & emission[:, None]
    strange = outlying(compared) & ~lines & ~moved[:, None]
    return _Change(strange | lines, strange.sum(axis=1), emission, moved)


def _again(problem: Problem, state: _State, change: _Change) -> _State:
    """The batch with the stars of ``change`` prepared and fitted again.

    A star that has too few pixels left, or no second fit, keeps its first one.
    """
    rows, size = change.rows, len(state.best.fit.q)
    velocity = fitted_velocity(problem, state.best.fit)[: len(state.shift)]
    shift = np.where(change.moved, velocity, state.shift)
    cleaned = _without(state.raw, change.out)
    part = cleaned.take(rows)
    there = replace(part, vrad=part.vrad + shift[rows])
    spectrum, warn = prepare_for(problem.emulator, there)
    padded = pad(spectrum, size)
    moved = load_stars(problem, padded)
    stars = _with_prior(moved, state.spectrum, rows=rows, shift=shift)
    start = _start(problem, moved, state.best.fit, rows=rows, change=change, shift=shift)
    fit = fit_stars(problem, stars, start=start)
    enough = np.asarray(fit.pixels) >= MIN_PIXELS
    good = (np.asarray(fit.positive) & enough)[: len(rows)]
    kept, new = rows[good], np.flatnonzero(good)
    bits, rejected = state.best.warn.copy(), state.best.rejected.copy()
    bits[kept] |= warn[new]
    bits[rows[change.emission[rows]]] |= int(WARN.EMISSION)
    rejected[kept] += change.outliers[kept]
    level = np.array(state.spectrum.continuum)
    level[kept] = np.asarray(spectrum.continuum)[new]
    best = Best(
        stars=_merged(state.best.stars, stars, kept=kept, chosen=new),
        fit=_merged(state.best.fit, fit, kept=kept, chosen=new),
        warn=bits,
        rejected=rejected,
    )
    out = change.out & np.isin(np.arange(len(shift)), kept)[:, None]
    return _State(
        _without(state.raw, out),
        eqx.tree_at(lambda s: s.continuum, state.spectrum, level),
        best,
        np.where(np.isin(np.arange(len(shift)), kept), shift, state.shift),
    )


def _without(raw: RawSpectra, out: np.ndarray) -> RawSpectra:
    """The spectra with ``ivar = 0`` in the pixels ``out`` [star pixel]."""
    ends = np.cumsum([0, *(len(arm.wave) for arm in raw.arms)])
    parts = zip(raw.arms, ends[:-1], ends[1:], strict=True)
    return raw.with_ivar([np.where(out[:, a:b], 0, arm.ivar) for arm, a, b in parts])


def _with_prior(
    stars: StarData, spectrum: Spectrum, *, rows: np.ndarray, shift: np.ndarray
) -> StarData:
    """Stars prepared at the fitted velocity, with the prior of the input velocity.

    rows : indices in the batch. shift : [star of the batch], km/s.
    """
    filled = np.concatenate([rows, np.full(len(stars.vrad) - len(rows), rows[-1])])
    vrad, error = (np.asarray(x)[filled] for x in (spectrum.vrad, spectrum.vrad_err))
    far = np.abs(shift[filled])
    error = np.where(far > MAX_SHIFT * error, far, error)
    values = jnp.asarray(vrad), jnp.asarray(error)
    result: StarData = eqx.tree_at(lambda s: (s.vrad, s.vrad_err), stars, values)
    return result


def _start(
    problem: Problem,
    moved: StarData,
    fit: Fit,
    *,
    rows: np.ndarray,
    change: _Change,
    shift: np.ndarray,
) -> jax.Array:
    """[star parameter], the last fit if only outliers were rejected, else the best template."""
    start = np.array(first_start(problem, moved))
    number, block = len(rows), problem.parameters.block("velocity")
    if block is not None:
        start[:number, block] = shift[rows, None]
    near = ~(change.emission | change.moved)[rows] & np.asarray(fit.positive)[rows]
    start[:number][near] = np.asarray(fit.q)[rows][near]
    return jnp.asarray(start)


def _merged(old: Any, new: Any, *, kept: np.ndarray, chosen: np.ndarray) -> Any:
    """The batch ``old`` with its rows ``kept`` replaced by the rows ``chosen`` of ``new``."""

    def put(before: jax.Array, after: jax.Array) -> jax.Array:
        values = np.array(before)
        values[kept] = np.asarray(after)[chosen]
        return jnp.asarray(values)

    return jax.tree.map(put, old, new)
