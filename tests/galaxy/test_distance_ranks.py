"""Simulation-based calibration of distances: truths from the prior, ranks among the draws.

A truth is a member of the library with its kernel, a companion, a distance, dust, labels,
magnitudes and a parallax, all drawn from what the sampler assumes. The population is drawn with
the number of its stars within reach of each line of sight.
"""

from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2

from bayes_ddp.galaxy.companions import RATIOS, shares
from bayes_ddp.galaxy.distance import load_model, sample_distances
from bayes_ddp.galaxy.library import KERNEL
from bayes_ddp.galaxy.members import Model
from bayes_ddp.galaxy.observed import Observed, Tables, make_tables, of_modulus
from bayes_ddp.galaxy.records import DistancePosterior

SIGMA = np.array([0.02, 0.03, 0.03, 0.03, 0.03, 0.03, np.inf, np.inf, np.inf])
COVARIANCE = np.diag([0.012, 0.12, 0.06]) ** 2
PAIRS = 0.45
NUMBER = 600


class Truth(NamedTuple):
    """Stars drawn from the prior, and what is observed of them."""

    stars: Observed
    values: dict[str, np.ndarray]
    paired: np.ndarray


def truncated(rng: np.random.Generator, mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Normal values that are not negative."""
    values = -np.ones(len(mean))
    while (values < 0).any():
        again = mean + sd * rng.standard_normal(len(mean))
        values = np.where(values < 0, again, values)
    return values


def places(
    rng: np.random.Generator, model: Model, tables: Tables
) -> tuple[np.ndarray, np.ndarray]:
    """(member of the library, distance modulus) of stars from the joint prior of both."""
    weight = np.asarray(model.library.weight).reshape(-1, 3)
    volume = np.asarray(tables.volume) * weight.sum(axis=0)
    chosen, modulus = np.zeros(len(volume), int), np.zeros(len(volume))
    for i in range(len(volume)):
        share = volume[i].ravel() / volume[i].sum()
        cell, population = divmod(rng.choice(share.size, p=share), 3)
        modulus[i] = -2 + 0.1 * (cell + rng.uniform(-0.5, 0.5))
        chosen[i] = rng.choice(len(weight), p=weight[:, population] / weight[:, population].sum())
    return chosen, modulus


def ratios(rng: np.random.Generator, *, continuous: bool) -> np.ndarray:
    """[star], mass ratios; 0 without a companion."""
    if continuous:
        return np.where(rng.uniform(size=NUMBER) < PAIRS, rng.uniform(0.1, 1, NUMBER), 0.0)
    return rng.choice(np.array([0.0, *RATIOS]), NUMBER, p=shares(PAIRS))


def stars_of_the_prior(seed: int, *, continuous: bool = False) -> Truth:
    """Stars with parallaxes of 0.1 to 500 errors; continuous : mass ratios of 0.1 to 1."""
    model, rng = load_model(pairs=PAIRS), np.random.default_rng(seed)
    lon, lat = rng.uniform(0, 6.28, NUMBER), np.arcsin(rng.uniform(0.34, 1, NUMBER))
    tables = make_tables(lon, lat, rng.uniform(0.01, 0.1, NUMBER))
    chosen, modulus = places(rng, model, tables)
    library = model.library
    place = np.asarray(library.place).reshape(-1, 4)[chosen]
    core = place[:, :3] + np.array(KERNEL) * rng.standard_normal((NUMBER, 3))
    log_age = np.asarray(library.log_age).ravel()[chosen]
    initial = np.asarray(library.initial_mass).ravel()[chosen]
    prior = np.asarray(jax.vmap(of_modulus)(jnp.asarray(modulus), tables.dust))
    ebv = truncated(rng, prior[:, 0], prior[:, 1])
    ratio = ratios(rng, continuous=continuous)
    light = np.asarray(jax.vmap(model.table.magnitudes)(core, place[:, 3]))
    other = np.asarray(
        jax.vmap(model.companions.at)(
            core[:, 2], log_age, np.log10(initial * np.maximum(ratio, 0.01))
        )
    )
    both = light - 2.5 * np.log10(1 + np.where(ratio[:, None] > 0, other, 0) * 10 ** (0.4 * light))
    magnitude = both + np.asarray(jax.vmap(model.table.extinction)(core, ebv)[0])
    used = np.isfinite(SIGMA)
    noise = np.where(used, SIGMA, 0) * rng.normal(size=light.shape)
    distance = 10 ** (0.2 * modulus - 2)
    error = np.exp(rng.uniform(np.log(0.003), 0, NUMBER))  # mas; says nothing of the distance
    seen = core + rng.multivariate_normal(np.zeros(3), COVARIANCE, NUMBER)
    stars = Observed(
        core=jnp.asarray(seen),
        precision=jnp.asarray(np.repeat(np.linalg.inv(COVARIANCE)[None], NUMBER, axis=0)),
        magnitude=jnp.asarray(np.where(used, magnitude + modulus[:, None] + noise, 0)),
        ivar=jnp.asarray(np.repeat(SIGMA[None] ** -2.0, NUMBER, axis=0)),
        parallax=jnp.asarray(1 / distance + error * rng.standard_normal(NUMBER)),
        parallax_ivar=jnp.asarray(error**-2),
        tables=tables,
    )
    values = {"dist": distance, "ebv": ebv, "m_g": light[:, 0], "mass": 10 ** place[:, 3]}
    values |= {"age": 10 ** (log_age - 9), "teff": np.exp(core[:, 0]), "logg": core[:, 1]}
    return Truth(stars, values | {"m_h": core[:, 2], "ratio": ratio}, paired=ratio > 0.4)


def ranks(found: DistancePosterior, truth: Truth) -> dict[str, np.ndarray]:
    """Name -> [star], rank of the truth among the draws, 0 to 1; equal values at random."""
    rng = np.random.default_rng(3)
    drawn = {"teff": 0, "logg": 1, "m_h": 2}
    values = {n: found.labels[..., i] for n, i in drawn.items()} | found.quantities
    values["ratio"] = found["mass_ratio"]
    result = {}
    for name, true in truth.values.items():
        margin = 1e-9 * np.maximum(np.abs(true), 1)
        below = (values[name] < true - margin).sum(axis=0)
        equal = (np.abs(values[name] - true) <= margin).sum(axis=0)
        part = rng.uniform(size=len(true)) * (equal + 1)
        result[name] = (below + part) / (len(values[name]) + 1)
    return result


def uneven(rank: np.ndarray) -> float:
    """Probability of a histogram of ten bins that is at least as uneven as that of the ranks."""
    counts = np.histogram(rank, np.linspace(0, 1, 11))[0]
    expected = len(rank) / 10
    return float(chi2.sf(np.sum((counts - expected) ** 2) / expected, 9))


def check_pairs(probability: np.ndarray, paired: np.ndarray) -> None:
    """As many pairs as the probabilities say, in each bin of probability; 4 standard errors."""
    edges = (0.0, 0.1, 0.2, 0.35, 0.6, 0.9, 1.01)
    for low, high in pairwise(edges):
        some = (probability >= low) & (probability < high)
        expected, seen = probability[some].sum(), paired[some].sum()
        error = np.sqrt(np.sum(probability[some] * (1 - probability[some])) + 0.25)
        print(f"P_BINARY {low}-{high}: {some.sum()} stars, {expected:.1f} pairs, {seen} seen")
        assert abs(seen - expected) < 4 * error


@pytest.mark.slow
@pytest.mark.parametrize("seed", [5, 6])
def test_ranks_of_truths_from_the_prior_are_uniform(seed: int) -> None:
    """Nine quantities, histograms and two levels: fails by chance once in 1000."""
    truth = stars_of_the_prior(seed)
    found = sample_distances(np.arange(NUMBER), truth.stars, load_model(pairs=PAIRS))
    ess = found.diagnostics["ess"]
    signal = np.asarray(truth.stars.parallax * jnp.sqrt(truth.stars.parallax_ivar))
    print(f"parallax over error: {np.percentile(signal, [2, 50, 98]).round(1)}")
    print(f"ess >= 100: {(ess >= 100).mean():.3f}, >= 30: {(ess >= 30).mean():.3f}")
    assert (ess >= 100).mean() > 0.98
    for name, rank in ranks(found, truth).items():
        inside = [np.mean(np.abs(rank - 0.5) < level / 2) for level in (0.68, 0.95)]
        print(f"{name}: {inside[0]:.3f} {inside[1]:.3f}, p {uneven(rank):.4f}")
        assert uneven(rank) > 5e-5
        for level, part in zip((0.68, 0.95), inside, strict=True):
            assert abs(part - level) < 4 * np.sqrt(level * (1 - level) / NUMBER), (name, level)
    check_pairs(found.diagnostics["p_binary"], truth.paired)


@pytest.mark.slow
def test_four_mass_ratios_stand_for_all() -> None:
    """Truths have any mass ratio from 0.1 to 1; distances and labels are covered as before."""
    truth = stars_of_the_prior(7, continuous=True)
    found = sample_distances(np.arange(NUMBER), truth.stars, load_model(pairs=PAIRS))
    found_ranks = ranks(found, truth)
    for name in ("dist", "ebv", "m_g", "mass", "teff", "logg", "m_h"):
        for level in (0.68, 0.95):
            part = np.mean(np.abs(found_ranks[name] - 0.5) < level / 2)
            print(f"{name}: {part:.3f} of {level}, p {uneven(found_ranks[name]):.4f}")
            assert part - level > -4 * np.sqrt(level * (1 - level) / NUMBER), (name, level)
    check_pairs(found.diagnostics["p_binary"], truth.paired)


@pytest.mark.slow
def test_draws_of_a_star_do_not_depend_on_the_others() -> None:
    truth = stars_of_the_prior(5)
    some = np.array([5, 2, 71])  # alone and in another order
    model = load_model(pairs=PAIRS)
    whole = sample_distances(np.arange(80), jax.tree.map(lambda x: x[:80], truth.stars), model)
    again = sample_distances(some, jax.tree.map(lambda x: x[some], truth.stars), model)
    np.testing.assert_allclose(again["dist"], whole["dist"][:, some], rtol=1e-6)
