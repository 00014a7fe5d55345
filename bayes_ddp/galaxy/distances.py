"""Distance posteriors: labels, photometry and parallaxes of stars in, one record out.

Photometry and parallax update the labels; they are not attached to them afterwards. The density
of a star's labels, mass, age, distance modulus mu, reddening E and companion q is

    L(core) p(core, mass, age | population) p(mu, population | line of sight) p(E | mu) p(q)
        N(magnitudes | core, mass, mu, E, q) N(parallax | mu)

with L the likelihood of the spectrum for the core (``label_draws``), and the isochrones, the mass
function and the Galaxy as the only priors of the core. Draws: ``sample``.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord

from bayes_ddp.flags import WARN
from bayes_ddp.galaxy.bolometric import ALL_BANDS
from bayes_ddp.galaxy.distance import load_model, sample_distances
from bayes_ddp.galaxy.distance_checks import age_is_known, check_distances, parallax_share
from bayes_ddp.galaxy.distance_settings import EMPIRICAL_FLOORS, FLOORS, DistanceSettings
from bayes_ddp.galaxy.empirical import Calibration
from bayes_ddp.galaxy.label_density import load_label_density
from bayes_ddp.galaxy.label_draws import LabelDraws, draws_of_posterior
from bayes_ddp.galaxy.label_moments import with_own_prior
from bayes_ddp.galaxy.observed import Observed, make_tables
from bayes_ddp.galaxy.photometry import Photometry, photometry_of
from bayes_ddp.galaxy.records import DistancePosterior
from bayes_ddp.galaxy.sample_empirical import sample_empirical
from bayes_ddp.inference.posterior import Posterior

__all__ = ["distance", "distances_of", "observe", "with_zero_points"]

_STARS = 512
"""Stars that are computed before the progress is reported."""

Progress = Callable[[str, int, int], None]


def distance(
    posterior: Posterior | LabelDraws,
    photometry: Photometry | Mapping[str, np.ndarray],
    settings: DistanceSettings | None = None,
    *,
    calibration: Calibration | None = None,
    vrad: np.ndarray | None = None,
    errors: np.ndarray | None = None,
    progress: Progress | None = None,
) -> DistancePosterior:
    """Joint draws of labels, distance and extinction of stars.

    Parameters
    ----------
    posterior
        Of the labels: a ``Posterior``, or ``LabelDraws`` (``draws_of_moments`` for a table).
    photometry
        Of the same stars in the same order; a table with columns of Gaia, 2MASS or the Legacy
        Surveys is read with ``photometry_of``.
    settings
        By default the thin disc, thick disc and halo as prior, and all bands.
    calibration
        Empirical magnitudes (``load_calibration``) instead of stellar evolution. Mass and age
        are NaN then, and so is a star whose labels no control star has (docs/calibration.md).
    vrad : [star], km/s
        Velocity of the input spectra, to which those of the posterior are relative; orbits
        need it.
    errors : [star label], units of the labels
        Errors that the posterior does not include (columns ``_SYS`` of a catalogue).
    progress : called with (text, stars done, stars)

    Returns
    -------
    DistancePosterior
        Draw i of a star belongs to draw i of its labels, which follow Teff, log g and [M/H]
        by linear regression. A star without labels is NaN, with the bit NO_DISTANCE.
        Diagnostics [star]: ``ess``, ``p_binary``, ``log_evidence``, ``chi2`` (of the magnitudes,
        mean), ``bands`` (number used), ``f_parallax`` (share of the information on the distance
        that is the parallax's), ``prior_share`` (of the labels), ``age_known``; with a calibration
        ``outside`` (share of the draws whose labels no control star has).

    Raises ValueError where the numbers of stars differ or labels are missing, RuntimeError
    without float64.
    """
    settings = settings or DistanceSettings()
    if isinstance(posterior, Posterior):
        posterior = draws_of_posterior(posterior, number=settings.draws, errors=errors, vrad=vrad)
    if not isinstance(photometry, Photometry):
        columns = {str(name).lower(): np.asarray(photometry[name]) for name in photometry}
        photometry = photometry_of(columns)
    if len(posterior) != len(photometry):
        raise ValueError(
            f"Labels of {len(posterior)} stars and photometry of {len(photometry)}: match them "
            "first, so that row i of both is the same star."
        )
    return distances_of(
        posterior, photometry, settings, calibration=calibration, progress=progress
    )


def distances_of(
    labels: LabelDraws,
    photometry: Photometry,
    settings: DistanceSettings,
    *,
    calibration: Calibration | None = None,
    progress: Progress | None = None,
) -> DistancePosterior:
    """As ``distance``, for records of the same length."""
    photometry = with_zero_points(photometry, settings)
    stars, sample = _prepared(labels, photometry, settings, calibration=calibration)
    rows = np.flatnonzero(labels.known)
    parts: list[DistancePosterior] = []
    for done in range(0, len(rows), _STARS):
        some = rows[done : done + _STARS]
        batch = jax.tree.map(lambda x, rows=some: jnp.asarray(x)[rows], stars)
        parts.append(sample(labels.ids[some], batch, draws=settings.draws, seed=settings.seed))
        if progress:
            progress("distances", done + len(some), len(rows))
    whole = _spread(parts, rows, labels, settings=settings)
    moved = _with_zero_point(whole, stars, settings)
    return _finished(moved, stars, labels, photometry=photometry, settings=settings)


def with_zero_points(photometry: Photometry, settings: DistanceSettings) -> Photometry:
    """The photometry with ``settings.zero_point`` where the zero point is not known."""
    if settings.zero_point is None:
        return photometry
    unknown = ~np.isfinite(photometry.zero_point)
    zero = np.where(unknown, settings.zero_point, photometry.zero_point)
    return replace(photometry, zero_point=zero)


def _prepared(
    labels: LabelDraws,
    photometry: Photometry,
    settings: DistanceSettings,
    *,
    calibration: Calibration | None,
) -> tuple[Observed, Callable[..., DistancePosterior]]:
    """(what is observed, the function that draws from identifiers and stars)."""
    if calibration is None:
        model = load_model(settings.law, settings.pairs)
        return observe(labels, photometry, settings), partial(sample_distances, model=model)
    plain = replace(settings, offsets=(0.0,) * len(ALL_BANDS))
    stars = observe(labels, photometry, plain, floors=EMPIRICAL_FLOORS)
    stars = replace(stars, ivar=stars.ivar * calibration.model.known)
    if settings.label_prior == "own":
        stars = with_own_prior(stars, labels)
        return stars, partial(sample_empirical, calibration=calibration)
    density = load_label_density()
    return stars, partial(sample_empirical, calibration=calibration, density=density)


def observe(
    labels: LabelDraws,
    photometry: Photometry,
    settings: DistanceSettings,
    *,
    floors: Mapping[str, float] = FLOORS,
) -> Observed:
    """What the sampler takes, [star]; finite also where a star is not known.

    floors : band -> mag, added in quadrature to the errors.
    """
    placed = np.isfinite(photometry.ra) & np.isfinite(photometry.dec)
    sky = SkyCoord(
        np.where(placed, photometry.ra, 0.0) * u.deg,
        np.where(placed, photometry.dec, 0.0) * u.deg,
    ).galactic
    lon, lat = (np.where(placed, x.rad, np.nan) for x in (sky.l, sky.b))
    ebv = np.where(photometry.ebv >= 0, photometry.ebv, np.nan)
    scale = settings.scale if settings.prior == "exponential" else None
    used = np.isfinite(photometry.magnitude) & np.isfinite(photometry.error)
    used &= np.array([band in settings.bands for band in ALL_BANDS])
    least = np.array([floors[band] for band in ALL_BANDS])
    variance = np.where(used, photometry.error, 1.0) ** 2 + least**2
    magnitude = photometry.magnitude - np.array(settings.offsets)
    parallax, sd = _parallaxes(photometry, settings)
    known = labels.known
    safe = np.where(known[:, None], labels.mean, [8.6, 4.4, 0.0])
    return Observed(
        core=jnp.asarray(safe),
        precision=jnp.asarray(np.where(known[:, None, None], labels.precision, np.eye(3))),
        magnitude=jnp.asarray(np.where(used, magnitude, 0.0)),
        ivar=jnp.asarray(np.where(used, 1 / variance, 0.0)),
        parallax=jnp.asarray(np.where(np.isfinite(sd), parallax, 0.0)),
        parallax_ivar=jnp.asarray(np.where(np.isfinite(sd), 1 / sd**2, 0.0)),
        tables=make_tables(lon, lat, ebv, scale=scale),
    )


def _parallaxes(
    photometry: Photometry, settings: DistanceSettings
) -> tuple[np.ndarray, np.ndarray]:
    """(parallax without its zero point, its error) [star], mas; NaN where not used."""
    value = photometry.parallax - np.nan_to_num(photometry.zero_point)
    high = photometry.ruwe > settings.ruwe
    factor = settings.inflation * np.where(high, photometry.ruwe, 1.0)
    sd = np.hypot(factor * photometry.parallax_error, settings.floor)
    known = np.isfinite(value) & np.isfinite(sd) & settings.parallax
    return np.where(known, value, np.nan), np.where(known, sd, np.nan)


def _spread(
    parts: list[DistancePosterior],
    rows: np.ndarray,
    labels: LabelDraws,
    *,
    settings: DistanceSettings,
) -> DistancePosterior:
    """One record of all stars; those that are not in ``rows`` are NaN. Labels are of the core."""
    size, draws = len(labels), settings.draws

    def whole(pieces: list[np.ndarray], axis: int, shape: tuple[int, ...]) -> np.ndarray:
        result = np.full(shape, np.nan)
        if pieces:
            index = (slice(None),) * axis + (rows,)
            result[index] = np.concatenate(pieces, axis=axis)
        return result

    names = ("dist", "ebv", "m_g", "m_ks", "mass", "age", "mass_ratio")
    quantities = {n: whole([p.quantities[n] for p in parts], 1, (draws, size)) for n in names}
    quantities["vrad"] = labels.vrad
    kinds = [*parts[0].diagnostics] if parts else ["ess", "p_binary", "log_evidence", "chi2"]
    return DistancePosterior(
        ids=np.asarray(labels.ids, str),
        log_weight=np.zeros((draws, size)),
        quantities=quantities,
        warn=np.zeros(size, np.int64),
        labels=whole([p.labels for p in parts], 1, (draws, size, 3)),
        label_names=("teff", "logg", "m_h"),
        diagnostics={n: whole([p.diagnostics[n] for p in parts], 0, (size,)) for n in kinds},
    )


def _with_zero_point(
    record: DistancePosterior, stars: Observed, settings: DistanceSettings
) -> DistancePosterior:
    """The record with an error of the zero point, one draw of it shared by all stars.

    To first order the posterior mean of x changes by Cov(x, 1/d) / sigma^2 per mas of parallax.
    """
    if not settings.zero_point_error:
        return record
    rng = np.random.default_rng([settings.seed, 7])
    shift = settings.zero_point_error * rng.standard_normal((settings.draws, 1))
    inverse = 1 / record["dist"]
    away = (inverse - inverse.mean(axis=0)) * np.asarray(stars.parallax_ivar)

    def moved(values: np.ndarray) -> np.ndarray:
        slope = np.mean((values - values.mean(axis=0)) * away, axis=0)
        result: np.ndarray = values + slope * shift
        return result

    changed = {n: moved(record[n]) for n in ("m_g", "m_ks")}
    changed |= {n: np.exp(moved(np.log(record[n]))) for n in ("dist", "mass")}
    core = [np.exp(moved(np.log(record.labels[..., 0])))]
    core += [moved(record.labels[..., i]) for i in (1, 2)]
    return replace(record, quantities=record.quantities | changed, labels=np.stack(core, axis=-1))


def _finished(
    record: DistancePosterior,
    stars: Observed,
    labels: LabelDraws,
    *,
    photometry: Photometry,
    settings: DistanceSettings,
) -> DistancePosterior:
    """The record with all labels, diagnostics and warnings."""
    core = np.concatenate([np.log(record.labels[..., :1]), record.labels[..., 1:]], axis=-1)
    bands = (np.asarray(stars.ivar) > 0).sum(axis=1)
    more = {
        "bands": bands.astype(float),
        "f_parallax": parallax_share(record, np.asarray(stars.parallax_ivar)),
        "prior_share": labels.prior_share,
        "age_known": age_is_known(record, np.asarray(stars.tables.volume)).astype(float),
    }
    full = replace(record, diagnostics=record.diagnostics | more)
    used = np.asarray(stars.parallax_ivar) > 0
    warn = check_distances(full, photometry, parallax_used=used, ruwe=settings.ruwe)
    missing = (warn & int(WARN.NO_DISTANCE)) != 0
    moved = labels.moved(core)
    return replace(
        full,
        warn=warn,
        quantities={
            n: v if n == "vrad" else np.where(missing, np.nan, v)
            for n, v in full.quantities.items()
        },
        labels=np.where(missing[:, None], np.nan, moved),
        label_names=labels.names,
    )
