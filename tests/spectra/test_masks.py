"""Masks by wavelength, each in its own frame."""

import numpy as np
import pytest

from bayes_ddp.spectra.masks import (
    BALMER,
    BANDS,
    apply_masks,
    doppler_factor,
    redshift_velocity,
    rest_continuum_weight,
)

WAVE = np.arange(3600, 9824.1, 0.8)
CLEAN = np.zeros(1)  # E(B-V) = 0


def _lost(wave: np.ndarray, vrad: float, name: str) -> np.ndarray:
    """Pixels of ``wave`` within one band of the table that are not fitted."""
    band = next(b for b in BANDS if b.name == name)
    good, _, _ = apply_masks(wave, np.array([vrad]), "desi", ebv=CLEAN)
    near = (wave > band.low - 12) & (wave < band.high + 12)
    return np.flatnonzero(near & ~good[0])


@pytest.mark.parametrize("name", ["O2 B", "H2O 9000", "sky line 6302", "Na D"])
def test_sky_and_interstellar_bands_do_not_move_with_the_star(name: str) -> None:
    far = _lost(WAVE, 500.0, name)
    assert set(_lost(WAVE, 0.0, name)) <= set(far)


def test_stellar_bands_move_with_the_star() -> None:
    still, moved = _lost(WAVE, 0.0, "H beta core"), _lost(WAVE, 300.0, "H beta core")
    assert WAVE[moved].mean() - WAVE[still].mean() == pytest.approx(4862.7 * 0.001001, abs=0.4)
    assert not set(still) & set(moved)


def test_sky_bands_are_padded_for_the_motion_of_the_earth() -> None:
    fine = np.arange(6860.0, 6980.0, 0.01)
    good, _, _ = apply_masks(fine, np.zeros(1), "desi", ebv=CLEAN)
    lost = fine[~good[0]]
    assert lost[0] == pytest.approx(6866 * (1 - 1e-4), abs=0.02)
    assert lost[-1] == pytest.approx(6970 * (1 + 1e-4), abs=0.02)


def test_balmer_lines_have_no_part_in_the_continuum_but_keep_their_wings() -> None:
    vrad = np.array([0.0, -250.0])
    good, _, use = apply_masks(WAVE, vrad, "desi", ebv=np.zeros(2))
    for star, factor in enumerate(doppler_factor(vrad)):
        for centre in BALMER:
            distance = np.abs(WAVE / factor - centre)
            assert not use[star, distance < 15].any()
            assert good[star, (distance > 5) & (distance < 15)].all()


def test_balmer_cores_are_fitted_by_data_driven_models_only() -> None:
    core = np.abs(WAVE - 4862.7) < 2
    assert not apply_masks(WAVE, np.zeros(1), "desi")[0][0, core].any()
    assert apply_masks(WAVE, np.zeros(1), "desi", physics=False)[0][0, core].all()


def test_interstellar_bands_are_masked_for_reddened_and_unknown_stars() -> None:
    ebv = np.array([0.05, 0.3, np.nan])
    good, _, _ = apply_masks(WAVE, np.zeros(3), "desi", ebv=ebv)
    assert good[:, np.argmin(np.abs(WAVE - 8623.2))].tolist() == [True, False, False]
    unknown, _, _ = apply_masks(WAVE, np.zeros(1), "desi")
    assert not unknown[0, np.argmin(np.abs(WAVE - 8623.2))]


def test_arm_join_is_masked_in_lamost_only() -> None:
    at = np.argmin(np.abs(WAVE - 5850))
    assert apply_masks(WAVE, np.zeros(1), "desi")[0][0, at]
    good, _, use = apply_masks(WAVE, np.zeros(1), "lamost")
    assert not good[0, at]
    assert not use[0, at]


def test_extra_errors_add_in_quadrature_and_leave_the_rest_alone() -> None:
    _, floor, _ = apply_masks(WAVE, np.zeros(1), "desi", ebv=CLEAN)
    by_hand = np.zeros_like(WAVE)
    for band in BANDS:
        low, high = band.edges()
        if not isinstance(band.fit, str):
            by_hand += np.where((low <= WAVE) & (high >= WAVE), band.fit**2, 0)
    np.testing.assert_allclose(floor[0], np.sqrt(by_hand), rtol=1e-6)
    assert floor.dtype == np.float32


def test_order_of_pixels_and_stars_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    vrad, ebv = rng.normal(0, 200, 5), rng.random(5)
    pixels, stars = rng.permutation(WAVE.size), rng.permutation(5)
    whole = apply_masks(WAVE, vrad, "desi", ebv=ebv)
    mixed = apply_masks(WAVE[pixels], vrad[stars], "desi", ebv=ebv[stars])
    for one, other in zip(whole, mixed, strict=True):
        np.testing.assert_array_equal(one[np.ix_(stars, pixels)], other)


def test_star_without_velocity_is_masked_as_if_at_rest() -> None:
    for one, other in zip(
        apply_masks(WAVE, np.array([np.nan]), "desi"),
        apply_masks(WAVE, np.zeros(1), "desi"),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_model_weight_is_zero_near_four_balmer_lines() -> None:
    weight = rest_continuum_weight(np.arange(3650.0, 9820.0, 0.01))
    assert set(np.unique(weight)) == {0.0, 1.0}
    assert (weight == 0).sum() * 0.01 == pytest.approx(4 * 30, abs=0.1)


def test_redshift_and_velocity_agree_with_special_relativity() -> None:
    assert redshift_velocity(doppler_factor(1234.5) - 1) == pytest.approx(1234.5)
    assert np.isnan(redshift_velocity(-2.0))
