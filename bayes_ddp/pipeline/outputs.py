"""Checks of the output folder of a run before a star is fitted.

Files that are not ours, and files that are inputs, are never replaced (``files.outputs``). A
finished catalogue is replaced by the same run, or by one with more files; by one with other
settings only with ``overwrite``, since labels and draws would be lost.
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bayes_ddp import config
from bayes_ddp.catalog.fits import read_catalogue
from bayes_ddp.emulator.card import find_model
from bayes_ddp.files.errors import OutputError
from bayes_ddp.files.outputs import check_apart, check_replaceable
from bayes_ddp.inference.parts import find_parts

__all__ = ["check_labels_remain", "check_outputs", "remove_parts"]

_FREE = ("output.directory", "output.pictures", "input.skipexisting")
"""Settings that affect neither labels nor draws."""
_STEPS = ("distance.", "orbit.")
"""Tables whose results are made from labels and draws, and can be made again."""
_GROWING = ("input.spectra", "input.redshifts")
"""Settings that may list more files than before."""
_FILES = ("input.catalog", "emulator.name")

_PART = re.compile(r".*-[0-9a-f]{12}\.nc")
_NEXT = "Choose another folder with --output, or replace it with --overwrite."


def check_outputs(settings: config.Run, *, overwrite: bool) -> None:
    """Raise OutputError if a run would replace files that it must not replace.

    overwrite : whether a finished catalogue with other settings may be replaced.
    """
    folder, source = Path(settings.output.directory), settings.input
    catalogue, run_file = folder / "catalogue.fits", folder / "run.toml"
    inputs = [*source.spectra, *source.redshifts, *([source.catalog] if source.catalog else [])]
    check_apart((catalogue, run_file), [*inputs, *find_model(settings.emulator.name).iterdir()])
    check_replaceable((catalogue, run_file))
    if overwrite or not catalogue.exists():
        return
    try:
        old = config.load(run_file)
    except config.ConfigError:
        raise OutputError(
            f"{catalogue} is finished, but no run.toml with its settings is beside it. {_NEXT}"
        ) from None
    changed = _changed(old, settings)
    if changed:
        raise OutputError(f"{catalogue} was made with other settings: {changed}. {_NEXT}")


def check_labels_remain(catalogue: Path) -> None:
    """Raise OutputError if a catalogue with labels would be replaced by one without labels."""
    if catalogue.exists():
        number = int(np.isfinite(np.asarray(read_catalogue(catalogue)["CHI2"])).sum())
        if number:
            raise OutputError(
                f"No spectrum was fitted now, and {catalogue} has labels of {number}, so it was "
                "left as it is. Look whether the catalogue or the redshift files of the run have "
                "changed, or replace it with --overwrite."
            )


def remove_parts(folder: Path, paths: Sequence[Path]) -> None:
    """Remove these parts of a run, and the folder if it is then empty.

    A part is recognised by its name and content; other files are kept.
    """
    for path in find_parts(folder):
        if path in paths and _PART.fullmatch(path.name):
            path.unlink()
    if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
        folder.rmdir()


def _changed(old: config.Run, new: config.Run) -> str:
    """Text of the settings whose change would lose results of the old run; empty if none."""
    before, after = _flat(config.as_table(old)), _flat(config.as_table(new))
    keys = [key for key in dict.fromkeys([*before, *after]) if key not in _FREE]
    keys = [key for key in keys if not key.startswith(_STEPS)]
    changes = []
    for key in keys:
        was, now = before.get(key), after.get(key)
        if was != now and not _kept(key, was, now, old=old, new=new):
            changes.append(f"{key} was {_words(was)} and is {_words(now)}")
    return "; ".join(changes)


def _kept(key: str, was: Any, now: Any, *, old: config.Run, new: config.Run) -> bool:
    """Whether a changed setting still includes all results of the old one."""
    if key in _GROWING or (key in _FILES and was and now):
        known = _paths(now, new.output.directory)
        return all(known & _paths(path, old.output.directory) for path in _list(was))
    return key == "output.draws" and bool(now)


def _paths(paths: Any, folder: str) -> set[str]:
    """Resolved paths, absolute and relative to the output folder, which may have been moved."""
    found = {os.path.realpath(path) for path in _list(paths)}
    return found | {os.path.relpath(path, folder) for path in _list(paths)}


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one table with dotted keys, such as ``{"input.minsn": 10.0}``."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{prefix}{key}"
        flat |= _flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return flat


def _words(value: Any) -> str:
    if value is None:
        return "not set"
    many = isinstance(value, list | tuple) and len(value) > 3
    return f"{value[0]!r} and {len(value) - 1} more" if many else repr(value)
