"""The density of the physical spectra: its microturbulence relation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayes_ddp.emulator.card import find_model, read_card
from bayes_ddp.emulator.density import density_table, usual_vmic

TEFF, LOGG = (
    part.ravel() for part in np.meshgrid(np.linspace(3800, 8200, 45), np.arange(-1, 6, 0.25))
)


def test_usual_microturbulence_rises_with_teff_above_5500_and_falls_with_gravity():
    table = density_table()
    assert usual_vmic(5000.0, 4.0, table) == usual_vmic(5500.0, 4.0, table) == 2.478 - 0.325 * 4.0
    assert usual_vmic(6500.0, 4.0, table) == pytest.approx(2.478 - 0.325 * 4.0 + 0.3)
    assert np.all(np.diff(usual_vmic(5000.0, np.linspace(0.5, 5.0, 10), table)) < 0)


def test_usual_microturbulence_stays_in_its_range():
    found = usual_vmic(TEFF, LOGG, density_table())
    assert found.shape == TEFF.shape and found.min() == 0.8 and found.max() == 2.5


def test_numpy_and_jax_agree():
    table = density_table()
    found = jax.jit(lambda teff, logg: usual_vmic(teff, logg, table, xp=jnp))(TEFF, LOGG)
    np.testing.assert_allclose(found, usual_vmic(TEFF, LOGG, table), rtol=1e-15)


@pytest.mark.parametrize("name", ["physics-lte", "desi-physics", "lamost-physics"])
def test_cards_hold_the_relation_of_the_package(name):
    table = read_card(find_model(name))["density"]
    np.testing.assert_array_equal(
        usual_vmic(TEFF, LOGG, table), usual_vmic(TEFF, LOGG, density_table())
    )
