"""Extinction laws and band coefficients against the package dust_extinction."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import pytest
from astropy import units as u

from bayes_ddp.galaxy.bolometric import ALL_BANDS, load_bolometric_table
from bayes_ddp.galaxy.dust_law import cardelli, fitzpatrick, law_ratio
from bayes_ddp.galaxy.extinction import AV_PER_EBV

BANDS = {  # µm, limits of a box that stands for the band in 2MASS (Cohen et al. 2003)
    "J": (1.154, 1.316),
    "H": (1.535, 1.785),
    "Ks": (2.028, 2.290),
}
Curve = Callable[[np.ndarray], np.ndarray]

WAVES = np.linspace(0.33, 2.6, 500)


@pytest.fixture(scope="module")
def laws() -> dict[str, Curve]:
    """Name -> A / A_V against µm, R_V = 3.1, of the package."""
    averages = pytest.importorskip("dust_extinction.parameter_averages")

    def curve(name: str) -> Curve:
        law = getattr(averages, name)(Rv=3.1)
        return lambda wave: np.asarray(law(wave * u.um))

    return {name: curve(name) for name in ("F99", "O94")}


def test_fitzpatrick_is_that_of_the_package(laws: dict[str, Curve]) -> None:
    """Cubic splines through the same anchors: to 1e-4 of A_V."""
    away = fitzpatrick(WAVES) - laws["F99"](WAVES)
    print(f"F99: largest difference {np.abs(away).max():.5f}")
    assert np.abs(away).max() < 1e-4


def test_cardelli_with_odonnell_is_that_of_the_package(laws: dict[str, Curve]) -> None:
    away = cardelli(WAVES) - laws["O94"](WAVES)
    print(f"O94: largest difference {np.abs(away).max():.6f}")
    assert np.abs(away).max() < 1e-4


@pytest.mark.parametrize("band", ["J", "H", "Ks"])
def test_bands_of_2mass_have_the_extinction_of_the_law(laws: dict[str, Curve], band: str) -> None:
    """Mean of the law over the band with the light of a solar Rayleigh-Jeans tail, to 3 %."""
    wave = np.linspace(*BANDS[band], 200)
    weight = wave**-3.0  # photons: lambda F_lambda
    expected = np.average(laws["F99"](wave), weights=weight)
    core = jnp.array([np.log(5772.0), 4.438, 0.0])
    found = load_bolometric_table().extinction(core, 0.02)[1][ALL_BANDS.index(band)] / AV_PER_EBV
    print(f"{band}: {float(found):.4f}, package {expected:.4f}")
    assert float(found) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("band", ["G", "BP", "RP", "J", "H", "Ks"])
def test_the_ratio_of_both_laws_is_that_of_the_package(laws: dict[str, Curve], band: str) -> None:
    """At the wavelength at which Cardelli's law has the extinction of the band."""
    wave = np.linspace(0.35, 2.6, 20_000)
    own = {"G": 0.876, "BP": 1.074, "RP": 0.647, "J": 0.290, "H": 0.183, "Ks": 0.118}[band]
    at = wave[np.argmin(np.abs(laws["O94"](wave) - own))]
    ratio = float(laws["F99"](np.array([at]))[0]) / own
    print(f"{band}: {at:.3f} um, ratio {ratio:.4f}, ours {law_ratio(band):.4f}")
    assert law_ratio(band) == pytest.approx(ratio, rel=0.005)


@pytest.mark.parametrize(
    "band, low, high", [("G", 0.40, 0.90), ("BP", 0.36, 0.66), ("RP", 0.64, 1.00)]
)
@pytest.mark.parametrize("teff", [4000.0, 5772.0, 8000.0])
def test_one_wavelength_stands_for_a_wide_band(
    band: str, low: float, high: float, teff: float
) -> None:
    """Both laws averaged over a box and a black body have that ratio, to 2.5 %."""
    wave = np.linspace(low, high, 400)
    photons = wave**-4.0 / np.expm1(14388 / (wave * teff))
    losses = []
    for law in (fitzpatrick, cardelli):
        behind = np.sum(photons * 10 ** (-0.4 * 0.1 * law(wave)))
        losses.append(-25 * np.log10(behind / photons.sum()))
    print(f"{band} {teff:.0f}: {losses[0] / losses[1]:.4f}, ours {law_ratio(band):.4f}")
    assert law_ratio(band) == pytest.approx(losses[0] / losses[1], rel=0.025)
