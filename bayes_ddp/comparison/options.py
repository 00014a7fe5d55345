"""The options of ``bayes-ddp compare``; the module imports little, so that --help is quick."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

from cyclopts import Parameter

__all__ = ["EDGES", "Choice"]

EDGES: dict[str, tuple[float, ...]] = {
    "teff": (4000, 4500, 5000, 5500, 6000, 6500, 7500),
    "logg": (1, 2, 3, 4, 5),
    "feh": (-3, -2, -1.5, -1, -0.5, 0, 0.5),
    "snr": (10, 20, 30, 50, 100),
}
"""Default edges of the bins, over the range of the stars of Zhang et al. (their Figs. 5, 6)."""


@dataclass(frozen=True)
class Choice:
    """Selection of rows, bins and columns of a comparison.

    Parameters
    ----------
    by
        Bins of teff, logg, feh or snr; two of them give a nested table: --by teff,snr.
    edges
        Edges of these bins, --edges teff=4000,5000,6000 snr=20,50.
    match
        id: by TARGETID (with SURVEY, PROGRAM, HEALPIX), SPECID, OBSID, file name or Gaia
        SOURCE_ID. sky: by position, proper motion ignored. auto: id, and sky where no id matches.
    radius
        Of a match on the sky, arcsec.
    snr
        Only stars above this signal-to-noise ratio (blue or g band).
    teff
        Only stars whose other Teff lies between these, K.
    clean
        Only rows of the catalogue whose WARN is 0.
    sys
        Add _SYS, the model's own error, to the errors: for stars of different kinds and other
        surveys. Two catalogues by one model share it, and are better compared without.
    hdu
        Extension of a FITS file OTHER, such as RVTAB. Default: CATALOGUE, SPTAB, RVTAB, the first.
    xh
        Names of the columns of OTHER with [X/H], such as {element}_h. [Fe/H] and [X/Fe] are
        computed from these and replace other columns of them.
    scale
        Solar abundances of these [X/H]: Asplund+2009 or Lodders+2009. They are converted to ours.
    columns
        Names of the columns of OTHER, --columns teff=pred_Teff teff_err=sigma_Teff targetid=ID.
        Labels, their errors (_err), snr, identifiers, ra, dec and flags can be named. May be given
        again.
    our_columns
        The same for CATALOGUE.
    assume
        Errors of labels of OTHER if it has none, --assume teff=100 mg_fe=0.07.

    Raises ValueError for invalid keys, edges or radius.
    """

    by: str = ""
    edges: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = ()
    match: Literal["auto", "id", "sky"] = "auto"
    radius: float = 1.5
    snr: float = 20.0
    teff: tuple[float, float] = (4000, 7500)
    clean: bool = False
    sys: bool = False
    hdu: str | None = None
    xh: str | None = None
    scale: Literal["Asplund+2009", "Lodders+2009"] = "Asplund+2009"
    columns: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = ()
    our_columns: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = ()
    assume: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = ()

    def __post_init__(self) -> None:
        if len(set(self.keys)) != len(self.keys) or len(self.keys) > 2:
            raise ValueError(f"--by {self.by}: give one key or two different ones of {[*EDGES]}.")
        unknown = [key for key in self.keys if key not in EDGES]
        if unknown:
            raise ValueError(f"--by {self.by}: {unknown} is none of {[*EDGES]}.")
        if not 0 < self.radius <= 60:
            raise ValueError(f"--radius {self.radius:g} arcsec must lie above 0 and up to 60.")
        self.bin_edges()
        if self.assume:
            self.assumed_errors()

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of ``by`` in order."""
        return tuple(key.strip() for key in self.by.split(",") if key.strip())

    def bin_edges(self) -> dict[str, tuple[float, ...]]:
        """Edges of every key of ``by``: the user's, else those of ``EDGES``."""
        chosen = dict(_parse(text) for text in self.edges)
        unused = set(chosen) - set(self.keys)
        if unused:
            raise ValueError(
                f"--edges of {sorted(unused)}, but --by is {self.by!r}. Name it there."
            )
        return {key: chosen.get(key, EDGES[key]) for key in self.keys}

    def assumed_errors(self) -> dict[str, float]:
        """Label -> error, in the label's unit, of ``assume``."""
        from bayes_ddp.labels import label  # not above: it loads NumPy, and --help must not

        errors = {}
        for text in self.assume:
            name, _, number = text.partition("=")
            try:
                errors[label(name.strip()).name] = float(number)
            except (KeyError, ValueError):
                raise ValueError(
                    f"--assume {text}: write it as teff=100 or mg_fe=0.07, one of our labels."
                ) from None
            if not 0 < errors[name.strip()] < math.inf:
                raise ValueError(f"--assume {text}: an error is above 0.")
        return errors


def _parse(text: str) -> tuple[str, tuple[float, ...]]:
    """(key, edges) of one option such as ``teff=4000,5000``; ValueError for other text."""
    key, _, numbers = text.partition("=")
    try:
        edges = tuple(float(number) for number in numbers.split(","))
    except ValueError:
        edges = ()
    rising = all(a < b for a, b in pairwise(edges))
    if not edges or not rising or not all(math.isfinite(edge) for edge in edges):
        raise ValueError(f"--edges {text}: write it as teff=4000,5000,6000, rising numbers.")
    return key.strip(), edges
