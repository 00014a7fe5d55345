"""Units of wavelengths are parsed in the spellings that files and users write."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np

from bayes_ddp.files.compressed import suffix, unpacked

__all__ = ["column_unit", "to_angstrom"]

_ALIASES = {
    alias: unit
    for unit, aliases in {
        "Angstrom": "a aa ang angstroms",
        "nm": "nanometer nanometers nanometre nanometres",
        "um": "micron microns micrometer micrometers μm",
        "m": "meter meters metre metres",
    }.items()
    for alias in aliases.split()
}
_LOGARITHM = re.compile(r"(log10|log|ln)\s*\(?([^()]*)\)?$", re.IGNORECASE)


def to_angstrom(values: np.ndarray, unit: str) -> np.ndarray:
    """Wavelengths or widths in Å, also from units such as ``log10(nm)`` or ``ln(Angstrom)``.

    Raises ValueError for a unit that is not a length.

    >>> to_angstrom(np.array([2.7]), "log10(nm)").round(2).tolist()
    [5011.87]
    """
    logarithm = _LOGARITHM.match(unit.strip())
    if logarithm:
        base = np.e if logarithm[1].lower() == "ln" else 10.0
        values, unit = base ** np.asarray(values, float), logarithm[2] or "Angstrom"
    text = unit.strip()
    text = _ALIASES.get(text.lower(), text)
    for name in (text, text.lower(), text.capitalize()):
        try:
            return np.asarray(u.Unit(name).to(u.AA, np.asarray(values, float)))
        except (ValueError, TypeError):  # UnitConversionError is both
            continue
    raise ValueError(
        f"the unit {unit!r} is no length. Give 'Angstrom', 'nm', 'um', 'm', or 'log10(Angstrom)' "
        "as wave_unit."
    )


def column_unit(path: Path, meta: Mapping[str, Any], name: str) -> str:
    """The unit of a column from TUNIT of a FITS table or the header of an ECSV file, or ''.

    meta : cards by lower-case keyword.
    """
    if suffix(path) == ".ecsv":
        return _ecsv_units(path).get(name.lower(), "")
    for key, value in meta.items():
        if key.startswith("ttype") and str(value).strip().lower() == name.lower():
            return str(meta.get(f"tunit{key[5:]}") or "").strip()
    return ""


def _ecsv_units(path: Path) -> dict[str, str]:
    """Lower-case name -> unit of the columns of an ECSV file, from its header."""
    found = {}
    with unpacked(path) as plain, plain.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            if not line.startswith("#"):
                break
            name, unit = (re.search(rf"\b{key}: ([^,}}]+)", line) for key in ("name", "unit"))
            if name and unit:
                found[name[1].strip("'\" ").lower()] = unit[1].strip("'\" ")
    return found
