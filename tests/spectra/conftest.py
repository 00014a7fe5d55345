"""Model spectra of known shape, and a small simulated coadd on disk."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

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


@pytest.fixture
def spec(tmp_path: Path) -> Callable[..., Path]:
    """Writes spec-PLATE-MJD-FIBER.fits: (fibre, arrays of HDU 1 or values of HDU 2 to change)."""

    def write(fibre: int = 1, first: int = 35_563, **changed: Any) -> Path:
        rng = np.random.default_rng(fibre)
        pixels: dict[str, Any] = {
            "flux": rng.normal(50, 1, 4500).astype("f4"),
            "loglam": (1e-4 * (first + np.arange(4500))).astype("f4"),
            "ivar": np.ones(4500, "f4"),
            "and_mask": np.zeros(4500, "i4"),
            "or_mask": np.full(4500, 1 << 19, "i4"),
            "wdisp": np.linspace(1.3, 0.9, 4500).astype("f4"),
            "sky": np.zeros(4500, "f4"),
            "model": np.full(4500, 50, "f4"),
        }
        row: dict[str, Any] = {
            "PLATE": 3586,
            "MJD": 55181,
            "FIBERID": fibre,
            "CLASS": "STAR",
            "SUBCLASS": "F5",
            "Z": -2e-4,
            "Z_ERR": 1e-5,
            "ZWARNING": 0,
            "ELODIE_Z": 3e-4,
            "ELODIE_Z_ERR": 4e-6,
            "PLUG_RA": 10.5,
            "PLUG_DEC": -1.25,
            "THING_ID": 12345,
            "SN_MEDIAN_ALL": 31.0,
        }
        for name, value in changed.items():
            (pixels if name in pixels else row)[name] = value
        form = {"f": "E", "i": "J"}
        one = [fits.Column(n, form[v.dtype.kind], array=v) for n, v in pixels.items()]
        kinds = {int: "K", float: "D"}
        two = [
            fits.Column(n, kinds.get(type(v), "12A"), array=[v])
            for n, v in row.items()
            if v is not None
        ]
        path = tmp_path / f"spec-3586-55181-{fibre:04d}.fits"
        fits.HDUList(
            [
                fits.PrimaryHDU(),
                fits.BinTableHDU.from_columns(one, name="COADD"),
                fits.BinTableHDU.from_columns(two, name="SPALL"),
            ]
        ).writeto(path, checksum=True)
        return path

    return write


@pytest.fixture
def lamost_file(tmp_path: Path) -> Path:
    """A made-up file in the layout of LAMOST's releases 1 to 7."""
    rng = np.random.default_rng(2)
    image = np.zeros((5, 3900), np.float32)
    image[0] = rng.normal(50, 1, 3900)
    image[1] = 1.0
    hdu = fits.PrimaryHDU(image)
    hdu.header.update(COEFF0=3.5675, COEFF1=1e-4, Z=1e-4, Z_ERR=1e-5, RA=10.5, DEC=-1.25)
    hdu.header["CLASS"] = "STAR"
    path = tmp_path / "spec-55862-B6212_sp06-003.fits"
    hdu.writeto(path, checksum=True)
    return path


@pytest.fixture
def table_file(tmp_path: Path) -> Path:
    """Two stars with errors in an npz archive; their wavelengths jump at 4500 Å."""
    wave = np.r_[np.arange(4000.0, 4500.0), np.arange(4600.0, 5000.0)]
    flux = np.random.default_rng(3).normal(1, 0.01, (2, wave.size))
    np.savez(tmp_path / "stars.npz", wave=wave, flux=flux, sigma=np.full(flux.shape, 0.01))
    return tmp_path / "stars.npz"


@pytest.fixture
def survey_files(
    coadd_files: tuple[Path, Path], lamost_file: Path, spec: Callable[..., Path], table_file: Path
) -> dict[str, Path]:
    """Name of a survey -> a made-up file in its format."""
    return {
        "desi": coadd_files[0],
        "lamost": lamost_file,
        "sdss": spec(),
        "table": table_file,
    }
