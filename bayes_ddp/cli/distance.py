"""The command about distances."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from bayes_ddp.cli.app import Json, Quiet, app, print_figures, start_jax
from bayes_ddp.commands.terminal import progress_bar

__all__ = ["distance"]

_Words = Annotated[list[str] | None, Parameter(consume_multiple=True)]


@app.command
def distance(
    catalogue: Path,
    /,
    *,
    output: Path,
    photometry: Path | None = None,
    draws: Path | None = None,
    hdu: str | None = None,
    column: _Words = None,
    bands: _Words = None,
    dust_map: str | None = None,
    dust_scale: float = 1.0,
    calibration: Path | None = None,
    offsets: Path | None = None,
    label_prior: Literal["isochrones", "own"] = "isochrones",
    weighted_mean: bool = False,
    hide_parallax: bool = False,
    zero_point: float | None = None,
    zero_point_error: float = 0.01,
    inflation: float = 1.0,
    floor: float = 0.01,
    ruwe: float = 1.4,
    prior: Literal["galaxy", "exponential"] = "galaxy",
    scale: float = 1.35,
    pairs: float = 0.45,
    law: Literal["fitzpatrick", "cardelli"] = "fitzpatrick",
    without_sys: bool = False,
    number: int = 256,
    seed: int = 1,
    pictures: Path | None = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compute distances, extinction, mass and age of stars, jointly with their labels.

    Labels, magnitudes and parallax enter one posterior, in which isochrones, mass function and
    Galaxy are the prior; magnitudes and parallax therefore also improve the labels. Stars may be
    binaries. Draws go beside the table as .nc; `bayes-ddp orbits` takes them.

    Example: bayes-ddp distance OUT/catalogue.fits --photometry gaia.fits --output distances.fits

    Parameters
    ----------
    catalogue
        Catalogue of a run, with its draws in the folder draws beside it; or any table with TEFF,
        LOGG, FEH and errors TEFF_ERR, LOGG_ERR, FEH_ERR.
    output
        FITS table to write.
    photometry
        Table with columns of Gaia, 2MASS or the Legacy Surveys, joined by TARGETID, SOURCE_ID or
        position. By default the catalogue itself has them.
    draws
        Folder of the draws of a run, where it is not beside the catalogue.
    hdu
        Extension of the photometry.
    column
        Columns with other names, such as G=MY_G,MY_G_ERR J=J,J_ERR parallax=PLX,E_PLX ebv=SFD.
    bands
        Bands to use, of G BP RP J H Ks g r z. By default all that are measured.
    dust_map
        Map of the package dustmaps with its class, such as sfd.SFDQuery, instead of a column EBV.
    dust_scale
        Factor that brings the map to the scale of SFD; 1.163 for maps of true E(B-V).
    calibration
        Empirical magnitudes of `bayes-ddp calibrate` (.nc) instead of stellar evolution. There is
        no mass and no age then.
    offsets
        Calibration whose zero points of the bands are applied to stellar evolution.
    label_prior
        How common labels are with --calibration: isochrones, or own, the prior of their fit.
    weighted_mean
        The point estimate of the paper, for comparison: weighted mean of spectroscopic and
        geometric distance. Labels are not updated.
    hide_parallax
        Use no parallaxes.
    zero_point
        mas, of parallaxes whose zero point cannot be computed (it needs Gaia's columns nu_eff,
        pseudocolour, astrometric_params_solved); -0.05 suits DR2. By default 0, and a bit is set.
    zero_point_error
        mas, of an error of the zero point that all stars share.
    inflation
        Factor on the errors of parallaxes.
    floor
        mas, added in quadrature to the errors of parallaxes.
    ruwe
        Limit of RUWE, beyond which the error of the parallax is multiplied by RUWE.
    prior
        galaxy: thin disc, thick disc and halo; exponential: one density with --scale.
    scale
        kpc, of the exponential prior.
    pairs
        Fraction of stars with a companion.
    law
        Extinction law: fitzpatrick or cardelli.
    without_sys
        Leave out the systematic errors of labels (columns _SYS).
    number
        Draws per star.
    seed
        Of all random numbers.
    pictures
        Folder for distances.png.
    """
    start_jax()
    from bayes_ddp.commands.distance import DistanceFiles, columns_of, make_distances
    from bayes_ddp.commands.distance_models import DistanceModel
    from bayes_ddp.galaxy.bolometric import ALL_BANDS
    from bayes_ddp.galaxy.distance_settings import DistanceSettings

    settings = DistanceSettings(
        draws=number,
        bands=tuple(bands) if bands else ALL_BANDS,
        parallax=not hide_parallax,
        zero_point=zero_point,
        zero_point_error=zero_point_error,
        inflation=inflation,
        floor=floor,
        ruwe=ruwe,
        prior=prior,
        scale=scale,
        pairs=pairs,
        law=law,
        label_prior=label_prior,
        seed=seed,
    )
    files = DistanceFiles(
        catalogue,
        photometry,
        output,
        draws,
        hdu,
        columns_of(column or []),
        pictures,
        dust_map,
        dust_scale,
    )
    with progress_bar(quiet) as progress:
        figures, text = make_distances(
            files,
            settings,
            model=DistanceModel(calibration, offsets, weighted_mean),
            systematics=not without_sys,
            progress=progress,
        )
    print_figures(figures, text, json)
