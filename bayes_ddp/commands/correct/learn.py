"""A model corrected on labelled stars: learned, validated and written with its card."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from bayes_ddp.commands.correct.settings import Settings, Source
from bayes_ddp.commands.correct.stars import Sample, read_sample
from bayes_ddp.commands.mismatch import REGIONS
from bayes_ddp.emulator.card import load_emulator, model_files, read_card
from bayes_ddp.emulator.corrected import join, write_correction
from bayes_ddp.emulator.correction import CORE, Correction
from bayes_ddp.emulator.error import mismatch_files, write_mismatch
from bayes_ddp.emulator.network import BasisNetwork, Card
from bayes_ddp.emulator.residual_fit import Learned, Stars, learn
from bayes_ddp.emulator.sharpen import sharpen
from bayes_ddp.files.outputs import check_replaceable
from bayes_ddp.inference.known_labels import complete_labels
from bayes_ddp.inference.labelled import labelled_residuals, rest_grid
from bayes_ddp.inference.prior import LabelPrior
from bayes_ddp.spectra.masks import BANDS

__all__ = ["Part", "assemble", "correct_model", "learn_part"]

_LSF_SD = 0.03
_UNKNOWN_CORE = 1.0
"""Error, normalised flux, of line cores that no labelled star shows: they are not fitted."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Part:
    """One source, prepared: its sample, the stars that are learned from, and the grid.

    elements : abundances that act. wave, fwhm : [pixel] Å.
    """

    source: Source
    sample: Sample
    stars: Stars
    elements: tuple[str, ...]
    wave: np.ndarray
    fwhm: np.ndarray


def correct_model(
    folder: Path, settings: Settings, *, progress: Progress = lambda text: None
) -> tuple[dict[str, Any], str]:
    """Learn, validate and write the correction that a train.toml describes.

    folder : where the model is written.

    Returns (figures, text). Raises ValueError for input that nothing can be learned from,
    OutputError where a file that is not ours would be replaced.
    """
    from bayes_ddp.commands.correct.validate import validate

    check_replaceable([*model_files(folder), *mismatch_files(folder)])
    base = load_emulator(settings.base)
    if not isinstance(base, BasisNetwork) or base.card is None or base.correction is not None:
        raise ValueError(
            f"base = '{settings.base}' is not a BasisNetwork of computed spectra. Name one, such "
            "as desi-physics."
        )
    parts = [prepare_part(source, base, progress) for source in settings.source]
    learned = [learn_part(part, base) for part in parts]
    card = _card(folder.name, settings, base, parts=parts, learned=learned)
    for name in ("density", "validation"):
        card[name] = dict(base.card.table[name])
    if (folder / "card.toml").is_file():  # the mismatch on disk stays ours until it is replaced
        card |= {k: v for k, v in read_card(folder).items() if k == "mismatch"}
    network = assemble(base, parts, learned)
    text = ""
    if settings.folds:
        figures, text = validate(base, parts, learned, folds=settings.folds, progress=progress)
        card["correction"]["validation"] = figures
    write_correction(folder, network, card)
    leftover = _leftover(base, parts, learned)
    figures = _regions(np.asarray(base.wave), leftover, parts)
    write_mismatch(folder, leftover, figures | _label_error(base))
    return card["correction"], "\n".join([*_lines(folder, card), text]).rstrip()


def prepare_part(source: Source, base: BasisNetwork, progress: Progress) -> Part:
    """The source read, and its residuals at the labels of its table."""
    sample = read_sample(source, base.space, progress=progress)
    rows = np.flatnonzero(sample.used)
    raw = sample.raw.take(rows)
    assert base.card is not None
    prior = LabelPrior(base.space, base.card.density)
    known = complete_labels(sample.values[rows], sample.errors[rows], prior)
    low, high = base.reach
    low, high = max(low, source.wave[0]), min(high, source.wave[1])
    if high - low < 50:
        common = max(high - low, 0.0)
        raise ValueError(
            f"{source.name}: wave = {list(source.wave)} and the model share {common:.0f} Å. Give "
            "the rest wavelengths, Å vacuum, where the spectra are to be used."
        )
    compared = labelled_residuals(raw, base, known.labels, wave=rest_grid(raw, low, high))
    seen = np.isfinite(compared.residual).any(axis=1)
    if not seen.all():  # such a star lacks this part of its spectrum
        sample = replace(sample, used=_only(sample.used, seen))
        rows, raw, compared = rows[seen], raw.take(np.flatnonzero(seen)), compared.take(seen)
        known = replace(known, labels=known.labels[seen], covariance=known.covariance[seen])
    size = base.space.size
    precision = np.zeros((len(rows), size + 2, size + 2))
    precision[:, :size, :size] = np.linalg.inv(known.covariance)
    precision[:, size, size] = raw.vrad_err**-2.0
    precision[:, size + 1, size + 1] = _LSF_SD**-2
    stars = Stars(
        known.labels,
        precision,
        compared.residual.astype(np.float32),
        compared.jacobian.astype(np.float32),
        known.usual,
    )
    progress(f"{source.name}: residuals of {len(rows)} stars at {low:.0f}-{high:.0f} Å")
    return Part(source, sample, stars, known.elements, compared.wave, compared.fwhm)


def _only(used: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """[star] bool: those of ``used`` that are ``seen``."""
    result = used.copy()
    result[used] = seen
    return result


def learn_part(
    part: Part, base: BasisNetwork, *, rows: np.ndarray | None = None, like: Learned | None = None
) -> Learned:
    """The correction of one source from some of its stars.

    rows : of ``part.stars``; all by default. like : a correction whose kernel is taken over.
    """
    stars = part.stars if rows is None else part.stars.take(rows)
    kernel = like.kernel if like else None
    return learn(stars, base.space, part.elements, rank=part.source.rank, kernel=kernel)


def assemble(base: BasisNetwork, parts: list[Part], learned: list[Learned]) -> BasisNetwork:
    """The base with the corrections of all sources, and its card with cores not masked."""
    grid = np.asarray(base.wave, float)
    rows, variance = [], np.asarray(base.error, float) ** 2
    for part, one in zip(parts, learned, strict=True):
        sharp = sharpen(
            one.rows,
            one.row_variance,
            wave=part.wave,
            fwhm=part.fwhm,
            model=(grid, float(base.fwhm)),
        )
        rows.append(sharp)
        variance += one.spread @ sharp**2
    error = np.sqrt(variance)
    error[_unseen_cores(grid, parts, learned)] = _UNKNOWN_CORE
    elements = tuple(part.elements for part in parts)
    correction = Correction(base.space, elements, tuple(one.block for one in learned))
    assert base.card is not None
    card = Card(base.card.folder, dict(base.card.table) | {"physics_only": False})
    return join(base, correction, np.concatenate(rows), error=error, card=card)


def _unseen_cores(grid: np.ndarray, parts: list[Part], learned: list[Learned]) -> np.ndarray:
    """[model pixel] bool: line cores that are masked for physical models and were not learned."""
    core = np.zeros(len(grid), bool)
    for band in BANDS:
        if band.only == "physics":
            low, high = band.edges()
            core |= (grid >= low) & (grid <= high)
    return core & ~_seen(grid, parts, learned)


def _seen(grid: np.ndarray, parts: list[Part], learned: list[Learned]) -> np.ndarray:
    """[model pixel] bool, where labelled stars have pixels."""
    seen = np.zeros(len(grid), bool)
    for part, one in zip(parts, learned, strict=True):
        known = np.isfinite(one.leftover).astype(float)
        seen |= np.interp(grid, part.wave, known, left=0.0, right=0.0) > 0.5
    return seen


def _leftover(base: BasisNetwork, parts: list[Part], learned: list[Learned]) -> np.ndarray:
    """[model pixel] rms that correction and model's error leave; NaN where no star has pixels."""
    grid, found = np.asarray(base.wave, float), np.full(len(base.wave), np.nan)
    for part, one in zip(parts, learned, strict=True):
        known = np.isfinite(one.leftover)
        inside = (grid >= part.wave[known][0]) & (grid <= part.wave[known][-1])
        rest = np.interp(grid[inside], part.wave[known], one.leftover[known])
        found[inside] = np.sqrt(np.maximum(rest**2 - np.asarray(base.error)[inside] ** 2, 0.0))
    return found


def _regions(wave: np.ndarray, leftover: np.ndarray, parts: list[Part]) -> dict[str, Any]:
    """The table [mismatch] of the card."""
    table: dict[str, Any] = {
        "stars": sum(len(part.stars.labels) for part in parts),
        "survey": ", ".join(part.source.name for part in parts),
        "columns": ["median mismatch"],
    }
    for low, high in pairwise(REGIONS):
        inside = (wave >= low) & (wave < high) & np.isfinite(leftover)
        if inside.any():
            table[f"wave_{low}_{high}"] = [float(f"{np.median(leftover[inside]):.3g}")]
    return table


def _label_error(base: BasisNetwork) -> dict[str, Any]:
    """The label error of the base's physics, an upper limit for the corrected model."""
    assert base.card is not None
    measured = base.card.table.get("mismatch", {}).get("label_error")
    return {"label_error": measured} if measured else {}


def _card(
    name: str,
    settings: Settings,
    base: BasisNetwork,
    *,
    parts: list[Part],
    learned: list[Learned],
) -> dict[str, Any]:
    """The card but for what ``write_correction`` adds."""
    assert base.card is not None
    old = base.card.table
    sources = {}
    for part, one in zip(parts, learned, strict=True):
        sources[part.source.name] = _source_table(part, one, base)
    return {
        "name": name,
        "description": settings.description,
        "base": base.card.name,
        "base_sha256": base.card.sha256,
        "physics_only": False,
        "abundance_scale": old["abundance_scale"],
        "calscale": settings.calscale,
        "not_for": list(settings.not_for) or list(old["not_for"]),
        "citation": " ".join(filter(None, [settings.citation, str(old.get("citation", ""))])),
        "training": {k: v for k, v in old["training"].items() if isinstance(v, int)},
        "labels": dict(old["labels"]),
        "wave": dict(old["wave"]),
        "correction": {"sources": sources},
    }


def _source_table(part: Part, one: Learned, base: BasisNetwork) -> dict[str, Any]:
    core = part.stars.labels[:, [base.space.index(name) for name in CORE]]
    ends = np.quantile(core, [0.05, 0.95], axis=0)
    ranges = {
        name: [float(f"{x:.4g}") for x in pair] for name, pair in zip(CORE, ends.T, strict=True)
    }
    return {
        "stars": len(core),
        "odd_stars": int(np.sum(one.block.noise > 4)),
        "wave": [float(f"{part.wave[0]:.1f}"), float(f"{part.wave[-1]:.1f}")],
        "rank": one.block.rank,
        "kernel_width": [float(f"{x:.3g}") for x in one.kernel.width],
        "abundances": list(part.elements),
        "range": ranges,
    }


def _lines(folder: Path, card: Mapping[str, Any]) -> list[str]:
    lines = [f"{folder}: {card['base']} corrected; labels on the scale: {card['calscale']}"]
    for name, table in card["correction"]["sources"].items():
        low, high = table["wave"]
        stars = f"{table['stars']} stars ({table['odd_stars']} odd)"
        lines.append(
            f"  {name}: {stars}, {low:.0f}-{high:.0f} Å, {table['rank']} rows; "
            f"abundances: {', '.join(table['abundances']) or 'none'}"
        )
    return lines
