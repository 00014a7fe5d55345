"""Which catalogue row is which spectrum's: DESI's key is more than its TARGETID.

One target has one coadd for each survey, program and healpix (or tile) it was observed in, so
TARGETID alone does not name a spectrum: rows are joined by TARGETID, SURVEY, PROGRAM, HEALPIX and
TILEID, as many of them as both sides know. A coadd of a tile belongs to no healpix and often does
not say its survey; in a catalogue by healpix it then matches what it does know, and the row that
the catalogue calls PRIMARY goes first.

Nothing loops over rows: a survey's catalogue has more than half a million.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bayes_ddp.tables.repeats import repeats

__all__ = ["GROUP", "Match", "fold", "join"]

GROUP = ("SURVEY", "PROGRAM", "HEALPIX", "TILEID")
"""What tells the coadds of one target apart; '' and -1 where a file does not say."""

Table = dict[str, np.ndarray]


@dataclass(frozen=True)
class Match:
    """Where each spectrum stands in a table.

    row : [star] int, row of the table; -1 where there is none.
    doubled : [star] bool, further rows of the table have the key of that row.
    exact : [star] bool, the row is of this very coadd: every column of the key was compared.
    """

    row: np.ndarray
    doubled: np.ndarray
    exact: np.ndarray

    @property
    def found(self) -> np.ndarray:
        """[star] bool, whether the table has a row."""
        return self.row >= 0


def fold(columns: Sequence[np.ndarray]) -> np.ndarray:
    """[row] int, equal where all columns are equal.

    >>> fold([np.array([7, 7, 9]), np.array(["a", "b", "a"])]).tolist()
    [0, 1, 2]
    """
    code = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        values, place = np.unique(column, return_inverse=True)
        _, code = np.unique(code * max(len(values), 1) + place, return_inverse=True)
    return code


def join(ours: Table, table: Table) -> Match:
    """The row of ``table`` for each spectrum.

    Parameters
    ----------
    ours
        TARGETID and all of ``GROUP``, [star].
    table
        TARGETID and those of ``GROUP`` it has, [row]; PRIMARY, [row] bool, where it has it.
    """
    count = len(ours["TARGETID"])
    row, doubled = np.full(count, -1), np.zeros(count, bool)
    exact = np.zeros(count, bool)
    names = ("TARGETID", *(name for name in GROUP if name in table))
    near = np.flatnonzero(np.isin(table["TARGETID"], ours["TARGETID"]))
    if not len(near):
        return Match(row, doubled, exact)
    known, told = _patterns(names, ours), _patterns(names, {n: table[n][near] for n in names})
    ours = {name: _plain(ours[name]) for name in names}
    theirs = {name: _plain(table[name][near]) for name in names}
    _, twice = repeats(fold(list(theirs.values())))
    primary = np.asarray(table.get("PRIMARY", np.zeros(len(table["TARGETID"]))), bool)[near]
    both = itertools.product(np.unique(known, axis=1).T, np.unique(told, axis=1).T)
    for mine_known, theirs_known in sorted(both, key=lambda pair: -int((pair[0] & pair[1]).sum())):
        mine = np.flatnonzero((known == mine_known[:, None]).all(axis=0) & (row < 0))
        rows = np.flatnonzero((told == theirs_known[:, None]).all(axis=0))
        common = mine_known & theirs_known
        key = [name for name, is_known in zip(names, common, strict=True) if is_known]
        code = fold([np.concatenate([ours[name][mine], theirs[name][rows]]) for name in key])
        here, there = code[: len(mine)], code[len(mine) :]
        later = np.zeros(len(rows), bool) if common.all() else ~primary[rows]
        order = np.lexsort((near[rows], later, there))
        at = np.searchsorted(there[order], here)
        hit = np.isin(here, there)
        chosen = rows[order[at[hit]]]
        row[mine[hit]], doubled[mine[hit]] = near[chosen], twice[chosen]
        exact[mine[hit]] = common.all()
    return Match(row, doubled, exact)


def _patterns(names: Sequence[str], table: Table) -> np.ndarray:
    """[name row] bool, which parts of the key each row knows."""
    return np.array([_known(name, table[name]) for name in names])


def _known(name: str, values: np.ndarray) -> np.ndarray:
    if name == "TARGETID":  # of sky fibres it is negative
        return np.ones(len(values), bool)
    return values != "" if values.dtype.kind == "U" else values >= 0


def _plain(values: np.ndarray) -> np.ndarray:
    """Text in lower case: some tables write BRIGHT, some bright."""
    return np.char.lower(values) if values.dtype.kind == "U" else values
