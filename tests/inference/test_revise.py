"""Faulty pixels, emission, wrong velocities: the second fit gives what the clean star gives.

From a survey's file to the catalogue: each faulty star of one coadd is a copy of a clean one, with
the same noise, so that labels differ by the fault alone.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table

from bayes_ddp import config
from bayes_ddp.emulator.card import find_model
from bayes_ddp.emulator.physics.library import read_held_out
from bayes_ddp.flags import WARN
from bayes_ddp.inference.fit import fit
from bayes_ddp.inference.optimise import fit_stars
from bayes_ddp.inference.problem import load_stars
from bayes_ddp.inference.revise import best_fits
from bayes_ddp.inference.samplers import Map
from bayes_ddp.labels import LABELS
from bayes_ddp.pipeline import run as pipeline
from bayes_ddp.spectra.desi.read import DESI_WAVE
from bayes_ddp.spectra.desi.writer import write_coadd, write_rvs_catalog
from bayes_ddp.spectra.expose import Coadd, ModelSpectra, Simulation, simulate_coadd
from bayes_ddp.spectra.masks import doppler_factor
from bayes_ddp.spectra.prepare import prepare
from bayes_ddp.spectra.surveys import SURVEYS

TWO = 2  # a dwarf of 5700 K and [Fe/H] = -0.5, and a giant of 4800 K
MEASURED = ("teff", "logg", "vmic", "feh", "mg_fe", "si_fe", "ca_fe", "ti_fe", "ni_fe")

Fault = Callable[[Coadd, int], None]


def line(centre: float, amplitude: float, width: float) -> Fault:
    """Emission of ``amplitude`` times the level about a line, at the star's velocity."""

    def add(coadd: Coadd, star: int) -> None:
        factor = float(doppler_factor(coadd.vrad[star]))
        for name, arm in coadd.arms.items():
            away = DESI_WAVE[name] / factor - centre
            if (np.abs(away) < 40).any():
                level = np.median(arm.flux[star][np.abs(away) < 40])
                arm.flux[star] += amplitude * level * np.exp(-0.5 * (away / width) ** 2)

    return add


def both(*faults: Fault) -> Fault:
    def add(coadd: Coadd, star: int) -> None:
        for fault in faults:
            fault(coadd, star)

    return add


def cosmics(sigma: float, pixels: int = 1) -> Fault:
    """Fifteen places anywhere in the spectrum."""

    def add(coadd: Coadd, star: int) -> None:
        rng = np.random.default_rng(5)
        for _ in range(15):
            arm = coadd.arms[rng.choice(list(coadd.arms))]
            place = rng.integers(20, arm.flux.shape[1] - 20) + np.arange(pixels)
            error = 1 / np.sqrt(np.maximum(arm.ivar[star, place], 1e-9))
            arm.flux[star, place] += np.where(arm.ivar[star, place] > 0, sigma * error, 0)

    return add


def huge_errors(coadd: Coadd, star: int) -> None:
    blue = coadd.arms["B"]
    bad = (DESI_WAVE["B"] > 4400) & (DESI_WAVE["B"] < 4510)
    blue.flux[star, bad] *= 1.3
    error = 1e10 * np.maximum(np.abs(blue.flux[star, bad]), 1e-3)
    blue.ivar[star, bad] = np.where(blue.ivar[star, bad] > 0, error**-2, 0)


def masked_there(coadd: Coadd, star: int) -> None:
    blue = coadd.arms["B"]
    blue.ivar[star, (DESI_WAVE["B"] > 4400) & (DESI_WAVE["B"] < 4510)] = 0


def companion(coadd: Coadd, star: int) -> None:
    """Half of the star's light at 150 km/s from it."""
    for name, arm in coadd.arms.items():
        wave = DESI_WAVE[name]
        second = np.interp(wave, wave * doppler_factor(150.0), arm.model[star])
        arm.flux[star] += (0.5 * second - 0.5 * arm.model[star]) / 1.5


def errors(factor: float) -> Fault:
    def scale(coadd: Coadd, star: int) -> None:
        for arm in coadd.arms.values():
            arm.ivar[star] /= factor**2

    return scale


def velocity(shift: float) -> Fault:
    def move(coadd: Coadd, star: int) -> None:
        coadd.vrad_seen[star] += shift

    return move


def nothing(coadd: Coadd, star: int) -> None:
    pass


FAULTS: dict[str, Fault] = {
    "clean": nothing,
    "masked": masked_there,
    "huge errors": huge_errors,
    "weak H alpha": line(6564.6, 1.0, 1.3),
    "strong H alpha": line(6564.6, 3.0, 3.0),
    "nitrogen": both(line(6585.27, 0.3, 1.3), line(6549.86, 0.1, 1.3)),
    "oxygen": both(line(5008.24, 0.4, 1.2), line(4960.30, 0.13, 1.2)),
    "cosmics": cosmics(15.0),
    "pairs of cosmics": cosmics(20.0, 2),
    "hot pixels": cosmics(3000.0),
    "velocity": velocity(100.0),
    "velocity back": velocity(-100.0),
    "companion": companion,
    "large errors": errors(5.0),
}


def repeated(coadd: Coadd, count: int) -> Coadd:
    """All stars of a coadd ``count`` times, with identifiers of their own."""
    rows = np.tile(np.arange(len(coadd.source)), count)
    per_star = {
        name: getattr(coadd, name)[rows].copy()
        for name in ("source", "ra", "dec", "vrad", "ebv", "snr", "vrad_seen", "vrad_err")
    }
    arms = {
        name: replace(
            arm,
            **{
                field: getattr(arm, field)[rows].copy()
                for field in ("flux", "ivar", "mask", "resolution", "model", "fwhm")
            },
        )
        for name, arm in coadd.arms.items()
    }
    targetid = coadd.targetid[0] + np.arange(len(rows))
    return replace(coadd, arms=arms, targetid=targetid, **per_star)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Table]:
    """Name of a fault -> the catalogue's rows of the two stars with it; S/N 100."""
    folder = tmp_path_factory.mktemp("faults")
    write_files(folder)
    run = {
        "schema": 1,
        "input": {"survey": "desi", "spectra": ["coadd.fits"], "catalog": "rvs.fits"},
        "emulator": {"name": "desi-physics"},
        "sampler": {"kind": "map"},
        "output": {"pictures": False},
    }
    table = pipeline.run(config.parse(run, source="test", base=folder)).table
    return {name: table[TWO * i : TWO * (i + 1)] for i, name in enumerate(FAULTS)}


def write_files(folder: Path) -> None:
    held = read_held_out(find_model("held-out"))
    wave, nodes = held.wave, held.wave[:: len(held.wave) // (held.cont.shape[1] - 1)]
    wanted = ((5700, -0.5), (4800, -0.3))
    chosen = [
        int(np.argmin(((held.labels[:, 0] - t) / 100) ** 2 + 9 * (held.labels[:, 3] - m) ** 2))
        for t, m in wanted
    ]
    plain = [held.norm[i] * np.interp(wave, nodes, held.cont[i]) for i in chosen]
    settings = Simulation(stars=TWO, snr_low=100, snr_high=100, vrad_sd=60)
    stars = simulate_coadd(ModelSpectra(wave, np.stack(plain), held.fwhm), settings, 3)
    coadd = repeated(stars, len(FAULTS))
    for i, fault in enumerate(FAULTS.values()):
        for star in range(TWO):
            fault(coadd, TWO * i + star)
    write_coadd(folder / "coadd.fits", coadd)
    write_rvs_catalog(folder / "rvs.fits", coadd)


def moved(table: dict[str, Table], name: str, other: str = "clean") -> np.ndarray:
    """[star label], change of the best fit by a fault in units of its error."""
    at = [[row.name for row in LABELS].index(label) for label in MEASURED]
    change = np.asarray(table[name]["LABEL_MEAN"]) - np.asarray(table[other]["LABEL_MEAN"])
    error = np.stack([table[name][f"{label.upper()}_ERR"] for label in MEASURED], axis=1)
    return change[:, at] / error


def bits(table: dict[str, Table], name: str) -> Any:
    return np.asarray(table[name]["WARN"])


def test_clean_stars_have_no_bit_and_lose_no_pixel(found: dict[str, Table]) -> None:
    assert bits(found, "clean").tolist() == [0, 0]
    assert found["clean"]["NPIX_OUT"].tolist() == [0, 0]


def test_pixels_with_huge_errors_are_as_good_as_masked(found: dict[str, Table]) -> None:
    for name in ("LABEL_MEAN", "LABEL_COV", "CHI2", "NPIX", "WARN"):
        np.testing.assert_array_equal(found["huge errors"][name], found["masked"][name])


@pytest.mark.parametrize("name", ["weak H alpha", "strong H alpha", "nitrogen", "oxygen"])
def test_emission_is_named_and_changes_little(found: dict[str, Table], name: str) -> None:
    """The Balmer wings are left out, so that labels differ by what these said: below 2 sigma."""
    assert (bits(found, name) == WARN.EMISSION).all()
    assert np.abs(moved(found, name)).max() < 2
    assert (found[name]["NPIX"] < np.asarray(found["clean"]["NPIX"]) - 100).all()
    np.testing.assert_allclose(moved(found, name, "weak H alpha"), 0, atol=0.05)


@pytest.mark.parametrize("name", ["cosmics", "pairs of cosmics", "hot pixels"])
def test_outliers_are_left_out_and_counted(found: dict[str, Table], name: str) -> None:
    """Some fall on pixels that are masked anyway."""
    pixels = 30 if name.startswith("pairs") else 15
    count = np.asarray(found[name]["NPIX_OUT"])
    assert ((count > pixels / 2) & (count <= pixels + 1)).all()
    assert (bits(found, name) == 0).all()
    assert np.abs(moved(found, name)).max() < 0.5


@pytest.mark.parametrize("name", ["velocity", "velocity back"])
def test_masks_follow_the_fitted_velocity(found: dict[str, Table], name: str) -> None:
    """100 km/s off: the same labels, velocity and error; the bit says that the catalogue's is not
    that of the spectrum."""
    assert (bits(found, name) == WARN.RV_DISAGREES).all()
    assert np.abs(moved(found, name)).max() < 0.4
    clean = found["clean"]
    shift = np.asarray(found[name]["VRAD_IN"]) - np.asarray(clean["VRAD_IN"])
    np.testing.assert_allclose(np.abs(shift), 100, rtol=1e-6)
    gap = np.asarray(found[name]["VRAD_FIT"]) - np.asarray(clean["VRAD_FIT"])
    assert (np.abs(gap) < np.asarray(clean["VRAD_ERR"])).all()
    np.testing.assert_allclose(found[name]["VRAD_ERR"], clean["VRAD_ERR"], rtol=0.3)
    difference = np.asarray(found[name]["NPIX"]) - np.asarray(clean["NPIX"])
    assert (np.abs(difference) <= 4).all()


def test_second_star_is_named(found: dict[str, Table]) -> None:
    assert (bits(found, "companion") & WARN.COMPANION).all()


def test_errors_that_are_too_large_are_named(found: dict[str, Table]) -> None:
    assert (bits(found, "large errors") & WARN.SMALL_CHI2).all()
    assert (np.asarray(found["large errors"]["CHI2_RED"]) < 0.1).all()


def test_labels_of_stars_with_these_bits_are_in_the_catalogue(found: dict[str, Table]) -> None:
    for name in ("strong H alpha", "companion", "large errors", "velocity"):
        assert np.isfinite(found[name]["TEFF"]).all()


def test_stars_without_a_fault_keep_their_first_fit(survey: Any) -> None:
    """Bit by bit, beside one that is fitted again."""
    truth = survey.typical([4700, 5200, 5800, 6400], [2.5, 4.5, 4.3, 4.1], [-0.5, 0, -0.9, -0.3])
    raw = survey.raw(truth, 100.0, 3)
    raw.arms[0].flux[1, 300] *= 1.4
    first = fit_stars(survey.problem, load_stars(survey.problem, prepare(raw)[0]))
    best = best_fits(survey.problem, raw, size=4)
    assert best.rejected.tolist() == [0, 1, 0, 0]
    assert best.warn.tolist() == [0] * 4
    plain = [0, 2, 3]
    for old, new in zip(first, best.fit, strict=True):
        np.testing.assert_array_equal(np.asarray(old)[plain], np.asarray(new)[plain])
    assert best.fit.pixels[1] == first.pixels[1] - 1
    assert best.fit.chi2[1] < first.chi2[1] - 100


@pytest.mark.slow
def test_real_stars_set_off_no_alarm(data: Path) -> None:
    """LAMOST DR1, 176 stars: no emission, at most 2 companions (one has chi2 of 10 per pixel),
    no small chi2, one outlier in ten stars."""
    raw = SURVEYS["lamost"].read(sorted((data / "lamost_dr1").glob("spec-*.fits")))
    found = fit(raw, "lamost-physics", sampler=Map(draws=2))
    assert not (found.warn & int(WARN.EMISSION | WARN.SMALL_CHI2)).any()
    assert np.count_nonzero(found.warn & int(WARN.COMPANION)) <= 2
    assert found.rejected.sum() < 0.1 * len(raw)
