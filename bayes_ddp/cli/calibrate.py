"""The command about empirical magnitudes."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from bayes_ddp.cli.app import Json, Quiet, app, print_figures, start_jax
from bayes_ddp.commands.terminal import progress_bar

__all__ = ["calibrate"]


@app.command
def calibrate(
    control: Path,
    /,
    *,
    output: Path,
    photometry: Path | None = None,
    draws: Path | None = None,
    hdu: str | None = None,
    column: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
    max_ebv: float = 0.05,
    min_latitude: float = 30.0,
    ruwe: float = 1.4,
    fewest: int = 60,
    zero_point: float | None = None,
    inflation: float = 1.0,
    floor: float = 0.01,
    law: Literal["fitzpatrick", "cardelli"] = "fitzpatrick",
    without_sys: bool = False,
    without_offsets: bool = False,
    seed: int = 1,
    picture: Path | None = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Learn intrinsic colours and absolute magnitudes from control stars.

    Control stars have labels, magnitudes and parallaxes, and little dust. Distances can use the
    result instead of stellar evolution. The zero points of the bands against stellar evolution
    are measured too. A card in TOML goes beside the output.

    Example: bayes-ddp calibrate catalogue.fits --photometry gaia.fits --output calibration.nc

    Parameters
    ----------
    control
        Catalogue of a run, or any table with TEFF, LOGG, FEH and errors TEFF_ERR, LOGG_ERR,
        FEH_ERR. Stars are selected from it by the options below.
    output
        File to write (.nc).
    photometry
        Table with columns of Gaia, 2MASS or the Legacy Surveys, joined by TARGETID, SOURCE_ID or
        position. By default the control stars have them. EBV is the map's E(B-V).
    draws
        Folder of the draws of a run, where it is not beside the catalogue.
    hdu
        Extension of the photometry.
    column
        Columns with other names, such as G=MY_G,MY_G_ERR parallax=PLX,E_PLX ebv=SFD.
    max_ebv
        mag, largest E(B-V) in front of a control star.
    min_latitude
        deg, smallest absolute Galactic latitude; 0 for all.
    ruwe
        Limit of RUWE, beyond which a parallax is not used.
    fewest
        Control stars that are needed, and that a band needs.
    zero_point
        mas, of parallaxes whose zero point cannot be computed; -0.05 suits DR2.
    inflation
        Factor on the errors of parallaxes.
    floor
        mas, added in quadrature to the errors of parallaxes.
    law
        Extinction law: fitzpatrick or cardelli.
    without_sys
        Leave out the systematic errors of labels (columns _SYS).
    without_offsets
        Do not measure the zero points of the bands.
    seed
        Of the draws for the zero points.
    picture
        PNG of the residuals against the labels.
    """
    start_jax()
    from bayes_ddp.commands.calibrate import CalibrationFiles, make_calibration
    from bayes_ddp.commands.distance import columns_of
    from bayes_ddp.galaxy.control import CalibrationSettings

    settings = CalibrationSettings(
        max_ebv=max_ebv,
        min_latitude=min_latitude,
        ruwe=ruwe,
        fewest=fewest,
        law=law,
        floor=floor,
        inflation=inflation,
        zero_point=zero_point,
        seed=seed,
    )
    columns = columns_of(column or [])
    files = CalibrationFiles(control, photometry, output, draws, hdu, columns, picture)
    with progress_bar(quiet) as progress:
        figures, text = make_calibration(
            files,
            settings,
            offsets=not without_offsets,
            systematics=not without_sys,
            progress=progress,
        )
    print_figures(figures, text, json)
