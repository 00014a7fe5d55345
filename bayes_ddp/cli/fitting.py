"""Commands that fit spectra: run, fit, demo."""

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from bayes_ddp.cli.app import Json, Quiet, app, print_figures, start_jax
from bayes_ddp.commands.terminal import Overwrite, Selection, layout_options, progress_bar

__all__ = ["demo", "fit", "run", "run_settings"]


@app.command
def run(
    file: Path,
    /,
    *,
    chosen: Selection | None = None,
    output: Path | None = None,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fit the spectra of a run file and write catalogue, draws and pictures.

    A run that was stopped goes on where it was: give the same command again.

    Parameters
    ----------
    file
        Run file, for example runs/demo/run.toml. The options about spectra replace words of its
        [input].
    output
        Folder for the results instead of [output] directory.
    """
    start_jax()
    from bayes_ddp import config

    options = chosen.options() if chosen else {}
    settings = config.choose(config.load(file), options, output=output)
    run_settings(settings, overwrite=overwrite, as_json=json, quiet=quiet)


@app.command
def fit(
    *,
    spectra: Annotated[list[Path], Parameter(consume_multiple=True)],
    emulator: str,
    output: Path,
    survey: str | None = None,
    catalog: Path | None = None,
    redshifts: Annotated[list[Path] | None, Parameter(consume_multiple=True)] = None,
    layout: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
    chosen: Selection | None = None,
    sampler: Literal["exact", "map", "nuts"] = "exact",
    mismatch: bool = False,
    seed: int = 1,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fit the spectra named on the command line; the equivalent run file is written to the output.

    Parameters
    ----------
    spectra
        Spectrum files, e.g. --spectra spec-*.fits or coadd-*.fits.
    emulator
        Shipped model (desi, lamost, desi-physics, lamost-physics) or a model folder.
    output
        Folder for catalogue.fits, draws, pictures and run.toml.
    survey
        Survey whose format the files have: desi, lamost, sdss or table. By default the first
        file decides.
    catalog
        DESI: RVS/MWS catalogue with VRAD. LAMOST: table that maps filename to obsid.
    redshifts
        DESI: redrock files, where there is no catalogue.
    layout
        Of tables and FITS images of your own, the keys of [input.table] (docs/tables.md), such
        as --layout fwhm=2.5 air=true error=sigma. Without air, each header must define it.
    sampler
        exact: draws of the exact posterior, a few stars a second. map: best fit and Gaussian
        covariance, faster, less true for faint metal-poor stars. nuts: long Markov chains.
    mismatch
        Add the model's measured mismatch to real stars to the error.
    seed
        Of the random draws.
    """
    start_jax()
    from bayes_ddp import config
    from bayes_ddp.spectra.read import survey_of

    chosen_survey = survey or ("table" if layout else survey_of(spectra).name)
    table: dict[str, Any] = {
        "schema": 1,
        "seed": seed,
        "input": {
            "survey": chosen_survey,
            "spectra": [str(p) for p in spectra],
            "redshifts": [str(p) for p in redshifts or []],
            **({"table": layout_options(layout)} if layout else {}),
            **(chosen.options() if chosen else {}),
        },
        "emulator": {"name": emulator},
        "nuisance": {"mismatch": mismatch},
        "sampler": {"kind": sampler},
        "output": {"directory": str(output)},
    }
    if catalog:
        table["input"]["catalog"] = str(catalog)
    settings = config.parse(table, source="bayes-ddp fit", base=Path.cwd())
    run_settings(settings, overwrite=overwrite, as_json=json, quiet=quiet)


def run_settings(settings: Any, *, overwrite: bool, as_json: bool, quiet: bool) -> None:
    """Carry out a run and print its figures."""
    from bayes_ddp.commands.run import run_and_describe

    with progress_bar(quiet) as progress:
        figures, text = run_and_describe(settings, progress=progress, overwrite=overwrite)
    print_figures(figures, text, as_json)


@app.command
def demo(
    folder: Path = Path("runs/demo"),
    /,
    *,
    stars: int = 64,
    seed: int = 1,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Simulate DESI spectra that were not used in training, fit them and compare with the truth.

    Parameters
    ----------
    folder
        Run folder; everything is written to FOLDER/output.
    stars
        How many stars to simulate.
    seed
        Of labels, noise and velocities.
    """
    start_jax()
    from bayes_ddp.commands import demo as line

    with progress_bar(quiet) as progress:
        figures, text = line.demo(
            folder, stars=stars, seed=seed, progress=progress, overwrite=overwrite
        )
    print_figures(figures, text, json)
