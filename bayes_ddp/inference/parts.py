"""Reading and writing of part files, each the complete result of one task of a run.

A part has the posterior of every star of the task, the input columns, signal to noise, warnings,
and a fingerprint of code, settings, model and data. Draws are equally weighted; moments and
quantiles are those of all weighted draws. Parts are netCDF files; the label axis has the name
``param``, since ArviZ fails on a dimension ``label``.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bayes_ddp.files.paths import atomic_write
from bayes_ddp.inference.posterior import Posterior
from bayes_ddp.labels import label

__all__ = ["Part", "find_parts", "open_part", "read_draws", "read_part", "write_part"]

FORMAT = "bayes_ddp part 1"
"""Attribute ``format`` of every part; a file without it is never read or deleted as a part."""

_AXES = {
    "draws": ("draw", "star", "param"),
    "log_weight": ("draw", "star"),
    "log_prior": ("draw", "star"),
    "log_likelihood": ("draw", "star"),
    "mode": ("star", "param"),
    "mean": ("star", "param"),
    "covariance": ("star", "param", "other_param"),
    "prior_mean": ("star", "param"),
    "prior_covariance": ("star", "param", "other_param"),
    "velocity": ("star", "value_error"),
    "lsf": ("star", "arm"),
    "chi2": ("star",),
    "pixels": ("star",),
    "rejected": ("star",),
    "warn": ("star",),
}
_INPUTS = ("vrad", "vrad_err", "ebv")

_DAMAGE = (OSError, ValueError, KeyError, RuntimeError)
"""Exceptions of h5netcdf for a damaged file; RuntimeError if the index of HDF5 is damaged."""


@dataclass(frozen=True)
class Part:
    """Input columns and posterior of the stars of one task.

    survey : key of ``SURVEYS``. key : column that identifies a spectrum.
    columns : name -> [star], from the reader.
    vrad, vrad_err, ebv : [star], km/s and mag, NaN if unknown. snr : [star arm], median per
    pixel. posterior : with identifiers, arms and warnings. fingerprint : hash of code, settings,
    model and data. provenance : FITS keyword -> text or number.
    """

    survey: str
    key: str
    columns: dict[str, np.ndarray]
    vrad: np.ndarray
    vrad_err: np.ndarray
    ebv: np.ndarray
    snr: np.ndarray
    posterior: Posterior
    fingerprint: str = ""
    provenance: dict[str, str | int | float] | None = None

    def __len__(self) -> int:
        return len(self.vrad)


def write_part(path: Path, part: Part, *, draws: int) -> None:
    """Write a part to ``path`` atomically, with ``draws`` equally weighted draws per star."""
    with atomic_write(path) as temporary:
        packed = {"draws": {"zlib": True, "complevel": 1, "shuffle": True}}
        data = _to_dataset(replace(part, posterior=part.posterior.equally_weighted(draws)))
        data.to_netcdf(temporary, engine="h5netcdf", encoding=packed)


def read_part(path: Path, fingerprint: str | None = None) -> Part | None:
    """The part in ``path``; None if it is damaged or has another fingerprint."""
    try:
        data = open_part(path)
        if data.attrs.get("format") != FORMAT:
            return None
        if fingerprint is not None and data.attrs["fingerprint"] != fingerprint:
            return None
        return _from_dataset(data)
    except _DAMAGE:
        return None


def open_part(path: Path) -> xr.Dataset:
    """One part as an xarray Dataset in memory; raises an exception of h5netcdf if damaged."""
    return xr.load_dataset(path, engine="h5netcdf")


def find_parts(folder: Path) -> list[Path]:
    """The part files of a folder, sorted by name; other files are left out."""
    return [path for path in sorted(Path(folder).glob("*.nc")) if _is_part(path)]


def _is_part(path: Path) -> bool:
    try:
        with xr.open_dataset(path, engine="h5netcdf") as data:
            return data.attrs.get("format") == FORMAT
    except _DAMAGE:
        return False


def read_draws(folder: Path | str, paths: Iterable[Path] | None = None) -> xr.Dataset:
    """All draws of a run, from the parts in OUTPUT/draws.

    The variables are ``draws`` [draw star param], in the units of ``LABELS``, and ``log_weight``,
    ``log_prior``, ``log_likelihood`` and one per nuisance, each [draw star]; ``star`` is the
    identifier, ``param`` the label. Stars that were not fitted are left out.

    folder : OUTPUT/draws. paths : some of its parts; all of them by default.

    Raises FileNotFoundError if there is no part.
    """
    parts = find_parts(Path(folder)) if paths is None else list(paths)
    if not parts:
        raise FileNotFoundError(
            f"{folder} has no parts of a run: a run writes them to OUTPUT/draws unless [output] "
            "draws = false."
        )
    loaded = []
    for path in parts:
        data = open_part(path)
        kept = [str(n) for n in data.data_vars if data[n].dims[:2] == ("draw", "star")]
        loaded.append(data[kept].isel(star=np.flatnonzero(np.isfinite(data["chi2"].values))))
    return xr.concat(loaded, dim="star", join="exact")


def _to_dataset(part: Part) -> xr.Dataset:
    posterior = part.posterior
    data: dict[str, Any] = {n: (axes, getattr(posterior, n)) for n, axes in _AXES.items()}
    data |= {f"nuisance_{n}": (("draw", "star"), v) for n, v in posterior.nuisances.items()}
    for name, values in posterior.diagnostics.items():
        data[f"diagnostic_{name}"] = (("star", "param")[: values.ndim], values)
    data |= {name: (("star",), getattr(part, name)) for name in _INPUTS}
    data["snr"] = (("star", "arm"), part.snr)
    for number, values in enumerate(part.columns.values()):
        own = tuple(f"axis_{number}_{i}" for i in range(1, values.ndim))
        data[f"input_{number}"] = (("star", *own), _storable(values))
    kinds = [values.dtype.str for values in part.columns.values()]
    names = list(posterior.names)
    attrs = {
        "format": FORMAT,
        "fingerprint": part.fingerprint,
        "provenance": json.dumps(part.provenance or {}),
        "survey": part.survey,
        "key": part.key,
        "chains": posterior.chains,
        "columns": json.dumps(list(part.columns)),
        "kinds": json.dumps(kinds),
        "units": [label(n).unit or "1" for n in names],
    }
    coords = {"param": names, "star": posterior.ids.tolist(), "arm": list(posterior.arms)}
    return xr.Dataset(data, coords=coords, attrs=attrs)


def _storable(values: np.ndarray) -> np.ndarray:
    """Text as objects and truth values as bytes, types that netCDF has."""
    if values.dtype.kind == "U":
        return values.astype(object)
    return values.astype(np.int8) if values.dtype.kind == "b" else values


def _from_dataset(data: xr.Dataset) -> Part:
    def named(prefix: str) -> dict[str, np.ndarray]:
        found = [str(n) for n in data.data_vars if str(n).startswith(prefix)]
        return {name.removeprefix(prefix): data[name].values for name in found}

    posterior = Posterior(
        ids=_texts(data["star"].values),
        names=tuple(_texts(data["param"].values)),
        arms=tuple(_texts(data["arm"].values)),
        nuisances=named("nuisance_"),
        chains=int(data.attrs["chains"]),
        diagnostics=named("diagnostic_"),
        **{name: data[name].values for name in _AXES},
    )
    columns = {}
    kinds = json.loads(data.attrs["kinds"])
    for number, (name, kind) in enumerate(
        zip(json.loads(data.attrs["columns"]), kinds, strict=True)
    ):
        values = data[f"input_{number}"].values
        columns[name] = values.astype(kind) if len(values) else np.zeros(values.shape, kind)
    return Part(
        survey=str(data.attrs["survey"]),
        key=str(data.attrs["key"]),
        columns=columns,
        snr=data["snr"].values,
        posterior=posterior,
        fingerprint=str(data.attrs["fingerprint"]),
        provenance=json.loads(data.attrs["provenance"]),
        **{name: data[name].values for name in _INPUTS},
    )


def _texts(values: Sequence[Any] | np.ndarray) -> np.ndarray:
    return np.array([str(value) for value in values], str)
