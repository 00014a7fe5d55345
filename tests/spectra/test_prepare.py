"""Raw spectra to normalised ones: the operator of Eq. 1-2, and what may and may not change it."""

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from bayes_ddp.flags import WARN
from bayes_ddp.spectra.masks import LIGHT_SPEED, doppler_factor
from bayes_ddp.spectra.prepare import LENGTH, MIN_PIXELS, Smoother, prepare, pseudo_continuum
from bayes_ddp.spectra.raw import RawArm, RawSpectra

GRIDS = {
    "uniform": np.arange(4000.0, 4900.0, 0.8),
    "coarse": np.arange(4000.0, 4900.0, 2.5),
    "logarithmic": 10 ** (np.log10(3900.0) + 1e-4 * np.arange(900)),
}
each_grid = pytest.mark.parametrize("grid", GRIDS)


def lines(wave: np.ndarray, count: int, key: int) -> np.ndarray:
    """[pixel] of Gaussian absorption lines on a continuum of one."""
    rng = np.random.default_rng(key)
    centre, depth = rng.uniform(wave[0], wave[-1], count), rng.uniform(0.02, 0.5, count)
    return np.exp(-(depth * np.exp(-0.5 * ((wave[:, None] - centre) / 0.8) ** 2)).sum(axis=1))


def slowly(wave: np.ndarray, weight: np.ndarray, flux: np.ndarray) -> np.ndarray:
    """Eq. 1-2 as the paper writes them, every pixel with every other."""
    kernel = np.exp(-0.5 * ((wave[:, None] - wave[None, :]) / LENGTH) ** 2) * weight
    return (kernel @ flux) / kernel.sum(axis=1)


def raw_stars(count: int = 3, key: int = 5, **changed: Any) -> RawSpectra:
    """Stars of lines on sloping continua in two arms of a DESI-like survey."""
    rng = np.random.default_rng(key)
    arms = []
    for name, wave in (("B", np.arange(4700.0, 5500.0, 0.8)), ("R", np.arange(6400, 7300, 0.8))):
        level = rng.uniform(5, 50, (count, 1)) * (wave / 6000) ** rng.uniform(-2, 2, (count, 1))
        flux = level * np.stack([lines(wave, 80, key + i) for i in range(count)])
        sigma = flux / 50
        flux = flux + sigma * rng.standard_normal(flux.shape)
        ivar = np.where(rng.random(flux.shape) < 0.01, 0.0, sigma**-2)
        arms.append(RawArm(name, wave, flux, ivar, np.full(flux.shape, 1.6)))
    told: dict[str, Any] = {
        "survey": "desi",
        "arms": tuple(arms),
        "vrad": np.zeros(count),
        "vrad_err": np.ones(count),
        "ebv": np.zeros(count),
        "warn": np.zeros(count, np.int64),
        "key": ("TARGETID",),
        "columns": {"TARGETID": np.arange(count)},
    }
    return RawSpectra(**told | changed)


def with_arms(raw: RawSpectra, **change: Any) -> RawSpectra:
    """``raw`` with flux or ivar of each arm passed through a function of (arm)."""
    return replace(
        raw,
        arms=tuple(replace(a, **{n: make(a) for n, make in change.items()}) for a in raw.arms),
    )


def same_spectra(one: Any, other: Any, *fields: str) -> None:
    for name in fields or ("flux", "ivar", "weight", "continuum"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


@each_grid
def test_smoother_equals_the_n_squared_formula(grid: str) -> None:
    wave = GRIDS[grid]
    flux = lines(wave, 60, 1)
    level = pseudo_continuum(wave, flux, np.ones(wave.size))
    np.testing.assert_allclose(level, slowly(wave, np.ones(wave.size), flux), atol=5e-5)


@each_grid
def test_smoother_equals_the_n_squared_formula_across_gaps(grid: str) -> None:
    wave = GRIDS[grid]
    weight = (np.random.default_rng(2).random(wave.size) > 0.05).astype(float)
    weight[np.abs(wave - 4200) < 25] = 0
    weight[np.abs(wave - 4101.7) < 15] = 0
    flux = lines(wave, 60, 3)
    level = pseudo_continuum(wave, flux, weight)
    np.testing.assert_allclose(level, slowly(wave, weight, flux), atol=5e-5)


def test_smoother_gives_the_same_in_single_precision_under_jax() -> None:
    wave = GRIDS["uniform"]
    flux = np.stack([lines(wave, 60, key) for key in (1, 2)])
    smoother = Smoother(wave)
    single = smoother(jnp.asarray(flux, jnp.float32)) / smoother(jnp.ones(wave.size, jnp.float32))
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, smoother(flux) / smoother(np.ones(wave.size)), atol=2e-6)


@each_grid
def test_flat_spectrum_has_flat_continuum(grid: str) -> None:
    """Exactly: numerator and denominator are the same sums."""
    wave = GRIDS[grid]
    weight = (np.random.default_rng(4).random(wave.size) > 0.3).astype(float)
    level = pseudo_continuum(wave, np.full(wave.size, 2.0), weight)
    np.testing.assert_array_equal(level, 2.0)


def test_continuum_far_from_any_weight_is_unknown() -> None:
    wave = np.arange(4000.0, 5000.0, 0.8)
    level = pseudo_continuum(wave, np.ones(wave.size), (wave < 4200).astype(float))
    assert np.isfinite(level[wave < 4250]).all()
    assert np.isnan(level[wave > 4350]).all()


def test_flat_stars_come_out_as_ones() -> None:
    raw = with_arms(raw_stars(), flux=lambda arm: np.full(arm.flux.shape, 7.0))
    spectrum, _ = prepare(raw)
    np.testing.assert_allclose(spectrum.flux[spectrum.ivar > 0], 1.0, rtol=3e-7)
    np.testing.assert_allclose(spectrum.continuum[spectrum.ivar > 0], 7.0, rtol=3e-7)


def test_inverse_variance_has_no_part_in_the_continuum() -> None:
    """Any other positive ivar, pixel by pixel, leaves flux, continuum and weights bit by bit."""
    raw, rng = raw_stars(), np.random.default_rng(8)
    other = with_arms(raw, ivar=lambda arm: arm.ivar * rng.uniform(0.01, 100, arm.ivar.shape))
    same_spectra(prepare(raw)[0], prepare(other)[0], "flux", "continuum", "weight")


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -1e30, 0.0])
def test_value_of_a_masked_pixel_does_not_matter(garbage: float) -> None:
    raw = raw_stars()
    other = with_arms(raw, flux=lambda arm: np.where(arm.ivar > 0, arm.flux, garbage))
    same_spectra(prepare(raw)[0], prepare(other)[0])


def test_masked_pixel_is_in_no_sum() -> None:
    spectrum, _ = prepare(raw_stars())
    for (_, a, b), arm in zip(spectrum.arms, raw_stars().arms, strict=True):
        dead = arm.ivar == 0
        assert dead.any()
        assert not spectrum.ivar[:, a:b][dead].any()
        assert not spectrum.weight[:, a:b][dead].any()


def test_flux_and_ivar_scaled_together_give_the_same_spectrum() -> None:
    """A power of two a star: not one bit may change but those of the continuum."""
    raw, scale = raw_stars(), 2.0 ** np.array([[-30], [4], [17]])
    other = with_arms(raw, flux=lambda arm: arm.flux * scale, ivar=lambda arm: arm.ivar / scale**2)
    one, two = prepare(raw)[0], prepare(other)[0]
    same_spectra(one, two, "flux", "ivar", "weight")
    np.testing.assert_array_equal(two.continuum, one.continuum * scale.astype(np.float32))


def test_stars_are_prepared_each_on_its_own() -> None:
    raw = raw_stars(4, vrad=np.array([-250.0, 0.0, 30.0, 400.0]))
    order = np.array([2, 0, 3])
    whole, few = prepare(raw)[0].take(order), prepare(raw.take(order))[0]
    for name in ("flux", "ivar", "weight"):
        np.testing.assert_allclose(getattr(whole, name), getattr(few, name), rtol=1e-6)


def test_slope_of_the_survey_leaves_normalised_flux_alone() -> None:
    """Dust and calibration: a factor of 1.8 along an arm is 0.3 % at its ends, 0.05 % rms."""
    raw = raw_stars()

    def dusty(arm: RawArm) -> np.ndarray:
        return arm.flux * (arm.wave / 6000) ** 4

    one, two = prepare(raw)[0], prepare(with_arms(raw, flux=dusty))[0]
    good = (one.ivar > 0) & (two.ivar > 0)
    change = (one.flux - two.flux)[good]
    assert np.abs(change).max() < 3e-3
    assert change.std() < 5e-4


def test_inverse_variance_is_never_boosted() -> None:
    raw = raw_stars()
    spectrum, _ = prepare(raw)
    for (_, a, b), arm in zip(spectrum.arms, raw.arms, strict=True):
        level = np.where(spectrum.ivar[:, a:b] > 0, spectrum.continuum[:, a:b], 1.0)
        assert (spectrum.ivar[:, a:b] <= arm.ivar * level**2 * (1 + 1e-6)).all()


def test_velocity_moves_the_masks_of_the_star_and_not_those_of_the_sky() -> None:
    vrad = np.array([0.0, 400.0, -400.0])
    flat = with_arms(
        raw_stars(vrad=vrad),
        flux=lambda arm: np.ones(arm.flux.shape),
        ivar=lambda arm: np.full(arm.flux.shape, 1e4),
    )
    spectrum, _ = prepare(flat)
    masked = spectrum.ivar == 0
    wave = np.asarray(spectrum.wave)
    pad = 30 / LIGHT_SPEED  # the Earth's motion, on sky bands
    for star, factor in enumerate(doppler_factor(vrad)):
        core = np.abs(wave / factor - 4862.7)  # H beta: core not fitted, wings no continuum
        assert masked[star, core < 2.5].all()
        assert not masked[star, (core > 2.5) & (core < 20)].any()
        assert not spectrum.weight[star, core < 15].any()
        assert spectrum.weight[star, (core > 15) & (core < 30)].all()
        sky = (wave > 6866 * (1 - pad)) & (wave < 6970 * (1 + pad))  # O2 B
        assert masked[star, sky].all()
        assert not masked[star, (wave > 6980) & (wave < 7150)].any()


def test_ends_of_desi_arms_are_not_fitted() -> None:
    spectrum, _ = prepare(raw_stars())
    for _, a, b in spectrum.arms:
        ends = np.r_[a : a + 5, b - 5 : b]
        assert not spectrum.ivar[:, ends].any()


@pytest.mark.parametrize("vrad", [np.nan, np.inf, 1501.0, -2e4])
def test_star_without_believable_velocity_is_flagged_and_not_fitted(vrad: float) -> None:
    spectrum, warn = prepare(raw_stars(vrad=np.array([0.0, vrad, 0.0])))
    assert warn.tolist() == [0, int(WARN.BAD_RV), 0]
    assert not spectrum.ivar[1].any()
    assert spectrum.ivar[0].any()
    assert np.isfinite(spectrum.flux).all()
    assert np.isfinite(spectrum.vrad).all()


def test_star_without_row_in_the_catalogue_is_not_blamed_on_its_velocity() -> None:
    known = np.array([0, int(WARN.NO_CATALOG_ROW), 0])
    _, warn = prepare(raw_stars(vrad=np.array([0.0, np.nan, 0.0]), warn=known))
    assert warn.tolist() == known.tolist()


def test_unknown_velocity_error_is_taken_as_thirty() -> None:
    spectrum, _ = prepare(raw_stars(vrad_err=np.array([np.nan, 2.0, np.inf])))
    assert spectrum.vrad_err.tolist() == [30.0, 2.0, 30.0]


def test_missing_pixels_are_told() -> None:
    raw = raw_stars(4)
    red = np.array(raw.arms[1].ivar)
    blue = np.array(raw.arms[0].ivar)
    red[1:] = 0
    blue[2] = 0
    blue[3, MIN_PIXELS - 100 :] = 0
    raw = replace(raw, arms=(replace(raw.arms[0], ivar=blue), replace(raw.arms[1], ivar=red)))
    spectrum, warn = prepare(raw)
    assert warn.tolist() == [
        0,
        WARN.MISSING_ARM,
        WARN.NODATA,
        WARN.FEW_PIXELS | WARN.MISSING_ARM,
    ]
    assert (spectrum.ivar > 0).any(axis=1).tolist() == [True, True, False, False]


def test_sky_fibre_of_negative_flux_is_masked_not_normalised() -> None:
    raw = with_arms(raw_stars(), flux=lambda arm: -arm.flux)
    spectrum, warn = prepare(raw)
    assert not spectrum.ivar.any()
    assert (warn & int(WARN.NODATA)).all()
