"""Normalised spectra with labels on a working grid, from the pack of physical spectra."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayes_ddp.emulator.density import trained_space
from bayes_ddp.emulator.physics.library import PhysicsLibrary, degrade
from bayes_ddp.labels import LabelSpace
from bayes_ddp.spectra.masks import rest_continuum_weight
from bayes_ddp.spectra.prepare import BROAD, pseudo_continuum

__all__ = ["TrainingSet", "normalised", "prepare_set"]


@dataclass(frozen=True)
class TrainingSet:
    """Normalised spectra on a working grid.

    wave : [pixel], Å vacuum, rest frame.
    names : [spectrum]. labels : [spectrum, label]. flux : [spectrum, pixel] float32.
    reference_names : [point]. reference_labels : [point, 1 + label, label]. reference_flux :
        [point, 1 + label, pixel]. Row 0 is the point; in row 1 + i label i is increased by a step.
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
            space=self.space,
            wave=self.wave,
            names=tuple(np.array(self.names)[spectra]),
            labels=self.labels[spectra],
            flux=self.flux[spectra],
            reference_names=tuple(np.array(self.reference_names)[points]),
            reference_labels=self.reference_labels[points],
            reference_flux=self.reference_flux[points],
        )


def normalised(
    library: PhysicsLibrary,
    norm: np.ndarray,
    cont: np.ndarray,
    /,
    *,
    wave: np.ndarray,
    fwhm: float,
) -> np.ndarray:
    """[spectrum, pixel out] float32, physical spectra on a working grid over their broad level.

    The kernel of the level is ``BROAD`` wide. The forward model divides by the pseudo-continuum of
    Eq. 1, which is not idempotent where lines are wide, so it is not applied here.

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
    """All spectra of a library, including held-out ones, normalised on the grid of ``settings``.

    settings : table ``[train]`` with ``wave`` (start, stop, step, Å) and ``fwhm`` (Å).
    """
    start, stop, step = settings["wave"]
    wave = start + step * np.arange(round((stop - start) / step) + 1)
    shape = library.reference_norm.shape[:2]
    grid = {"wave": wave, "fwhm": float(settings["fwhm"])}
    flux = normalised(library, library.norm, library.cont, **grid)
    flat = [a.reshape(-1, a.shape[-1]) for a in (library.reference_norm, library.reference_cont)]
    reference = normalised(library, *flat, **grid).reshape(*shape, len(wave))
    return TrainingSet(
        space=trained_space(),
        wave=wave,
        names=library.names,
        labels=library.labels,
        flux=flux,
        reference_names=library.reference_names,
        reference_labels=library.reference_labels,
        reference_flux=reference,
    )
