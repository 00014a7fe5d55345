"""E(B-V) of stars by a map of the package ``dustmaps`` (Green 2018, JOSS 3, 695), if installed.

A map is named as in that package, by module and class: ``sfd.SFDQuery``. Maps in two dimensions
give all dust in the line of sight, which is what distances take. Values are multiplied by a scale
that brings them to that of Schlegel et al. (1998); it is 1 for SFD, and about 1 / 0.86 for maps of
true E(B-V) (Schlafly & Finkbeiner 2011).
"""

import importlib
import re

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord

__all__ = ["ebv_of_map"]


def ebv_of_map(name: str, ra: np.ndarray, dec: np.ndarray, *, scale: float = 1.0) -> np.ndarray:
    """[star], mag, E(B-V) on the scale of SFD; NaN without a position and outside the map.

    name : MODULE.CLASS of ``dustmaps``. ra, dec : degrees. scale : of the map's values.

    Raises ValueError where the package, the map or its data are missing.
    """
    module, _, query = name.partition(".")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", module) or not re.fullmatch(r"[A-Za-z0-9_]+", query):
        raise ValueError(
            f"dust map '{name}': give MODULE.CLASS of dustmaps, such as sfd.SFDQuery."
        )
    if "Web" in query:
        raise ValueError(f"dust map '{name}' asks a server. Give a map on this machine.")
    try:
        found = getattr(importlib.import_module(f"dustmaps.{module}"), query)
    except ImportError:
        raise ValueError(
            f"dust map '{name}': the package dustmaps, or its module {module}, is not installed. "
            "Install bayes_ddp[dustmaps], or give the column EBV."
        ) from None
    except AttributeError:
        raise ValueError(f"dust map '{name}': dustmaps.{module} has no class {query}.") from None
    try:
        ask = found()
    except OSError:
        raise ValueError(
            f"dust map '{name}': its data are not on this machine. Fetch them once: python -c "
            f"'import dustmaps.{module}; dustmaps.{module}.fetch()'."
        ) from None
    placed = np.isfinite(ra) & np.isfinite(dec)
    result = np.full(len(ra), np.nan)
    if placed.any():
        result[placed] = scale * np.asarray(ask(SkyCoord(ra[placed] * u.deg, dec[placed] * u.deg)))
    return np.where(result >= 0, result, np.nan)
