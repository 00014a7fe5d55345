"""Commands about files: simulate, info, compare, docs."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bayes_ddp.cli.app import Json, Quiet, app, print_figures, start_jax
from bayes_ddp.commands.terminal import Overwrite, progress_bar
from bayes_ddp.comparison.options import Choice

__all__ = ["compare", "docs", "info", "simulate"]


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
    start_jax()
    from bayes_ddp.commands import mock as mocking
    from bayes_ddp.mock.draw import Settings

    request, settings = mocking.Request(stars, spectra, check), Settings(seed, faint=faint)
    with progress_bar(quiet) as progress:
        figures, text = mocking.make_mock(
            output, request, settings, progress=progress, overwrite=overwrite
        )
    print_figures(figures, text, json)


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
    start_jax()
    from bayes_ddp.commands.info import describe

    figures, text = describe(path)
    if output:
        from bayes_ddp.commands.info.density import draw_density

        picture = draw_density(path, output)
        figures, text = figures | {"picture": str(picture)}, f"{text}\nPicture: {picture}"
    print_figures(figures, text, json)


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
    print_figures(result.rows_as_dict(), result.format_table(), json)


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
