"""Draws of labels as distances need them: with systematic errors, and without their own prior.

A distance acts on Teff, log g and [M/H] (the core of the labels). What the spectrum alone says
about the core is the posterior divided by its prior, both as Gaussians: the isochrones, the mass
function and the Galaxy then are the only prior of the core. The other labels follow the core by
linear regression (Matheron's rule), which is exact for a Gaussian posterior:

    x' = x + Cov(x, c) Cov(c)^-1 (c' - c)

with c the core of draw x, and c' a draw of the joint posterior.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bayes_ddp.galaxy.isochrones import effective_metallicity
from bayes_ddp.galaxy.light import ALPHA
from bayes_ddp.inference.posterior import Posterior

__all__ = ["CORE", "LabelDraws", "core_of", "draws_of_moments", "draws_of_posterior"]

CORE = ("teff", "logg", "m_h")
"""Labels that distances act on: K, dex, and the effective metallicity of the isochrones."""

_ALPHA_RANGE = (-0.1, 0.6)
_ALPHA_SD = 0.15  # dex, of [alpha/Fe] where it is not known
_MOST_PRIOR = 0.95
"""Share of the precision along a direction that is attributed to the prior at most."""


@dataclass(frozen=True)
class LabelDraws:
    """Equally weighted draws of the labels of stars, and the likelihood of their core.

    ids : [star]. names : labels. draws : [draw star label], systematic errors included, NaN for
    stars without labels. mean, precision : [star 3], [star 3 3], of (ln Teff, log g, [M/H]) by the
    spectrum alone. prior_share : [star], largest share of the prior in the precision of the core.
    vrad : [draw star], km/s, absolute; NaN where unknown.
    """

    ids: np.ndarray
    names: tuple[str, ...]
    draws: np.ndarray
    mean: np.ndarray
    precision: np.ndarray
    prior_share: np.ndarray
    vrad: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def known(self) -> np.ndarray:
        """[star] bool, whether the core is known."""
        return np.isfinite(self.mean).all(axis=1) & np.isfinite(self.precision).all(axis=(1, 2))

    def moved(self, core: np.ndarray) -> np.ndarray:
        """[draw star label], the draws that belong to new draws of the core [draw star 3].

        Teff is positive; a label that is not correlated with the core does not change.
        """
        x = _log_teff(self.draws, self.names)
        old = core_of(self.draws, self.names)
        away, lean = x - x.mean(axis=0), old - old.mean(axis=0)
        joint = np.einsum("dsl,dsc->slc", away, lean) / len(x)
        own = np.einsum("dsa,dsb->sab", lean, lean) / len(x)
        safe = np.where(np.isfinite(own), own, np.eye(3)) + 1e-12 * np.eye(3)
        gain = joint @ np.linalg.inv(safe)
        result = x + np.einsum("slc,dsc->dsl", gain, core - old)
        if "teff" in self.names:
            i = self.names.index("teff")
            result[..., i] = np.exp(result[..., i])
        return result


def core_of(draws: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """[..., 3], (ln Teff, log g, [M/H]) of labels [..., label].

    [alpha/Fe] is the mean of Mg, Si and Ca, held within -0.1 and 0.6; ``alpha_fe`` where the
    labels have that, and 0 without either. ``m_h`` is used as it is.
    """
    column = {name: draws[..., i] for i, name in enumerate(names)}
    return np.stack([np.log(column["teff"]), column["logg"], _metals(column)], axis=-1)


def _metals(column: Mapping[str, np.ndarray]) -> np.ndarray:
    if "m_h" in column:
        return column["m_h"]
    alpha = np.clip(_alpha(column), *_ALPHA_RANGE)
    result: np.ndarray = effective_metallicity(column["feh"], alpha)
    return result


def _alpha(column: Mapping[str, np.ndarray]) -> np.ndarray:
    """[alpha/Fe]: the mean of those of Mg, Si, Ca that are labels, or ``alpha_fe``, or 0."""
    known = [column[name] for name in (*ALPHA, "alpha_fe") if name in column]
    return np.mean(known, axis=0) if known else np.zeros_like(column["feh"])


def draws_of_posterior(
    posterior: Posterior,
    *,
    number: int = 256,
    errors: np.ndarray | None = None,
    vrad: np.ndarray | None = None,
) -> LabelDraws:
    """Draws of the labels of a posterior, its prior divided out of the core.

    number : draws per star. errors : [star label], standard deviations that the posterior does
    not include (columns ``_SYS``); NaN counts as 0. vrad : [star], km/s, to which the velocities
    of the posterior are relative.

    Raises ValueError where labels that make the core are missing.
    """
    _check(posterior.names)
    equal = posterior.equally_weighted(number)
    mean, covariance = _core_moments(posterior.mean, posterior.covariance, posterior.names)
    centre, spread = _core_moments(
        posterior.prior_mean, posterior.prior_covariance, posterior.names
    )
    likely, precision, share = _without_prior(mean, covariance, centre=centre, spread=spread)
    sd = np.nan_to_num(errors) if errors is not None else np.zeros(posterior.mean.shape)
    precision = _widened(precision, _turn(posterior.mean, posterior.names), sd)
    shift = np.full(equal.draws.shape[:2], np.nan)
    if vrad is not None and "velocity" in equal.nuisances:
        shift = equal.nuisances["velocity"] + np.asarray(vrad, float)
    return LabelDraws(
        ids=posterior.ids,
        names=posterior.names,
        draws=_blurred(equal.draws, sd, posterior.ids),
        mean=likely,
        precision=precision,
        prior_share=share,
        vrad=shift,
    )


def draws_of_moments(
    ids: np.ndarray,
    labels: Mapping[str, np.ndarray],
    errors: Mapping[str, np.ndarray],
    *,
    covariance: np.ndarray | None = None,
    number: int = 256,
) -> LabelDraws:
    """Draws of labels that a table gives with errors, under a flat prior.

    labels, errors : name -> [star]: teff (K), logg, feh or m_h, and any others; [alpha/Fe] is
    ``alpha_fe`` or the mean of Mg, Si and Ca, and 0 ± 0.15 where it is not known. covariance :
    [star label label], instead of errors.
    """
    names = tuple(labels)
    _check(names)
    mean = np.stack([np.asarray(labels[name], float) for name in names], axis=1)
    if covariance is None:
        sd = np.stack([np.asarray(errors[name], float) for name in names], axis=1)
        sd = np.where(sd > 0, sd, np.nan)
        covariance = sd[:, :, None] * sd[:, None, :] * np.eye(len(names))
    core, spread = _core_moments(mean, covariance, names)
    if not {"m_h", "alpha_fe", *ALPHA} & set(names):
        spread[:, 2, 2] += (0.65 * _ALPHA_SD) ** 2  # d[M/H] / d[alpha/Fe] is 0.65 to 0.75
    good = np.isfinite(spread).all(axis=(1, 2)) & np.isfinite(mean).all(axis=1)
    precision = np.full(spread.shape, np.nan)
    precision[good] = np.linalg.inv(spread[good])
    draws = np.full((number, *mean.shape), np.nan)
    for star in np.flatnonzero(good):
        root = _root(covariance[star])
        noise = _generator(str(ids[star])).standard_normal((number, len(names)))
        draws[:, star] = mean[star] + noise @ root.T
    hot = names.index("teff")
    draws[..., hot] = np.abs(draws[..., hot])
    unknown = np.full((number, len(mean)), np.nan)
    return LabelDraws(
        ids=np.asarray(ids, str),
        names=names,
        draws=draws,
        mean=core,
        precision=precision,
        prior_share=np.zeros(len(mean)),
        vrad=unknown,
    )


def _check(names: Sequence[str]) -> None:
    missing = [name for name in ("teff", "logg") if name not in names]
    if missing or not {"feh", "m_h"} & set(names):
        raise ValueError(
            f"Distances need Teff, log g and [Fe/H]; the labels are {list(names)}. Add columns "
            "TEFF, LOGG and FEH with errors."
        )


def _turn(mean: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """[star 3 label], derivative of the core by the labels."""
    turn = np.zeros((len(mean), 3, len(names)))
    place = {name: i for i, name in enumerate(names)}
    turn[:, 0, place["teff"]] = 1 / mean[:, place["teff"]]
    turn[:, 1, place["logg"]] = 1
    if "m_h" in place:
        turn[:, 2, place["m_h"]] = 1
        return turn
    for name in ("feh", *ALPHA, "alpha_fe"):
        if name in place:
            step = np.zeros(len(names))
            step[place[name]] = 1e-3
            high, low = core_of(mean + step, names), core_of(mean - step, names)
            turn[:, 2, place[name]] = (high - low)[:, 2] / 2e-3
    return turn


def _core_moments(
    mean: np.ndarray, covariance: np.ndarray, names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Mean [star 3] and covariance [star 3 3] of the core, linear about the mean."""
    with np.errstate(invalid="ignore", divide="ignore"):
        turn = _turn(mean, names)
        return core_of(mean, names), turn @ covariance @ turn.swapaxes(1, 2)


def _without_prior(
    mean: np.ndarray, covariance: np.ndarray, *, centre: np.ndarray, spread: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(mean, precision of the likelihood, largest share of the prior), Gaussian division.

    In the whitened space of the posterior the precision of the likelihood is 1 minus that of the
    prior. Along a direction where the prior has more than 95 % of the precision, 5 % are left to
    the likelihood: such a direction has no more than a weak constraint.
    """
    likely, precision = np.full(mean.shape, np.nan), np.full(covariance.shape, np.nan)
    share = np.full(len(mean), np.nan)
    finite = np.isfinite(covariance).all(axis=(1, 2)) & np.isfinite(spread).all(axis=(1, 2))
    root = np.linalg.cholesky(covariance[finite])
    back = np.linalg.inv(root).swapaxes(1, 2)
    part, turn = np.linalg.eigh(root.swapaxes(1, 2) @ np.linalg.inv(spread[finite]) @ root)
    share[finite] = np.clip(part[:, -1], 0.0, 1.0)
    part = np.clip(part, 0.0, _MOST_PRIOR)
    away = turn.swapaxes(1, 2) @ back.swapaxes(1, 2) @ (mean - centre)[finite, :, None]
    shift = root @ turn @ ((part / (1 - part))[..., None] * away)
    likely[finite] = mean[finite] + shift[..., 0]
    axes = back @ turn
    precision[finite] = (axes * (1 - part)[:, None, :]) @ axes.swapaxes(1, 2)
    return likely, precision, share


def _widened(precision: np.ndarray, turn: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """The precision [star 3 3] with independent errors [star label] of the labels added."""
    result = precision.copy()
    good = np.isfinite(precision).all(axis=(1, 2))
    more = (turn[good] * errors[good, None, :] ** 2) @ turn[good].swapaxes(1, 2)
    result[good] = np.linalg.inv(np.linalg.inv(precision[good]) + more)
    return result


def _blurred(draws: np.ndarray, errors: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """The draws with independent normal errors [star label] added; noise by identifier."""
    if not errors.any():
        return draws
    result = draws.copy()
    for star in np.flatnonzero(errors.any(axis=1)):
        noise = _generator(str(ids[star])).standard_normal(draws[:, star].shape)
        result[:, star] += errors[star] * noise
    return result


def _log_teff(draws: np.ndarray, names: Sequence[str]) -> np.ndarray:
    result = draws.astype(float).copy()
    if "teff" in names:
        i = names.index("teff")
        result[..., i] = np.log(result[..., i])
    return result


def _root(covariance: np.ndarray) -> np.ndarray:
    """A square root of a covariance that may be singular."""
    values, turn = np.linalg.eigh(covariance)
    root: np.ndarray = turn * np.sqrt(np.maximum(values, 0.0))
    return root


def _generator(name: str) -> np.random.Generator:
    digest = hashlib.sha256(f"labels {name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))
