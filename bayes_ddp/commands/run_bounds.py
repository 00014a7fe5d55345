"""Bounds of the spectra of a run, from their own inverse variances."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Column, Table

from bayes_ddp import config
from bayes_ddp.catalog.fits import read_catalogue
from bayes_ddp.commands.bounds_text import check_table, write_table
from bayes_ddp.inference.bounds.design import Design, Unknowns, complete_labels, make_design
from bayes_ddp.inference.bounds.exposure import exposures
from bayes_ddp.inference.bounds.star import bounds_on
from bayes_ddp.inference.resolution import narrowest_fwhm
from bayes_ddp.labels import label
from bayes_ddp.pipeline.plan import plan
from bayes_ddp.pipeline.work import Setup, load_task, open_run
from bayes_ddp.spectra.instruments import Instrument, InstrumentArm
from bayes_ddp.spectra.raw import RawSpectra
from bayes_ddp.spectra.surveys import find_survey
from bayes_ddp.spectra.widths import mask_sharp

__all__ = ["run_bounds"]


def run_bounds(
    run: config.Run,
    labels: Mapping[str, float],
    unknowns: Unknowns,
    *,
    output: Path | None = None,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> tuple[dict[str, Any], str]:
    """(figures, text to print): bounds of every spectrum of a run.

    Parameters
    ----------
    labels
        Of all stars; the best fits of the run's catalogue where empty.
    unknowns
        The run's own nuisances, but for those that are left out here.
    output
        FITS or CSV with a row per spectrum: identifier, labels, ``_CRB``, ``_SANDWICH``.

    Raises ValueError where the run has no catalogue and no labels are given.
    """
    check_table(output)
    setup = open_run(run)
    nuisance = replace(
        run.nuisance,
        velocity=run.nuisance.velocity and unknowns.nuisance.velocity,
        lsf=0.0 if unknowns.nuisance.lsf == 0.0 else run.nuisance.lsf,
    )
    unknowns = replace(unknowns, nuisance=nuisance)
    names = setup.emulator.space.names
    fixed = None
    if labels:
        full = complete_labels(labels)
        fixed = np.array([full[name] for name in names])
    known = None if fixed is not None else _best_fits(run)
    ids: list[str] = []
    rows: dict[str, list[np.ndarray]] = {"labels": [], "crb": [], "sandwich": []}
    tasks = plan(run)
    for number, task in enumerate(tasks):
        progress("bounds", number, len(tasks))
        raw = mask_sharp(load_task(setup, task), narrowest_fwhm(setup.emulator))
        here = raw.identifiers()
        at = np.array([fixed if known is None else known.get(n, _nothing(names)) for n in here])
        for key, values in _of_spectra(setup, raw, at, unknowns=unknowns).items():
            rows[key].append(values)
        ids += here
    every = {key: np.concatenate(parts) for key, parts in rows.items()}
    table = _table(ids, names, every)
    if output:
        write_table(table, output)
    return _figures(names, every, output)


def _nothing(names: tuple[str, ...]) -> np.ndarray:
    return np.full(len(names), np.nan)


def _best_fits(run: config.Run) -> dict[str, np.ndarray]:
    """Identifier -> best fit [label] of the catalogue."""
    path = Path(run.output.directory) / "catalogue.fits"
    if not path.is_file():
        raise ValueError(
            f"{path} is not there: run the file first, or give --teff, --logg and --feh."
        )
    table = read_catalogue(path)
    key = next(name for name in ("TARGETID", "OBSID", "SPECID", "NAME") if name in table.colnames)
    modes = np.asarray(table["LABEL_MODE"], float)
    return dict(zip(map(str, table[key]), modes, strict=True))


def _of_spectra(
    setup: Setup, raw: RawSpectra, labels: np.ndarray, *, unknowns: Unknowns
) -> dict[str, np.ndarray]:
    """labels, crb and sandwich, [star label]; NaN for stars without pixels or labels."""
    size = len(setup.emulator.space.names)
    found = {"labels": labels, "crb": np.full((len(raw), size), np.nan)}
    found["sandwich"] = found["crb"].copy()
    usable = np.isfinite(labels).all(axis=1) & np.isfinite(raw.vrad)
    if not usable.any():
        return found
    space = setup.emulator.space
    first = labels[np.flatnonzero(usable)[0]]
    design = make_design(
        dict(zip(space.names, np.clip(first, space.low, space.high), strict=True)),
        instrument=_instrument(raw),
        emulator=setup.emulator,
        unknowns=unknowns,
    )
    batch = exposures(raw, setup.emulator, error=design.error)
    places = [space.names.index(name) for name in design.free]
    for star in np.flatnonzero(usable):
        exposure = batch.take(int(star))
        if not np.asarray(exposure.star.precision > 0).any():
            continue
        one = bounds_on(_at(design, labels[star]), exposure)
        found["crb"][star, places] = one.marginal
        found["sandwich"][star, places] = one.sandwich_sd
    return found


def _at(design: Design, labels: np.ndarray) -> Design:
    return replace(design, labels=labels)


def _instrument(raw: RawSpectra) -> Instrument:
    """The instrument of real spectra: what the design needs of it."""
    arms = tuple(
        InstrumentArm(arm.name, arm.wave, np.median(arm.fwhm, axis=0), np.ones(len(arm.wave)))
        for arm in raw.arms
    )
    return Instrument(raw.survey, find_survey(raw.survey).title, raw.survey, "spectra", arms)


def _table(ids: list[str], names: tuple[str, ...], every: Mapping[str, np.ndarray]) -> Table:
    table = Table({"ID": np.array(ids, str)})
    for i, name in enumerate(names):
        row = label(name)
        for end, key, text in (
            ("", "labels", "label at which the bound is taken"),
            ("_CRB", "crb", "Cramer-Rao bound"),
            ("_SANDWICH", "sandwich", "standard deviation of the estimator of the fit"),
        ):
            table[row.column + end] = Column(
                every[key][:, i], unit=row.unit or None, description=text
            )
    return table


def _figures(
    names: tuple[str, ...], every: Mapping[str, np.ndarray], output: Path | None
) -> tuple[dict[str, Any], str]:
    known = np.isfinite(every["crb"]).any(axis=1)
    middle = {}
    for i, name in enumerate(names):
        values = every["crb"][:, i]
        values = values[np.isfinite(values)]
        middle[name] = float(np.median(values)) if len(values) else np.nan
    figures = {"bounds": middle, "spectra": len(known), "with_bounds": int(known.sum())}
    lines = [f"{len(known)} spectra, {int(known.sum())} with bounds; medians:"]
    lines += [
        f"  {name:6s} {value:10.{label(name).digits}f} {label(name).unit}"
        for name, value in middle.items()
    ]
    if output:
        figures["table"] = str(output)
        lines.append(f"Table: {output}")
    return figures, "\n".join(lines)
