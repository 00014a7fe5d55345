"""The function that fits spectra and returns posteriors; runs and Python users call it."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayes_ddp.emulator.card import load_emulator
from bayes_ddp.emulator.error import read_mismatch
from bayes_ddp.emulator.network import BasisNetwork, PixelNetwork
from bayes_ddp.flags import FATAL, WARN
from bayes_ddp.inference.bounds.fitted import fitted_bounds
from bayes_ddp.inference.checks import check
from bayes_ddp.inference.forward import narrowest_fwhm, taps_needed
from bayes_ddp.inference.noise import with_errors
from bayes_ddp.inference.posterior import Posterior, blank, concatenate
from bayes_ddp.inference.prior import Choice, LabelPrior
from bayes_ddp.inference.problem import (
    Nuisance,
    Pixels,
    Problem,
    make_problem,
    pad,
    prepare_for,
    require_float64,
)
from bayes_ddp.inference.revise import best_fits
from bayes_ddp.inference.samplers import Exact, Map, Nuts
from bayes_ddp.spectra.raw import RawSpectra
from bayes_ddp.spectra.widths import mask_sharp

__all__ = ["BATCH", "by_width", "fit", "pad", "problem_of", "star_keys"]

BATCH = 32
"""Stars per batch. Every batch has this shape, so that the code is compiled once."""

_WIDTH_GROUPS = (5.0, 10.0)
"""Å, FWHM that separates groups of stars in different batches."""

Network = BasisNetwork | PixelNetwork
Progress = Callable[[int, int], None]
"""Callback with (number of stars done, number of stars)."""


def fit(
    spectra: RawSpectra,
    emulator: Network | str | Path,
    *,
    sampler: Exact | Map | Nuts | None = None,
    priors: Mapping[str, Choice] | None = None,
    nuisance: Nuisance | None = None,
    seed: int = 1,
    batch: int = BATCH,
    fatal: WARN = FATAL,
    progress: Progress | None = None,
) -> Posterior:
    """Posteriors of the labels of every star.

    Parameters
    ----------
    spectra
        From ``read`` or ``RawSpectra.from_arrays``.
    emulator
        From ``load_emulator``, or the name or folder of a model.
    sampler
        ``Exact()`` by default; ``Map()`` or ``Nuts()``.
    priors
        Label -> prior that replaces the default, the density of the emulator's training labels.
    nuisance
        Nuisances that are fitted; by default velocity and LSF.
    seed
        Seed of the random draws. The key of a star depends on it and on the star's identifier.
    batch
        Number of stars that are fitted together; results do not depend on it.
    fatal
        Stars with one of these bits are not fitted.
    progress
        Called with the number of stars done and the number of all stars to fit.

    Returns
    -------
    Posterior
        One row per star, in order, with identifiers and warnings; NaN for stars that could not be
        fitted.

    Raises RuntimeError without float64, and ValueError if emulator, priors and spectra are not
    compatible.
    """
    require_float64()
    sampler, nuisance = sampler or Exact(), nuisance or Nuisance()
    network = load_emulator(emulator) if isinstance(emulator, str | Path) else emulator
    if not (spectra.warn & int(fatal)).all():
        spectra = _broad_enough(spectra, network, fatal=fatal)
    fit_rows = np.flatnonzero((spectra.warn & int(fatal)) == 0)
    other = np.setdiff1d(np.arange(len(spectra)), fit_rows)
    parts, order = [], []
    for alike, size in by_width(spectra, fit_rows, batch=batch):
        own = spectra.take(alike)
        problem = problem_of(own, network, priors=priors, nuisance=nuisance)
        own = with_errors(own, problem, batch=size)
        for start in range(0, len(alike), size):
            raw = own.take(np.arange(start, min(start + size, len(alike))))
            keys = star_keys(seed, spectra.survey, raw.identifiers(), size=size)
            parts.append(_batch(problem, sampler, raw, keys=keys))
            order.append(alike[start : start + size])
            if progress:
                progress(sum(map(len, order)), len(fit_rows))
    for start in range(0, len(other), batch):
        rows = other[start : start + batch]
        parts.append(_not_fitted(spectra.take(rows), network, sampler))
        order.append(rows)
    if not parts:
        return _not_fitted(spectra, network, sampler)
    return concatenate(parts).take(np.argsort(np.concatenate(order)))


def _broad_enough(spectra: RawSpectra, network: Network, *, fatal: WARN) -> RawSpectra:
    """The spectra with pixels masked whose LSF is narrower than the model's (``mask_sharp``).

    Raises ValueError if no star can be fitted for that reason.
    """
    masked = mask_sharp(spectra, narrowest_fwhm(network))
    before, after = ((one.warn & int(fatal)) == 0 for one in (spectra, masked))
    if before.any() and not after.any():
        taps_needed(_widths(spectra.take(np.flatnonzero(before))), network)  # it raises
    return masked


def _widths(spectra: RawSpectra) -> np.ndarray:
    """FWHM, Å, of all usable pixels of all stars; of all pixels if none is usable."""
    used = [arm.fwhm[arm.ivar > 0] for arm in spectra.arms]
    if not any(map(len, used)):
        used = [np.ravel(arm.fwhm) for arm in spectra.arms]
    return np.concatenate(used)


def by_width(spectra: RawSpectra, rows: np.ndarray, *, batch: int) -> list[tuple[np.ndarray, int]]:
    """(rows, stars per batch) of groups of stars with similar largest LSF width.

    The largest width of the usable pixels sets memory and time per star, so that groups above 5
    and 10 Å have batches of a half and a quarter of ``batch``.
    """
    broadest = np.max(
        [np.where(a.ivar > 0, a.fwhm, 0.0).max(axis=1) for a in spectra.arms], axis=0
    )
    group = np.digitize(broadest, _WIDTH_GROUPS)[rows]
    return [(rows[group == n], max(batch >> int(n), 1)) for n in np.unique(group)]


def _batch(
    problem: Problem,
    sampler: Exact | Map | Nuts,
    raw: RawSpectra,
    *,
    keys: jax.Array,
) -> Posterior:
    """Posterior of the stars of ``raw`` with warnings; keys [batch] set the size of the batch."""
    best = best_fits(problem, raw, size=len(keys))
    found = sampler(problem, best.stars, keys, fit=best.fit).take(np.arange(len(raw)))
    bound = np.array(fitted_bounds(problem, best.stars, best.fit.q))[: len(raw)]
    bound[~np.isfinite(found.mode).all(axis=1)] = np.nan
    found = replace(found, diagnostics=found.diagnostics | {"crb": bound})
    found = replace(found, ids=np.array(raw.identifiers()), rejected=best.rejected)
    found = replace(found, warn=found.warn | best.warn)
    return compact(replace(found, warn=found.warn | check(found, problem, raw.vrad_err)))


def compact(posterior: Posterior) -> Posterior:
    """The record with draws in float32, the type in part files."""
    names = ("draws", "log_weight", "log_prior", "log_likelihood")
    single = {name: getattr(posterior, name).astype(np.float32) for name in names}
    nuisances = {n: v.astype(np.float32) for n, v in posterior.nuisances.items()}
    return replace(posterior, nuisances=nuisances, **single)


def _not_fitted(raw: RawSpectra, network: Network, sampler: Exact | Map | Nuts) -> Posterior:
    """Rows of NaN for stars that are not fitted, with the warnings of ``prepare``."""
    warn = prepare_for(network, raw)[1] if len(raw) else raw.warn
    empty = blank(
        network.space.names,
        np.array(raw.identifiers(), str),
        tuple(arm.name for arm in raw.arms),
        number=sampler.made,
        diagnostics=(*sampler.diagnostics, "crb"),
    )
    return compact(replace(empty, warn=np.asarray(warn, np.int64), chains=sampler.chains))


def star_keys(seed: int, survey: str, ids: list[str], *, size: int | None = None) -> jax.Array:
    """[star] random keys: ``seed`` folded with a SHA-256 of (survey, identifier).

    size : number of keys; the key of the last star is repeated to fill it.
    """
    named = ids + [ids[-1]] * ((size or len(ids)) - len(ids))
    words = [
        np.frombuffer(hashlib.sha256(f"{survey}|{name}".encode()).digest()[:8], np.uint32)
        for name in named
    ]
    pairs = jnp.asarray(np.array(words, np.uint32).reshape(-1, 2))
    key = jax.random.key(seed)
    return jax.vmap(lambda w: jax.random.fold_in(jax.random.fold_in(key, w[0]), w[1]))(pairs)


@dataclass(frozen=True, eq=False)
class _Identity:
    """A wrapper that compares by identity, so that arrays can be part of a cache's key."""

    value: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def problem_of(
    spectra: RawSpectra,
    network: Network,
    *,
    priors: Mapping[str, Choice] | None = None,
    nuisance: Nuisance | None = None,
) -> Problem:
    """The ``Problem`` of these spectra; cached, so that spectra on the same pixels share it.

    Raises ValueError for an emulator without a card, or one whose LSF is wider than the spectra's.
    """
    if network.card is None:
        raise ValueError(
            f"{network!r} has no card, which contains the default prior. Load it with "
            "load_emulator, or write it into a folder with write_model first."
        )
    widths = _widths(spectra)
    taps_needed(widths, network)  # raises if the LSF of the model is too wide
    ends = np.cumsum([0, *(len(arm.wave) for arm in spectra.arms)]).tolist()
    return _problem(
        _Identity(network),
        np.concatenate([arm.wave for arm in spectra.arms], dtype=float).tobytes(),
        tuple(zip((arm.name for arm in spectra.arms), ends[:-1], ends[1:], strict=True)),
        survey=spectra.survey,
        broadest=float(np.ceil(4 * widths.max()) / 4),
        typical=float(np.round(np.median(widths), 1)),
        priors=tuple(sorted((priors or {}).items())),
        nuisance=nuisance or Nuisance(),
    )


@lru_cache(maxsize=8)
def _problem(
    network: _Identity,
    wave: bytes,
    arms: tuple[tuple[str, int, int], ...],
    *,
    survey: str,
    broadest: float,
    typical: float,
    priors: tuple[tuple[str, Choice], ...],
    nuisance: Nuisance,
) -> Problem:
    """The problem for rounded LSF widths, so that files of one survey share it.

    broadest, typical : Å, largest and median FWHM of the LSF.
    """
    emulator: Network = network.value
    card = emulator.card
    assert card is not None
    return make_problem(
        Pixels(np.frombuffer(wave), arms, survey),
        emulator,
        LabelPrior(emulator.space, dict(card.density), dict(priors)),
        nuisance=nuisance,
        mismatch=read_mismatch(card.folder) if nuisance.mismatch else None,
        fwhm=(typical, broadest),
    )
