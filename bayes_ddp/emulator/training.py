"""Training of a network on the physical spectra, with the settings of a ``train.toml``.

Spectra are degraded to the working grid and divided by their pseudo-continuum with the operator
that ``prepare`` uses on data. ``kind = "PixelNetwork"`` trains the paper's network (``pixels``).
The default, ``BasisNetwork``, is a ridge regression: flux rows at the spectra, and difference rows
at the reference points, each compared with the network's own difference at the same step and
divided by a share of its own size, so that the gradient of a weak element counts as much as that
of iron. It takes seconds and has no random start.
"""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np

from bayes_ddp.emulator.card import model_files, read_card, write_model
from bayes_ddp.emulator.density import density_table
from bayes_ddp.emulator.features import evaluate, make_features
from bayes_ddp.emulator.network import BasisNetwork, PixelNetwork
from bayes_ddp.emulator.physics.library import read_pack
from bayes_ddp.emulator.pixels import EPOCHS, initial_pixels, train_pixels
from bayes_ddp.emulator.ridge import principal_rows, ridge_solve
from bayes_ddp.emulator.training_set import TrainingSet, prepare_set
from bayes_ddp.emulator.validate import FOLDS, validate
from bayes_ddp.files.outputs import check_replaceable

__all__ = ["describe", "fit_network", "train_model"]

FLUX_ERROR, GRADIENT_FLOOR = 1e-3, 3e-5

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


def fit_network(settings: Mapping[str, Any], known: TrainingSet) -> BasisNetwork | PixelNetwork:
    """A network trained on everything in ``known``; its ``error`` is zero until validated.

    settings : the table ``[train]``; its ``kind`` decides which network, and which other keys.

    Raises ValueError for an unknown ``kind``.
    """
    match settings.get("kind", "BasisNetwork"):
        case "BasisNetwork":
            return _fit_basis(settings, known)
        case "PixelNetwork":
            return _fit_pixels(settings, known)
        case kind:
            raise ValueError(f"kind = '{kind}' is unknown. Kinds: BasisNetwork, PixelNetwork.")


def _fit_pixels(settings: Mapping[str, Any], known: TrainingSet) -> PixelNetwork:
    """The paper's network.

    settings : ``epochs``, ``batch``, ``rates`` (the paper's by default), ``gradient_error`` and
        ``fwhm``.

    D of Eq. 3 makes a gradient that is wrong by ``gradient_error`` of its label's rms cost as much
    as a flux that is wrong by ``FLUX_ERROR``.
    """
    spectra = {
        "labels": known.labels,
        "flux": known.flux,
        "ivar": np.full(known.flux.shape, FLUX_ERROR**-2, np.float32),
    }
    steps = np.diagonal(known.reference_labels[:, 1:] - known.reference_labels[:, :1], 0, 1, 2)
    change = known.reference_flux[:, 1:] - known.reference_flux[:, :1]
    points = {"labels": known.reference_labels[:, 0], "gradient": change / steps[..., None]}
    size = np.sqrt(np.mean(points["gradient"].astype(float) ** 2, axis=(0, 2)))
    granted = float(settings["gradient_error"]) * size + GRADIENT_FLOOR / known.space.span
    options = {k: settings[k] for k in ("epochs", "batch", "rates") if k in settings}
    start = initial_pixels(
        known.space,
        known.wave,
        float(settings["fwhm"]),
        key=jax.random.key(0),
        level=known.flux.mean(axis=0),
    )
    scale = 1 / (granted * max(len(steps), 1))
    return train_pixels(start, spectra, points, scale=scale, key=jax.random.key(1), **options)


def _fit_basis(settings: Mapping[str, Any], known: TrainingSet) -> BasisNetwork:
    """A ridge regression.

    settings : ``rank``, ``features``, ``bias``, ``ridge``, ``gradient_error``, ``fwhm`` and the
        tables ``scales`` and ``mix``.
    """
    points, pixels = len(known.reference_labels), len(known.wave)
    flux = np.concatenate([known.flux, known.reference_flux[:, 0]])
    change = (known.reference_flux[:, 1:] - known.reference_flux[:, :1]).reshape(-1, pixels)
    own = np.sqrt(np.mean(change.astype(float) ** 2, axis=1))
    trust = FLUX_ERROR / np.hypot(float(settings["gradient_error"]) * own, GRADIENT_FLOOR)
    mean = known.flux.mean(axis=0)
    rows = np.concatenate([flux - mean, change * trust[:, None].astype(np.float32)])
    basis = principal_rows(rows, int(settings["rank"]))
    target = rows.astype(float) @ basis.T

    stepped = known.reference_labels.reshape(-1, known.space.size)
    features = make_features(known.space, settings, np.concatenate([known.labels, stepped]))
    design = evaluate(features, np.concatenate([known.labels, stepped]))
    at_spectra, at_points = np.split(design, [len(known.labels)])
    at_points = at_points.reshape(points, 1 + known.space.size, features.size)
    slopes = (at_points[:, 1:] - at_points[:, :1]).reshape(-1, features.size)
    design = np.concatenate([at_spectra, at_points[:, 0], slopes * trust[:, None]])
    prior = np.eye(features.size)
    prior[:-1, :-1] = features.prior()
    weight = ridge_solve(design, target, prior, ridge=float(settings["ridge"]))
    return BasisNetwork(
        features,
        weight,
        mean.astype(np.float32),
        basis.astype(np.float32),
        np.zeros(len(known.wave), np.float32),
        known.wave,
        float(settings["fwhm"]),
    )


def train_model(
    folder: Path, pack: Path, *, progress: Callable[[str], None] = lambda text: None
) -> dict[str, Any]:
    """Train, validate and write the model that ``folder/train.toml`` describes; gives its card.

    progress : called with one line for each stage.
    """
    if not (folder / "train.toml").is_file():
        raise ValueError(
            f"{folder} has no train.toml with the settings of a training. Name a folder of "
            f"{folder.parent} that has one, or give no name to train all of them."
        )
    check_replaceable(model_files(folder))
    with open(folder / "train.toml", "rb") as stream:
        settings = tomllib.load(stream)["train"]
    library = read_pack(pack)
    progress(f"{folder.name}: {len(library.names)} spectra, {len(library.step)} reference points")
    everything = prepare_set(settings, library)
    held = library.held_out
    points = np.arange(len(library.step))
    known = everything.take(np.flatnonzero(~held), points)
    apart = everything.take(np.flatnonzero(held), points[:0])
    progress(f"{folder.name}: normalised; training")
    network = fit_network(settings, known)
    progress(f"{folder.name}: cross-validating")
    error, figures = validate(
        lambda part: fit_network(settings, part),
        network,
        known=known,
        apart=apart,
        folds=int(settings.get("folds", FOLDS)),
    )
    network = eqx.tree_at(lambda n: n.error, network, error)
    card = describe(folder.name, settings, network=network, known=known, figures=figures)
    if (folder / "card.toml").is_file():
        # what real stars say of the physics outlives a training; its figures name their weights
        card |= {k: v for k, v in read_card(folder).items() if k == "mismatch"}
    write_model(folder, network, card)
    return card


def _size(network: BasisNetwork | PixelNetwork, settings: Mapping[str, Any]) -> dict[str, int]:
    if isinstance(network, BasisNetwork):
        return {"rank": len(network.basis), "features": network.features.size}
    return {"neurons": network.hidden.shape[1], "epochs": int(settings.get("epochs", EPOCHS))}


def describe(
    name: str,
    settings: Mapping[str, Any],
    *,
    network: BasisNetwork | PixelNetwork,
    known: TrainingSet,
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
            **_size(network, settings),
            "names": list(known.names),
            "reference_names": list(known.reference_names),
        },
        "validation": dict(figures),
        "density": density_table(),
    }
