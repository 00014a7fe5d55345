"""What DESI tables say about a target besides its spectrum, brought to one shape.

Files of different releases have different columns: what a file lacks is NaN, -1 or ''; a bit mask
that it lacks is 0, since the target was not selected then. Numbers that stand for "unknown" in
DESI tables (proper motions of exactly zero, fluxes of 0 or -99) become NaN.
"""

from dataclasses import dataclass

import numpy as np

from bayes_ddp.tables.values import UNKNOWN_ID, identifiers, real, truth, whole

__all__ = ["FIBERMAP", "FIBERMAP_NAMES", "GAIA", "align", "cleaned", "filled", "given"]

Table = dict[str, np.ndarray]


@dataclass(frozen=True)
class Given:
    """One column that is passed on.

    default : what stands where a file lacks it; its type is the column's.
    sources : names it has in files, best first; by default its own.
    always : there in every output, else only where a file has it.
    own : says something of this spectrum; the others describe its target.
    """

    name: str
    default: float | int
    sources: tuple[str, ...] = ()
    always: bool = False
    own: bool = False

    def of(self, table: Table) -> np.ndarray | None:
        """Its values in ``table`` with all their bits, or None."""
        for name in self.sources or (self.name,):
            if name in table:
                kind = float if isinstance(self.default, float) else np.int64
                return table[name].astype(kind)
        return None


_NAN = float("nan")
FIBERMAP = (
    Given("NIGHT", -1, own=True),
    Given("EXPID", -1, own=True),
    Given("PETAL_LOC", -1, own=True),
    Given("FIBER", -1, own=True),
    Given("TARGET_RA", _NAN, ("TARGET_RA", "MEAN_FIBER_RA", "FIBER_RA"), always=True),
    Given("TARGET_DEC", _NAN, ("TARGET_DEC", "MEAN_FIBER_DEC", "FIBER_DEC"), always=True),
    Given("REF_EPOCH", _NAN, always=True),
    Given("COADD_FIBERSTATUS", 0, ("COADD_FIBERSTATUS", "FIBERSTATUS"), always=True, own=True),
    Given("EBV", _NAN, always=True),
    Given("MWS_TARGET", 0, always=True),
    Given("SV1_MWS_TARGET", 0),
    Given("SV2_MWS_TARGET", 0),
    Given("SV3_MWS_TARGET", 0),
    *(Given(f"FLUX_{band}", _NAN) for band in "GRZ"),
    *(Given(f"FLUX_IVAR_{band}", _NAN) for band in "GRZ"),
    Given("PARALLAX", _NAN),
    Given("PMRA", _NAN),
    Given("PMDEC", _NAN),
)
"""Columns of FIBERMAP; TARGETID, TILEID, OBJTYPE, REF_ID and REF_CAT have rules of their own."""

MISSING = {row.name: row.default for row in FIBERMAP}
"""What stands in each of these columns where a file does not have it."""

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
"""Columns of whole numbers, and what stands where a cell is unknown."""

_FIRST_SOURCE = 2**32  # below every Gaia source identifier; fillers such as 999999 are smaller
_GAIA_CATALOGUES = ("G2", "G3", "GE")  # DR2, DR3, EDR3 in REF_CAT


def cleaned(table: Table, where: str) -> Table:
    """The same columns in the types they should have; unknown cells as the reader expects them.

    Identifiers, bit masks and codes are int64, the first ``UNKNOWN_ID`` (TARGETID) or -1 where
    unknown; flags are False there, numbers NaN. where : file and HDU in messages.

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


def given(fibermap: Table) -> Table:
    """The columns of a FIBERMAP that are passed on, as far as it has them, and those of always.

    SOURCE_ID is REF_ID where REF_CAT is a release of Gaia, else -1.
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
    """What a catalogue adds to the columns of our targets.

    Parameters
    ----------
    ours : [star] columns as ``given`` made them.
    fibermap, gaia
        [found star] rows of the extensions FIBERMAP (TARGETID and more) and GAIA; may be empty.
    found : [star] bool, which stars these rows are of.

    Returns
    -------
    [star] columns: ours where we know something, else the catalogue's; but SOURCE_ID, parallax
    and proper motion with their errors are those of GAIA together, where it has the source.
    """
    result: Table = {}
    theirs = given(fibermap) if fibermap else {}
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
    """[star], the values of the stars that were found and the default of the others."""
    spread = np.full(len(found), default, values.dtype)
    spread[found] = values
    return spread


def _sensible(columns: Table) -> Table:
    """The same columns with NaN for numbers that DESI tables write where nothing is known."""
    clean = dict(columns)
    motion = [name for name in ("PARALLAX", "PMRA", "PMDEC") if name in columns]
    if motion:
        nothing = np.all([columns[name] == 0 for name in motion], axis=0)
        clean |= {name: np.where(nothing, np.nan, columns[name]) for name in motion}
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
    """The same tables, each with every column that any of them has, in one order."""
    names = list(dict.fromkeys(name for part in parts for name in part))
    return [
        {n: part[n] if n in part else np.full(len(part["TARGETID"]), MISSING[n]) for n in names}
        for part in parts
    ]
