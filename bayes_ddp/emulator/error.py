"""How far a model is from real stars, pixel by pixel: kept beside its weights.

The mismatch is the robust residual of real spectra about their best fits, less their noise, in
normalised flux. It says where the physics is wrong, and on request it goes into the variance, so
that those pixels do not rule the fit.
"""

from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save

from bayes_ddp.emulator.card import read_card
from bayes_ddp.files.outputs import check_replaceable
from bayes_ddp.files.paths import write_atomic
from bayes_ddp.files.toml import to_toml

__all__ = ["mismatch_files", "read_mismatch", "write_mismatch"]

_FILE = "mismatch.safetensors"


def read_mismatch(folder: Path) -> np.ndarray:
    """[model pixel] mismatch in normalised flux; raises ValueError where none was measured."""
    path = Path(folder) / _FILE
    if not path.is_file():
        raise ValueError(
            f"{folder} holds no mismatch spectrum. Measure one with 'bayes-ddp mismatch RUN.toml "
            "--write' on real stars, or leave 'mismatch' out of [nuisance]."
        )
    return load_file(path)["mismatch"]


def mismatch_files(folder: Path) -> list[Path]:
    """The files that ``write_mismatch`` replaces."""
    return [Path(folder) / name for name in (_FILE, "card.toml")]


def write_mismatch(folder: Path, mismatch: np.ndarray, figures: dict[str, Any]) -> None:
    """Put a measured mismatch [model pixel] beside the weights and its figures into the card.

    Pixels without enough stars hold the median of the others. Raises OutputError where a file
    there is not ours.
    """
    check_replaceable(mismatch_files(folder))
    known = np.isfinite(mismatch)
    filled = np.where(known, mismatch, np.median(mismatch[known])).astype(np.float32)
    write_atomic(Path(folder) / _FILE, save({"mismatch": filled}))
    card = read_card(folder) | {"mismatch": figures}
    write_atomic(Path(folder) / "card.toml", to_toml(card))
