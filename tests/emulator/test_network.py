"""Networks: analytic gradients, dtypes, behaviour at the edge; the shipped models too."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayes_ddp.emulator.card import load_emulator
from bayes_ddp.emulator.density import trained_space
from bayes_ddp.emulator.features import evaluate, make_features
from bayes_ddp.emulator.network import Emulator, predict
from bayes_ddp.emulator.physics.library import read_held_out
from bayes_ddp.emulator.pixels import initial_pixels
from bayes_ddp.emulator.training_set import normalised

SHIPPED = ("desi-physics", "lamost-physics")
GIANT = np.array([4800, 2.4, 1.7, -0.6, 0.1, 0.2, 0.3, 0.25, 0.1, 0.2, 0.2, 0.15, 0, -0.1, 0.02])
DWARF = np.array([6100, 4.3, 1.2, -0.1, 0.0, 0.1, 0.0, 0.05, 0, 0, 0.02, 0.0, 0.05, 0.0, 0.0])


@pytest.fixture(scope="module", params=SHIPPED)
def emulator(request, models):
    return load_emulator(models / request.param)


def pixel_network():
    space, wave = trained_space(), np.arange(5000.0, 5020.0, 0.5)
    return initial_pixels(space, wave, 1.2, key=jax.random.key(3))


def check_gradient(network, labels):
    """Central differences in float64 label algebra, as far as float32 pixels let them agree."""
    space = network.space
    rows = np.asarray(eqx.filter_jit(network.flux_and_gradient)(jnp.asarray(labels)), float)
    call = eqx.filter_jit(network)
    np.testing.assert_allclose(rows[0], call(jnp.asarray(labels)), atol=1e-6)
    for i, width in enumerate(space.span):
        step = 0.01 * width * np.eye(space.size)[i]
        up, down = (np.asarray(call(jnp.asarray(labels + s * step)), float) for s in (1, -1))
        finite = (up - down) / (0.02 * width)
        noise = 3e-7 / (0.02 * width)
        assert np.abs(rows[1 + i] - finite).max() < 0.02 * np.abs(finite).max() + noise, i


@pytest.mark.parametrize("labels", [GIANT, DWARF])
def test_gradient_spectrum_of_the_basis_network_agrees_with_finite_differences(emulator, labels):
    check_gradient(emulator, labels)


def test_gradient_spectrum_of_the_pixel_network_agrees_with_finite_differences():
    check_gradient(pixel_network(), GIANT)


def test_gradient_of_the_coefficients_agrees_with_automatic_differentiation(emulator):
    _, gradient = emulator.coefficients_and_gradient(jnp.asarray(GIANT))
    by_jax = jax.jacfwd(emulator.coefficients)(jnp.asarray(GIANT))
    scale = np.abs(np.asarray(by_jax)).max(axis=0)
    np.testing.assert_allclose(gradient / scale, by_jax / scale, atol=1e-9)


def test_flux_is_mean_plus_coefficients_times_basis(emulator):
    flux = emulator(jnp.asarray(DWARF))
    by_hand = (
        emulator.mean + np.asarray(emulator.coefficients(jnp.asarray(DWARF))) @ emulator.basis
    )
    assert flux.dtype == jnp.float32
    np.testing.assert_allclose(flux, by_hand, atol=2e-6)


def test_shipped_model_is_as_close_to_the_physics_as_its_card_says(emulator, models):
    """On the held-out spectra that are kept without loss, 128 of the 151 of the card.

    So weights, features and normalisation are those that the model was trained with.
    """
    physics = read_held_out(models / "held-out")
    grid = {"wave": np.asarray(emulator.wave, float), "fwhm": emulator.fwhm}
    missed = predict(emulator, physics.labels) - normalised(
        physics, physics.norm, physics.cont, **grid
    )
    each = np.sqrt(np.mean(missed**2, axis=1))
    mean, median = emulator.card.table["validation"]["held_out"]["mean_and_median_rms"]
    assert each.mean() < 1.2 * mean
    assert np.median(each) < 1.2 * median


def test_both_networks_are_emulators(emulator):
    assert isinstance(emulator, Emulator)
    assert isinstance(pixel_network(), Emulator)


def test_networks_map_over_stars_inside_jit(emulator):
    labels = jnp.asarray(np.stack([GIANT, DWARF]))
    for network in (emulator, pixel_network()):
        flux = jax.jit(jax.vmap(lambda x, n=network: n(x)))(labels)
        np.testing.assert_allclose(flux[1], network(labels[1]), atol=1e-5)


def test_labels_in_float32_give_the_same_flux_to_half_a_per_cent(emulator):
    """The kernel sums cancel, which is why label algebra is float64 everywhere else."""
    for labels in (GIANT, DWARF):
        double = emulator(jnp.asarray(labels))
        single = emulator(jnp.asarray(labels, jnp.float32))
        assert single.dtype == jnp.float32
        assert np.abs(np.asarray(single - double)).max() < 5e-3


def test_flux_stays_tame_outside_of_the_trained_box(emulator):
    """Each label in turn a fifth of its range too low or too high, and far corners of the box."""
    space = emulator.space
    flux = eqx.filter_jit(eqx.filter_vmap(emulator))
    for star in (GIANT, DWARF):
        one = star + 0.2 * space.span * np.concatenate([np.eye(15), -np.eye(15)])
        rows = np.asarray(flux(jnp.asarray(one)))
        assert rows.min() > -0.3
        assert rows.max() < 4.5  # physical spectra of cool giants reach 3.9 between bands
    rng = np.random.default_rng(4)
    corner = np.where(rng.random((100, space.size)) < 0.5, -0.7, 0.7)
    assert np.abs(np.asarray(flux(jnp.asarray(space.middle + corner * space.span)))).max() < 10


def test_error_spectrum_is_a_small_positive_number_everywhere(emulator):
    assert emulator.error.shape == emulator.wave.shape
    assert (np.asarray(emulator.error) > 0).all()
    assert np.median(emulator.error) < 0.01


def test_wavelengths_are_uniform(emulator):
    np.testing.assert_allclose(np.diff(emulator.wave), emulator.wave[1] - emulator.wave[0])


def test_centres_are_thinned_when_points_are_many():
    space = trained_space()
    rng = np.random.default_rng(5)
    points = space.middle + space.span * rng.uniform(-0.5, 0.5, (300, space.size))
    settings = {"features": 40, "scales": {"teff": 1.0, "logg": 0.5}}
    few = make_features(space, settings, points)
    assert evaluate(few, points[:3]).shape == (3, 41)
    assert len(np.unique(few.centre, axis=0)) == 40
    all_of_them = make_features(space, settings | {"features": 300}, points)
    assert len(all_of_them.centre) == 300
