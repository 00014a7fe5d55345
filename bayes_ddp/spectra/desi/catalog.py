"""Tables of DESI velocities: RVS catalogues (one healpix or the whole survey) and redrock files.

The catalogue of the Milky Way Survey, mwsall-pix-*.fits, has the extensions RVTAB, SPTAB,
FIBERMAP, SCORES and GAIA, whose rows are the same targets (arXiv:2407.06280). This is checked,
because a shifted extension would assign each star the parallax of another star. Only the needed
columns of this 1 GB file are read, and only the rows of the input targets are returned.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from bayes_ddp.files.errors import BadFileError
from bayes_ddp.files.fits import FitsFile, open_fits
from bayes_ddp.files.paths import check_file
from bayes_ddp.spectra.desi.columns import FIBERMAP, GAIA, cleaned
from bayes_ddp.spectra.desi.join import GROUP
from bayes_ddp.tables.names import find_name, missing_column

__all__ = ["RVS_NAMES", "coadd_group", "read_redrock", "read_rvs"]

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
_SKY = ("TARGET_RA", "TARGET_DEC", "RA", "DEC", "PMRA", "PMDEC", "REF_EPOCH")
RVS_NAMES = ("TARGETID", *_RVS, *GROUP, *_SKY)
"""Columns of RVTAB that are read."""

_MATCHED = ("SPTAB", "FIBERMAP", "SCORES", "GAIA")


def coadd_group(file: FitsFile) -> dict[str, Any]:
    """SURVEY, PROGRAM, HEALPIX and TILEID of a file; '' and -1 if unknown.

    They are read from the primary header; the tile also from the FIBERMAP. The coadd of a healpix
    combines several tiles, so that its TILEID is -1.
    """
    header = file.header(0)
    by_healpix = str(header.get("SPGRP", "")).strip().lower() == "healpix"
    pixel = _whole(header.get("HPXPIXEL", header.get("SPGRPVAL") if by_healpix else None))
    tile = _whole(header.get("TILEID"))
    if pixel < 0 and tile < 0 and "FIBERMAP" in file:
        tiles = np.unique(_columns(file, "FIBERMAP", ("TILEID",)).get("TILEID", np.zeros(0)))
        tile = int(tiles[0]) if len(tiles) == 1 else -1
    return {
        "SURVEY": str(header.get("SURVEY", "")).strip(),
        "PROGRAM": str(header.get("PROGRAM", "")).strip(),
        "HEALPIX": pixel,
        "TILEID": tile if pixel < 0 else -1,
    }


def read_redrock(paths: Sequence[Path]) -> Table:
    """Column name -> [row] of the redrock rows of all files, with group and position if known.

    Raises BadFileError for files that cannot be read or lack TARGETID, Z or SPECTYPE.
    """
    return _redshifts(tuple(paths), tuple(_stamp(path) for path in paths))


@lru_cache(maxsize=1)
def _redshifts(paths: tuple[Path, ...], stamps: tuple[tuple[int, int], ...]) -> Table:
    """The table of ``read_redrock``, cached for the next file of the run."""
    parts = []
    for path in paths:
        with open_fits(path, edited=True) as file:
            table = _columns(file, "REDSHIFTS", _REDROCK)
            _require(file, "REDSHIFTS", table, names=("TARGETID", "Z", "SPECTYPE"))
            sky = _columns(file, "FIBERMAP", ("TARGETID", *_SKY)) if "FIBERMAP" in file else {}
            group = coadd_group(file)
        count = len(table["TARGETID"])
        aligned = np.array_equal(sky.get("TARGETID", ()), table["TARGETID"])
        parts.append(
            {
                "TARGETID": table["TARGETID"],
                "Z": table["Z"],
                "SPECTYPE": table["SPECTYPE"].astype("<U20"),
                "SUBTYPE": table.get("SUBTYPE", np.full(count, "")).astype("<U20"),
                "ZWARN": table.get("ZWARN", np.full(count, -1)),
                "DOUBTFUL": table.get("ZWARN", np.zeros(count)) != 0,
                **_position(sky if aligned else {}, count),
                **{name: np.full(count, value) for name, value in group.items()},
            }
        )
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def read_rvs(
    path: Path, targets: np.ndarray, columns: Mapping[str, str] | None = None
) -> tuple[Table, Table, Table]:
    """(velocities, FIBERMAP, GAIA) of the rows of a catalogue with our targets.

    Parameters
    ----------
    path
        FITS file whose table RVTAB (or the first one) has TARGETID, VRAD and VRAD_ERR.
    targets : [star] int64, TARGETID.
    columns
        Names of ``RVS_NAMES`` -> names in the catalogue.

    Returns
    -------
    Tables of [row], the same rows; the second and third are empty if the file has no such
    extension. If RVTAB lacks RR_SPECTYPE or SUCCESS, they are '' and True; other missing columns
    are left out. Positions are those of RVTAB, or else of FIBERMAP.

    Raises BadFileError for a file that cannot be read, lacks a needed column, or whose extensions
    are not row-matched.
    """
    tables = _catalogue(path, _stamp(path), tuple(sorted((columns or {}).items())))
    rows = np.flatnonzero(np.isin(tables[0]["TARGETID"], targets))
    table, fibermap, gaia = ({n: v[rows] for n, v in part.items()} for part in tables)
    count = len(rows)
    table["RR_SPECTYPE"] = table.get("RR_SPECTYPE", np.full(count, "")).astype("<U20")
    table["SUCCESS"] = table.get("SUCCESS", np.ones(count, bool)).astype(bool)
    return table, fibermap, gaia


def _stamp(path: Path) -> tuple[int, int]:
    """Size and modification time of a file; if they changed, the file is read again."""
    status = check_file(path).stat()
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=1)
def _catalogue(
    path: Path, stamp: tuple[int, int], columns: tuple[tuple[str, str], ...]
) -> tuple[Table, Table, Table]:
    """The needed columns of all rows of a catalogue, in the three tables of ``read_rvs``.

    They are cached for the next file of the run: a catalogue is read and checked once.
    """
    with open_fits(path, edited=True) as file:
        hdu = "RVTAB" if "RVTAB" in file else min(1, len(file.names) - 1)
        table = _columns(file, hdu, RVS_NAMES, renamed=dict(columns))
        _require(file, hdu, table, names=("TARGETID", "VRAD", "VRAD_ERR"))
        identifier = table["TARGETID"]
        extensions = _row_matched(file, identifier) if hdu == "RVTAB" else ()
        fibermap, gaia = {}, {}
        if "FIBERMAP" in extensions:
            names = (n for row in FIBERMAP if not row.own for n in row.sources or (row.name,))
            fibermap = _columns(file, "FIBERMAP", ("REF_ID", "REF_CAT", *names))
            fibermap["TARGETID"] = identifier
        if "GAIA" in extensions:
            gaia = _columns(file, "GAIA", ("SOURCE_ID", *GAIA))
    own = {"TARGET_RA", "RA"} & set(table)
    rest = {name: values for name, values in table.items() if name not in _SKY}
    return rest | _position(table if own else fibermap, len(identifier)), fibermap, gaia


def _columns(
    file: FitsFile,
    hdu: str | int,
    names: Sequence[str],
    *,
    renamed: Mapping[str, str] | None = None,
) -> Table:
    """The columns ``names`` that a table has, converted to their types (``cleaned``).

    renamed : name -> name in the table. Raises BadFileError if a renamed column is missing.
    """
    present, _ = file.columns(hdu)
    renamed = renamed or {}
    found = {name: find_name(renamed.get(name, name), present) for name in names}
    for name, column in renamed.items():
        if found.get(name) is None:
            raise missing_column(f"{file.path}, HDU {hdu}", column, present, known=names)
    sources = {name: column for name, column in found.items() if column is not None}
    table = file.table(hdu, tuple(sources.values())) if sources or not present else {}
    return cleaned(
        {name: table[column] for name, column in sources.items()}, f"{file.path}, HDU {hdu}"
    )


def _position(table: Table, count: int) -> Table:
    """Position, proper motion and epoch by lower-case name; NaN if a table lacks them."""
    found = {}
    for name, sources in (
        ("target_ra", ("TARGET_RA", "RA")),
        ("target_dec", ("TARGET_DEC", "DEC")),
        *((name.lower(), (name,)) for name in ("PMRA", "PMDEC", "REF_EPOCH")),
    ):
        source = next((one for one in sources if one in table), None)
        found[name] = table[source] if source else np.full(count, np.nan)
    return found


def _row_matched(file: FitsFile, identifier: np.ndarray) -> tuple[str, ...]:
    """Names of the extensions beside RVTAB; BadFileError if one does not have the same rows."""
    present = tuple(name for name in _MATCHED if name in file)
    for name in present:
        length = int(file.header(name)["NAXIS2"])
        if length != len(identifier):
            raise BadFileError(
                f"{file.path}, HDU {name} has {length} rows, but RVTAB has {len(identifier)}; "
                "they should be the same targets row by row. Fetch the file again."
            )
        theirs = _columns(file, name, ("TARGETID",)).get("TARGETID", identifier)  # GAIA: none
        wrong = np.flatnonzero(theirs != identifier)
        if len(wrong):
            raise BadFileError(
                f"{file.path}, HDU {name}: row {wrong[0]} is TARGETID {theirs[wrong[0]]}, but "
                f"RVTAB has {identifier[wrong[0]]} there (and {len(wrong) - 1} more rows differ). "
                "Fetch the file again."
            )
    return present


def _require(file: FitsFile, hdu: str | int, table: Table, *, names: tuple[str, ...]) -> None:
    missing = [name for name in names if name not in table]
    if missing:
        raise BadFileError(
            f"{file.path}, HDU {hdu} has no column {missing}; it identifies the star or gives its "
            "velocity. Give the RVS catalogue (RVTAB) or redrock file (REDSHIFTS) of the spectra, "
            f"or name the column with --columns {missing[0]}=COLUMN. Its columns: "
            f"{', '.join(file.columns(hdu)[0])}. Names that are read: {', '.join(RVS_NAMES)}."
        )


def _whole(value: Any) -> int:
    """A card's value as an integer; -1 if it is not one."""
    return value if isinstance(value, int) and not isinstance(value, bool) else -1
