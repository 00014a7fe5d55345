"""A trained model on disk: ``card.toml`` describes it, ``weights.safetensors`` has its weights.

Weights are plain arrays; no code of a model folder is executed. The loader refuses weights whose
checksum is not that of the card.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save

from bayes_ddp.emulator import corrected
from bayes_ddp.emulator.features import Features
from bayes_ddp.emulator.network import BasisNetwork, Card, PixelNetwork
from bayes_ddp.files.checksums import check_sha256, read_card_file, sha256_of
from bayes_ddp.files.errors import did_you_mean
from bayes_ddp.files.outputs import check_replaceable
from bayes_ddp.files.paths import write_atomic
from bayes_ddp.files.toml import to_toml
from bayes_ddp.labels import LabelSpace

__all__ = [
    "find_model",
    "known_models",
    "load_emulator",
    "model_files",
    "network_tables",
    "read_card",
    "write_model",
]

_PACKAGE = Path(__file__).resolve().parents[1]
_FOLDERS = (_PACKAGE.parent / "models", _PACKAGE / "models")


def load_emulator(name_or_path: str | Path) -> BasisNetwork | PixelNetwork:
    """The trained model with this name, or in this folder.

    A path of an existing model folder is used first; then a name is searched in ``models/`` of the
    clone and in the data of the installed package.

    Raises
    ------
    ValueError
        There is no such model, or its weights do not have the checksum of the card.

    Examples
    --------
    >>> load_emulator("desi-physics").space.names[:2]
    ('teff', 'logg')
    """
    folder = find_model(name_or_path)
    card = read_card(folder)
    path = folder / "weights.safetensors"
    check_sha256(path)
    arrays = load_file(path)
    if card["kind"] == corrected.KIND:
        beside = folder.parent / card["base"]
        base = load_emulator(beside if beside.is_dir() else card["base"])
        return corrected.from_arrays(folder, card, arrays, base=base)
    table = card["labels"]
    space = LabelSpace(
        tuple(table["names"]), tuple(map(float, table["low"])), tuple(map(float, table["high"]))
    )
    wave, fwhm = arrays["wave"], float(card["wave"]["fwhm"])
    common: dict[str, Any] = {
        "wave": wave,
        "fwhm": fwhm,
        "error": arrays["error"],
        "card": Card(folder, card),
    }
    match card["kind"]:
        case "BasisNetwork":
            bias = arrays["bias"].reshape(())  # [1] in the distributed models
            features = Features(space, arrays["mix"], arrays["scale"], bias, arrays["centre"])
            basis: dict[str, Any] = {key: arrays[key] for key in ("weight", "mean", "basis")}
            return BasisNetwork(features=features, **basis, **common)
        case "PixelNetwork":
            parts: dict[str, Any] = {key: arrays[key] for key in _PIXEL_PARTS if key != "error"}
            return PixelNetwork(space=space, **parts, **common)
    raise ValueError(
        f"{folder / 'card.toml'}: kind '{card['kind']}' is unknown. Kinds: BasisNetwork, "
        f"PixelNetwork, {corrected.KIND}."
    )


_PIXEL_PARTS = ("hidden", "hidden_bias", "output", "output_bias", "error")


def known_models() -> dict[str, Path]:
    """Name -> folder of every trained model in ``models/`` of the clone or of the package."""
    found: dict[str, Path] = {}
    for folder in _FOLDERS:
        for weights in sorted(folder.glob("*/weights.safetensors")):
            found.setdefault(weights.parent.name, weights.parent)
    return found


def find_model(name_or_path: str | Path) -> Path:
    """The folder with this path, or of the distributed model or set of spectra with this name.

    Raises ValueError if there is no such folder with a card.
    """
    for path in (Path(name_or_path), *(folder / str(name_or_path) for folder in _FOLDERS)):
        if (path / "card.toml").is_file():
            return path
    models = known_models()
    hint = did_you_mean(name_or_path, models)
    raise ValueError(
        f"There is no emulator '{name_or_path}'.{hint} Known: {sorted(models)}; or give the path "
        "of a folder with a card.toml."
    )


def read_card(folder: Path) -> dict[str, Any]:
    """The card of a model folder as a dictionary; raises ValueError if there is none."""
    path = Path(folder) / "card.toml"
    if not path.is_file():
        raise ValueError(f"{folder} is no model folder: it has no card.toml.")
    return read_card_file(path.parent)


def model_files(folder: Path) -> list[Path]:
    """The files that ``write_model`` replaces."""
    return [Path(folder) / name for name in ("weights.safetensors", "card.toml")]


def write_model(
    folder: Path, emulator: BasisNetwork | PixelNetwork, card: Mapping[str, Any]
) -> None:
    """Write weights and card into ``folder``, each atomically, the card last with the checksum.

    Labels, wavelength grid, LSF and kind are taken from the emulator and replace those of
    ``card``. Raises OutputError if the folder has files that this program did not write.
    """
    check_replaceable(model_files(folder))
    arrays: dict[str, np.ndarray] = {"wave": np.asarray(emulator.wave, np.float64)}
    if isinstance(emulator, BasisNetwork):
        features = emulator.features
        for key in ("mix", "scale", "bias", "centre"):
            arrays[key] = np.asarray(getattr(features, key), np.float64)
        arrays["weight"] = np.asarray(emulator.weight, np.float64)
        for key in ("mean", "basis", "error"):
            arrays[key] = np.asarray(getattr(emulator, key), np.float32)
    else:
        for key in _PIXEL_PARTS:
            arrays[key] = np.asarray(getattr(emulator, key), np.float32)
    path = Path(folder) / "weights.safetensors"
    write_atomic(path, save({key: np.asarray(arrays[key], order="C") for key in sorted(arrays)}))
    own = {
        "kind": type(emulator).__name__,
        "sha256": sha256_of(path),
        **network_tables(emulator),
    }
    write_atomic(Path(folder) / "card.toml", to_toml(dict(card) | own))


def network_tables(emulator: BasisNetwork | PixelNetwork) -> dict[str, Any]:
    """The tables [labels] and [wave] of a network's card."""
    space, wave = emulator.space, np.asarray(emulator.wave, float)
    return {
        "labels": {
            "names": list(space.names),
            "units": list(space.units),
            "low": list(space.low),
            "high": list(space.high),
        },
        "wave": {
            "start": float(wave[0]),
            "stop": float(wave[-1]),
            "step": float(wave[1] - wave[0]),
            "fwhm": emulator.fwhm,
            "medium": "vacuum",
            "frame": "rest",
        },
    }
