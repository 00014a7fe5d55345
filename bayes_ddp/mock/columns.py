"""The columns of the mock's tables: FITS name, where its values are, unit, type, what it says.

FITS does not tell upper from lower case, so the magnitudes of the Legacy Surveys are LS_G, LS_R
and LS_Z beside Gaia's G.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from bayes_ddp.galaxy.light import BANDS
from bayes_ddp.galaxy.potential import ORBIT_UNITS
from bayes_ddp.labels import LABELS
from bayes_ddp.mock.components import COMPONENTS
from bayes_ddp.mock.draw import Mock
from bayes_ddp.mock.survey import LIMITS_2MASS, TARGET

__all__ = ["BAND_NAMES", "CATALOGUE", "PHOTOMETRY", "TRUTH", "Field", "band_column"]

BAND_NAMES = {"Ks": "KS", "g": "LS_G", "r": "LS_R", "z": "LS_Z"}
"""How FITS columns call bands whose own name would not do."""

_FIRST_TARGET = np.int64(39_627_000_000_000_000)
_FIRST_SOURCE = np.int64(1_000_000_000_000_000_000)
_GROUP = {"SURVEY": "sim", "PROGRAM": "bright"}
_HEALPIX = 27247  # one for all: rows are joined by it, positions are in TARGET_RA, TARGET_DEC
_MWS_BITS = {TARGET.BROAD: 0, TARGET.BHB: 6, TARGET.MAIN_BLUE: 8, TARGET.MAIN_RED: 11}
_DESI_MWS_ANY = np.int64(1) << 61


@dataclass(frozen=True)
class Field:
    """One column of a table.

    values : (stars, number of their first row) -> [star], or [star n] for a kind such as ``25f8``.
    """

    name: str
    values: Callable[[Mock, int], np.ndarray]
    kind: str = "f8"
    unit: str = ""
    text: str = ""


def band_column(band: str) -> str:
    """A band's part of a column's name.

    >>> band_column("G"), band_column("g")
    ('G', 'LS_G')
    """
    return BAND_NAMES.get(band, band)


def _seen(name: str) -> Callable[[Mock, int], np.ndarray]:
    return lambda mock, first: mock.seen[name]


def _true(name: str) -> Callable[[Mock, int], np.ndarray]:
    return lambda mock, first: mock.truth[name]


def _numbered(first_number: np.int64) -> Callable[[Mock, int], np.ndarray]:
    return lambda mock, first: first_number + first + np.arange(len(mock))


def _all(value: object) -> Callable[[Mock, int], np.ndarray]:
    return lambda mock, first: np.full(len(mock), value)


def _flux(band: str) -> Callable[[Mock, int], np.ndarray]:
    return lambda mock, first: 10 ** (0.4 * (22.5 - mock.seen[f"mag_{band}"]))


def _flux_ivar(band: str) -> Callable[[Mock, int], np.ndarray]:
    def ivar(mock: Mock, first: int) -> np.ndarray:
        error = 0.4 * np.log(10) * mock.seen[f"err_{band}"] * _flux(band)(mock, first)
        return 1 / error**2

    return ivar


def _detected(band: str) -> Callable[[Mock, int], np.ndarray]:
    return lambda mock, first: np.isfinite(mock.seen[f"mag_{band}"])


def _component(mock: Mock, first: int) -> np.ndarray:
    return np.array([c.name for c in COMPONENTS])[mock.truth["component"]]


def _mws_target(mock: Mock, first: int) -> np.ndarray:
    target = mock.seen["target"]
    bits = [np.where(target & int(own), np.int64(1) << bit, 0) for own, bit in _MWS_BITS.items()]
    return np.bitwise_or.reduce(bits)


_TARGETID = Field("TARGETID", _numbered(_FIRST_TARGET), "i8", text="identifier of the target")
_SOURCE = Field("SOURCE_ID", _numbered(_FIRST_SOURCE), "i8", text="identifier in the mock's Gaia")
_GAIA = (
    Field("PARALLAX", _seen("parallax"), unit="mas", text="parallax, without zero-point offset"),
    Field("PARALLAX_ERROR", _seen("astrometric_error"), unit="mas"),
    Field("PMRA", _seen("pmra"), unit="mas yr-1", text="proper motion in RA times cos Dec"),
    Field("PMRA_ERROR", _seen("astrometric_error"), unit="mas yr-1"),
    Field("PMDEC", _seen("pmdec"), unit="mas yr-1"),
    Field("PMDEC_ERROR", _seen("astrometric_error"), unit="mas yr-1"),
)
_PLACE = (
    Field("TARGET_RA", _seen("ra"), unit="deg", text="right ascension, ICRS"),
    Field("TARGET_DEC", _seen("dec"), unit="deg", text="declination, ICRS"),
)

CATALOGUE: Mapping[str, tuple[Field, ...]] = {
    "RVTAB": (
        _TARGETID,
        *(Field(name, _all(value), f"S{len(value)}") for name, value in _GROUP.items()),
        Field("HEALPIX", _all(_HEALPIX), "i4", text="one for all rows, no position"),
        *_PLACE,
        Field("VRAD", _seen("vrad"), unit="km s-1", text="barycentric velocity, as measured"),
        Field("VRAD_ERR", _seen("vrad_err"), unit="km s-1"),
        *(Field(f"SN_{arm}", _seen(f"sn_{arm.lower()}"), text="median S/N per pixel")
          for arm in "BRZ"),
        Field("RR_SPECTYPE", _all("STAR"), "S4"),
        Field("RVS_WARN", _all(0), "i8"),
        Field("SUCCESS", _all(True), "bool"),
        Field("PRIMARY", _all(True), "bool"),
    ),
    "SPTAB": (
        _TARGETID, *_PLACE,
        Field("SUCCESS", _all(True), "bool"),
        Field("TEFF", _seen("sp_teff"), unit="K", text="the survey's own labels, as measured"),
        Field("LOGG", _seen("sp_logg")),
        Field("FEH", _seen("sp_feh")),
        Field("ALPHAFE", _seen("sp_alpha_fe"), text="mean of Mg, Si, Ca and Ti over Fe"),
        Field("LOG10MICRO", _seen("sp_log_vmic"), text="log10 of vmic in km/s"),
        Field("COVAR", _seen("sp_covar"), "25f8",
              text="covariance of FEH, ALPHAFE, LOG10MICRO, TEFF, LOGG"),
        Field("SNR_MED", _seen("sn_r"), text="median S/N per pixel"),
        Field("RV_ADOP", _seen("vrad"), unit="km s-1"),
        Field("RV_ERR", _seen("vrad_err"), unit="km s-1"),
        Field("HEALPIX", _all(_HEALPIX), "i4", text="one for all rows, no position"),
    ),
    "FIBERMAP": (
        _TARGETID, *_PLACE,
        Field("COADD_FIBERSTATUS", _all(0), "i4"),
        Field("OBJTYPE", _all("TGT"), "S3"),
        Field("EBV", _seen("ebv"), unit="mag", text="reddening through all of the dust, mapped"),
        Field("DESI_TARGET", _all(_DESI_MWS_ANY), "i8"),
        Field("MWS_TARGET", _mws_target, "i8", text="bits 0 BROAD, 6 BHB, 8 BLUE, 11 RED"),
        Field("REF_ID", _numbered(_FIRST_SOURCE), "i8"),
        Field("REF_CAT", _all("G3"), "S2"),
        Field("REF_EPOCH", _all(2016.0), "f4", unit="yr"),
        *(Field(f"FLUX_{b.upper()}", _flux(b), text="nanomaggies, AB, not dereddened")
          for b in "grz"),
        *(Field(f"FLUX_IVAR_{b.upper()}", _flux_ivar(b), text="per nanomaggies squared")
          for b in "grz"),
        Field("PARALLAX", _seen("parallax"), unit="mas"),
        Field("PMRA", _seen("pmra"), unit="mas yr-1"),
        Field("PMDEC", _seen("pmdec"), unit="mas yr-1"),
    ),
    "SCORES": (
        _TARGETID,
        *(Field(f"MEDIAN_COADD_SNR_{arm}", _seen(f"sn_{arm.lower()}"), "f4") for arm in "BRZ"),
    ),
    "GAIA": (
        _SOURCE, *_GAIA,
        *(Field(f"PHOT_{n}_MEAN_MAG", _seen(f"mag_{n}"), "f8", "mag") for n in ("G", "BP", "RP")),
    ),
}  # fmt: skip
"""Extensions of the file like mwsall-pix-*.fits; row by row the same targets."""

PHOTOMETRY = (
    _TARGETID, _SOURCE,
    Field("RA", _seen("ra"), unit="deg", text="right ascension, ICRS"),
    Field("DEC", _seen("dec"), unit="deg", text="declination, ICRS"),
    *(Field(f"MAG_{band_column(b)}", _seen(f"mag_{b}"), unit="mag",
            text="NaN where not detected" if b in LIMITS_2MASS else "measured magnitude")
      for b in BANDS),
    *(Field(f"MAG_ERR_{band_column(b)}", _seen(f"err_{b}"), unit="mag") for b in BANDS),
    *(Field(f"DETECTED_{band_column(b)}",
            _detected(b), "bool",
            text=f"brighter than the {limit} mag of 2MASS") for b, limit in LIMITS_2MASS.items()),
    Field("EBV", _seen("ebv"), unit="mag", text="reddening through all of the dust, mapped"),
    *_GAIA,
)  # fmt: skip
"""Photometry and astrometry, as measured."""


def _place(axis: int) -> Callable[[Mock, int], np.ndarray]:
    return lambda mock, first: mock.truth["position"][:, axis]


def _speed(axis: int) -> Callable[[Mock, int], np.ndarray]:
    return lambda mock, first: mock.truth["velocity"][:, axis]


_ORBIT_TEXT = {
    "J_PHI": "angular momentum, positive along the Sun's rotation", "J_R": "radial action",
    "J_Z": "vertical action", "ENERGY": "energy per mass, 0 at infinity",
    "ECC": "eccentricity", "R_APO": "apocentre", "R_PERI": "pericentre",
    "Z_MAX": "greatest height over the plane",
}  # fmt: skip

TRUTH = (
    _TARGETID,
    Field("COMPONENT", _component, "S8", text="population the star was drawn from"),
    Field("AGE", _true("age"), unit="Gyr"),
    Field("MASS_INI", _true("mass_ini"), unit="solMass", text="mass at birth"),
    Field("MASS", _true("mass"), unit="solMass", text="mass now"),
    Field("LOG_LUM", _true("log_lum"), text="log10 of the luminosity over the Sun's"),
    Field("EEP", _true("eep"), text="equivalent evolutionary point of MIST"),
    *(Field(row.column, _true(row.name), unit="" if row.unit == "dex" else row.unit.replace(
        "km/s", "km s-1"), text=row.description) for row in LABELS),
    Field("FEH_EFF", _true("feh_eff"), text="metallicity of the isochrone"),
    Field("BINARY", lambda mock, first: mock.truth["mass_ratio"] > 0, "bool",
          text="an unresolved pair; labels are of the primary"),
    Field("MASS_RATIO", _true("mass_ratio"), text="companion over primary at birth; 0 if single"),
    *(Field(f"ABS_{band_column(b)}", _true(f"m1_{b}"), unit="mag",
            text="absolute magnitude of the primary") for b in BANDS),
    *(Field(f"ABS2_{band_column(b)}", _true(f"m2_{b}"), unit="mag",
            text="absolute magnitude of the companion, NaN if dark") for b in BANDS),
    Field("RA", _true("ra"), unit="deg"), Field("DEC", _true("dec"), unit="deg"),
    Field("L", lambda mock, first: np.degrees(mock.truth["lon"]), unit="deg"),
    Field("B", lambda mock, first: np.degrees(mock.truth["lat"]), unit="deg"),
    Field("DISTANCE", _true("distance"), unit="kpc"),
    Field("PARALLAX", _true("parallax"), unit="mas"),
    Field("PMRA", _true("pmra"), unit="mas yr-1"), Field("PMDEC", _true("pmdec"), unit="mas yr-1"),
    Field("VRAD", _true("vrad"), unit="km s-1"),
    Field("R", _place(0), unit="kpc", text="cylindrical radius"),
    Field("PHI", _place(1), unit="rad", text="0 at the Sun, along its rotation"),
    Field("Z", _place(2), unit="kpc"),
    Field("V_R", _speed(0), unit="km s-1"), Field("V_PHI", _speed(1), unit="km s-1"),
    Field("V_Z", _speed(2), unit="km s-1"),
    Field("EBV", _true("ebv"), unit="mag", text="reddening up to the star"),
    *(Field(f"MAG_{band_column(b)}", _true(f"mag_{b}"), unit="mag",
            text="apparent magnitude of the system") for b in BANDS),
    *(Field(name, _true(name), unit=unit.replace("km2/s2", "km2 s-2").replace("km/s", "km s-1"),
            text=_ORBIT_TEXT[name]) for name, unit in ORBIT_UNITS.items()),
)  # fmt: skip
"""Everything that is known of each star."""
