"""Cross-validation of a correction: stars fitted by models that were corrected on the others."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from bayes_ddp.commands.correct.learn import Part, assemble, learn_part
from bayes_ddp.comparison.options import Choice
from bayes_ddp.comparison.run import bin_rows, compare_label
from bayes_ddp.comparison.tables import Pairs
from bayes_ddp.emulator.correction import CORE
from bayes_ddp.emulator.network import BasisNetwork
from bayes_ddp.emulator.residual_fit import Learned
from bayes_ddp.inference.fit import fit
from bayes_ddp.inference.posterior import Posterior
from bayes_ddp.inference.samplers import Map

__all__ = ["validate"]

_FEWEST = 10
"""Stars with a label below which its figures are not given."""


def validate(
    base: BasisNetwork,
    parts: list[Part],
    learned: list[Learned],
    *,
    folds: int,
    progress: Callable[[str], None],
) -> tuple[dict[str, Any], str]:
    """(figures, text) of labels before and after, each star fitted without itself in the training.

    Kernels are those of all stars; directions, weights and noise are learned anew in each fold.
    """
    figures: dict[str, Any] = {}
    lines: list[str] = []
    for number, part in enumerate(parts):
        if not part.source.validate:
            continue
        raw, used = part.sample.raw, np.flatnonzero(part.sample.used)
        before = fit(raw, base, sampler=Map())
        progress(f"{part.source.name}: {len(raw)} stars fitted with the base model")
        after = np.full(before.mean.shape, np.nan)
        errors = np.full(before.mean.shape, np.nan)
        fold = np.random.default_rng(0).permutation(len(raw)) % folds
        for one in range(folds):
            others = np.flatnonzero(fold[used] != one)
            again = list(learned)
            again[number] = _padded(
                learn_part(part, base, rows=others, like=learned[number]), len(used)
            )
            rows = np.flatnonzero(fold == one)
            found = fit(raw.take(rows), assemble(base, parts, again), sampler=Map())
            after[rows], errors[rows] = found.mean, _deviations(found)
            progress(f"{part.source.name}: fold {one + 1} of {folds}")
        pairs = [
            _pairs(part, base, mean, errors=error)
            for mean, error in ((before.mean, _deviations(before)), (after, errors))
        ]
        figures[part.source.name] = _figures(*pairs)
        lines += ["", *_lines(part.source.name, *pairs)]
    return figures, "\n".join(lines)


def _padded(learned: Learned, stars: int) -> Learned:
    """The correction with stars without weight added, so that all folds share compiled code."""
    missing = stars - len(learned.block.centre)

    def more(array: Any, value: float) -> np.ndarray:
        array = np.asarray(array)
        return np.concatenate([array, np.full((missing, *array.shape[1:]), value)])

    block = learned.block
    values = {"centre": 0.0, "excess": 0.0, "weight": 0.0, "noise": 1.0}
    padded = {name: more(getattr(block, name), value) for name, value in values.items()}
    return replace(learned, block=replace(block, **padded))


def _deviations(posterior: Posterior) -> np.ndarray:
    """[star label] standard deviations."""
    return np.sqrt(np.diagonal(posterior.covariance, axis1=1, axis2=2))


def _pairs(
    part: Part, base: BasisNetwork, mean: np.ndarray, *, errors: np.ndarray
) -> dict[str, Pairs]:
    """Label -> fitted and tabulated values of the stars in the ranges of the source."""
    sample, space = part.sample, base.space
    keys = {name: sample.values[:, space.index(name)] for name in CORE}
    found = {}
    for place, name in enumerate(space.names):
        pair = Pairs(
            mean[:, place],
            errors[:, place],
            sample.values[:, place],
            sample.errors[:, place],
            keys,
        )
        pair = pair.take(sample.used & np.isfinite(pair.difference))
        if len(pair.ours) >= _FEWEST:
            found[name] = pair
    return found


def _figures(before: dict[str, Pairs], after: dict[str, Pairs]) -> dict[str, Any]:
    """Label -> figures of all stars before and after, for the card."""
    table: dict[str, Any] = {
        "columns": ["number", "offset", "scatter", "slope", "and after correction"]
    }
    for name in after:
        row = []
        for pairs in (before, after):
            one = compare_label(name, pairs[name])
            row += [one.number, one.offset, one.scatter, one.slope]
        table[name] = [float(f"{value:.3g}") for value in row]
    for key in CORE:
        for name in CORE:
            cells = _bins(before[name], after[name], key)
            table[f"{name}_by_{key}"] = [
                [*ends, *(float(f"{value:.3g}") for value in values)] for ends, values in cells
            ]
    return table


def _bins(
    before: Pairs, after: Pairs, key: str
) -> list[tuple[tuple[float, float], tuple[float, ...]]]:
    """((low, high), (number, offset, error, scatter) before and after) of the bins in one key."""
    edges = Choice(by=key).bin_edges()
    rows = {row.bin[key]: row for row in bin_rows(before, edges)}
    cells = []
    for row in bin_rows(after, edges):
        first = rows.get(row.bin[key])
        if first is None or min(first.number, row.number) < 3:
            continue
        values = [x for r in (first, row) for x in (r.number, r.offset, r.offset_err, r.scatter)]
        cells.append((row.bin[key], tuple(map(float, values))))
    return cells


def _lines(name: str, before: dict[str, Pairs], after: dict[str, Pairs]) -> list[str]:
    """The figures as aligned text."""
    head = f"{'number':>8s}{'offset':>9s}{'scatter':>9s}"
    lines = [
        f"{name}: fitted minus tabulated labels, base model | corrected on the other stars",
        f"{'':14s}{head}{'slope':>7s}  |{head}{'slope':>7s}",
    ]
    for label in after:
        cells = [compare_label(label, pairs[label]) for pairs in (before, after)]
        text = [
            f"{c.number:8d}{c.offset:9.3f}{c.scatter:9.3f}{c.slope:7.2f}".replace("nan", "  -")
            for c in cells
        ]
        lines.append(f"{label:14s}{'  |'.join(text)}")
    head = f"{'number':>8s}{'offset':>9s}{'±':>8s}{'scatter':>9s}"
    for key in CORE:
        lines += ["", f"{f'by {key}':22s}{head}  |{head}"]
        for label in CORE:
            for (low, high), values in _bins(before[label], after[label], key):
                halves = values[:4], values[4:]
                text = [f"{n:8.0f}{o:9.3f}{e:8.3f}{s:9.3f}" for n, o, e, s in halves]
                lines.append(f"{label:6s}{low:7g} to {high:5g}{'  |'.join(text)}")
    return lines
