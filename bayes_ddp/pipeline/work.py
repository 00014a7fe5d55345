"""A task is read, selected, fitted and written as a part, unless a valid part exists.

The name of a part consists of the name of the input file and a fingerprint of code, settings,
model and data. A run that was stopped therefore resumes, and a run with one more file fits only
that file.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from importlib.metadata import version
from pathlib import Path

import numpy as np

from bayes_ddp import config
from bayes_ddp.emulator.card import load_emulator
from bayes_ddp.emulator.network import BasisNetwork, Card, PixelNetwork
from bayes_ddp.flags import FATAL, WARN
from bayes_ddp.inference.fit import fit
from bayes_ddp.inference.forward import narrowest_fwhm
from bayes_ddp.inference.parts import Part, read_part, write_part
from bayes_ddp.inference.posterior import Posterior
from bayes_ddp.inference.problem import require_float64
from bayes_ddp.pipeline.plan import Task
from bayes_ddp.spectra.classes import class_warning
from bayes_ddp.spectra.raw import RawSpectra, concatenate, same_pixels
from bayes_ddp.spectra.select import Counts, arm_snr, at_rest, between, select
from bayes_ddp.spectra.surveys import find_survey
from bayes_ddp.spectra.widths import mask_sharp

__all__ = ["Setup", "fingerprint", "load_task", "open_run", "provenance", "work"]


@dataclass(frozen=True)
class Setup:
    """A run with its emulator."""

    run: config.Run
    emulator: BasisNetwork | PixelNetwork = field(repr=False)

    @property
    def card(self) -> Card:
        """The card of the emulator."""
        assert self.emulator.card is not None
        return self.emulator.card

    @property
    def fatal(self) -> WARN:
        """Bits of stars that are not fitted and have no labels."""
        spared = WARN.NOT_STAR | WARN.BAD_RV
        return FATAL & ~spared if self.run.input.spectype == "any" else FATAL

    @cached_property
    def read(self) -> Callable[[Path], RawSpectra]:
        """``read_file`` of this run with a cache of the last file, for tasks of its other rows."""
        return lru_cache(maxsize=1)(partial(read_file, self.run))

    @cached_property
    def settings(self) -> str:
        """All settings that determine a part besides its data, as text."""
        table = config.as_table(self.run)
        deciding = {name: table[name] for name in ("seed", "nuisance", "sampler", "prior")}
        deciding |= {"spectype": self.run.input.spectype, "emulator": self.card.sha256}
        deciding |= {"version": version("bayes_ddp"), "jax": version("jax"), "code": _code()}
        known = (self.card.table.get(name, {}) for name in ("validation", "mismatch"))
        deciding["label_error"] = [table.get("label_error") for table in known]  # for WARN bits
        if self.run.nuisance.mismatch:
            deciding["mismatch"] = hashlib.sha256(
                (self.card.folder / "mismatch.safetensors").read_bytes()
            ).hexdigest()
        return json.dumps(deciding, sort_keys=True, default=str)


def open_run(run: config.Run) -> Setup:
    """The setup of a run, before any spectrum is read.

    Raises ValueError for a missing emulator or mismatch spectrum; RuntimeError without float64.
    """
    require_float64()
    emulator = load_emulator(run.emulator.name)
    if run.nuisance.mismatch:
        from bayes_ddp.emulator.error import read_mismatch

        read_mismatch(emulator.card.folder)  # type: ignore[union-attr]
    return Setup(run, emulator)


def read_file(run: config.Run, path: Path) -> RawSpectra:
    """All spectra of one input file with the options of the run, before the selection."""
    source = run.input
    raw = find_survey(source.survey).read(
        [path],
        catalog=None if source.catalog is None else Path(source.catalog),
        redshifts=[Path(p) for p in source.redshifts],
        **({} if source.table is None else {"layout": source.table}),
        **({"columns": source.columns} if source.columns else {}),
    )
    raw = replace(raw, warn=raw.warn | class_warning(raw.columns))
    if source.spectype == "any":
        raw = at_rest(raw)
    return raw if source.wave is None else between(raw, source.wave)


def load_task(setup: Setup, task: Task) -> RawSpectra:
    """The selected spectra of one task, in the order of its file."""
    return _load(setup, task)[0]


def _load(setup: Setup, task: Task) -> tuple[RawSpectra, Counts]:
    source, raw = setup.run.input, setup.read(task.path)
    rows = raw.take(np.arange(task.start, min(task.stop, len(raw))))
    return select(rows, targetid=source.targetid, minsn=source.minsn)


def fingerprint(setup: Setup, raw: RawSpectra) -> str:
    """SHA-256 of code, settings, model and these spectra, which determine their part."""
    digest = hashlib.sha256(setup.settings.encode())
    digest.update(json.dumps([raw.survey, raw.identifiers(), list(raw.columns)]).encode())
    for arm in raw.arms:
        for values in (arm.wave, arm.flux, arm.ivar, arm.fwhm):
            digest.update(np.ascontiguousarray(values))
    for values in (raw.vrad, raw.vrad_err, raw.ebv, raw.warn):
        digest.update(np.ascontiguousarray(values))
    for values in raw.columns.values():
        digest.update(np.ascontiguousarray(values))
    return digest.hexdigest()


@dataclass(frozen=True)
class Done:
    """A finished task: its part, and the numbers of spectra read and selected."""

    task: Task
    path: Path
    counts: Counts


def work(
    setup: Setup,
    tasks: Sequence[Task],
    folder: Path,
    *,
    batch: int,
    progress: Callable[[int], None],
) -> Iterator[Done]:
    """Compute a group of tasks: read them, fit those without a valid part, write the parts.

    batch : stars that are fitted together. progress : called with the number of stars done.
    """
    spectra, counts = zip(*(_load(setup, task) for task in tasks), strict=True)
    targets = [
        _target(setup, folder, task, raw=raw) for task, raw in zip(tasks, spectra, strict=True)
    ]
    missing = [i for i, (path, mark) in enumerate(targets) if read_part(path, mark) is None]
    progress(sum(len(task) for i, task in enumerate(tasks) if i not in missing))
    for block in _together([spectra[i] for i in missing]):
        rows = [missing[i] for i in block]
        raw = concatenate([spectra[i] for i in rows])
        posterior = _fit(setup, raw, batch=batch, progress=progress)
        ends = np.cumsum([0, *(len(spectra[i]) for i in rows)])
        for i, start, stop in zip(rows, ends[:-1], ends[1:], strict=True):
            part = _part(setup, spectra[i], posterior.take(np.arange(start, stop)))
            path, mark = targets[i]
            write_part(path, replace(part, fingerprint=mark), draws=setup.run.sampler.draws)
            progress(len(tasks[i]) - int(stop - start))  # rows that were not selected
    for task, (path, _), count in zip(tasks, targets, counts, strict=True):
        yield Done(task, path, count)


def _target(setup: Setup, folder: Path, task: Task, *, raw: RawSpectra) -> tuple[Path, str]:
    """(path, fingerprint) of the part of a task."""
    mark = fingerprint(setup, raw)
    stem = Path(task.path.name.removesuffix(".gz")).stem
    stem = stem.encode()[:160].decode(errors="ignore")  # a file system allows 255 bytes
    rows = f"-{task.start:05d}" if task.start else ""
    return folder / f"{stem}{rows}-{mark[:12]}.nc", mark


def _together(spectra: Sequence[RawSpectra]) -> list[list[int]]:
    """Groups of indices of spectra on the same pixels, which can be fitted in one call."""
    blocks: list[list[int]] = []
    for i, raw in enumerate(spectra):
        block = next((b for b in blocks if same_pixels(spectra[b[0]], raw)), None)
        if block is None:
            blocks.append([i])
        else:
            block.append(i)
    return blocks


def _fit(
    setup: Setup, raw: RawSpectra, *, batch: int, progress: Callable[[int], None]
) -> Posterior:
    done = 0

    def step(now: int, total: int) -> None:
        nonlocal done
        progress(now - done)
        done = now

    run = setup.run
    posterior = fit(
        mask_sharp(raw, narrowest_fwhm(setup.emulator)),  # fit raises if all are too sharp
        setup.emulator,
        sampler=run.sampler,
        priors=run.prior,
        nuisance=run.nuisance,
        seed=run.seed,
        batch=batch,
        fatal=setup.fatal,
        progress=step,
    )
    progress(len(raw) - done)  # stars that are not fitted
    return posterior


def _part(setup: Setup, raw: RawSpectra, posterior: Posterior) -> Part:
    (key,) = raw.key
    return Part(
        survey=raw.survey,
        key=key,
        columns=dict(raw.columns),
        vrad=raw.vrad,
        vrad_err=raw.vrad_err,
        ebv=raw.ebv,
        snr=np.stack(list(arm_snr(raw).values()), axis=1),
        posterior=posterior,
        provenance=provenance(setup),
    )


def provenance(setup: Setup) -> dict[str, str | int | float]:
    """Header cards on the origin of a catalogue; RVFLOOR is part of VRAD_ERR, km/s."""
    card = setup.card.table
    return {
        "BDDPVER": version("bayes_ddp"),
        "JAXVER": version("jax"),
        "NPYROVER": version("numpyro"),
        "EMULATOR": str(card["name"]),
        "EMUSHA": str(card["sha256"]),
        "CALSCALE": str(card["calscale"]),
        "ABUNSCAL": str(card["abundance_scale"]),
        "SURVEYIN": setup.run.input.survey,
        "RVFLOOR": find_survey(setup.run.input.survey).vrad_floor,
        "SAMPLER": setup.run.sampler.kind,
        "SEED": setup.run.seed,
        "SPECSEL": setup.run.input.spectype,
    }


@lru_cache(maxsize=1)
def _code() -> str:
    """A hash of the source code of the fit; a part of other code is fitted again."""
    home, digest = Path(__file__).resolve().parents[1], hashlib.sha256()
    for package in ("files", "tables", "spectra", "emulator", "inference", "pipeline"):
        for path in sorted((home / package).rglob("*.py")):
            digest.update(path.relative_to(home).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()
