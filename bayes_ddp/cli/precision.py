"""Commands about precision: bounds."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from bayes_ddp.cli.app import Json, Quiet, app, print_figures, start_jax
from bayes_ddp.commands.terminal import progress_bar

__all__ = ["bounds"]


def _abundance(symbol: str) -> Parameter:
    low = symbol.lower()
    return Parameter(name=[f"--{low}_fe", f"--{low}-fe"], help=f"[{symbol}/Fe]. Default 0.")


@Parameter(name="*")
@dataclass(frozen=True)
class StarLabels:
    """Labels of a star; None where not given."""

    teff: Annotated[float | None, Parameter(help="Effective temperature, K.")] = None
    logg: Annotated[float | None, Parameter(help="log g in cm/s2.")] = None
    feh: Annotated[float | None, Parameter(help="[Fe/H].")] = None
    vmic: Annotated[
        float | None, Parameter(help="Microturbulence, km/s. Default: usual for Teff and log g.")
    ] = None
    c_fe: Annotated[float | None, _abundance("C")] = None
    n_fe: Annotated[float | None, _abundance("N")] = None
    o_fe: Annotated[float | None, _abundance("O")] = None
    mg_fe: Annotated[float | None, _abundance("Mg")] = None
    al_fe: Annotated[float | None, _abundance("Al")] = None
    si_fe: Annotated[float | None, _abundance("Si")] = None
    ca_fe: Annotated[float | None, _abundance("Ca")] = None
    ti_fe: Annotated[float | None, _abundance("Ti")] = None
    cr_fe: Annotated[float | None, _abundance("Cr")] = None
    mn_fe: Annotated[float | None, _abundance("Mn")] = None
    ni_fe: Annotated[float | None, _abundance("Ni")] = None

    def given(self) -> dict[str, float]:
        """Label -> value of those that were given."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


@app.command
def bounds(
    file: Path | None = None,
    /,
    *,
    star: StarLabels | None = None,
    snr: Annotated[tuple[float, ...], Parameter(consume_multiple=True)] = (100.0,),
    instrument: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = ("desi",),
    arms: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = (),
    wave: tuple[float, float] | None = None,
    emulator: str | None = None,
    without: Annotated[
        tuple[Literal["velocity", "lsf", "pseudo-continuum", "emulator-error"], ...],
        Parameter(consume_multiple=True),
    ] = (),
    continuum: int = 0,
    mismatch: bool = False,
    known: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = (),
    prior: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = (),
    vrad_err: float = 5.0,
    target: float | None = None,
    windows: bool = False,
    repeats: int = 0,
    seed: int = 1,
    output: Path | None = None,
    pictures: Path | None = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Print how precise the labels of a star can be: Cramér-Rao bounds, and what a survey needs.

    bayes-ddp bounds --teff 5900 --logg 4 --feh -0.5 --snr 100

    bayes-ddp bounds --teff 4800 --logg 1.9 --feh -1.5 --instrument desi pfs --target 0.1

    bayes-ddp bounds RUN.toml: the spectra of a finished run, with their own inverse variances, at
    the labels that the run fitted (or at --teff, --logg, --feh).

    Parameters
    ----------
    file
        Run file. Emulator and nuisances are those of the run.
    snr
        S/N per pixel of the instrument's median pixel, one or several.
    instrument
        One or several of desi, lamost-lrs, 4most-lrs, weave-lr, boss, gaia-rvs, pfs, pfs-mr, or
        TOML files (docs/bounds.md). Several are compared.
    arms
        Only these arms of the instrument, such as --arms B R.
    wave
        Only pixels between these, Å vacuum.
    emulator
        Whose gradient spectra are used; physics-lte and fine-lte are finite differences of
        physical spectra at the nearest reference point. By default the first of desi-physics,
        physics-lte and fine-lte that is sharp enough.
    without
        What is taken as known, or left out, besides the labels.
    continuum
        Legendre terms by which the flux of each arm may be multiplied, without a prior.
    mismatch
        Add the model's measured mismatch to real stars to the error.
    known
        Labels that are known exactly, such as --known vmic.
    prior
        Gaussian priors of labels, LABEL=SD, such as --prior logg=0.1 teff=50. None by default.
    vrad_err
        Error of the catalogue velocity, km/s.
    target
        Print the S/N at which each bound is this many dex (Teff: 1000 times as many K).
    windows
        Print the ten stretches of wavelength with most information on each label.
    repeats
        Fit so many simulated spectra of the star and print their scatter beside the bound.
    seed
        Of the noise of --repeats.
    output
        Table, FITS or CSV.
    pictures
        Folder for PNG: bounds (Fig. 9 of the paper), along S/N, along resolution, and with
        --windows along wavelength.
    """
    start_jax()
    from bayes_ddp.commands import bounds as line
    from bayes_ddp.commands.run_bounds import run_bounds
    from bayes_ddp.inference.bounds.design import Unknowns
    from bayes_ddp.inference.problem import Nuisance

    labels = star.given() if star else {}
    unknowns = Unknowns(
        nuisance=Nuisance(
            velocity="velocity" not in without,
            lsf=0.0 if "lsf" in without else None,
            mismatch=mismatch,
        ),
        continuum=continuum,
        pseudo_continuum="pseudo-continuum" not in without,
        emulator_error="emulator-error" not in without,
        fixed=known,
        priors=line.prior_words(prior),
    )
    with progress_bar(quiet) as progress:
        if file is not None:
            from bayes_ddp import config

            figures, text = run_bounds(
                config.load(file), labels, unknowns, output=output, progress=progress
            )
        else:
            question = line.Question(
                labels=labels,
                instruments=instrument,
                snr=snr,
                emulator=emulator,
                arms=arms,
                wave=wave,
                unknowns=unknowns,
                vrad_err=vrad_err,
                target=target,
                windows=windows,
                repeats=repeats,
                seed=seed,
            )
            figures, text = line.answer(
                question, output=output, pictures=pictures, progress=progress
            )
    print_figures(figures, text, json)
