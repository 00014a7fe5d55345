"""Odd stars: each has a row, labels or a reason for none, and a bit that says what is odd."""

import numpy as np
import pytest

from bayes_ddp import config
from bayes_ddp.emulator.card import find_model
from bayes_ddp.emulator.physics.library import read_held_out
from bayes_ddp.flags import FATAL, WARN
from bayes_ddp.inference.checks import several_peaks, trained_density
from bayes_ddp.labels import LABELS
from bayes_ddp.pipeline import run as pipeline
from bayes_ddp.spectra.desi.writer import write_coadd, write_rvs_catalog
from bayes_ddp.spectra.expose import ModelSpectra, Simulation, simulate_coadd

BALMER = (6564.6, 4862.7, 4341.7, 4102.9, 3971.2, 3890.2, 3836.5)
TIO = (4761, 4955, 5167, 5448, 5847, 6158, 6651, 7053, 7589, 8432)
SWAN = (4383, 4737, 5165, 5635, 6191)


def black_body(wave, teff):
    return (wave / 5000) ** -5 / (np.exp(1.4388e8 / wave / teff) - 1)


def dips(wave, centres, depth, width):
    return 1 - depth * sum(np.exp(-(np.abs((wave - c) / width) ** 1.3)) for c in centres)


def bands(wave, heads, depth, length):
    """Saw teeth, fading to the red of each head for a positive length, else to the blue."""
    away = [(wave - h) / length for h in heads]
    return np.prod([1 - depth * np.where(x > 0, np.exp(-np.abs(x)), 0) for x in away], axis=0)


def rotated(wave, flux, vsini):
    """Broadened by a rotating disc with limb darkening 0.6 (Gray 2005, Eq. 18.14)."""
    x = np.linspace(-1, 1, 41)
    disc = 2 * 0.4 * np.sqrt(1 - x**2) / np.pi + 0.3 * (1 - x**2)
    seen = [np.interp(wave, wave * (1 + v * vsini / 299792.458), flux) for v in x]
    return np.average(seen, axis=0, weights=disc)


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Name of an odd star -> its row of a catalogue; S/N 100."""
    held = read_held_out(find_model("held-out"))
    wave, nodes = held.wave, held.wave[:: len(held.wave) // (held.cont.shape[1] - 1)]
    gap = (held.labels[:, 0] / 100 - 57) ** 2 + (held.labels[:, 3] + 0.5) ** 2 * 9
    star = int(np.argmin(gap))
    plain = held.norm[star] * np.interp(wave, nodes, held.cont[star])
    double = sum(np.interp(wave, wave * (1 + v / 299792.458), plain) for v in (-70, 70))
    flux = {
        "plain": plain,
        "white dwarf": black_body(wave, 12000) * dips(wave, BALMER, 0.55, 35.0),
        "hot star": black_body(wave, 20000) * dips(wave, BALMER, 0.3, 6.0),
        "M dwarf": black_body(wave, 3300) * bands(wave, TIO, 0.5, 90.0),
        "carbon star": black_body(wave, 4300) * bands(wave, SWAN, 0.6, -130.0),
        "fast rotator": rotated(wave, plain, 150.0),
        "two stars": double,
        "galaxy": (wave / 5000) ** -1 * (2 - dips(wave, (4700, 5200, 6301, 6850), 3.0, 5.0)),
    }
    folder = tmp_path_factory.mktemp("odd")
    told = Simulation(stars=len(flux), snr_low=100, snr_high=100, vrad_sd=60)
    coadd = simulate_coadd(ModelSpectra(wave, np.stack(list(flux.values())), held.fwhm), told, 3)
    write_coadd(folder / "coadd-odd.fits", coadd)
    write_rvs_catalog(folder / "rvs.fits", coadd)
    run = {
        "schema": 1,
        "input": {"survey": "desi", "spectra": ["coadd-odd.fits"], "catalog": "rvs.fits"},
        "emulator": {"name": "desi-physics"},
        "sampler": {"kind": "map"},
    }
    _, outcome = pipeline.run(config.parse(run, source="test", base=folder), chunk=2)
    return dict(zip(flux, outcome.table, strict=True))


EXPECTED = {
    "white dwarf": WARN.WD | WARN.HOT | WARN.LABEL_EDGE | WARN.EXTRAPOLATION,
    "hot star": WARN.LABEL_EDGE | WARN.EXTRAPOLATION,
    "M dwarf": WARN.LABEL_EDGE | WARN.POOR_CHI2 | WARN.EXTRAPOLATION,
    "carbon star": WARN.CARBON | WARN.POOR_CHI2 | WARN.EXTRAPOLATION,
    "fast rotator": WARN.FAST_ROTATOR,
    "two stars": WARN.FAST_ROTATOR,
    "galaxy": WARN.POOR_CHI2 | WARN.EXTRAPOLATION,
}


@pytest.mark.parametrize("name", EXPECTED)
def test_odd_star_is_named(odd, name):
    warn = int(odd[name]["WARN"])
    assert warn & EXPECTED[name] == EXPECTED[name], WARN(warn)


def test_plain_star_carries_no_bit(odd):
    assert odd["plain"]["WARN"] == 0


def test_row_has_finite_labels_or_a_bit_that_says_why(odd):
    for row in odd.values():
        hidden = int(row["WARN"]) & int(FATAL | WARN.LABEL_EDGE)
        for label in LABELS[:2]:
            assert np.isnan(row[label.column]) == bool(hidden)
            assert np.isfinite(row[f"{label.column}_P50"]) or hidden


def test_two_peaks_are_seen_and_one_lopsided_peak_is_not():
    """A thousand stars of each kind: fewer than 1 % false alarms, more than 80 % found."""
    rng = np.random.default_rng(1)
    plain = rng.normal(size=(256, 1000, 1))
    skewed = rng.gamma(2.0, size=(256, 1000, 1))
    apart = plain + 5 * (rng.random((256, 1000, 1)) < 0.3)
    assert several_peaks(plain).mean() == 0
    assert several_peaks(skewed).mean() < 0.01
    assert several_peaks(apart).mean() > 0.8
    assert not several_peaks(np.full((256, 2, 1), np.nan)).any()
    assert not several_peaks(plain[:50]).any()


def test_fewer_than_one_training_star_in_five_hundred_is_called_extrapolation(models):
    """Prior draws as posterior means: a thousandth is rarer than the limit, by construction."""
    import jax

    from bayes_ddp.emulator.card import load_emulator, read_card

    card, space = read_card(models / "desi-physics"), load_emulator("desi-physics").space
    trained = trained_density(space, card["density"])
    draw = jax.jit(jax.vmap(trained.density.sample))
    labels = np.array(draw(jax.random.split(jax.random.key(5), 4096)))
    depth = np.array(jax.jit(jax.vmap(trained.density.log_prob))(labels))
    rare = int((depth < trained.depth).sum())
    assert rare <= 4096 / 1000 + 5 * np.sqrt(4096 / 1000 * 1.5)
    strange = labels.copy()
    strange[:, space.index("mg_fe")] += 1.5
    far = np.array(jax.jit(jax.vmap(trained.density.log_prob))(strange)) < trained.depth
    assert far.mean() > 0.99
