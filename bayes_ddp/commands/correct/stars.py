"""Labelled stars of a source: spectra and table read, joined and selected."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bayes_ddp.commands.correct.settings import Source
from bayes_ddp.comparison.columns import column_name, error_name, prepared
from bayes_ddp.emulator.correction import CORE
from bayes_ddp.flags import FATAL
from bayes_ddp.labels import LabelSpace, label
from bayes_ddp.solar import labels_from_xh
from bayes_ddp.spectra.raw import RawSpectra
from bayes_ddp.spectra.read import read
from bayes_ddp.tables.match import match_rows
from bayes_ddp.tables.read import Content, read_columns

__all__ = ["FEWEST", "Sample", "read_sample"]

FEWEST = 20
"""Labelled stars without which there is nothing to learn from."""


@dataclass(frozen=True)
class Sample:
    """Spectra of stars and their labels.

    values, errors : [star label], NaN where unknown. used : [star] bool, which are learned from;
    the others are fitted in the validation alone.
    """

    raw: RawSpectra
    values: np.ndarray
    errors: np.ndarray
    used: np.ndarray


def read_sample(
    source: Source, space: LabelSpace, *, progress: Callable[[str], None] = lambda text: None
) -> Sample:
    """The stars of a source that are in its table of labels.

    progress : called with the number of stars left after every cut.

    Raises ValueError where no label is known, where labels have no errors, or where fewer than
    ``FEWEST`` stars are left.
    """
    raw = read(
        list(source.spectra),
        catalog=source.catalog,
        redshifts=list(source.redshifts),
        survey=source.survey,
        layout=source.layout,
    )
    if source.ebv is not None:
        raw = replace(raw, ebv=np.where(np.isfinite(raw.ebv), raw.ebv, source.ebv))
    path = Path(source.labels)
    content = read_columns(path)
    table = prepared(content, path, source.columns, option="columns", xh=source.xh or "")
    names = (", ".join(Path(file).name for file in source.spectra[:3]), path.name)
    match = match_rows(_identifiers(raw), table, names=names)
    progress(f"{source.name}: {len(raw)} spectra, {len(match.ours)} in {path.name} by {match.by}")
    raw = raw.take(match.ours)
    values, errors = _labels(source, table, space)
    sample = Sample(raw, values[match.theirs], errors[match.theirs], np.ones(len(raw), bool))
    return _selected(source, sample, space, progress=progress)


def _identifiers(raw: RawSpectra) -> Content:
    return {name.lower(): np.asarray(values) for name, values in raw.columns.items()}


def _labels(source: Source, table: Content, space: LabelSpace) -> tuple[np.ndarray, np.ndarray]:
    """(values, errors) [row label]; the table's own [Fe/H] before that of its [X/H]."""
    count = len(next(iter(table.values())))
    values, errors = np.full((count, space.size), np.nan), np.full((count, space.size), np.nan)
    made = {}
    if source.xh:
        made = labels_from_xh(table, scale=source.scale, pattern=source.xh.lower())
    assumed = source.choice().assumed_errors()
    for place, name in enumerate(space.names):
        column = column_name(table, label(name))
        if name in made and not (name == "feh" and column):
            values[:, place] = made[name]
        elif column:
            values[:, place] = table[column]
            error = error_name(table, column)
            if error:
                errors[:, place] = np.where(table[error] > 0, table[error], np.nan)
        missing = np.isfinite(values[:, place]) & ~np.isfinite(errors[:, place])
        if missing.any() and name not in assumed:
            raise ValueError(
                f"{source.labels}: {missing.sum()} stars have '{name}' without an error, and a "
                f"label is as good as its error. Give it as assume = {{ {name} = ... }}."
            )
        errors[missing, place] = assumed.get(name, np.nan)
    return values, errors


def _selected(
    source: Source, sample: Sample, space: LabelSpace, *, progress: Callable[[str], None]
) -> Sample:
    """The sample with the stars marked that are learned from."""
    core = sample.values[:, [space.index(name) for name in CORE]]
    keep = (sample.raw.warn & int(FATAL)) == 0
    cuts = [("usable spectrum", keep), ("Teff, log g and [Fe/H]", np.isfinite(core).all(axis=1))]
    for name, values in zip(CORE, core.T, strict=True):
        low, high = getattr(source, name)
        cuts.append((f"{name} in {low:g} to {high:g}", (values >= low) & (values <= high)))
    for text, passed in cuts:
        keep = keep & passed
        progress(f"{source.name}: {int(keep.sum())} with {text}")
    fewest = max(FEWEST, source.rank + 1)
    if keep.sum() < fewest:
        raise ValueError(
            f"{source.name}: {int(keep.sum())} labelled stars are left of {len(keep)}, and "
            f"{fewest} are needed for rank = {source.rank}. Give more stars, wider ranges or a "
            "smaller rank."
        )
    return replace(sample, used=keep)
