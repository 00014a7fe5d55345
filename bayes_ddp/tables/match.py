"""Which rows of two tables are the same star.

Rows are matched by an identifier, the most specific one first, or by position. Positions are
compared as they stand in the tables: proper motion between their epochs is ignored, so a star of
0.1 arcsec / yr leaves a radius of 1.5 arcsec after fifteen years.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord

from bayes_ddp.tables.read import EXACT, Content

__all__ = ["Match", "match_rows"]


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
_FIRST_SOURCE = 2**32  # below every number of Gaia; fillers such as 0 or 999999 are smaller


@dataclass(frozen=True)
class Match:
    """Which rows belong together: ``ours[i]`` is the star of ``theirs[i]``.

    by : the identifier, or the radius on the sky; where nothing matched, what was tried.
    ambiguous : by identifier, rows of ours whose identifier stands in several rows of theirs (the
        first was taken); on the sky, rows of ours dropped because their nearest row of theirs is
        nearer to another one.
    """

    ours: np.ndarray
    theirs: np.ndarray
    by: str
    ambiguous: int = 0


def match_rows(ours: Content, theirs: Content, *, how: str = "auto", radius: float = 1.5) -> Match:
    """Pairs of rows by the first identifier that matches any row, or by position.

    What names a spectrum comes before what names a star: TARGETID with those of SURVEY, PROGRAM,
    HEALPIX, TILEID, NIGHT, EXPID that both have; SPECID, OBSID and the like; SRCFILE against a
    file name, if each spectrum of ours has its own; Gaia's SOURCE_ID; TARGETID alone. Several
    rows of ours may be the same row of theirs.

    how : ``id``, ``sky``, or ``auto``, by position where no identifier matches.
    radius : arcsec. The nearest row of theirs within it, and each row of theirs once.
    """
    tried: list[str] = []
    for names in _identifiers(ours, theirs) if how != "sky" else []:
        text = "+".join(left.upper() for left, _ in names)
        found = _by_identifier(ours, theirs, names)
        if len(found[0]):
            return Match(*found[:2], text, found[2])
        tried.append(text)
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
    ours: Content, theirs: Content, names: Sequence[tuple[str, str]]
) -> tuple[np.ndarray, np.ndarray, int]:
    known: dict[tuple[str, ...], int] = {}
    repeated = set()
    for i, key in enumerate(_keys(theirs, [right for _, right in names])):
        if key is not None and known.setdefault(key, i) != i:
            repeated.add(key)
    rows = [
        (i, known[key], key in repeated)
        for i, key in enumerate(_keys(ours, [left for left, _ in names]))
        if key is not None and key in known
    ]
    mine, other, again = np.array(rows, int).reshape(-1, 3).T
    return mine, other, int(again.sum())


def _by_position(
    ours: np.ndarray, theirs: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray, int]:
    """Rows of both, and how many of ours lost their row of theirs; positions [row, 2], deg."""
    place = [np.flatnonzero(np.isfinite(part).all(axis=1)) for part in (ours, theirs)]
    if not len(place[0]) or not len(place[1]):
        return np.zeros(0, int), np.zeros(0, int), 0
    first, second = (
        SkyCoord(*part[rows].T, unit=u.deg)
        for part, rows in zip((ours, theirs), place, strict=True)
    )
    nearest, distance, _ = first.match_to_catalog_sky(second)
    distance = distance.arcsec
    near = np.flatnonzero(distance <= radius)
    near = near[np.argsort(distance[near], kind="stable")]  # the closest comes first and keeps it
    _, winner = np.unique(nearest[near], return_index=True)
    kept = np.sort(near[winner])
    return place[0][kept], place[1][nearest[kept]], len(near) - len(kept)


def _position(content: Content) -> np.ndarray | None:
    """[row, 2], RA and Dec, deg, NaN where impossible; None without columns."""
    for names in _SKY:
        columns = [content.get(name) for name in names]
        if all(c is not None and c.dtype.kind in "iuf" and c.ndim == 1 for c in columns):
            sky = np.stack([np.asarray(c, float) for c in columns], axis=1)
            possible = (np.abs(sky[:, 1]) <= 90) & (np.abs(sky[:, 0]) <= 360)
            return np.where(possible[:, None], sky, np.nan)
    return None


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


def _keys(content: Content, names: Sequence[str]) -> list[tuple[str, ...] | None]:
    """One key per row; None where its identifier is empty, negative or not a number.

    A survey, program or pixel that is not known is a value like others: the star still is.
    """
    columns = [[_key(name, value) for value in content[name].tolist()] for name in names]
    optional = [name in _GROUP for name in names]
    return [
        None
        if any(part is None and not may for part, may in zip(key, optional, strict=True))
        else tuple(part or "" for part in key)
        for key in zip(*columns, strict=True)
    ]


def _key(name: str, value: Any) -> str | None:
    if name in _FILE_NAMES:
        return Path(str(value)).name.removesuffix(".gz") or None
    low = _FIRST_SOURCE if name in _SOURCE else 0
    if isinstance(value, float):  # a whole number in a column with gaps
        return str(int(value)) if low <= value < EXACT else None
    if isinstance(value, int):
        return str(value) if value >= low else None
    text = str(value).strip()
    return text or None
