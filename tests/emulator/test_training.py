"""Training: what a network learns from spectra and from gradients, and the card it gets."""

import tomllib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayes_ddp.emulator import card as cards
from bayes_ddp.emulator import label_error as shift_module
from bayes_ddp.emulator.density import density_table, trained_space
from bayes_ddp.emulator.label_error import label_shifts
from bayes_ddp.emulator.network import PixelNetwork, predict
from bayes_ddp.emulator.pixels import initial_pixels, payne_loss, train_pixels
from bayes_ddp.emulator.ridge import principal_rows, ridge_solve
from bayes_ddp.emulator.training import fit_network
from bayes_ddp.emulator.training_set import TrainingSet
from bayes_ddp.emulator.validate import validate
from bayes_ddp.files.toml import to_toml
from bayes_ddp.labels import LabelSpace

SPACE = LabelSpace(("teff", "feh", "mg_fe"), (4500.0, -1.0, -0.4), (6500.0, 0.3, 0.6))
WAVE = np.arange(5100.0, 5220.0, 0.5)
STEP = np.array([100.0, 0.1, 0.1])
SETTINGS = {
    "rank": 20,
    "features": 500,
    "bias": 10.0,
    "ridge": 1e-6,
    "gradient_error": 0.02,
    "fwhm": 1.2,
    "scales": {"teff": 0.8, "feh": 0.6, "mg_fe": 0.3},
}


def truth(labels):
    """[..., pixel]: a spectrum with one saturating magnesium line and three iron lines."""
    teff, feh, mg = np.moveaxis(np.asarray(labels, float), -1, 0)[..., None]
    theta = 5040 / teff

    def line(centre, strength):
        return strength * np.exp(-0.5 * ((WAVE - centre) / 1.5) ** 2)

    iron = 10 ** (0.6 * feh + 1.5 * (theta - 0.9))
    depth = sum(line(centre, 0.2 * iron / (1 + iron)) for centre in (5110.0, 5150.0, 5200.0))
    return 1 - depth - line(5184.0, 0.5 * np.tanh(10 ** (0.8 * (feh + mg)) * theta))


def toy_set(number, points=4, seed=0):
    rng = np.random.default_rng(seed)
    labels = SPACE.middle + SPACE.span * rng.uniform(-0.5, 0.5, (number, 3))
    at = SPACE.middle + SPACE.span * rng.uniform(-0.4, 0.4, (points, 3))
    grid = at[:, None] + np.concatenate([np.zeros((1, 3)), np.diag(STEP)])
    return TrainingSet(
        space=SPACE,
        wave=WAVE,
        names=tuple(f"g_{i}" for i in range(number)),
        labels=labels,
        flux=truth(labels).astype("f4"),
        reference_names=tuple(f"ref_{i}" for i in range(points)),
        reference_labels=grid,
        reference_flux=truth(grid).astype("f4"),
    )


def test_basis_network_learns_spectra_and_gradients_it_has_not_seen():
    network = fit_network(SETTINGS, toy_set(60))
    fresh = toy_set(50, points=5, seed=9)
    assert np.sqrt(np.mean((predict(network, fresh.labels) - fresh.flux) ** 2)) < 2e-3
    change = fresh.reference_flux[:, 1:] - fresh.reference_flux[:, :1]
    rows = np.array([predict(network, grid) for grid in fresh.reference_labels])
    wrong = rows[:, 1:] - rows[:, :1] - change
    assert np.sqrt(np.mean(wrong**2)) < 0.15 * np.sqrt(np.mean(change**2))


def test_difference_rows_improve_the_gradient_where_they_are():
    known = toy_set(30)
    alone = known.take(np.arange(30), np.arange(0))
    change = known.reference_flux[:, 1:] - known.reference_flux[:, :1]
    wrong = []
    for part in (alone, known):
        network = fit_network(SETTINGS, part)
        rows = np.array([predict(network, grid) for grid in known.reference_labels])
        wrong.append(np.sqrt(np.mean((rows[:, 1:] - rows[:, :1] - change) ** 2)))
    assert wrong[1] < 0.3 * wrong[0]


def test_rank_never_exceeds_the_number_of_rows():
    network = fit_network(SETTINGS | {"rank": 100}, toy_set(8, points=0))
    assert len(network.basis) <= 8


def test_training_again_gives_the_same_bits():
    first, second = (fit_network(SETTINGS, toy_set(20)) for _ in range(2))
    assert np.array_equal(first.weight, second.weight)


def test_validation_reports_the_error_of_stars_left_out():
    known, apart = toy_set(40), toy_set(10, points=0, seed=5)
    network = fit_network(SETTINGS, known)
    error, figures = validate(
        lambda part: fit_network(SETTINGS, part), network, known=known, apart=apart
    )
    inside = np.sqrt(np.mean((predict(network, known.labels) - known.flux) ** 2))
    assert error.shape == WAVE.shape
    assert figures["cross_validation"]["mean_and_median_rms"][0] > 2 * inside
    assert figures["held_out"]["stars"] == 10
    assert figures["gradient"]["labels"] == ["teff", "feh", "mg_fe"]
    assert max(figures["gradient"]["all"]) < 1
    assert tomllib.loads(to_toml(figures)) == figures


def test_error_that_looks_like_other_labels_moves_the_fit_to_their_spectra(monkeypatch):
    """Two kinds of lines cannot tell three labels, so spectra are compared and not labels."""
    monkeypatch.setattr(shift_module, "SNR", 1e5)  # so that the labels' ranges do not count
    known = toy_set(60)
    network = fit_network(SETTINGS, known)
    by = np.array([2.0, -0.001, 0.002]) * np.random.default_rng(3).normal(size=(60, 3))
    flux = predict(network, known.labels)
    moved = predict(network, known.labels + by)
    at, shift = label_shifts(network, known, flux - moved, error=np.zeros(len(WAVE), np.float32))
    np.testing.assert_array_equal(at, known.labels)
    left = np.std(predict(network, known.labels + shift) - moved)
    assert left < 0.05 * np.std(moved - flux)


def test_label_error_of_the_card_tells_kinds_of_stars_apart():
    known, apart = toy_set(60), toy_set(10, points=0, seed=5)
    network = fit_network(SETTINGS, known)
    _, figures = validate(
        lambda part: fit_network(SETTINGS, part), network, known=known, apart=apart
    )
    told = figures["label_error"]
    assert told["labels"] == ["teff", "feh", "mg_fe"] and told["stars"] == 60
    kinds = set(told) - {"labels", "stars", "method", "all"}
    assert kinds == {"feh_-1_to_0", "feh_above_0", "teff_above_4700"}
    assert all(0 < value < 100 for kind in kinds for value in told[kind])


def test_ridge_is_the_same_in_dual_and_primal_form():
    rng = np.random.default_rng(2)
    root = rng.normal(size=(12, 12))
    prior = root @ root.T + np.eye(12)
    design, target = rng.normal(size=(12, 12)), rng.normal(size=(12, 2))
    dual = ridge_solve(design, target, prior, ridge=0.3)
    zeros = np.zeros((5, 12))  # rows that say nothing make the primal form the shorter one
    primal = ridge_solve(
        np.concatenate([design, zeros]), np.concatenate([target, zeros[:, :2]]), prior, ridge=0.3
    )
    by_hand = np.linalg.solve(design.T @ design + 0.3 * prior, design.T @ target)
    np.testing.assert_allclose(dual, by_hand, rtol=1e-6)
    np.testing.assert_allclose(primal, by_hand, rtol=1e-6)


def test_principal_rows_of_many_rows_match_the_singular_vectors():
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(600, 8)) * (0.5 ** np.arange(8)) @ rng.normal(size=(8, 500))
    rows += 1e-6 * rng.normal(size=rows.shape)
    found = principal_rows(rows, 8)
    exact = np.linalg.svd(rows, full_matrices=False)[2][:8]
    np.testing.assert_allclose(found @ found.T, np.eye(8), atol=1e-9)
    np.testing.assert_allclose(np.linalg.svd(found @ exact.T)[1], 1, atol=1e-6)


@pytest.fixture(scope="module")
def pixels():
    """A pixel network trained on few stars, with and without gradient spectra: both, and data."""
    known = toy_set(8, points=12, seed=1)
    cut = slice(150, 186, 3)  # across the magnesium line
    spectra = {"labels": known.labels, "flux": known.flux[:, cut]}
    spectra["ivar"] = np.full_like(spectra["flux"], 100.0**2)
    change = known.reference_flux[:, 1:, cut] - known.reference_flux[:, :1, cut]
    points = {"labels": known.reference_labels[:, 0], "gradient": change / STEP[:, None]}
    start = initial_pixels(SPACE, WAVE[cut], 1.2, key=jax.random.key(0))
    options = {"epochs": 800, "key": jax.random.key(1)}
    scale = 100 * STEP
    with_it = train_pixels(start, spectra, points, scale=scale, **options)
    without = train_pixels(start, spectra, points, scale=0 * STEP, **options)
    return start, with_it, without, spectra, points, scale, cut


def test_pixel_network_learns_a_toy_problem(pixels):
    start, with_it, _, spectra, points, scale, _ = pixels
    as_jax = [{k: jnp.asarray(v) for k, v in table.items()} for table in (spectra, points)]
    before = payne_loss(start, *as_jax, scale=jnp.asarray(scale)).sum()
    after = payne_loss(with_it, *as_jax, scale=jnp.asarray(scale)).sum()
    assert after < 0.02 * before
    flux = jax.vmap(with_it)(jnp.asarray(spectra["labels"]))
    assert np.sqrt(np.mean((np.asarray(flux) - spectra["flux"]) ** 2)) < 0.01


def test_settings_decide_which_network_is_trained_and_validated():
    """A line of magnesium, learned to a hundredth by either network; the figures are the same."""
    known, apart = toy_set(40, points=3), toy_set(20, points=0, seed=5)
    settings = SETTINGS | {"kind": "PixelNetwork", "epochs": 400, "batch": 40}
    network = fit_network(settings, known)
    assert isinstance(network, PixelNetwork)
    assert np.std(predict(network, apart.labels) - apart.flux) < 0.2 * np.std(apart.flux)
    fewer = settings | {"epochs": 20}
    error, figures = validate(
        lambda part: fit_network(fewer, part), network, known=known, apart=apart, folds=2
    )
    assert error.shape == WAVE.shape and (error > 0).all()
    assert set(figures) >= {"cross_validation", "held_out", "gradient", "label_error"}
    assert figures["method"].startswith("2-fold")
    with pytest.raises(ValueError, match=r"kind = 'Forest'.*PixelNetwork"):
        fit_network(SETTINGS | {"kind": "Forest"}, known)


def test_gradient_regularisation_brings_gradients_closer_to_physics(pixels):
    _, with_it, without, _, _, _, cut = pixels
    fresh = toy_set(1, points=30, seed=7)
    change = fresh.reference_flux[:, 1:, cut] - fresh.reference_flux[:, :1, cut]
    labels = jnp.asarray(fresh.reference_labels[:, 0])

    def error(network):
        rows = np.asarray(jax.vmap(network.flux_and_gradient)(labels))
        return np.mean(np.abs(rows[:, 1:] * STEP[:, None] - change))

    assert error(with_it) < 0.8 * error(without)


def test_masked_pixel_does_not_move_the_pixel_network(pixels):
    start, _, _, spectra, points, scale, _ = pixels
    masked = {k: jnp.asarray(v) for k, v in spectra.items()}
    masked["ivar"] = masked["ivar"].at[0, 2].set(0.0)
    points = {k: jnp.asarray(v) for k, v in points.items()}
    spoiled = masked | {"flux": masked["flux"].at[0, 2].set(50.0)}
    loss = [payne_loss(start, s, points, scale=jnp.asarray(scale)) for s in (masked, spoiled)]
    assert np.array_equal(loss[0], loss[1])


def written(tmp_path, kind):
    folder = tmp_path / "toy"
    if kind == "basis":
        network = fit_network(SETTINGS, toy_set(20))
    else:
        network = initial_pixels(SPACE, WAVE, 1.2, key=jax.random.key(2))
    cards.write_model(folder, network, {"name": "toy", "description": 'a "toy" \\ model'})
    return folder, network


@pytest.mark.parametrize("kind", ["basis", "pixel"])
def test_model_survives_a_round_trip_through_its_folder(tmp_path, kind):
    folder, network = written(tmp_path, kind)
    again = cards.load_emulator(folder)
    labels = jnp.asarray(SPACE.middle)
    assert type(again) is type(network)
    assert again.space == SPACE
    assert again.fwhm == 1.2
    assert np.array_equal(again(labels), network(labels))
    assert cards.read_card(folder)["description"] == 'a "toy" \\ model'
    assert sorted(path.name for path in folder.iterdir()) == ["card.toml", "weights.safetensors"]


def test_weights_that_are_not_the_cards_are_refused(tmp_path):
    folder, _ = written(tmp_path, "basis")
    path = folder / "weights.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ValueError, match="sha256"):
        cards.load_emulator(folder)


def test_unknown_name_suggests_a_known_one():
    with pytest.raises(ValueError, match="Did you mean 'desi-physics'"):
        cards.load_emulator("desi-phisics")


def test_shipped_card_tells_labels_density_and_limits(models):
    card = cards.read_card(models / "desi-physics")
    assert card["density"] == density_table()
    assert tuple(card["labels"]["names"]) == trained_space().names
    assert card["calscale"] == "LTE-1D uncalibrated"
    assert card["wave"]["fwhm"] <= 1.45
    assert not any(name in card["training"]["names"] for name in _held_out_names(models))
    assert card["validation"]["held_out"]["mean_and_median_rms"][1] < 0.01
    assert card["not_for"]


def _held_out_names(models):
    return cards.read_card(models / "held-out")["names"]


def test_shipped_models_are_small(models):
    for name in ("desi-physics", "lamost-physics"):
        assert (models / name / "weights.safetensors").stat().st_size < 11e6


def test_toml_writer_gives_back_what_it_was_given():
    table = {
        "text": 'tab\t, quote " and Å',
        "yes": True,
        "whole": 3,
        "real": 2.0,
        "small": 1e-9,
        "list": [1.5, 2.5],
        "nested": [["a"], ["b"]],
        "empty": {},
        "inner": {"odd key": {"deep": [1, 2]}, "x": False},
    }
    assert tomllib.loads(to_toml(table)) == table
    with pytest.raises(TypeError, match="NoneType"):
        to_toml({"nothing": None})
