"""The warning bits of the catalogue and their descriptions.

``WARN`` is a bit mask (int64 in FITS); zero means that no check failed. The descriptions are also
written to the catalogue header and the documentation.
"""

from enum import IntFlag

__all__ = ["FATAL", "UNTRAINED", "WARN", "describe", "names"]


class WARN(IntFlag):
    """Bits of the WARN column; a new bit is appended and none is renumbered."""

    NODATA = 1 << 0
    MISSING_ARM = 1 << 1
    FEW_PIXELS = 1 << 2
    BADFIBER = 1 << 3
    NONFINITE_INPUT = 1 << 4
    NOT_STAR = 1 << 5
    BAD_RV = 1 << 6
    NO_CATALOG_ROW = 1 << 7
    NOT_CONVERGED = 1 << 8
    BAD_HESSIAN = 1 << 9
    LABEL_EDGE = 1 << 10
    POOR_CHI2 = 1 << 11
    HIGH_RHAT = 1 << 12
    LOW_ESS = 1 << 13
    DIVERGENT = 1 << 14
    DOUBLED_ROW = 1 << 15
    NO_ERRORS = 1 << 16
    HOT = 1 << 17
    COOL = 1 << 18
    WD = 1 << 19
    CARBON = 1 << 20
    FAST_ROTATOR = 1 << 21
    EXTRAPOLATION = 1 << 22
    MULTIMODAL = 1 << 23
    RV_WARN = 1 << 24
    RV_DISAGREES = 1 << 25
    LSF_WARN = 1 << 26
    EMISSION = 1 << 27
    COMPANION = 1 << 28
    SMALL_CHI2 = 1 << 29
    UNBOUND = 1 << 40
    NO_ORBIT = 1 << 41
    OUTER_HALO = 1 << 42
    LOST_DRAWS = 1 << 43
    NO_DISTANCE = 1 << 44
    FEW_PROPOSALS = 1 << 45
    PARALLAX_WARN = 1 << 46
    PHOTOMETRY_WARN = 1 << 47
    NO_PHOTOMETRY = 1 << 48
    DISTANCE_EDGE = 1 << 49


DESCRIPTIONS = {
    WARN.NODATA: "no usable pixel in any arm; not fitted",
    WARN.MISSING_ARM: "an arm has no usable pixel; fitted without it",
    WARN.FEW_PIXELS: "fewer than 500 usable pixels; not fitted",
    WARN.BADFIBER: "the survey flags the fibre",
    WARN.NONFINITE_INPUT: "impossible flux or ivar, such as NaN; these pixels were masked",
    WARN.NOT_STAR: "the survey classifies the target as no star; not fitted",
    WARN.BAD_RV: "velocity missing or beyond 1500 km/s; not fitted",
    WARN.NO_CATALOG_ROW: "no row for this target in the catalogue of velocities; not fitted",
    WARN.NOT_CONVERGED: "the optimiser did not converge",
    WARN.BAD_HESSIAN: "the curvature at the optimum is not positive; no errors",
    WARN.LABEL_EDGE: "Teff, logg or [Fe/H] out of range, or tied to one that is",
    WARN.POOR_CHI2: "chi2 per pixel above 3",
    WARN.HIGH_RHAT: "R-hat above 1.01 for a label",
    WARN.LOW_ESS: "effective sample size below 400 for a label",
    WARN.DIVERGENT: "divergent transitions",
    WARN.DOUBLED_ROW: "several spectra or catalogue rows have this key; the first row counts",
    WARN.NO_ERRORS: "the input has no errors; they were estimated from residuals",
    WARN.HOT: "type O or B, or over 5 % of the posterior hotter than the trained Teff",
    WARN.COOL: "type M, or over 5 % of the posterior cooler than the trained Teff",
    WARN.WD: "white dwarf: by its survey class, or above 6500 K with log g beyond",
    WARN.CARBON: "carbon star: by its survey class, or C/O above 1 at 95 %",
    WARN.FAST_ROTATOR: "lines broader than the LSF allows: rotation, or two stars",
    WARN.EXTRAPOLATION: "labels rarer than 1 in 1000 of those the model was trained on",
    WARN.MULTIMODAL: "two peaks in the posterior of a label",
    WARN.RV_WARN: "the survey warns of its velocity, or its error is unknown; fitted freely",
    WARN.RV_DISAGREES: "the fitted velocity differs from the catalogue's by over 5 sigma",
    WARN.LSF_WARN: "width of the LSF unusable, or below the model's; these pixels were masked",
    WARN.EMISSION: "emission in Balmer or forbidden lines; fitted without the Balmer wings",
    WARN.COMPANION: "the star's lines appear at a second velocity: two stars",
    WARN.SMALL_CHI2: "chi2 per pixel below 0.25: the errors are too large",
    WARN.UNBOUND: "over 5 % of the posterior is unbound; the orbit is of the bound rest",
    WARN.NO_ORBIT: "no orbit: distance, proper motion or velocity is not known",
    WARN.OUTER_HALO: "over 30 kpc from the centre: the reflex of the LMC is not included",
    WARN.LOST_DRAWS: "over 5 % of the bound draws have no orbit, e.g. at the centre",
    WARN.NO_DISTANCE: "no distance: labels are not known, or no star has such labels",
    WARN.FEW_PROPOSALS: "effective sample size of the distance below 100",
    WARN.PARALLAX_WARN: "RUWE above the limit, or the parallax has no zero point",
    WARN.PHOTOMETRY_WARN: "magnitudes disagree with labels, parallax and dust",
    WARN.NO_PHOTOMETRY: "no magnitude: the distance is by parallax and priors alone",
    WARN.DISTANCE_EDGE: "over 5 % of the posterior is off the tables of magnitudes or distance",
}

FATAL = (
    WARN.NODATA
    | WARN.FEW_PIXELS
    | WARN.NOT_STAR
    | WARN.BAD_RV
    | WARN.NO_CATALOG_ROW
    | WARN.BAD_HESSIAN
)
"""Bits of stars that have no fit, and no labels in the catalogue."""

UNTRAINED = WARN.LABEL_EDGE | WARN.HOT | WARN.COOL | WARN.WD
"""Bits of stars that the models were not trained on: fitted, but without labels in the catalogue.

HOT, COOL and WD can be the survey's class alone, of a star whose fit found other labels.
"""


def names(value: int) -> list[str]:
    """Names of the bits set in ``value``.

    >>> names(WARN.NODATA | WARN.BAD_RV)
    ['NODATA', 'BAD_RV']
    """
    return [str(bit.name) for bit in WARN if value & bit]


def describe() -> list[tuple[str, int, str]]:
    """(name, bit number, description) of every bit, in ascending order."""
    return [(str(bit.name), bit.value.bit_length() - 1, DESCRIPTIONS[bit]) for bit in WARN]
