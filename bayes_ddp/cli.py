"""The command line: each subcommand builds settings and calls what Python users call too."""

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from bayes_ddp.commands.streams import run_command
from bayes_ddp.commands.terminal import Overwrite, Selection, layout_words, plain, progress_bar
from bayes_ddp.comparison.options import Choice
from bayes_ddp.files.errors import InputWarning

app = App(
    name="bayes-ddp",
    help="Posteriors of stellar labels (Teff, logg, vmic, [Fe/H], eleven [X/Fe]) from survey "
    "spectra.\n\nStart with: bayes-ddp demo\n\nYour own spectra: bayes-ddp fit "
    "--spectra spec-*.fits --emulator lamost-physics --output OUT\n\nEverything a run can do: a "
    "run file (bayes-ddp run --help).",
    help_format="plaintext",
    default_parameter=Parameter(negative_iterable=(), negative_bool=()),
)

Json = Annotated[
    bool, Parameter(name="--json", negative="", help="Print the figures as one JSON object.")
]
Quiet = Annotated[bool, Parameter(negative="", help="Show no progress.")]


def main() -> None:
    """Run the command line; one sentence and exit status 1 for anything the user can mend."""
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    run_command(app)


def _show_warning(message: Warning | str, category: type[Warning], *place: Any) -> None:
    """One sentence for what the user should know of an input; of others also the place."""
    if issubclass(category, InputWarning):
        print(f"bayes-ddp: warning: {message}", file=sys.stderr)
    else:
        print(warnings.formatwarning(message, category, *place[:2]), file=sys.stderr, end="")


def _start_jax() -> None:
    """Float64 on and a compile cache, before the first array is made."""
    import jax

    jax.config.update("jax_enable_x64", True)
    cache = os.environ.get("BAYES_DDP_CACHE")
    if cache:
        jax.config.update("jax_compilation_cache_dir", cache)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)


def _tell(figures: dict[str, Any], text: str, as_json: bool) -> None:
    print(json.dumps(plain(figures), allow_nan=False) if as_json else text)


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
    _start_jax()
    from bayes_ddp import config

    words = chosen.given() if chosen else {}
    settings = config.choose(config.load(file), words, output=output)
    _run(settings, overwrite=overwrite, as_json=json, quiet=quiet)


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
    """Fit spectra given on the command line; the run file this stands for goes into the output.

    Parameters
    ----------
    spectra
        Spectrum files, e.g. --spectra spec-*.fits or coadd-*.fits.
    emulator
        Shipped model (desi-physics, lamost-physics) or a model folder.
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
        as --layout fwhm=2.5 air=true error=sigma. Without air, each file has to say.
    sampler
        exact: draws of the exact posterior, a few stars a second. map: best fit and Gaussian
        covariance, faster, less true for faint metal-poor stars. nuts: long Markov chains.
    mismatch
        Add the model's measured mismatch to real stars to the error.
    seed
        Of the random draws.
    """
    _start_jax()
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
            **({"table": layout_words(layout)} if layout else {}),
            **(chosen.given() if chosen else {}),
        },
        "emulator": {"name": emulator},
        "nuisance": {"mismatch": mismatch},
        "sampler": {"kind": sampler},
        "output": {"directory": str(output)},
    }
    if catalog:
        table["input"]["catalog"] = str(catalog)
    settings = config.parse(table, source="bayes-ddp fit", base=Path.cwd())
    _run(settings, overwrite=overwrite, as_json=json, quiet=quiet)


def _run(settings: Any, *, overwrite: bool, as_json: bool, quiet: bool) -> None:
    from bayes_ddp.commands.run import run_and_describe

    with progress_bar(quiet) as progress:
        figures, text = run_and_describe(settings, progress=progress, overwrite=overwrite)
    _tell(figures, text, as_json)


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
    """Simulate DESI spectra from physical models the emulator never saw, fit them, show how well.

    Parameters
    ----------
    folder
        Run folder; everything is written to FOLDER/output.
    stars
        How many stars to simulate.
    seed
        Of labels, noise and velocities.
    """
    _start_jax()
    from bayes_ddp.commands import demo as line

    with progress_bar(quiet) as progress:
        figures, text = line.demo(
            folder, stars=stars, seed=seed, progress=progress, overwrite=overwrite
        )
    _tell(figures, text, json)


@app.command
def simulate(
    *,
    stars: int,
    output: Path,
    seed: int = 1,
    spectra: int = 0,
    faint: float = 19.0,
    check: bool = False,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw a mock Milky Way as DESI, Gaia and 2MASS would see it, with the truth of every star.

    Parameters
    ----------
    stars
        How many stars the survey targets.
    output
        Folder for mwsall-sim.fits, photometry.fits and truth.fits (docs/mock.md).
    seed
        Of everything; the same seed gives the same files.
    spectra
        How many of the stars get spectra (coadd-sim-*.fits and a run.toml that fits them).
    faint
        Limit of the survey in r: 19 is DESI's main survey, 20 its survey validation.
    check
        Print and draw how the stars compare with the paper's statements and with the inputs.
    """
    _start_jax()
    from bayes_ddp.commands import mock as mocking
    from bayes_ddp.mock.draw import Settings

    request, settings = mocking.Request(stars, spectra, check), Settings(seed, faint=faint)
    with progress_bar(quiet) as progress:
        figures, text = mocking.make_mock(
            output, request, settings, progress=progress, overwrite=overwrite
        )
    _tell(figures, text, json)


@app.command
def info(path: str, /, *, output: Path | None = None, json: Json = False) -> None:
    """Describe a spectrum file, model, run file or catalogue.

    Parameters
    ----------
    path
        File or folder, or the name of a shipped model.
    output
        PNG into which a model's training labels and draws of its prior are drawn.
    """
    _start_jax()
    from bayes_ddp.commands.info import describe

    figures, text = describe(path)
    if output:
        from bayes_ddp.commands.info.density import draw_density

        picture = draw_density(path, output)
        figures, text = figures | {"picture": str(picture)}, f"{text}\nPicture: {picture}"
    _tell(figures, text, json)


@app.command
def compare(
    catalogue: Path,
    other: Path,
    /,
    *,
    choice: Annotated[Choice | None, Parameter(name="*")] = None,
    output: Path | None = None,
    json: Json = False,
) -> None:
    """Compare a catalogue with another one, label by label: offset, scatter, trend, z-scatter.

    Parameters
    ----------
    catalogue
        Written by run or fit.
    other
        A catalogue of run or fit, DESI's mwsall-pix, LAMOST labels.csv, or any CSV, ECSV or FITS
        table with labels and identifiers or positions.
    output
        PNG to draw the differences into, coloured by S/N or by the first key of --by.
    """
    from bayes_ddp.comparison.run import compare as compare_files

    if output:
        from bayes_ddp.commands import pictures

        pictures.check_picture(output)
    result = compare_files(catalogue, other, choice)
    if output:
        pictures.draw_comparison(result, output)
    _tell(result.rows_as_dict(), result.format_table(), json)


@app.command
def mismatch(
    file: Path,
    /,
    *,
    snr: float = 50.0,
    write: bool = False,
    output: Path | None = None,
    json: Json = False,
) -> None:
    """Measure where the model does not match real stars, from the fits of a run.

    Parameters
    ----------
    file
        Run file of a finished run.
    snr
        Only stars whose median signal-to-noise ratio exceeds this.
    write
        Put the spectrum into the model's folder and its figures into the card.
    output
        PNG to draw it into. By default pictures/mismatch.png in the run's folder.
    """
    _start_jax()
    from bayes_ddp import config
    from bayes_ddp.commands import mismatch as measuring

    figures, text = measuring.measure(config.load(file), snr=snr, write=write, picture=output)
    _tell(figures, text, json)


@app.command
def physics(
    folders: Annotated[list[Path], Parameter(consume_multiple=True)],
    /,
    *,
    models: Path = Path("models"),
    json: Json = False,
) -> None:
    """Take folders of physical spectra into the pack that emulators are trained on.

    Parameters
    ----------
    folders
        Folders with g_*.npz or ref_*.npz.
    models
        The models folder of the clone.
    """
    from bayes_ddp.emulator.physics import library as packing

    figures = packing.take_in(folders, models / "physics-lte", models / "held-out", progress=_say)
    _tell(figures, "\n".join(f"{k}: {v}" for k, v in figures.items()), json)


@app.command
def train(
    names: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
    /,
    *,
    models: Path = Path("models"),
    json: Json = False,
) -> None:
    """Train the shipped emulators again from models/physics-lte and rewrite their cards.

    Parameters
    ----------
    names
        Models to train; without any, every folder of models/ that has a train.toml.
    models
        The models folder of the clone.
    """
    _start_jax()
    from bayes_ddp.commands.train import train_models

    figures, text = train_models(names, models, progress=_say)
    _tell(figures, text, json)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@app.command
def docs(*, output: Path = Path("docs")) -> None:
    """Write the reference pages that come from the package's tables (labels, columns, flags).

    Parameters
    ----------
    output
        Folder for labels.md, catalogue.md and flags.md.
    """
    from bayes_ddp.commands.pages import write_pages

    for path in write_pages(output):
        print(path)
