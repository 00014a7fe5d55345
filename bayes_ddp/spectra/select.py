"""Selection of spectra by target, S/N and wavelength, and their signal-to-noise ratios."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from bayes_ddp.flags import WARN
from bayes_ddp.spectra.raw import RawSpectra
from bayes_ddp.spectra.velocities import WIDE_ERROR

__all__ = ["Counts", "arm_snr", "at_rest", "between", "check_selected", "red_snr", "select"]


def arm_snr(raw: RawSpectra) -> dict[str, np.ndarray]:
    """Arm -> [star], median flux / error of the unmasked pixels; NaN if there is none."""
    result = {}
    for arm in raw.arms:
        good = (arm.ivar > 0) & np.isfinite(arm.flux) & np.isfinite(arm.ivar)
        sigma = 1 / np.sqrt(np.where(good, arm.ivar, 1.0).astype(float))
        ratio = np.where(good, np.where(good, arm.flux, 0.0) / sigma, np.nan)
        known = np.isfinite(ratio).any(axis=1)
        values = np.full(len(raw), np.nan)
        values[known] = np.nanmedian(ratio[known], axis=1)
        result[arm.name] = values
    return result


def red_snr(raw: RawSpectra) -> np.ndarray:
    """[star], signal-to-noise ratio per pixel in R; NaN if unknown.

    It is SN_R of the survey if known, else the median of the arm R, or of the reddest arm of a
    survey without R.
    """
    measured = arm_snr(raw)
    own = measured.get("R", measured[raw.arms[-1].name])
    survey = np.asarray(raw.columns.get("SN_R", np.full(len(raw), np.nan)), float)
    return np.where(np.isfinite(survey), survey, own)


class Counts(NamedTuple):
    """Numbers of spectra of a selection.

    read : in the files. matched : with a selected target. kept : and with sufficient S/N. best :
    largest S/N of the matched ones; NaN if unknown or not needed.
    """

    read: int
    matched: int
    kept: int
    best: float


def select(
    raw: RawSpectra, *, targetid: Sequence[int] = (), minsn: float | None = None
) -> tuple[RawSpectra, Counts]:
    """The selected spectra, in their order, and the numbers of spectra.

    Parameters
    ----------
    raw
        All spectra of the input.
    targetid
        Selected targets; empty for all.
    minsn
        Smallest ``red_snr``; a spectrum of unknown S/N is left out.

    Raises ValueError for ``targetid`` with a survey that has no TARGETID.
    """
    read = len(raw)
    if targetid:
        if "TARGETID" not in raw.columns:
            raise ValueError(
                f"[input] targetid: spectra of {raw.survey} have no TARGETID. Leave it out."
            )
        chosen = np.isin(raw.columns["TARGETID"], np.asarray(targetid, np.int64))
        raw = raw.take(np.flatnonzero(chosen))
    matched, best = len(raw), np.nan
    if minsn is not None and matched:
        snr = red_snr(raw)
        best = float(np.nanmax(snr)) if np.isfinite(snr).any() else np.nan
        raw = raw.take(np.flatnonzero(snr >= minsn))  # False for NaN
    return raw, Counts(read, matched, len(raw), best)


def check_selected(
    counts: Sequence[Counts], *, targetid: Sequence[int] = (), minsn: float | None = None
) -> None:
    """Raise ValueError with the name of the option if a run selects no spectrum.

    counts : of all tasks of the run.
    """
    if any(count.kept for count in counts):
        return
    read, matched = (sum(count[i] for count in counts) for i in (0, 1))
    if targetid and not matched:
        more = f" and {len(targetid) - 3} more" if len(targetid) > 3 else ""
        raise ValueError(
            f"[input] targetid: none of {list(targetid[:3])}{more} is among the {read} "
            "spectra of these files. Look for it with bayes-ddp info."
        )
    if minsn is not None and matched:
        known = [count.best for count in counts if np.isfinite(count.best)]
        best = f"{max(known):.1f}" if known else "unknown"
        raise ValueError(
            f"[input] minsn: no spectrum reaches S/N {minsn:g} per pixel in R; the best of "
            f"{matched} is {best}. Lower it."
        )
    if not read:
        raise ValueError("The input files contain no spectra, so that there is nothing to fit.")


def at_rest(raw: RawSpectra) -> RawSpectra:
    """The spectra; those with ``BAD_RV`` get a velocity of 0 +- 30 km/s, so that they are fitted.

    This allows to fit a galaxy as a star; the bit ``BAD_RV`` stays.
    """
    unknown = (raw.warn & int(WARN.BAD_RV)) != 0
    return replace(
        raw,
        vrad=np.where(unknown, 0.0, raw.vrad),
        vrad_err=np.where(unknown, WIDE_ERROR, raw.vrad_err),
    )


def between(raw: RawSpectra, wave: tuple[float, float]) -> RawSpectra:
    """The spectra with ``ivar = 0`` outside a range of wavelengths.

    wave : (first, last), Å, vacuum, barycentric. Raises ValueError if no pixel is left.
    """
    low, high = wave
    inside = [(arm.wave >= low) & (arm.wave <= high) for arm in raw.arms]
    if not any(part.any() for part in inside):
        first, last = raw.arms[0].wave[0], raw.arms[-1].wave[-1]
        raise ValueError(
            f"[input] wave: no pixel lies between {low:g} and {high:g} Å; these spectra reach "
            f"from {first:.0f} to {last:.0f} Å. Give two numbers in Å, the smaller first."
        )
    pairs = zip(raw.arms, inside, strict=True)
    return raw.with_ivar([np.where(part, arm.ivar, np.float32(0)) for arm, part in pairs])
