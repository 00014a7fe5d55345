"""Descriptions by ``bayes-ddp info``, and the pages of the documentation."""

import json
import tomllib

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from bayes_ddp.catalog.columns import COLUMNS
from bayes_ddp.catalog.fits import write_catalogue
from bayes_ddp.commands.demo import RUN, simulate_files
from bayes_ddp.commands.info import describe
from bayes_ddp.commands.pages import write_pages
from bayes_ddp.flags import WARN
from bayes_ddp.inference.parts import Part, read_draws, write_part
from bayes_ddp.inference.posterior import blank
from bayes_ddp.labels import LABELS

NAMES = tuple(row.name for row in LABELS)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """A folder with coadd-demo.fits and rvs-demo.fits of three stars."""
    folder = tmp_path_factory.mktemp("simulated")
    simulate_files(folder, stars=3, seed=1)
    return folder


@pytest.fixture
def catalogue(tmp_path):
    """Four rows: one fine, one undetected Mg, one at the edge, one without pixels."""
    table = Table(
        {
            "TEFF": [5000.0, 5100.0, np.nan, np.nan],
            "MG_FE": [0.1, np.nan, np.nan, np.nan],
            "MG_FE_FLAG": np.array([0, 1, 0, 255], np.uint8),
            "WARN": np.array([0, 0, int(WARN.LABEL_EDGE), int(WARN.NODATA)]),
        }
    )
    path = tmp_path / "catalogue.fits"
    write_catalogue(table, path, {"EMULATOR": "desi-physics", "CALSCALE": "LTE", "SEED": 3})
    return path


def told(path):
    """Figures and text, after a way through strict JSON."""
    figures, text = describe(str(path))
    return json.loads(json.dumps(figures, allow_nan=False)), text


def test_coadd_is_told_by_targets_arms_and_checksums(simulated):
    figures, text = told(simulated / "coadd-demo.fits")
    assert (figures["kind"], figures["spectra"]) == ("DESI coadd", 3)
    assert len(figures["targetid"]) == 3
    assert figures["arms"]["B"]["wave"] == [3600.0, 5800.0]
    assert all(10 < arm["snr"] < 300 for arm in figures["arms"].values())
    assert figures["checksums_verified"] == figures["hdus"]
    assert "arm Z: 7520-9824 Å vacuum" in text


def test_velocity_catalogue_is_told_by_rows_and_range(simulated):
    figures, text = told(simulated / "rvs-demo.fits")
    assert (figures["kind"], figures["rows"]) == ("RVS catalogue", 3)
    assert figures["rr_spectype"] == {"STAR": 3}
    assert "km/s" in text


def test_damaged_coadd_is_refused_not_described(simulated, tmp_path):
    content = bytearray((simulated / "coadd-demo.fits").read_bytes())
    content[len(content) // 2] ^= 0xFF
    bad = tmp_path / "coadd.fits"
    bad.write_bytes(content)
    with pytest.raises(ValueError, match=r"(?i)checksum|datasum"):
        describe(str(bad))


def test_real_desi_files_are_told(data):
    folder = data / "desi_format"
    figures, _ = told(folder / "coadd-special-dark-27247.fits")
    assert (figures["survey"], figures["healpix"], figures["spectra"]) == ("special", "27247", 1)
    figures, _ = told(folder / "redrock-special-dark-27247.fits")
    assert figures["spectype"] == {"GALAXY": 1}


def test_real_lamost_file_is_told(data):
    path = sorted((data / "lamost_dr1").glob("spec-*.fits"))[0]
    figures, text = told(path)
    assert figures["kind"] == "LAMOST spectrum"
    assert set(figures["arms"]) == {"B", "R"}
    assert "vrad" in text and "median S/N" in text


def test_flags_are_counted_over_stars_that_have_labels(catalogue):
    figures, text = told(catalogue)
    assert (figures["rows"], figures["fitted"]) == (4, 2)
    assert figures["labels"]["mg_fe"] == {
        "with_value": 1,
        "detected": 1,
        "upper_limit": 1,
        "prior_dominated": 0,
    }
    assert figures["labels"]["teff"] == {"with_value": 2}
    assert figures["warnings"] == {"NODATA": 1, "LABEL_EDGE": 1}
    assert figures["provenance"]["SEED"] == 3
    assert "1 x NODATA" in text


def test_output_folder_is_told_by_its_catalogue(catalogue):
    assert told(catalogue.parent)[0]["kind"] == "catalogue"


def write_draws(path, names):
    """A part of stars of which the first alone was fitted."""
    posterior = blank(NAMES, np.array(names), ("B", "R"))
    posterior.chi2[0] = 1.0
    unknown = np.full(len(names), np.nan)
    columns = {"SPECID": np.array(names)}
    snr = np.full((len(names), 2), np.nan)
    part = Part("desi", "SPECID", columns, unknown, unknown, unknown, snr, posterior)
    write_part(path, part, draws=2)


def test_draws_are_counted_over_parts(tmp_path):
    write_draws(tmp_path / "coadd-1-0123456789ab.nc", ["1", "2", "3"])
    write_draws(tmp_path / "coadd-2-0123456789ab.nc", ["4", "5"])
    (tmp_path / "notes.nc").write_bytes(b"of somebody else")
    figures, text = told(tmp_path)
    assert (figures["stars"], figures["fitted"], figures["parts"]) == (5, 2, 2)
    assert figures["draws"] == [2] and figures["labels"] == list(NAMES)
    assert "5 stars in 2 files, 2 fitted" in text
    assert "bayes_ddp.read_draws(FOLDER)" in text
    assert read_draws(tmp_path).sizes["star"] == figures["fitted"]
    assert told(tmp_path / "coadd-2-0123456789ab.nc")[0]["stars"] == 2


def test_damaged_part_is_named(tmp_path):
    (tmp_path / "coadd-0123456789ab.nc").write_bytes(b"no netCDF")
    with pytest.raises(ValueError, match=r"coadd-0123456789ab\.nc is no part of a run's draws"):
        describe(str(tmp_path))


def test_draws_do_not_hide_what_a_run_s_folder_is(catalogue):
    (catalogue.parent / "other.nc").write_bytes(b"no netCDF")
    assert told(catalogue.parent)[0]["kind"] == "catalogue"


def test_run_file_is_told_as_it_resolves(tmp_path):
    (tmp_path / "run.toml").write_text(RUN)
    figures, text = told(tmp_path / "run.toml")
    assert figures["run"]["sampler"] == {"draws": 256, "kind": "exact"}
    assert figures["missing"] and not figures["finished"]
    shown = tomllib.loads(text.split("\n\n", 1)[1])
    assert shown["emulator"]["name"] == "desi-physics"


@pytest.mark.parametrize("name", ["desi-physics", "lamost-physics"])
def test_model_is_told_by_labels_validation_and_limits(name, models):
    figures, text = told(name)
    assert figures == told(models / name)[0] == told(models / name / "card.toml")[0]
    assert (figures["kind"], figures["network"]) == ("model", "BasisNetwork")
    assert all(label in text for label in figures["labels"]["names"])
    for words in ("flux error per star", "Not for:", "calscale", "mismatch to real stars"):
        assert words in text
    assert max(map(len, text.splitlines())) < 100


def test_corrected_model_lists_its_stars_ranges_and_cross_validation() -> None:
    figures, text = told("desi")
    lines = text.splitlines()
    source = figures["correction"]["sources"]["MILES"]
    assert f"MILES: {source['stars']} stars, 3591-7400 Å" in text and "TEFF" in text
    row = figures["correction"]["validation"]["MILES"]["teff"]
    line = next(line for line in lines if line.startswith("  teff") and f"{row[5]:.1f}" in line)
    assert [float(word) for word in line.split()[1:]] == [row[4], row[1], row[2], row[5], row[6]]
    assert "corrected from" not in told("desi-physics")[1]
    assert max(map(len, lines)) < 100


@pytest.mark.parametrize("name", ["physics-lte", "held-out"])
def test_set_of_physical_spectra_is_told(name):
    figures, text = told(name)
    assert figures["kind"] == "physical spectra"
    assert "Not for" not in text


@pytest.mark.parametrize("content", [b"\x00\x01\x02", b""])
def test_anything_else_gets_one_sentence_with_what_could_be_told(content, tmp_path):
    path = tmp_path / "table.dat"
    path.write_bytes(content)
    for place in (path, tmp_path, tmp_path / "nothing"):
        with pytest.raises(
            ValueError, match="spectra of DESI, LAMOST, SDSS, a redrock file or RVS"
        ) as error:
            describe(str(place))
        assert "\n" not in str(error.value)


def test_other_fits_and_toml_files_are_named_as_such(tmp_path):
    fits.writeto(tmp_path / "x.fits", np.zeros((2, 3)))
    with pytest.raises(ValueError, match="none of what info describes"):
        describe(str(tmp_path / "x.fits"))
    (tmp_path / "x.toml").write_text("a = 1")
    with pytest.raises(ValueError, match=r"no \[input\]"):
        describe(str(tmp_path / "x.toml"))


def test_committed_pages_are_what_the_package_writes(root, tmp_path):
    written = write_pages(tmp_path)
    assert [path.name for path in written] == ["labels.md", "catalogue.md", "flags.md"]
    for path in written:
        assert (root / "docs" / path.name).read_text() == path.read_text(), "run make docs"


def test_pages_hold_every_row_of_the_tables(tmp_path):
    labels, catalogue, flags = (path.read_text() for path in write_pages(tmp_path))
    assert labels.count("\n| `") == len(LABELS)
    assert catalogue.count("\n| `") == len(COLUMNS)
    assert all(f"`{bit.name}`" in flags for bit in WARN)
    assert "{" not in labels + catalogue + flags


def test_table_of_labels_is_told_by_the_columns_compare_would_take(tmp_path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("obsid,teff,feh,colour\n1,5000,-0.5,red\n2,,,blue\n")
    figures, text = describe(str(path))
    assert figures["rows"] == 2 and figures["columns"] == ["obsid", "teff", "feh", "colour"]
    assert figures["labels"] == {"teff": "teff", "feh": "feh"}
    assert "table of 2 rows and 4 columns" in text


def test_table_that_cannot_be_read_is_one_sentence(tmp_path) -> None:
    path = tmp_path / "empty.csv"
    path.write_text("")
    with pytest.raises(ValueError, match="has no columns"):
        describe(str(path))


def test_tables_of_a_fits_file_are_told_by_extension(tmp_path) -> None:
    path = tmp_path / "stars.fits"
    content = {"SOURCE_ID": [1, 2, 3], "M_H": [0.1, 0.2, 0.3], "PHOT_G_MEAN_FLUX": [1.0, 2.0, 3.0]}
    Table(content, meta={"EXTNAME": "GAIA"}).write(path)
    figures, text = describe(str(path))
    assert figures["tables"]["GAIA"]["rows"] == 3
    assert figures["tables"]["GAIA"]["labels"] == {"feh": "M_H"}
    assert "GAIA: 3 rows and 3 columns" in text


def test_truth_of_a_mock_is_told_as_such(tmp_path) -> None:
    header = fits.Header({"MOCK": True, "CREATOR": "bayes_ddp", "SEED": 7})
    table = fits.BinTableHDU(Table({"TEFF": [5000.0], "DISTANCE": [1.0]}), name="TRUTH")
    fits.HDUList([fits.PrimaryHDU(header=header), table]).writeto(tmp_path / "truth.fits")
    figures, text = describe(str(tmp_path / "truth.fits"))
    assert figures["tables"]["TRUTH"]["labels"] == {"teff": "TEFF"}
    assert "a mock Galaxy by bayes_ddp, seed 7" in text
