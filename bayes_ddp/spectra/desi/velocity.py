"""Velocity and spectral type of each DESI target, from an RVS catalogue or from redrock files.

A star without a row in the catalogue gets redrock's velocity. ``join`` matches rows and spectra.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bayes_ddp.files.errors import InputWarning
from bayes_ddp.flags import WARN
from bayes_ddp.spectra.desi.catalog import read_redrock, read_rvs
from bayes_ddp.spectra.desi.columns import filled
from bayes_ddp.spectra.desi.join import GROUP, Match, join
from bayes_ddp.spectra.masks import MAX_VRAD, redshift_velocity
from bayes_ddp.spectra.velocities import WIDE_ERROR
from bayes_ddp.tables.sky import SAME_POSITION, positions_of

__all__ = ["Tables", "Velocities", "find_velocities"]

RVS_FLOOR = 1.0
"""Smallest error of an RVS velocity, km/s (arXiv:2407.06280)."""

REDROCK_ERROR = WIDE_ERROR
"""Error of a redrock velocity of a star, km/s; ZERR does not include template errors. Also the
error of an RVS velocity with a warning, or whose own error is unknown or larger."""

_FILLERS = (999.0, 999.9, 999.99)  # km/s, of either sign; larger fillers exceed MAX_VRAD

_SKY = (("target_ra", "target_dec"),)

Table = dict[str, np.ndarray]


@dataclass(frozen=True)
class Tables:
    """The files with velocities.

    catalog : the RVS catalogue. redshifts : redrock files. columns : names of ``RVS_NAMES`` ->
        names in the catalogue.
    """

    catalog: Path | None = None
    redshifts: tuple[Path, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Velocities:
    """Velocity, warnings and further columns of each target.

    vrad, vrad_err : [star], km/s; NaN if missing or beyond ``MAX_VRAD``.
    warn : [star] int64, NO_CATALOG_ROW, BAD_RV, RV_WARN, NOT_STAR and DOUBLED_ROW.
    columns : name -> [star]: SPECTYPE; SUBTYPE and ZWARN of redrock (-1 without a row); PRIMARY,
        RVS_WARN (-1 without a row), signal to noise, and further columns of the RVS catalogue.
    """

    vrad: np.ndarray
    vrad_err: np.ndarray
    warn: np.ndarray
    columns: Table


def find_velocities(columns: Table, tables: Tables) -> Velocities:
    """Velocities of the targets in ``columns`` (TARGETID, the group of each coadd, and more).

    A row whose position is over 2 arcsec from the spectrum's, after proper motion, belongs to
    another star and is not used; an InputWarning has the number of such spectra.

    Raises BadFileError for tables that cannot be read or lack a needed column.
    """
    count = len(columns["TARGETID"])
    vrad, error = np.full(count, np.nan), np.full(count, np.nan)
    found, doubled = np.zeros(count, bool), np.zeros(count, bool)
    spectype, doubtful = np.full(count, "", "<U20"), np.zeros(count, bool)
    more: Table = {}
    if tables.redshifts:
        table = read_redrock(tables.redshifts)
        match = _join(columns, table, str(tables.redshifts[0]))
        hit, at = match.found, match.row[match.found]
        vrad[hit] = redshift_velocity(table["Z"][at])
        error[hit] = REDROCK_ERROR
        spectype[hit] = table["SPECTYPE"][at]
        more["SUBTYPE"], more["ZWARN"] = np.full(count, "", "<U20"), np.full(count, -1)
        more["SUBTYPE"][hit], more["ZWARN"][hit] = table["SUBTYPE"][at], table["ZWARN"][at]
        doubtful[hit] = table["DOUBTFUL"][at]
        found, doubled = found | hit, doubled | match.doubled
    if tables.catalog is not None:
        table, fibermap, gaia = read_rvs(tables.catalog, columns["TARGETID"], tables.columns)
        match = _join(columns, table, str(tables.catalog))
        hit, at = match.found, match.row[match.found]
        filler = np.isin(np.round(np.abs(table["VRAD"][at]), 2), _FILLERS)
        vrad[hit] = np.where(table["SUCCESS"][at] & ~filler, table["VRAD"][at], np.nan)
        spread = table["VRAD_ERR"][at]
        known = (spread > 0) & (spread < REDROCK_ERROR)  # False for NaN
        doubtful[hit] = ~known | (table.get("RVS_WARN", np.zeros_like(table["TARGETID"]))[at] != 0)
        error[hit] = np.where(doubtful[hit], REDROCK_ERROR, np.maximum(spread, RVS_FLOOR))
        kind = table["RR_SPECTYPE"][at]
        spectype[hit] = np.where(kind == "", spectype[hit], kind)
        same = match.exact & (columns.get("EXPID", np.full(count, -1)) < 0)
        more |= _of_row(table, hit, at, same=same)
        fibermap, gaia = ({n: v[at] for n, v in part.items()} for part in (fibermap, gaia))
        more |= filled(columns, fibermap, gaia, found=hit)
        found, doubled = found | hit, doubled | match.doubled
    believable = np.isfinite(error) & (np.abs(vrad) <= MAX_VRAD)  # False for NaN
    warn = np.where(found, 0, int(WARN.NO_CATALOG_ROW))
    warn |= np.where(found & ~believable, int(WARN.BAD_RV), 0)
    warn |= np.where(found & believable & doubtful, int(WARN.RV_WARN), 0)
    warn |= np.where((spectype != "") & (spectype != "STAR"), int(WARN.NOT_STAR), 0)
    warn |= np.where(doubled, int(WARN.DOUBLED_ROW), 0)
    return Velocities(
        vrad=np.where(believable, vrad, np.nan),
        vrad_err=np.where(believable, error, np.nan),
        warn=warn,
        columns={"SPECTYPE": spectype} | more,
    )


def _join(columns: Table, table: Table, source: str) -> Match:
    """The rows of the spectra; emits a warning for a TARGETID at another position."""
    small = {name.lower(): values for name, values in columns.items()}
    ours = positions_of(small, _SKY, where="FIBERMAP")
    theirs = positions_of(table, _SKY, where=source)
    both = None if ours is None or theirs is None else (ours, theirs)
    match = join(_keys(columns), table, both)
    if match.elsewhere.any():
        first = columns["TARGETID"][match.elsewhere][0]
        warnings.warn(
            f"{source}: {match.elsewhere.sum()} spectra have a TARGETID that is listed at "
            f"another position (over {SAME_POSITION:g} arcsec away) or at several, the first "
            f"{first}. They get no velocity from it. Correct the positions, or leave these stars "
            "out.",
            InputWarning,
            stacklevel=2,
        )
    return match


def _keys(columns: Table) -> Table:
    """The columns of the join; TILEID of an exposure in a healpix file is -1, as of its coadd."""
    keys = {name: columns[name] for name in ("TARGETID", *GROUP)}
    return keys | {"TILEID": np.where(keys["HEALPIX"] >= 0, -1, keys["TILEID"])}


def _of_row(table: Table, hit: np.ndarray, at: np.ndarray, *, same: np.ndarray) -> Table:
    """PRIMARY, RVS_WARN and signal to noise of the rows, if the catalogue has them.

    Signal to noise is NaN unless the row is of the ``same`` coadd, [star] bool, as the spectrum.
    """
    columns: Table = {"RVS_WARN": np.full(len(hit), -1)}
    columns["RVS_WARN"][hit] = table.get("RVS_WARN", np.zeros(len(table["TARGETID"]), int))[at]
    if "PRIMARY" in table:
        columns["PRIMARY"] = np.zeros(len(hit), bool)
        columns["PRIMARY"][hit] = table["PRIMARY"][at]
    for name in ("SN_B", "SN_R", "SN_Z"):
        if name in table:
            columns[name] = np.full(len(hit), np.nan)
            columns[name][hit] = table[name][at]
            columns[name][~same] = np.nan
    return columns
