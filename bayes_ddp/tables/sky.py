"""Positions on the sky are read from tables and compared, with proper motion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bayes_ddp.tables.values import real

__all__ = [
    "SAME_POSITION",
    "Positions",
    "join_positions",
    "position_numbers",
    "positions_of",
    "same_position",
]

SAME_POSITION = 2.0
"""Arcsec; rows with one identifier are the same star within this distance."""

_ROUNDS = 50  # largest number of distinct positions per target that are compared with each other
_LONGEST = 25.0  # years between two catalogues if an epoch is not known


@dataclass(frozen=True)
class Positions:
    """Positions [row], deg, with proper motion, mas/yr (pmra includes cos dec), and epoch, yr.

    Unknown or impossible values are NaN.
    """

    ra: np.ndarray
    dec: np.ndarray
    pmra: np.ndarray
    pmdec: np.ndarray
    epoch: np.ndarray

    def __len__(self) -> int:
        return len(self.ra)

    def take(self, rows: np.ndarray) -> "Positions":
        """The positions of ``rows``, indices or a mask."""
        return Positions(
            self.ra[rows], self.dec[rows], self.pmra[rows], self.pmdec[rows], self.epoch[rows]
        )

    @property
    def known(self) -> np.ndarray:
        """[row] bool, whether the position is known."""
        return np.isfinite(self.ra) & np.isfinite(self.dec)


def positions_of(
    table: Mapping[str, np.ndarray], columns: Sequence[tuple[str, str]], *, where: str
) -> Positions | None:
    """The positions from the first pair of ``columns`` in a table; None if it has no such pair.

    table : lower-case name -> [row]. Proper motion and epoch are taken from pmra, pmdec and
        ref_epoch; an epoch before 1900 and a proper motion of exactly zero are unknown.
    where : name of the table in messages.

    Raises BadFileError for a column with cells that are no numbers.
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
    return Positions(
        np.where(possible, ra, np.nan),
        np.where(possible, dec, np.nan),
        np.where(moving, pmra, np.nan),
        np.where(moving, pmdec, np.nan),
        np.where(epoch > 1900, epoch, np.nan),
    )


def same_position(first: Positions, second: Positions) -> np.ndarray:
    """[row] bool, False if both positions are known and differ by more than ``SAME_POSITION``.

    They are compared at the epoch of ``second``, with the proper motion of ``first`` or, if it is
    unknown, of ``second``. If an epoch is not known, the distance may be larger by the proper
    motion of 25 years.
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
    # the haversine formula keeps its precision for small distances
    east = np.radians(east) - np.radians(pmra * years) / np.maximum(np.cos(mean), 1e-12)
    half = (
        np.sin(np.radians(north) / 2) ** 2
        + np.cos(np.radians(first.dec)) * np.cos(np.radians(second.dec)) * np.sin(east / 2) ** 2
    )
    apart = 2 * np.degrees(np.arcsin(np.sqrt(np.clip(half, 0, 1))))
    return ~(apart > SAME_POSITION / 3600 + slack)  # True for NaN


def join_positions(first: Positions, second: Positions) -> Positions:
    """The rows of ``first``, followed by those of ``second``."""
    return Positions(
        *(
            np.concatenate([getattr(part, n) for part in (first, second)])
            for n in ("ra", "dec", "pmra", "pmdec", "epoch")
        )
    )


def position_numbers(target: np.ndarray, positions: Positions) -> np.ndarray:
    """[row] int, index of a row's position among those of its target; -1 without a position.

    target : [row] int. The first row of a target defines its position 0, the first row at another
    position defines position 1, and so on.
    """
    _, code = np.unique(target, return_inverse=True)
    number = np.full(len(target), -1)
    left = np.flatnonzero(positions.known)
    for index in range(_ROUNDS):
        if not len(left):
            return number
        _, first, which = np.unique(code[left], return_index=True, return_inverse=True)
        same = same_position(positions.take(left[first][which]), positions.take(left))
        number[left[same]] = index
        left = left[~same]
    number[left] = _ROUNDS + np.arange(len(left))  # further positions all count as different
    return number
