"""Physical spectra and their finite differences at reference points, as models of their own.

A reference point has one spectrum and one more for each label, raised by its step. Points of the
pack ``physics-lte`` have an LSF of 1.0 Å, those of ``fine-lte`` 0.25 Å: sharp enough for
instruments that resolve more than any emulator here. Between points nothing is interpolated; the
nearest one stands for a star, and its labels are part of every result.
"""

import json
import lzma
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from safetensors.numpy import save

from bayes_ddp.emulator.card import find_model
from bayes_ddp.emulator.network import Card
from bayes_ddp.emulator.physics.library import read_pack
from bayes_ddp.emulator.physics.pack import CITATION, NORM_UNIT, load_arrays, read_tensors
from bayes_ddp.files.checksums import sha256_of
from bayes_ddp.files.outputs import check_replaceable
from bayes_ddp.files.paths import write_atomic
from bayes_ddp.files.toml import to_toml
from bayes_ddp.labels import LABELS, LabelSpace

__all__ = ["PACKS", "ReferencePoint", "nearest_point", "reference_points", "take_in_fine"]

PACKS = ("physics-lte", "fine-lte")
"""Packs with reference points, the broader LSF first."""

FINE_WAVE = 3580.0 + 0.1 * np.arange(62801)
FINE_FWHM = 0.25
REACH = {"teff": 500.0, "logg": 0.75, "feh": 0.5}
"""Largest difference, of each of these labels, at which a point stands for a star."""


class ReferencePoint(eqx.Module):
    """A spectrum and its differences by each label: an emulator that is linear about one point.

    labels : [label]. rows : [1 + label, pixel] float32, flux over true continuum and its gradient
    per label unit. rounding : [label], standard deviation of the gradient that rounding of the
    stored flux leaves, per label unit.
    """

    name: str = eqx.field(static=True)
    space: LabelSpace = eqx.field(static=True)
    labels: Float[Array | np.ndarray, " label"]
    rows: Float[Array | np.ndarray, "row pixel"]
    rounding: Float[Array | np.ndarray, " label"]
    wave: Float[Array | np.ndarray, " pixel"]
    fwhm: float = eqx.field(static=True)
    card: Card | None = eqx.field(static=True, default=None)

    def __repr__(self) -> str:
        teff, logg, _, feh = (float(x) for x in self.labels[:4])
        return (
            f"<ReferencePoint {self.name}: Teff {teff:.0f} K, log g {logg:.2f}, "
            f"[Fe/H] {feh:+.2f}, FWHM {self.fwhm:.2f} Å>"
        )

    @property
    def error(self) -> np.ndarray:
        """[pixel], 0: physics is taken as it is."""
        return np.zeros(len(self.wave), np.float32)

    @property
    def reach(self) -> tuple[float, float]:
        """First and last rest wavelength that the spectrum reaches, Å."""
        step = float(self.wave[1] - self.wave[0])
        return float(self.wave[0]) + 2 * step, float(self.wave[-1]) - 2 * step

    def flux_and_gradient(
        self, labels: Float[Array | np.ndarray, " label"]
    ) -> Float[Array, "row pixel"]:
        """[1 + label, pixel]: flux at ``labels`` to first order, and the point's gradient."""
        rows = jnp.asarray(self.rows)
        step = (jnp.asarray(labels) - jnp.asarray(self.labels)).astype(rows.dtype)
        return rows.at[0].add(step @ rows[1:])

    def __call__(self, labels: Float[Array | np.ndarray, " label"]) -> Float[Array, " pixel"]:
        """[pixel], flux over true continuum, to first order about the point."""
        return self.flux_and_gradient(labels)[0]


@lru_cache(maxsize=2)
def reference_points(pack: str) -> tuple[ReferencePoint, ...]:
    """The reference points of a pack of ``PACKS``; raises ValueError where it is not there."""
    folder = find_model(pack)
    if pack == "fine-lte":
        names, labels, step, norm = _read_fine(folder)
        wave, fwhm, noise = FINE_WAVE, FINE_FWHM, np.full(labels.shape[0], _ROUNDING)
    else:
        held = read_pack(folder)
        names, labels, step = held.reference_names, held.reference_labels[:, 0], held.step
        norm, wave, fwhm = held.reference_norm, held.wave, held.fwhm
        noise = np.full(len(names), _CODING)
    names_of = tuple(row.name for row in LABELS)
    points = []
    for i, name in enumerate(names):
        gradient = (norm[i, 1:] - norm[i, :1]) / step[i][:, None]
        low, high = labels[i] - step[i], labels[i] + step[i]
        points.append(
            ReferencePoint(
                name=str(name),
                space=LabelSpace(names_of, tuple(map(float, low)), tuple(map(float, high))),
                labels=labels[i],
                rows=np.concatenate([norm[i, :1], gradient]).astype(np.float32),
                rounding=noise[i] / step[i],
                wave=wave,
                fwhm=fwhm,
            )
        )
    return tuple(points)


_ROUNDING = float(NORM_UNIT / np.sqrt(6.0))  # of the difference of two rounded values
_CODING = 3e-5


def nearest_point(pack: str, labels: np.ndarray) -> ReferencePoint:
    """The point of a pack that is nearest in Teff, log g and [Fe/H].

    labels : [label], in the order of ``LABELS``. Raises ValueError where none lies within
    ``REACH``.
    """
    points = reference_points(pack)
    columns = [[row.name for row in LABELS].index(name) for name in REACH]
    scale = np.array(list(REACH.values()))
    away = np.array([np.asarray(p.labels)[columns] - labels[columns] for p in points]) / scale
    distance = np.abs(away).max(axis=1)
    best = points[int(np.argmin(distance))]
    if distance.min() > 1:
        teff, logg, feh = labels[columns]
        known = ", ".join(
            "({:.0f}, {:.2f}, {:+.2f})".format(*np.asarray(p.labels)[columns])
            for p in sorted(points, key=lambda p: float(distance[points.index(p)]))[:6]
        )
        raise ValueError(
            f"{pack} has no reference point near Teff {teff:.0f} K, log g {logg:.2f}, [Fe/H] "
            f"{feh:+.2f}: a point stands for stars within {REACH['teff']:.0f} K, "
            f"{REACH['logg']:g} and {REACH['feh']:g} dex. Nearest points: {known}."
        )
    return best


def _read_fine(folder: Path) -> tuple[tuple[str, ...], np.ndarray, np.ndarray, np.ndarray]:
    """(names, labels [point label], steps [point label], norm [point, 1 + label, pixel])."""
    names, arrays = read_tensors(folder)
    norm = np.stack([_unpacked(arrays[f"norm_{name}"]) for name in names])
    return names, arrays["labels"], arrays["step"], norm * np.float32(NORM_UNIT)


def _packed(norm: np.ndarray) -> np.ndarray:
    """Bytes of one point's spectra [1 + label, pixel] uint16, without loss.

    The first spectrum as steps from pixel to pixel, the others as differences from it.
    """
    whole = norm.astype(np.int32)
    rows = np.concatenate([np.diff(whole[:1], prepend=0), whole[1:] - whole[:1]])
    return np.frombuffer(lzma.compress(rows.astype("<i4").tobytes()), np.uint8)


def _unpacked(packed: np.ndarray) -> np.ndarray:
    rows = np.frombuffer(lzma.decompress(packed.tobytes()), "<i4").reshape(1 + len(LABELS), -1)
    first = np.cumsum(rows[0])
    return np.concatenate([first[None], first + rows[1:]]).astype(np.float32)


def take_in_fine(
    folders: Iterable[Path], pack: Path, *, progress: Callable[[str], None] = lambda text: None
) -> dict[str, Any]:
    """Add ``fine_*.npz`` of these folders to the pack ``fine-lte``; what it holds then.

    Names already held are skipped. Raises ValueError for a file that is not the synthesis's.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        for pattern in ("fine_*.npz", "*/fine_*.npz"):
            for path in sorted(Path(folder).glob(pattern)):
                if ".part" not in path.name:
                    found.setdefault(path.stem, path)
    held: dict[str, np.ndarray] = {}
    names: list[str] = []
    if (pack / "card.toml").exists():
        old, labels, step, norm = _read_fine(pack)
        names = list(old)
        whole = np.rint(norm / np.float32(NORM_UNIT)).astype(np.uint16)
        held = {f"norm_{n}": _packed(w) for n, w in zip(names, whole, strict=True)}
        held |= {"labels": labels, "step": step}
    new = {name: _read_point(path) for name, path in sorted(found.items()) if name not in names}
    progress(f"{len(new)} new fine points, {len(names)} held")
    if new:
        _write_fine(pack, names, held, new=new)
    return {"fine": len(names) + len(new)}


def _write_fine(
    pack: Path, names: Sequence[str], held: dict[str, np.ndarray], *, new: dict[str, Any]
) -> None:
    path = pack / "spectra.safetensors"
    check_replaceable([path, pack / "card.toml"])
    arrays = dict(held) | {f"norm_{name}": _packed(one["norm"]) for name, one in new.items()}
    size = len(LABELS)
    for key in ("labels", "step"):
        rows = [held.get(key, np.zeros((0, size)))]
        rows += [np.reshape(one[key], (-1, size))[:1] for one in new.values()]
        arrays[key] = np.concatenate(rows)
    every = [*names, *new]
    solid = {key: np.ascontiguousarray(value) for key, value in sorted(arrays.items())}
    write_atomic(path, save(solid, {"names": json.dumps(every)}))
    card = {
        "name": pack.name,
        "description": "LTE spectra and their differences at reference points, FWHM 0.25 Å",
        "points": every,
        "sha256": sha256_of(path),
        "citation": CITATION,
        "wave": {
            "start": float(FINE_WAVE[0]),
            "stop": float(FINE_WAVE[-1]),
            "step": 0.1,
            "fwhm": FINE_FWHM,
        },
    }
    write_atomic(pack / "card.toml", to_toml(card))


def _read_point(path: Path) -> dict[str, np.ndarray]:
    rows, size = 1 + len(LABELS), len(LABELS)
    shapes = {"labels": (rows, size), "step": (size,), "norm": (rows, len(FINE_WAVE))}
    data = load_arrays(path, shapes)
    wrong = [key for key, shape in shapes.items() if data[key].shape != shape]
    if wrong or data["norm"].dtype != np.uint16:
        raise ValueError(f"{path.name}: {wrong or 'norm'} is not as the synthesis writes it.")
    return data
