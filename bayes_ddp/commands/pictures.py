"""The pictures of a run: fit and corner figure of one star, recovery, comparison."""

import io
import warnings
from pathlib import Path

import numpy as np
from astropy.table import Table
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from bayes_ddp.comparison.report import ComparisonTable
from bayes_ddp.comparison.statistics import running
from bayes_ddp.comparison.tables import Pairs
from bayes_ddp.files.outputs import check_replaceable, write_png
from bayes_ddp.inference.residuals import model_spectra
from bayes_ddp.labels import LABELS
from bayes_ddp.pipeline.merge import part_of
from bayes_ddp.pipeline.run import Outcome
from bayes_ddp.pipeline.work import load_task
from bayes_ddp.plots import figures, public
from bayes_ddp.plots.difference import plot_difference

__all__ = [
    "check_picture",
    "check_pictures",
    "draw",
    "draw_comparison",
    "draw_recovery",
    "instructive_star",
    "save",
]


def check_picture(path: Path) -> None:
    """Raise ValueError unless the name ends in .png, OutputError if the file is not ours."""
    if path.suffix.lower() != ".png":
        raise ValueError(f"{path}: pictures are PNG. Give a name that ends in .png.")
    check_replaceable([path])


def check_pictures(output: Path) -> None:
    """Raise OutputError if a picture of a run would replace a file that is not ours."""
    check_replaceable(output / "pictures" / name for name in ("fit.png", "corner.png"))


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, atomically; raises the errors of ``check_picture``."""
    check_picture(path)
    FigureCanvasAgg(figure)
    data = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # of a star's name
        figure.savefig(data, format="png", dpi=130)
    write_png(path, data.getvalue())
    return path


def draw(outcome: Outcome, truth: np.ndarray | None = None) -> list[Path]:
    """Write fit and corner picture of one star of a run (``instructive_star``).

    truth : [row label], true values for the corner picture. Returns the paths of the files.
    """
    star = instructive_star(outcome.table)
    if star is None:
        return []
    task, row = outcome.task_of(star)
    chosen = outcome.table[star]
    lsf = [chosen[name] for name in outcome.table.colnames if name.startswith("LSF_")]
    found = model_spectra(
        load_task(outcome.setup, task).take([row]),
        outcome.setup.emulator,
        np.asarray(chosen["LABEL_MEAN"], float)[None],
        velocity=np.array([chosen["VRAD_FIT"] - chosen["VRAD_IN"]]),
        lsf=np.array([lsf]),
        batch=1,
    )
    folder = outcome.path.parent / "pictures"
    note = f"{_name(outcome.table, star)}, S/N {_snr(outcome.table)[star]:.0f}"
    written = [save(public.fit_figure(found, note), folder / "fit.png")]
    if outcome.draws is not None:
        part, row = part_of(outcome.parts, star)
        known = None if truth is None else truth[star]
        labels = public.measured(part.posterior, row)
        if len(labels) > 1 and len(part.posterior.draws):  # a run may fix the others
            corner = public.corner(part.posterior, row, labels=labels, truth=known)
            written.append(save(corner, folder / "corner.png"))
    return written


def _name(table: Table, row: int) -> str:
    """Identifier of a row of the catalogue, at most 80 characters."""
    name = str(table["SPECID" if "SPECID" in table.colnames else "NAME"][row])
    return name if len(name) <= 80 else f"{name[:79]}…"


def instructive_star(table: Table) -> int | None:
    """The row of a catalogue for the pictures; None if no star was fitted.

    Stars without a warning are preferred, then G and K stars with [Fe/H] above -0.8 and an S/N of
    50 to 100, then stars with many detected labels.
    """
    fitted = np.isfinite(np.asarray(table["CHI2"]))
    if not fitted.any():
        return None
    columns = [row.column for row in LABELS if row.column in table.colnames]
    detected = np.isfinite(np.stack([np.asarray(table[name]) for name in columns], axis=1))
    snr = _snr(table)
    teff, feh = (np.asarray(table[f"{name}_P50"]) for name in ("TEFF", "FEH"))
    usual = (np.abs(teff - 5250) < 900) & (feh > -0.8) & (snr > 50) & (snr < 100)
    clean = np.asarray(table["WARN"]) == 0
    rank = 1000 * fitted + 400 * clean + 100 * usual + detected.sum(axis=1) + 1e-3 * snr
    return int(np.argmax(rank))


def _snr(table: Table) -> np.ndarray:
    """[row], the largest median S/N of an arm; 0 if unknown."""
    columns = [name for name in table.colnames if name.startswith("SNR_")]
    return np.max(np.nan_to_num([np.asarray(table[name]) for name in columns]), axis=0)


def draw_recovery(
    truth: np.ndarray,
    mean: np.ndarray,
    sd: np.ndarray,
    *,
    published: np.ndarray,
    names: tuple[str, ...],
    to: Path,
) -> Path:
    """Draw estimates against true values, one panel per label.

    truth, mean, sd : [star label]. published : [star label] bool, values of the catalogue.
    """
    columns = 5
    figure = Figure(figsize=(14, 2.8 * -(-len(names) // columns)), layout="constrained")
    axes = figure.subplots(-(-len(names) // columns), columns, squeeze=False).ravel()
    figures.plot_recovery(list(axes), truth, mean, sd=sd, published=published, names=names)
    return save(figure, to)


def draw_comparison(result: ComparisonTable, to: Path) -> Path:
    """Draw ours minus theirs, one panel per label; colour is the first key of the bins or S/N."""
    columns = min(len(result.rows), 3 if len(result.rows) < 5 else 4)
    lines = -(-len(result.rows) // columns)
    figure = Figure(figsize=(4.1 * columns + 0.7, 3.5 * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    key = next(iter(result.by), "snr")
    every = np.concatenate([pair.keys[key] for pair in result.pairs.values()])
    known = every[np.isfinite(every)]
    ends = np.quantile(known, [0.02, 0.98]) if len(known) else np.array([0.0, 1.0])
    norm = Normalize(*ends) if ends[1] > ends[0] else Normalize(ends[0] - 1, ends[0] + 1)
    for ax, row in zip(axes, result.rows, strict=False):
        pair = result.pairs[row.label]
        points = plot_difference(
            ax,
            pair.theirs,
            pair.difference,
            name=row.label,
            colour=pair.keys[key],
            norm=norm,
            band=running(pair.theirs, pair.difference),
            note=row.sentence(),
            typical=_typical_error(pair),
        )
    for ax in axes[len(result.rows) :]:
        ax.set_visible(False)
    if axes[0].get_legend_handles_labels()[0]:
        axes[0].legend(loc="upper right", frameon=False, fontsize="small", handlelength=1.2)
    if len(known):
        bar = figure.colorbar(points, ax=list(axes), pad=0.01, extend="both", aspect=30 * lines)
        bar.set_label("S/N" if key == "snr" else f"other {figures.title(key)}")
    return save(figure, to)


def _typical_error(pair: Pairs) -> tuple[float, float]:
    """Median error of theirs and of the difference; NaN if one side has none."""
    errors = pair.theirs_err, np.hypot(pair.ours_err, pair.theirs_err)
    known = [part[np.isfinite(part)] for part in errors]
    return tuple(float(np.median(part)) if len(part) else np.nan for part in known)  # type: ignore[return-value]
