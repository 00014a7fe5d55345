"""A correction learned from residuals: what it recovers, where it ends, how it is stored."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from bayes_ddp.emulator.card import load_emulator, read_card, write_model
from bayes_ddp.emulator.corrected import join, write_correction
from bayes_ddp.emulator.correction import CORE, Correction, correct
from bayes_ddp.emulator.gaussian_process import deviation
from bayes_ddp.emulator.network import BasisNetwork, predict
from bayes_ddp.emulator.residual_fit import Learned, Stars, learn
from bayes_ddp.emulator.sharpen import sharpen
from bayes_ddp.labels import LabelSpace

STARS, PIXELS, NOISE = 150, 260, 0.003
SPACE = LabelSpace(("teff", "logg", "feh", "mg_fe"), (4000, 0.5, -3, -0.4), (8000, 5, 0.5, 0.8))
WAVE = 5000 + 0.9 * np.arange(PIXELS)
ERRORS = np.array([80.0, 0.2, 0.1, 0.06])


def planted(labels: np.ndarray) -> np.ndarray:
    """[star pixel] a smooth residual: two spectra with coefficients that follow the labels."""
    cool = (5040 / labels[:, 0] - 0.95) / 0.1
    first = 0.02 * cool + 0.01 * np.tanh(labels[:, 2])
    second = 0.015 * np.sin(labels[:, 1] / 2) + 0.04 * labels[:, 3]
    lines = np.random.default_rng(5).standard_normal((2, PIXELS))
    return first[:, None] * gaussian_filter1d(lines[0], 1.5) * 2 + second[:, None] * (
        gaussian_filter1d(lines[1], 1.5) * 2
    )


def mock(seed: int, *, shifted: bool = True) -> tuple[Stars, np.ndarray]:
    """(labelled stars, their true labels); catalogue labels have the errors ``ERRORS``."""
    rng = np.random.default_rng(seed)
    true = np.stack(
        [
            rng.uniform(4500, 6500, STARS),
            rng.uniform(1.5, 4.7, STARS),
            rng.uniform(-1.2, 0.3, STARS),
            rng.normal(0.0, 0.12, STARS),
        ],
        axis=1,
    )
    given = true + shifted * ERRORS * rng.standard_normal(true.shape)
    lines = gaussian_filter1d(rng.standard_normal((6, PIXELS)), 1.5, axis=1)
    jacobian = (
        np.repeat(lines[None], STARS, axis=0) * np.r_[1e-4, 0.02, 0.05, 0.05, 1e-3, 0.01][:, None]
    )
    error = true - given
    moved = np.einsum("nd,ndp->np", error, jacobian[:, :4])
    residual = planted(true) + moved + NOISE * rng.standard_normal((STARS, PIXELS))
    residual[:, 100:104] = np.nan
    variance = np.concatenate([ERRORS**2, [1.0, 1e-4]])
    precision = np.repeat(np.diag(1 / variance)[None], STARS, axis=0)
    usual = np.zeros((1, 2))
    return Stars(given, precision, residual, jacobian, usual), true


@pytest.fixture(scope="module")
def learned() -> Learned:
    return learn(mock(1)[0], SPACE, ("mg_fe",), rank=6)


@pytest.fixture(scope="module")
def correction(learned: Learned) -> Correction:
    return Correction(SPACE, (("mg_fe",),), (learned.block,))


def test_planted_residual_is_recovered_at_labels_of_other_stars(learned, correction):
    """Correlated label errors would leave 2 to 3 times the noise; a fifth of the signal passes."""
    true = mock(2)[1]
    seen = np.isfinite(learned.leftover)
    expected = planted(true)[:, seen]
    found = (correct(correction, true) @ learned.rows)[:, seen]
    assert np.sqrt(np.mean((found - expected) ** 2)) < 0.2 * np.sqrt(np.mean(expected**2))


def test_labels_are_found_better_than_the_table_has_them(learned):
    stars, true = mock(1)
    before = np.std(stars.labels - true, axis=0)
    after = np.std(stars.labels + learned.shift[:, :4] - true, axis=0)
    assert (after[:3] < 0.7 * before[:3]).all()


def test_odd_star_changes_little():
    stars, _ = mock(1)
    residual = stars.residual.copy()
    residual[7] += 0.3 * np.sin(np.arange(PIXELS) / 7)
    clean, dirty = (
        learn(
            one, SPACE, ("mg_fe",), rank=6, kernel=learn(stars, SPACE, ("mg_fe",), rank=6).kernel
        )
        for one in (stars, replace(stars, residual=residual))
    )
    away = mock(3)[1]
    spectra = [
        correct(Correction(SPACE, (("mg_fe",),), (one.block,)), away) @ one.rows
        for one in (clean, dirty)
    ]
    assert dirty.block.noise[7] > 10
    assert np.sqrt(np.mean((spectra[1] - spectra[0]) ** 2)) < NOISE


def test_correction_vanishes_away_from_the_stars_and_its_error_grows(learned, correction):
    """Five scale lengths of [Fe/H] below the lowest star."""
    inside = np.array([5500.0, 3.0, -0.4, 0.0])
    outside = np.array([5500.0, 3.0, -1.2 - 5 * learned.kernel.width[2], 0.0])
    near, far = (np.abs(np.asarray(correction(jnp.asarray(x)))).max() for x in (inside, outside))
    assert far < 0.02 * near
    points = np.array([[5040 / x[0], x[1], x[2]] for x in (inside, outside)])
    small, large = deviation(learned.block, points, np.zeros((2, 1)))
    np.testing.assert_allclose(large, np.sqrt(learned.block.amplitude), rtol=0.02)
    assert (small[:2] < 0.2 * large[:2]).all()


def test_gradient_of_the_correction_agrees_with_finite_differences(correction):
    labels = np.array([5300.0, 2.4, -0.6, 0.15])
    value, gradient = correction.and_gradient(jnp.asarray(labels))
    np.testing.assert_allclose(value, correction(jnp.asarray(labels)), rtol=1e-12)
    for i, step in enumerate([1.0, 1e-3, 1e-3, 1e-3]):
        move = step * np.eye(4)[i]
        up, down = (correct(correction, (labels + s * move)[None])[0] for s in (1, -1))
        finite = (up - down) / (2 * step)
        np.testing.assert_allclose(
            gradient[:, i], finite, rtol=1e-4, atol=1e-5 * np.abs(finite).max()
        )


def test_sharpened_row_is_the_row_at_the_model_s_resolution():
    rng, fine = np.random.default_rng(0), np.arange(4980.0, 5260.0, 0.1)
    white = 0.05 * rng.standard_normal(len(fine))

    def at(fwhm: float, wave: np.ndarray) -> np.ndarray:
        return np.interp(wave, fine, gaussian_filter1d(white, fwhm / 2.35482 / 0.1))

    grid, error = np.arange(5000.0, 5230.0, 0.5), 2e-4
    row = at(2.5, WAVE) + error * rng.standard_normal(PIXELS)
    variance = np.full((1, PIXELS), error**2)
    width = np.full(PIXELS, 2.5)
    sharp = sharpen(row[None], variance, wave=WAVE, fwhm=width, model=(grid, 1.2))[0]
    inner = slice(20, -20)
    as_it_is = np.interp(grid, WAVE, row)
    expected = at(1.2, grid)
    wrong, better = (np.std((one - expected)[inner]) for one in (as_it_is, sharp))
    assert better < 0.6 * wrong
    back = gaussian_filter1d(sharp, np.sqrt(2.5**2 - 1.2**2) / 2.35482 / 0.5)
    assert np.std((back - at(2.5, grid))[inner]) < 3 * error


def test_sharpened_row_is_zero_in_a_gap():
    row, variance = np.ones((1, PIXELS)) * 0.02, np.full((1, PIXELS), 1e-8)
    row[:, 100:140], variance[:, 100:140] = 0.0, np.inf
    model = (WAVE, 1.2)
    sharp = sharpen(row, variance, wave=WAVE, fwhm=np.full(PIXELS, 2.5), model=model)[0]
    assert np.abs(sharp[110:130]).max() < 1e-4
    assert np.abs(sharp[40:60] - 0.02).max() < 0.002


@pytest.fixture
def small(models: Path, tmp_path: Path) -> BasisNetwork:
    """A network of few features, written into a folder of its own."""
    full = load_emulator(models / "desi-physics")
    cut = slice(2800, 2800 + 400)
    features = replace(full.features, centre=full.features.centre[:20])
    weight = np.concatenate([full.weight[:20], full.weight[-1:]])[:, :5]
    network = replace(
        full,
        features=features,
        weight=weight,
        mean=full.mean[cut],
        basis=full.basis[:5, cut],
        error=full.error[cut],
        wave=full.wave[cut],
    )
    card = {k: v for k, v in full.card.table.items() if k not in ("mismatch", "training")}
    write_model(tmp_path / "base", network, card | {"name": "base"})
    return load_emulator(tmp_path / "base")


def corrected(base: BasisNetwork) -> BasisNetwork:
    stars = replace(mock(1)[0], usual=np.zeros((0, 2)))
    one = learn(stars, SPACE, (), rank=3)
    rows = np.random.default_rng(0).standard_normal((3, len(base.wave))) * 0.01
    correction = Correction(base.space, ((),), (one.block,))
    return join(base, correction, rows, error=base.error, card=base.card)


def test_corrected_model_survives_a_round_trip_and_adds_its_rows(small, tmp_path):
    network = corrected(small)
    card = dict(small.card.table) | {"base": "base", "base_sha256": small.card.sha256}
    write_correction(tmp_path / "new", network, card | {"name": "new"})
    loaded = load_emulator(tmp_path / "new")
    labels = np.array(small.space.middle)
    labels[small.space.index("feh")] = -0.4
    np.testing.assert_allclose(predict(loaded, labels), predict(network, labels), atol=1e-6)
    added = correct(network.correction, labels[None])[0] @ np.asarray(network.basis[5:], float)
    difference = predict(network, labels) - predict(small, labels)
    np.testing.assert_allclose(difference, added, atol=1e-6)
    np.testing.assert_allclose(loaded(jnp.asarray(labels)), predict(network, labels), atol=1e-5)
    assert (tmp_path / "new" / "weights.safetensors").stat().st_size < 1e5
    value, slope = loaded.coefficients_and_gradient(jnp.asarray(labels))
    by_jax = jax.jacfwd(loaded.coefficients)(jnp.asarray(labels))
    np.testing.assert_allclose(slope, by_jax, atol=1e-9 * np.abs(by_jax).max())
    assert value.shape == (8,)


def test_correction_of_another_base_is_refused(small, tmp_path):
    card = dict(small.card.table) | {"base": "base", "base_sha256": "0" * 64, "name": "new"}
    write_correction(tmp_path / "new", corrected(small), card)
    with pytest.raises(ValueError, match="Learn it again: bayes-ddp train --correct"):
        load_emulator(tmp_path / "new")


@pytest.mark.parametrize("name", ["desi", "lamost"])
def test_shipped_correction_fits_its_base_and_says_what_it_is(models, name):
    network, card = load_emulator(models / name), read_card(models / name)
    assert network.card.sha256 == card["sha256"]
    assert not network.card.physics_only
    assert network.correction.rank == len(network.basis) - network.weight.shape[1]
    assert "MILES" in card["calscale"]
    assert all(len(card["correction"]["sources"]["MILES"]["range"][name]) == 2 for name in CORE)
