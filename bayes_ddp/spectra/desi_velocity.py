"""Velocity and spectral type of each DESI target, from an RVS catalogue or from redrock files.

Rows are joined by TARGETID together with SURVEY, PROGRAM, HEALPIX and TILEID as far as both sides
have them: one target can have several coadds. Where the catalogue has no row, redrock's stands in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bayes_ddp.flags import WARN
from bayes_ddp.spectra.files import BadFileError, FitsFile, open_fits
from bayes_ddp.spectra.masks import MAX_VRAD, redshift_velocity

__all__ = ["Velocities", "coadd_group", "find_velocities"]

RVS_FLOOR = 1.0
"""Smallest error of an RVS velocity, km/s (arXiv:2407.06280)."""

REDROCK_ERROR = 30.0
"""Error of a redrock velocity of a star, km/s; its own ZERR leaves the templates out."""

_GROUP = ("SURVEY", "PROGRAM", "HEALPIX", "TILEID")
_RVS = ("VRAD", "VRAD_ERR", "RR_SPECTYPE", "SUCCESS", "RVS_WARN")


@dataclass(frozen=True)
class Velocities:
    """What is known of the motion of each target.

    vrad, vrad_err : [star], km/s; NaN where missing or unbelievable.
    warn : [star] int64, NO_CATALOG_ROW, BAD_RV and NOT_STAR.
    columns : SPECTYPE, and RVS_WARN (-1 without a row) where there is an RVS catalogue.
    """

    vrad: np.ndarray
    vrad_err: np.ndarray
    warn: np.ndarray
    columns: dict[str, np.ndarray]


def coadd_group(file: FitsFile) -> dict[str, Any]:
    """SURVEY, PROGRAM, HEALPIX and TILEID of a file; '' and -1 where its header has none."""
    header = file.header(0)
    fallback = header.get("SPGRPVAL", -1) if header.get("SPGRP") == "healpix" else -1
    return {
        "SURVEY": str(header.get("SURVEY", "")).strip(),
        "PROGRAM": str(header.get("PROGRAM", "")).strip(),
        "HEALPIX": int(header.get("HPXPIXEL", fallback)),
        "TILEID": int(header.get("TILEID", -1)),
    }


def find_velocities(
    columns: dict[str, np.ndarray], catalog: Path | None, redshifts: Sequence[Path]
) -> Velocities:
    """Velocities of the targets in ``columns`` (TARGETID and the group of each coadd).

    Raises BadFileError for tables that cannot be read or lack a needed column.
    """
    count = len(columns["TARGETID"])
    vrad, error = np.full(count, np.nan), np.full(count, np.nan)
    found, more = np.zeros(count, bool), {}
    spectype = np.full(count, "", "<U20")
    if redshifts:
        table = _read_redrock(redshifts)
        hit, at = _join(columns, table)
        vrad[hit] = redshift_velocity(table["Z"][at])
        error[hit] = REDROCK_ERROR
        spectype[hit] = table["SPECTYPE"][at]
        found |= hit
    if catalog is not None:
        table = _read_rvs(catalog)
        hit, at = _join(columns, table)
        vrad[hit] = np.where(table["SUCCESS"][at], table["VRAD"][at], np.nan)
        error[hit] = np.maximum(table["VRAD_ERR"][at], RVS_FLOOR)
        kind = table["RR_SPECTYPE"][at]
        spectype[hit] = np.where(kind == "", spectype[hit], kind)
        more["RVS_WARN"] = np.full(count, -1)
        more["RVS_WARN"][hit] = table["RVS_WARN"][at]
        found |= hit
    believable = np.isfinite(error) & (np.abs(vrad) <= MAX_VRAD)  # False for NaN
    warn = np.where(found, 0, int(WARN.NO_CATALOG_ROW))
    warn |= np.where(found & ~believable, int(WARN.BAD_RV), 0)
    warn |= np.where((spectype != "") & (spectype != "STAR"), int(WARN.NOT_STAR), 0)
    return Velocities(
        vrad=np.where(believable, vrad, np.nan),
        vrad_err=np.where(believable, error, np.nan),
        warn=warn,
        columns={"SPECTYPE": spectype} | more,
    )


def _read_redrock(paths: Sequence[Path]) -> dict[str, np.ndarray]:
    """Redrock rows of all files, each with the group its file is of."""
    names, parts = ("TARGETID", "Z", "SPECTYPE"), []
    for path in paths:
        with open_fits(path) as file:
            table = file.table("REDSHIFTS", names)
            _require(path, "REDSHIFTS", table, names)
            count = len(table["TARGETID"])
            parts.append(table | {k: np.full(count, v) for k, v in coadd_group(file).items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _read_rvs(path: Path) -> dict[str, np.ndarray]:
    """The velocity catalogue; columns it lacks are filled with what says nothing."""
    with open_fits(path) as file:
        hdu = "RVTAB" if "RVTAB" in file else min(1, len(file.names) - 1)
        table = file.table(hdu, ("TARGETID", *_GROUP, *_RVS))
    _require(path, hdu, table, ("TARGETID", "VRAD", "VRAD_ERR"))
    count = len(table["TARGETID"])
    defaults = {
        "RR_SPECTYPE": np.full(count, ""),
        "SUCCESS": np.ones(count, bool),
        "RVS_WARN": np.zeros(count, int),
    }
    return defaults | table


def _require(path: Path, hdu: str | int, table: dict, names: tuple[str, ...]) -> None:
    missing = [name for name in names if name not in table]
    if missing:
        raise BadFileError(
            f"{path}, HDU {hdu} has no column {missing}; it identifies the star or gives its "
            "velocity. Give the RVS catalogue (RVTAB) or redrock file (REDSHIFTS) of the spectra."
        )


def _join(columns: dict, table: dict) -> tuple[np.ndarray, np.ndarray]:
    """[star] bool, which targets have a row in ``table``; and the row of each that has.

    The first of repeated rows counts. Coadds of a tile, which belong to no healpix, match by
    TARGETID alone in a table that is not ordered by tile.
    """
    names = [name for name in _GROUP if name in table]
    by_target = "TILEID" not in names
    row: dict[tuple, int] = {}
    for i, key in enumerate(_keys(table, names)):
        row.setdefault(key, i)
        row.setdefault((key[0], None), i)
    found = []
    for key, pixel in zip(_keys(columns, names), columns["HEALPIX"].tolist(), strict=True):
        found.append(row.get((key[0], None) if by_target and pixel < 0 else key, -1))
    at = np.array(found, int)
    return at >= 0, at[at >= 0]


def _keys(table: dict, names: list[str]) -> list[tuple]:
    parts = [np.asarray(table[name]).tolist() for name in ("TARGETID", *names)]
    return list(zip(*parts, strict=True))
