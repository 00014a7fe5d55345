"""The columns of the catalogue: names, units, UCDs and descriptions in the table ``COLUMNS``.

A new column needs a row here and its values in ``table._values``. The scope of a row is ``input``
for a column from the reader, ``label`` for one column per label, ``limit`` for one per label that
can be undetected, ``arm`` for one per arm, ``sampled`` for a diagnostic of the sampler, and empty
otherwise.
"""

import numpy as np
from astropy.table import Column as TableColumn

from bayes_ddp.tables.columns import Column

__all__ = ["COLUMNS", "column_of", "table_column"]


def _input(name: str, ucd: str, description: str, *, dtype: str = "f8", unit: str = "") -> Column:
    return Column(name, unit, dtype, ucd=ucd, description=description, scope="input")


def _label(
    name: str, ucd: str, description: str, *, unit: str = "{unit}", scope: str = "label"
) -> Column:
    return Column(name, unit, ucd=ucd, description=description, scope=scope)


def _sampled(name: str, description: str) -> Column:
    return Column(name, ucd="stat.fit.goodness", description=description, scope="sampled")


_IDENTIFIERS = (
    _input("TARGETID", "meta.id;meta.main", "DESI target identifier", dtype="i8"),
    _input("OBSID", "meta.id;meta.main", "LAMOST observation, -1 if unknown", dtype="i8"),
    _input("SPECID", "meta.id", "identifier of the spectrum; its draws have it", dtype="U"),
    _input("NAME", "meta.id;meta.main", "name of the star in its table", dtype="U"),
    _input("SURVEY", "meta.id", "part of the survey", dtype="U"),
    _input("PROGRAM", "meta.id", "program of the survey", dtype="U"),
    _input("HEALPIX", "pos.healpix", "HEALPix pixel of the file", dtype="i8"),
    _input("TILEID", "meta.id", "tile of the coadd or exposure, -1 if none", dtype="i8"),
    _input("NIGHT", "time.epoch", "night of the exposure, YYYYMMDD, else -1", dtype="i8"),
    _input("EXPID", "meta.id;obs.exposure", "exposure, -1 for a coadd", dtype="i8"),
    _input("PETAL_LOC", "meta.id;instr", "petal, 0 to 9, -1 if unknown", dtype="i8"),
    _input("FIBER", "meta.id;instr", "fibre, 0 to 4999, -1 if unknown", dtype="i8"),
    _input("SRCFILE", "meta.id;meta.file", "name of the input file", dtype="U"),
)

_TARGETING = (
    _input("TARGET_RA", "pos.eq.ra;meta.main", "right ascension, J2000", unit="deg"),
    _input("TARGET_DEC", "pos.eq.dec;meta.main", "declination, J2000", unit="deg"),
    _input("REF_EPOCH", "time.epoch", "epoch of TARGET_RA and TARGET_DEC", unit="yr"),
    _input("SPECTYPE", "src.class", "spectral type given by the survey", dtype="U"),
    _input("SUBCLASS", "src.spType", "subtype given by the survey", dtype="U"),
    _input("SUBTYPE", "src.spType", "redrock template of that type", dtype="U"),
    _input("ZWARN", "meta.code.qual", "redrock warnings, -1 without a row", dtype="i8"),
    _input("EBV", "phot.color.excess", "E(B-V) given by the survey", unit="mag"),
    _input("COADD_FIBERSTATUS", "meta.code.qual", "fibre flags of the survey", dtype="i8"),
    _input(
        "RVS_WARN",
        "meta.code.qual",
        "flags of the velocity catalogue, -1 without a row",
        dtype="i8",
    ),
    _input(
        "PRIMARY",
        "meta.code",
        "the velocity catalogue's row is its best of this target",
        dtype="bool",
    ),
    *(
        _input(
            f"{part}MWS_TARGET",
            "meta.code",
            f"Milky Way Survey target bits{of}, 0 if none",
            dtype="i8",
        )
        for part, of in (("", ""), ("SV1_", " of SV1"), ("SV2_", " of SV2"), ("SV3_", " of SV3"))
    ),
)

_ASTROMETRY = (
    _input("SOURCE_ID", "meta.id.cross", "Gaia source, -1 if unknown", dtype="i8"),
    _input(
        "REF_CAT",
        "meta.id;meta.dataset",
        "origin of SOURCE_ID and astrometry: G2 Gaia DR2, G3 DR3",
        dtype="U",
    ),
    *(
        _input(f"{name}{end}", f"{stat}{ucd}", f"{text}{more}", unit=unit)
        for name, unit, ucd, text in (
            ("PARALLAX", "mas", "pos.parallax", "parallax"),
            ("PMRA", "mas/yr", "pos.pm;pos.eq.ra", "proper motion in RA times cos(Dec)"),
            ("PMDEC", "mas/yr", "pos.pm;pos.eq.dec", "proper motion in Dec"),
        )
        for end, stat, more in (("", "", ""), ("_ERROR", "stat.error;", ", standard error"))
    ),
)

_PHOTOMETRY = (
    *(
        _input(
            f"FLUX_{band}",
            "phot.flux;em.opt",
            f"Legacy Surveys flux in {band.lower()}, nanomaggies, not dereddened",
        )
        for band in "GRZ"
    ),
    *(
        _input(
            f"FLUX_IVAR_{band}",
            "stat.weight;phot.flux;em.opt",
            f"inverse variance of FLUX_{band}, 1 / nanomaggies squared",
        )
        for band in "GRZ"
    ),
    *(
        _input(f"SN_{band}", "stat.snr", f"signal to noise in {band.lower()}, survey")
        for band in "BUGRIZ"
    ),
)

_LABELS = (
    _label("{label}", "{ucd}", "{text}; NaN if undetected"),
    _label("{label}_ERR", "stat.stdev;{ucd}", "standard deviation"),
    _label(
        "{label}_SYS",
        "stat.error.sys;{ucd}",
        "error of network and physics in such stars, not in _ERR",
    ),
    _label(
        "{label}_CRB",
        "stat.stdev;{ucd}",
        "Cramer-Rao bound of this spectrum without any prior of labels",
    ),
    _label("{label}_P16", "stat.value;{ucd}", "16 % quantile"),
    _label("{label}_P50", "stat.value;{ucd}", "median"),
    _label("{label}_P84", "stat.value;{ucd}", "84 % quantile"),
    _label(
        "{label}_INFO",
        "stat.value;{ucd}",
        "1 - variance of posterior / variance of prior",
        unit="",
    ),
    _label(
        "{label}_UL95",
        "stat.value;{ucd}",
        "95 % quantile, the limit where the flag is 1",
        scope="limit",
    ),
    Column(
        "{label}_FLAG",
        "",
        "u1",
        ucd="meta.code;{ucd}",
        description="0 detected, 1 upper limit, 2 prior, 3 out of range, 255 no fit",
        scope="limit",
    ),
    Column(
        "LABEL_MEAN",
        ucd="stat.value;stat.mean",
        description="posterior means, detected or not, as in LABEL01, LABEL02...",
    ),
    Column(
        "LABEL_COV",
        ucd="stat.covariance",
        description="lower triangle, row by row, labels as in LABEL01, LABEL02...",
    ),
    Column(
        "LABEL_MODE",
        ucd="stat.value",
        description="best fit, labels as in LABEL01, LABEL02...",
    ),
    Column(
        "PRIOR_MEAN",
        ucd="stat.value;stat.mean",
        description="mean of the prior at TEFF, LOGG, FEH of the star",
    ),
    Column(
        "PRIOR_COV",
        ucd="stat.covariance",
        description="covariance of that prior, packed as LABEL_COV",
    ),
)

_FIT = (
    Column("CHI2", ucd="stat.fit.chi2", description="chi2 at the best fit"),
    Column("NPIX", "", "i4", ucd="meta.number", description="pixels in the fit"),
    Column(
        "NPIX_OUT", "", "i4", ucd="meta.number", description="outlying pixels left out of the fit"
    ),
    Column("CHI2_RED", ucd="stat.fit.chi2", description="CHI2 / NPIX"),
    Column(
        "SNR_{arm}",
        ucd="stat.snr",
        description="median flux * sqrt(ivar), arm {arm}",
        scope="arm",
    ),
    Column(
        "VRAD_IN", "km/s", ucd="spect.dopplerVeloc.opt", description="velocity from the survey"
    ),
    Column(
        "VRAD_FIT",
        "km/s",
        ucd="spect.dopplerVeloc.opt",
        description="velocity fitted with the labels",
    ),
    Column(
        "VRAD_ERR",
        "km/s",
        ucd="stat.stdev;spect.dopplerVeloc.opt",
        description="error of VRAD_FIT: of the fit, and the survey's calibration floor",
    ),
    Column(
        "LSF_{arm}",
        ucd="instr.det.psf",
        description="fitted factor on the LSF, arm {arm}",
        scope="arm",
    ),
    _sampled("RHAT_MAX", "largest R-hat of a label; NaN if no chains ran"),
    _sampled("ESS_MIN", "least effective number of draws of a label"),
    _sampled("PARETO_K", "Pareto k of importance weights; above 0.5 chains took over"),
    Column(
        "DIVERGENCES",
        "",
        "i4",
        ucd="meta.number",
        description="divergent transitions",
        scope="sampled",
    ),
    Column(
        "WARN",
        "",
        "i8",
        ucd="meta.code.qual",
        description="warning bits, see WARNB00, WARNB01...",
    ),
)

COLUMNS = (*_IDENTIFIERS, *_TARGETING, *_ASTROMETRY, *_PHOTOMETRY, *_LABELS, *_FIT)
"""Every column that is not the user's own, in the order of the file."""


def table_column(column: Column, values: np.ndarray) -> TableColumn:
    """The values as a column of an Astropy table, the UCD in its ``meta``."""
    return TableColumn(
        values,
        column.name,
        unit=column.unit or None,
        description=column.description or None,
        meta={"ucd": column.ucd},
    )


def column_of(values: TableColumn) -> Column:
    """The record of a column of an Astropy table, the inverse of ``table_column``."""
    return Column(
        values.name,
        str(values.unit or ""),
        values.dtype.str[1:],
        ucd=values.meta.get("ucd", ""),
        description=values.description or "",
    )
