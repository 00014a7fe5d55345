"""The stellar labels, one row per label, and the trained range of the labels of a model.

Every other module takes names, units, FITS columns and their order from here. A new label needs a
row here and a model that was trained with it.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["ELEMENTS", "LABELS", "Label", "LabelSpace", "label"]


@dataclass(frozen=True)
class Label:
    """One stellar label.

    step : one-sided difference of the physical gradient spectra, in ``unit``. digits : decimals in
    printed tables. column : FITS column. tex : symbol in figures. ucd : IVOA content descriptor.
    """

    name: str
    unit: str
    column: str
    tex: str
    step: float
    digits: int
    ucd: str
    description: str


def _abundance(element: str) -> Label:
    symbol = element.capitalize()
    return Label(
        f"{element}_fe",
        "dex",
        f"{element.upper()}_FE",
        rf"[\mathrm{{{symbol}}}/\mathrm{{Fe}}]",
        0.1,
        3,
        "phys.abund",
        f"[{symbol}/Fe], Asplund+2009 scale",
    )


ELEMENTS = ("c", "n", "o", "mg", "al", "si", "ca", "ti", "cr", "mn", "ni")

LABELS = (
    Label(
        "teff",
        "K",
        "TEFF",
        r"T_\mathrm{eff}",
        100.0,
        1,
        "phys.temperature.effective",
        "effective temperature",
    ),
    Label(
        "logg",
        "dex",
        "LOGG",
        r"\log g",
        0.2,
        3,
        "phys.gravity",
        "log10 of the surface gravity in cm/s2",
    ),
    Label(
        "vmic",
        "km/s",
        "VMIC",
        r"v_\mathrm{mic}",
        0.2,
        3,
        "phys.veloc.microTurb",
        "microturbulence",
    ),
    Label(
        "feh",
        "dex",
        "FEH",
        r"[\mathrm{Fe}/\mathrm{H}]",
        0.1,
        3,
        "phys.abund.Z",
        "[Fe/H], Asplund+2009 scale",
    ),
    *(_abundance(element) for element in ELEMENTS),
)

_BY_NAME = {row.name: row for row in LABELS}


def label(name: str) -> Label:
    """The row of ``LABELS`` with this name; raises KeyError with the known names."""
    if name not in _BY_NAME:
        raise KeyError(f"'{name}' is no label. Labels: {', '.join(_BY_NAME)}.")
    return _BY_NAME[name]


@dataclass(frozen=True)
class LabelSpace:
    """Names, order and trained range of the labels of one model, in the units of ``LABELS``.

    The fields are tuples, so that a space is hashable and static under ``jit``. Raises KeyError
    for an unknown name and ValueError for an empty range or tuples of unequal length.
    """

    names: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        for name in self.names:
            label(name)
        if not len(self.names) == len(self.low) == len(self.high):
            raise ValueError(
                f"A label space needs one low and one high per name: {len(self.names)} names, "
                f"{len(self.low)} low, {len(self.high)} high."
            )
        wrong = [n for n, a, b in zip(self.names, self.low, self.high, strict=True) if not a < b]
        if wrong:
            raise ValueError(f"The range of {wrong} is empty: low must lie below high.")

    @property
    def size(self) -> int:
        """Number of labels."""
        return len(self.names)

    @property
    def units(self) -> tuple[str, ...]:
        """Unit of each label."""
        return tuple(label(name).unit for name in self.names)

    @property
    def middle(self) -> np.ndarray:
        """[label], units of ``LABELS``: centre of the trained range."""
        return 0.5 * (np.array(self.low) + np.array(self.high))

    @property
    def span(self) -> np.ndarray:
        """[label], units of ``LABELS``: width of the trained range."""
        return np.array(self.high) - np.array(self.low)

    def index(self, name: str) -> int:
        """Position of a label; raises KeyError with the names of this space."""
        if name not in self.names:
            raise KeyError(f"'{name}' is no label of this model. Its labels: {self.names}.")
        return self.names.index(name)
