"""Rows of two tables are matched by an identifier, or by position on the sky.

The most specific identifier is tried first. A match by position ignores proper motion between the
epochs of the tables: a star of 0.1 arcsec / yr leaves a radius of 1.5 arcsec after fifteen years.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord

from bayes_ddp.files.errors import BadFileError
from bayes_ddp.tables.read import Content
from bayes_ddp.tables.sky import SAME_POSITION, positions_of, same_position
from bayes_ddp.tables.values import NULLS, identifiers, whole

__all__ = ["IDENTIFIERS", "POSITIONS", "Match", "match_rows"]


_GROUP = ("survey", "program", "healpix", "tileid", "night", "expid")
_SOURCE = ("source_id", "gaia_source_id", "gaiadr3_source_id", "gaiaedr3_source_id")
_SAME = ("specid", "specobjid", "obsid")
_NAMES = ("name", "miles_id")
_FILE_NAMES = ("srcfile", "filename", "file")
_SKY = (
    ("target_ra", "target_dec"),
    ("ra", "dec"),
    ("raj2000", "dej2000"),
    ("ra_icrs", "de_icrs"),
    ("_raj2000", "_dej2000"),
    ("plug_ra", "plug_dec"),
)
IDENTIFIERS = ("targetid", *_GROUP, *_SAME, *_NAMES, *_FILE_NAMES, *_SOURCE)
"""Columns by which rows are matched."""

POSITIONS = tuple(name for pair in _SKY for name in pair)
"""Columns of right ascension and declination, in pairs, best first."""

_REPEATS = 20  # rows of theirs per identifier that are considered
_FIRST_SOURCE = 2**32  # lower bound on Gaia source_id; fillers such as 0 or 999999 are smaller


@dataclass(frozen=True)
class Match:
    """Matched rows: ``ours[i]`` and ``theirs[i]`` are indices of the same star.

    by : the identifier, or the radius on the sky; without a match, the criteria that were tried.
    ambiguous : number of rows. By identifier: rows of ours whose identifier is in several rows of
        theirs, of which the first is taken. By position: rows of ours that are dropped because
        their nearest row of theirs is nearer to another row of ours.
    apart : number of rows that are left out because they have one TARGETID and the positions of
        two stars.
    """

    ours: np.ndarray
    theirs: np.ndarray
    by: str
    ambiguous: int = 0
    apart: int = 0


def match_rows(
    ours: Content,
    theirs: Content,
    *,
    how: str = "auto",
    radius: float = 1.5,
    names: tuple[str, str] = ("the catalogue", "the other table"),
) -> Match:
    """Pairs of rows by the first identifier that matches any row, or by position.

    Identifiers of a spectrum are tried before those of a star: TARGETID with those of SURVEY,
    PROGRAM, HEALPIX, TILEID, NIGHT, EXPID that both tables have; SPECID, OBSID and the like;
    SRCFILE with a column of file names, if each spectrum of ours has its own file; Gaia's
    SOURCE_ID; TARGETID alone. Several rows of ours may match the same row of theirs.

    how : ``id``, ``sky``, or ``auto``, which uses positions if no identifier matches.
    radius : arcsec. The nearest row of theirs within it matches, and each row of theirs once.
    names : names of both tables in messages.

    Rows with the same TARGETID and with positions in both tables match only if these agree within
    2 arcsec after proper motion. Raises BadFileError for identifiers that lost digits as floating
    point, and if no two positions of the same TARGETID agree.
    """
    tried: list[str] = []
    for columns in _identifiers(ours, theirs) if how != "sky" else []:
        match = _by_identifier(ours, theirs, columns, names=names)
        if match is not None:
            return match
        tried.append("+".join(left.upper() for left, _ in columns))
    where = _position(ours), _position(theirs)
    if how != "id" and where[0] is not None and where[1] is not None:
        found = _by_position(where[0], where[1], radius)
        text = f"position within {radius:g} arcsec"
        if len(found[0]):
            return Match(*found[:2], text, found[2])
        tried.append(text)
    elif how == "sky":
        tried.append("position, but they do not both have columns RA and DEC")
    none = np.zeros(0, int)
    return Match(none, none, ", ".join(tried) or "nothing: they share no identifier column")


def _by_identifier(
    ours: Content,
    theirs: Content,
    columns: Sequence[tuple[str, str]],
    *,
    names: tuple[str, str],
) -> Match | None:
    """The match by ``columns``; None if no identifier is in both tables."""
    known: dict[tuple[str, ...], list[int]] = {}
    for i, key in enumerate(_keys(theirs, [right for _, right in columns], names[1])):
        if key is not None:
            known.setdefault(key, []).append(i)
    rows = [
        (i, j, nth, len(known[key]))
        for i, key in enumerate(_keys(ours, [left for left, _ in columns], names[0]))
        if key is not None and key in known
        for nth, j in enumerate(known[key][:_REPEATS])
    ]
    if not rows:
        return None
    pairs = np.array(rows, int)
    target = columns[0][0] == "targetid"
    same = _same_star(ours, theirs, pairs, names=names) if target else None
    kept = pairs if same is None else pairs[same]
    _, first = np.unique(kept[:, 0], return_index=True)  # the first row of theirs for each of ours
    kept = kept[first]
    return Match(
        kept[:, 0],
        kept[:, 1],
        "+".join(left.upper() for left, _ in columns),
        ambiguous=int((kept[:, 3] > 1).sum()),
        apart=len(np.unique(pairs[:, 0])) - len(kept),
    )


def _same_star(
    ours: Content, theirs: Content, pairs: np.ndarray, *, names: tuple[str, str]
) -> np.ndarray | None:
    """[pair] bool, False if the positions disagree; None if a table has no positions."""
    tables = (ours, theirs)
    first, second = (
        positions_of(table, _SKY, where=name) for table, name in zip(tables, names, strict=True)
    )
    if first is None or second is None:
        return None
    same = same_position(first.take(pairs[:, 0]), second.take(pairs[:, 1]))
    if not same.any():
        raise BadFileError(
            f"{names[0]} and {names[1]}: no row is within {SAME_POSITION:g} arcsec of the row "
            "with its TARGETID. Give RA and DEC in degrees, or tables of the same stars."
        )
    return same


def _by_position(
    ours: np.ndarray, theirs: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray, int]:
    """(rows of ours, rows of theirs, number of ours that were dropped); input [row, 2], deg."""
    known = [np.flatnonzero(np.isfinite(part).all(axis=1)) for part in (ours, theirs)]
    if not len(known[0]) or not len(known[1]):
        return np.zeros(0, int), np.zeros(0, int), 0
    first, second = (
        SkyCoord(*part[rows].T, unit=u.deg)
        for part, rows in zip((ours, theirs), known, strict=True)
    )
    nearest, distance, _ = first.match_to_catalog_sky(second)
    distance = distance.arcsec
    near = np.flatnonzero(distance <= radius)
    near = near[np.argsort(distance[near], kind="stable")]  # np.unique keeps the closest
    _, winner = np.unique(nearest[near], return_index=True)
    kept = np.sort(near[winner])
    return known[0][kept], known[1][nearest[kept]], len(near) - len(kept)


def _position(content: Content) -> np.ndarray | None:
    """[row, 2], RA and Dec, deg, NaN if impossible; None without such columns."""
    numbers = {name: v for name, v in content.items() if v.dtype.kind in "iuf"}
    found = positions_of(numbers, _SKY, where="match")
    return None if found is None else np.stack([found.ra, found.dec], axis=1)


def _identifiers(ours: Content, theirs: Content) -> list[list[tuple[str, str]]]:
    """Ways to match, best first: (our column, their column) pairs that must all agree."""
    ways = []
    target = [("targetid", "targetid")] if "targetid" in ours and "targetid" in theirs else []
    shared = [(n, n) for n in _GROUP if n in ours and n in theirs]
    if target:
        ways.append([*target, *shared])
    ways += [[(name, name)] for name in _SAME if name in ours and name in theirs]
    ways += [[("name", name)] for name in _NAMES if "name" in ours and name in theirs]
    names = [name for name in _FILE_NAMES if name in theirs]
    if "srcfile" in ours and names and len(np.unique(ours["srcfile"])) == len(ours["srcfile"]):
        ways.append([("srcfile", names[0])])
    sources = [next((n for n in _SOURCE if n in table), None) for table in (ours, theirs)]
    if sources[0] and sources[1]:
        ways.append([(sources[0], sources[1])])
    return [*ways, target] if target and shared else ways


def _keys(content: Content, names: Sequence[str], table: str) -> list[tuple[str, ...] | None]:
    """One key per row; None if its identifier is empty, negative or not a number.

    An unknown survey, program or pixel does not make a key unknown.
    """
    columns = [_column(name, content[name], f"{table}: column {name}") for name in names]
    optional = [name in _GROUP for name in names]
    return [
        None
        if any(part is None and not may for part, may in zip(key, optional, strict=True))
        else tuple(part or "" for part in key)
        for key in zip(*columns, strict=True)
    ]


def _column(name: str, values: np.ndarray, label: str) -> list[str | None]:
    """The cells of one identifier as text; None if unknown, negative or a filler."""
    if values.dtype.kind in "iuf":
        low = _FIRST_SOURCE if name in _SOURCE else 0
        numbers = (
            whole(values, label, unknown=-1) if name in _GROUP else identifiers(values, label)
        )
        return [str(number) if number >= low else None for number in numbers.tolist()]
    cells = [str(value).strip() for value in values.tolist()]
    if name in _FILE_NAMES:
        cells = [Path(cell).name.removesuffix(".gz") for cell in cells]
    return [None if cell.lower() in NULLS else cell for cell in cells]
