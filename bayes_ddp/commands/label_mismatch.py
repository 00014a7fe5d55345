"""How far the mismatch of a model to real stars moves their labels, out of a finished run.

Of each star, the variances of its labels by the robust covariance less those that the fit states
(``bayes_ddp.inference.sandwich``) are due to what neighbouring pixels have in common. Fast
rotators, carbon stars, and stars with emission or a companion are left out. Where the
errors of the pixels were estimated from the residuals themselves (``NO_ERRORS``), these hold the
mismatch already, and nothing is taken off: spectra of libraries have little noise.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from astropy.table import Table

from bayes_ddp.catalog.table import unpack_covariance
from bayes_ddp.commands.finished import spectra_of
from bayes_ddp.emulator.limits import METALLICITY_NAMES, group_rows
from bayes_ddp.flags import WARN
from bayes_ddp.inference.fit import BATCH, by_width, problem_of
from bayes_ddp.inference.noise import with_errors
from bayes_ddp.inference.parameters import Nuisances
from bayes_ddp.inference.problem import load_stars, pad, prepare_for
from bayes_ddp.inference.sandwich import BLOCK, label_variances
from bayes_ddp.labels import LabelSpace, label
from bayes_ddp.pipeline.work import Setup
from bayes_ddp.spectra.raw import RawSpectra

__all__ = ["label_figures", "label_lines", "label_mismatch"]

_ODD = WARN.FAST_ROTATOR | WARN.EMISSION | WARN.COMPANION | WARN.CARBON
_LEAST_STARS = 5


def label_mismatch(setup: Setup, table: Table, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels and excess variances of some stars of a finished run.

    table : the catalogue. rows : its rows that are used.

    Returns [star label] means, and [star label] variances in units of the labels squared, which
    are negative where residuals are less correlated than noise; NaN for labels that were fixed and
    for spectra shorter than ten blocks.

    Raises ValueError for fewer than five stars.
    """
    labels, excess = [], []
    rows = rows[(np.asarray(table["WARN"])[rows] & int(_ODD)) == 0]
    if len(rows) < _LEAST_STARS:
        raise ValueError(
            f"The mismatch of labels needs {_LEAST_STARS} stars that are no fast rotators, carbon "
            f"stars, double or with emission, and the run has {len(rows)}. Fit more stars."
        )
    for raw, at in spectra_of(setup, table, rows):
        for alike, size in by_width(raw, np.arange(len(raw)), batch=BATCH):
            part = table[at[alike]]
            labels.append(np.asarray(part["LABEL_MEAN"], float))
            excess.append(_excess(setup, raw.take(alike), part, size=size))
    return np.concatenate(labels), np.concatenate(excess)


def _excess(setup: Setup, raw: RawSpectra, table: Table, *, size: int) -> np.ndarray:
    """[star label] of spectra and their rows of the catalogue; ``size`` stars at a time."""
    problem = problem_of(raw, setup.emulator, nuisance=setup.run.nuisance, priors=setup.run.prior)
    raw = with_errors(raw, problem, batch=size)
    spectrum, _ = prepare_for(setup.emulator, raw)
    velocity = np.asarray(table["VRAD_FIT"]) - np.asarray(table["VRAD_IN"])
    lsf = np.stack([np.asarray(table[f"LSF_{arm.name}"]) for arm in raw.arms], axis=1)
    mode = np.asarray(table["LABEL_MODE"], float)
    prior = unpack_covariance(np.asarray(table["PRIOR_COV"], float), mode.shape[1])
    known = (np.asarray(table["WARN"]) & int(WARN.NO_ERRORS)) == 0
    result = np.full(mode.shape, np.nan)
    for start in range(0, len(raw), size):
        rows = np.arange(start, min(start + size, len(raw)))
        stars = load_stars(problem, pad(spectrum.take(rows), size))
        for place, row in enumerate(rows):
            found = label_variances(
                problem,
                jax.tree.map(lambda values, place=place: values[place], stars),
                labels=mode[row],
                nuisances=Nuisances(jnp.asarray(velocity[row]), jnp.asarray(lsf[row])),
                prior_covariance=prior[row],
            )
            result[row] = found.robust - (found.stated if known[row] else 0.0)
    return result


def label_figures(labels: np.ndarray, excess: np.ndarray, space: LabelSpace) -> dict[str, Any]:
    """The table ``label_error`` of the card: by kind of star, the root of the median variance.

    labels, excess : [star label]. A range of [Fe/H] with fewer than five stars has the values of
    the nearest one; other kinds are left out then.
    """
    figures: dict[str, Any] = {
        "stars": len(labels),
        "method": "root of the median excess of the robust variance over that of independent "
        f"pixels, blocks of {BLOCK:.0f} Å",
        "labels": list(space.names),
    }
    for name, rows in group_rows(labels, space, least=_LEAST_STARS).items():
        middle = np.nan_to_num(np.nanmedian(excess[rows], axis=0))
        figures[name] = [float(f"{value:.3g}") for value in np.sqrt(np.maximum(middle, 0.0))]
    known = [place for place, name in enumerate(METALLICITY_NAMES) if name in figures]
    for place, name in enumerate(METALLICITY_NAMES):
        if known and name not in figures:
            nearest = known[int(np.argmin(np.abs(np.array(known) - place)))]
            figures[name] = figures[METALLICITY_NAMES[nearest]]
    return figures


def label_lines(figures: Mapping[str, Any]) -> list[str]:
    """Lines to print, one per label, with a column for each kind of star."""
    given = [name for name in figures if name.startswith("teff_")]
    kinds = [name for name in ("all", *METALLICITY_NAMES, *given) if name in figures]
    heads = [
        name.replace("feh_", "[Fe/H] ").replace("teff_", "Teff ").replace("_", " ")
        for name in kinds
    ]
    width = [max(len(head), 7) + 2 for head in heads]
    top = "".join(f"{head:>{size}s}" for head, size in zip(heads, width, strict=True))
    lines = [
        "Scatter of labels that is due to the mismatch:",
        f"{'label':8s}{top}",
    ]
    for place, name in enumerate(figures["labels"]):
        values = [f"{figures[kind][place]:.{label(name).digits}f}" for kind in kinds]
        cells = (f"{value:>{size}s}" for value, size in zip(values, width, strict=True))
        lines.append(f"{name:8s}" + "".join(cells))
    return lines
