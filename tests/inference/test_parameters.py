"""The layout of the parameter vector: blocks, slices and derivative rows agree with each other."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayes_ddp.inference.parameters import Parameters
from bayes_ddp.inference.problem import load_stars

NAMES = ("teff", "logg", "vmic", "feh")
FREE = ("teff", "logg", "feh")
ARMS = ("B", "R", "Z")

layouts = pytest.mark.parametrize(
    ("velocity", "lsf_sd", "size"),
    [(True, 0.03, 7), (True, 0.0, 4), (False, 0.05, 6), (False, 0.0, 3)],
)


@dataclass(frozen=True)
class Star:
    """What the prior of a nuisance may depend on."""

    vrad_err: Any


def layout(velocity: bool, lsf_sd: float) -> Parameters:
    return Parameters(NAMES, FREE, ARMS, velocity, lsf_sd)


@layouts
def test_size_counts_labels_and_fitted_nuisances(velocity: bool, lsf_sd: float, size: int) -> None:
    parameters = layout(velocity, lsf_sd)
    assert parameters.labels == 3
    assert parameters.size == size
    assert [block.name for block in parameters.blocks] == ["velocity"] * velocity + ["lsf"] * (
        lsf_sd > 0
    )


@layouts
def test_blocks_follow_the_labels_without_gap_or_overlap(
    velocity: bool, lsf_sd: float, size: int
) -> None:
    parameters = layout(velocity, lsf_sd)
    covered = list(range(parameters.labels))
    for block in parameters.blocks:
        part = parameters.block(block.name)
        assert part is not None
        covered += range(part.start, part.stop)
    assert covered == list(range(size))
    assert (parameters.block("velocity") is None) == (not velocity)
    assert (parameters.block("lsf") is None) == (lsf_sd == 0)
    assert parameters.block("no such nuisance") is None


@layouts
def test_split_and_sites_give_the_same_values(velocity: bool, lsf_sd: float, size: int) -> None:
    """Nuisances that are not fitted are neutral in ``split`` and absent from ``sites``."""
    parameters = layout(velocity, lsf_sd)
    q = jnp.arange(1.0, size + 1)
    free, nuisances = parameters.split(q)
    sites = parameters.sites(q)
    np.testing.assert_array_equal(free, q[:3])
    np.testing.assert_array_equal([sites.pop(name) for name in FREE], free)
    assert nuisances.lsf.shape == (len(ARMS),)
    assert float(nuisances.velocity) == (4.0 if velocity else 0.0)
    if lsf_sd == 0:
        np.testing.assert_array_equal(nuisances.lsf, 1.0)
    else:
        np.testing.assert_array_equal(nuisances.lsf - 1, sites.pop("lsf"))
        np.testing.assert_array_equal(nuisances.lsf - 1, q[-3:])
    if velocity:
        assert sites.pop("velocity") == nuisances.velocity
    assert not sites


@layouts
def test_prior_precision_is_that_of_the_catalogue_and_the_survey(
    velocity: bool, lsf_sd: float, size: int
) -> None:
    precision = layout(velocity, lsf_sd).nuisance_precision(Star(jnp.asarray(2.0)))
    expected = [0.25] * velocity + ([lsf_sd**-2] * 3 if lsf_sd > 0 else [])
    np.testing.assert_allclose(precision, expected, rtol=1e-12)
    assert precision.shape == (size - 3,)


@layouts
def test_derivative_rows_are_labels_then_velocity_then_arms(
    velocity: bool, lsf_sd: float, size: int
) -> None:
    """``render`` gives all labels (rows 0-3), the velocity (4) and the LSF factors (5-7)."""
    rows = layout(velocity, lsf_sd).derivative_rows()
    assert rows == [0, 1, 3] + [4] * velocity + [5, 6, 7] * (lsf_sd > 0)
    assert len(rows) == size


def test_derivative_rows_pick_the_derivative_by_each_parameter(
    survey: Any, blank_spectrum: Any
) -> None:
    """Finite differences of ``render`` in each element of the vector, to 3 % of the largest."""
    parameters = survey.problem.parameters
    size, labels = parameters.size, parameters.labels
    centre = np.zeros(size)
    centre[:labels] = survey.typical([5200.0], [3.0], [-0.3])[0]
    step = np.concatenate([3e-3 * survey.prior.space.span, [1.0, 0.03, 0.03]])
    q = np.tile(centre, (64, 1))
    q[1 : size + 1] += np.diag(step)
    q[size + 1 : 2 * size + 1] -= np.diag(step)
    free, nuisances = jax.vmap(parameters.split)(jnp.asarray(q))
    stars = load_stars(survey.problem, blank_spectrum())
    flux, slope = survey.render(free, stars, velocity=nuisances.velocity, width=nuisances.lsf)
    picked = slope[0, parameters.derivative_rows()]
    numeric = (flux[1 : size + 1] - flux[size + 1 : 2 * size + 1]) / (2 * step[:, None])
    gap, largest = np.abs(picked - numeric).max(axis=1), np.abs(numeric).max(axis=1)
    assert (gap < 0.03 * largest).all()
