"""Training a ``BasisNetwork`` on the physical spectra, from a ``train.toml`` and nothing else.

Spectra are degraded to the working grid and divided by their pseudo-continuum with the operator
that ``prepare`` uses on data. The network is a ridge regression: flux rows at the spectra, and
difference rows at the reference points, each compared with the network's own difference at the
same step and divided by a share of its own size, so that the gradient of a weak element counts as
much as that of iron. It takes seconds and has no random start.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bayes_ddp.emulator.card import describe, read_card, write_model
from bayes_ddp.emulator.density import trained_space
from bayes_ddp.emulator.features import evaluate, make_features
from bayes_ddp.emulator.network import BasisNetwork
from bayes_ddp.emulator.physics import PhysicsLibrary, degrade, read_pack
from bayes_ddp.emulator.ridge import principal_rows, ridge_solve
from bayes_ddp.emulator.validate import validate
from bayes_ddp.labels import LabelSpace
from bayes_ddp.spectra.masks import rest_continuum_weight
from bayes_ddp.spectra.prepare import BROAD, pseudo_continuum

__all__ = ["TrainingSet", "fit_network", "normalised", "prepare_set", "train", "train_model"]

FLUX_ERROR, GRADIENT_FLOOR = 1e-3, 3e-5


@dataclass(frozen=True)
class TrainingSet:
    """Normalised spectra on a working grid.

    names, labels [spectrum, label], flux [spectrum, pixel] float32; the same for the reference
    points, whose rows [point, 1 + label] are the point and then each label raised by one step.
    """

    space: LabelSpace
    wave: np.ndarray
    names: tuple[str, ...]
    labels: np.ndarray
    flux: np.ndarray
    reference_names: tuple[str, ...]
    reference_labels: np.ndarray
    reference_flux: np.ndarray

    def take(self, spectra: np.ndarray, points: np.ndarray) -> "TrainingSet":
        """The set with these spectra and these reference points only."""
        return TrainingSet(
            self.space, self.wave,
            tuple(np.array(self.names)[spectra]), self.labels[spectra], self.flux[spectra],
            tuple(np.array(self.reference_names)[points]), self.reference_labels[points],
            self.reference_flux[points],
        )  # fmt: skip


def normalised(
    library: PhysicsLibrary,
    norm: np.ndarray,
    cont: np.ndarray,
    /,
    *,
    wave: np.ndarray,
    fwhm: float,
) -> np.ndarray:
    """[spectrum, pixel] float32: physical spectra on a working grid over their broad level.

    The level is ``BROAD`` wide. The pseudo-continuum of Eq. 1 is each star's own affair: dividing
    by it here as well would normalise twice, and twice is not once where lines are wide.

    norm : [spectrum, pixel]. cont : [spectrum, node]. wave : [pixel out], Å. fwhm : Å.
    """
    nodes = library.wave[::50]
    weight = rest_continuum_weight(wave).astype(float)
    result = np.empty((len(norm), len(wave)), np.float32)
    for start in range(0, len(norm), 64):
        part = slice(start, start + 64)
        level = np.array([np.interp(library.wave, nodes, row) for row in cont[part]])
        flux = degrade(library.wave, norm[part] * level, library.fwhm, wave=wave, fwhm=fwhm)
        level = pseudo_continuum(wave, flux, np.broadcast_to(weight, flux.shape), length=BROAD)
        result[part] = flux / level
    return result


def prepare_set(settings: Mapping[str, Any], library: PhysicsLibrary) -> TrainingSet:
    """All spectra of a library, held-out ones too, normalised on the grid of ``settings``."""
    start, stop, step = settings["wave"]
    wave = start + step * np.arange(round((stop - start) / step) + 1)
    shape = library.reference_norm.shape[:2]
    grid = {"wave": wave, "fwhm": float(settings["fwhm"])}
    flux = normalised(library, library.norm, library.cont, **grid)
    flat = [a.reshape(-1, a.shape[-1]) for a in (library.reference_norm, library.reference_cont)]
    reference = normalised(library, *flat, **grid).reshape(*shape, len(wave))
    return TrainingSet(
        trained_space(), wave, library.names, library.labels, flux,
        library.reference_names, library.reference_labels, reference,
    )  # fmt: skip


def fit_network(settings: Mapping[str, Any], known: TrainingSet) -> BasisNetwork:
    """A network trained on everything in ``known``; its ``error`` is zero until validated.

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
        features, weight, mean.astype(np.float32), basis.astype(np.float32),
        np.zeros(len(known.wave), np.float32), known.wave, float(settings["fwhm"]),
    )  # fmt: skip


def train(settings: Mapping[str, Any], library: PhysicsLibrary) -> BasisNetwork:
    """A network trained on all spectra of ``library`` that are not held out.

    Raises ValueError if the library has fewer than twenty spectra to train on.
    """
    known = prepare_set(settings, library)
    use = ~library.held_out
    if use.sum() < 20:
        raise ValueError(
            f"The pack has {use.sum()} spectra to train on, at least 20 are needed: take in more "
            'with `make physics DIRS="..."`.'
        )
    return fit_network(settings, known.take(np.flatnonzero(use), np.arange(len(library.step))))


def train_model(
    folder: Path, pack: Path, *, progress: Callable[[str], None] = lambda text: None
) -> dict[str, Any]:
    """Train, validate and write the model that ``folder/train.toml`` describes; gives its card.

    progress : called with one line for each stage.
    """
    if not (folder / "train.toml").is_file():
        raise ValueError(
            f"{folder} has no train.toml, which tells how a model is trained. Name a folder of "
            f"{folder.parent} that has one, or give no name to train all of them."
        )
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
        lambda part: fit_network(settings, part), network, known=known, apart=apart
    )
    network = BasisNetwork(
        network.features, network.weight, network.mean, network.basis, error, network.wave,
        network.fwhm,
    )  # fmt: skip
    card = describe(folder.name, settings, network=network, known=known, figures=figures)
    if (folder / "card.toml").is_file():
        # what real stars say of the physics outlives a training; its figures name their weights
        card |= {k: v for k, v in read_card(folder).items() if k == "mismatch"}
    write_model(folder, network, card)
    return card
