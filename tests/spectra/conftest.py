"""Model spectra of known shape, and a small simulated coadd on disk."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from bayes_ddp.spectra.desi.writer import write_coadd, write_rvs_catalog
from bayes_ddp.spectra.expose import Coadd, ModelSpectra, Simulation, simulate_coadd


@pytest.fixture(scope="session")
def model_spectra() -> ModelSpectra:
    """Three spectra of Gaussian absorption lines, FWHM 1.0 Å, on a sloping continuum."""
    rng = np.random.default_rng(7)
    wave = 3580 + 0.4 * np.arange(15701)
    flux = []
    for slope in (-1.0, 0.0, 2.0):
        depth = np.zeros_like(wave)
        lines = zip(rng.uniform(3600, 9840, 400), rng.uniform(0.02, 0.4, 400), strict=True)
        for centre, deep in lines:
            near = slice(*np.searchsorted(wave, [centre - 4, centre + 4]))
            depth[near] += deep * np.exp(-4 * np.log(2) * (wave[near] - centre) ** 2)
        flux.append(1e6 * (wave / 6000) ** slope * np.exp(-depth))
    return ModelSpectra(wave, np.array(flux))


@pytest.fixture(scope="session")
def coadd(model_spectra: ModelSpectra) -> Coadd:
    """Eight simulated fibres."""
    return simulate_coadd(model_spectra, Simulation(stars=8), 11)


@pytest.fixture(scope="session")
def coadd_files(coadd: Coadd, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The coadd file and the velocity catalogue of ``coadd``."""
    folder = tmp_path_factory.mktemp("coadd")
    write_coadd(folder / "coadd-sim.fits", coadd)
    write_rvs_catalog(folder / "rvtab-sim.fits", coadd)
    return folder / "coadd-sim.fits", folder / "rvtab-sim.fits"


@pytest.fixture
def edited(
    coadd_files: tuple[Path, Path], tmp_path: Path
) -> Callable[[Callable[[fits.HDUList], None]], Path]:
    """A function that gives a copy of the simulated coadd (or, 1, catalogue) with a change."""

    def copy(
        change: Callable[[fits.HDUList], object], which: int = 0, name: str = "edited"
    ) -> Path:
        path = tmp_path / f"coadd-{name}-{which}.fits"
        with fits.open(coadd_files[which]) as hdus:
            change(hdus)
            hdus.writeto(path, overwrite=True, checksum=True)
        return path

    return copy
