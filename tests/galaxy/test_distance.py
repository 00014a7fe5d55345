"""Distances: the parts against independent computations, the sampler against its prior."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import ndtr

from bayes_ddp.galaxy.bolometric import left_out_errors, load_bolometric_table
from bayes_ddp.galaxy.distance import load_model
from bayes_ddp.galaxy.dust_law import law_ratio
from bayes_ddp.galaxy.extinction import extinction
from bayes_ddp.galaxy.integral import Bands, integrand, parallax_alone
from bayes_ddp.galaxy.magnitudes import absolute_magnitudes
from bayes_ddp.galaxy.observed import Observed, make_tables, of_modulus

SIGMA = np.array([0.02, 0.03, 0.03, 0.03, 0.03, 0.03, np.inf, np.inf, np.inf])


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
