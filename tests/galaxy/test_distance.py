"""Distances: the parts against independent computations, the sampler against its prior."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import ndtr

from bayes_ddp.galaxy.bolometric import left_out_errors, load_bolometric_table
from bayes_ddp.galaxy.distance import load_model, sample_distances
from bayes_ddp.galaxy.dust_law import law_ratio
from bayes_ddp.galaxy.extinction import extinction
from bayes_ddp.galaxy.integral import Bands, integrand, parallax_alone
from bayes_ddp.galaxy.library import KERNEL
from bayes_ddp.galaxy.magnitudes import absolute_magnitudes
from bayes_ddp.galaxy.observed import Observed, make_tables, of_modulus

SIGMA = np.array([0.02, 0.03, 0.03, 0.03, 0.03, 0.03, np.inf, np.inf, np.inf])
COVARIANCE = np.diag([0.012, 0.12, 0.06]) ** 2


def test_colours_at_left_out_nodes_are_good_to_a_hundredth() -> None:
    for errors in left_out_errors().values():
        assert (np.median(np.abs(errors), axis=0) < 0.01).all()


def test_the_table_agrees_with_the_interpolator_of_the_mock() -> None:
    """Median below 0.002 mag; the mock interpolates linearly between the original nodes."""
    rng = np.random.default_rng(1)
    core = rng.uniform([8.35, 1.0, -2.5], [8.9, 5.0, 0.4], (200, 3))
    table = load_bolometric_table("cardelli")
    found = jax.vmap(lambda c: table.magnitudes(c, jnp.zeros(())))(core)
    log_lum = 4 * (core[:, 0] / np.log(10) - 3.7617) - (core[:, 1] - 4.438)
    other = absolute_magnitudes(np.exp(core[:, 0]), core[:, 1], core[:, 2], log_lum=log_lum)
    assert np.median(np.abs(found[:, 0] - other["G"])) < 0.002
    loss = jax.vmap(lambda c: table.extinction(c, 0.3)[0])(core)
    dimmed = extinction(
        ("G",), np.exp(core[:, 0]), core[:, 1], feh=core[:, 2], ebv=np.full(200, 0.3)
    )
    assert np.abs(loss[:, 0] - dimmed["G"]).max() < 0.005


def test_the_law_of_the_bands_of_2mass_is_that_of_schlafly_and_finkbeiner() -> None:
    """A_X / A_V of their Table 6 for R_V = 3.1; they give three digits."""
    for band, inside, published in (
        ("J", 0.290, 0.264),
        ("H", 0.183, 0.168),
        ("Ks", 0.118, 0.113),
    ):
        assert inside * law_ratio(band) == pytest.approx(published, abs=0.0015)


def stars_of_the_prior(number: int) -> tuple[Observed, dict[str, np.ndarray]]:
    """Stars drawn from the prior in labels, mass, distance, dust and companions (none), and data.

    The population is drawn with the number of its stars within reach of each line of sight.
    """
    model, rng = load_model(pairs=0.0), np.random.default_rng(5)
    lon, lat = rng.uniform(0, 6.28, number), np.arcsin(rng.uniform(0.34, 1, number))
    tables = make_tables(lon, lat, rng.uniform(0.01, 0.1, number))
    weight = np.asarray(model.library.weight).reshape(-1, 3)
    place = np.asarray(model.library.place).reshape(-1, 4)
    volume = np.asarray(tables.volume) * weight.sum(axis=0)
    chosen, modulus = np.zeros(number, int), np.zeros(number)
    for i in range(number):
        share = volume[i].ravel() / volume[i].sum()
        cell, population = divmod(rng.choice(share.size, p=share), 3)
        modulus[i] = -2 + 0.1 * (cell + rng.uniform(-0.5, 0.5))
        chosen[i] = rng.choice(len(weight), p=weight[:, population] / weight[:, population].sum())
    core = place[chosen, :3] + np.array(KERNEL) * rng.standard_normal((number, 3))
    prior = np.stack([of_modulus(m, t) for m, t in zip(modulus, tables.dust, strict=True)])
    ebv = -np.ones(number)
    while (ebv < 0).any():
        again = prior[:, 0] + prior[:, 1] * rng.standard_normal(number)
        ebv = np.where(ebv < 0, again, ebv)
    light = jax.vmap(model.table.magnitudes)(core, place[chosen, 3])
    magnitude = light + jax.vmap(model.table.extinction)(core, ebv)[0] + modulus[:, None]
    used = np.isfinite(SIGMA)
    noisy = np.where(used, magnitude + np.where(used, SIGMA, 0) * rng.normal(size=light.shape), 0)
    distance, error = 10 ** (0.2 * modulus - 2), np.exp(rng.uniform(-4.6, -1, number))
    seen = core + rng.multivariate_normal(np.zeros(3), COVARIANCE, number)
    stars = Observed(
        core=jnp.asarray(seen),
        precision=jnp.asarray(np.repeat(np.linalg.inv(COVARIANCE)[None], number, axis=0)),
        magnitude=jnp.asarray(noisy),
        ivar=jnp.asarray(np.repeat(SIGMA[None] ** -2.0, number, axis=0)),
        parallax=jnp.asarray(1 / distance + error * rng.standard_normal(number)),
        parallax_ivar=jnp.asarray(error**-2),
        tables=tables,
    )
    truth = {"dist": distance, "ebv": ebv, "m_g": np.asarray(light)[:, 0]}
    return stars, truth | {"logg": core[:, 1], "teff": np.exp(core[:, 0])}


@pytest.mark.parametrize("error", [0.01, 0.2, 5.0])
def test_the_integral_agrees_with_a_sum_over_a_fine_grid(error: float) -> None:
    """Over distance modulus and E(B-V), for precise, rough and useless parallaxes, to 0.2 %."""
    model, modulus = load_model(pairs=0.0), 9.0
    core = jnp.array([8.66, 4.3, -0.2])
    light = np.asarray(model.table.magnitudes(core, jnp.asarray(-0.1)))
    slope = np.asarray(model.table.extinction(core, jnp.zeros(()))[1])
    tables = make_tables(np.array([1.0]), np.array([0.8]), np.array([0.02]))
    star = Observed(
        core=core,
        precision=jnp.eye(3),
        magnitude=jnp.asarray(light + modulus + 0.03 * slope),
        ivar=jnp.asarray(SIGMA**-2.0),
        parallax=jnp.asarray(10 ** (2 - 0.2 * modulus) + 0.5 * error),
        parallax_ivar=jnp.asarray(error**-2),
        tables=jax.tree.map(lambda x: x[0], tables),
    )
    weight = jnp.array([1.0, 1.0, 1.0])
    bands = Bands.of(star, jnp.asarray(light), jnp.asarray(slope))
    nodes = integrand(star, bands, weight, alone=parallax_alone(star))
    mu, e = np.linspace(8.4, 9.6, 1501)[:, None], np.linspace(0, 0.3, 1201)[None]
    mean, sd = np.asarray(of_modulus(jnp.asarray(mu[:, 0]), star.tables.dust)).T[..., None]
    chi2 = (np.asarray(star.parallax) - 10 ** (2 - 0.2 * mu)) ** 2 / error**2
    for m, absolute, k, sigma in zip(star.magnitude, light, slope, SIGMA, strict=True):
        chi2 = chi2 + ((m - absolute - mu - k * e) / sigma) ** 2
    prior = np.exp(-0.5 * ((e - mean) / sd) ** 2) / (sd * np.sqrt(2 * np.pi) * ndtr(mean / sd))
    volume = np.asarray(of_modulus(jnp.asarray(mu[:, 0]), star.tables.volume)).sum(axis=1)
    inner = np.trapezoid(prior * np.exp(-0.5 * chi2), e[0], axis=1)
    expected = np.log(np.trapezoid(inner * volume, mu[:, 0]))
    assert float(jax.nn.logsumexp(nodes.log)) == pytest.approx(expected, abs=2e-3)


@pytest.mark.slow
def test_ranks_of_truths_from_the_prior_are_uniform() -> None:
    """Coverage of 68 and 95 % within 4 standard errors, five quantities: fails once in 1000."""
    number = 600
    stars, truth = stars_of_the_prior(number)
    found = sample_distances(np.arange(number), stars, load_model(pairs=0.0))
    assert (found.diagnostics["ess"] > 100).mean() > 0.95
    some = np.array([5, 2, 71])  # alone and in another order
    again = sample_distances(some, jax.tree.map(lambda x: x[some], stars), load_model(pairs=0.0))
    np.testing.assert_allclose(again["dist"], found["dist"][:, some], rtol=1e-6)
    values = {"teff": found.labels[..., 0], "logg": found.labels[..., 1]} | found.quantities
    for name, true in truth.items():
        rank = (values[name] < true).mean(axis=0)
        for level in (0.68, 0.95):
            inside = np.mean(np.abs(rank - 0.5) < level / 2)
            assert abs(inside - level) < 4 * np.sqrt(level * (1 - level) / number), (name, level)
