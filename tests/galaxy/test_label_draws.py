"""Draws of labels: the prior divided out and the labels moved, against exact Gaussians."""

import numpy as np
import pytest

from bayes_ddp.galaxy.core import core_of, without_prior
from bayes_ddp.galaxy.label_draws import LabelDraws, draws_of_moments

NAMES = ("teff", "logg", "feh", "al_fe", "vmic")


def covariance_of(rng: np.random.Generator, sd: np.ndarray) -> np.ndarray:
    """A random covariance with these standard deviations."""
    root = rng.standard_normal((len(sd), 2 * len(sd)))
    matrix = root @ root.T
    scale = sd / np.sqrt(np.diag(matrix))
    return matrix * np.outer(scale, scale)


def test_the_prior_is_divided_out_of_a_gaussian_posterior() -> None:
    """The posterior of a known likelihood and prior gives both moments of the likelihood back."""
    rng = np.random.default_rng(1)
    likely, precision, means, spreads, centres, priors = [], [], [], [], [], []
    for _ in range(20):
        likelihood = covariance_of(rng, np.array([0.01, 0.1, 0.05]))
        prior = covariance_of(rng, np.array([0.05, 0.3, 0.3]))
        truth, centre = rng.normal(size=3), rng.normal(size=3) * 0.01
        posterior = np.linalg.inv(np.linalg.inv(likelihood) + np.linalg.inv(prior))
        towards = np.linalg.solve(likelihood, truth) + np.linalg.solve(prior, centre)
        likely.append(truth)
        precision.append(np.linalg.inv(likelihood))
        means.append(posterior @ towards)
        spreads.append(posterior)
        centres.append(centre)
        priors.append(prior)
    found = without_prior(
        np.array(means), np.array(spreads), centre=np.array(centres), spread=np.array(priors)
    )
    good = found[2] < 0.95  # otherwise a direction keeps 5 % of its precision
    assert good.sum() > 10
    np.testing.assert_allclose(found[0][good], np.array(likely)[good], rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(found[1][good], np.array(precision)[good], rtol=1e-6, atol=1e-4)


def test_a_direction_that_the_prior_alone_constrains_keeps_a_weak_likelihood() -> None:
    """A posterior equal to its prior: 5 % of the precision is left, about the same mean."""
    spread = np.diag([0.01, 0.1, 0.05])[None] ** 2
    mean = np.array([[8.6, 4.4, 0.0]])
    likely, precision, share = without_prior(mean, spread, centre=mean, spread=spread)
    np.testing.assert_allclose(share, 1.0)
    np.testing.assert_allclose(likely, mean)
    np.testing.assert_allclose(precision, 0.05 * np.linalg.inv(spread))


def moments(number: int) -> tuple[LabelDraws, np.ndarray, np.ndarray]:
    """Draws of one star, the mean and covariance they were drawn from."""
    rng = np.random.default_rng(2)
    mean = np.array([5500.0, 4.2, -0.3, 0.1, 1.2])
    covariance = covariance_of(rng, np.array([40.0, 0.1, 0.06, 0.1, 0.2]))
    labels = {name: np.array([value]) for name, value in zip(NAMES, mean, strict=True)}
    found = draws_of_moments(np.array(["a"]), labels, covariance[None], number=number)
    return found, mean, covariance


def test_draws_of_moments_have_those_moments() -> None:
    """Four standard errors of 40 000 draws: fails once in 1000."""
    number = 40_000
    found, mean, covariance = moments(number)
    draws = found.draws[:, 0]
    sd = np.sqrt(np.diag(covariance))
    np.testing.assert_array_less(np.abs(draws.mean(axis=0) - mean), 4 * sd / np.sqrt(number))
    product = np.cov(draws.T)
    error = np.sqrt((np.outer(sd, sd) ** 2 + covariance**2) / number)
    np.testing.assert_array_less(np.abs(product - covariance), 4 * error)


def test_moved_labels_have_the_exact_joint_moments() -> None:
    """New draws of the core, N(m, S): labels are N(mean + K (m - c), S of the residual + K S K').

    Four standard errors of 40 000 draws; K is the regression of labels on the core.
    """
    number, rng = 40_000, np.random.default_rng(4)
    found, mean, covariance = moments(number)
    turn = np.zeros((3, 5))  # derivative of (ln Teff, log g, [M/H]) by the labels
    turn[0, 0], turn[1, 1], turn[2, 2] = 1 / mean[0], 1, 1
    core = core_of(mean, NAMES)
    own, joint = turn @ covariance @ turn.T, covariance @ turn.T
    gain = joint @ np.linalg.inv(own)
    new = 0.3 * own
    centre = core + np.array([0.004, -0.08, 0.03])
    drawn = centre + rng.standard_normal((number, 3)) @ np.linalg.cholesky(new).T
    moved = found.moved(drawn[:, None])[:, 0]
    expected = mean + gain @ (centre - core)
    spread = covariance - gain @ own @ gain.T + gain @ new @ gain.T
    sd = np.sqrt(np.diag(spread))
    # Teff follows as exp(ln Teff): the linear mean is exact to 0.5 sd^2 / Teff
    # the gain of the draws has an error too, which counts by the move in standard deviations
    move = (centre - core) @ np.linalg.solve(own, centre - core)
    whole = np.sqrt(np.diag(covariance) * (1 + move))
    margin = 4 * whole / np.sqrt(number) + 0.6 * np.array([0.004**2 * 5500, 0, 0, 0, 0])
    np.testing.assert_array_less(np.abs(moved.mean(axis=0) - expected), margin)
    error = np.sqrt((np.outer(sd, sd) ** 2 + spread**2) / number)
    slack = 0.01 * np.outer(sd, sd)
    np.testing.assert_array_less(np.abs(np.cov(moved.T) - spread), 4 * error + slack)
    np.testing.assert_allclose(core_of(moved, NAMES), drawn, atol=1e-9)


def test_labels_do_not_move_where_the_core_does_not() -> None:
    found, _, _ = moments(300)
    np.testing.assert_allclose(found.moved(core_of(found.draws, NAMES)), found.draws, rtol=1e-12)


@pytest.mark.parametrize("missing", ["teff", "logg", "feh"])
def test_labels_without_the_core_are_refused(missing: str) -> None:
    labels = {name: np.ones(1) for name in NAMES if name != missing}
    with pytest.raises(ValueError, match=r"Distances need Teff, log g and \[Fe/H\]"):
        draws_of_moments(np.array(["a"]), labels, labels)


def test_systematic_errors_widen_the_likelihood_and_the_draws() -> None:
    """Precision and covariance of 40 000 draws; four standard errors."""
    number = 40_000
    rng = np.random.default_rng(2)
    mean = np.array([5500.0, 4.2, -0.3, 0.1, 1.2])
    covariance = covariance_of(rng, np.array([40.0, 0.1, 0.06, 0.1, 0.2]))
    systematic = np.array([30.0, 0.1, 0.03, 0.0, 0.0])
    labels = {name: np.array([value]) for name, value in zip(NAMES, mean, strict=True)}
    found = draws_of_moments(
        np.array(["a"]), labels, covariance[None], systematic=systematic[None], number=number
    )
    turn = np.zeros((3, 5))
    turn[0, 0], turn[1, 1], turn[2, 2] = 1 / mean[0], 1, 1
    whole = covariance + np.diag(systematic**2)
    # [Fe/H] is [M/H] up to the error of [alpha/Fe], which is no label here
    core = turn @ whole @ turn.T + np.diag([0, 0, (0.65 * 0.15) ** 2])
    np.testing.assert_allclose(np.linalg.inv(found.precision[0]), core, rtol=1e-6, atol=1e-10)
    sd = np.sqrt(np.diag(whole))
    error = np.sqrt((np.outer(sd, sd) ** 2 + whole**2) / number)
    np.testing.assert_array_less(np.abs(np.cov(found.draws[:, 0].T) - whole), 4 * error)
