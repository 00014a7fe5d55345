"""Names of files and folders mean themselves, whatever characters they have."""

import gzip
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from bayes_ddp.files.errors import BadFileError
from bayes_ddp.files.fits import open_fits, scan_fits
from bayes_ddp.files.paths import atomic_write, expand, library_name
from bayes_ddp.tables.read import read_columns

ODD = [
    "set[1]",
    "set (1)",
    "a*",
    "a?b",
    "~",
    "~root",
    "$HOME",
    "a b ",
    "ünï α",
    "100%d",
    "{x}+{}",
    "!x",
    "-x",
    "a|b",
    "a&b;c",
    "'\"",
    "a#b",
    "\\n",
    "[!a]",
    "(",
    "[",
]
each_odd_name = pytest.mark.parametrize("name", ODD)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a folder set1 that holds a file of zeros."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set1").mkdir()
    write(Path("set1/a.fits"), 0.0)
    return tmp_path


def write(path, value):
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.full(3, value), name="A")]).writeto(
        path.absolute(), overwrite=True
    )


def read(path):
    with open_fits(path) as file:
        return file.image("A").tolist()


@each_odd_name
@pytest.mark.parametrize("relative", [True, False])
def test_file_in_a_folder_of_any_name_is_read(folder, name, relative):
    place = Path(name) if relative else folder / name
    place.mkdir()
    write(place / "a.fits", 1.0)
    assert read(place / "a.fits") == [1.0] * 3
    assert read(str(place / "a.fits")) == [1.0] * 3
    (place / "b.fits.gz").write_bytes(gzip.compress((place / "a.fits").read_bytes()))
    assert read(place / "b.fits.gz") == [1.0] * 3
    assert len(scan_fits(place / "a.fits")) == 2
    for suffix in ("csv", "ecsv"):
        Table({"a": [1.5]}).write((place / f"t.{suffix}").absolute())
        assert read_columns(place / f"t.{suffix}")["a"].tolist() == [1.5]


@each_odd_name
def test_pattern_begins_below_the_base_folder(folder, name):
    base = folder / name
    base.mkdir()
    for file in ("a.fits", "b.fits", "b.txt"):
        (base / file).touch()
    wanted = [str(base / "a.fits"), str(base / "b.fits")]
    assert expand("*.fits", base) == wanted
    assert expand("?.fits", base) == wanted
    assert expand(f"{base}/*.fits") == wanted
    assert expand(f"{name}/*.fits", folder) == wanted
    assert expand(Path(name) / "*.fits") == [f"{Path(name)}/a.fits", f"{Path(name)}/b.fits"]
    assert expand(f"{base}/a.fits") == wanted[:1]


def test_a_name_that_exists_is_meant_even_if_it_looks_like_a_pattern(folder):
    for name in ("a*.fits", "ab.fits", "x[12]y.fits", "x1y.fits"):
        (folder / name).touch()
    assert expand("a*.fits") == ["a*.fits"]
    assert expand("x[12]y.fits") == ["x[12]y.fits"]
    assert expand("x[12]*.fits") == ["x[12]y.fits"]
    (folder / "x[12]y.fits").unlink()
    assert expand("x[12]*.fits") == ["x1y.fits"]
    assert expand("x[12]y.fits") == ["x[12]y.fits"]  # without * or ?, a name


def test_pattern_may_stand_in_folders_and_leaves_hidden_files_out(folder):
    for name in ("n1/a.fits", "n2/a.fits", "n2/.b.fits", "m/a.fits", ".n3/a.fits"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    assert expand("n*/*.fits") == ["n1/a.fits", "n2/a.fits"]
    assert expand("../" + folder.name + "/n?/a.fits") == [
        f"../{folder.name}/n{i}/a.fits" for i in (1, 2)
    ]
    assert expand("*.fits") == expand("a.fits/*") == expand("none/*") == []
    assert expand("n2/.*.fits") == ["n2/.b.fits"]


def test_link_for_the_library_is_gone_afterwards_even_in_a_dotted_path(folder, monkeypatch):
    scratch = folder / "tmp"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    (folder / "a[1]" / "in").mkdir(parents=True)
    (folder / "link").symlink_to(folder / "a[1]" / "in")
    write(folder / "a[1]" / "x.fits", 2.0)
    odd = Path("link") / ".." / "x.fits"  # the parent of the link's target
    assert read(odd) == [2.0] * 3
    with library_name(Path("a[1]/x.fits")) as name:
        assert Path(name).parent.parent == scratch
        assert os.path.samefile(name, "a[1]/x.fits")
    assert list(scratch.iterdir()) == []


def test_folder_for_temporary_files_may_have_an_odd_name_too(folder, monkeypatch):
    (folder / "t[1]").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "t[1]"))
    (folder / "s[2]").mkdir()
    write(folder / "s[2]" / "a.fits", 3.0)
    assert read(folder / "s[2]" / "a.fits") == [3.0] * 3
    monkeypatch.setattr("bayes_ddp.files.paths._usable", lambda folder: False)
    with pytest.raises(BadFileError, match="Set TMPDIR to a folder with a plain name"):
        read(folder / "s[2]" / "a.fits")


@pytest.mark.parametrize("stem", ["x" * 250, "α" * 125])
def test_long_name_can_be_written(tmp_path, stem):
    with atomic_write(tmp_path / f"{stem}.nc") as temporary:
        temporary.write_text("a")
    assert (tmp_path / f"{stem}.nc").read_text() == "a"
