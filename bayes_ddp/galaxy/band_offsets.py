"""Zero points of bands against stellar evolution, from control stars with precise parallaxes.

Labels, parallax and the isochrones predict the magnitudes of a star, without its photometry:
draws of the joint posterior give their mean and covariance P, for a single star and for each mass
ratio of a companion. Residuals are r = o + e, with e ~ N(0, P + errors) in a mixture of these, and
a prior o ~ N(0, 0.02 mag) for each band. Stars far from the rest get less weight: Student's t
with four degrees of freedom on the Mahalanobis distance.
"""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from bayes_ddp.galaxy.bolometric import ALL_BANDS, Law
from bayes_ddp.galaxy.companions import RATIOS, shares
from bayes_ddp.galaxy.distance import load_model, sample_distances
from bayes_ddp.galaxy.distance_settings import FLOORS
from bayes_ddp.galaxy.observed import Observed

__all__ = ["PRIOR_SD", "BandOffsets", "band_offsets"]

PRIOR_SD = 0.02
"""mag, prior of the zero point of each band."""

_MOST = 300  # stars, chosen at random
_PRECISE = 10.0  # parallax over its error
_FREEDOM = 4.0
_PAIRS = 0.45  # fraction of stars with a companion


@dataclass(frozen=True)
class BandOffsets:
    """[band] of ``ALL_BANDS``, measured less predicted, mag; NaN where no star has the band.

    offset, error : posterior mean and standard deviation. median : of the residuals, with no
    prior, averaged over kinds. stars : number of them.
    """

    offset: np.ndarray
    error: np.ndarray
    median: np.ndarray
    stars: np.ndarray

    @classmethod
    def unknown(cls) -> "BandOffsets":
        """No zero points."""
        nothing = np.full(len(ALL_BANDS), np.nan)
        return cls(nothing, nothing, nothing, np.zeros(len(ALL_BANDS), int))

    @property
    def given(self) -> tuple[float, ...]:
        """For ``DistanceSettings.offsets``; 0 where not known."""
        return tuple(np.nan_to_num(self.offset).tolist())


def band_offsets(
    ids: np.ndarray,
    stars: Observed,
    *,
    errors: np.ndarray,
    law: Law = "fitzpatrick",
    seed: int = 1,
) -> BandOffsets:
    """Zero points of the bands.

    stars : low-extinction stars, as observed, with a leading axis; those whose parallax exceeds
    10 errors are used, 300 of them at most. errors : [star band], of the magnitudes, mag.
    """
    ratio = np.asarray(stars.parallax * jnp.sqrt(stars.parallax_ivar))
    precise = np.flatnonzero(ratio > _PRECISE)
    # the best parallaxes would prefer bright stars
    rows = np.sort(np.random.default_rng([seed, 3]).permutation(precise)[:_MOST])
    if not len(rows):
        return BandOffsets.unknown()
    some = jax.tree.map(lambda x: jnp.asarray(x)[rows], stars)
    dark = replace(some, ivar=jnp.zeros_like(some.ivar))
    mean, covariance = _predicted(np.asarray(ids)[rows], dark, law=law, seed=seed)
    known = np.asarray(some.ivar) > 0
    seen = np.where(known, np.asarray(some.magnitude), 0.0)
    floors = np.array([FLOORS[band] for band in ALL_BANDS])
    noise = np.where(known, errors[rows], 0.0) ** 2 + floors**2
    total = covariance + noise[:, None, :, None] * np.eye(len(ALL_BANDS))
    return _combined(seen[:, None] - mean, total, known)


def _predicted(
    ids: np.ndarray, stars: Observed, *, law: Law, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean [star kind band] and covariance of apparent magnitudes, alone and with companions."""
    model = load_model(law, 0.0)
    record = sample_distances(ids, stars, model, seed=seed)
    core = np.concatenate([np.log(record.labels[..., :1]), record.labels[..., 1:]], axis=-1)
    log_age = np.log10(record["age"]) + 9

    def light(core: jax.Array, rest: jax.Array) -> jax.Array:
        log_mass, log_age, ebv = rest
        alone = model.table.magnitudes(core, log_mass)
        each = [jnp.zeros(len(alone))]
        for ratio in RATIOS:
            # the present mass stands for the initial one
            flux = model.companions.at(core[2], log_age, log_mass + np.log10(ratio))
            each.append(-2.5 * jnp.log10(1 + flux * 10 ** (0.4 * alone)))
        return alone + jnp.stack(each) + model.table.extinction(core, ebv)[0]

    every = jax.jit(jax.vmap(jax.vmap(light)))
    rest = np.stack([np.log10(record["mass"]), log_age, record["ebv"]], axis=-1)
    found = every(core, rest)
    seen = np.asarray(found) + 5 * np.log10(record["dist"])[..., None, None] + 10
    away = seen - seen.mean(axis=0)
    return seen.mean(axis=0), np.einsum("dska,dskb->skab", away, away) / (len(seen) - 1)


def _combined(residual: np.ndarray, covariance: np.ndarray, known: np.ndarray) -> BandOffsets:
    """The posterior of the offsets under a mixture of Student's t; arguments [star kind band ...].

    known : [star band].
    """
    size, number = len(ALL_BANDS), known.sum(axis=1)[:, None]
    both = (known[:, :, None] & known[:, None, :])[:, None]
    filled = np.where(both, covariance, 0.0) + np.eye(size) * ~known[:, None, :, None]
    precision = np.where(both, np.linalg.inv(filled), 0.0)
    log_size = np.linalg.slogdet(filled)[1]
    offset, inverse = np.zeros(size), np.eye(size)
    kind = np.zeros(residual.shape[:2])
    for _ in range(50):
        away = np.where(known[:, None], residual - offset, 0.0)
        chi2 = np.einsum("nki,nkij,nkj->nk", away, precision, away)
        half = 0.5 * (_FREEDOM + number)
        log = np.log(shares(_PAIRS)) - 0.5 * log_size - half * np.log1p(chi2 / _FREEDOM)
        kind = np.exp(log - log.max(axis=1, keepdims=True))
        kind /= kind.sum(axis=1, keepdims=True)
        weight = kind * (_FREEDOM + number) / (_FREEDOM + chi2)
        total = np.einsum("nk,nkij->ij", weight, precision)
        inverse = np.linalg.inv(total + np.eye(size) / PRIOR_SD**2)
        offset = inverse @ np.einsum("nk,nkij,nkj->i", weight, precision, residual)
    mean = np.where(known, np.einsum("nk,nkb->nb", kind, residual), np.nan)
    seen, middle = known.any(axis=0), np.full(size, np.nan)
    middle[seen] = np.nanmedian(mean[:, seen], axis=0)
    return BandOffsets(
        offset=np.where(seen, offset, np.nan),
        error=np.where(seen, np.sqrt(np.diag(inverse)), np.nan),
        median=middle,
        stars=known.sum(axis=0),
    )
