"""Velocity and spectral type of each DESI target, from an RVS catalogue or from redrock files.

Where the catalogue has no row, redrock's stands in. Which row is whose: ``desi_join``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bayes_ddp.flags import WARN
from bayes_ddp.spectra.desi.catalog import read_redrock, read_rvs
from bayes_ddp.spectra.desi.columns import filled
from bayes_ddp.spectra.desi.join import GROUP, join
from bayes_ddp.spectra.masks import MAX_VRAD, redshift_velocity
from bayes_ddp.spectra.velocities import WIDE_ERROR

__all__ = ["Velocities", "find_velocities"]

RVS_FLOOR = 1.0
"""Smallest error of an RVS velocity, km/s (arXiv:2407.06280)."""

REDROCK_ERROR = WIDE_ERROR
"""Error of a redrock velocity of a star, km/s; its own ZERR leaves the templates out. Also of an
RVS velocity that its pipeline warns of, or whose error is unknown or larger."""

Table = dict[str, np.ndarray]


@dataclass(frozen=True)
class Velocities:
    """What is known of the motion of each target.

    vrad, vrad_err : [star], km/s; NaN where missing or unbelievable.
    warn : [star] int64, NO_CATALOG_ROW, BAD_RV, RV_WARN, NOT_STAR and
        DOUBLED_ROW.
    columns : SPECTYPE; SUBTYPE and ZWARN of redrock (-1 without a row); PRIMARY, RVS_WARN (-1
        without a row), signal to noise, and what else the RVS catalogue knows.
    """

    vrad: np.ndarray
    vrad_err: np.ndarray
    warn: np.ndarray
    columns: Table


def find_velocities(columns: Table, catalog: Path | None, redshifts: Sequence[Path]) -> Velocities:
    """Velocities of the targets in ``columns`` (TARGETID, the group of each coadd, and more).

    Raises BadFileError for tables that cannot be read or lack a needed column.
    """
    count = len(columns["TARGETID"])
    vrad, error = np.full(count, np.nan), np.full(count, np.nan)
    found, doubled = np.zeros(count, bool), np.zeros(count, bool)
    spectype, doubtful = np.full(count, "", "<U20"), np.zeros(count, bool)
    more: Table = {}
    if redshifts:
        table = read_redrock(redshifts)
        match = join(_keys(columns), table)
        hit, at = match.found, match.row[match.found]
        vrad[hit] = redshift_velocity(table["Z"][at])
        error[hit] = REDROCK_ERROR
        spectype[hit] = table["SPECTYPE"][at]
        more["SUBTYPE"], more["ZWARN"] = np.full(count, "", "<U20"), np.full(count, -1)
        more["SUBTYPE"][hit], more["ZWARN"][hit] = table["SUBTYPE"][at], table["ZWARN"][at]
        doubtful[hit] = table["ZWARN"][at] > 0
        found, doubled = found | hit, doubled | match.doubled
    if catalog is not None:
        table, fibermap, gaia = read_rvs(catalog, columns["TARGETID"])
        match = join(_keys(columns), table)
        hit, at = match.found, match.row[match.found]
        vrad[hit] = np.where(table["SUCCESS"][at], table["VRAD"][at], np.nan)
        given = table["VRAD_ERR"][at].astype(float)
        known = (given > 0) & (given < REDROCK_ERROR)  # False for NaN
        doubtful[hit] = ~known | (table.get("RVS_WARN", np.zeros_like(table["TARGETID"]))[at] != 0)
        error[hit] = np.where(doubtful[hit], REDROCK_ERROR, np.maximum(given, RVS_FLOOR))
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


def _keys(columns: Table) -> Table:
    """What rows are joined by; an exposure of a healpix is on a tile, its coadd is on none."""
    keys = {name: columns[name] for name in ("TARGETID", *GROUP)}
    return keys | {"TILEID": np.where(keys["HEALPIX"] >= 0, -1, keys["TILEID"])}


def _of_row(table: Table, hit: np.ndarray, at: np.ndarray, *, same: np.ndarray) -> Table:
    """PRIMARY, RVS_WARN and signal to noise of the rows, as far as the catalogue has them.

    Signal to noise is only that of a spectrum where it is the ``same`` coadd and no exposure.
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
