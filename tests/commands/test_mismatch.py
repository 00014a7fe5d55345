"""The mismatch spectrum: what real stars show beyond noise and the emulator's own error."""

import shutil
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from bayes_ddp import config
from bayes_ddp.catalog.fits import read_catalogue, write_catalogue
from bayes_ddp.catalog.table import make_catalogue
from bayes_ddp.commands import mismatch
from bayes_ddp.commands.label_mismatch import label_figures
from bayes_ddp.commands.mismatch import Residuals, excess
from bayes_ddp.emulator.card import load_emulator, read_card
from bayes_ddp.emulator.error import read_mismatch
from bayes_ddp.emulator.limits import METALLICITY_NAMES, model_limits
from bayes_ddp.flags import WARN
from bayes_ddp.inference.parts import Part
from bayes_ddp.inference.posterior import blank
from bayes_ddp.spectra.desi.read import read_desi
from bayes_ddp.spectra.desi.writer import write_coadd, write_rvs_catalog
from bayes_ddp.spectra.expose import ModelSpectra, Simulation, simulate_coadd
from bayes_ddp.spectra.select import arm_snr

STARS, PIXELS = 400, 400
COMMON, VARIED, WIDTH, DEPTH = 5500.0, 6150.0, 3.0, 0.04  # Å, Å, Å, normalised flux


def residuals(*, common: float, varied: float, noise: float, claimed: float) -> Residuals:
    """Stars that share a residual, differ by another, and have noise of their own."""
    rng = np.random.default_rng(5)
    size = (STARS, PIXELS)
    difference = common + rng.normal(size=size) * np.hypot(varied, noise)
    return Residuals(difference, np.full(size, claimed**2))


def test_pure_noise_is_no_mismatch():
    """The median of 400 has an error of 0.0006; what is left is a part of it."""
    found, _ = excess(residuals(common=0, varied=0, noise=0.01, claimed=0.01), np.zeros(PIXELS))
    assert np.median(found) < 0.1 * 0.01
    assert found.max() < 0.01 * np.sqrt(5 * np.sqrt(2 / (0.37 * STARS)))


def test_mismatch_adds_shared_and_varied_residuals_in_quadrature():
    """MAD of 400 stars: 6 % a pixel, 0.3 % over 400; the tolerance is five of those."""
    given = residuals(common=0.02, varied=0.01, noise=0.01, claimed=0.01)
    found, offset = excess(given, np.zeros(PIXELS))
    assert np.mean(found) == pytest.approx(np.hypot(0.02, 0.01), rel=0.015)
    assert np.mean(offset) == pytest.approx(0.02, rel=0.02)


def test_overstated_noise_does_not_hide_what_all_stars_share():
    given = residuals(common=0.02, varied=0.0, noise=0.01, claimed=0.05)
    found, _ = excess(given, np.zeros(PIXELS))
    assert np.mean(found) == pytest.approx(0.02, rel=0.02)


def test_error_of_the_emulator_is_not_counted_twice():
    given = residuals(common=0.02, varied=0.0, noise=0.01, claimed=0.01)
    found, _ = excess(given, np.full(PIXELS, 0.012))
    assert np.mean(found) == pytest.approx(0.016, rel=0.02)
    none, _ = excess(given, np.full(PIXELS, 0.03))
    assert not none.any()


def test_mismatch_scales_with_flux_and_not_with_the_order_of_stars():
    given = residuals(common=0.01, varied=0.01, noise=0.01, claimed=0.01)
    error = np.full(PIXELS, 0.003)
    found, offset = excess(given, error)
    twice = excess(Residuals(2 * given.difference, 4 * given.noise), 2 * error)
    np.testing.assert_allclose(twice[0], 2 * found, rtol=1e-9)
    turned = excess(Residuals(given.difference[::-1], given.noise[::-1]), error)
    np.testing.assert_allclose(turned[1], offset, rtol=1e-12)


def test_pixel_with_few_stars_is_unknown_and_does_not_touch_its_neighbours():
    given = residuals(common=0.02, varied=0.0, noise=0.001, claimed=0.001)
    given.difference[9:, 100:110] = np.nan
    given.difference[:9, 100:110] = 1.0
    found, offset = excess(given, np.zeros(PIXELS))
    unknown = np.isnan(found)
    np.testing.assert_array_equal(np.flatnonzero(unknown), np.arange(100, 110))
    np.testing.assert_array_equal(np.isnan(offset), unknown)
    assert found[~unknown].max() < 0.021


@pytest.fixture(scope="module")
def model(tmp_path_factory, models):
    """A copy of the DESI model, which a test may write to."""
    folder = tmp_path_factory.mktemp("model")
    for name in ("card.toml", "weights.safetensors"):
        shutil.copy(models / "desi-physics" / name, folder)
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory, model):
    """A run that found the exact labels of 13 stars, whose spectra differ from the model twice.

    All have an absorption too weak by DEPTH at COMMON; at VARIED the depths are the quantiles of a
    normal with that standard deviation. The last spectrum's star carries LABEL_EDGE.
    """
    folder = tmp_path_factory.mktemp("run")
    emulator, count = load_emulator(model), 13
    rng = np.random.default_rng(2)
    labels = np.tile(np.array([5600.0, 4.2, 1.2, -0.5] + [0.05] * 11), (count, 1))
    labels[:, 0] += rng.uniform(-400, 400, count)
    wave = np.asarray(emulator.wave, float)
    flux = np.asarray(jax.lax.map(emulator, jnp.asarray(labels)), float)
    depth = DEPTH * norm.ppf((np.arange(count - 1) + 0.5) / (count - 1))
    for place, size in ((COMMON, DEPTH), (VARIED, np.append(depth, 9.0)[:, None])):
        flux = flux * (1 + size * np.exp(-0.5 * ((wave - place) / WIDTH) ** 2))
    settings = Simulation(stars=count, snr_low=150, snr_high=200, ebv_max=0.0)
    coadd = simulate_coadd(ModelSpectra(wave, flux, emulator.fwhm), settings, 3)
    write_coadd(folder / "coadd.fits", coadd)
    write_rvs_catalog(folder / "rvs.fits", coadd)
    raw = read_desi([folder / "coadd.fits"], folder / "rvs.fits")
    posterior = replace(
        blank(emulator.space.names, np.array(raw.identifiers()), tuple(a.name for a in raw.arms)),
        mean=labels[coadd.source],
        mode=labels[coadd.source],
        covariance=np.tile(np.diag((0.02 * emulator.space.span) ** 2), (count, 1, 1)),
        prior_covariance=np.tile(np.diag((0.2 * emulator.space.span) ** 2), (count, 1, 1)),
        warn=np.where(coadd.source == count - 1, int(WARN.LABEL_EDGE), 0),
        lsf=np.ones((count, 3)),
        velocity=np.stack([coadd.vrad - coadd.vrad_seen, np.ones(count)], axis=1),
    )
    snr = np.stack(list(arm_snr(raw).values()), axis=1)
    columns, unknown = dict(raw.columns), np.full(count, np.nan)
    part = Part("desi", "SPECID", columns, raw.vrad, raw.vrad_err, unknown, snr, posterior)
    (folder / "out").mkdir()
    table = make_catalogue(part)[::-1]  # not in input order
    write_catalogue(
        table, folder / "out" / "catalogue.fits", {"EMUSHA": read_card(model)["sha256"]}
    )
    return config.parse(
        {
            "schema": 1,
            "input": {"survey": "desi", "spectra": ["coadd.fits"], "catalog": "rvs.fits"},
            "emulator": {"name": str(model)},
            "output": {"directory": "out"},
        },
        source="test",
        base=folder,
    )


def test_known_mismatch_is_measured_and_kept_with_the_model(finished, model):
    """A Gaussian of width s loses the share s / hypot(s, L) to the pseudo-continuum, L = 20 Å."""
    assert not (model / "mismatch.safetensors").exists()
    figures, text = mismatch.measure(finished, snr=50.0, write=True)
    assert figures["stars"] == 12  # without the star at the edge, whose residual is enormous
    wave, found = np.asarray(load_emulator(model).wave), read_mismatch(model)
    expected = DEPTH * (1 - WIDTH / np.hypot(WIDTH, 20.0))
    assert found[np.abs(wave - COMMON) < 1].max() == pytest.approx(expected, rel=0.1)
    # with 12 stars, noise moves the middle two of the sorted depths
    assert found[np.abs(wave - VARIED) < 1].max() == pytest.approx(expected, rel=0.35)
    elsewhere = (np.abs(wave - COMMON) > 60) & (np.abs(wave - VARIED) > 60) & (wave < 7500)
    assert np.median(found[elsewhere]) < 0.002
    card = read_card(model)["mismatch"]
    assert (card["stars"], card["survey"], card["snr_above"]) == (12, "desi", 50.0)
    assert "5300-5800" in text and "12 stars of desi" in text
    assert (model / "mismatch.safetensors").is_file()
    with open(figures["picture"], "rb") as stream:
        assert stream.read(4) == b"\x89PNG"


def test_scatter_of_labels_by_the_mismatch_is_kept_with_the_model(finished, model):
    """Pixels of Gaussians 3 Å wide are wrong together; [Fe/H] has lines there, and the catalogue
    of a later run has the scatter in _SYS."""
    figures, text = mismatch.measure(finished, snr=50.0, write=True, source="painted")
    table = read_card(model)["mismatch"]["label_error"]
    assert table == figures["label_error"]
    assert (table["source"], table["survey"], table["stars"]) == ("painted", "desi", 12)
    assert {"all", "feh_-1_to_0", "teff_above_4700"} <= set(table)
    emulator = load_emulator(model)
    at = emulator.space.index("feh")
    assert 0.001 < table["all"][at] < 0.1
    plain, after = (
        model_limits(emulator.space, card).label_error(emulator.space.middle[None])[0, at]
        for card in ({}, emulator.card.table)
    )
    assert np.isnan(plain) and after >= table["all"][at]
    assert "feh" in text and "Teff above 4700" in text


def test_median_over_stars_is_the_scatter_and_a_missing_kind_has_its_neighbour_s(models):
    """Variances of 0.04 and 0.01 dex in two ranges of [Fe/H], none measured in the others."""
    space = load_emulator(models / "desi-physics").space
    labels = np.tile(space.middle, (40, 1))
    labels[:, space.index("feh")] = np.repeat([-1.5, 0.2], 20)
    excess = np.tile(np.repeat([0.04, 0.01], 20)[:, None] ** 2, space.size)
    excess[::7] = 9.0  # a few stars are no model's
    excess[:, 3] = -1.0  # less than noise
    found = label_figures(labels, excess, space)
    rows = [found[name] for name in METALLICITY_NAMES]
    np.testing.assert_allclose(np.delete(rows, 3, axis=1)[:, 0], [0.04, 0.04, 0.04, 0.01])
    assert not np.array(rows)[:, 3].any()
    assert "teff_below_4700" not in found


def test_run_whose_input_has_changed_is_not_measured(finished, tmp_path):
    """The coadd holds a star that the catalogue does not."""
    output = Path(finished.output.directory)
    table = read_catalogue(output / "catalogue.fits")
    write_catalogue(table[:-1], tmp_path / "catalogue.fits", {})
    changed = replace(finished, output=replace(finished.output, directory=str(tmp_path)))
    with pytest.raises(ValueError, match=r"coadd\.fits holds .* which is not in the catalogue"):
        mismatch.measure(changed, snr=50.0, write=False)


def test_run_without_a_catalogue_is_not_measured(finished, tmp_path):
    unfinished = replace(finished, output=replace(finished.output, directory=str(tmp_path)))
    with pytest.raises(ValueError, match="finish 'bayes-ddp run' first"):
        mismatch.measure(unfinished, snr=50.0, write=False)


def test_run_with_other_weights_is_not_measured(finished):
    other = replace(finished, emulator=replace(finished.emulator, name="lamost-physics"))
    with pytest.raises(ValueError, match=r"was fitted with weights .* run it again"):
        mismatch.measure(other, snr=50.0, write=False)


def test_too_few_stars_are_counted_in_the_error(finished):
    with pytest.raises(ValueError, match="0 well fitted stars with a median S/N above 900"):
        mismatch.measure(finished, snr=900.0, write=False)
