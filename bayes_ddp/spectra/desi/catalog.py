"""Tables of DESI velocities: RVS catalogues (one healpix or the whole survey) and redrock files.

The catalogue of the Milky Way Survey, mwsall-pix-*.fits, has the extensions RVTAB, SPTAB,
FIBERMAP, SCORES and GAIA, row by row the same targets (arXiv:2407.06280). That is checked, because
a shifted extension would give each star another star's parallax. Of its gigabyte only the columns
that are needed are read, and of these only the rows of the targets at hand are kept.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from bayes_ddp.files.errors import BadFileError
from bayes_ddp.files.fits import FitsFile, open_fits
from bayes_ddp.files.paths import check_file
from bayes_ddp.spectra.desi.columns import FIBERMAP, GAIA
from bayes_ddp.spectra.desi.join import GROUP

__all__ = ["coadd_group", "read_redrock", "read_rvs"]

Table = dict[str, np.ndarray]

_RVS = (
    "VRAD",
    "VRAD_ERR",
    "RR_SPECTYPE",
    "SUCCESS",
    "RVS_WARN",
    "SN_B",
    "SN_R",
    "SN_Z",
    "PRIMARY",
)
_REDROCK = ("TARGETID", "Z", "SPECTYPE", "SUBTYPE", "ZWARN")
_MATCHED = ("SPTAB", "FIBERMAP", "SCORES", "GAIA")


def coadd_group(file: FitsFile) -> dict[str, Any]:
    """SURVEY, PROGRAM, HEALPIX and TILEID of a file; '' and -1 where it does not say.

    They stand in the primary header; the tile also in the FIBERMAP. Where the header has a
    healpix, tiles are no part of the group: the coadd goes over all of them.
    """
    header = file.header(0)
    by_healpix = str(header.get("SPGRP", "")).strip().lower() == "healpix"
    pixel = _whole(header.get("HPXPIXEL", header.get("SPGRPVAL") if by_healpix else None))
    tile = _whole(header.get("TILEID"))
    if pixel < 0 and tile < 0 and "FIBERMAP" in file:
        tiles = np.unique(file.table("FIBERMAP", ("TILEID",)).get("TILEID", np.zeros(0)))
        tile = int(tiles[0]) if len(tiles) == 1 else -1
    return {
        "SURVEY": str(header.get("SURVEY", "")).strip(),
        "PROGRAM": str(header.get("PROGRAM", "")).strip(),
        "HEALPIX": pixel,
        "TILEID": tile if pixel < 0 else -1,
    }


def read_redrock(paths: Sequence[Path]) -> Table:
    """Redrock rows of all files, each with the group its file is of.

    Raises BadFileError for files that cannot be read or lack TARGETID, Z or SPECTYPE.
    """
    return _redshifts(tuple(paths), tuple(_stamp(path) for path in paths))


@lru_cache(maxsize=1)
def _redshifts(paths: tuple[Path, ...], stamps: tuple[tuple[int, int], ...]) -> Table:
    """``read_redrock``, kept for the next file of the run."""
    parts = []
    for path in paths:
        with open_fits(path, edited=True) as file:
            table = file.table("REDSHIFTS", _REDROCK)
            _require(path, "REDSHIFTS", table, names=("TARGETID", "Z", "SPECTYPE"))
            group = coadd_group(file)
        count = len(table["TARGETID"])
        parts.append(
            {
                "TARGETID": table["TARGETID"].astype(np.int64),
                "Z": table["Z"].astype(float),
                "SPECTYPE": table["SPECTYPE"].astype("<U20"),
                "SUBTYPE": table.get("SUBTYPE", np.full(count, "")).astype("<U20"),
                "ZWARN": table.get("ZWARN", np.full(count, -1)).astype(np.int64),
                **{name: np.full(count, value) for name, value in group.items()},
            }
        )
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def read_rvs(path: Path, targets: np.ndarray) -> tuple[Table, Table, Table]:
    """(velocities, FIBERMAP, GAIA) of those rows of a catalogue that are of our targets.

    Parameters
    ----------
    path
        FITS file whose table RVTAB (or the first one) has TARGETID, VRAD and VRAD_ERR.
    targets : [star] int64, TARGETID.

    Returns
    -------
    Tables of [row], the same rows; the second and third are empty where the file has no such
    extension. Columns that RVTAB lacks are filled with what says nothing, but those of ``GROUP``,
    PRIMARY, RVS_WARN and SN_B, SN_R, SN_Z, which are left out.

    Raises BadFileError for a file that cannot be read, lacks a needed column, or whose extensions
    are not row-matched.
    """
    tables = _catalogue(path, _stamp(path))
    rows = np.flatnonzero(np.isin(tables[0]["TARGETID"], targets))
    table, fibermap, gaia = ({n: v[rows] for n, v in part.items()} for part in tables)
    count = len(rows)
    table["RR_SPECTYPE"] = table.get("RR_SPECTYPE", np.full(count, "")).astype("<U20")
    table["SUCCESS"] = table.get("SUCCESS", np.ones(count, bool)).astype(bool)
    return table, fibermap, gaia


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of a file: it is read again where they changed."""
    status = check_file(path).stat()
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=1)
def _catalogue(path: Path, stamp: tuple[int, int]) -> tuple[Table, Table, Table]:
    """The needed columns of all rows of a catalogue, as ``read_rvs`` gives them.

    They are kept for the next file of the run: a survey's catalogue is read and checked once.
    """
    with open_fits(path, edited=True) as file:
        hdu = "RVTAB" if "RVTAB" in file else min(1, len(file.names) - 1)
        every = file.table(hdu, ("TARGETID",))
        _require(path, hdu, every, names=("TARGETID",))
        identifier = every["TARGETID"].astype(np.int64)
        extensions = _row_matched(file, identifier) if hdu == "RVTAB" else ()
        table = file.table(hdu, (*GROUP, *_RVS))
        _require(path, hdu, table, names=("VRAD", "VRAD_ERR"))
        fibermap, gaia = {}, {}
        if "FIBERMAP" in extensions:
            names = (n for row in FIBERMAP if not row.own for n in row.sources or (row.name,))
            fibermap = file.table("FIBERMAP", ("REF_ID", "REF_CAT", *names))
            fibermap["TARGETID"] = identifier
        if "GAIA" in extensions:
            gaia = file.table("GAIA", ("SOURCE_ID", *GAIA))
    return table | {"TARGETID": identifier}, fibermap, gaia


def _row_matched(file: FitsFile, identifier: np.ndarray) -> tuple[str, ...]:
    """Names of the extensions beside RVTAB; raises BadFileError if one is not of the same rows."""
    present = tuple(name for name in _MATCHED if name in file)
    for name in present:
        length = int(file.header(name)["NAXIS2"])
        if length != len(identifier):
            raise BadFileError(
                f"{file.path}, HDU {name} has {length} rows, but RVTAB has {len(identifier)}; "
                "they should be the same targets row by row. Fetch the file again."
            )
        theirs = file.table(name, ("TARGETID",)).get("TARGETID", identifier)  # GAIA has none
        wrong = np.flatnonzero(theirs != identifier)
        if len(wrong):
            raise BadFileError(
                f"{file.path}, HDU {name}: row {wrong[0]} is TARGETID {theirs[wrong[0]]}, but "
                f"RVTAB has {identifier[wrong[0]]} there (and {len(wrong) - 1} more rows differ). "
                "Fetch the file again."
            )
    return present


def _require(path: Path, hdu: str | int, table: Table, *, names: tuple[str, ...]) -> None:
    missing = [name for name in names if name not in table]
    if missing:
        raise BadFileError(
            f"{path}, HDU {hdu} has no column {missing}; it identifies the star or gives its "
            "velocity. Give the RVS catalogue (RVTAB) or redrock file (REDSHIFTS) of the spectra."
        )


def _whole(value: Any) -> int:
    """A card's value as an integer; -1 where it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else -1
