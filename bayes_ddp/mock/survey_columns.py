"""The columns of the mock's survey catalogue, a file like DESI's ``mwsall-pix-*.fits``.

Its extensions have the same targets row by row.
"""

from collections.abc import Mapping

import numpy as np

from bayes_ddp.mock.draw import Mock
from bayes_ddp.mock.fields import (
    ASTROMETRY,
    EBV,
    FIRST_SOURCE,
    SOURCE_ID,
    TARGETID,
    Field,
    Values,
    constant,
    numbered,
    seen,
)
from bayes_ddp.mock.survey import TARGET
from bayes_ddp.tables.columns import Column

__all__ = ["CATALOGUE"]

_GROUP = {"SURVEY": "sim", "PROGRAM": "bright"}
_MWS_BITS = {TARGET.BROAD: 0, TARGET.BHB: 6, TARGET.MAIN_BLUE: 8, TARGET.MAIN_RED: 11}
_DESI_MWS_ANY = np.int64(1) << 61


def _flux(band: str) -> Values:
    return lambda mock, first: 10 ** (0.4 * (22.5 - mock.seen[f"mag_{band}"]))


def _flux_ivar(band: str) -> Values:
    def ivar(mock: Mock, first: int) -> np.ndarray:
        error = 0.4 * np.log(10) * mock.seen[f"err_{band}"] * _flux(band)(mock, first)
        return 1 / error**2

    return ivar


def _mws_target(mock: Mock, first: int) -> np.ndarray:
    target = mock.seen["target"]
    bits = [np.where(target & int(own), np.int64(1) << bit, 0) for own, bit in _MWS_BITS.items()]
    return np.bitwise_or.reduce(bits)


_HEALPIX = Field(  # rows are joined by it; positions are in TARGET_RA, TARGET_DEC
    Column("HEALPIX", "", "i4", description="one for all rows, no position"), constant(27247)
)
_SUCCESS = Field(Column("SUCCESS", "", "bool"), constant(True))
_POSITION = (
    Field(Column("TARGET_RA", "deg", description="right ascension, ICRS"), seen("ra")),
    Field(Column("TARGET_DEC", "deg", description="declination, ICRS"), seen("dec")),
)

_VELOCITIES = (
    TARGETID,
    *(Field(Column(name, "", f"S{len(text)}"), constant(text)) for name, text in _GROUP.items()),
    _HEALPIX,
    *_POSITION,
    Field(Column("VRAD", "km s-1", description="barycentric velocity, as measured"), seen("vrad")),
    Field(Column("VRAD_ERR", "km s-1"), seen("vrad_err")),
    *(
        Field(Column(f"SN_{arm}", description="median S/N per pixel"), seen(f"sn_{arm.lower()}"))
        for arm in "BRZ"
    ),
    Field(Column("RR_SPECTYPE", "", "S4"), constant("STAR")),
    Field(Column("RVS_WARN", "", "i8"), constant(0)),
    _SUCCESS,
    Field(Column("PRIMARY", "", "bool"), constant(True)),
)

_LABELS = (
    TARGETID,
    *_POSITION,
    _SUCCESS,
    Field(
        Column("TEFF", "K", description="the survey's own labels, as measured"), seen("sp_teff")
    ),
    Field(Column("LOGG"), seen("sp_logg")),
    Field(Column("FEH"), seen("sp_feh")),
    Field(Column("ALPHAFE", description="mean of Mg, Si, Ca and Ti over Fe"), seen("sp_alpha_fe")),
    Field(Column("LOG10MICRO", description="log10 of vmic in km/s"), seen("sp_log_vmic")),
    Field(
        Column(
            "COVAR", "", "25f8", description="covariance of FEH, ALPHAFE, LOG10MICRO, TEFF, LOGG"
        ),
        seen("sp_covar"),
    ),
    Field(Column("SNR_MED", description="median S/N per pixel"), seen("sn_r")),
    Field(Column("RV_ADOP", "km s-1"), seen("vrad")),
    Field(Column("RV_ERR", "km s-1"), seen("vrad_err")),
    _HEALPIX,
)

_FIBERMAP = (
    TARGETID,
    *_POSITION,
    Field(Column("COADD_FIBERSTATUS", "", "i4"), constant(0)),
    Field(Column("OBJTYPE", "", "S3"), constant("TGT")),
    EBV,
    Field(Column("DESI_TARGET", "", "i8"), constant(_DESI_MWS_ANY)),
    Field(
        Column("MWS_TARGET", "", "i8", description="bits 0 BROAD, 6 BHB, 8 BLUE, 11 RED"),
        _mws_target,
    ),
    Field(Column("REF_ID", "", "i8"), numbered(FIRST_SOURCE)),
    Field(Column("REF_CAT", "", "S2"), constant("G3")),
    Field(Column("REF_EPOCH", "yr", "f4"), constant(2016.0)),
    *(
        Field(
            Column(f"FLUX_{band.upper()}", description="nanomaggies, AB, not dereddened"),
            _flux(band),
        )
        for band in "grz"
    ),
    *(
        Field(
            Column(f"FLUX_IVAR_{band.upper()}", description="per nanomaggies squared"),
            _flux_ivar(band),
        )
        for band in "grz"
    ),
    Field(Column("PARALLAX", "mas"), seen("parallax")),
    Field(Column("PMRA", "mas yr-1"), seen("pmra")),
    Field(Column("PMDEC", "mas yr-1"), seen("pmdec")),
)

_SCORES = (
    TARGETID,
    *(
        Field(Column(f"MEDIAN_COADD_SNR_{arm}", "", "f4"), seen(f"sn_{arm.lower()}"))
        for arm in "BRZ"
    ),
)

_GAIA = (
    SOURCE_ID,
    *ASTROMETRY,
    *(
        Field(Column(f"PHOT_{band}_MEAN_MAG", "mag"), seen(f"mag_{band}"))
        for band in ("G", "BP", "RP")
    ),
)

CATALOGUE: Mapping[str, tuple[Field, ...]] = {
    "RVTAB": _VELOCITIES,
    "SPTAB": _LABELS,
    "FIBERMAP": _FIBERMAP,
    "SCORES": _SCORES,
    "GAIA": _GAIA,
}
"""Extension -> columns."""
