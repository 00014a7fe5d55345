"""The tables of MIST in this package, and their computation from the original tables.

``python -m bayes_ddp.galaxy.mist FOLDER models/mist`` reads isochrones.npz and
bolometric_corrections.npz (arrays ``columns`` and ``values``) and puts them on regular grids:
isochrones by [Fe/H], log age and equal evolutionary phase (EEP) up to the thermal pulses, without
what follows from the rest (the present mass from log g, L and Teff); bolometric corrections by
Teff, log g, [Fe/H] and A_V.

Source: Choi et al. (2016), ApJ 823, 102; Dotter (2016), ApJS 222, 8.
"""

import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

from bayes_ddp.emulator.card import find_model
from bayes_ddp.files.checksums import check_sha256, sha256_of
from bayes_ddp.files.outputs import check_replaceable
from bayes_ddp.files.paths import write_atomic
from bayes_ddp.files.toml import to_toml

__all__ = ["FIRST_EEP", "build", "load_tables"]

FIRST_EEP, LAST_EEP = 202, 808
"""Zero-age main sequence to the first thermal pulse."""

_LAST_LOG_AGE = 10.2
_LOGG = (-1.0, 6.0)
_AV = (0.0, 0.1, 0.4, 1.0, 2.0, 4.0)
_BANDS = {
    "G": "Gaia_G_EDR3",
    "BP": "Gaia_BP_EDR3",
    "RP": "Gaia_RP_EDR3",
    "J": "2MASS_J",
    "H": "2MASS_H",
    "Ks": "2MASS_Ks",
}

BANDS = tuple(_BANDS)
"""Bands of the bolometric corrections, in order; Vega magnitudes."""


def load_tables() -> dict[str, np.ndarray]:
    """The grids of ``models/mist``; raises ValueError if the checksum is not the card's."""
    path = find_model("mist") / "tables.safetensors"
    check_sha256(path)
    return {name: np.asarray(values, float) for name, values in load_file(path).items()}


def build(folder: Path, to: Path) -> None:
    """Compute the grids from the original tables in ``folder`` and write them with their card."""
    isochrones, corrections = (
        _read(folder / "isochrones.npz"),
        _read(folder / "bolometric_corrections.npz"),
    )
    arrays = _isochrones(*isochrones) | _corrections(*corrections)
    path = to / "tables.safetensors"
    check_replaceable([path, to / "card.toml"])
    write_atomic(path, save({name: np.ascontiguousarray(a) for name, a in arrays.items()}))
    card = {
        "name": "mist",
        "description": "MIST v2.5 isochrones (v/vcrit 0.4) and bolometric corrections on grids",
        "citation": "Choi et al. (2016), ApJ 823, 102; Dotter (2016), ApJS 222, 8",
        "kind": "isochrones",
        "not_for": [
            "Thermally pulsing giants and white dwarfs: the tables end at the first thermal pulse",
            "[alpha/Fe] other than 0 without an effective metallicity",
            "A_V above 4; log g outside -1 to 6 or Teff outside 3000-12000 K in magnitudes",
        ],
        "sha256": sha256_of(path),
        "bands": list(BANDS),
        "shapes": {name: list(values.shape) for name, values in arrays.items()},
    }
    write_atomic(to / "card.toml", to_toml(card).encode())


def _read(path: Path) -> tuple[list[str], np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return [str(name) for name in file["columns"]], np.asarray(file["values"], float)


def _isochrones(columns: list[str], values: np.ndarray) -> dict[str, np.ndarray]:
    feh = np.unique(values[:, columns.index("feh")])
    age = np.unique(values[:, columns.index("log10_age")].round(4))
    age = age[age <= _LAST_LOG_AGE + 1e-6]
    grid = {
        name: np.full((len(feh), len(age), LAST_EEP - FIRST_EEP + 1), np.nan, np.float32)
        for name in ("initial_mass", "log_teff", "logg", "log_lum")
    }
    names = {
        "initial_mass": "initial_mass",
        "log_teff": "log_Teff",
        "logg": "log_g",
        "log_lum": "log_L",
    }
    eep = values[:, columns.index("eep")].astype(int)
    keep = (eep >= FIRST_EEP) & (eep <= LAST_EEP)
    keep &= values[:, columns.index("log10_age")] <= _LAST_LOG_AGE + 1e-6
    rows = values[keep]
    place = (
        np.searchsorted(feh, rows[:, columns.index("feh")]),
        np.searchsorted(age, rows[:, columns.index("log10_age")].round(4)),
        eep[keep] - FIRST_EEP,
    )
    for ours, theirs in names.items():
        grid[ours][place] = rows[:, columns.index(theirs)]
    return grid | {"feh": feh, "log_age": age}


def _corrections(columns: list[str], values: np.ndarray) -> dict[str, np.ndarray]:
    axes = {name: np.unique(values[:, columns.index(name)]) for name in ("teff", "logg", "feh")}
    axes["logg"] = axes["logg"][(axes["logg"] >= _LOGG[0]) & (axes["logg"] <= _LOGG[1])]
    axes["av"] = np.array(_AV)
    at, keep = [], np.ones(len(values), bool)
    for name, nodes in axes.items():
        column = values[:, columns.index(name)]
        near = np.abs(column[:, None] - nodes).argmin(axis=1)
        keep &= np.abs(nodes[near] - column) < 1e-4
        at.append(near)
    table = np.full((*(len(nodes) for nodes in axes.values()), len(BANDS)), np.nan, np.float32)
    for i, name in enumerate(_BANDS.values()):
        table[(*(near[keep] for near in at), i)] = values[keep, columns.index(name)]
    return {"bc": table} | {f"bc_{name}": nodes for name, nodes in axes.items()}


if __name__ == "__main__":
    build(Path(sys.argv[1]), Path(sys.argv[2]))
