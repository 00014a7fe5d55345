"""A run of tables and images: what their files lack, or say wrongly, against a whole spectrum.

One star is painted from the emulator, without noise, and written in several ways. All are on one
list of wavelengths once the gaps are filled, so that they are fitted together.
"""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from scipy.ndimage import gaussian_filter1d

from bayes_ddp import config
from bayes_ddp.catalog.fits import read_catalogue
from bayes_ddp.emulator.card import load_emulator
from bayes_ddp.flags import WARN
from bayes_ddp.labels import LABELS
from bayes_ddp.pipeline import run as pipeline
from bayes_ddp.spectra.prepare import prepare
from bayes_ddp.spectra.read import read

WAVE = np.arange(4000.0, 5500.0)
FWHM = 2.5
ERROR = 0.01


@pytest.fixture(scope="module")
def flux() -> np.ndarray:
    """A solar spectrum of this width on ``WAVE``, with a slope."""
    emulator = load_emulator("desi-physics")
    labels = {"teff": 5772.0, "logg": 4.44, "vmic": 1.0}
    at = np.array([labels.get(name, 0.0) for name in emulator.space.names])
    wave = np.asarray(emulator.wave)
    sigma = np.sqrt(FWHM**2 - emulator.fwhm**2) / 2.3548 / (wave[1] - wave[0])
    smooth = gaussian_filter1d(np.asarray(emulator(at), float), sigma)
    return np.interp(WAVE, wave, smooth) * (WAVE / 5000)


def image(path: Path, flux: np.ndarray, **cards: object) -> None:
    primary = fits.PrimaryHDU(flux)
    primary.header.update({"CRVAL1": WAVE[0], "CDELT1": 1.0, "CTYPE1": "WAVE"} | cards)
    error = fits.ImageHDU(ERROR * flux, name="ERROR")
    fits.HDUList([primary, error]).writeto(path)


def table(
    path: Path,
    flux: np.ndarray,
    keep: np.ndarray | None = None,
    *,
    width: float | np.ndarray = FWHM,
    error: float | np.ndarray = ERROR,
) -> None:
    """A table in vacuum of the rows in ``keep``."""
    keep = np.ones(WAVE.size, bool) if keep is None else keep
    content = {"wave": WAVE, "flux": flux, "error": error * flux, "width": width}
    told = {name: np.broadcast_to(values, WAVE.shape)[keep] for name, values in content.items()}
    Table(told, meta={"VACUUM": True}).write(path)


def run(folder: Path, **layout: object) -> Table:
    """The catalogue of all FITS files of a folder, fitted together."""
    told = {
        "schema": 1,
        "input": {
            "survey": "table",
            "spectra": ["*.fits"],
            "table": {"air": "header", "fwhm": FWHM, "error": "error"} | layout,
        },
        "emulator": {"name": "desi-physics"},
        "sampler": {"kind": "map"},
        "output": {"pictures": False},
    }
    settings = config.parse(told, source="test", base=folder)
    return read_catalogue(pipeline.run(settings, batch=4).path)


def write_all(folder: Path, flux: np.ndarray) -> None:
    """The star whole in Å and in nm, without 30 pairs of short runs of its rows, and with these
    masked; a single row is left between the runs of a pair.
    """
    image(folder / "whole.fits", flux)
    image(folder / "nm.fits", flux, CRVAL1=WAVE[0] / 10, CDELT1=0.1, CUNIT1="nm")
    keep = np.ones(WAVE.size, bool)
    for first in range(20, 1480, 49):
        keep[first : first + 6] = keep[first + 7 : first + 9] = False
    table(folder / "dropped.fits", flux, keep)
    table(folder / "masked.fits", flux, error=np.where(keep, ERROR, 0))


def test_dropped_rows_are_prepared_as_masked_ones_and_nm_as_angstrom(
    flux: np.ndarray, tmp_path: Path
) -> None:
    write_all(tmp_path, flux)
    layout = {"air": "header", "fwhm": FWHM, "error": "error"}
    raw = read(sorted(tmp_path.glob("*.fits")), layout=layout)  # dropped, masked, nm, whole
    spectrum, warn = prepare(raw)
    assert len(raw.arms) == 1 and not warn.any()
    for one, other in ((0, 1), (2, 3)):
        for name in ("flux", "ivar", "weight", "fwhm", "continuum"):
            values = getattr(spectrum, name)
            np.testing.assert_allclose(values[one], values[other], rtol=2e-6)
    lost = (spectrum.ivar[3] > 0).sum() - (spectrum.ivar[0] > 0).sum()
    assert 200 < lost <= 240


@pytest.mark.slow
def test_spectrum_with_gaps_or_in_other_units_has_the_labels_of_the_whole(
    flux: np.ndarray, tmp_path: Path
) -> None:
    """Dropped rows are as good as masked ones; with fewer rows the prior weighs more."""
    write_all(tmp_path, flux)
    found = run(tmp_path, vrad_err=0.0)
    row = {name: found[i] for i, name in enumerate(found["NAME"])}
    assert row["whole"]["NPIX"] - row["dropped"]["NPIX"] > 200
    assert row["masked"]["NPIX"] == row["dropped"]["NPIX"]
    error = np.array([row["whole"][f"{label.column}_ERR"] for label in LABELS])
    for one, other, limit in (
        ("nm", "whole", 0.02),
        ("dropped", "masked", 0.02),
        ("dropped", "whole", 1.0),
    ):
        gap = (row[one]["LABEL_MEAN"] - row[other]["LABEL_MEAN"]) / error
        print(one, other, np.round(gap, 2))
        assert np.abs(gap).max() < limit
    assert (np.asarray(found["WARN"]) == WARN.RV_WARN).all()
    assert np.isfinite(np.asarray(found["TEFF"])).all()


@pytest.mark.slow
def test_width_that_is_wrong_in_one_file_touches_that_star_alone(
    flux: np.ndarray, tmp_path: Path
) -> None:
    """One pixel of a third, all of them sharper than the model, all of them absurd."""
    one = np.full(WAVE.size, FWHM)
    one[700] = 0.3 * FWHM
    widths = {"good": FWHM, "pixel": one, "sharp": 0.8, "broad": 1000.0}
    for name, width in widths.items():
        table(tmp_path / f"{name}.fits", flux, width=width)
    found = run(tmp_path, fwhm="width")
    row = {name: found[i] for i, name in enumerate(found["NAME"])}
    lost = WARN.LSF_WARN | WARN.NODATA
    bits = {"good": 0, "pixel": WARN.LSF_WARN, "sharp": lost, "broad": lost}
    assert {name: int(one["WARN"]) for name, one in row.items()} == bits
    assert row["good"]["NPIX"] - row["pixel"]["NPIX"] == 1
    assert abs(row["good"]["TEFF"] - row["pixel"]["TEFF"]) < 0.1 * row["good"]["TEFF_ERR"]
    assert np.isnan(row["sharp"]["TEFF"]) and np.isnan(row["broad"]["TEFF"])


def test_run_without_any_usable_width_names_a_file_and_the_limits(
    flux: np.ndarray, tmp_path: Path
) -> None:
    table(tmp_path / "a.fits", flux, width=0.8)
    with pytest.raises(ValueError, match=r"the first is a.fits.*between 1\.\d\d Å.*and 20 Å"):
        run(tmp_path, fwhm="width")
    assert not (tmp_path / "output" / "catalogue.fits").exists()
