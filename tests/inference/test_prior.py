"""Label priors: the trained density, its Gaussian approximation, and what a run file may say."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import kstest, norm

from bayes_ddp.emulator.physics.library import read_pack
from bayes_ddp.inference.prior import (
    PRIORS,
    Fixed,
    LabelPrior,
    Normal,
    TruncatedNormal,
    Uniform,
)
from bayes_ddp.inference.prior.boxes import Boxes, Noise
from bayes_ddp.labels import LabelSpace

SHAPES = {
    "one": ([1.0], [0.0], [1.0], 0.02, False),
    "two": ([0.7, 0.3], [-0.6, -1.0], [0.6, 2.5], 0.07, False),
    "steps": ([1.0, 2.0, 4.0], [4000.0, 4100.0, 4200.0], [4100.0, 4200.0, 4300.0], 80.0, True),
}
each_shape = pytest.mark.parametrize("shape", SHAPES)
DRAWS = 20_000


def boxes(shape: str) -> Boxes:
    weight, low, high, width, narrow = SHAPES[shape]
    return Boxes(np.log(weight), np.array(low), np.array(high), width=width, narrow=narrow)


@pytest.fixture(scope="module")
def prior(survey: Any) -> LabelPrior:
    return survey.prior


@pytest.fixture(scope="module")
def draws(prior: LabelPrior) -> np.ndarray:
    """[draw label] of the default prior."""
    return prior.draws(jax.random.key(3), DRAWS)


@pytest.fixture(scope="module")
def trained(models: Path) -> np.ndarray:
    """[spectrum label], labels of the spectra that the models are trained on."""
    return read_pack(models / "physics-lte").labels


def density(shape: str, x: np.ndarray) -> np.ndarray:
    """The density in NumPy, from its definition: uniform densities convolved with a normal."""
    weight, low, high, width, _ = (np.asarray(part, float) for part in SHAPES[shape])
    rise, fall = (norm.cdf((x[:, None] - end) / width) for end in (low, high))
    return ((rise - fall) / (high - low)) @ (weight / weight.sum())


@each_shape
def test_boxes_have_the_density_of_their_definition(shape: str) -> None:
    _, low, high, width, _ = SHAPES[shape]
    x = np.linspace(min(low) - 5 * width, max(high) + 5 * width, 20_001)
    found = np.exp(np.asarray(boxes(shape).log_prob(x)))
    np.testing.assert_allclose(found, density(shape, x), rtol=1e-6, atol=1e-12)
    assert np.trapezoid(found, x) == pytest.approx(1, abs=1e-5)


@each_shape
def test_draws_of_boxes_follow_their_density(shape: str) -> None:
    """Kolmogorov-Smirnov at 1e-4; mean and variance within five Monte Carlo errors."""
    law, (_, low, high, width, _) = boxes(shape), SHAPES[shape]
    drawn = np.asarray(law.sample(jax.random.key(4), (DRAWS,)))
    x = np.linspace(min(low) - 8 * width, max(high) + 8 * width, 20_001)
    cumulated = np.cumsum(density(shape, x)) * (x[1] - x[0])
    assert kstest(drawn, lambda v: np.interp(v, x, cumulated)).pvalue > 1e-4
    assert abs(drawn.mean() - law.mean) < 5 * np.sqrt(law.variance / DRAWS)
    kurtosis = ((drawn - drawn.mean()) ** 4).mean() / drawn.var() ** 2
    assert abs(drawn.var() / law.variance - 1) < 5 * np.sqrt((kurtosis - 1) / DRAWS)


def test_default_density_is_the_sum_of_its_conditionals(
    prior: LabelPrior, draws: np.ndarray
) -> None:
    """Each conditional integrates to one, so that their product is a normalised density."""
    names, low, high = _ranges(prior.space)
    low, high = np.array(low), np.array(high)
    x = np.linspace(low - 0.3 * (high - low), high + 0.3 * (high - low), 4001)

    @jax.jit
    def each(labels: Any) -> tuple[Any, Any]:
        """Ln densities of the conditionals on their grids [point label] and at [label]."""
        given = dict(zip(names, labels, strict=True))
        laws = [prior.conditional(name, given) for name in names]
        grid = [law.log_prob(x[:, i]) for i, law in enumerate(laws)]
        return jnp.stack(grid, axis=1), jnp.stack(
            [w.log_prob(given[n]) for n, w in zip(names, laws, strict=True)]
        )

    for labels in draws[:3]:
        grid, here = each(labels)
        mass = np.trapezoid(np.exp(grid), x, axis=0)
        np.testing.assert_allclose(mass, 1, rtol=0, atol=2e-4, err_msg=str(names))
        total = float(here.sum())
        assert float(prior.log_prob(jnp.asarray(labels))) == pytest.approx(total, abs=1e-9)


@pytest.mark.parametrize("gaussian", [False, True])
def test_density_with_priors_of_a_run_file_is_the_sum_of_its_conditionals(
    desi_card: dict[str, Any], prior: LabelPrior, draws: np.ndarray, gaussian: bool
) -> None:
    """One alpha element and C are replaced, so that the others have no joint density."""
    chosen = {"o_fe": Normal(0.1, 0.1), "c_fe": Normal(0.0, 0.2)}
    other = LabelPrior(prior.space, desi_card["density"], chosen)

    @jax.jit
    def both(labels: Any) -> tuple[Any, Any]:
        at = dict(zip(other.space.names, labels, strict=True))
        laws = {name: other.conditional(name, at, gaussian=gaussian) for name in other.order}
        parts = [law.log_prob(at[name]) for name, law in laws.items()]
        return other.log_prob(labels, gaussian=gaussian), sum(parts)

    for labels in draws[:3]:
        found, expected = both(jnp.asarray(labels))
        assert float(found) == pytest.approx(float(expected), abs=1e-9)


def _ranges(space: LabelSpace) -> tuple[tuple, tuple, tuple]:
    return space.names, space.low, space.high


def test_first_draws_of_a_key_do_not_depend_on_how_many_are_made(
    prior: LabelPrior, draws: np.ndarray
) -> None:
    np.testing.assert_array_equal(prior.draws(jax.random.key(3), 5), draws[:5])


@each_shape
def test_random_numbers_beyond_the_last_box_are_not_used(shape: str) -> None:
    law, keys = boxes(shape), jax.random.split(jax.random.key(6), 50)
    noise = jax.vmap(lambda key: Noise.of(key, (), boxes=30))(keys)
    np.testing.assert_array_equal(law.at(noise), jax.vmap(law.sample)(keys))


def test_prior_is_the_density_of_the_training_labels(
    prior: LabelPrior, draws: np.ndarray, trained: np.ndarray
) -> None:
    """Distribution functions of every label differ by less than sampling and rounding allow.

    1.95 / sqrt(n) is the Kolmogorov-Smirnov limit at 1e-3; edges stand 3 % inside the range.
    """
    for i, name in enumerate(prior.space.names):
        x = np.quantile(trained[:, i], np.linspace(0.02, 0.98, 49))
        two = [(values[:, i, None] < x).mean(axis=0) for values in (trained, draws)]
        gap = np.abs(two[0] - two[1]).max()
        assert gap < 1.95 / np.sqrt(len(trained)) + 0.04, (name, gap)


def test_metal_poor_stars_have_the_carbon_of_the_training_labels(
    prior: LabelPrior, draws: np.ndarray, trained: np.ndarray
) -> None:
    feh = prior.space.index("feh")
    for name in ("c_fe", "n_fe"):
        i = prior.space.index(name)
        x = np.linspace(-0.5, 2.2, 28)
        two = [(v[v[:, feh] < -1.3][:, i, None] < x).mean(axis=0) for v in (trained, draws)]
        poor = (trained[:, feh] < -1.3).sum()
        assert np.abs(two[0] - two[1]).max() < 1.95 / np.sqrt(poor) + 0.03


def test_draws_lie_where_the_model_was_trained(prior: LabelPrior, draws: np.ndarray) -> None:
    """At most 3 % have any label outside its range, and 2 % of cool stars lie in the gap."""
    low, high = np.array(prior.space.low), np.array(prior.space.high)
    assert ((draws < low) | (draws > high)).any(axis=1).mean() < 0.03
    at = dict(zip(prior.space.names, draws.T, strict=True))
    cool = at["teff"] < 4750
    assert cool.sum() > 1000
    assert ((at["logg"][cool] > 3.4) & (at["logg"][cool] < 4.2)).mean() < 0.02


def normal(x: float, mean: float, variance: float) -> float:
    return -0.5 * (x - mean) ** 2 / variance - 0.5 * np.log(2 * np.pi * variance)


def gaussian_log_density(prior: LabelPrior, table: dict[str, Any], labels: np.ndarray) -> float:
    """The approximation from the card's numbers, in NumPy; alpha elements as one normal."""
    space = prior.space
    at, half = dict(zip(space.names, labels, strict=True)), table["half_width"]
    total = sum(float(prior.conditional(n, at).log_prob(at[n])) for n in ("teff", "feh", "logg"))

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
    knee = 0.05
    knees = knee * (np.logaddexp(0, (at["feh"] + 1) / knee) - np.logaddexp(0, at["feh"] / knee))
    gap = np.array([at[n] for n in names]) - scale * (0.35 - 0.35 * knees)
    total -= 0.5 * gap @ np.linalg.solve(covariance, gap)
    return total - 0.5 * np.linalg.slogdet(2 * np.pi * covariance)[1]


def test_gaussian_approximation_has_the_moments_of_the_card(
    prior: LabelPrior, desi_card: dict[str, Any], draws: np.ndarray
) -> None:
    found = jax.jit(jax.vmap(lambda x: prior.log_prob(x, gaussian=True)))(jnp.asarray(draws[:40]))
    wanted = [gaussian_log_density(prior, desi_card["density"], x) for x in draws[:40]]
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


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
    """Residuals in units of the covariance: rounded edges take up to a fifth of a variance."""
    mean, covariance = (
        np.asarray(x) for x in jax.jit(jax.vmap(prior.moments))(jnp.asarray(draws[:5000]))
    )
    sd = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    z = (draws[:5000] - mean) / sd
    assert (np.abs(z.mean(axis=0)) < 0.1).all()
    assert (np.abs(z.var(axis=0) - 0.93) < 0.12).all(), z.var(axis=0)
    alpha = [prior.space.index(n) for n in ("o_fe", "mg_fe", "si_fe")]
    found = np.corrcoef(z[:, alpha].T)
    part = covariance[0][np.ix_(alpha, alpha)] / np.outer(sd[0, alpha], sd[0, alpha])
    np.testing.assert_allclose(found, part, atol=0.06)


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
    mean, covariance = chosen.moments(labels)
    assert (float(mean[2]), float(covariance[2, 2])) == (1.2, 0.0)


def test_draws_stay_inside_their_bounds(chosen: LabelPrior) -> None:
    drawn = chosen.draws(jax.random.key(9), 2000)
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
    whole = np.log(np.trapezoid(np.exp(value - value.max()), x)) + float(value.max())
    fixed = chosen.constrain(free)
    values = dict(zip(chosen.space.names, fixed, strict=True))
    others = [n for n in chosen.free if n != "teff"]
    rest = sum(float(chosen.conditional(n, values).log_prob(values[n])) for n in others)
    logg = chosen._bijection("logg")
    z = free[chosen.free.index("logg")]
    rest += float(logg.log_abs_det_jacobian(z, logg(z)))
    assert whole == pytest.approx(rest, abs=1e-4)


def test_default_prior_is_unconstrained(prior: LabelPrior) -> None:
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
