"""A trained model on disk: ``card.toml`` says what it is, ``weights.safetensors`` what it knows.

Weights are plain arrays; nothing in a model folder is executed. The loader refuses weights that
are not the ones their card was written for.
"""

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load_file, save

from bayes_ddp.emulator.density import density_table
from bayes_ddp.emulator.features import Features
from bayes_ddp.emulator.network import BasisNetwork, PixelNetwork
from bayes_ddp.emulator.tables import check_sha256, sha256_of, to_toml, write_atomic
from bayes_ddp.labels import LabelSpace

if TYPE_CHECKING:
    from bayes_ddp.emulator.training import TrainingSet

__all__ = ["describe", "find_model", "known_models", "load_emulator", "read_card", "write_model"]

_PACKAGE = Path(__file__).resolve().parents[1]
_PLACES = (_PACKAGE.parent / "models", _PACKAGE / "models")

_NOT_FOR = [
    "Teff outside 4000-8000 K, logg outside 0.5-5.2, [Fe/H] outside -3 to 0.5, or any label "
    "outside its range: nothing was trained there",
    "Cool carbon-rich stars (Teff below 4700 K with C/O near or above 1): flux errors of several "
    "per cent",
    "Stars below 5200 K blueward of 4400 Å: the physics lacks blue opacity and makes features "
    "15-20 % too strong",
    "Cores of Ca H and K, Hα and the Ca triplet (LTE, no chromosphere); weak CN at 3850-3880 Å",
    "Mn, Co, V to better than 0.1-0.3 dex near solar metallicity: no hyperfine structure",
    "Lines redward of 6900 Å to the accuracy of the blue: their strengths were not corrected on "
    "the Sun",
    "Non-LTE or 3-D abundances: labels are 1-D LTE. Expected corrections: Fe I +0.05 to +0.2 dex "
    "at -1 to -3, O I triplet -0.1 to -0.5, blue Al I +0.3 to +0.7 when metal-poor, Mn I and Cr I "
    "+0.1 to +0.4, Ti I +0.05 to +0.2, CH -0.2 to -0.6 at -2 to -3",
    "Fast rotators, emission lines, white dwarfs, unresolved binaries",
]


def load_emulator(name_or_path: str | Path) -> BasisNetwork | PixelNetwork:
    """The model of that name, or in that folder.

    An existing folder is taken as it is; a name is looked for in the clone's ``models/``, then in
    the package's own data.

    Raises
    ------
    ValueError
        No such model, or weights that its card does not describe.

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
    table = card["labels"]
    space = LabelSpace(
        tuple(table["names"]), tuple(map(float, table["low"])), tuple(map(float, table["high"]))
    )
    wave, fwhm = arrays["wave"], float(card["wave"]["fwhm"])
    match card["kind"]:
        case "BasisNetwork":
            features = Features(
                space, arrays["mix"], arrays["scale"], arrays["bias"], arrays["centre"]
            )
            return BasisNetwork(
                features, arrays["weight"], arrays["mean"], arrays["basis"], arrays["error"],
                wave, fwhm,
            )  # fmt: skip
        case "PixelNetwork":
            parts = {key: arrays[key] for key in _PIXEL_PARTS}
            return PixelNetwork(space=space, wave=wave, fwhm=fwhm, **parts)  # type: ignore[arg-type]
    raise ValueError(
        f"{folder / 'card.toml'}: kind '{card['kind']}' is unknown. Kinds: BasisNetwork, "
        "PixelNetwork."
    )


_PIXEL_PARTS = ("hidden", "hidden_bias", "output", "output_bias", "error")


def known_models() -> dict[str, Path]:
    """Name -> folder of every trained model that ships or lies in the clone's ``models/``."""
    found: dict[str, Path] = {}
    for place in _PLACES:
        for weights in sorted(place.glob("*/weights.safetensors")):
            found.setdefault(weights.parent.name, weights.parent)
    return found


def find_model(name_or_path: str | Path) -> Path:
    """The folder of a shipped model or set of spectra, or the folder given; raises ValueError."""
    for path in (Path(name_or_path), *(place / str(name_or_path) for place in _PLACES)):
        if (path / "card.toml").is_file():
            return path
    models = known_models()
    near = difflib.get_close_matches(str(name_or_path), models, 1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise ValueError(
        f"There is no emulator '{name_or_path}'.{hint} Known: {sorted(models)}; or give the path "
        "of a folder with a card.toml."
    )


def read_card(folder: Path) -> dict[str, Any]:
    """The card of a model folder; raises ValueError where there is none."""
    path = Path(folder) / "card.toml"
    if not path.is_file():
        raise ValueError(f"{folder} is no model folder: it has no card.toml.")
    return tomllib.loads(path.read_text())


def write_model(
    folder: Path, emulator: BasisNetwork | PixelNetwork, card: Mapping[str, Any]
) -> None:
    """Write weights and card into ``folder``, each atomically, the card last with the checksum.

    What only the emulator knows (labels, wave grid, LSF, kind) replaces what ``card`` says of it.
    """
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
    write_atomic(path, save({key: np.ascontiguousarray(arrays[key]) for key in sorted(arrays)}))
    space, wave = emulator.space, np.asarray(emulator.wave, float)
    own = {
        "kind": type(emulator).__name__,
        "sha256": sha256_of(path),
        "labels": {
            "names": list(space.names), "units": list(space.units),
            "low": list(space.low), "high": list(space.high),
        },
        "wave": {
            "start": float(wave[0]), "stop": float(wave[-1]), "step": float(wave[1] - wave[0]),
            "fwhm": emulator.fwhm, "medium": "vacuum", "frame": "rest",
        },
    }  # fmt: skip
    write_atomic(Path(folder) / "card.toml", to_toml(dict(card) | own))


def describe(
    name: str,
    settings: Mapping[str, Any],
    *,
    network: BasisNetwork,
    known: "TrainingSet",
    figures: Mapping[str, Any],
) -> dict[str, Any]:
    """The card of a network trained on physical spectra, without what ``write_model`` adds."""
    return {
        "name": name,
        "description": str(settings.get("description", "Emulator of normalised LTE spectra")),
        "abundance_scale": "Asplund+2009",
        "calscale": "LTE-1D uncalibrated",
        "not_for": _NOT_FOR,
        "citation": (
            "Trained on models/physics-lte: ATLAS9 ODFNEW (Castelli & Kurucz 2003), C3K / ATLAS12 "
            "(Conroy, Kurucz), synspec (Hubeny & Lanz 2017), linemake (Placco et al. 2021) and "
            "its sources, Barklem et al. (2000), Asplund et al. (2009). Method: Ting et al. "
            "(2017), Xiang et al. (2019), Zhang et al. (DD-Payne on DESI EDR)"
        ),
        "training": {
            "spectra": len(known.names),
            "reference_points": len(known.reference_names),
            "rank": len(network.basis),
            "features": network.features.size,
            "names": list(known.names),
            "reference_names": list(known.reference_names),
        },
        "validation": dict(figures),
        "density": density_table(),
    }
