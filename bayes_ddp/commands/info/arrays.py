"""Content of a table or an archive of arrays, as needed to write [input.table]."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bayes_ddp.spectra.content import read_content
from bayes_ddp.spectra.image import stated_air
from bayes_ddp.spectra.units import column_unit

__all__ = ["describe_arrays"]


def describe_arrays(path: Path) -> tuple[dict[str, Any], list[str]]:
    """(figures, lines to print): shape, type and range of every array, and names of metadata.

    Raises BadFileError for a file that is not a table or an archive of arrays.
    """
    content = read_content(path)
    arrays = {name: _figures(values) for name, values in content.arrays.items()}
    figures = {"kind": "arrays", "arrays": arrays, "metadata": list(content.meta)[:200]}
    lines = [f"arrays in {path.suffix.removeprefix('.')}, not in the format of a survey"]
    for name, facts in arrays.items():
        shape = " x ".join(map(str, facts["shape"])) or "one"
        span = (
            ""
            if facts["range"] is None
            else f", {facts['range'][0]:.6g} to {facts['range'][1]:.6g}"
        )
        unit = column_unit(path, content.meta, name)
        lines.append(f"  {name}: {shape} {facts['type']}{span}{' ' * bool(unit)}{unit}")
    lines.append(f"  wavelengths: {_stated(content.meta)}")
    if content.meta:
        lines.append(f"  metadata: {', '.join(list(content.meta)[:8])}")
    lines.append("  to fit them: survey = 'table' and [input.table] in a run file, docs/tables.md")
    return figures, lines


def _stated(meta: Mapping[str, Any]) -> str:
    """Text on medium and unit of the wavelengths, from the metadata or by default."""
    air = stated_air(meta)
    medium = "in air" if air else "in vacuum" if air is False else "air or vacuum is not stated"
    unit = meta.get("wave_unit")
    return f"{medium}, {f'in {unit}' if unit else 'in Å unless a unit is given'}"


def _figures(values: np.ndarray) -> dict[str, Any]:
    facts: dict[str, Any] = {"shape": list(values.shape), "type": values.dtype.name, "range": None}
    if values.dtype.kind in "iuf" and np.isfinite(values).any():
        known = values[np.isfinite(values)]
        facts["range"] = [float(known.min()), float(known.max())]
    return facts
