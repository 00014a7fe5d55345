"""Pairs of labels from two matched tables, and the selection of stars that are compared."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bayes_ddp.comparison.columns import SNR_OTHER, SNR_OURS, column_name, error_name
from bayes_ddp.comparison.options import Choice
from bayes_ddp.labels import LABELS, Label, label
from bayes_ddp.tables.read import Content

__all__ = ["Pairs", "find_keys", "make_pairs", "select"]


@dataclass(frozen=True)
class Pairs:
    """One label of the stars for which both tables have it, each [star]; unknown errors are NaN.

    keys : teff, logg, feh, snr -> [star], quantities for bins and colours.
    """

    ours: np.ndarray
    ours_err: np.ndarray
    theirs: np.ndarray
    theirs_err: np.ndarray
    keys: dict[str, np.ndarray]

    @property
    def difference(self) -> np.ndarray:
        """[star], ours minus theirs."""
        return self.ours - self.theirs

    def take(self, keep: np.ndarray) -> "Pairs":
        """The stars of ``keep`` [star] bool."""
        return Pairs(
            self.ours[keep],
            self.ours_err[keep],
            self.theirs[keep],
            self.theirs_err[keep],
            {name: values[keep] for name, values in self.keys.items()},
        )


def find_keys(ours: Content, theirs: Content) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """(key -> [row], key -> source column) of teff, logg, feh and snr; theirs is preferred.

    A key that neither table has is NaN and has no source.
    """
    keys, whose = {}, {}
    for name in ("teff", "logg", "feh", "snr"):
        if name == "snr":
            left, right = _first(theirs, SNR_OTHER), _first(ours, SNR_OURS)
        else:
            left, right = (
                column_name(theirs, label(name)),
                column_name(ours, label(name)),
            )
        content, column, owner = (theirs, left, "their") if left else (ours, right, "our")
        keys[name] = _numbers(content, column or "")
        if column:
            whose[name] = f"{owner} {column}"
    return keys, whose


def make_pairs(
    ours: Content, theirs: Content, keep: np.ndarray, *, keys: Mapping[str, np.ndarray]
) -> dict[str, Pairs]:
    """Label -> pairs of the rows in ``keep`` with known values in both tables."""
    pairs = {}
    for row in LABELS:
        pair = _pair(ours, theirs, row, keys=keys)
        if pair is not None:
            pairs[row.name] = pair.take(keep & np.isfinite(pair.difference))
    return pairs


def select(
    ours: Content,
    theirs: Content,
    choice: Choice,
    *,
    keys: Mapping[str, np.ndarray],
    whose: Mapping[str, str],
) -> tuple[np.ndarray, str]:
    """([row] bool, texts of the cuts) of matched rows; ``keys``, ``whose`` from ``find_keys``."""
    keep, cuts = _quality(ours, theirs, choice.clean)
    if "snr" in whose:
        keep &= keys["snr"] > choice.snr
        cuts.append(f"{whose['snr']} > {choice.snr:g}")
    else:
        cuts.append("no S/N column, so no S/N cut")
    if not whose.get("teff", "").startswith("their"):
        return keep, "; ".join([*cuts, "no Teff of theirs, so no Teff cut"])
    for limit, sign in zip(choice.teff, (1, -1), strict=True):
        keep &= sign * (keys["teff"] - limit) > 0
        cuts.append(f"{whose['teff']} {'>' if sign > 0 else '<'} {limit:g} K")
    return keep, ", ".join(cuts)


def _quality(ours: Content, theirs: Content, clean: bool) -> tuple[np.ndarray, list[str]]:
    """Rows without warnings: of a DESI catalogue always, of ours if ``clean``."""
    keep, cuts = np.ones(len(next(iter(ours.values()))), bool), []
    if "success" in theirs:
        keep &= theirs["success"]
        cuts.append("their success")
        if "rvs_warn" in theirs:
            keep &= theirs["rvs_warn"] == 0
            cuts.append("their rvs_warn = 0")
    if clean:
        if "warn" not in ours:
            raise ValueError("--clean needs a column WARN; the catalogue has none. Leave it out.")
        keep &= ours["warn"] == 0
        cuts.append("our warn = 0")
    return keep, cuts


def _pair(
    ours: Content, theirs: Content, row: Label, *, keys: Mapping[str, np.ndarray]
) -> Pairs | None:
    """One label from both tables; None if one lacks it."""
    mine, other = column_name(ours, row), column_name(theirs, row)
    if mine is None or other is None:
        return None
    ours_err = _numbers(ours, error_name(ours, mine) or "")
    theirs_err = _numbers(theirs, error_name(theirs, other) or "")
    return Pairs(
        ours=_numbers(ours, mine),
        ours_err=np.where(ours_err >= 0, ours_err, np.nan),
        theirs=_numbers(theirs, other),
        theirs_err=np.where(theirs_err > 0, theirs_err, np.nan),
        keys=dict(keys),
    )


def _first(content: Content, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in content), None)


def _numbers(content: Content, name: str) -> np.ndarray:
    """[row] float64 of a prepared table; NaN if the column is missing."""
    count = len(next(iter(content.values())))
    return content[name].astype(float) if name in content else np.full(count, np.nan)
