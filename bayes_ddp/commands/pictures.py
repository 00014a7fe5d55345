"""The pictures of a run: one star's fit and corner plot, a recovery, a comparison."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from bayes_ddp.compare.report import ComparisonTable
from bayes_ddp.compare.statistics import running
from bayes_ddp.compare.tables import Pairs
from bayes_ddp.files.paths import atomic_write
from bayes_ddp.inference.posterior import read_draws
from bayes_ddp.pipeline import run as pipeline
from bayes_ddp.plots import figures as plots

__all__ = ["draw", "draw_comparison", "draw_recovery", "save"]


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, at once or not at all."""
    FigureCanvasAgg(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)
    return path


def draw(
    setup: pipeline.Setup, outcome: pipeline.Outcome, truth: np.ndarray | None = None
) -> list[Path]:
    """Fit and corner picture of the star with the highest S/N, if possible without a warning.

    truth : [row label], drawn into the corner picture where known. Returns the files written.
    """
    table = outcome.table
    snr = np.nanmax(
        np.nan_to_num(np.stack([np.asarray(table[c]) for c in _snr_columns(setup)])), axis=0
    )
    warn = np.asarray(table["WARN"])
    usable = (warn & int(setup.fatal)) == 0
    if not usable.any():
        return []
    star = int(np.argmax(np.where(usable, snr + 1e6 * (warn == 0), -1)))
    raw = setup.raw.take(np.array([star]))
    name = raw.identifiers()[0]
    figure = Figure(figsize=(11, 3.4 * len(raw.arms)))
    spectrum, model = pipeline.best_model(setup, outcome, star)
    plots.plot_fit(
        plots.fit_axes(figure, len(raw.arms)), np.asarray(spectrum.wave),
        np.asarray(spectrum.flux[0]), np.asarray(spectrum.ivar[0]), model, spectrum.arms,
        note=f"{name}, S/N {snr[star]:.0f}",
    )  # fmt: skip
    folder = outcome.path.parent / "pictures"
    written = [save(figure, folder / "fit.png")]
    if outcome.draws is not None:
        draws = read_draws(outcome.draws)
        chosen = draws["draws"].sel(star=name).values.astype(float)
        chosen = chosen.reshape(chosen.shape[0], -1)[:, : draws.sizes["param"]]
        free = np.ptp(chosen, axis=0) > 0
        names = [str(n) for n, keep in zip(draws["param"].values, free, strict=True) if keep]
        corner = Figure(figsize=(1.6 * len(names),) * 2)
        known = None if truth is None else truth[star][free]
        plots.plot_corner(corner, chosen[:, free], names, truth=known)
        written.append(save(corner, folder / "corner.png"))
    return written


def _snr_columns(setup: pipeline.Setup) -> list[str]:
    return [f"SNR_{arm.name}" for arm in setup.raw.arms]


def draw_recovery(
    truth: np.ndarray,
    estimate: tuple[np.ndarray, np.ndarray, np.ndarray],
    names: tuple[str, ...],
    *,
    to: Path,
) -> Path:
    """Estimates against truth, one panel a label.

    estimate : mean, sd and whether the catalogue has the value; all [star label].
    """
    columns = 5
    figure = Figure(figsize=(14, 2.8 * -(-len(names) // columns)), layout="constrained")
    axes = figure.subplots(-(-len(names) // columns), columns, squeeze=False).ravel()
    plots.plot_recovery(list(axes), truth, *estimate, names=names)
    return save(figure, to)


def draw_comparison(result: ComparisonTable, to: Path) -> Path:
    """Ours minus theirs, one panel a label, coloured by the first key of the bins or by S/N.

    Raises ValueError for a name that does not end in .png.
    """
    if to.suffix.lower() != ".png":
        raise ValueError(f"{to}: pictures are PNG. Give a name that ends in .png.")
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
        points = plots.plot_difference(
            ax, pair.theirs, pair.difference, name=row.label, colour=pair.keys[key], norm=norm,
            band=running(pair.theirs, pair.difference), note=row.sentence(),
            typical=_typical_error(pair),
        )  # fmt: skip
    for ax in axes[len(result.rows) :]:
        ax.set_visible(False)
    if axes[0].get_legend_handles_labels()[0]:
        axes[0].legend(loc="upper right", frameon=False, fontsize="small", handlelength=1.2)
    if len(known):
        bar = figure.colorbar(points, ax=list(axes), pad=0.01, extend="both", aspect=30 * lines)
        bar.set_label("S/N" if key == "snr" else f"other {plots.title(key)}")
    return save(figure, to)


def _typical_error(pair: Pairs) -> tuple[float, float]:
    """Median error of theirs and of the difference; NaN where one side gives none."""
    errors = pair.theirs_err, np.hypot(pair.ours_err, pair.theirs_err)
    known = [part[np.isfinite(part)] for part in errors]
    return tuple(float(np.median(part)) if len(part) else np.nan for part in known)  # type: ignore[return-value]
