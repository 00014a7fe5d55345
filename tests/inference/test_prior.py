"""Label priors: proper densities, true to their own samples, and what a run file may say."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import kstest

from bayes_ddp.inference.prior import (
    PRIORS,
    Fixed,
    LabelPrior,
    Normal,
    SoftUniform,
    TruncatedNormal,
    Uniform,
)
from bayes_ddp.labels import LabelSpace

SHAPES = [(0.0, 1.0, 0.01), (4000.0, 8000.0, 40.0), (-3.0, 0.5, 0.035), (0.0, 0.1, 1.0)]
each_shape = pytest.mark.parametrize("shape", SHAPES)
DRAWS = 20_000


@pytest.fixture(scope="module")
def prior(survey: Any) -> LabelPrior:
    return survey.prior


@pytest.fixture(scope="module")
def draws(prior: LabelPrior) -> np.ndarray:
    """[draw label] of the default prior."""
    return np.asarray(jax.jit(jax.vmap(prior.sample))(jax.random.split(jax.random.key(3), DRAWS)))


def density(law: SoftUniform, x: float) -> float:
    """The density in NumPy, from its definition: uniform convolved with logistic."""
    low, high, width = (float(v) for v in (law.low, law.high, law.width))
    rise = 1 / (1 + np.exp(-(x - low) / width))
    fall = 1 / (1 + np.exp(-(x - high) / width))
    return (rise - fall) / (high - low)


@each_shape
def test_soft_uniform_integrates_to_one(shape: tuple[float, float, float]) -> None:
    law = SoftUniform(*shape)
    low, high, width = shape
    x = np.linspace(low - 60 * width, high + 60 * width, 200_001)
    assert np.trapezoid(np.exp(law.log_prob(x)), x) == pytest.approx(1, abs=1e-6)


@each_shape
def test_soft_uniform_is_a_uniform_with_logistic_noise(shape: tuple[float, float, float]) -> None:
    law = SoftUniform(*shape)
    low, high, width = shape
    for x in np.linspace(low - 3 * width, high + 3 * width, 9):
        assert float(law.log_prob(x)) == pytest.approx(np.log(density(law, x)), rel=1e-9)


@each_shape
def test_soft_uniform_draws_follow_its_density(shape: tuple[float, float, float]) -> None:
    """Kolmogorov-Smirnov at 1e-4; mean and variance within five Monte Carlo errors."""
    law = SoftUniform(*shape)
    low, high, width = shape
    drawn = np.asarray(law.sample(jax.random.key(4), (DRAWS,)))

    def cumulative(x: np.ndarray) -> np.ndarray:
        soft = np.logaddexp(0, (x - low) / width) - np.logaddexp(0, (x - high) / width)
        return soft * width / (high - low)

    assert kstest(drawn, cumulative).pvalue > 1e-4
    assert abs(drawn.mean() - law.mean) < 5 * np.sqrt(law.variance / DRAWS)
    kurtosis = ((drawn - drawn.mean()) ** 4).mean() / drawn.var() ** 2
    assert abs(drawn.var() / law.variance - 1) < 5 * np.sqrt((kurtosis - 1) / DRAWS)


def normal(x: float, mean: float, variance: float) -> float:
    return -0.5 * (x - mean) ** 2 / variance - 0.5 * np.log(2 * np.pi * variance)


def soft(x: float, low: float, high: float, width: float) -> float:
    return np.log(density(SoftUniform(low, high, width), x))


def default_log_density(space: LabelSpace, table: dict[str, Any], labels: np.ndarray) -> float:
    """The default density from the card's numbers, in NumPy; alpha elements as one normal."""
    at, half = dict(zip(space.names, labels, strict=True)), table["half_width"]

    def edge(name: str) -> float:
        return 0.01 * (table[name][1] - table[name][0])

    total = soft(at["teff"], *table["teff"], edge("teff"))
    total += soft(at["feh"], *table["feh"], edge("feh"))
    lowest = np.interp(at["teff"], table["lowest_logg_teff"], table["lowest_logg"])
    lowest = max(lowest, table["logg"][0])
    hot = expit((at["teff"] - 6900) / 50)  # no such stars above log g 4.7
    total += soft(at["logg"], lowest, 5.2 - 0.5 * hot, edge("logg"))

    a, b, c, above = table["vmic_usual"]
    usual = a + b * at["logg"] + c * max(at["teff"] - above, 0)
    usual = np.clip(usual, *table["vmic_usual_range"])
    total += normal(at["vmic"], usual, table["vmic_half_width"] ** 2 / 3)

    rich = 0.3 * expit((-1 - at["feh"]) / 0.25)
    giant = expit((3 - at["logg"]) / 0.1)
    for name, boost in (("c_fe", 0.0), ("n_fe", 0.3 * giant)):
        low, high = table[f"carbon_{name}"]
        first = (1 - rich) * boost / 2 + rich * (low + high) / 2
        common = half[name] ** 2 / 3 + (0.3**2 / 12 * giant if boost else 0.0) + (boost / 2) ** 2
        second = (1 - rich) * common + rich * ((high - low) ** 2 / 12 + ((low + high) / 2) ** 2)
        total += normal(at[name], first, second - first**2)
    for name in ("al_fe", "cr_fe", "ni_fe"):
        total += normal(at[name], 0.0, half[name] ** 2 / 3)
    offset = -0.2 * expit((-1 - at["feh"]) / 0.25)
    total += normal(at["mn_fe"], offset, half["mn_fe"] ** 2 / 3)

    share = table["alpha_share"]
    names = [n for n in space.names if n in share]
    scale = np.array([share[n] for n in names])
    own = np.array([half[n] ** 2 / 3 for n in names])
    covariance = table["alpha_half_width"] ** 2 / 3 * np.outer(scale, scale) + np.diag(own)
    knees = 0.1 * (np.logaddexp(0, (at["feh"] + 1) / 0.1) - np.logaddexp(0, at["feh"] / 0.1))
    gap = np.array([at[n] for n in names]) - scale * (0.35 - 0.35 * knees)
    total -= 0.5 * gap @ np.linalg.solve(covariance, gap)
    return total - 0.5 * np.linalg.slogdet(2 * np.pi * covariance)[1]


def test_default_density_is_the_sum_of_its_conditionals(
    prior: LabelPrior, desi_card: dict[str, Any], draws: np.ndarray
) -> None:
    found = jax.jit(jax.vmap(prior.log_prob))(jnp.asarray(draws[:300]))
    wanted = [default_log_density(prior.space, desi_card["density"], x) for x in draws[:300]]
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


def test_alpha_elements_covary_as_intended(
    prior: LabelPrior, desi_card: dict[str, Any], draws: np.ndarray
) -> None:
    """Covariance of the residuals about the trend, within five Monte Carlo errors."""
    table = desi_card["density"]
    share, half = table["alpha_share"], table["half_width"]
    names = [n for n in prior.space.names if n in share]
    index = [prior.space.index(n) for n in names]
    scale = np.array([share[n] for n in names])
    feh = draws[:, prior.space.index("feh")]
    trend = np.interp(feh, table["alpha_feh"], table["alpha"])[:, None] * scale
    found = np.cov((draws[:, index] - trend).T)
    own = np.array([half[n] for n in names])
    wanted = np.outer(scale, scale) * table["alpha_half_width"] ** 2 / 3 + np.diag(own**2) / 3
    sd = np.sqrt(np.diag(wanted))
    error = np.sqrt((np.outer(sd, sd) ** 2 + wanted**2) / DRAWS)
    assert (np.abs(found - wanted) < 5 * error).all()


def test_density_is_finite_everywhere(prior: LabelPrior) -> None:
    """And so is its gradient, a thousand ranges away too."""
    span, middle = prior.space.span, prior.space.middle
    rng = np.random.default_rng(5)
    far = np.concatenate(
        [middle + reach * span * rng.standard_normal((50, 15)) for reach in (1, 10, 1000)]
    )
    value, slope = jax.jit(jax.vmap(jax.value_and_grad(prior.log_prob)))(jnp.asarray(far))
    assert np.isfinite(value).all()
    assert np.isfinite(slope).all()


def test_moments_are_those_of_the_draws(prior: LabelPrior, draws: np.ndarray) -> None:
    """Standardised residuals of every label: mean 0, variance 1, five Monte Carlo errors."""
    mean, sd = (np.asarray(x) for x in jax.jit(jax.vmap(prior.moments))(jnp.asarray(draws)))
    z = (draws - mean) / sd
    kurtosis = (z**4).mean(axis=0)
    assert (np.abs(z.mean(axis=0)) < 5 / np.sqrt(DRAWS)).all()
    assert (np.abs(z.var(axis=0) - 1) < 5 * np.sqrt((kurtosis - 1) / DRAWS)).all()


def test_draws_of_the_prior_lie_where_the_model_was_trained(
    prior: LabelPrior, draws: np.ndarray
) -> None:
    """Soft edges: about 1.4 % of the draws of a uniform label lie beyond each end."""
    for name in ("teff", "feh"):
        i = prior.space.index(name)
        beyond = (draws[:, i] < prior.space.low[i]) | (draws[:, i] > prior.space.high[i])
        assert 0.005 < beyond.mean() < 0.025


def test_order_of_the_conditionals_is_legal(prior: LabelPrior) -> None:
    assert prior.order[:4] == ("teff", "feh", "logg", "vmic")
    assert sorted(prior.order) == sorted(prior.space.names)


@pytest.fixture(scope="module")
def chosen(survey: Any, desi_card: dict[str, Any]) -> LabelPrior:
    """One label of each kind that a run file can ask for."""
    return LabelPrior(
        survey.emulator.space,
        desi_card["density"],
        {
            "teff": Uniform(5000, 6000),
            "feh": Normal(-0.5, 0.1),
            "logg": TruncatedNormal(4.0, 1.0, 3.5, 4.2),
            "vmic": Fixed(1.2),
        },
    )


def test_run_file_prior_replaces_that_label_alone(chosen: LabelPrior, prior: LabelPrior) -> None:
    given = {"teff": 5500.0, "feh": -0.5, "logg": 4.0, "vmic": 1.2}
    for name in ("c_fe", "mn_fe", "o_fe"):
        one, two = (p.conditional(name, dict(given)) for p in (chosen, prior))
        assert float(one.log_prob(0.1)) == float(two.log_prob(0.1))
    uniform = chosen.conditional("teff", given)
    assert float(uniform.log_prob(5500.0)) == pytest.approx(-np.log(1000))
    truncated = chosen.conditional("logg", given)
    mass = quad(lambda x: float(jnp.exp(truncated.log_prob(x))), 3.5, 4.2)[0]
    assert mass == pytest.approx(1, abs=1e-6)
    assert float(chosen.conditional("feh", given).log_prob(-0.5)) == pytest.approx(
        -np.log(0.1 * np.sqrt(2 * np.pi))
    )


def test_fixed_label_is_not_fitted(chosen: LabelPrior) -> None:
    assert "vmic" not in chosen.free
    assert len(chosen.free) == 14
    labels = chosen.constrain(jnp.zeros(14))
    assert float(labels[chosen.space.index("vmic")]) == 1.2
    mean, sd = chosen.moments(labels)
    assert (float(mean[2]), float(sd[2])) == (1.2, 0.0)


def test_draws_stay_inside_their_walls(chosen: LabelPrior) -> None:
    drawn = np.asarray(jax.jit(jax.vmap(chosen.sample))(jax.random.split(jax.random.key(9), 2000)))
    at = {n: drawn[:, chosen.space.index(n)] for n in chosen.space.names}
    assert 5000 <= at["teff"].min() < at["teff"].max() <= 6000
    assert 3.5 <= at["logg"].min() < at["logg"].max() <= 4.2
    assert (at["vmic"] == 1.2).all()


def test_unconstrained_values_come_back(chosen: LabelPrior) -> None:
    start = chosen.inside(jnp.asarray(chosen.space.middle))
    again = chosen.constrain(chosen.unconstrain(start))
    np.testing.assert_allclose(again, start, rtol=1e-9)
    assert np.isfinite(float(chosen.log_prob_free(chosen.unconstrain(start))))


def test_density_of_unconstrained_values_carries_the_jacobian(chosen: LabelPrior) -> None:
    """Integrated over the unconstrained Teff it is the density of the other labels."""
    free = chosen.unconstrain(chosen.inside(jnp.asarray(chosen.space.middle)))
    i = chosen.free.index("teff")
    x = np.linspace(-25, 25, 4001)
    path = jnp.tile(free, (x.size, 1)).at[:, i].set(x)
    value = jax.jit(jax.vmap(chosen.log_prob_free))(path)
    # vmic is fixed and log g does not ask for Teff here, so Teff integrates out
    whole = np.trapezoid(np.exp(value - value.max()), x) * np.exp(float(value.max()))
    fixed = chosen.constrain(free)
    rest = sum(
        float(chosen.conditional(n, dict(zip(chosen.space.names, fixed, strict=True)))
              .log_prob(fixed[chosen.space.index(n)]))
        for n in chosen.free if n != "teff"
    )  # fmt: skip
    logg = chosen._bijection("logg")
    z = free[chosen.free.index("logg")]
    rest += float(logg.log_abs_det_jacobian(z, logg(z)))
    assert whole == pytest.approx(np.exp(rest), rel=1e-4)


def test_default_prior_has_no_walls(prior: LabelPrior) -> None:
    labels = jnp.asarray(prior.space.middle)
    np.testing.assert_array_equal(prior.constrain(labels), labels)
    np.testing.assert_array_equal(prior.unconstrain(labels), labels)


def test_prior_of_an_unknown_label_is_refused(desi_card: dict[str, Any], survey: Any) -> None:
    with pytest.raises(KeyError, match="li_fe"):
        LabelPrior(survey.emulator.space, desi_card["density"], {"li_fe": Fixed(0.0)})


@pytest.mark.parametrize("kind", PRIORS)
def test_prior_settings_refuse_unknown_options(kind: str) -> None:
    with pytest.raises(ValueError, match="middle"):
        PRIORS[kind](middle=1.0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Normal(0.0, 0.0),
        lambda: Normal(0.0, -1.0),
        lambda: TruncatedNormal(0.0, -1.0, 0.0, 1.0),
        lambda: Uniform(1.0, 1.0),
        lambda: Uniform(6000.0, 5000.0),
        lambda: TruncatedNormal(0.0, 1.0, 1.0, -1.0),
        lambda: Uniform(np.nan, 1.0),
        lambda: Fixed(np.nan),
        lambda: Normal(np.inf, 1.0),
    ],
)
def test_impossible_priors_are_refused(make: Any) -> None:
    with pytest.raises(ValueError):
        make()
