"""Posteriors with known moments, and the parts of a run that hold them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from bayes_ddp.inference.parts import Part
from bayes_ddp.inference.posterior import Posterior, blank
from bayes_ddp.labels import LabelSpace

NAMES = ("teff", "logg", "feh", "mg_fe", "c_fe")
ARMS = ("b", "r")
PRIOR_MEAN = np.array([5500.0, 4.0, -0.5, 0.1, 0.0])
PRIOR_SD = np.array([400.0, 0.5, 0.5, 0.2, 0.3])


def correlated(rng: np.random.Generator, count: int, sd: np.ndarray) -> np.ndarray:
    """[star label label], random covariances with these standard deviations."""
    factor = rng.normal(size=(count, len(sd), 3 * len(sd)))
    shape = np.einsum("sik,sjk->sij", factor, factor)
    scale = sd / np.sqrt(np.diagonal(shape, axis1=1, axis2=2))
    return shape * scale[:, :, None] * scale[:, None, :]


def well_measured(count: int, *, seed: int = 1, sampled: bool = False) -> Posterior:
    """Stars whose posterior is five times narrower than the prior; with diagnostics on request."""
    rng, size = np.random.default_rng(seed), len(NAMES)
    covariance = correlated(rng, count, 0.2 * PRIOR_SD)
    mean = PRIOR_MEAN + 0.5 * PRIOR_SD * rng.normal(size=(count, size)).clip(-2, 2)
    drawn = [rng.multivariate_normal(m, c, 400) for m, c in zip(mean, covariance, strict=True)]
    found = {
        "rhat": rng.uniform(1, 1.02, (count, size)),
        "ess": rng.uniform(400, 900, (count, size)),
        "khat": rng.uniform(0, 0.5, count),
        "divergences": np.zeros(count, np.int32),
    }
    return replace(
        blank(NAMES, np.arange(count).astype(str), ARMS, number=400),
        draws=np.stack(drawn, axis=1),
        mode=mean + 0.01 * PRIOR_SD,
        mean=mean,
        covariance=covariance,
        prior_mean=np.tile(PRIOR_MEAN, (count, 1)),
        prior_covariance=np.tile(np.diag(PRIOR_SD**2), (count, 1, 1)),
        velocity=np.tile([0.5, 1.0], (count, 1)),
        lsf=np.ones((count, 2)),
        chi2=np.full(count, 40.0),
        pixels=np.full(count, 40),
        diagnostics=found if sampled else {},
    )


def without(result: Posterior, star: int) -> Posterior:
    """The same record with one star that was not fitted."""
    empty = blank(result.names, result.ids, result.arms, number=len(result.draws))
    changed = {}
    for name in ("mode", "mean", "covariance", "prior_mean", "prior_covariance", "chi2", "pixels"):
        changed[name] = getattr(result, name).copy()
        changed[name][star] = getattr(empty, name)[star]
    for name in ("velocity", "lsf"):
        changed[name] = getattr(result, name).copy()
        changed[name][star] = np.nan
    draws = result.draws.copy()
    draws[:, star] = np.nan
    return replace(result, draws=draws, **changed)


def part_of(posterior: Posterior, warn: np.ndarray | None = None) -> Part:
    """A DESI part with some columns of the input: one has our name, one is not ASCII."""
    count = len(posterior)
    if warn is not None:
        posterior = replace(posterior, warn=np.asarray(warn, np.int64))
    columns = {
        "TARGETID": 2**60 + np.arange(count),
        "SURVEY": np.full(count, "sv1"),
        "TARGET_RA": np.linspace(0, 300, count),
        "OWN": np.full(count, "Å"),
        "TEFF": np.full(count, 5000.0, np.float32),
        "GOOD": np.arange(count) % 2 == 0,
    }
    return Part(
        survey="desi",
        key="TARGETID",
        columns=columns,
        vrad=np.linspace(-100, 100, count),
        vrad_err=np.ones(count),
        ebv=np.full(count, 0.1),
        snr=np.tile([20.0, 30.0], (count, 1)),
        posterior=posterior,
    )


@pytest.fixture(scope="session")
def make_posterior() -> Callable[..., Posterior]:
    """Makes well measured stars: (count, seed, sampled)."""
    return well_measured


@pytest.fixture(scope="session")
def unfitted() -> Callable[[Posterior, int], Posterior]:
    """Makes one star of a posterior one that was not fitted: (posterior, star)."""
    return without


@pytest.fixture(scope="session")
def make_part() -> Callable[..., Part]:
    """Makes a part of a posterior: (posterior, warn)."""
    return part_of


@pytest.fixture(scope="session")
def make_covariances() -> Callable[..., np.ndarray]:
    """Makes random covariances [star label label]: (generator, count, standard deviations)."""
    return correlated


@pytest.fixture(scope="session")
def space() -> LabelSpace:
    """A trained range that holds every well measured star."""
    return LabelSpace(NAMES, (4000.0, 0.5, -3.0, -0.5, -1.0), (8000.0, 5.2, 0.5, 1.0, 2.5))
