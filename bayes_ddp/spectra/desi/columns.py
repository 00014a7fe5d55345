"""Columns of DESI tables about a target, converted to the same names and types for all releases.

Files of different releases have different columns. A missing column is NaN, -1 or ''; a missing
bit mask is 0, since the target was not selected. Numbers that mark unknown values in DESI tables
(proper motions of exactly zero, fluxes of 0 or -99) become NaN.
"""

from dataclasses import dataclass

import numpy as np

from bayes_ddp.tables.values import UNKNOWN_ID, identifiers, real, truth, whole

__all__ = ["FIBERMAP", "FIBERMAP_NAMES", "GAIA", "align", "cleaned", "filled", "passed_columns"]

Table = dict[str, np.ndarray]


@dataclass(frozen=True)
class PassedColumn:
    """One column of FIBERMAP that is copied to the output.

    default : value if a file lacks it; it also sets the type of the column.
    sources : names in files, best first; by default its own name.
    always : in every output, else only if a file has it.
    own : describes this spectrum; the other columns describe its target.
    """

    name: str
    default: float | int
    sources: tuple[str, ...] = ()
    always: bool = False
    own: bool = False

    def of(self, table: Table) -> np.ndarray | None:
        """[row], its values in ``table`` as float64 or int64; None if there are none."""
        for name in self.sources or (self.name,):
            if name in table:
                kind = float if isinstance(self.default, float) else np.int64
                return table[name].astype(kind)
        return None


_NAN = float("nan")
FIBERMAP = (
    PassedColumn("NIGHT", -1, own=True),
    PassedColumn("EXPID", -1, own=True),
    PassedColumn("PETAL_LOC", -1, own=True),
    PassedColumn("FIBER", -1, own=True),
    PassedColumn("TARGET_RA", _NAN, ("TARGET_RA", "MEAN_FIBER_RA", "FIBER_RA"), always=True),
    PassedColumn("TARGET_DEC", _NAN, ("TARGET_DEC", "MEAN_FIBER_DEC", "FIBER_DEC"), always=True),
    PassedColumn("REF_EPOCH", _NAN, always=True),
    PassedColumn(
        "COADD_FIBERSTATUS", 0, ("COADD_FIBERSTATUS", "FIBERSTATUS"), always=True, own=True
    ),
    PassedColumn("EBV", _NAN, always=True),
    PassedColumn("MWS_TARGET", 0, always=True),
    PassedColumn("SV1_MWS_TARGET", 0),
    PassedColumn("SV2_MWS_TARGET", 0),
    PassedColumn("SV3_MWS_TARGET", 0),
    *(PassedColumn(f"FLUX_{band}", _NAN) for band in "GRZ"),
    *(PassedColumn(f"FLUX_IVAR_{band}", _NAN) for band in "GRZ"),
    PassedColumn("PARALLAX", _NAN),
    PassedColumn("PMRA", _NAN),
    PassedColumn("PMDEC", _NAN),
)
"""Columns of FIBERMAP, except TARGETID, TILEID, OBJTYPE, REF_ID and REF_CAT."""

MISSING = {row.name: row.default for row in FIBERMAP}
"""Column -> value if a file does not have it."""

GAIA = ("PARALLAX", "PARALLAX_ERROR", "PMRA", "PMRA_ERROR", "PMDEC", "PMDEC_ERROR")
"""Columns of the extension GAIA besides SOURCE_ID."""

FIBERMAP_NAMES = (
    *("TARGETID", "TILEID", "OBJTYPE", "REF_ID", "REF_CAT"),
    *(name for row in FIBERMAP for name in row.sources or (row.name,)),
)
"""Every column of a FIBERMAP that is read."""

_IDENTIFIERS = ("TARGETID", "REF_ID", "SOURCE_ID")
_FLAGS = ("SUCCESS", "PRIMARY")
_TEXTS = ("SURVEY", "PROGRAM", "SPECTYPE", "SUBTYPE", "RR_SPECTYPE", "OBJTYPE", "REF_CAT")
_WHOLE = {row.name: int(row.default) for row in FIBERMAP if isinstance(row.default, int)} | dict(
    dict.fromkeys(("HEALPIX", "TILEID", "RVS_WARN", "ZWARN"), -1),
    FIBERSTATUS=-1,
    COADD_FIBERSTATUS=-1,
)
"""Integer column -> value of an unknown cell."""

_FIRST_SOURCE = 2**32  # lower bound on Gaia source_id; fillers such as 999999 are smaller
_GAIA_CATALOGUES = ("G2", "G3", "GE")  # DR2, DR3, EDR3 in REF_CAT


def cleaned(table: Table, where: str) -> Table:
    """The same columns converted to their types.

    Identifiers, bit masks and codes are int64, flags bool, texts str and other columns float64. An
    unknown TARGETID is ``UNKNOWN_ID``, another identifier -1, a flag False and a number NaN;
    ``_WHOLE`` has the value of other integer columns. where : file and HDU in messages.

    Raises BadFileError for identifiers in floating point that may have lost digits, and for text
    in a column of numbers.
    """
    clean: Table = {}
    for name, values in table.items():
        label = f"{where}: column {name}"
        if name in _IDENTIFIERS:
            known = identifiers(values, label)
            none = UNKNOWN_ID if name == "TARGETID" else -1
            clean[name] = np.where(known == UNKNOWN_ID, none, known)
        elif name in _WHOLE:
            clean[name] = whole(values, label, unknown=_WHOLE[name])
        elif name in _FLAGS:
            clean[name] = truth(values, label)
        else:
            clean[name] = values.astype(str) if name in _TEXTS else real(values, label)
    return clean


def passed_columns(fibermap: Table) -> Table:
    """The columns of ``FIBERMAP`` that the file has or that every output has, [row].

    SOURCE_ID is REF_ID if REF_CAT is a release of Gaia, else -1.
    """
    count = len(fibermap["TARGETID"])
    found = {}
    for row in FIBERMAP:
        values = row.of(fibermap)
        if values is not None or row.always:
            found[row.name] = np.full(count, row.default) if values is None else values
    catalogue = fibermap.get("REF_CAT", np.full(count, "")).astype("<U2")
    number = fibermap.get("REF_ID", np.full(count, -1)).astype(np.int64)
    is_gaia = np.isin(catalogue, _GAIA_CATALOGUES) & (number >= _FIRST_SOURCE)
    source = {"SOURCE_ID": np.where(is_gaia, number, -1), "REF_CAT": catalogue}
    return _sensible(found) | source


def filled(ours: Table, fibermap: Table, gaia: Table, *, found: np.ndarray) -> Table:
    """Columns of our targets, completed from a catalogue.

    Parameters
    ----------
    ours : [star] columns from ``passed_columns``.
    fibermap, gaia
        [found star] rows of the extensions FIBERMAP (TARGETID and more) and GAIA; may be empty.
    found : [star] bool, which stars have a row in these tables.

    Returns
    -------
    [star] columns: our values if known, else the catalogue's. SOURCE_ID, parallax and proper
    motion with their errors are all taken from GAIA if it has the source.
    """
    result: Table = {}
    theirs = passed_columns(fibermap) if fibermap else {}
    for row in FIBERMAP:
        if row.name in theirs and not row.own:
            mine = ours.get(row.name, np.full(len(found), row.default)).copy()
            unknown = np.isnan(mine) if mine.dtype.kind == "f" else mine == row.default
            mine[unknown] = _spread(theirs[row.name], found, row.default)[unknown]
            result[row.name] = mine
    if "SOURCE_ID" in gaia:
        source = _spread(gaia["SOURCE_ID"].astype(np.int64), found, -1)
        known = source >= _FIRST_SOURCE
        result["SOURCE_ID"] = np.where(known, source, ours["SOURCE_ID"])
        result["REF_CAT"] = np.where(known, "G3", ours["REF_CAT"])
        for name in GAIA:
            if name in gaia:
                targeting = result.get(name, ours.get(name, np.full(len(found), np.nan)))
                measured = _spread(gaia[name].astype(float), found, np.nan)
                result[name] = np.where(known, measured, targeting)
    return result


def _spread(values: np.ndarray, found: np.ndarray, default: float | int) -> np.ndarray:
    """[star], ``values`` of the stars that were found and the default of the others."""
    spread = np.full(len(found), default, values.dtype)
    spread[found] = values
    return spread


def _sensible(columns: Table) -> Table:
    """The same columns with NaN for numbers that mark unknown values in DESI tables."""
    clean = dict(columns)
    motion = [name for name in ("PARALLAX", "PMRA", "PMDEC") if name in columns]
    if motion:
        unknown = np.all([columns[name] == 0 for name in motion], axis=0)
        clean |= {name: np.where(unknown, np.nan, columns[name]) for name in motion}
    for name in ("FLUX_G", "FLUX_R", "FLUX_Z"):
        if name in columns:
            flux = columns[name]
            clean[name] = np.where((flux == 0) | (flux == -99), np.nan, flux)
    for name in ("EBV", "REF_EPOCH"):
        if name in columns:
            low = 0 if name == "EBV" else 1900
            clean[name] = np.where(columns[name] >= low, columns[name], np.nan)
    return clean


def align(parts: list[Table]) -> list[Table]:
    """The same tables, each with all columns that any of them has, in one order."""
    names = list(dict.fromkeys(name for part in parts for name in part))
    return [
        {n: part[n] if n in part else np.full(len(part["TARGETID"]), MISSING[n]) for n in names}
        for part in parts
    ]
