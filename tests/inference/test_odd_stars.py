"""Unusual stars: each has a row, labels or a reason for none, and a warning bit."""

import numpy as np
import pytest

from bayes_ddp import config
from bayes_ddp.emulator.card import find_model
from bayes_ddp.emulator.physics.library import read_held_out
from bayes_ddp.flags import FATAL, WARN
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
    """Band heads that fade to the red for a positive length, else to the blue."""
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
    settings = Simulation(stars=len(flux), snr_low=100, snr_high=100, vrad_sd=60)
    coadd = simulate_coadd(
        ModelSpectra(wave, np.stack(list(flux.values())), held.fwhm), settings, 3
    )
    write_coadd(folder / "coadd-odd.fits", coadd)
    write_rvs_catalog(folder / "rvs.fits", coadd)
    run = {
        "schema": 1,
        "input": {"survey": "desi", "spectra": ["coadd-odd.fits"], "catalog": "rvs.fits"},
        "emulator": {"name": "desi-physics"},
        "sampler": {"kind": "map"},
    }
    outcome = pipeline.run(config.parse(run, source="test", base=folder))
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
