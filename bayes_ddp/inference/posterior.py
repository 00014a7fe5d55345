"""The record of posterior draws and summaries that every sampler returns.

Its arrays are NumPy arrays. Labels are in the order of ``names``; the draw axis is first, and each
draw has a weight, so that later steps (distance, orbit) use the same draws.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_ddp.flags import names as flag_names
from bayes_ddp.inference.weights import (
    generator_of,
    normalised_weight,
    systematic,
    weighted_quantiles,
)
from bayes_ddp.labels import label

if TYPE_CHECKING:
    import xarray as xr
    from astropy.table import Table

__all__ = [
    "QUANTILES",
    "Posterior",
    "blank",
    "by_name",
    "concatenate",
    "from_arviz",
]

QUANTILES = {"p16": 0.16, "p50": 0.5, "p84": 0.84, "p95": 0.95}
"""Quantiles of the catalogue, by their names among the diagnostics."""

_DRAW_FIRST = ("draws", "log_weight", "log_prior", "log_likelihood")
_NOT_PER_STAR = ("names", "arms", "chains", "nuisances", "diagnostics")


@dataclass(frozen=True, repr=False)
class Posterior:
    """Draws and summaries of the labels of a batch of stars, in the units of ``LABELS``.

    ids : [star] identifiers.
    names, arms : labels in order; arms of the spectrograph.
    draws : [draw star label]; chains of a Markov sampler are concatenated.
    nuisances : ``velocity`` (km/s, relative to the input velocity) and ``lsf_<arm>`` (factor on
        the LSF width) -> [draw star].
    log_weight : [draw star], equal for equally weighted draws, -inf for draws of weight 0.
    log_prior : [draw star], ln prior density of the labels.
    log_likelihood : [draw star], -chi2 / 2; NaN if not evaluated by the sampler.
    mode : [star label], the best fit.
    mean, covariance : [star label], [star label label]; NaN for stars that were not fitted.
    prior_mean, prior_covariance : of the prior at the star's Teff, log g and [Fe/H], with the axes
        of mean and covariance.
    velocity : [star 2], km/s, mean and standard deviation relative to the input velocity.
    lsf : [star arm], mean factor on the LSF width.
    chi2, pixels : [star], chi2 at the best fit and number of fitted pixels.
    rejected : [star], number of outlying pixels that were left out of the fit.
    warn : [star] int64, bits of ``WARN``.
    chains : number of chains that the draws consist of.
    diagnostics : name -> [star label] or [star]; ``rhat``, ``ess``, ``khat``, ``divergences``,
        ``crb``, the Cramér-Rao bounds, and quantiles ``p16``, ``p50``, ``p84``, ``p95``.
    """

    ids: np.ndarray
    names: tuple[str, ...]
    arms: tuple[str, ...]
    draws: np.ndarray
    nuisances: dict[str, np.ndarray]
    log_weight: np.ndarray
    log_prior: np.ndarray
    log_likelihood: np.ndarray
    mode: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray
    prior_mean: np.ndarray
    prior_covariance: np.ndarray
    velocity: np.ndarray
    lsf: np.ndarray
    chi2: np.ndarray
    pixels: np.ndarray
    rejected: np.ndarray
    warn: np.ndarray
    chains: int = 1
    diagnostics: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.mean)

    def __repr__(self) -> str:
        clean = int(np.count_nonzero(self.warn == 0))
        return (
            f"<Posterior of {len(self)} stars ({clean} without a warning): "
            f"{len(self.draws)} draws of {len(self.names)} labels>"
        )

    def _repr_html_(self) -> str:
        """The first stars as a table, for notebooks."""
        shown = self.take(np.arange(min(len(self), 10))).to_table()
        more = f"<p>{len(self) - 10} more stars</p>" if len(self) > 10 else ""
        return f"<p>{repr(self)[1:-1]}</p>{shown._repr_html_()}{more}"

    @property
    def sd(self) -> np.ndarray:
        """[star label], marginal standard deviation."""
        return np.sqrt(np.diagonal(self.covariance, axis1=1, axis2=2))

    @property
    def prior_sd(self) -> np.ndarray:
        """[star label], standard deviation of the prior."""
        return np.sqrt(np.diagonal(self.prior_covariance, axis1=1, axis2=2))

    @property
    def weight(self) -> np.ndarray:
        """[draw star], weights that sum to 1 for each star; NaN for stars without draws."""
        return normalised_weight(self.log_weight)

    @property
    def fitted(self) -> np.ndarray:
        """[star] bool, whether the star has draws."""
        return np.isfinite(self.mean).all(axis=1)

    def quantiles(self, levels: Sequence[float] | np.ndarray) -> np.ndarray:
        """[level star label], weighted quantiles of the draws; NaN for a star without draws."""
        result = np.full((len(levels), *self.mean.shape), np.nan)
        weight = self.weight
        for star in np.flatnonzero(self.fitted):
            result[:, star] = weighted_quantiles(self.draws[:, star], weight[:, star], levels)
        return result

    def summary(self) -> np.ndarray:
        """[level star label], the ``QUANTILES`` of all draws that the sampler generated."""
        if QUANTILES.keys() <= self.diagnostics.keys():
            return np.stack([self.diagnostics[name] for name in QUANTILES])
        return self.quantiles(tuple(QUANTILES.values()))

    def take(self, rows: np.ndarray | Sequence[int]) -> "Posterior":
        """The stars in ``rows``, in that order."""
        rows = np.asarray(rows)
        changed: dict[str, Any] = {
            name: getattr(self, name)[:, rows]
            if name in _DRAW_FIRST
            else getattr(self, name)[rows]
            for name in _per_star()
        }
        changed["nuisances"] = {n: v[:, rows] for n, v in self.nuisances.items()}
        changed["diagnostics"] = {n: v[rows] for n, v in self.diagnostics.items()}
        return replace(self, **changed)

    def equally_weighted(self, number: int) -> "Posterior":
        """The record with ``number`` draws per star, resampled according to their weights.

        Quantiles of all draws are stored in the diagnostics. The random numbers depend only on the
        star's identifier. Equally weighted draws are not changed if there are at most ``number``.
        """
        quantiles = dict(zip(QUANTILES, self.summary(), strict=True))
        known = replace(self, diagnostics=self.diagnostics | quantiles)
        if number >= len(self.draws) and not np.ptp(self.log_weight, axis=0).any():
            return known
        weight, fitted = self.weight, self.fitted
        chosen = np.zeros((number, len(self)), int)
        for star in np.flatnonzero(fitted):
            rng = generator_of(str(self.ids[star]))
            chosen[:, star] = systematic(weight[:, star], number, rng)
        columns = np.arange(len(self))
        changed = {name: getattr(self, name)[chosen, columns] for name in _DRAW_FIRST}
        changed["log_weight"] = np.zeros((number, len(self)))
        nuisances = {n: v[chosen, columns] for n, v in self.nuisances.items()}
        return replace(known, nuisances=nuisances, chains=1, **changed)

    def to_arviz(self, star: int, *, number: int = 1000) -> "xr.DataTree":
        """Draws of one star as an ArviZ DataTree, each label and nuisance a variable [chain draw].

        star : index in this record. number : number of draws after resampling of weighted draws.
        """
        import arviz as az

        one = self.take([star])
        if np.ptp(one.log_weight) > 0:
            one = one.equally_weighted(number)
        by_chain = (one.chains, -1)
        group = {n: one.draws[:, 0, i].reshape(by_chain) for i, n in enumerate(one.names)}
        group |= {n: v[:, 0].reshape(by_chain) for n, v in one.nuisances.items()}
        tree: xr.DataTree = az.from_dict({"posterior": group})
        return tree

    def to_table(self) -> "Table":
        """Table with a row per star: identifier, mean and error of every label, warnings.

        All labels have a mean, also those that are not detected; see the flags of the catalogue.
        """
        from astropy.table import Column, Table

        table = Table({"ID": self.ids})
        for i, name in enumerate(self.names):
            row = label(name)
            for end, values in (("", self.mean[:, i]), ("_ERR", self.sd[:, i])):
                text = row.description if not end else f"standard deviation of {row.column}"
                table[row.column + end] = Column(values, unit=row.unit or None, description=text)
                table[row.column + end].format = f".{row.digits}f"
        table["WARN"] = self.warn
        table["WARNINGS"] = [" ".join(flag_names(int(bits))) for bits in self.warn]
        return table


def _per_star() -> list[str]:
    return [f.name for f in fields(Posterior) if f.name not in _NOT_PER_STAR]


def by_name(arms: Sequence[str], velocity: np.ndarray, lsf: np.ndarray) -> dict[str, np.ndarray]:
    """Nuisance -> [draw star], from velocity [draw star] and LSF factors [draw star arm]."""
    return {"velocity": velocity} | {f"lsf_{a}": lsf[..., i] for i, a in enumerate(arms)}


def concatenate(parts: Sequence[Posterior]) -> Posterior:
    """One record of all stars in ``parts``, which must share labels, arms, draws and chains."""
    first = parts[0]
    changed: dict[str, Any] = {
        name: np.concatenate(
            [getattr(p, name) for p in parts], axis=1 if name in _DRAW_FIRST else 0
        )
        for name in _per_star()
    }
    for name in ("nuisances", "diagnostics"):
        tables: list[Mapping[str, np.ndarray]] = [getattr(p, name) for p in parts]
        axis = 1 if name == "nuisances" else 0
        changed[name] = {
            n: np.concatenate([table[n] for table in tables], axis=axis) for n in tables[0]
        }
    return replace(first, **changed)


def from_arviz(tree: "xr.DataTree", names: Sequence[str]) -> np.ndarray:
    """[draw label], draws of one star from a DataTree, chains concatenated."""
    group = tree["posterior"]
    return np.stack([np.asarray(group[name]).reshape(-1) for name in names], axis=-1)


def blank(
    names: tuple[str, ...],
    ids: np.ndarray,
    arms: tuple[str, ...],
    *,
    number: int = 2,
    diagnostics: Sequence[str] = (),
) -> Posterior:
    """The posterior of stars that were not fitted: NaN everywhere.

    number : number of draws. diagnostics : names that the sampler of the run reports.
    """
    stars, size = len(ids), len(names)

    def nothing(*shape: int) -> np.ndarray:
        return np.full(shape, np.nan)

    special = {"divergences": np.zeros(stars, np.int32), "khat": nothing(stars)}
    per_label = {n: nothing(stars, size) for n in (*QUANTILES, "rhat", "ess", "crb")}
    return Posterior(
        ids=np.asarray(ids, str),
        names=names,
        arms=arms,
        draws=nothing(number, stars, size),
        nuisances=by_name(arms, nothing(number, stars), nothing(number, stars, len(arms))),
        log_weight=np.zeros((number, stars)),
        log_prior=nothing(number, stars),
        log_likelihood=nothing(number, stars),
        mode=nothing(stars, size),
        mean=nothing(stars, size),
        covariance=nothing(stars, size, size),
        prior_mean=nothing(stars, size),
        prior_covariance=nothing(stars, size, size),
        velocity=nothing(stars, 2),
        lsf=nothing(stars, len(arms)),
        chi2=nothing(stars),
        pixels=np.zeros(stars, np.int64),
        rejected=np.zeros(stars, np.int64),
        warn=np.zeros(stars, np.int64),
        diagnostics={n: (special | per_label)[n] for n in diagnostics},
    )
