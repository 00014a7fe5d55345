"""The density from which the labels of the physical spectra were drawn, as a table for the card.

The default prior uses the same table: a wider prior would include labels for which the emulator
was not trained.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bayes_ddp.labels import LABELS, LabelSpace

__all__ = ["density_table", "trained_space", "usual_vmic"]

_LOW = (4000, 0.5, 0.5, -3, -1, -0.6, -0.45, -0.45, -0.5, -0.45, -0.4, -0.37, -0.3, -0.6, -0.2)
_HIGH = (8000, 5.2, 3.2, 0.5, 2.5, 1.5, 0.8, 0.8, 0.5, 0.8, 0.75, 0.65, 0.3, 0.4, 0.2)

_ALPHA_SHARE = {"o_fe": 1.0, "mg_fe": 1.0, "si_fe": 1.0, "ca_fe": 1.0, "ti_fe": 0.8}
_HALF_WIDTH = {
    "c_fe": 0.6,
    "n_fe": 0.6,
    "o_fe": 0.3,
    "mg_fe": 0.3,
    "al_fe": 0.5,
    "si_fe": 0.3,
    "ca_fe": 0.25,
    "ti_fe": 0.25,
    "cr_fe": 0.3,
    "mn_fe": 0.4,
    "ni_fe": 0.2,
}


def trained_space() -> LabelSpace:
    """The fifteen labels with the limits of the density, in the units of ``LABELS``."""
    names = tuple(row.name for row in LABELS)
    return LabelSpace(names, tuple(map(float, _LOW)), tuple(map(float, _HIGH)))


def density_table() -> dict[str, Any]:
    """The table ``[density]`` of a card; Teff in K, vmic in km/s, other labels in dex.

    Teff, logg and [Fe/H] are uniform in a box, without the regions below ``lowest_logg`` (knots at
    ``lowest_logg_teff``) and inside the ``cuts`` [teff low, teff high, logg low, logg high]. vmic
    is uniform within ``vmic_half_width`` of ``usual_vmic`` and clipped to its range. The alpha
    trend of a star has a random shift, uniform within ``alpha_half_width``; each [X/Fe] is uniform
    within its half width about ``alpha_share`` times that trend plus its offset. Below
    ``carbon_feh`` the fraction ``carbon_fraction`` of stars has C and N from separate ranges. In
    giants (logg < ``nitrogen_giant_logg``) N is increased by a uniform 0 to
    ``nitrogen_giant_boost``.
    """
    return {
        "kind": "synthetic-grid",
        "teff": [4000.0, 8000.0],
        "logg": [0.5, 5.2],
        "feh": [-3.0, 0.5],
        "lowest_logg_teff": [4000.0, 4500.0, 5000.0, 5500.0, 6000.0, 8000.0],
        "lowest_logg": [0.0, 0.5, 1.2, 2.0, 2.3, 2.9],
        "cuts": [[4000.0, 4800.0, 3.4, 4.2], [6900.0, 8000.0, 4.7, 5.2]],
        "vmic_usual": [2.478, -0.325, 0.0003, 5500.0],
        "vmic_usual_range": [0.8, 2.5],
        "vmic_half_width": 0.6,
        "vmic": [0.5, 3.2],
        "alpha_feh": [-1.0, 0.0],
        "alpha": [0.35, 0.0],
        "alpha_half_width": 0.15,
        "alpha_share": dict(_ALPHA_SHARE),
        "half_width": dict(_HALF_WIDTH),
        "offset": {"mn_fe": -0.2},
        "offset_below_feh": -1.0,
        "nitrogen_giant_logg": 3.0,
        "nitrogen_giant_boost": 0.3,
        "carbon_fraction": 0.3,
        "carbon_feh": -1.0,
        "carbon_c_fe": [-1.0, 2.5],
        "carbon_n_fe": [-0.5, 1.5],
    }


def usual_vmic(teff: Any, logg: Any, table: Mapping[str, Any], *, xp: Any = np) -> Any:
    """Typical microturbulence, km/s, of stars with this Teff and log g.

    vmic = clip(a + b logg + c max(teff - teff0, 0), low, high), with a, b, c, teff0 and the range
    from the keys ``vmic_usual`` and ``vmic_usual_range``.

    teff, logg : K, dex; scalars or arrays of one shape.
    table : the table ``[density]`` of a card, or ``density_table()``.
    xp : ``numpy``, or ``jax.numpy`` inside ``jit``.

    >>> round(float(usual_vmic(5772.0, 4.438, density_table())), 3)
    1.117
    """
    constant, by_logg, by_teff, hot_from = table["vmic_usual"]
    hot = xp.maximum(teff - hot_from, 0.0)
    usual = constant + by_logg * logg + by_teff * hot
    return xp.clip(usual, *table["vmic_usual_range"])
