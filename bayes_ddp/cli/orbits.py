"""The command about orbits."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from bayes_ddp.cli.app import Json, Quiet, app, print_figures, start_jax
from bayes_ddp.commands.terminal import progress_bar

__all__ = ["orbits"]


@app.command
def orbits(
    catalogue: Path,
    /,
    *,
    output: Path,
    astrometry: Path | None = None,
    draws: Path | None = None,
    hdu: str | None = None,
    preset: Literal["galpy2014", "sgrA"] = "galpy2014",
    potential: str = "MWPotential2014",
    engine: Literal["auto", "staeckel", "galpy-staeckel", "integrate"] = "auto",
    heavy: str = "MWPotential2014-heavy",
    vary_preset: bool = False,
    vrad_floor: float = 0.0,
    select: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
    box: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
    check: int = 64,
    seed: int = 1,
    pictures: Path | None = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compute orbits of stars from distances, proper motions and velocities, draw by draw.

    Actions, energy, eccentricity, apocentre, pericentre, greatest height, place and velocity in
    the Galaxy get 16, 50 and 84 % quantiles; draws go beside the table as .nc. P_UNBOUND is the
    share of the posterior that escapes, P_GES the share in the cut of Gaia-Enceladus-Sausage.

    Example: bayes-ddp orbits catalogue.fits --astrometry gaia.fits --output orbits.fits

    Parameters
    ----------
    catalogue
        Table of stars with draws of distances beside it (the same name with .nc), or with columns
        DIST and DIST_ERR in kpc, VRAD and VRAD_ERR in km/s.
    output
        FITS table to write.
    astrometry
        Table with Gaia's columns, joined by TARGETID, SOURCE_ID or position. By default the
        catalogue itself has them.
    draws
        Draws of the distances, where they are not beside the catalogue.
    hdu
        Extension of the astrometry, such as GAIA.
    preset
        Place and motion of the Sun, and scale of the potential: galpy2014 (8 kpc, 220 km/s) or
        sgrA (8.122 kpc, 233.4 km/s).
    potential
        MWPotential2014, another of galpy's (McMillan17), or a sum such as
        "MWPotential2014 + DehnenBarPotential".
    engine
        auto, staeckel, galpy-staeckel or integrate.
    heavy
        Second potential, for P_UNBOUND_HEAVY; "" for none.
    vary_preset
        Include the errors of the preset, with one draw for all stars.
    vrad_floor
        Scatter of the survey's velocities beyond their errors, km/s. By default the survey's.
    select
        Selections: ges (galpy2014 only), ges_sgra (sgrA only), ges_actions, ges_chemistry.
    box
        A selection of your own, as NAME or COLUMN=LOW:HIGH, such as --box halo ecc=0.7: feh=:-1.
    check
        Orbits that are integrated to measure the error of the approximation.
    seed
        Of proper motions and velocities.
    pictures
        Folder for orbits.png and orbit.png.
    """
    start_jax()
    from bayes_ddp.commands.orbits import OrbitFiles, box_of, make_orbits
    from bayes_ddp.galaxy.sampling import OrbitSettings

    settings = OrbitSettings(
        preset=preset,
        potential=potential,
        engine=engine,
        heavy=heavy,
        vary_preset=vary_preset,
        vrad_floor=vrad_floor,
        check=check,
        seed=seed,
    )
    files = OrbitFiles(catalogue, astrometry, output, draws, hdu, pictures)
    with progress_bar(quiet) as progress:
        figures, text = make_orbits(
            files, settings, select=select or (), boxes=box_of(box or []), progress=progress
        )
    print_figures(figures, text, json)
