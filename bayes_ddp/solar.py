"""Conversion of abundances from other solar scales to the scale of the emulators.

[X/H] is relative to the Sun and depends on the solar abundance that is adopted: [X/H] on scale 2
is [X/H] on scale 1 plus A(X, Sun) on scale 1 minus A(X, Sun) on scale 2. [X/Fe] is computed from
[X/H] and [Fe/H] of the same source.
"""

from collections.abc import Mapping

import numpy as np

from bayes_ddp.labels import LABELS

__all__ = ["OURS", "SOLAR", "labels_from_xh", "scale_shift"]

OURS = "Asplund+2009"
"""The scale of the shipped models (``abundance_scale`` in their cards)."""

SOLAR: dict[str, dict[str, float]] = {
    # Asplund, Grevesse, Sauval & Scott (2009), ARA&A 47, 481, Table 1, photosphere
    "Asplund+2009": {
        "c": 8.43,
        "n": 7.83,
        "o": 8.69,
        "mg": 7.60,
        "al": 6.45,
        "si": 7.51,
        "ca": 6.34,
        "ti": 4.95,
        "cr": 5.64,
        "mn": 5.43,
        "fe": 7.50,
        "ni": 6.22,
    },
    # Lodders, Palme & Gail (2009), Landolt-Boernstein VI/4B, 712, Table 10, Sun today; the scale
    # of the Hypatia compilation (Hinkel et al. 2014). Its column of the photosphere alone differs
    # by up to 0.01.
    "Lodders+2009": {
        "c": 8.39,
        "n": 7.86,
        "o": 8.73,
        "mg": 7.54,
        "al": 6.46,
        "si": 7.53,
        "ca": 6.31,
        "ti": 4.93,
        "cr": 5.65,
        "mn": 5.50,
        "fe": 7.46,
        "ni": 6.22,
    },
}
"""Scale -> element -> A(X) of the Sun, log10 N(X)/N(H) + 12."""


def scale_shift(element: str, scale: str) -> float:
    """The offset to add to [X/H] on ``scale`` to convert it to our scale, dex.

    element : in lower case, such as ``mg``. Raises ValueError for an unknown scale or element.

    >>> round(scale_shift("mg", "Lodders+2009"), 2)
    -0.06
    """
    if scale not in SOLAR:
        raise ValueError(f"There is no solar scale '{scale}'. Known: {sorted(SOLAR)}.")
    if element not in SOLAR[scale]:
        raise ValueError(f"'{element}' is not on the scale {scale}: {sorted(SOLAR[scale])}.")
    return SOLAR[scale][element] - SOLAR[OURS][element]


def labels_from_xh(
    columns: Mapping[str, np.ndarray], *, scale: str, pattern: str = "{element}_h"
) -> dict[str, np.ndarray]:
    """[Fe/H] and [X/Fe] on our scale, by label name, from [X/H] of one source.

    Parameters
    ----------
    columns
        Column name -> [star], dex, NaN if unknown; other columns are ignored.
    scale
        Key of ``SOLAR``.
    pattern
        Names of the columns of [X/H], such as ``{element}_h_hypatia``.

    Returns
    -------
    Label name -> [star], dex: ``feh``, and ``x_fe`` of every element with a column.

    Raises ValueError if the column of iron is missing.
    """
    iron = pattern.format(element="fe")
    if iron not in columns:
        raise ValueError(
            f"There is no column '{iron}', and [X/Fe] is computed with the [Fe/H] of the same "
            f"source. Columns: {sorted(columns)}."
        )
    feh = np.asarray(columns[iron], float) + scale_shift("fe", scale)
    found = {"feh": feh}
    for row in LABELS:
        element = row.name.removesuffix("_fe")
        column = pattern.format(element=element)
        if row.name.endswith("_fe") and column in columns:
            xh = np.asarray(columns[column], float) + scale_shift(element, scale)
            found[row.name] = xh - feh
    return found
