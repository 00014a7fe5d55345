"""The straight line: files -> spectra -> posteriors -> catalogue, in chunks of one shape.

Each chunk is written before the next begins, so a run that was killed goes on where it stopped
and ends with the same catalogue. Random keys belong to stars (a hash of survey and identifier),
not to chunks: the order of stars and the size of chunks do not matter.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from astropy.table import Table, vstack

from bayes_ddp import config
from bayes_ddp.catalog.fits import write_catalogue
from bayes_ddp.catalog.table import make_catalogue
from bayes_ddp.emulator.card import find_model, load_emulator, read_card
from bayes_ddp.emulator.error import read_mismatch
from bayes_ddp.emulator.limits import model_limits
from bayes_ddp.files.paths import atomic_write
from bayes_ddp.flags import FATAL, WARN
from bayes_ddp.inference import posterior as posteriors
from bayes_ddp.inference.checks import (
    Trained,
    chi2_warning,
    edge_warning,
    odd_warning,
    trained_density,
    velocity_warning,
)
from bayes_ddp.inference.forward import render
from bayes_ddp.inference.noise import with_errors
from bayes_ddp.inference.posterior import Posterior
from bayes_ddp.inference.prior import LabelPrior
from bayes_ddp.inference.problem import Problem, load_stars, make_problem, require_float64
from bayes_ddp.spectra.classes import class_warning
from bayes_ddp.spectra.prepare import prepare
from bayes_ddp.spectra.raw import RawSpectra
from bayes_ddp.spectra.select import arm_snr, at_rest, between, select
from bayes_ddp.spectra.spectrum import Spectrum
from bayes_ddp.spectra.surveys import SURVEYS

__all__ = [
    "CHUNK", "Outcome", "Setup", "best_model", "existing", "figures", "open_run", "run",
    "star_keys",
]  # fmt: skip

CHUNK = 32
"""Stars that are fitted together. Every batch has this shape, so it is compiled once."""

Progress = Callable[[str, int, int], None]
"""Called with (what is done, how many, of how many)."""


@dataclass(frozen=True)
class Setup:
    """A run with its inputs in hand: spectra as the survey gives them, problem and card."""

    run: config.Run
    raw: RawSpectra
    problem: Problem
    card: dict[str, Any]
    trained: Trained

    @property
    def fatal(self) -> WARN:
        """Bits of stars that are not fitted and have no labels."""
        spared = WARN.NOT_STAR | WARN.BAD_RV
        return FATAL & ~spared if self.run.input.spectype == "any" else FATAL

    @property
    def physics(self) -> bool:
        """Whether the model is made of synthetic spectra alone."""
        return bool(self.card.get("physics_only", True))


@dataclass(frozen=True)
class Outcome:
    """What a run left: its catalogue, and where it and the draws were written."""

    table: Table
    path: Path
    draws: Path | None


def _quiet(what: str, done: int, total: int) -> None:
    """No progress shown."""


def star_keys(seed: int, survey: str, identifiers: list[str]) -> jax.Array:
    """[star] random keys: the run's key folded with a SHA-256 of (survey, identifier)."""
    words = [
        np.frombuffer(hashlib.sha256(f"{survey}|{name}".encode()).digest()[:8], np.uint32)
        for name in identifiers
    ]
    pairs = jnp.asarray(np.array(words, np.uint32).reshape(-1, 2))
    key = jax.random.key(seed)
    return jax.vmap(lambda w: jax.random.fold_in(jax.random.fold_in(key, w[0]), w[1]))(pairs)


def open_run(settings: config.Run) -> Setup:
    """Read everything a run needs and put its problem together.

    Raises ValueError (or a subclass) with one sentence for anything that cannot be read or does
    not fit together; RuntimeError without float64.
    """
    require_float64()
    given = settings.input
    read: Any = SURVEYS[given.survey]
    raw = read(
        [Path(p) for p in given.spectra],
        catalog=None if given.catalog is None else Path(given.catalog),
        redshifts=[Path(p) for p in given.redshifts],
        **({} if given.table is None else {"layout": given.table}),
    )
    if not len(raw):
        names = ", ".join(Path(p).name for p in given.spectra[:3])
        raise ValueError(f"{names}: no spectra in {len(given.spectra)} files, nothing to fit.")
    raw = select(raw, targetid=given.targetid, minsn=given.minsn)
    raw = replace(raw, warn=raw.warn | class_warning(raw.columns))
    if given.spectype == "any":
        raw = at_rest(raw)
    if given.wave is not None:
        raw = between(raw, given.wave)
    folder = find_model(settings.emulator.name)
    card = read_card(folder)
    emulator = load_emulator(settings.emulator.name)
    mismatch = read_mismatch(folder) if settings.nuisance.mismatch else None
    prior = LabelPrior(emulator.space, card["density"], dict(settings.prior))
    first, _ = prepare(raw.take(np.arange(1)), physics=card.get("physics_only", True))
    widths = [np.concatenate([arm.fwhm.min(axis=1), arm.fwhm.max(axis=1)]) for arm in raw.arms]
    problem = make_problem(
        first, emulator, prior, nuisance=settings.nuisance, mismatch=mismatch,
        fwhm=np.concatenate(widths),
    )  # fmt: skip
    trained = trained_density(emulator.space, card["density"])
    return Setup(settings, raw, problem, card, trained)


def existing(settings: config.Run) -> Path | None:
    """The catalogue that ``skipexisting`` leaves alone; None where the run is to be done.

    It is left alone whatever settings it was made with: its own stand in run.toml beside it.
    """
    path = Path(settings.output.directory) / "catalogue.fits"
    return path if settings.input.skipexisting and path.is_file() else None


def pad(spectrum: Spectrum, size: int) -> Spectrum:
    """The batch with its last star repeated, without pixels, up to ``size`` stars."""
    missing = size - len(spectrum)
    if missing <= 0:
        return spectrum
    rows = np.concatenate([np.arange(len(spectrum)), np.full(missing, len(spectrum) - 1)])
    padded = spectrum.take(rows)
    ivar = np.array(padded.ivar)
    ivar[len(spectrum) :] = 0.0
    return eqx.tree_at(lambda s: s.ivar, padded, ivar)


def fit_chunk(setup: Setup, rows: np.ndarray, size: int) -> tuple[Posterior, np.ndarray]:
    """(posterior, [star] warnings) of the stars in ``rows``, at most ``size`` of them."""
    raw = setup.raw.take(rows)
    spectrum, warn = prepare(raw, physics=setup.physics)
    names = raw.identifiers()
    keys = star_keys(setup.run.seed, raw.survey, names + [names[-1]] * (size - len(names)))
    stars = load_stars(setup.problem, pad(spectrum, size))
    result = setup.run.sampler(setup.problem, stars, keys).take(np.arange(len(rows)))
    warn = warn | result.warn | chi2_warning(result)
    warn = warn | velocity_warning(result, raw.vrad_err)
    warn = warn | edge_warning(result, setup.problem.prior.space)
    return result, warn | odd_warning(result, setup.trained, lsf_sd=setup.problem.lsf_sd)


def run(
    settings: config.Run, *, progress: Progress = _quiet, chunk: int = CHUNK
) -> tuple[Setup, Outcome]:
    """Fit every star of a run and write its catalogue, draws and resolved run file.

    chunk : stars fitted together. A chunk that an earlier, interrupted run of the same settings
    finished is read back instead of fitted again.
    """
    setup = open_run(settings)
    output = Path(settings.output.directory)
    parts = output / "draws"
    parts.mkdir(parents=True, exist_ok=True)
    with atomic_write(output / "run.toml") as path:
        path.write_text(config.dump(settings))
    fit = np.flatnonzero((setup.raw.warn & int(setup.fatal)) == 0)
    identity = _identity(setup, chunk)
    raw = with_errors(
        setup.raw, setup.problem, physics=setup.physics, batch=chunk, folder=parts, run=identity
    )
    setup = replace(setup, raw=raw)
    tables, done = [_blank_rows(setup, fit)], 0
    for number, start in enumerate(range(0, len(fit), chunk)):
        rows = fit[start : start + chunk]
        path = parts / f"part-{number:05d}.nc"
        result = _finished(path, identity)
        if result is None:
            result, warn = fit_chunk(setup, rows, chunk)
            result = posteriors.rounded(result, warn)
            posteriors.write_part(path, result, setup.raw.take(rows).identifiers(), identity)
        tables.append(_rows(setup, rows, result))
        done += len(rows)
        progress("fitted", done, len(fit))
    table = vstack([t for t in tables if len(t)], metadata_conflicts="silent")
    table.sort("_ROW")
    table.remove_column("_ROW")
    for stale in sorted(parts.glob("part-*.nc"))[-(-len(fit) // chunk) :]:
        stale.unlink()
    target = output / "catalogue.fits"
    write_catalogue(table, target, provenance(setup))
    kept = settings.output.draws and len(fit) > 0
    if not kept:
        shutil.rmtree(parts)
    return setup, Outcome(table, target, parts if kept else None)


def provenance(setup: Setup) -> dict[str, str | int]:
    """Header cards that say how a catalogue was made."""
    card = setup.card
    return {
        "BDDPVER": version("bayes_ddp"),
        "JAXVER": version("jax"),
        "NPYROVER": version("numpyro"),
        "EMULATOR": str(card["name"]),
        "EMUSHA": str(card["sha256"]),
        "CALSCALE": str(card["calscale"]),
        "ABUNSCAL": str(card["abundance_scale"]),
        "SURVEYIN": setup.raw.survey,
        "SAMPLER": setup.run.sampler.kind,
        "SEED": setup.run.seed,
        "SPECSEL": setup.run.input.spectype,
    }


def _identity(setup: Setup, chunk: int) -> str:
    """A hash of all that decides what a chunk holds: code, settings, model and the data."""
    settings = config.as_table(setup.run)
    told = {name: settings[name] for name in ("seed", "nuisance", "sampler", "prior")}
    told.update(chunk=chunk, emulator=setup.card["sha256"], jax=version("jax"))
    told.update(version=version("bayes_ddp"), code=_code())
    told.update(survey=setup.raw.survey, stars=setup.raw.identifiers())
    digest = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode())
    for arm in setup.raw.arms:
        for values in (arm.wave, arm.flux, arm.ivar, arm.fwhm):
            digest.update(np.ascontiguousarray(values))
    for values in (setup.raw.vrad, setup.raw.vrad_err, setup.raw.ebv, setup.raw.warn):
        digest.update(np.ascontiguousarray(values))
    digest.update(np.ascontiguousarray(setup.problem.error))
    return digest.hexdigest()


def _code() -> str:
    """A hash of the source that fits: a chunk that other code wrote is fitted again."""
    home, digest = Path(__file__).resolve().parents[1], hashlib.sha256()
    for room in ("files", "tables", "spectra", "emulator", "inference", "pipeline"):
        for path in sorted((home / room).rglob("*.py")):
            digest.update(path.relative_to(home).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def _finished(path: Path, identity: str) -> Posterior | None:
    return posteriors.read_part(path, identity) if path.exists() else None


def _rows(setup: Setup, rows: np.ndarray, result: Posterior) -> Table:
    raw = setup.raw.take(rows)
    limits = model_limits(setup.problem.prior.space, setup.card)
    table = make_catalogue(raw, result, arm_snr(raw), result.warn, model=limits, fatal=setup.fatal)
    table["_ROW"] = rows
    return table


def _blank_rows(setup: Setup, fitted: np.ndarray) -> Table:
    """Rows of the stars that are not fitted, whatever happened to them."""
    rows = np.setdiff1d(np.arange(len(setup.raw)), fitted)
    space, arms = setup.problem.prior.space, len(setup.raw.arms)
    diagnostics = setup.run.sampler.diagnostics
    blank = posteriors.blank(space.names, len(rows), arms, diagnostics=diagnostics)
    _, warn = prepare(setup.raw.take(rows), physics=setup.physics) if len(rows) else (None, rows)
    return _rows(setup, rows, posteriors.rounded(blank, np.asarray(warn, np.int64)))


def best_model(setup: Setup, outcome: Outcome, row: int) -> tuple[Spectrum, np.ndarray]:
    """(spectrum of one star, [pixel] normalised model at its posterior mean) of a finished run."""
    spectrum, _ = prepare(setup.raw.take(np.array([row])), physics=setup.physics)
    stars = load_stars(setup.problem, spectrum)
    star = jax.tree.map(lambda x: x[0], stars)
    part = _part_of(setup, outcome, row)
    labels = jnp.asarray(part.mean[0])
    nuisance = jnp.asarray(part.velocity[0, 0]), jnp.asarray(part.lsf[0])
    rows = setup.problem.emulator.flux_and_gradient(labels)
    flux, _ = render(setup.problem.shape, star, rows, nuisance)
    return spectrum, np.asarray(flux)


def _part_of(setup: Setup, outcome: Outcome, row: int) -> Posterior:
    """The posterior of one row: read back, or fitted again where draws were not kept."""
    if outcome.draws is not None:
        name = setup.raw.take(np.array([row])).identifiers()[0]
        for path in sorted(outcome.draws.glob("part-*.nc")):
            data = posteriors.open_part(path)
            where = np.flatnonzero(data["star"].values == name)
            if len(where):
                return posteriors.from_dataset(data).take(where[:1])
    return fit_chunk(setup, np.array([row]), 1)[0]


def figures(setup: Setup, outcome: Outcome) -> dict[str, Any]:
    """Counts of a finished run, for the terminal and for --json."""
    warn = np.asarray(outcome.table["WARN"])
    no_star = (warn & int(WARN.NOT_STAR)) != 0
    counted = {str(bit.name): int(np.count_nonzero(warn & int(bit))) for bit in WARN}
    return {
        "rows": len(warn),
        "fitted": int(np.count_nonzero((warn & int(setup.fatal | WARN.LABEL_EDGE)) == 0)),
        "warnings": {name: n for name, n in counted.items() if n},
        "no_star_not_fitted": int(np.count_nonzero(no_star & ((warn & int(setup.fatal)) != 0))),
        "survey": setup.raw.survey,
        "emulator": setup.card["name"],
        "catalogue": str(outcome.path),
        "draws": None if outcome.draws is None else str(outcome.draws),
    }
