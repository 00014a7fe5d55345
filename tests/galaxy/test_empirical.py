"""Empirical magnitudes: known functions are recovered, distances with them are calibrated.

The functions of the mock are quadratic with a wave, so that a polynomial alone does not describe
them. Its stars have the density of the prior of distances, companions and outliers.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord

from bayes_ddp.files.errors import BadFileError
from bayes_ddp.flags import WARN
from bayes_ddp.galaxy.bolometric import ALL_BANDS, load_bolometric_table
from bayes_ddp.galaxy.calibration import Fit, fit_empirical
from bayes_ddp.galaxy.calibration_file import load_calibration, write_calibration
from bayes_ddp.galaxy.companions import shares
from bayes_ddp.galaxy.control import CalibrationSettings, select_control
from bayes_ddp.galaxy.distance_settings import DistanceSettings
from bayes_ddp.galaxy.distances import distances_of
from bayes_ddp.galaxy.empirical import Calibration, Empirical
from bayes_ddp.galaxy.integral import Bands
from bayes_ddp.galaxy.label_draws import LabelDraws, draws_of_moments
from bayes_ddp.galaxy.mixture import BRIGHTER, REDDER
from bayes_ddp.galaxy.observed import MODULUS, Observed, make_tables, of_modulus
from bayes_ddp.galaxy.photometry import Photometry
from bayes_ddp.galaxy.populations import POPULATIONS
from bayes_ddp.galaxy.sample_empirical import sample_empirical
from bayes_ddp.galaxy.weighted_mean import weighted_mean

SCATTER = np.diag([0.12, 0.015, 0.02, 0.03, 0.03, 0.035]) ** 2
"""Intrinsic covariance of M_G and of the colours BP - G to Ks - G."""

COLOURS = np.array([0.02, -0.02, -0.04, -0.05, -0.06])
"""mag, by which a companion changes the colours."""

ERRORS = np.array([0.003, 0.006, 0.006, 0.02, 0.02, 0.02])
LABEL_SD = {"teff": 40.0, "logg": 0.05, "m_h": 0.04}


def true_outputs(core: np.ndarray) -> np.ndarray:
    """[star output], M_G and colours of single stars."""
    t, g, m = ((core - [8.6, 4.0, -0.5]) / [0.15, 0.8, 0.8]).T
    reference = 4.0 - 1.6 * t + 1.9 * g - 0.3 * m + 0.15 * np.sin(2 * t) + 0.1 * g * m
    slope = np.array([-0.35, 0.4, 0.7, 0.95, 1.0])  # of the colours, by -t
    bend = np.array([0.05, -0.04, -0.06, -0.08, -0.09])
    colours = -0.9 * slope * t[:, None] + bend * np.sin(2 * t)[:, None] + 0.1 * bend * m[:, None]
    return np.concatenate([reference[:, None], colours - 0.6 * slope], axis=1)


@dataclass(frozen=True)
class Mock:
    """labels, photometry : what is measured. core, dist, ebv, kind : truth."""

    labels: LabelDraws
    photometry: Photometry
    core: np.ndarray
    dist: np.ndarray
    ebv: np.ndarray
    kind: np.ndarray
    m_g: np.ndarray


def make_mock(
    number: int, *, seed: int = 1, fraction: float = 0.4, outliers: float = 0.03
) -> Mock:
    """Stars of the high-latitude sky out to the modulus 14."""
    rng = np.random.default_rng(seed)
    core = rng.uniform([8.42, 1.5, -2.0], [8.76, 4.8, 0.3], (number, 3))
    lon, lat = rng.uniform(0, 360, number), np.degrees(np.arcsin(rng.uniform(0.55, 1, number)))
    sky = SkyCoord(lon * u.deg, lat * u.deg, frame="galactic").icrs
    sfd = rng.uniform(0.005, 0.04, number)
    tables = make_tables(np.radians(lon), np.radians(lat), sfd)
    metals = np.stack([p.density_of_metals(core[:, 2]) for p in POPULATIONS], axis=1)
    density = np.einsum("nmp,np->nm", np.asarray(tables.volume), metals)
    density[:, (MODULUS < 4) | (MODULUS > 14)] = 0
    cumulated = np.cumsum(density, axis=1)
    cell = (rng.uniform(0, 1, (number, 1)) < cumulated / cumulated[:, -1:]).argmax(axis=1)
    modulus = MODULUS[cell] + 0.1 * rng.uniform(-0.5, 0.5, number)
    mean, sd = np.asarray(tables.dust)[np.arange(number), cell].T
    ebv = -np.ones(number)
    while (ebv < 0).any():
        ebv = np.where(ebv < 0, mean + sd * rng.standard_normal(number), ebv)
    outputs = true_outputs(core) + rng.standard_normal((number, 6)) * np.sqrt(np.diag(SCATTER))
    kind = np.where(core[:, 1] > 3.5, rng.choice(5, number, p=shares(fraction)), 0)
    m_g = outputs[:, 0].copy()
    brighter = np.concatenate([[0], BRIGHTER])
    outputs[:, 0] -= brighter[kind]
    outputs[:, 1:] += COLOURS * np.concatenate([[0], REDDER])[kind][:, None]
    odd = rng.uniform(size=number) < outliers
    outputs[odd] += rng.standard_normal((odd.sum(), 6)) * [1.0, 0.3, 0.3, 0.3, 0.3, 0.3]
    light = outputs.copy()
    light[:, 1:] += outputs[:, :1]
    table = load_bolometric_table()
    dimmed = np.asarray(jax.vmap(table.extinction)(jnp.asarray(core), jnp.asarray(ebv))[0])
    seen = np.full((number, len(ALL_BANDS)), np.nan)
    error = seen.copy()
    seen[:, :6] = light + modulus[:, None] + dimmed[:, :6] + ERRORS * rng.normal(size=light.shape)
    error[:, :6] = ERRORS
    noise = np.geomspace(0.01, 0.1, number)[rng.permutation(number)]
    dist = 10 ** (0.2 * modulus - 2)
    measured = {
        "teff": np.exp(core[:, 0]) + LABEL_SD["teff"] * rng.standard_normal(number),
        "logg": core[:, 1] + LABEL_SD["logg"] * rng.standard_normal(number),
        "m_h": core[:, 2] + LABEL_SD["m_h"] * rng.standard_normal(number),
    }
    errors = {name: np.full(number, sd) for name, sd in LABEL_SD.items()}
    return Mock(
        labels=draws_of_moments(np.arange(number), measured, errors),
        photometry=Photometry(
            ra=sky.ra.deg,
            dec=sky.dec.deg,
            magnitude=seen,
            error=error,
            parallax=1 / dist + noise * rng.standard_normal(number),
            parallax_error=noise,
            zero_point=np.zeros(number),
            ruwe=np.ones(number),
            ebv=sfd,
        ),
        core=core,
        dist=dist,
        ebv=ebv,
        kind=np.where(odd, -1, kind),
        m_g=m_g,
    )


EXACT = DistanceSettings(floor=0.0, zero_point_error=0.0, label_prior="own")
STARS, FRACTION, OUTLIERS = 900, 0.4, 0.03


@pytest.fixture(scope="module")
def fit() -> Fit:
    mock = make_mock(STARS, fraction=FRACTION, outliers=OUTLIERS)
    settings = CalibrationSettings(floor=0.0)
    return fit_empirical(select_control(mock.labels, mock.photometry, settings))


@pytest.fixture(scope="module")
def calibration(fit: Fit) -> Calibration:
    return Calibration(fit.model, "fitzpatrick", (0.0,) * 9, {"stars": len(fit.control)})


@pytest.fixture(scope="module")
def targets() -> Mock:
    return make_mock(32, seed=7, outliers=0.0)


def test_functions_scatter_and_companions_of_control_stars_are_recovered(fit: Fit) -> None:
    """Four standard errors of scatter and shares; functions within twice their own errors.

    The error of a scatter s from n stars with noise e is s (1 + e^2 / s^2) / sqrt(2 n). That of
    the share of companions is twice the binomial one: single stars and pairs overlap.
    """
    core = np.random.default_rng(3).uniform([8.47, 2.0, -1.7], [8.71, 4.5, 0.1], (400, 3))
    away = np.asarray(jax.vmap(fit.model.outputs)(core)) - true_outputs(core)
    terms = jax.vmap(fit.model.basis)(core)
    own = jnp.sum(jnp.einsum("nt,otu->nou", terms, fit.model.root) ** 2, axis=2)
    assert (np.sqrt((away**2).mean(axis=0) / np.mean(own, axis=0)) < 2).all()
    assert (away.std(axis=0) < [0.08, 0.01, 0.01, 0.02, 0.02, 0.02]).all()
    true, found = np.sqrt(np.diag(SCATTER)), np.sqrt(np.diag(fit.mixture.scatter))
    noise = np.nanmedian(fit.noise, axis=0)
    error = (1 + (noise / true) ** 2) / np.sqrt(2 * STARS)
    assert (np.abs(found / true - 1) < 4 * error).all(), found / true
    dwarfs = (fit.control.core[:, 1] > 3.5).sum()
    assert abs(fit.mixture.fraction - FRACTION) < 4 * 2 * np.sqrt(0.25 / dwarfs)
    assert abs(fit.mixture.outliers - OUTLIERS) < 4 * np.sqrt(OUTLIERS / STARS)


def test_a_small_control_sample_is_refused_with_the_numbers_after_each_cut() -> None:
    mock = make_mock(50, seed=2)
    with pytest.raises(ValueError, match=r"too small: 50 stars in the table, .* at least 60"):
        select_control(mock.labels, mock.photometry, CalibrationSettings())
    dusty = replace(mock.photometry, ebv=np.full(50, 2.0))
    with pytest.raises(ValueError, match=r"0 stars with E\(B-V\) up to 0.05"):
        select_control(mock.labels, dusty, CalibrationSettings())


def test_sums_of_correlated_bands_are_those_of_independent_ones_without_correlation() -> None:
    rng = np.random.default_rng(4)
    ivar = np.array([100.0, 50.0, 0.0, 20.0, 80.0, 10.0, 0.0, 0.0, 5.0])
    star = Observed(
        core=jnp.zeros(3),
        precision=jnp.eye(3),
        magnitude=jnp.asarray(rng.normal(12, 1, 9)),
        ivar=jnp.asarray(ivar),
        parallax=jnp.asarray(1.0),
        parallax_ivar=jnp.asarray(1.0),
        tables=jax.tree.map(lambda x: x[0], make_tables(np.ones(1), np.ones(1), np.ones(1))),
    )
    light, slope = jnp.asarray(rng.normal(4, 1, 9)), jnp.asarray(rng.uniform(0, 3, 9))
    one = Bands.of(star, light, slope)
    other = Bands.correlated(star.magnitude - light, slope, jnp.diag(star.ivar))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert float(a) == pytest.approx(float(b), rel=1e-10, abs=1e-9)


def test_a_calibration_survives_a_round_trip_through_its_file(
    calibration: Calibration, tmp_path: Path
) -> None:
    files = write_calibration(tmp_path / "c.nc", calibration)
    assert [path.suffix for path in files] == [".nc", ".toml"]
    again = load_calibration(tmp_path / "c.nc")
    core = jnp.array([8.6, 4.0, -0.3])
    assert again.card == calibration.card and again.offsets == calibration.offsets
    np.testing.assert_array_equal(again.model.covariance(core), calibration.model.covariance(core))
    (tmp_path / "d.nc").write_bytes(b"no netCDF")
    with pytest.raises(BadFileError, match="Make it anew"):
        load_calibration(tmp_path / "d.nc")


def test_stars_with_missing_bands_parallaxes_or_labels_get_what_is_known(
    calibration: Calibration, targets: Mock
) -> None:
    """Labels that no control star has, and unknown ones, leave other stars as they are."""
    whole = distances_of(targets.labels, targets.photometry, EXACT, calibration=calibration)
    known = np.flatnonzero(np.isfinite(whole["dist"]).all(axis=0))
    assert len(known) > 20
    blank, no_g, no_parallax, negative, unknown, dwarf = known[:6]
    photo = targets.photometry
    magnitude, error = photo.magnitude.copy(), photo.error.copy()
    parallax, sd = photo.parallax.copy(), photo.parallax_error.copy()
    magnitude[blank], error[blank] = np.nan, np.nan
    magnitude[no_g, 0], error[no_g, 0] = np.nan, np.nan
    parallax[no_parallax], sd[no_parallax] = np.nan, np.nan
    parallax[negative] = -0.5
    mean = targets.labels.mean.copy()
    mean[unknown] = np.nan
    mean[dwarf, 1] = 7.5  # a white dwarf
    odd = replace(photo, magnitude=magnitude, error=error, parallax=parallax, parallax_error=sd)
    labels = replace(targets.labels, mean=mean)
    found = distances_of(labels, odd, EXACT, calibration=calibration)
    lost = [unknown, dwarf]
    assert (found.warn[lost] & int(WARN.NO_DISTANCE) != 0).all()
    assert np.isnan(found["dist"][:, lost]).all()
    kept = known[:4]
    assert np.isfinite(found["dist"][:, kept]).all() and np.isfinite(found["m_g"][:, kept]).all()
    assert found.warn[blank] & int(WARN.NO_PHOTOMETRY)
    assert np.isnan(found["mass"]).all() and np.isnan(found["age"]).all()
    np.testing.assert_array_equal(found["dist"][:, known[6:]], whole["dist"][:, known[6:]])
    wide, narrow = (np.log(record["dist"]).std(axis=0) for record in (found, whole))
    assert wide[blank] > narrow[blank] and wide[no_parallax] > narrow[no_parallax]


def test_the_weighted_mean_is_geometric_near_and_spectroscopic_far(
    calibration: Calibration, targets: Mock
) -> None:
    """Within 5 standard errors of the mean of 256 draws; the errors are those of Eq. 5 and 6."""
    parallax = targets.photometry.parallax
    near = replace(targets.photometry, parallax_error=np.abs(parallax) * 1e-3)
    far = replace(targets.photometry, parallax_error=np.abs(parallax))  # ratio 1
    high = replace(near, ruwe=np.full(len(near), 2.0))
    first, second, third = (
        weighted_mean(targets.labels, photo, EXACT, calibration=calibration)
        for photo in (near, far, high)
    )
    good = np.isfinite(second["dist"]).all(axis=0) & (parallax > 0)
    assert good.sum() > 20
    log = np.log(first["dist"][:, good]).mean(axis=0)
    assert np.abs(log + np.log(parallax[good])).max() < 5 * 1e-3 / np.sqrt(256) + 1e-3
    np.testing.assert_array_equal(second["dist"], third["dist"])
    assert (second.diagnostics["f_parallax"][good] == 0).all()
    single = good & (targets.kind == 0)
    log = np.log(second["dist"])
    z = (log.mean(axis=0) - np.log(targets.dist)) / log.std(axis=0)
    assert np.abs(z[single].mean()) < 5 / np.sqrt(single.sum()) and 0.5 < z[single].std() < 1.6


def stars_of_the_model(model: Empirical, number: int) -> tuple[Observed, dict[str, np.ndarray]]:
    """Stars drawn from the model's own prior, given the posteriors of their labels, and data."""
    rng, table = np.random.default_rng(11), load_bolometric_table()
    centre = rng.uniform([8.47, 2.0, -1.7], [8.71, 4.5, 0.1], (number, 3))
    spread = np.diag([0.015, 0.12, 0.07]) ** 2
    core = centre + rng.multivariate_normal(np.zeros(3), spread, number)
    lon, lat = rng.uniform(0, 6.28, number), np.arcsin(rng.uniform(0.34, 1, number))
    tables = make_tables(lon, lat, rng.uniform(0.01, 0.1, number))
    metals = np.stack([p.density_of_metals(core[:, 2]) for p in POPULATIONS], axis=1)
    density = np.einsum("nmp,np->nm", np.asarray(tables.volume), metals)
    cumulated = np.cumsum(density, axis=1)
    cell = (rng.uniform(0, 1, (number, 1)) < cumulated / cumulated[:, -1:]).argmax(axis=1)
    modulus = MODULUS[cell] + 0.1 * rng.uniform(-0.5, 0.5, number)
    dust = jax.vmap(of_modulus)(jnp.asarray(modulus), tables.dust)
    ebv = -np.ones(number)
    while (ebv < 0).any():
        again = dust[:, 0] + dust[:, 1] * rng.standard_normal(number)
        ebv = np.where(ebv < 0, again, ebv)
    light = np.array(jax.vmap(model.magnitudes)(core))
    for i, covariance in enumerate(jax.vmap(model.covariance)(centre)):
        light[i] += rng.multivariate_normal(np.zeros(9), covariance, method="eigh")
    chance = np.exp(jax.vmap(model.log_shares)(core))
    kind = (rng.uniform(0, 1, (number, 1)) < np.cumsum(chance, axis=1)).argmax(axis=1)
    shift = np.concatenate([np.zeros((1, 9)), model.shift @ model.turn.T])[kind]
    seen = light + shift + jax.vmap(table.extinction)(core, ebv)[0] + modulus[:, None]
    sigma = np.array([0.01, 0.02, 0.02, 0.03, 0.03, 0.03, np.inf, np.inf, np.inf])
    noise = np.where(np.isfinite(sigma), sigma, 0.0) * rng.standard_normal(seen.shape)
    distance, error = 10 ** (0.2 * modulus - 2), np.exp(rng.uniform(-4.6, -1, number))
    stars = Observed(
        core=jnp.asarray(centre),
        precision=jnp.asarray(np.repeat(np.linalg.inv(spread)[None], number, axis=0)),
        magnitude=jnp.asarray(np.where(np.isfinite(sigma), seen + noise, 0.0)),
        ivar=jnp.asarray(np.repeat(sigma[None] ** -2.0, number, axis=0)),
        parallax=jnp.asarray(1 / distance + error * rng.standard_normal(number)),
        parallax_ivar=jnp.asarray(error**-2),
        tables=tables,
    )
    truth = {"dist": distance, "ebv": ebv, "m_g": light[:, 0], "m_ks": light[:, 5]}
    return stars, truth | {"teff": np.exp(core[:, 0]), "logg": core[:, 1], "mass_ratio": kind}


@pytest.mark.slow
def test_ranks_of_truths_from_the_prior_of_the_model_are_uniform(
    calibration: Calibration,
) -> None:
    """Coverage of 68 and 95 % within 4 standard errors, six quantities: fails once in 1000."""
    number = 600
    stars, truth = stars_of_the_model(calibration.model, number)
    found = sample_empirical(np.arange(number), stars, calibration)
    assert (found.diagnostics["ess"] > 100).mean() > 0.98
    pairs = truth.pop("mass_ratio") > 0
    gap = found.diagnostics["p_binary"] - pairs
    assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(number)
    values = {"teff": found.labels[..., 0], "logg": found.labels[..., 1]} | found.quantities
    for name, true in truth.items():
        rank = (values[name] < true).mean(axis=0)
        for level in (0.68, 0.95):
            inside = np.mean(np.abs(rank - 0.5) < level / 2)
            assert abs(inside - level) < 4 * np.sqrt(level * (1 - level) / number), (name, level)
    some = np.array([5, 2, 71])  # alone and in another order
    again = sample_empirical(some, jax.tree.map(lambda x: x[some], stars), calibration)
    np.testing.assert_allclose(again["dist"], found["dist"][:, some], rtol=1e-6)


@pytest.mark.slow
def test_distances_of_other_stars_of_the_mock_are_covered(calibration: Calibration) -> None:
    """With a calibration learned from 900 stars: 68 and 95 % within 4 standard errors."""
    other = make_mock(500, seed=9, fraction=FRACTION, outliers=0.0)
    found = distances_of(other.labels, other.photometry, EXACT, calibration=calibration)
    known = np.isfinite(found["dist"]).all(axis=0) & (found.warn == 0)
    assert known.sum() > 350
    for name, true in (("dist", other.dist), ("ebv", other.ebv), ("m_g", other.m_g)):
        rank = (found[name] < true).mean(axis=0)[known]
        for level in (0.68, 0.95):
            inside = np.mean(np.abs(rank - 0.5) < level / 2)
            error = np.sqrt(level * (1 - level) / known.sum())
            assert abs(inside - level) < 4 * error, (name, level, inside)
