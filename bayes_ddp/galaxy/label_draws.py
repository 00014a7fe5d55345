"""Draws of labels as distances need them: with systematic errors, and without their own prior.

A distance acts on Teff, log g and [M/H] (the core of the labels). What the spectrum alone says
about the core is the posterior divided by its prior, both as Gaussians: the isochrones, the mass
function and the Galaxy then are the only prior of the core. The other labels follow the core by
linear regression (Matheron's rule), which is exact for a Gaussian posterior:

    x' = x + Cov(x, c) Cov(c)^-1 (c' - c)

with c the core of draw x, and c' a draw of the joint posterior.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bayes_ddp.galaxy.core import core_moments, core_of, turn_of, widened, without_prior
from bayes_ddp.galaxy.light import ALPHA
from bayes_ddp.inference.posterior import Posterior
from bayes_ddp.inference.weights import generator_of

__all__ = [
    "LabelDraws",
    "draws_of_moments",
    "draws_of_posterior",
]

_ALPHA_SD = 0.15  # dex, of [alpha/Fe] where it is not known


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
    mean, covariance = core_moments(posterior.mean, posterior.covariance, posterior.names)
    centre, spread = core_moments(
        posterior.prior_mean, posterior.prior_covariance, posterior.names
    )
    likely, precision, share = without_prior(mean, covariance, centre=centre, spread=spread)
    sd = np.nan_to_num(errors) if errors is not None else np.zeros(posterior.mean.shape)
    precision = widened(precision, turn_of(posterior.mean, posterior.names), sd)
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
    errors: Mapping[str, np.ndarray] | np.ndarray,
    *,
    prior: tuple[np.ndarray, np.ndarray] | None = None,
    systematic: np.ndarray | None = None,
    number: int = 256,
) -> LabelDraws:
    """Gaussian draws of labels of which means and covariances are known.

    labels : name -> [star]: teff (K), logg, feh or m_h, and any others; [alpha/Fe] is ``alpha_fe``
    or the mean of Mg, Si and Ca, and 0 ± 0.15 where it is not known. errors : name -> [star], or
    the covariance [star label label]. prior : mean [star label] and covariance [star
    label label] that the labels include; by default it is flat. systematic : [star label],
    standard deviations that ``errors`` do not include.

    Raises ValueError where labels that make the core are missing.
    """
    names = tuple(labels)
    _check(names)
    mean = np.stack([np.asarray(labels[name], float) for name in names], axis=1)
    covariance = _diagonal(labels, errors) if isinstance(errors, Mapping) else errors
    core, spread = core_moments(mean, covariance, names)
    if not {"m_h", "alpha_fe", *ALPHA} & set(names):
        spread[:, 2, 2] += (0.65 * _ALPHA_SD) ** 2  # d[M/H] / d[alpha/Fe] is 0.65 to 0.75
    share = np.zeros(len(mean))
    if prior is None:
        precision = np.full(spread.shape, np.nan)
        good = np.isfinite(spread).all(axis=(1, 2)) & np.isfinite(mean).all(axis=1)
        precision[good] = np.linalg.inv(spread[good])
    else:
        centre, wide = core_moments(*prior, names)
        core, precision, share = without_prior(core, spread, centre=centre, spread=wide)
    sd = systematic if systematic is not None else np.zeros(mean.shape)
    precision = widened(precision, turn_of(mean, names), sd)
    draws = np.full((number, *mean.shape), np.nan)
    for star in np.flatnonzero(np.isfinite(precision).all(axis=(1, 2))):
        root = _root(covariance[star])
        noise = generator_of(f"labels {ids[star]}").standard_normal((number, len(names)))
        draws[:, star] = mean[star] + noise @ root.T
    hot = names.index("teff")
    draws[..., hot] = np.abs(draws[..., hot])
    return LabelDraws(
        ids=np.asarray(ids, str),
        names=names,
        draws=_blurred(draws, sd, ids),
        mean=core,
        precision=precision,
        prior_share=share,
        vrad=np.full((number, len(mean)), np.nan),
    )


def _diagonal(labels: Mapping[str, np.ndarray], errors: Mapping[str, np.ndarray]) -> np.ndarray:
    """[star label label], diagonal, from errors; NaN where an error is not positive."""
    sd = np.stack([np.asarray(errors[name], float) for name in labels], axis=1)
    sd = np.where(sd > 0, sd, np.nan)
    result: np.ndarray = sd[:, :, None] ** 2 * np.eye(len(labels))
    return result


def _check(names: Sequence[str]) -> None:
    missing = [name for name in ("teff", "logg") if name not in names]
    if missing or not {"feh", "m_h"} & set(names):
        raise ValueError(
            f"Distances need Teff, log g and [Fe/H]; the labels are {list(names)}. Add columns "
            "TEFF, LOGG and FEH with errors."
        )


def _blurred(draws: np.ndarray, errors: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """The draws with independent normal errors [star label] added; noise by identifier."""
    if not errors.any():
        return draws
    result = draws.copy()
    for star in np.flatnonzero(errors.any(axis=1)):
        noise = generator_of(f"labels systematic {ids[star]}").standard_normal(
            draws[:, star].shape
        )
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
