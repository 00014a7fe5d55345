"""The mock's files: read by the readers of real surveys, the same bytes from the same seed."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from bayes_ddp.files.checksums import verify_checksums
from bayes_ddp.files.fits import open_fits
from bayes_ddp.labels import LABELS
from bayes_ddp.mock.components import COMPONENTS
from bayes_ddp.mock.draw import Settings, draw_chunk
from bayes_ddp.mock.files import FILES, TableFiles
from bayes_ddp.mock.spectra import Chosen, black_body, known_labels, write_spectra
from bayes_ddp.spectra.desi.catalog import read_rvs
from bayes_ddp.spectra.desi.read import read_desi
from bayes_ddp.tables.read import read_columns


@pytest.fixture(scope="module")
def stars():
    return draw_chunk(0, Settings(8)).first(300)


def write(folder, *parts):
    folder.mkdir()
    with TableFiles(folder) as files:
        for part in parts:
            files.add(part)
        return files.finish({"SEED": 8, "CREATOR": "test"})


@pytest.fixture(scope="module")
def folder(stars, tmp_path_factory):
    path = tmp_path_factory.mktemp("mock") / "tables"
    write(path, stars.first(100), slice_of(stars, 100, 300))
    return path


def slice_of(stars, start, stop):
    return type(stars)(
        {n: v[start:stop] for n, v in stars.truth.items()},
        {n: v[start:stop] for n, v in stars.seen.items()},
        stars.density,
        stars.overshoot,
    )


def test_pieces_make_the_same_bytes_as_the_whole(stars, folder, tmp_path):
    for path in write(tmp_path / "again", stars):
        assert path.read_bytes() == (folder / path.name).read_bytes()


def test_checksums_hold_and_damage_shows(folder, tmp_path):
    for name, tables in FILES.items():
        assert verify_checksums(folder / name) == len(tables)
    content = bytearray((folder / "truth.fits").read_bytes())
    content[-5000] ^= 1
    (tmp_path / "bad.fits").write_bytes(content)
    with pytest.raises(ValueError, match="do not agree with their checksum"):
        verify_checksums(tmp_path / "bad.fits")


def test_astropy_reads_every_table_with_its_units(folder, stars):
    truth = Table.read(folder / "truth.fits")
    assert len(truth) == 300 and truth["DISTANCE"].unit == "kpc"
    assert {str(name).strip() for name in truth["COMPONENT"]} <= {p.name for p in COMPONENTS}
    assert truth["BINARY"].dtype == bool and 0.3 < truth["BINARY"].mean() < 0.6
    assert np.array_equal(truth["FEH"], stars.truth["feh"])
    photometry = Table.read(folder / "photometry.fits")
    assert np.array_equal(np.isfinite(photometry["MAG_J"]), photometry["DETECTED_J"])
    with fits.open(folder / "mwsall-sim.fits", checksum=True) as hdus:
        hdus.verify("exception")
        assert [hdu.name for hdu in hdus[1:]] == ["RVTAB", "SPTAB", "FIBERMAP", "SCORES", "GAIA"]
        assert hdus[0].header["SEED"] == 8


def test_no_column_differs_from_another_by_case_alone():
    for tables in FILES.values():
        for fields in tables.values():
            names = [field.column.name.upper() for field in fields]
            assert len(set(names)) == len(names)


def test_rows_are_the_same_star_in_every_file(folder, stars):
    with open_fits(folder / "truth.fits") as file:
        identifier = file.table("TRUTH", ("TARGETID",))["TARGETID"]
    velocities, fibermap, gaia = read_rvs(folder / "mwsall-sim.fits", identifier)
    assert np.array_equal(velocities["TARGETID"], identifier)
    assert np.array_equal(velocities["VRAD"], stars.seen["vrad"])
    assert np.array_equal(gaia["PARALLAX"], stars.seen["parallax"])
    flux = 22.5 - 2.5 * np.log10(fibermap["FLUX_R"])
    assert np.allclose(flux, stars.seen["mag_r"])


def test_interrupted_mock_leaves_no_file(stars, tmp_path):
    with pytest.raises(RuntimeError), TableFiles(tmp_path) as files:
        files.add(stars)
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_labels_outside_the_model_are_not_known(stars):
    labels = np.stack([stars.truth[row.name] for row in LABELS], axis=1)
    known = known_labels(labels)
    assert 0.5 < known.mean() < 1
    assert not known[labels[:, 0] < 4000].any()
    assert not known_labels(np.where(np.arange(15) == 3, -3.5, labels[known][:1])).any()


def test_black_body_peaks_where_wien_says():
    wave = np.arange(3000.0, 9000.0)
    flux = black_body(wave, np.array([5000.0, 7000.0]))
    assert np.allclose(flux[:, 3000], 1)
    assert np.allclose(wave[flux.argmax(1)], 2.897771955e7 / np.array([5000, 7000]), atol=1)


def test_spectra_are_read_with_the_catalogue_of_the_mock(folder, stars):
    """The piece of the mock begins with a star that the emulator does not know: it gets none."""
    labels = np.stack([stars.truth[row.name] for row in LABELS], axis=1)
    first = int(np.argmin(known_labels(labels)))
    chosen = Chosen.of(slice_of(stars, first, 300), first, 3)
    assert chosen.labels[0, 0] != stars.truth["teff"][first]
    written = write_spectra(folder, chosen, 8, progress=lambda *told: None)
    raw = read_desi([written[0]], catalog=folder / "mwsall-sim.fits")
    assert len(raw) == 3
    assert np.array_equal(raw.columns["TARGETID"], chosen.targetid)
    assert np.allclose(raw.vrad, chosen.vrad_seen)
    arm = next(arm for arm in raw.arms if arm.name.upper() == "R")
    snr = [np.median((f * np.sqrt(i))[i > 0]) for f, i in zip(arm.flux, arm.ivar, strict=True)]
    assert np.allclose(snr, chosen.snr, rtol=0.1)


def test_labels_of_the_survey_are_read_with_their_errors(folder, stars):
    """As ``compare`` reads SPTAB: errors from COVAR, and truths within them as often as normal."""
    found = read_columns(folder / "mwsall-sim.fits")
    assert np.array_equal(found["teff"], stars.seen["sp_teff"])
    for name in ("teff", "logg", "feh"):
        z = (found[name] - stars.truth[name]) / found[f"{name}_err"]
        assert abs(z.mean()) < 4 / np.sqrt(300)
        assert abs(z.std() - 1) < 4 / np.sqrt(600)
    alpha = np.mean([stars.truth[f"{name}_fe"] for name in ("mg", "si", "ca", "ti")], axis=0)
    true = {"alphafe": alpha, "log10micro": np.log10(stars.truth["vmic"])}
    for at, (name, values) in enumerate(true.items(), 1):
        z = (found[name] - values) / np.sqrt(found["covar"].reshape(-1, 25)[:, 6 * at])
        assert abs(z.mean()) < 4 / np.sqrt(300)
        assert abs(z.std() - 1) < 4 / np.sqrt(600)
    covariance = stars.seen["sp_covar"].reshape(-1, 5, 5)
    assert np.allclose(np.linalg.inv(covariance) @ covariance, np.eye(5), atol=1e-8)
