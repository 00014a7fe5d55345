"""The main job from FITS files to the catalogue, on stars whose truth is known.

Sixty-four stars are drawn from the prior, and ``expose`` paints their spectra from the emulator:
it shares no code with the fit's forward model. Photon noise, the error floors of the masks and the
emulator's error are drawn as the likelihood assumes them, velocities scatter by their stated
errors, and every other star has a B arm whose LSF is 5 % broader than its file says. All that the
catalogue states then has a known distribution, which crosses every joint: reader, ``prepare``,
fit, parts, catalogue.

Limits are in Monte Carlo errors, on fixed keys: correct code fails for less than one choice of the
key in a hundred.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import jax
import numpy as np
import pytest
from astropy.io import fits

from bayes_ddp import config
from bayes_ddp.emulator.card import load_emulator, read_card, write_model
from bayes_ddp.emulator.error import write_mismatch
from bayes_ddp.inference.prior import LabelPrior
from bayes_ddp.pipeline import run as pipeline
from bayes_ddp.spectra.desi.read import DESI_WAVE
from bayes_ddp.spectra.desi.writer import write_coadd, write_rvs_catalog
from bayes_ddp.spectra.expose import Coadd, Fibres, ModelSpectra, Simulation, expose
from bayes_ddp.spectra.lsf import gaussian_resolution
from bayes_ddp.spectra.masks import apply_masks
from bayes_ddp.spectra.surveys import SURVEYS

STARS = 64
BROADER = 1.05
LIGHT = 299792.458
PARAMETERS = 12
"""Of 19, how many the pixels determine on average: by so much chi2 is below the pixels' number."""

_WEIGHT = 0.8 / (20.0 * np.sqrt(2 * np.pi))
OWN_NOISE = 2 * _WEIGHT - _WEIGHT / np.sqrt(2)
"""Share of a pixel's variance that dividing by the star's own pseudo-continuum takes out.

With w(0) the kernel's weight of the pixel itself and W the sum of its squared weights, that is
2 w(0) - W; the pixels are 0.8 Å wide, the kernel's standard deviation is 20 Å.
"""


@dataclass(frozen=True)
class Survey:
    """What was painted: truth [star label], velocity [star] km/s, factor on the B LSF [star]."""

    folder: Path
    truth: np.ndarray
    vrad: np.ndarray
    width: np.ndarray


@dataclass(frozen=True)
class Fitted:
    """The catalogue's columns; mean [star label] and covariance in the order of its header."""

    table: fits.FITS_rec
    mean: np.ndarray
    covariance: np.ndarray
    survey: Survey

    def whitened(self) -> np.ndarray:
        """[star label], mean minus truth in units in which its covariance is the identity."""
        root = np.linalg.cholesky(self.covariance)
        return np.linalg.solve(root, (self.mean - self.survey.truth)[..., None])[..., 0]


def paint(folder: Path, model: Path, *, seed: int, extra: float = 0.0) -> Survey:
    """Write coadd.fits and rvs.fits of stars that follow the likelihood exactly.

    extra : further error of every model pixel, normalised flux.
    """
    emulator, card = load_emulator(model), read_card(model)
    prior = LabelPrior(emulator.space, card["density"])
    truth = prior.draws(jax.random.key(seed), STARS)
    flux = np.stack([np.asarray(emulator(labels)) for labels in truth]).astype(float)
    rng = np.random.default_rng(seed)
    fibres = Fibres(
        source=np.arange(STARS),
        vrad=np.clip(rng.normal(0, 120, STARS), -500, 500),
        ebv=rng.uniform(0, 0.09, STARS),
        snr=rng.uniform(30, 100, STARS),
    )
    models = ModelSpectra(np.asarray(emulator.wave), flux, emulator.fwhm)
    arms = expose(models, fibres, Simulation(stars=STARS), rng=rng)
    width = np.where(np.arange(STARS) % 2, BROADER, 1.0)
    error = np.hypot(np.asarray(emulator.error, float), extra)
    for name, arm in arms.items():
        wave = DESI_WAVE[name]
        _, floor, _ = apply_masks(wave, fibres.vrad, "desi", ebv=fibres.ebv)
        kernel = np.exp(-0.5 * ((wave[:, None] - wave) / 20.0) ** 2)
        level = arm.model @ kernel / kernel.sum(axis=0)
        doppler = np.sqrt((1 + fibres.vrad / LIGHT) / (1 - fibres.vrad / LIGHT))
        own = np.stack([np.interp(wave / d, emulator.wave, error) for d in doppler])
        noise = level * np.hypot(own, floor) * rng.standard_normal(level.shape)
        stated = arm.fwhm / width[:, None] if name == "B" else arm.fwhm
        arms[name] = replace(
            arm,
            flux=(arm.flux + noise).astype(np.float32),
            resolution=gaussian_resolution(wave, stated),
        )
    vrad_err = np.clip(0.5 + 60.0 / fibres.snr, 1.0, 5.0)
    coadd = Coadd(
        arms=arms,
        source=fibres.source,
        targetid=np.int64(39_000_000_000_000_000) + np.arange(STARS),
        ra=np.full(STARS, 149.5),
        dec=np.full(STARS, 1.8),
        vrad=fibres.vrad,
        ebv=fibres.ebv,
        snr=fibres.snr,
        vrad_seen=fibres.vrad + vrad_err * rng.standard_normal(STARS),
        vrad_err=vrad_err,
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_coadd(folder / "coadd.fits", coadd)
    write_rvs_catalog(folder / "rvs.fits", coadd)
    return Survey(folder, truth, fibres.vrad, width)


def fit(survey: Survey, model: Path, **changed: dict) -> Fitted:
    """Run the files of a survey and read its catalogue with Astropy, not with our reader."""
    output = survey.folder / "output"
    told = {
        "schema": 1,
        "input": {"survey": "desi", "spectra": ["coadd.fits"], "catalog": "rvs.fits"},
        "emulator": {"name": str(model)},
        "output": {"directory": str(output), "pictures": False},
    }
    pipeline.run(config.parse(told | changed, source="test", base=survey.folder))
    with fits.open(output / "catalogue.fits") as file:
        header, table = file["CATALOGUE"].header, np.array(file["CATALOGUE"].data)
    names = [header[f"LABEL{i:02d}"] for i in range(1, 16)]
    packed = np.asarray(table["LABEL_COV"], float)
    covariance = np.zeros((STARS, 15, 15))
    for i in range(15):
        for j in range(i + 1):
            covariance[:, i, j] = covariance[:, j, i] = packed[:, i * (i + 1) // 2 + j]
    assert names == [name.upper() for name in load_emulator(model).space.names]
    return Fitted(table, np.asarray(table["LABEL_MEAN"], float), covariance, survey)


@pytest.fixture(scope="module")
def exact(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """The exact posterior of every star, with the settings of a run file that names none."""
    survey = paint(tmp_path_factory.mktemp("exact"), models / "desi-physics", seed=1)
    return fit(survey, models / "desi-physics")


def test_errors_of_the_labels_and_their_covariances_are_true(exact: Fitted) -> None:
    """E[(mean - truth) (mean - truth)'] is the covariance, whatever the posterior's shape."""
    z = exact.whitened()
    print(np.round(z.mean(axis=0) * np.sqrt(STARS), 2), np.round((z**2).mean(axis=0), 2))
    assert np.abs(z).max() < 6
    assert np.all(np.abs(z.mean(axis=0)) < 4.5 / np.sqrt(STARS))
    assert np.all(np.abs((z**2).mean(axis=0) - 1) < 4.5 * np.sqrt(2 / STARS))
    assert abs((z**2).mean() - 1) < 4.5 * np.sqrt(2 / z.size)


def test_chi2_is_that_of_the_noise(exact: Fitted) -> None:
    """Four Monte Carlo errors, and two parameters a star for what the prior takes of them."""
    check_chi2(exact)


def check_chi2(fitted: Fitted) -> None:
    chi2, pixels = fitted.table["CHI2"].sum(), float(fitted.table["NPIX"].sum())
    gap = chi2 / (pixels - PARAMETERS * STARS) - (1 - OWN_NOISE)
    print(f"chi2 per degree of freedom off by {gap:.5f}, {gap / np.sqrt(2 / pixels):.2f} sigma")
    assert pixels > 5000 * STARS
    assert abs(gap) < 4 * np.sqrt(2 / pixels) + 2 * STARS / pixels


def test_fitted_velocities_scatter_by_their_errors(exact: Fitted) -> None:
    """The painted spectra have no error of calibration, so that its floor is taken out again."""
    fitted, published = (exact.table[n].astype(float) for n in ("VRAD_FIT", "VRAD_ERR"))
    error = np.sqrt(published**2 - SURVEYS["desi"].vrad_floor ** 2)
    assert (published > 1).all()
    z = (fitted - exact.survey.vrad) / error
    print(f"mean {z.mean() * np.sqrt(STARS):.2f} sigma, mean square {(z**2).mean():.2f}")
    assert abs(z.mean()) < 4.5 / np.sqrt(STARS)
    assert abs((z**2).mean() - 1) < 4.5 * np.sqrt(2 / STARS)
    seen = exact.table["VRAD_IN"].astype(float) - exact.survey.vrad
    assert np.std(fitted - exact.survey.vrad) < 0.8 * np.std(seen)


def test_lsf_factors_are_those_that_were_painted(exact: Fitted) -> None:
    """A fifth of the change is allowed for the prior's pull."""
    broad = exact.survey.width > 1
    for arm in "BRZ":
        factor = exact.table[f"LSF_{arm}"].astype(float)
        for rows, painted in ((~broad, 1.0), (broad, BROADER if arm == "B" else 1.0)):
            gap, spread = factor[rows].mean() - painted, factor[rows].std() / np.sqrt(rows.sum())
            print(arm, painted, f"{gap:+.4f} +- {spread:.4f}")
            assert abs(gap) < 4.5 * spread + 0.2 * (painted - 1) + 0.002


def test_measured_mismatch_is_part_of_the_error(models: Path, tmp_path: Path) -> None:
    """Spectra with twice the noise in every model pixel: chi2 is 1 with the mismatch only."""
    model = tmp_path / "model"
    card = read_card(models / "desi-physics")
    write_model(model, load_emulator(models / "desi-physics"), card)
    extra = 0.02
    wave = np.asarray(load_emulator(model).wave)
    write_mismatch(model, np.full(len(wave), extra, np.float32), {})
    survey = paint(tmp_path / "stars", model, seed=2, extra=extra)
    with_it = {"nuisance": {"mismatch": True}, "sampler": {"kind": "map"}}
    check_chi2(fit(survey, model, **with_it))
