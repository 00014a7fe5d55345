"""Files of the steps of a run: draws of distances and orbits, one file per part and step."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from bayes_ddp.files.errors import BadFileError
from bayes_ddp.files.outputs import is_ours
from bayes_ddp.galaxy.draws import open_draws, write_draws
from bayes_ddp.galaxy.motion import Astrometry
from bayes_ddp.galaxy.photometry import Photometry
from bayes_ddp.galaxy.records import DistancePosterior, OrbitPosterior

__all__ = ["FOLDERS", "fingerprint", "remove_others", "store", "stored", "stored_cards"]

FOLDERS = ("distance", "orbit")
"""Folders of the output with the files of the steps."""

_MARK = "STEPMARK"


def fingerprint(
    before: str,
    settings: Any,
    joined: Photometry | Astrometry,
    *,
    errors: np.ndarray | None = None,
) -> str:
    """SHA-256 of what a step is computed from.

    before : fingerprint of the part, or of the step before. settings : with a ``repr`` that shows
    all of them. joined : rows of other tables. errors : systematic errors of labels.
    """
    digest = hashlib.sha256(f"{before} {_code()} {settings!r}".encode())
    for item in fields(joined):
        digest.update(np.ascontiguousarray(getattr(joined, item.name)))
    if errors is not None:
        digest.update(np.ascontiguousarray(errors))
    return digest.hexdigest()


@cache
def _code() -> str:
    """A hash of the source of the package ``galaxy``."""
    home, digest = Path(__file__).resolve().parents[1] / "galaxy", hashlib.sha256()
    for path in sorted(home.rglob("*.py")):
        digest.update(path.relative_to(home).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def stored[Record: (DistancePosterior, OrbitPosterior)](
    path: Path, mark: str, read: Callable[[Path], Record]
) -> Record | None:
    """The record in a file with this fingerprint; None if there is none, or it is damaged."""
    try:
        return read(path) if path.is_file() and stored_cards(path).get(_MARK) == mark else None
    except BadFileError:
        return None


def store(
    path: Path,
    record: DistancePosterior | OrbitPosterior,
    mark: str,
    *,
    cards: Mapping[str, Any] | None = None,
) -> None:
    """Write a record with its fingerprint; ``cards`` are kept with it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_draws(path, record, {**(cards or {}), _MARK: mark})


def stored_cards(path: Path) -> dict[str, Any]:
    """The cards that were stored with a record, and its fingerprint."""
    found: dict[str, Any] = json.loads(open_draws(path).attrs.get("provenance", "{}"))
    return found


def remove_others(output: Path, used: Sequence[Path]) -> None:
    """Remove files of the steps that belong to other settings; files of others are kept."""
    for name in FOLDERS:
        folder = output / name
        for path in sorted(folder.glob("*.nc")) if folder.is_dir() else []:
            if path not in used and is_ours(path):
                path.unlink()
        if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
            folder.rmdir()
