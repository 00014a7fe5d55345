"""Which catalogue row is which spectrum's: DESI's key is more than its TARGETID.

One target has one coadd for each survey, program and healpix (or tile) it was observed in, so
TARGETID alone does not name a spectrum: rows are joined by TARGETID, SURVEY, PROGRAM, HEALPIX and
TILEID, as many of them as both sides know, and by their place on the sky where both know it. A
coadd of a tile belongs to no healpix and often does not say its survey; in a catalogue by healpix
it then matches what it does know, and the row that the catalogue calls PRIMARY goes first.

Nothing loops over rows: a survey's catalogue has more than half a million.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bayes_ddp.tables.repeats import repeats
from bayes_ddp.tables.sky import Places, join_places, place_numbers

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
    elsewhere : [star] bool, the table has rows of this TARGETID, but of a star at another place,
        or of one of several places.
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
    """[row] int, equal where all columns are equal.

    >>> fold([np.array([7, 7, 9]), np.array(["a", "b", "a"])]).tolist()
    [0, 1, 2]
    """
    code = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        values, place = np.unique(column, return_inverse=True)
        _, code = np.unique(code * max(len(values), 1) + place, return_inverse=True)
    return code


def join(ours: Table, table: Table, places: tuple[Places, Places] | None = None) -> Match:
    """The row of ``table`` for each spectrum.

    Parameters
    ----------
    ours
        TARGETID and all of ``GROUP``, [star].
    table
        TARGETID and those of ``GROUP`` it has, [row]; PRIMARY, [row] bool, where it has it.
    places
        Positions of the spectra and of the rows. A row that is over 2 arcsec away, after proper
        motion, is of another star and not joined; nor is a row without a position that would be
        joined to spectra at several places, nor one of several places to a spectrum without.
    """
    count = len(ours["TARGETID"])
    none = np.zeros(count, bool)
    near = np.flatnonzero(np.isin(table["TARGETID"], ours["TARGETID"]))
    if not len(near):
        return Match(np.full(count, -1), none, none.copy(), none.copy())
    names = ("TARGETID", *(name for name in GROUP if name in table))
    mine = {name: ours[name] for name in names}
    theirs = {name: table[name][near] for name in names}
    if places is not None:
        target = np.concatenate([mine["TARGETID"], theirs["TARGETID"]])
        number = place_numbers(target, join_places(places[0], places[1].take(near)))
        mine["PLACE"], theirs["PLACE"] = number[:count], number[count:]
    primary = np.asarray(table.get("PRIMARY", np.zeros(len(table["TARGETID"]))), bool)[near]
    row, exact = _by_key(mine, theirs, primary)
    doubled = none.copy()
    lost = _of_several(mine, theirs, row, exact=exact) if places is not None else none
    row[lost], exact[lost] = -1, False
    hit = row >= 0
    _, twice = repeats(fold([_plain(values) for values in theirs.values()]))
    doubled[hit] = twice[row[hit]]
    elsewhere = ~hit & _is_elsewhere(mine, theirs) if places is not None else none
    row[hit] = near[row[hit]]
    return Match(row, doubled, exact, elsewhere | lost)


def _by_key(ours: Table, table: Table, primary: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """([star] row of ``table`` or -1, [star] bool exact), by all columns that both have."""
    count, names = len(ours["TARGETID"]), tuple(ours)
    row, exact = np.full(count, -1), np.zeros(count, bool)
    known, other = _patterns(names, ours), _patterns(names, table)
    ours = {name: _plain(values) for name, values in ours.items()}
    theirs = {name: _plain(values) for name, values in table.items()}
    group = np.array([name != "PLACE" for name in names])
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
    """[star] bool, whether the row may be of another star of the same TARGETID.

    A row without a position is, where it was found for spectra at several places; a row with one
    is, where the spectrum has none, other rows of the TARGETID are elsewhere, and the group does
    not decide.
    """
    hit = row >= 0
    unplaced = hit & (table["PLACE"][row] < 0)
    several = np.zeros(len(row), bool)
    several[unplaced] = _differ(row[unplaced], ours["PLACE"][unplaced])
    scattered = np.unique(table["TARGETID"][_differ(table["TARGETID"], table["PLACE"])])
    decided = exact & (len(ours) > 2)  # more was compared than TARGETID and place
    open_ = hit & (ours["PLACE"] < 0) & np.isin(ours["TARGETID"], scattered)
    return several | (open_ & ~decided)


def _differ(code: np.ndarray, place: np.ndarray) -> np.ndarray:
    """[row] bool, whether rows of the same code have several places; -1 is none."""
    _, group = np.unique(code, return_inverse=True)
    size = int(group.max(initial=-1)) + 1
    low, high = np.full(size, np.iinfo(int).max), np.full(size, -1)
    np.minimum.at(low, group[place >= 0], place[place >= 0])
    np.maximum.at(high, group[place >= 0], place[place >= 0])
    return (low < high)[group]


def _is_elsewhere(ours: Table, table: Table) -> np.ndarray:
    """[star] bool, whether rows of its TARGETID are all at other places."""
    placed = table["PLACE"] >= 0
    elsewhere = np.isin(ours["TARGETID"], table["TARGETID"][placed]) & (ours["PLACE"] >= 0)
    code = fold(
        [np.concatenate([ours[name], table[name][placed]]) for name in ("TARGETID", "PLACE")]
    )
    return elsewhere & ~np.isin(code[: len(ours["PLACE"])], code[len(ours["PLACE"]) :])


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
