"""Warnings for unusual stars from the spectral classes of SDSS, LAMOST and DESI."""

import re
from collections.abc import Mapping

import numpy as np

from bayes_ddp.flags import WARN

__all__ = ["class_warning"]

_COLUMNS = ("SUBCLASS", "SUBTYPE")
_WHITE_DWARF = re.compile(r"^(WD|D[ABCOQZ])|WD$")
_SPECTRAL = re.compile(r"(?:sd|d|g|es)?([OBMLT])(?:\d|$)")


def class_warning(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """[star] int64, bits ``WD``, ``CARBON``, ``HOT`` and ``COOL`` from the survey's subclass.

    columns : name -> [star]; ``SUBCLASS`` (LAMOST, SDSS) and ``SUBTYPE`` (redrock) are read.
    """
    count = len(next(iter(columns.values()), ()))
    warn = np.zeros(count, np.int64)
    for name in _COLUMNS:
        for star, text in enumerate(columns.get(name, ())):
            warn[star] |= _bits(str(text).strip())
    return warn


def _bits(subclass: str) -> int:
    """Warning bits of one subclass.

    >>> _bits("M5") == WARN.COOL, _bits("CarbonWD") == WARN.CARBON | WARN.WD, _bits("G2")
    (True, True, 0)
    """
    bits = int(WARN.CARBON) if subclass.lower().startswith("carbon") else 0
    if _WHITE_DWARF.search(subclass):
        return bits | int(WARN.WD)
    spectral = _SPECTRAL.match(subclass)
    if spectral:
        bits |= int(WARN.HOT if spectral[1] in "OB" else WARN.COOL)
    return bits
