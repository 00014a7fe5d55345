"""Names of stars and files from the input to the catalogue, whatever letters they have.

The stars have no velocity and are not fitted, so that a run takes a second; their names go through
reader, parts, catalogue and comparison all the same.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from bayes_ddp import cli
from bayes_ddp.catalog.fits import read_catalogue
from bayes_ddp.config import ConfigError
from bayes_ddp.files.errors import BadFileError
from bayes_ddp.tables.match import match_rows
from bayes_ddp.tables.read import read_columns

WAVE = np.arange(4000.0, 6000.0, 2.0)
NAMES = [
    "α Cen",
    "β Cen",
    "HD 1 ",
    " HD 2",
    "x" * 300,
    "é" * 300,
    "back\\slash",
    "\\u03b1 Cen",
    "a$b$\\frac{",
    "星",
    "a|b",
    "#2",
    "'",
    "tab\t1",
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(folder, files="stars.*", key="Star"):
    """The catalogue of a run of tables whose stars have their names under ``key``."""
    name = "" if key is None else f"name = {json.dumps(key)}\n"
    (folder / "run.toml").write_text(
        f'schema = 1\n[input]\nsurvey = "table"\nspectra = "{files}"\n[input.table]\n'
        f'air = false\nfwhm = 3.0\nvrad = nan\n{name}[emulator]\nname = "desi-physics"\n',
        encoding="utf-8",
    )
    cli.app(["run", str(folder / "run.toml"), "--quiet"], result_action="return_value")
    return read_catalogue(folder / "output" / "catalogue.fits")


def arrays(count):
    flux = np.random.default_rng(1).normal(1.0, 0.01, (count, WAVE.size))
    return {"wave": WAVE, "flux": flux, "ivar": np.full(flux.shape, 1e4)}


def save(path, names, key="Star"):
    if path.suffix == ".npz":
        np.savez(path, **arrays(len(names)), **{key: names})
        return
    content = {name: values for name, values in arrays(len(names)).items() if name != "wave"}
    table = Table(content | {"wave": np.tile(WAVE, (len(names), 1)), key: names})
    table.write(path.absolute())


@pytest.mark.parametrize("suffix", ["npz", "ecsv"])
def test_names_are_those_of_the_input(folder, suffix):
    """Blanks around a name do not count, nor those that FITS would cut off."""
    save(folder / f"stars.{suffix}", np.array(NAMES))
    table = run(folder)
    wanted = [name.strip() for name in NAMES]
    assert table["NAME"].tolist() == table["STAR"].tolist() == wanted
    with fits.open(folder / "output" / "catalogue.fits", checksum=True) as file:
        stored = file["CATALOGUE"].data["NAME"].tolist()
    assert len(set(stored)) == len(NAMES) and stored[0] == "\\u03b1 Cen"
    assert stored[6:8] == ["back\\\\slash", "\\\\u03b1 Cen"]
    content = read_columns(folder / "output" / "catalogue.fits")
    other = {"name": np.array(wanted[::-1])}
    match = match_rows(content, other)
    assert (match.ours + match.theirs == len(NAMES) - 1).all() and len(match.ours) == len(NAMES)


def test_star_without_a_name_has_that_of_its_file(folder):
    save(folder / "stars.npz", np.array(["a", "", "  ", "b"]))
    table = run(folder)
    assert table["NAME"].tolist() == ["a", "stars-00001", "stars-00002", "b"]
    assert table["STAR"].tolist() == ["a", "", "", "b"]


def test_numbers_are_names_too(folder):
    save(folder / "stars.npz", np.array([7, 8], np.int8))
    table = run(folder)
    assert table["NAME"].tolist() == ["7", "8"] and table["STAR"].tolist() == [7, 8]


@pytest.mark.parametrize("name", ["a\0b", "a\udc80"])
def test_name_that_no_file_can_hold_is_refused_before_the_run(folder, name):
    save(folder / "stars.npz", np.array(["plain", name]))
    with pytest.raises(BadFileError, match=r"stars\.npz: The name .* cannot be written"):
        run(folder)
    assert not (folder / "output" / "catalogue.fits").exists()


@pytest.mark.parametrize("key", ["Étoile", "star\nname", " star", "x" * 65, "ﬁ" * 40])
def test_name_of_a_column_that_fits_cannot_hold_is_refused_before_the_run(folder, key):
    save(folder / "stars.npz", np.array(["a", "b"]), key="Star")
    with pytest.raises(ConfigError, match=r"\[input.table\]: .* name of a column in FITS.*Rename"):
        run(folder, key=key)
    assert not (folder / "output").exists()


@pytest.mark.parametrize("key", ["name", "TEFF", "srcfile", "warn", "star name", "a'b*?"])
def test_name_of_a_column_may_be_one_of_ours_or_have_blanks(folder, key):
    save(folder / "stars.npz", np.array(["α", "β"]), key=key)
    table = run(folder, key=key)
    assert table["NAME"].tolist() == ["α", "β"]
    if key != "srcfile":
        own = f"{key.upper()}_IN"
        assert table[own if own in table.colnames else key.upper()].tolist() == ["α", "β"]


@pytest.mark.parametrize("stem", ["α Cen", "sp(1) [x]", "y" * 245, "é" * 120, "{%}~"])
def test_file_of_any_name_is_named_in_the_catalogue(folder, stem):
    save(folder / f"{stem}.npz", np.array(["a", "b"]))
    table = run(folder, files="*.npz", key=None)
    assert table["NAME"].tolist() == [f"{stem}-00000", f"{stem}-00001"]
    assert table["SRCFILE"].tolist() == [f"{stem}.npz"] * 2


def test_name_of_a_file_that_is_no_text_is_refused_before_the_run(folder):
    save(folder / "a.npz", np.array(["a", "b"]))
    os.rename(b"a.npz", b"a\xff.npz")
    with pytest.raises(BadFileError, match="no UTF-8"):
        run(folder, files="*.npz")
    assert not Path("output").exists()
