"""Whether rows of two tables are at one place on the sky, proper motion included."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bayes_ddp.tables.values import real

__all__ = ["SAME_PLACE", "Places", "join_places", "place_numbers", "places_of", "same_place"]

SAME_PLACE = 2.0
"""Arcsec within which two rows of one identifier are one star."""

_ROUNDS = 50  # places of one target that are told apart exactly
_LONGEST = 25.0  # years between two catalogues where an epoch is not known


@dataclass(frozen=True)
class Places:
    """Positions [row], deg, with proper motion, mas/yr (pmra includes cos dec), and epoch, yr.

    NaN where unknown or impossible.
    """

    ra: np.ndarray
    dec: np.ndarray
    pmra: np.ndarray
    pmdec: np.ndarray
    epoch: np.ndarray

    def __len__(self) -> int:
        return len(self.ra)

    def take(self, rows: np.ndarray) -> "Places":
        """The places of ``rows``."""
        return Places(
            self.ra[rows], self.dec[rows], self.pmra[rows], self.pmdec[rows], self.epoch[rows]
        )

    @property
    def known(self) -> np.ndarray:
        """[row] bool, whether there is a position."""
        return np.isfinite(self.ra) & np.isfinite(self.dec)


def places_of(
    table: Mapping[str, np.ndarray], columns: Sequence[tuple[str, str]], *, where: str
) -> Places | None:
    """The places that a table has in the first pair of ``columns`` that it has; None without.

    Names of ``table`` are in small letters. Proper motion and epoch are in pmra, pmdec and
    ref_epoch; an epoch before 1900 and a proper motion of exactly zero are unknown. where : the
    table in messages.
    """
    for names in columns:
        if all(name in table and table[name].ndim == 1 for name in names):
            ra, dec = (real(table[name], f"{where}: column {name}") for name in names)
            break
    else:
        return None
    unknown = np.full(len(ra), np.nan)
    pmra, pmdec, epoch = (
        real(table[name], f"{where}: column {name}") if name in table else unknown
        for name in ("pmra", "pmdec", "ref_epoch")
    )
    possible = (np.abs(dec) <= 90) & (np.abs(ra) <= 360)
    moving = (pmra != 0) | (pmdec != 0)
    return Places(
        np.where(possible, ra, np.nan),
        np.where(possible, dec, np.nan),
        np.where(moving, pmra, np.nan),
        np.where(moving, pmdec, np.nan),
        np.where(epoch > 1900, epoch, np.nan),
    )


def same_place(first: Places, second: Places) -> np.ndarray:
    """[row] bool, False where two positions are known and no star can be at both.

    They are compared at the second's epoch, with the proper motion of either. Where an epoch is
    not known, the way of 25 years is allowed for.
    """
    known = np.isfinite(first.pmra) & np.isfinite(first.pmdec)
    pmra = np.nan_to_num(np.where(known, first.pmra, second.pmra)) / 3.6e6
    pmdec = np.nan_to_num(np.where(known, first.pmdec, second.pmdec)) / 3.6e6
    years = second.epoch - first.epoch
    slack = np.where(np.isfinite(years), 0.0, _LONGEST) * np.hypot(pmra, pmdec)
    years = np.nan_to_num(years)
    mean = np.radians((first.dec + second.dec) / 2)
    east = (second.ra - first.ra + 180) % 360 - 180
    north = second.dec - first.dec - pmdec * years
    # haversine of a shift that is small or of any size, without loss of digits
    east = np.radians(east) - np.radians(pmra * years) / np.maximum(np.cos(mean), 1e-12)
    half = (
        np.sin(np.radians(north) / 2) ** 2
        + np.cos(np.radians(first.dec)) * np.cos(np.radians(second.dec)) * np.sin(east / 2) ** 2
    )
    apart = 2 * np.degrees(np.arcsin(np.sqrt(np.clip(half, 0, 1))))
    return ~(apart > SAME_PLACE / 3600 + slack)  # True for NaN


def join_places(first: Places, second: Places) -> Places:
    """The rows of both, the first's in front."""
    return Places(
        *(
            np.concatenate([getattr(part, n) for part in (first, second)])
            for n in ("ra", "dec", "pmra", "pmdec", "epoch")
        )
    )


def place_numbers(target: np.ndarray, places: Places) -> np.ndarray:
    """[row] int, which of the places of its target a row is at, from 0; -1 without a position.

    target : [row] int. The first row of a target defines its place 0, the first that is elsewhere
    its place 1, and so on.
    """
    _, code = np.unique(target, return_inverse=True)
    number = np.full(len(target), -1)
    left = np.flatnonzero(places.known)
    for place in range(_ROUNDS):
        if not len(left):
            return number
        _, first, which = np.unique(code[left], return_index=True, return_inverse=True)
        same = same_place(places.take(left[first][which]), places.take(left))
        number[left[same]] = place
        left = left[~same]
    number[left] = _ROUNDS + np.arange(len(left))  # so many places are all taken as different
    return number
