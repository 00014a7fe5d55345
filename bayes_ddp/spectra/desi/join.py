"""Spectra and catalogue rows of DESI are joined by a key of several columns.

One target has one coadd for each survey, program and healpix (or tile) in which it was observed,
so TARGETID does not identify a spectrum. Rows are joined by TARGETID, SURVEY, PROGRAM, HEALPIX and
TILEID, as many of them as both sides have, and by their position on the sky if both have one. A
coadd of a tile has no healpix and often no survey; in a catalogue by healpix it matches by its
known columns, and the row marked PRIMARY is preferred.

The code does not loop over rows: the catalogue of a survey has more than half a million.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bayes_ddp.tables.repeats import repeats
from bayes_ddp.tables.sky import Positions, join_positions, position_numbers

__all__ = ["GROUP", "Match", "fold", "join"]

GROUP = ("SURVEY", "PROGRAM", "HEALPIX", "TILEID")
"""Columns that distinguish the coadds of one target; unknown values are '' and -1."""

Table = dict[str, np.ndarray]


@dataclass(frozen=True)
class Match:
    """The row of a table for each spectrum.

    row : [star] int, row of the table; -1 if there is none.
    doubled : [star] bool, whether further rows of the table have the key of that row.
    exact : [star] bool, whether every column of the key was compared, so that the row is of the
        same coadd.
    elsewhere : [star] bool, whether the table has this TARGETID only at another position, or at
        several positions of which none can be chosen.
    """

    row: np.ndarray
    doubled: np.ndarray
    exact: np.ndarray
    elsewhere: np.ndarray

    @property
    def found(self) -> np.ndarray:
        """[star] bool, whether the table has a row."""
        return self.row >= 0


def fold(columns: Sequence[np.ndarray]) -> np.ndarray:
    """[row] int, a code that is equal for rows with equal values in all columns, each [row].

    >>> fold([np.array([7, 7, 9]), np.array(["a", "b", "a"])]).tolist()
    [0, 1, 2]
    """
    code = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        values, index = np.unique(column, return_inverse=True)
        _, code = np.unique(code * max(len(values), 1) + index, return_inverse=True)
    return code


def join(ours: Table, table: Table, positions: tuple[Positions, Positions] | None = None) -> Match:
    """The row of ``table`` for each spectrum.

    Parameters
    ----------
    ours
        TARGETID and all of ``GROUP``, [star].
    table
        TARGETID and those of ``GROUP`` that it has, [row]; PRIMARY, [row] bool, if it has it.
    positions
        Positions of the spectra and of the rows. A row that is over 2 arcsec away, after proper
        motion, belongs to another star and is not joined. Nor is a row without a position if
        spectra at several positions match it, nor, to a spectrum without a position, a row of a
        TARGETID at several positions.
    """
    count = len(ours["TARGETID"])
    none = np.zeros(count, bool)
    near = np.flatnonzero(np.isin(table["TARGETID"], ours["TARGETID"]))
    if not len(near):
        return Match(np.full(count, -1), none, none.copy(), none.copy())
    names = ("TARGETID", *(name for name in GROUP if name in table))
    mine = {name: ours[name] for name in names}
    theirs = {name: table[name][near] for name in names}
    if positions is not None:
        target = np.concatenate([mine["TARGETID"], theirs["TARGETID"]])
        number = position_numbers(target, join_positions(positions[0], positions[1].take(near)))
        mine["POSITION"], theirs["POSITION"] = number[:count], number[count:]
    primary = np.asarray(table.get("PRIMARY", np.zeros(len(table["TARGETID"]))), bool)[near]
    row, exact = _by_key(mine, theirs, primary)
    doubled = none.copy()
    lost = _of_several(mine, theirs, row, exact=exact) if positions is not None else none
    row[lost], exact[lost] = -1, False
    hit = row >= 0
    _, twice = repeats(fold([_plain(values) for values in theirs.values()]))
    doubled[hit] = twice[row[hit]]
    elsewhere = ~hit & _is_elsewhere(mine, theirs) if positions is not None else none
    row[hit] = near[row[hit]]
    return Match(row, doubled, exact, elsewhere | lost)


def _by_key(ours: Table, table: Table, primary: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """([star] row of ``table`` or -1, [star] bool exact), by all key columns that both have."""
    count, names = len(ours["TARGETID"]), tuple(ours)
    row, exact = np.full(count, -1), np.zeros(count, bool)
    known, other = _patterns(names, ours), _patterns(names, table)
    ours = {name: _plain(values) for name, values in ours.items()}
    theirs = {name: _plain(values) for name, values in table.items()}
    group = np.array([name != "POSITION" for name in names])
    both = itertools.product(np.unique(known, axis=1).T, np.unique(other, axis=1).T)
    for mine_known, theirs_known in sorted(both, key=lambda pair: -int((pair[0] & pair[1]).sum())):
        mine = np.flatnonzero((known == mine_known[:, None]).all(axis=0) & (row < 0))
        rows = np.flatnonzero((other == theirs_known[:, None]).all(axis=0))
        common = mine_known & theirs_known
        key = [name for name, is_known in zip(names, common, strict=True) if is_known]
        code = fold([np.concatenate([ours[name][mine], theirs[name][rows]]) for name in key])
        here, there = code[: len(mine)], code[len(mine) :]
        full = bool(common[group].all())
        later = np.zeros(len(rows), bool) if full else ~primary[rows]
        order = np.lexsort((rows, later, there))
        at = np.searchsorted(there[order], here)
        hit = np.isin(here, there)
        row[mine[hit]] = rows[order[at[hit]]]
        exact[mine[hit]] = full
    return row, exact


def _of_several(ours: Table, table: Table, row: np.ndarray, *, exact: np.ndarray) -> np.ndarray:
    """[star] bool, whether the row may belong to another star of the same TARGETID.

    This holds for a row without a position that matches spectra at several positions; and for a
    row with a position if the spectrum has none, the TARGETID has rows at several positions, and
    the group does not identify the coadd.
    """
    hit = row >= 0
    unplaced = hit & (table["POSITION"][row] < 0)
    several = np.zeros(len(row), bool)
    several[unplaced] = _differ(row[unplaced], ours["POSITION"][unplaced])
    scattered = np.unique(table["TARGETID"][_differ(table["TARGETID"], table["POSITION"])])
    decided = exact & (len(ours) > 2)  # columns besides TARGETID and POSITION were compared
    open_ = hit & (ours["POSITION"] < 0) & np.isin(ours["TARGETID"], scattered)
    return several | (open_ & ~decided)


def _differ(code: np.ndarray, position: np.ndarray) -> np.ndarray:
    """[row] bool, whether rows of the same code have several positions; -1 is unknown."""
    _, group = np.unique(code, return_inverse=True)
    size = int(group.max(initial=-1)) + 1
    low, high = np.full(size, np.iinfo(int).max), np.full(size, -1)
    np.minimum.at(low, group[position >= 0], position[position >= 0])
    np.maximum.at(high, group[position >= 0], position[position >= 0])
    return (low < high)[group]


def _is_elsewhere(ours: Table, table: Table) -> np.ndarray:
    """[star] bool, whether rows of its TARGETID are all at other positions."""
    placed = table["POSITION"] >= 0
    elsewhere = np.isin(ours["TARGETID"], table["TARGETID"][placed]) & (ours["POSITION"] >= 0)
    code = fold(
        [np.concatenate([ours[name], table[name][placed]]) for name in ("TARGETID", "POSITION")]
    )
    return elsewhere & ~np.isin(code[: len(ours["POSITION"])], code[len(ours["POSITION"]) :])


def _patterns(names: Sequence[str], table: Table) -> np.ndarray:
    """[name row] bool, which columns of the key are known in each row."""
    return np.array([_known(name, table[name]) for name in names])


def _known(name: str, values: np.ndarray) -> np.ndarray:
    if name == "TARGETID":  # it is negative for sky fibres
        return np.ones(len(values), bool)
    return values != "" if values.dtype.kind == "U" else values >= 0


def _plain(values: np.ndarray) -> np.ndarray:
    """Text in lower case, since some tables write BRIGHT and others bright."""
    return np.char.lower(values) if values.dtype.kind == "U" else values
