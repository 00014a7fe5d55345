"""The demonstration: simulated spectra are read, fitted and compared with their true labels.

The stars are physical spectra on which the emulator was not trained, so that its error is
included. They are written to a DESI coadd file and read by the reader of real files.
"""

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table

from bayes_ddp import config
from bayes_ddp.commands import pictures
from bayes_ddp.emulator.card import find_model
from bayes_ddp.emulator.limits import model_limits
from bayes_ddp.emulator.physics.library import read_held_out
from bayes_ddp.files.outputs import check_replaceable, write_fits
from bayes_ddp.inference.calibration import Recovery, recovery
from bayes_ddp.inference.parts import read_part
from bayes_ddp.inference.posterior import concatenate
from bayes_ddp.labels import LABELS, label
from bayes_ddp.pipeline import run as pipeline
from bayes_ddp.pipeline.outputs import check_outputs
from bayes_ddp.spectra.desi.writer import write_coadd, write_rvs_catalog
from bayes_ddp.spectra.expose import ModelSpectra, Simulation, simulate_coadd

__all__ = ["RUN", "demo", "recovery_table", "simulate_files"]

RUN = """\
# The demo: simulated DESI spectra of stars that the emulator was not trained on.
schema = 1
seed = 1

[input]
survey = "desi"
spectra = ["output/simulated/coadd-demo.fits"]
catalog = "output/simulated/rvs-demo.fits"

[emulator]
name = "desi-physics"

[sampler]
kind = "exact"

[output]
directory = "output"
"""


def simulate_files(folder: Path, *, stars: int, seed: int) -> np.ndarray:
    """Write coadd-demo.fits, rvs-demo.fits and truth.fits; returns the true labels [star label].

    The held-out spectra are repeated with other noise until there are ``stars`` of them.
    """
    held = read_held_out(find_model("held-out"))
    nodes = held.wave[:: len(held.wave) // (held.cont.shape[1] - 1)]
    flux = held.norm * np.stack([np.interp(held.wave, nodes, row) for row in held.cont])
    rng = np.random.default_rng([seed, 20_221])
    rounds = -(-stars // len(held.labels))
    rows = np.concatenate([rng.permutation(len(held.labels)) for _ in range(rounds)])[:stars]
    truth = held.labels[rows]
    models = ModelSpectra(held.wave, flux[rows], held.fwhm)
    simulated = simulate_coadd(models, Simulation(stars=stars), seed)
    names = ("coadd-demo.fits", "rvs-demo.fits", "truth.fits")
    check_replaceable(folder / name for name in names)
    folder.mkdir(parents=True, exist_ok=True)
    write_coadd(folder / "coadd-demo.fits", simulated)
    write_rvs_catalog(folder / "rvs-demo.fits", simulated)
    table = Table(truth, names=[row.column for row in LABELS])
    table.add_column(simulated.targetid, name="TARGETID", index=0)
    write_fits(folder / "truth.fits", fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(table)]))
    return truth


def demo(
    folder: Path, *, stars: int, seed: int, progress: pipeline.Progress, overwrite: bool = False
) -> tuple[dict[str, Any], str]:
    """(figures, text to print) of all steps in ``folder``; writes FOLDER/output.

    overwrite : as in ``pipeline.run``.
    """
    if stars < 1:
        raise ValueError(f"--stars {stars}: simulate at least one star.")
    folder.mkdir(parents=True, exist_ok=True)
    run_file = folder / "run.toml"
    if not run_file.exists():
        run_file.write_text(RUN, encoding="utf-8")
    settings = config.load(run_file)
    if not settings.output.draws:
        raise ValueError(
            f"{run_file} has [output] draws = false, but the recovery needs the draws. Set it to "
            "true."
        )
    output = Path(settings.output.directory)
    check_outputs(settings, overwrite=overwrite)
    pictures.check_pictures(output)
    pictures.check_picture(output / "pictures" / "recovery.png")
    truth = simulate_files(folder / "output" / "simulated", stars=stars, seed=seed)
    outcome = pipeline.run(settings, progress=progress, overwrite=overwrite)
    names = outcome.setup.emulator.space.names
    mean, sd, _ = _summaries(outcome)
    published = np.isfinite(_column(outcome, ""))
    rows = recovery_table(outcome, truth)
    drawn = pictures.draw(outcome, truth)
    to = output / "pictures" / "recovery.png"
    drawn.append(pictures.draw_recovery(truth, mean, sd, published=published, names=names, to=to))
    figures = pipeline.figures(outcome) | {
        "recovery": [row.row() for row in rows],
        "pictures": [str(p) for p in drawn],
    }
    lines = [
        f"{stars} simulated stars, {rows[0].stars} without a warning. Recovery (estimate - truth) "
        "of the labels",
        "that they have in the catalogue (z-sys: with the network's error of _SYS):",
        *format_recovery(rows),
        *(f"  {n} x {name}" for name, n in figures["warnings"].items()),
        f"Catalogue: {outcome.path}",
        f"Draws: {outcome.draws}",
        *(f"Picture: {p}" for p in drawn),
    ]
    return figures, "\n".join(lines)


def _summaries(outcome: pipeline.Outcome) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """mean, sd [row label] and quantiles [4 row label] of every row; NaN if flagged."""
    parts = [read_part(path) for path in outcome.parts]
    posterior = concatenate([part.posterior for part in parts if part is not None])
    mean = posterior.mean.copy()
    mean[np.asarray(outcome.table["WARN"]) != 0] = np.nan
    return mean, posterior.sd, posterior.quantiles([0.025, 0.16, 0.84, 0.975])


def recovery_table(outcome: pipeline.Outcome, truth: np.ndarray) -> list[Recovery]:
    """Recovery of each label for stars that have it in the catalogue and have no warning.

    truth : [row label].

    The stars are made of the physics that the network was trained on: of ``_SYS``, the network's
    error applies to them, and the mismatch to real stars does not.
    """
    mean, sd, quantile = _summaries(outcome)
    mean = np.where(np.isfinite(_column(outcome, "")), mean, np.nan)
    space, card = outcome.setup.emulator.space, outcome.setup.card.table
    known = {name: table for name, table in card.items() if name != "mismatch"}
    error = model_limits(space, known).label_error(np.asarray(outcome.table["LABEL_MEAN"]))
    return recovery(space.names, truth, mean, sd=sd, quantile=quantile, model_error=error)


def _column(outcome: pipeline.Outcome, ending: str) -> np.ndarray:
    """[row label], one kind of column of the catalogue."""
    names = outcome.setup.emulator.space.names
    return np.stack([np.asarray(outcome.table[label(n).column + ending]) for n in names], axis=1)


def format_recovery(rows: list[Recovery]) -> list[str]:
    """Lines of a table, one per label."""
    lines = [
        f"{'label':8s} {'stars':>5s} {'bias':>9s} {'scatter':>9s} {'z-bias':>7s} {'z-scat':>7s} "
        f"{'z-sys':>6s} {'in 68 %':>8s} {'in 95 %':>8s}"
    ]
    for row in rows:
        digits = label(row.name).digits
        lines.append(
            f"{row.name:8s} {row.stars:5d} {row.bias:9.{digits}f} {row.scatter:9.{digits}f} "
            f"{row.z_bias:7.2f} {row.z_scatter:7.2f} {row.z_total:6.2f} "
            f"{row.in_68:5d}/{row.stars:<3d}{row.in_95:5d}/{row.stars:<3d}"
        )
    return lines
