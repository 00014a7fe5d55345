"""The point estimate of the paper: weighted mean of spectroscopic and geometric distances.

m - M = 5 log d_spec - 5 + A (its Eq. 5), with M_G, or M_Ks without G, and log d_geom = -log
parallax (its Eq. 6), with the zero point of the parallax subtracted, weighted by inverse variance.
It is here for comparison with the joint posterior. The inverse of a noisy parallax is biased.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from bayes_ddp.galaxy.bolometric import ALL_BANDS, BolometricTable, load_bolometric_table
from bayes_ddp.galaxy.distance import star_keys
from bayes_ddp.galaxy.distance_checks import check_distances
from bayes_ddp.galaxy.distance_settings import EMPIRICAL_FLOORS, DistanceSettings
from bayes_ddp.galaxy.distances import distances_of, observe, with_zero_points
from bayes_ddp.galaxy.empirical import DWARF, Calibration, Empirical
from bayes_ddp.galaxy.label_draws import LabelDraws
from bayes_ddp.galaxy.label_moments import with_own_prior
from bayes_ddp.galaxy.observed import Observed, of_modulus
from bayes_ddp.galaxy.photometry import Photometry
from bayes_ddp.galaxy.records import DistancePosterior

__all__ = ["weighted_mean"]

_LOW, _HIGH = 2.0, 1.4
"""Parallax over error below which, and RUWE above which, d_spec is taken alone."""

_DISCREPANT, _PAIR = 2.5, 0.75
"""A dwarf that is brighter than its labels by 2.5 errors, and by 0.75 mag plus 2.5 errors at most,
is a binary, and d_geom is taken alone. The paper does not give its rule."""

_SURE = 5.0  # parallax over error from which a binary is looked for
_FAR = 12.0  # mag, modulus at which the dust is taken first
_LN10 = float(np.log(10.0))


@dataclass(frozen=True)
class _Spectroscopic:
    """[star]: log10 d (kpc) and its error, E(B-V) and its error; NaN where not known."""

    log: np.ndarray
    sd: np.ndarray
    ebv: np.ndarray
    ebv_sd: np.ndarray


def weighted_mean(
    labels: LabelDraws,
    photometry: Photometry,
    settings: DistanceSettings | None = None,
    *,
    calibration: Calibration | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> DistancePosterior:
    """Distances by the weighted mean of the paper (its Sect. 4.3), as lognormal draws.

    d_spec is taken alone where parallax / error < 2 or RUWE > 1.4.

    Parameters
    ----------
    labels, photometry, settings, progress
        As in ``distances_of``.
    calibration
        Empirical magnitudes, as in the paper. Without one, log d_spec is the mean of the joint
        posterior of stellar evolution with the parallax hidden.

    Returns
    -------
    DistancePosterior
        Labels are not updated; draws of the distance are not correlated with them. Mass and age
        are NaN. Diagnostics: ``f_parallax`` (weight of d_geom), ``p_binary`` (1 where d_geom is
        taken alone for a binary), ``bands``, ``prior_share``, and the others of ``distance``, NaN.
    """
    settings = settings or DistanceSettings()
    photometry = with_zero_points(photometry, settings)
    stars = observe(labels, photometry, settings)
    if calibration is None:
        spec = _by_evolution(labels, photometry, settings, progress=progress)
    else:
        plain = replace(settings, offsets=(0.0,) * len(ALL_BANDS), law=calibration.law)
        own = observe(labels, photometry, plain, floors=EMPIRICAL_FLOORS)
        own = replace(own, ivar=own.ivar * calibration.model.known)
        stars = with_own_prior(own, labels)
        spec = _by_magnitude(stars, calibration, known=labels.known)
    log, sd, share, pair = _combined(spec, stars, labels, ruwe=photometry.ruwe)
    return _record(
        spec, stars, labels, photometry=photometry, settings=settings, found=(log, sd, share, pair)
    )


def _by_evolution(
    labels: LabelDraws,
    photometry: Photometry,
    settings: DistanceSettings,
    *,
    progress: Callable[[str, int, int], None] | None,
) -> _Spectroscopic:
    hidden = replace(settings, parallax=False)
    record = distances_of(labels, photometry, hidden, progress=progress)
    log, ebv = np.log10(record["dist"]), record["ebv"]
    known = (np.asarray(record.diagnostics["bands"]) > 0) & np.isfinite(log).all(axis=0)
    means = (log.mean(axis=0), log.std(axis=0), ebv.mean(axis=0), ebv.std(axis=0))
    return _Spectroscopic(*(np.where(known, x, np.nan) for x in means))


def _by_magnitude(
    stars: Observed, calibration: Calibration, *, known: np.ndarray
) -> _Spectroscopic:
    """Eq. 5 with E(B-V) by colour excess and map, and the reference band."""
    found = _estimates(stars, calibration.model, load_bolometric_table(calibration.law))
    return _Spectroscopic(*(np.where(known, np.asarray(x), np.nan) for x in found))


@jax.jit
def _estimates(stars: Observed, model: Empirical, table: BolometricTable) -> tuple[jax.Array, ...]:
    result: tuple[jax.Array, ...] = jax.vmap(lambda star: _estimate(star, model, table))(stars)
    return result


def _estimate(star: Observed, model: Empirical, table: BolometricTable) -> tuple[jax.Array, ...]:
    """(log10 d, its error, E(B-V), its error) of one star; the scatter of labels is linear."""
    used = star.ivar > 0
    both = used[:, None] & used[None]
    turn = jax.jacfwd(model.magnitudes)(star.core)
    spread = model.covariance(star.core) + turn @ jnp.linalg.inv(star.precision) @ turn.T
    spread = spread + jnp.diag(jnp.where(used, 1 / jnp.where(used, star.ivar, 1.0), 0.0))
    total = jnp.where(both, spread, 0.0) + jnp.diag(jnp.where(used, 0.0, 1.0))
    precision = jnp.where(both, jnp.linalg.inv(total), 0.0)
    away = jnp.where(used, star.magnitude - model.magnitudes(star.core), 0.0)
    reference = jnp.where(used[0], 0, ALL_BANDS.index("Ks"))

    def step(_: int, at: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        modulus, ebv = at[:2]
        dimmed, slope = table.extinction(star.core, ebv)
        mean, sd = of_modulus(modulus, star.tables.dust)
        design = jnp.stack([jnp.ones(len(slope)), slope], axis=1)
        prior = jnp.diag(jnp.array([1e-12, 0.0]).at[1].set(sd**-2))
        covariance = jnp.linalg.inv(prior + design.T @ precision @ design)
        rest = away - (dimmed - slope * ebv)
        found = covariance @ (design.T @ precision @ rest + prior[1] * mean)
        ebv, error = jnp.maximum(found[1], 0.0), jnp.sqrt(covariance[1, 1])
        dimmed, slope = table.extinction(star.core, ebv)
        return away[reference] - dimmed[reference], ebv, error, slope[reference]

    start = (jnp.asarray(_FAR), jnp.zeros(()), jnp.ones(()), jnp.zeros(()))
    modulus, ebv, error, slope = jax.lax.fori_loop(0, 3, step, start)
    sd = jnp.sqrt(spread[reference, reference] + (slope * error) ** 2)
    good = used[reference] & model.inside(star.core)
    return jnp.where(good, 0.2 * modulus - 2, jnp.nan), 0.2 * sd, ebv, error


def _combined(
    spec: _Spectroscopic, stars: Observed, labels: LabelDraws, *, ruwe: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(log10 d in kpc, its error, weight of d_geom, whether a binary) [star]."""
    parallax, ivar = np.asarray(stars.parallax), np.asarray(stars.parallax_ivar)
    ratio = parallax * np.sqrt(ivar)
    use = (ratio >= _LOW) & ~(ruwe > _HIGH)
    geom = np.where(use, -np.log10(np.where(use, parallax, 1.0)), np.nan)
    sd = np.where(use, 1 / (_LN10 * np.where(use, ratio, 1.0)), np.inf)
    known = np.isfinite(spec.log)
    gap, error = 5 * (geom - spec.log), 5 * np.hypot(sd, spec.sd)
    with np.errstate(invalid="ignore"):
        pair = known & (ratio > _SURE) & (np.asarray(stars.core)[:, 1] > DWARF)
        pair &= (gap > _DISCREPANT * error) & (gap < _PAIR + _DISCREPANT * error)
    weight = np.where(known & ~pair, np.where(known, spec.sd, 1.0) ** -2.0, 0.0)
    other = np.where(use, sd**-2.0, 0.0)
    total = weight + other
    with np.errstate(invalid="ignore", divide="ignore"):
        log = (weight * np.nan_to_num(spec.log) + other * np.nan_to_num(geom)) / total
        missing = (total == 0) | ~labels.known
        share = np.where(missing, np.nan, other / total)
        return np.where(missing, np.nan, log), total**-0.5, share, pair


def _record(
    spec: _Spectroscopic,
    stars: Observed,
    labels: LabelDraws,
    *,
    photometry: Photometry,
    settings: DistanceSettings,
    found: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> DistancePosterior:
    log, sd, share, pair = found
    draws = settings.draws
    noise = jax.vmap(lambda k: jax.random.normal(k, (2, draws)))(
        star_keys(labels.ids, settings.seed)
    )
    first, second = np.moveaxis(np.asarray(noise), 0, -1)  # [draw star] each
    ebv = np.maximum(spec.ebv + spec.ebv_sd * second, 0.0)
    dist = 10 ** (log + np.where(np.isfinite(log), sd, 0.0) * first)
    unknown = np.full((draws, len(labels)), np.nan)
    quantities = {"dist": dist, "ebv": ebv, "vrad": labels.vrad}
    table = load_bolometric_table(settings.law)
    slope = np.asarray(jax.vmap(lambda c: table.extinction(c, 0.0)[1])(stars.core))
    used = np.asarray(stars.ivar) > 0
    for name, band in (("m_g", "G"), ("m_ks", "Ks")):
        i = ALL_BANDS.index(band)
        seen = np.where(used[:, i], np.asarray(stars.magnitude)[:, i], np.nan)
        dimmed = slope[:, i] * np.nan_to_num(ebv)
        quantities[name] = seen - 5 * np.log10(dist) - 10 - dimmed
    quantities |= dict.fromkeys(("mass", "age", "mass_ratio"), unknown)
    size = len(labels)
    diagnostics = dict.fromkeys(("log_evidence", "chi2"), np.full(size, np.nan)) | {
        "ess": np.full(size, float(draws)),
        "p_binary": pair.astype(float),
        "bands": used.sum(axis=1).astype(float),
        "f_parallax": share,
        "prior_share": labels.prior_share,
        "age_known": np.zeros(size),
    }
    record = DistancePosterior(
        ids=np.asarray(labels.ids, str),
        log_weight=np.zeros((draws, size)),
        quantities=quantities,
        warn=np.zeros(size, np.int64),
        labels=labels.draws,
        label_names=labels.names,
        diagnostics=diagnostics,
    )
    measured = np.asarray(stars.parallax_ivar) > 0
    warn = check_distances(record, photometry, parallax_used=measured, ruwe=settings.ruwe)
    return replace(record, warn=warn)
