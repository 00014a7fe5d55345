"""The mismatch of a model to real stars, per pixel, is stored beside its weights.

The mismatch is the robust scatter of real spectra about their best fits, with their noise
subtracted in quadrature, in normalised flux. It measures the error of the physics. A fit can add
it to the variance, which lowers the weight of the pixels concerned.
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
    """[model pixel], mismatch in normalised flux; raises ValueError if none was measured."""
    path = Path(folder) / _FILE
    if not path.is_file():
        raise ValueError(
            f"{folder} has no mismatch spectrum. Measure one with 'bayes-ddp mismatch RUN.toml "
            "--write' on real stars, or leave 'mismatch' out of [nuisance]."
        )
    return load_file(path)["mismatch"]


def mismatch_files(folder: Path) -> list[Path]:
    """The files that ``write_mismatch`` replaces."""
    return [Path(folder) / name for name in (_FILE, "card.toml")]


def write_mismatch(folder: Path, mismatch: np.ndarray | None, figures: dict[str, Any]) -> None:
    """Write a measured mismatch [model pixel] beside the weights and its figures into the card.

    figures : with ``label_error``, the table of the mismatch's effect on labels.

    NaN pixels, without enough stars, get the median of the others. Without a spectrum, an earlier
    one and its figures stay. Raises OutputError if a file there is not ours.
    """
    check_replaceable(mismatch_files(folder))
    earlier = read_card(folder).get("mismatch", {})
    if mismatch is not None:
        known = np.isfinite(mismatch)
        filled = np.where(known, mismatch, np.median(mismatch[known])).astype(np.float32)
        write_atomic(Path(folder) / _FILE, save({"mismatch": filled}))
        figures = {"pixels": int(known.sum())} | figures  # the card claims the file by this key
    elif "pixels" in earlier:
        figures = earlier | {"label_error": figures["label_error"]}
    card = read_card(folder) | {"mismatch": figures}
    write_atomic(Path(folder) / "card.toml", to_toml(card))
