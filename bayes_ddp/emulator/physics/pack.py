"""Reading, extending and writing the folder of a pack of physical spectra.

``spectra.safetensors`` has codes and labels, ``index.csv`` the names (first column, which the
synthesis reads as the list of finished spectra), ``card.toml`` the sources and the checksum. New
spectra are appended (see ``codec``). Directions are compressed by LZMA, which saves 40 %.
"""

import hashlib
import json
import lzma
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from bayes_ddp.emulator.density import density_table
from bayes_ddp.emulator.physics.codec import Code, empty_code, encode_log, extend, grow, project
from bayes_ddp.files.checksums import check_sha256, sha256_of
from bayes_ddp.files.outputs import check_replaceable
from bayes_ddp.files.paths import write_atomic
from bayes_ddp.files.toml import to_toml
from bayes_ddp.labels import LABELS

__all__ = [
    "FWHM",
    "NODES",
    "NORM_UNIT",
    "WAVE",
    "StoredSpectra",
    "is_held_out",
    "keep_lossless",
    "load_arrays",
    "read_spectrum",
    "read_tensors",
]

WAVE = 3580.0 + 0.4 * np.arange(15701)
"""[pixel], Å vacuum, rest frame."""

FWHM = 1.0
"""Å, Gaussian LSF of the stored spectra."""

NODES = WAVE[::50]
NORM_UNIT = 1 / 40000
NORM_TARGET = 5e-4
DIFFERENCE_TARGET, DIFFERENCE_SHARE = 3e-5, 0.02
MOST_HELD_OUT = 128

CITATION = (
    "ATLAS9 ODFNEW (Castelli & Kurucz 2003); C3K / ATLAS12 (Conroy, Kurucz); synspec (Hubeny & "
    "Lanz 2017); linemake (Placco et al. 2021) and its sources; Barklem et al. (2000); Asplund et "
    "al. (2009)"
)


def is_held_out(name: str) -> bool:
    """Whether a random spectrum (``g_00012``) is excluded from training; no reference point is."""
    return name.startswith("g_") and hashlib.sha256(name.encode()).digest()[0] % 10 == 0


def _first_row(spectrum: Mapping[str, Any]) -> Mapping[str, Any]:
    """The spectrum, or the central spectrum of a reference point, which has one row per step."""
    if spectrum["labels"].ndim == 1:
        return spectrum
    return {key: spectrum[key][0] for key in ("labels", "norm", "cont")}


@dataclass(frozen=True)
class StoredSpectra:
    """The compressed spectra of a pack.

    names : [spectrum], including reference points. mean : [pixel] float32. norm : code of
    norm - mean. Norm differences, 15 rows per reference point in the order of the names, are
    ``shared`` [row, rank] coefficients on the directions of ``norm``, plus ``difference``, the
    code of their residuals. rms : [spectrum] float32, coding error in units of norm.
    arrays : labels [spectrum, label], step [point, label], and the coded continua.
    """

    names: tuple[str, ...]
    mean: np.ndarray
    norm: Code
    difference: Code
    shared: np.ndarray
    rms: np.ndarray
    arrays: Mapping[str, np.ndarray]

    @classmethod
    def empty(cls) -> "StoredSpectra":
        """A pack without spectra."""
        size, nodes = len(LABELS), len(NODES)
        arrays: dict[str, np.ndarray] = {
            "labels": np.zeros((0, size)),
            "step": np.zeros((0, size)),
            "cont": np.zeros((0, nodes), np.uint16),
            "cont_ends": np.zeros((0, 2), np.float32),
            "step_cont": np.zeros((0, size, nodes), np.uint16),
            "step_cont_ends": np.zeros((0, size, 2), np.float32),
        }
        pixels = len(WAVE)
        blank = np.zeros(0, np.float32)
        shared = np.zeros((0, 0), np.float16)
        return cls((), blank, empty_code(pixels), empty_code(pixels), shared, blank, arrays)

    def differences(self) -> np.ndarray:
        """[15 point, pixel] float32, norm after a step minus norm of the point."""
        rows: np.ndarray = self.shared.astype(np.float32) @ self.norm.basis
        rows += self.difference.decode()
        return rows

    @classmethod
    def read(cls, pack: Path) -> "StoredSpectra":
        """The spectra of the pack in a folder; ValueError if the checksum is not the card's."""
        names, arrays = read_tensors(pack)
        codes = {}
        for kind in ("norm", "difference"):
            scale, found = arrays.pop(f"{kind}_scale"), arrays.pop(f"{kind}_coefficients")
            raw = lzma.decompress(arrays.pop(f"{kind}_directions").tobytes())
            directions = np.frombuffer(raw, np.int8).reshape(len(scale), len(WAVE))
            codes[kind] = Code(directions, scale, found)
        mean, rms, shared = (arrays.pop(key) for key in ("mean", "rms", "shared"))
        return cls(names, mean, codes["norm"], codes["difference"], shared, rms, arrays)

    def take(self, spectra: Sequence[Mapping[str, Any]]) -> "StoredSpectra":
        """The pack with more spectra, from ``read_spectrum``."""
        points = [item for item in spectra if item["labels"].ndim == 2]
        first = [_first_row(item) for item in spectra]
        rows = np.array([item["norm"] for item in first]) * np.float32(NORM_UNIT)
        mean = self.mean if len(self.names) else rows.mean(axis=0)
        norm, error = extend(self.norm, rows - mean, np.full(len(rows), NORM_TARGET))
        cont, ends = encode_log(np.array([item["cont"] for item in first]))
        new = {
            "labels": np.array([item["labels"] for item in first], float),
            "cont": cont,
            "cont_ends": ends,
        }
        difference, shared = self.difference, self.shared
        if points:
            steps = np.array([item["norm"] for item in points]).astype(np.float32)
            change = ((steps[:, 1:] - steps[:, :1]) * np.float32(NORM_UNIT)).reshape(-1, len(WAVE))
            own = np.sqrt(np.mean(change.astype(float) ** 2, axis=1))
            target = np.maximum(DIFFERENCE_TARGET, DIFFERENCE_SHARE * own)
            shared = grow(shared, project(change, norm.basis))
            difference, _ = extend(difference, change, target)
            cont, ends = encode_log(np.array([item["cont"][1:] for item in points]))
            new |= {"step_cont": cont, "step_cont_ends": ends}
            new["step"] = np.array([item["step"] for item in points], float)
        arrays = {
            key: np.concatenate([old, new[key]]) if key in new else old
            for key, old in self.arrays.items()
        }
        names = (*self.names, *(item["name"] for item in spectra))
        rms = np.concatenate([self.rms, error.astype(np.float32)])
        if shared.shape[1] < len(norm.scale):
            shared = grow(shared, np.zeros((0, len(norm.scale)), np.float16))
        return StoredSpectra(names, mean, norm, difference, shared, rms, arrays)

    def write(self, pack: Path) -> None:
        """Write arrays, index and card into the folder; OutputError if a file is not ours."""
        arrays = dict(self.arrays) | {"mean": self.mean, "rms": self.rms, "shared": self.shared}
        for kind, code in (("norm", self.norm), ("difference", self.difference)):
            arrays[f"{kind}_scale"] = code.scale
            arrays[f"{kind}_coefficients"] = code.coefficients
            packed = lzma.compress(code.directions.tobytes())
            arrays[f"{kind}_directions"] = np.frombuffer(packed, np.uint8)
        kinds = [_kind(name) for name in self.names]
        header = ",".join(["name", "kind", "coding_rms", *(row.name for row in LABELS)])
        lines = [
            ",".join([name, kind, f"{rms:.1e}", *(f"{value:.4f}" for value in labels)])
            for name, kind, rms, labels in zip(
                self.names, kinds, self.rms, arrays["labels"], strict=True
            )
        ]
        check_replaceable(pack / name for name in ("index.csv", "spectra.safetensors"))
        write_atomic(pack / "index.csv", "\n".join([header, *lines]) + "\n")
        counts = {kind: kinds.count(kind) for kind in ("training", "held-out", "reference")}
        card = {
            "name": pack.name,
            "description": "LTE spectra of FGK stars computed for this project, low-rank coded",
            "spectra": counts,
            "coding": {
                "norm_rms_below": NORM_TARGET,
                "norm_rank": len(self.norm.scale),
                "difference_rms_below": DIFFERENCE_TARGET,
                "difference_share_below": DIFFERENCE_SHARE,
                "difference_rank": len(self.difference.scale),
            },
        }
        _write_tensors(pack, self.names, arrays, card=card)


def _kind(name: str) -> str:
    if name.startswith("ref_"):
        return "reference"
    return "held-out" if is_held_out(name) else "training"


def read_tensors(folder: Path) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """(names, arrays) of ``folder/spectra.safetensors``.

    Raises ValueError if there is no such file or its checksum is not that of the card.
    """
    path = folder / "spectra.safetensors"
    if not path.is_file():
        raise ValueError(f"{folder} has no spectra.safetensors: add spectra with `make physics`.")
    check_sha256(path)
    with safe_open(path, "np") as tensors:
        names = tuple(json.loads(tensors.metadata()["names"]))
        return names, {key: tensors.get_tensor(key) for key in tensors.keys()}


def _write_tensors(
    folder: Path, names: Sequence[str], arrays: Mapping[str, np.ndarray], *, card: dict[str, Any]
) -> None:
    path = folder / "spectra.safetensors"
    check_replaceable([path, folder / "card.toml"])
    solid = {key: np.ascontiguousarray(value) for key, value in sorted(arrays.items())}
    write_atomic(path, save(solid, {"names": json.dumps(list(names))}))
    common = {
        "wave": {"start": float(WAVE[0]), "stop": float(WAVE[-1]), "step": 0.4, "fwhm": FWHM},
        "abundance_scale": "Asplund+2009",
        "calscale": "LTE-1D uncalibrated",
        "sha256": sha256_of(path),
        "citation": CITATION,
        "density": density_table(),
    }
    write_atomic(folder / "card.toml", to_toml(card | common))


def keep_lossless(spectra: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Append the held-out ones of ``spectra`` to the lossless file, up to 128 in total."""
    wanted = [item for item in spectra if is_held_out(item["name"])]
    names: tuple[str, ...] = ()
    arrays: dict[str, np.ndarray] = {}
    if (folder / "card.toml").exists():
        names, arrays = read_tensors(folder)
    wanted = [item for item in wanted if item["name"] not in names][: MOST_HELD_OUT - len(names)]
    if not wanted:
        return
    new = {
        "labels": np.array([item["labels"] for item in wanted], float),
        "norm": np.array([item["norm"] for item in wanted], np.uint16),
        "cont": np.array([item["cont"] for item in wanted], np.float32),
    }
    joined = {k: np.concatenate([arrays[k], v]) if k in arrays else v for k, v in new.items()}
    names = (*names, *(item["name"] for item in wanted))
    card = {
        "name": folder.name,
        "description": "Physical spectra without coding loss, on which nothing was trained",
        "number": len(names),
        "names": list(names),
        "norm_unit": NORM_UNIT,
    }
    _write_tensors(folder, names, joined, card=card)


def load_arrays(path: Path, names: Iterable[str]) -> dict[str, Any]:
    """The named arrays of a file of the synthesis; raises ValueError if it lacks one."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in names}
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"{path.name} is no spectrum of the synthesis ({error}); remove it."
        ) from error


def read_spectrum(path: Path) -> dict[str, Any]:
    """Name and arrays of one computed spectrum or reference point.

    Raises ValueError if a file does not have the arrays that the synthesis writes.
    """
    rows = (1 + len(LABELS),) if path.stem.startswith("ref_") else ()
    shapes = {"labels": (*rows, len(LABELS)), "norm": (*rows, len(WAVE)), "cont": (*rows, 315)}
    if rows:
        shapes["step"] = (len(LABELS),)
    data = load_arrays(path, shapes)
    for key, shape in shapes.items():
        if data[key].shape != shape or not np.isfinite(data[key]).all():
            raise ValueError(
                f"{path.name}: '{key}' has shape {data[key].shape} or values that are not finite; "
                f"the synthesis writes {shape}. Compute it again."
            )
    if data["norm"].dtype != np.uint16 or (data["cont"] <= 0).any():
        raise ValueError(f"{path.name}: norm must be uint16 and cont positive. Compute it again.")
    return {"name": path.stem, **data}
