"""Draws of distances and orbits as a file beside the table that summarises them.

A netCDF file with dimensions ``draw``, ``star`` and, for distances, ``param``: the label axis,
which has this name since ArviZ fails on a dimension called ``label``. Quantities and labels are
float32. Writing is atomic, and a file that this program did not write is never replaced.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bayes_ddp.files.errors import BadFileError
from bayes_ddp.files.outputs import check_replaceable, write_signed
from bayes_ddp.files.paths import check_file
from bayes_ddp.galaxy.records import DistancePosterior, OrbitPosterior

__all__ = ["open_draws", "read_distance_draws", "read_orbit_draws", "write_draws"]

_FORMAT = {
    DistancePosterior: "bayes_ddp distance draws 1",
    OrbitPosterior: "bayes_ddp orbit draws 1",
}
"""Attribute ``format`` of the file of each record."""

_PACKED = {"zlib": True, "complevel": 1, "shuffle": True}


def write_draws(
    path: Path,
    record: DistancePosterior | OrbitPosterior,
    provenance: Mapping[str, str | int | float] | None = None,
) -> None:
    """Write a record to ``path`` (.nc), at once or not at all.

    provenance : keyword -> what the draws were made from; the attribute ``provenance`` as JSON.

    Raises OutputError where a file that is not ours has that name.
    """
    check_replaceable([path])
    data: dict[str, Any] = {
        f"quantity_{name}": (("draw", "star"), values.astype(np.float32))
        for name, values in record.quantities.items()
    }
    data["log_weight"] = (("draw", "star"), record.log_weight)
    data["warn"] = (("star",), np.asarray(record.warn, np.int64))
    data |= {f"diagnostic_{n}": (("star",), v) for n, v in record.diagnostics.items()}
    coords: dict[str, Any] = {"star": [str(name) for name in record.ids]}
    if isinstance(record, DistancePosterior):
        data["labels"] = (("draw", "star", "param"), record.labels.astype(np.float32))
        coords["param"] = list(record.label_names)
    attrs = {"format": _FORMAT[type(record)], "provenance": json.dumps(dict(provenance or {}))}
    encoding = {n: _PACKED for n, (axes, v) in data.items() if "draw" in axes and v.size}
    dataset = xr.Dataset(data, coords=coords, attrs=attrs)
    with write_signed(path) as temporary:
        dataset.to_netcdf(temporary, engine="h5netcdf", encoding=encoding)


def open_draws(path: Path | str) -> xr.Dataset:
    """A file of draws as a Dataset, in memory; variables ``quantity_dist`` and so on [draw star].

    Raises BadFileError for files that hold no draws of distances or orbits.
    """
    check_file(path)
    try:
        data = xr.load_dataset(path, engine="h5netcdf")
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise BadFileError(f"{path} cannot be read as netCDF ({reason}). Make it anew.") from None
    if data.attrs.get("format") not in _FORMAT.values():
        raise BadFileError(
            f"{path} holds no draws of distances or orbits. Give the .nc file that `bayes-ddp "
            "distance` or `bayes-ddp orbit` wrote beside its table."
        )
    return data


def read_distance_draws(path: Path | str) -> DistancePosterior:
    """The record that ``write_draws`` wrote; BadFileError for any other file."""
    data = _opened(path, DistancePosterior)
    return DistancePosterior(
        labels=data["labels"].values.astype(float),
        label_names=tuple(map(str, data["param"].values)),
        **_shared(data),
    )


def read_orbit_draws(path: Path | str) -> OrbitPosterior:
    """The record that ``write_draws`` wrote; BadFileError for any other file."""
    return OrbitPosterior(**_shared(_opened(path, OrbitPosterior)))


def _opened(path: Path | str, kind: type) -> xr.Dataset:
    data = open_draws(path)
    if data.attrs["format"] != _FORMAT[kind]:
        raise BadFileError(f"{path} holds '{data.attrs['format']}', not '{_FORMAT[kind]}'.")
    return data


def _shared(data: xr.Dataset) -> dict[str, Any]:
    """The fields of a record that both kinds have."""

    def named(prefix: str) -> dict[str, np.ndarray]:
        found = [str(n) for n in data.data_vars if str(n).startswith(prefix)]
        return {name.removeprefix(prefix): data[name].values for name in found}

    quantities = {name: values.astype(float) for name, values in named("quantity_").items()}
    found = {
        "ids": np.array([str(name) for name in data["star"].values], str),
        "log_weight": data["log_weight"].values,
        "quantities": quantities,
        "warn": data["warn"].values,
        "diagnostics": named("diagnostic_"),
    }
    return {field.name: found[field.name] for field in fields(OrbitPosterior)}
