"""A corrected model on disk: the correction alone, and which model it was learned on.

The folder's weights hold the correction's rows and coefficients; ``base`` and ``base_sha256`` of
its card name the model that they are added to. A correction holds for the weights that it was
learned on and for no others.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from bayes_ddp.emulator.correction import Block, Correction
from bayes_ddp.emulator.network import BasisNetwork, Card
from bayes_ddp.files.checksums import sha256_of
from bayes_ddp.files.paths import write_atomic
from bayes_ddp.files.toml import to_toml

__all__ = ["KIND", "from_arrays", "join", "write_correction"]

KIND = "CorrectedNetwork"
"""``kind`` in the card of a corrected model."""

_BLOCK = (
    "width",
    "centre",
    "usual",
    "slope",
    "excess",
    "weight",
    "amplitude",
    "ratio",
    "noise",
)


def join(
    base: BasisNetwork,
    correction: Correction,
    rows: np.ndarray,
    *,
    error: np.ndarray,
    card: Card | None,
) -> BasisNetwork:
    """The base with the correction's rows [rank pixel] below its own; error [pixel] of both."""
    return replace(
        base,
        basis=np.concatenate([np.asarray(base.basis), rows.astype(np.float32)]),
        error=np.asarray(error, np.float32),
        correction=correction,
        card=card,
    )


def from_arrays(
    folder: Path, card: Mapping[str, Any], arrays: Mapping[str, np.ndarray], *, base: Any
) -> BasisNetwork:
    """The corrected model of a folder from its card and arrays, and the base that its card names.

    Raises ValueError where the base has other weights than those that it was learned on.
    """
    if not isinstance(base, BasisNetwork) or base.card is None or base.correction is not None:
        raise ValueError(
            f"{folder}: its base '{card['base']}' is no BasisNetwork without a correction, and "
            "nothing else can be corrected. Name another base and learn the correction again."
        )
    if base.card.sha256 != card["base_sha256"]:
        raise ValueError(
            f"{folder} was learned on weights {card['base_sha256'][:12]} of {card['base']}, which "
            f"now has {base.card.sha256[:12]}. Learn it again: bayes-ddp train --correct "
            f"{folder / 'train.toml'}"
        )
    blocks = []
    for number in range(int(card["blocks"])):
        parts = {name: np.asarray(arrays[f"{name}_{number}"], np.float64) for name in _BLOCK}
        parts["slope"] = parts["slope"].reshape(())
        blocks.append(Block(**parts))
    correction = Correction(base.space, tuple(map(tuple, card["elements"])), tuple(blocks))
    return join(base, correction, arrays["rows"], error=arrays["error"], card=Card(folder, card))


def write_correction(folder: Path, network: BasisNetwork, card: Mapping[str, Any]) -> None:
    """Write the correction of a network and its card into ``folder``, the card last.

    card : with ``base`` and ``base_sha256``; what the network knows replaces what it says of it.
    """
    correction = network.correction
    assert correction is not None
    rank = len(network.basis) - correction.rank
    arrays = {
        "rows": np.asarray(network.basis[rank:], np.float32),
        "error": np.asarray(network.error, np.float32),
    }
    for number, block in enumerate(correction.blocks):
        for name in _BLOCK:
            dtype = np.float32 if name in ("noise", "amplitude", "ratio") else np.float64
            arrays[f"{name}_{number}"] = np.atleast_1d(np.asarray(getattr(block, name), dtype))
    path = Path(folder) / "weights.safetensors"
    write_atomic(path, save({key: np.asarray(arrays[key], order="C") for key in sorted(arrays)}))
    own = {
        "kind": KIND,
        "sha256": sha256_of(path),
        "elements": [list(names) for names in correction.elements],
        "blocks": len(correction.blocks),
    }
    write_atomic(Path(folder) / "card.toml", to_toml(dict(card) | own))
