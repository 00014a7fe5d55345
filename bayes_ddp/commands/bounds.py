"""What ``bayes-ddp bounds`` does: bounds of a star on one or several instruments.

Bounds of the stars of a run are in ``run_bounds``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table, vstack

from bayes_ddp.commands.bounds_pictures import (
    check_bounds_pictures,
    draw_bounds,
    draw_budget,
    draw_curve,
)
from bayes_ddp.commands.bounds_text import (
    achieved_lines,
    bounds_figures,
    bounds_lines,
    check_table,
    compared_lines,
    window_figures,
    window_lines,
    write_table,
)
from bayes_ddp.inference.bounds.budget import budget
from bayes_ddp.inference.bounds.design import Design, Unknowns, make_design
from bayes_ddp.inference.bounds.planner import against_resolution, against_snr, snr_needed
from bayes_ddp.inference.bounds.repeats import fit_repeats
from bayes_ddp.inference.bounds.star import bounds_at
from bayes_ddp.spectra.instruments import find_instrument

__all__ = ["Question", "answer", "prior_words"]

_FACTORS = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
_LEAST_REPEATS = 20


@dataclass(frozen=True)
class Question:
    """What is asked of a star.

    labels : label -> value. instruments : names or files. snr : of the median pixel. arms, wave :
    which arms, and which wavelengths in Å, of the instruments are used; all by default. target :
    precision in dex for which the S/N is looked for. windows : whether the information budget is
    wanted. repeats : number of simulated spectra that are fitted.
    """

    labels: Mapping[str, float]
    instruments: tuple[str, ...] = ("desi",)
    snr: tuple[float, ...] = (100.0,)
    emulator: str | None = None
    arms: tuple[str, ...] = ()
    wave: tuple[float, float] | None = None
    unknowns: Unknowns = field(default_factory=Unknowns)
    vrad_err: float = 5.0
    target: float | None = None
    windows: bool = False
    repeats: int = 0
    seed: int = 1


def answer(
    question: Question,
    *,
    output: Path | None = None,
    pictures: Path | None = None,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> tuple[dict[str, Any], str]:
    """(figures, text to print) of a question; writes what is named.

    output : FITS or CSV table. pictures : folder for PNG.

    Raises ValueError for questions without an answer, OutputError where a file is not ours.
    """
    check_table(output)
    if pictures:
        check_bounds_pictures(pictures)
    if question.target is not None and not question.target > 0:
        raise ValueError(f"--target {question.target}: give a precision above 0 dex.")
    if 0 < question.repeats < _LEAST_REPEATS:
        raise ValueError(
            f"--repeats {question.repeats}: a scatter needs {_LEAST_REPEATS} or more."
        )
    figures: list[dict[str, Any]] = []
    lines: list[str] = []
    tables: list[Table] = []
    for name in question.instruments:
        design = _design(question, name)
        for snr in question.snr:
            progress("bounds", len(figures), len(question.instruments) * len(question.snr))
            one, text, table = _one(question, design, snr=snr, progress=progress)
            figures.append(one)
            lines += [*text, ""]
            tables.append(table)
        if question.target is not None:
            extra, text = _target(question, design)
            figures[-1] |= extra
            lines += [*text, ""]
        if pictures:
            place = pictures if len(question.instruments) == 1 else pictures / Path(name).stem
            drawn = _pictures(question, design, place, found=figures[-1].pop("_drawn"))
            lines += [f"Picture: {path}" for path in drawn]
            figures[-1]["pictures"] = [str(path) for path in drawn]
    for one in figures:
        one.pop("_drawn", None)
    lines += compared_lines(figures)
    if output:
        write_table(vstack(tables, metadata_conflicts="silent"), output)
        lines.append(f"Table: {output}")
    first = (
        figures[0] if len(figures) == 1 else {"designs": figures, "bounds": figures[0]["bounds"]}
    )
    return first, "\n".join(lines).rstrip()


def _design(question: Question, instrument: str) -> Design:
    chosen = find_instrument(instrument)
    if question.arms:
        chosen = chosen.only(question.arms)
    if question.wave:
        chosen = chosen.cut(*question.wave)
    return make_design(
        question.labels,
        instrument=chosen,
        emulator=question.emulator,
        unknowns=question.unknowns,
        vrad_err=question.vrad_err,
    )


def _one(
    question: Question,
    design: Design,
    *,
    snr: float,
    progress: Callable[[str, int, int], None],
) -> tuple[dict[str, Any], list[str], Table]:
    """(figures, text, table) of one instrument at one S/N."""
    spent = budget(design, snr) if question.windows else None
    found = spent.bounds if spent else bounds_at(design, snr)
    figures = bounds_figures(found)
    lines = bounds_lines(found)
    series: dict[str, np.ndarray] = {"estimator of the fit": found.sandwich_sd}
    if question.repeats:
        achieved = _achieved(question, design, snr, progress=progress)
        figures |= {"achieved": dict(zip(found.names, achieved, strict=True))}
        series = {f"scatter of {question.repeats} fits": achieved}
        lines += achieved_lines(found, achieved, question.repeats)
    if spent:
        figures["windows"] = window_figures(spent)
        figures["correlation"] = found.correlation.tolist()
        lines += window_lines(spent)
    table = found.to_table()
    table.add_column([found.instrument] * len(table), name="INSTRUMENT", index=0)
    table.add_column(np.full(len(table), snr), name="SNR", index=1)
    if question.repeats:
        table["ACHIEVED"] = achieved
    return figures | {"_drawn": (found, series, spent)}, lines, table


def _achieved(
    question: Question, design: Design, snr: float, *, progress: Callable[[str, int, int], None]
) -> np.ndarray:
    """[label], standard deviation of fits of simulated repeats."""
    posterior = fit_repeats(
        design,
        snr,
        number=question.repeats,
        seed=question.seed,
        progress=lambda done, total: progress("repeats", done, total),
    )
    places = [posterior.names.index(name) for name in design.free]
    modes = posterior.mode[posterior.fitted][:, places]
    return np.std(modes, axis=0, ddof=1)


def _target(question: Question, design: Design) -> tuple[dict[str, Any], list[str]]:
    """(figures, text) of the S/N that the target needs."""
    assert question.target is not None
    curve = against_snr(design)
    needed = snr_needed(curve, question.target)
    base = question.snr[0]
    exposure = {name: (value / base) ** 2 for name, value in needed.items()}
    lines = [
        f"{design.instrument.title}: S/N at which the bound is {question.target:g} dex (of Teff "
        f"{1000 * question.target:g} K, of vmic {question.target:g} km/s), and exposure time "
        f"relative to S/N {base:g} where photons limit it:"
    ]
    for name, value in sorted(needed.items(), key=lambda pair: np.nan_to_num(pair[1], nan=np.inf)):
        if not np.isfinite(value):
            lines.append(f"  {name:6s} not reached at S/N {curve.x[-1]:.0f}")
        elif value <= curve.x[0]:
            lines.append(f"  {name:6s} below S/N {curve.x[0]:.0f}")
        else:
            lines.append(f"  {name:6s} {value:8.1f}  {exposure[name]:10.3g}")
    return {"target": question.target, "snr_needed": needed, "exposure": exposure}, lines


def _pictures(
    question: Question, design: Design, folder: Path, *, found: tuple[Any, Any, Any]
) -> list[Path]:
    bound, series, spent = found
    star = f"Teff {design.labels[0]:.0f} K, log g {design.labels[1]:.2f}, [Fe/H] "
    star += f"{design.labels[design.names.index('feh')]:+.2f}"
    snr = question.snr[-1]
    note = f"{design.instrument.title}, {star}"
    drawn = [draw_bounds(bound, series, note=f"{note}, S/N {snr:g}", to=folder / "bounds.png")]
    curve = against_snr(design)
    to, target = folder / "snr.png", question.target
    drawn.append(draw_curve(curve, xlabel="S/N per pixel", note=note, target=target, to=to))
    finer = against_resolution(design, snr, _FACTORS)
    text = f"{note}, exposure of S/N {snr:g} at R {design.instrument.resolution:.0f}"
    xlabel, to = "resolution R, equal photons per Å", folder / "resolution.png"
    drawn.append(draw_curve(finer, xlabel=xlabel, note=text, target=target, to=to))
    if spent is not None:
        to = folder / "information.png"
        drawn.append(draw_budget(spent, note=f"{note}, S/N {snr:g}", to=to))
    return drawn


def prior_words(words: Sequence[str]) -> dict[str, float]:
    """Label -> standard deviation, of words such as ``logg=0.1``; raises ValueError for others.

    >>> prior_words(["logg=0.1"])
    {'logg': 0.1}
    """
    priors = {}
    for word in words:
        name, _, text = word.partition("=")
        try:
            priors[name.strip()] = float(text)
        except ValueError:
            raise ValueError(f"--prior {word!r} is not LABEL=SD. Give such as logg=0.1.") from None
    return priors
