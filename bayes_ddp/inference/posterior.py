"""Posterior draws of a batch of stars, the one record that every sampler returns.

NumPy only. Labels are in the order of ``names``; the draw axis leads, and a weight per draw goes
with it, so that later steps (distance, orbit) can carry the same draws on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bayes_ddp.files.paths import atomic_write
from bayes_ddp.labels import label

__all__ = [
    "QUANTILES",
    "Posterior",
    "blank",
    "concatenate",
    "from_arviz",
    "from_dataset",
    "open_part",
    "read_draws",
    "read_part",
    "rounded",
    "to_arviz",
    "to_dataset",
    "weighted_quantiles",
    "write_part",
]

QUANTILES = {"p16": 0.16, "p50": 0.5, "p84": 0.84, "p95": 0.95}
"""Those of a catalogue, by the names they have among a sampler's diagnostics."""


@dataclass(frozen=True)
class Posterior:
    """Draws and summaries of the labels of a batch of stars.

    names : labels, in order.
    draws : [draw star label]; chains of a Markov sampler stand one after another.
    log_weight : [draw star], 0 for equally weighted draws.
    mean, covariance : [star label], [star label label]; NaN for stars that were not fitted.
    prior_mean, prior_sd : [star label], at the star's Teff, log g and [Fe/H].
    chi2, pixels : [star], at the best fit.
    velocity : [star 2], fitted velocity beyond the catalogue's and its error, km/s.
    lsf : [star arm], fitted factor on the LSF width.
    warn : [star] int64.
    chains : how many chains the draws hold.
    diagnostics : name -> [star label] or [star]; ``rhat``, ``ess``, ``khat``, ``divergences``
        and quantiles ``p16``, ``p50``, ``p84``, ``p95``.
    """

    names: tuple[str, ...]
    draws: np.ndarray
    log_weight: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray
    prior_mean: np.ndarray
    prior_sd: np.ndarray
    chi2: np.ndarray
    pixels: np.ndarray
    velocity: np.ndarray
    lsf: np.ndarray
    warn: np.ndarray
    chains: int = 1
    diagnostics: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.mean)

    @property
    def sd(self) -> np.ndarray:
        """[star label], marginal standard deviation."""
        return np.sqrt(np.diagonal(self.covariance, axis1=1, axis2=2))

    def quantiles(self, levels: Sequence[float]) -> np.ndarray:
        """[level star label], weighted quantiles of the draws; NaN where a star has no draws."""
        with np.errstate(invalid="ignore"):
            weight = np.exp(self.log_weight - np.max(self.log_weight, axis=0))
        result = np.full((len(levels), *self.mean.shape), np.nan)
        for star in np.flatnonzero(np.isfinite(self.draws).all(axis=(0, 2))):
            result[:, star] = weighted_quantiles(self.draws[:, star], weight[:, star], levels)
        return result

    def summary(self) -> np.ndarray:
        """[level star label], the ``QUANTILES``: of all draws that a sampler made, if it tells."""
        if QUANTILES.keys() <= self.diagnostics.keys():
            return np.stack([self.diagnostics[name] for name in QUANTILES])
        return self.quantiles(tuple(QUANTILES.values()))

    def take(self, rows: np.ndarray) -> "Posterior":
        """The stars in ``rows``, in that order."""
        changed: dict[str, Any] = {
            name: getattr(self, name)[:, rows] for name in ("draws", "log_weight")
        }
        for name in ("mean", "covariance", "prior_mean", "prior_sd", "chi2", "pixels"):
            changed[name] = getattr(self, name)[rows]
        for name in ("velocity", "lsf", "warn"):
            changed[name] = getattr(self, name)[rows]
        changed["diagnostics"] = {n: v[rows] for n, v in self.diagnostics.items()}
        return replace(self, **changed)


def weighted_quantiles(
    draws: np.ndarray, weight: np.ndarray, levels: Sequence[float]
) -> np.ndarray:
    """[level label] of draws [draw label] with weights [draw], linear between draws."""
    order = np.argsort(draws, axis=0)
    ranked, share = np.take_along_axis(draws, order, axis=0), weight[order]
    centre = (np.cumsum(share, axis=0) - 0.5 * share) / weight.sum()
    columns = zip(centre.T, ranked.T, strict=True)
    return np.stack([np.interp(levels, at, values) for at, values in columns], axis=1)


def concatenate(parts: Sequence[Posterior]) -> Posterior:
    """One record of all stars in ``parts``, which must share labels, draws and chains."""
    first = parts[0]
    along = {"draws": 1, "log_weight": 1}
    changed: dict[str, Any] = {
        f.name: np.concatenate([getattr(p, f.name) for p in parts], axis=along.get(f.name, 0))
        for f in fields(Posterior)
        if f.name not in ("names", "chains", "diagnostics")
    }
    changed["diagnostics"] = {
        name: np.concatenate([p.diagnostics[name] for p in parts]) for name in first.diagnostics
    }
    return replace(first, **changed)


def to_arviz(posterior: Posterior, star: int) -> xr.DataTree:
    """One star's draws as an ArviZ DataTree, each label a variable [chain draw].

    Raises ValueError where the draws are weighted: ArviZ has no place for weights.
    """
    if np.ptp(posterior.log_weight[:, star]) > 0:
        raise ValueError("These draws carry weights, which ArviZ does not: resample them first.")
    import arviz as az

    draws = posterior.draws[:, star].reshape(posterior.chains, -1, len(posterior.names))
    group = {name: draws[..., i] for i, name in enumerate(posterior.names)}
    return az.from_dict({"posterior": group})


def from_arviz(tree: xr.DataTree, names: Sequence[str]) -> np.ndarray:
    """[draw label] of one star from a DataTree, chains one after another."""
    group = tree["posterior"]
    return np.stack([np.asarray(group[name]).reshape(-1) for name in names], axis=-1)


def blank(
    names: tuple[str, ...], stars: int, arms: int, *, diagnostics: Sequence[str] = ()
) -> Posterior:
    """The posterior of ``stars`` stars that were not fitted: NaN everywhere.

    diagnostics : those that the run's sampler reports.
    """
    size = len(names)
    nothing = {"divergences": np.zeros(stars, np.int32)}
    nothing |= {name: np.full((stars, size), np.nan) for name in QUANTILES}
    return Posterior(
        names=names,
        draws=np.full((2, stars, size), np.nan),
        log_weight=np.zeros((2, stars)),
        mean=np.full((stars, size), np.nan),
        covariance=np.full((stars, size, size), np.nan),
        prior_mean=np.full((stars, size), np.nan),
        prior_sd=np.full((stars, size), np.nan),
        chi2=np.full(stars, np.nan),
        pixels=np.zeros(stars, np.int64),
        velocity=np.full((stars, 2), np.nan),
        lsf=np.full((stars, arms), np.nan),
        warn=np.zeros(stars, np.int64),
        diagnostics={n: nothing.get(n, np.full(stars, np.nan)) for n in diagnostics},
    )


def rounded(posterior: Posterior, warn: np.ndarray) -> Posterior:
    """The record as a file keeps it: draws and weights in float32, ``warn`` put in.

    A catalogue made of this is the same whether its parts were fitted now or read back.
    """
    return replace(
        posterior,
        draws=posterior.draws.astype(np.float32),
        log_weight=posterior.log_weight.astype(np.float32),
        warn=np.asarray(warn, np.int64),
    )


_AXES = {
    "draws": ("draw", "star", "param"),
    "log_weight": ("draw", "star"),
    "mean": ("star", "param"),
    "covariance": ("star", "param", "other_param"),
    "prior_mean": ("star", "param"),
    "prior_sd": ("star", "param"),
    "chi2": ("star",),
    "pixels": ("star",),
    "velocity": ("star", "value_error"),
    "lsf": ("star", "arm"),
    "warn": ("star",),
}


def to_dataset(posterior: Posterior, identifiers: Sequence[str]) -> xr.Dataset:
    """The whole record as an xarray Dataset, keyed by identifier.

    The label axis is called ``param``: ArviZ breaks on a dimension called ``label``.
    """
    data = {name: (axes, getattr(posterior, name)) for name, axes in _AXES.items()}
    for name, values in posterior.diagnostics.items():
        data[f"diagnostic_{name}"] = (("star", "param")[: values.ndim], values)
    names = list(posterior.names)
    return xr.Dataset(
        data,
        coords={"param": names, "star": list(identifiers)},
        attrs={"chains": posterior.chains, "units": [label(n).unit or "1" for n in names]},
    )


def from_dataset(data: xr.Dataset) -> Posterior:
    """The record that ``to_dataset`` wrote."""
    extra = {
        str(name).removeprefix("diagnostic_"): data[name].values
        for name in data.data_vars
        if str(name).startswith("diagnostic_")
    }
    return Posterior(
        names=tuple(str(n) for n in data["param"].values),
        chains=int(data.attrs["chains"]),
        diagnostics=extra,
        **{name: data[name].values for name in _AXES},
    )


def write_part(path: Path, posterior: Posterior, identifiers: Sequence[str], run: str) -> None:
    """Write one chunk of a run to ``path`` at once or not at all; ``run`` says which run."""
    data = to_dataset(posterior, identifiers).assign_attrs(run=run)
    packed = {str(n): {"zlib": True, "complevel": 1, "shuffle": True} for n in ("draws",)}
    with atomic_write(path) as temporary:
        data.to_netcdf(temporary, engine="h5netcdf", encoding=packed)


def open_part(path: Path) -> xr.Dataset:
    """One part of a run as a Dataset, all in memory."""
    return xr.load_dataset(path, engine="h5netcdf")


def read_part(path: Path, run: str) -> Posterior | None:
    """The chunk in ``path``, or None where it is damaged or of another run."""
    try:
        data = open_part(path)
    except (OSError, ValueError, KeyError):
        return None
    return from_dataset(data) if data.attrs.get("run") == run else None


def read_draws(folder: Path) -> xr.Dataset:
    """All draws of a run, from ``draws/part-*.nc``; raises FileNotFoundError where none is.

    Variables ``draws`` [draw star param] and ``log_weight`` [draw star]; ``star`` is the
    identifier, ``param`` the label.
    """
    parts = sorted(Path(folder).glob("part-*.nc"))
    if not parts:
        raise FileNotFoundError(
            f"{folder} holds no part-*.nc: a run writes them to OUTPUT/draws unless [output] "
            "draws = false."
        )
    loaded = [open_part(part)[["draws", "log_weight"]] for part in parts]
    return xr.concat(loaded, dim="star")
