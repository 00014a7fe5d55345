"""``read`` finds files, survey and reader, and raises errors for what is missing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bayes_ddp.files.errors import BadFileError
from bayes_ddp.spectra.desi.read import read_desi
from bayes_ddp.spectra.lamost import read_lamost
from bayes_ddp.spectra.raw import RawSpectra
from bayes_ddp.spectra.read import expand_files, read, survey_of
from bayes_ddp.spectra.table import Layout

TABLE: dict[str, Any] = {"air": False, "fwhm": 2.5, "error": "sigma"}


def assert_equal(one: RawSpectra, other: RawSpectra) -> None:
    assert one.survey == other.survey and list(one.columns) == list(other.columns)
    for name, values in one.columns.items():
        np.testing.assert_array_equal(values, other.columns[name])
    for name in ("vrad", "vrad_err", "ebv", "warn"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for a, b in zip(one.arms, other.arms, strict=True):
        for name in ("wave", "flux", "ivar", "fwhm"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_every_survey_is_read_by_its_file(survey_files: dict[str, Path]) -> None:
    for name, path in survey_files.items():
        layout = TABLE if name == "table" else None
        assert read(path, layout=layout).survey == name
        assert survey_of(path).name == name


def test_real_files_are_those_of_their_reader(data: Path) -> None:
    folder = data / "lamost_dr1"
    files = sorted(folder.glob("spec-55862-B6212_sp06-00*.fits"))
    assert len(files) > 2
    catalog = folder / "labels.csv"
    wanted = read_lamost(files, catalog)
    assert_equal(read(str(folder / "spec-*sp06-00?.fits"), catalog=str(catalog)), wanted)
    assert_equal(read(files, catalog=catalog, survey="lamost"), wanted)
    folder = data / "desi_format"
    found = read(folder / "coadd-*.fits", redshifts=folder / "redrock-*.fits")
    coadds, redrock = (sorted(folder.glob(f"{name}-*")) for name in ("coadd", "redrock"))
    assert_equal(found, read_desi(coadds, redshifts=redrock))


def test_catalogue_reaches_the_reader(coadd_files: tuple[Path, Path]) -> None:
    coadd, catalog = coadd_files
    assert_equal(read([str(coadd)], catalog=str(catalog)), read_desi([coadd], catalog))


def test_layout_may_be_a_record_or_a_table(table_file: Path) -> None:
    one, other = read(table_file, layout=TABLE), read([table_file], layout=Layout(**TABLE))
    assert_equal(one, other)
    assert [arm.name for arm in one.arms] == ["A1", "A2"] and len(one) == 2
    assert_equal(one, read(table_file, survey="table", layout=TABLE))


def test_patterns_are_sorted_and_names_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("b1.fits", "a2.fits", "a1.fits"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert expand_files("a?.fits") == [Path("a1.fits"), Path("a2.fits")]
    assert expand_files(["x.fits", tmp_path / "*1.fits"]) == [
        Path("x.fits"),
        tmp_path / "a1.fits",
        tmp_path / "b1.fits",
    ]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda path: read(path.parent / "no-*.fits"), r"No file matches '.*no-\*.fits'"),
        (lambda path: read([]), "No file was given. Name at least one"),
        (read, r"stars.npz is in the format of no survey.*pass layout="),
        (lambda path: read(path, survey="table"), "pass layout="),
        (lambda path: read(path, survey="lamots"), "Did you mean 'lamost'"),
        (
            lambda path: read(path, survey="lamost", layout=TABLE),
            "layout describes tables, and survey = 'lamost' has a format of its own",
        ),
        (
            lambda path: read(path, layout=TABLE | {"errors": "sigma"}),
            r"layout: 'errors' is not an option. Did you mean 'error'\?",
        ),
        (lambda path: read(path, layout={"air": False}), "layout: give either 'fwhm'"),
        (lambda path: read(path, layout={"fwhm": 2.5}), r"layout: 'air': Field required\."),
        (lambda path: read(path, layout=TABLE | {"fwhm": -1.0}), "layout: 'fwhm'.*greater than 0"),
    ],
)
def test_wrong_call_is_one_sentence(
    table_file: Path, call: Callable[[Path], RawSpectra], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        call(table_file)
    assert "\n" not in str(error.value)


def test_file_of_another_survey_than_named_is_an_error(lamost_file: Path) -> None:
    with pytest.raises(BadFileError, match=r"Give a coadd-\*.fits"):
        read(lamost_file, survey="desi")
