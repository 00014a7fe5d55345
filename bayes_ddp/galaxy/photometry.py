"""Magnitudes, parallaxes and positions of stars, as their tables have them.

Columns of Gaia, 2MASS and the Legacy Surveys are found by name; others are given names with a
mapping. Nothing is invented: a magnitude that is impossible, saturated or without an error is
NaN, and so is a parallax without an error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from bayes_ddp.files.errors import BadFileError
from bayes_ddp.galaxy.bolometric import ALL_BANDS
from bayes_ddp.galaxy.zero_point import zero_points
from bayes_ddp.tables.values import real

__all__ = ["Photometry", "photometry_of"]

_MAGNITUDES = {
    "G": (
        ("phot_g_mean_mag", "phot_g_mean_mag_error"),
        ("gaia_g", "gaia_g_err"),
        ("mag_g", "mag_err_g"),
        ("gmag", "e_gmag"),
    ),
    "BP": (
        ("phot_bp_mean_mag", "phot_bp_mean_mag_error"),
        ("gaia_bp", "gaia_bp_err"),
        ("mag_bp", "mag_err_bp"),
        ("bpmag", "e_bpmag"),
    ),
    "RP": (
        ("phot_rp_mean_mag", "phot_rp_mean_mag_error"),
        ("gaia_rp", "gaia_rp_err"),
        ("mag_rp", "mag_err_rp"),
        ("rpmag", "e_rpmag"),
    ),
    "J": (("j_m", "j_msigcom"), ("jmag", "e_jmag"), ("mag_j", "mag_err_j")),
    "H": (("h_m", "h_msigcom"), ("hmag", "e_hmag"), ("mag_h", "mag_err_h")),
    "Ks": (
        ("ks_m", "ks_msigcom"),
        ("k_m", "k_msigcom"),
        ("kmag", "e_kmag"),
        ("ksmag", "e_ksmag"),
        ("mag_ks", "mag_err_ks"),
    ),
    "g": (("mag_ls_g", "mag_err_ls_g"),),
    "r": (("mag_ls_r", "mag_err_ls_r"),),
    "z": (("mag_ls_z", "mag_err_ls_z"),),
}
"""Band -> columns of magnitude and error: Gaia's archive, VizieR, 2MASS, the mock Galaxy."""

_OVER_ERROR = {
    "G": "phot_g_mean_flux_over_error",
    "BP": "phot_bp_mean_flux_over_error",
    "RP": "phot_rp_mean_flux_over_error",
}
_SATURATED = {"BP": 4.0, "RP": 3.0, "J": 5.5, "H": 5.0, "Ks": 4.5}
"""Magnitudes above which detectors do not saturate: Gaia (Riello et al. 2021, App. C.1; the
limits are those of the benchmark stars), 2MASS (Skrutskie et al. 2006)."""

_TWO_MASS = ("J", "H", "Ks")
_QUALITY = ("ph_qual", "ph_qual_tmass", "qflg")
_GOOD_QUALITY = "ABC"
_FAINTEST = 30.0  # 99 and the like are fillers
_BRIGHTEST = -5.0
_NANOMAGGIES = 22.5
_PLACES = (
    ("ra", "dec"),
    ("target_ra", "target_dec"),
    ("ra_icrs", "de_icrs"),
    ("raj2000", "dej2000"),
)
_PER_MAG = 2.5 / np.log(10)


@dataclass(frozen=True)
class Photometry:
    """What is measured of stars beside their spectra, each [star]; NaN where unknown.

    ra, dec : degrees. magnitude, error : [star band], ``ALL_BANDS``, without floors. parallax,
    parallax_error : mas, as published. zero_point : mas, what is subtracted from the parallax.
    ruwe : renormalised unit weight error of Gaia. ebv : mag, E(B-V) of all dust in the line of
    sight, on the scale of Schlegel et al. (1998), not recalibrated.
    """

    ra: np.ndarray
    dec: np.ndarray
    magnitude: np.ndarray
    error: np.ndarray
    parallax: np.ndarray
    parallax_error: np.ndarray
    zero_point: np.ndarray
    ruwe: np.ndarray
    ebv: np.ndarray

    def __post_init__(self) -> None:
        size, bands = len(self.ra), len(ALL_BANDS)
        for item in fields(self):
            values = getattr(self, item.name)
            wanted = (size, bands) if item.name in ("magnitude", "error") else (size,)
            if np.shape(values) != wanted:
                raise ValueError(
                    f"Photometry: {item.name} has the shape {np.shape(values)}, which has to be "
                    f"{wanted}: stars, and for magnitudes the bands {' '.join(ALL_BANDS)}."
                )

    def __len__(self) -> int:
        return len(self.ra)

    def __repr__(self) -> str:
        bands = {b: int(np.isfinite(self.error[:, i]).sum()) for i, b in enumerate(ALL_BANDS)}
        shown = ", ".join(f"{band} {number}" for band, number in bands.items() if number)
        known = int(np.isfinite(self.parallax).sum())
        return f"<Photometry of {len(self)} stars: {shown or 'no band'}; {known} parallaxes>"

    def take(self, rows: np.ndarray) -> "Photometry":
        """The stars of ``rows``; a row of -1 is a star of which nothing is known."""
        rows = np.asarray(rows)
        known = rows >= 0
        taken = {}
        for item in fields(self):
            values = np.asarray(getattr(self, item.name), float)[rows]
            taken[item.name] = np.where(
                known.reshape(-1, *[1] * (values.ndim - 1)), values, np.nan
            )
        return replace(self, **taken)

    def filled(self, other: "Photometry") -> "Photometry":
        """The record with what is unknown taken from ``other``, which has the same stars.

        A magnitude comes with its own error, a parallax with its own error, zero point and RUWE.
        """
        banded = np.isfinite(self.magnitude)
        seen = np.isfinite(self.parallax)
        use = {"magnitude": banded, "error": banded}
        use |= dict.fromkeys(("parallax", "parallax_error", "zero_point"), seen)
        changed = {}
        for item in fields(self):
            mine, theirs = getattr(self, item.name), getattr(other, item.name)
            changed[item.name] = np.where(use.get(item.name, np.isfinite(mine)), mine, theirs)
        return replace(self, **changed)


def photometry_of(
    table: Mapping[str, np.ndarray],
    *,
    names: Mapping[str, str | Sequence[str]] | None = None,
    where: str = "photometry",
    empty: bool = False,
) -> Photometry:
    """The photometry of a table.

    Parameters
    ----------
    table : lower-case name -> [star]
    names
        Band -> column, or (column, column of its error), for columns with other names; also
        ``parallax``, ``zero_point``, ``ruwe`` and ``ebv`` -> column.
    where
        Name of the table in messages.
    empty
        Whether a table without photometry is accepted.

    Raises BadFileError if the table has neither a magnitude nor a parallax, if a column of
    ``names`` is missing, or for cells that are no numbers.
    """
    own = _checked(names or {}, table, where)
    size = len(next(iter(table.values()))) if table else 0
    magnitude, error = (np.full((size, len(ALL_BANDS)), np.nan) for _ in range(2))
    for i, band in enumerate(ALL_BANDS):
        found = _band(table, band, own.get(band), where=where)
        if found is not None:
            magnitude[:, i], error[:, i] = found
    parallax = _column(table, own.get("parallax", ("parallax",)), where=where, size=size)
    errors = own.get("parallax", ("parallax", "parallax_error"))
    parallax_error = _column(table, errors[1:], where=where, size=size)
    used = np.isfinite(parallax) & (parallax_error > 0)
    if not empty and not np.isfinite(magnitude).any() and not used.any():
        raise BadFileError(
            f"{where} has no magnitudes and no parallaxes with errors. Give columns of Gaia "
            "(phot_g_mean_mag, parallax, parallax_error ...), 2MASS (j_m, j_msigcom ...) or the "
            "Legacy Surveys (flux_g, flux_ivar_g ...), or name them: --column G=MY_G,MY_G_ERR."
        )
    ra, dec = _place(table, where=where, size=size)
    zero = _column(table, own.get("zero_point", ("parallax_zero_point",)), where=where, size=size)
    if not np.isfinite(zero).any():
        zero = zero_points(table, ra, dec, where=where)
    return Photometry(
        ra=ra,
        dec=dec,
        magnitude=magnitude,
        error=error,
        parallax=np.where(used, parallax, np.nan),
        parallax_error=np.where(used, parallax_error, np.nan),
        zero_point=zero,
        ruwe=_column(table, own.get("ruwe", ("ruwe",)), where=where, size=size),
        ebv=_column(table, own.get("ebv", ("ebv", "e_bv", "sfd")), where=where, size=size),
    )


def _checked(
    names: Mapping[str, str | Sequence[str]], table: Mapping[str, np.ndarray], where: str
) -> dict[str, tuple[str, ...]]:
    """Band or quantity -> lower-case columns."""
    known = (*ALL_BANDS, "parallax", "zero_point", "ruwe", "ebv")
    found = {}
    for key, value in names.items():
        columns = (value,) if isinstance(value, str) else tuple(value)
        if key not in known:
            raise BadFileError(f"'{key}' is no band or quantity of the photometry: {known}.")
        missing = [column for column in columns if column.lower() not in table]
        if missing or not columns:
            raise BadFileError(f"{where} has no column {', '.join(missing).upper()} for {key}.")
        found[key] = tuple(column.lower() for column in columns)
    return found


def _column(
    table: Mapping[str, np.ndarray], columns: Sequence[str], *, where: str, size: int
) -> np.ndarray:
    """[star], the first of ``columns`` that the table has; NaN without one."""
    for column in columns:
        if column in table and table[column].ndim == 1:
            return real(table[column], f"{where}: column {column}")
    return np.full(size, np.nan)


def _band(
    table: Mapping[str, np.ndarray], band: str, own: Sequence[str] | None, *, where: str
) -> tuple[np.ndarray, np.ndarray] | None:
    """(magnitude, error) of one band; None if the table does not have it."""
    pairs = [tuple(own)] if own else _MAGNITUDES.get(band, ())
    if "bpmag" not in table:  # then gmag is another survey's
        pairs = [pair for pair in pairs if own or pair[0] != "gmag"]
    columns = next((pair for pair in pairs if pair[0] in table), None)
    if columns is None:
        return _legacy(table, band, where=where) if band in ("g", "r", "z") else None
    size = len(table[columns[0]])
    magnitude = _column(table, columns[:1], where=where, size=size)
    error = _column(table, columns[1:], where=where, size=size)
    ratio = _OVER_ERROR.get(band, "")
    if not np.isfinite(error).any() and ratio in table:
        with np.errstate(divide="ignore"):
            error = _PER_MAG / real(table[ratio], f"{where}: column {ratio}")
    if len(columns) < 2 or (columns[1] not in table and ratio not in table):
        error = np.zeros(size)  # the table has none: the floor of the band is its error
    usable = (magnitude > _BRIGHTEST) & (magnitude < _FAINTEST) & (error >= 0) & (error < 2)
    usable &= np.isfinite(magnitude) & (magnitude != 0)
    usable &= magnitude > _SATURATED.get(band, _BRIGHTEST)
    if band in _TWO_MASS:
        usable &= _quality(table, band, size)
    if band == "G":
        magnitude = _bright(magnitude)
    return np.where(usable, magnitude, np.nan), np.where(usable, error, np.nan)


def _quality(table: Mapping[str, np.ndarray], band: str, size: int) -> np.ndarray:
    """[star] bool, whether 2MASS flags the magnitude as measured; True without flags."""
    place = _TWO_MASS.index(band)
    for column in _QUALITY:
        if column in table and table[column].dtype.kind in "US":
            flags = np.array([str(text).strip() for text in table[column].tolist()])
            return np.array([len(f) != 3 or f[place] in _GOOD_QUALITY for f in flags])
    return np.ones(size, bool)


def _bright(magnitude: np.ndarray) -> np.ndarray:
    """G of stars brighter than 8, corrected for saturation (Riello et al. 2021, App. C.1)."""
    g = np.clip(magnitude, 2.0, 8.0)
    shift = -0.09892 + 0.059 * g - 0.009775 * g**2 + 0.0004934 * g**3
    return np.where(magnitude < 8, magnitude + shift, magnitude)


def _legacy(
    table: Mapping[str, np.ndarray], band: str, *, where: str
) -> tuple[np.ndarray, np.ndarray] | None:
    """Magnitude and error from the fluxes of the Legacy Surveys, nanomaggies."""
    columns = (f"flux_{band}", f"flux_ivar_{band}")
    if not all(column in table for column in columns):
        return None
    flux, ivar = (real(table[column], f"{where}: column {column}") for column in columns)
    usable = (flux > 0) & (ivar > 0) & (flux * np.sqrt(np.abs(ivar)) > 3)
    safe, weight = np.where(usable, flux, 1.0), np.where(usable, ivar, 1.0)
    magnitude = _NANOMAGGIES - 2.5 * np.log10(safe)
    error = _PER_MAG / (safe * np.sqrt(weight))
    return np.where(usable, magnitude, np.nan), np.where(usable, error, np.nan)


def _place(
    table: Mapping[str, np.ndarray], *, where: str, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """(ra, dec) in degrees; NaN where the table has none."""
    for pair in _PLACES:
        if all(name in table for name in pair):
            ra, dec = (real(table[name], f"{where}: column {name}") for name in pair)
            possible = (np.abs(dec) <= 90) & (np.abs(ra) <= 360)
            return np.where(possible, ra, np.nan), np.where(possible, dec, np.nan)
    return np.full(size, np.nan), np.full(size, np.nan)
