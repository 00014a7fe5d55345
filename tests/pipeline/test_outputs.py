"""What a run leaves alone: files of the user, inputs, and results made with other settings.

Stars are fitted once, for the finished run that the tests copy. What must be refused is refused
before a star is fitted, and runs without velocities fit none, so that each test takes a second.
"""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from bayes_ddp import cli
from bayes_ddp.catalog.fits import read_catalogue
from bayes_ddp.commands.demo import simulate_files
from bayes_ddp.files.errors import OutputError
from bayes_ddp.files.outputs import write_fits
from bayes_ddp.inference.parts import find_parts, read_draws
from bayes_ddp.pipeline import run as pipeline

STARS = 2
FIT = ["--spectra", "coadd-demo.fits", "--emulator", "desi-physics", "--sampler", "map"]
RUN = """\
schema = 1
[input]
survey = "desi"
spectra = "coadd-*.fits"
{catalog}
[emulator]
name = "desi-physics"
[sampler]
kind = "map"
[output]
directory = "out"
pictures = false
"""
MINE = b"the user's own\n"


def command(*words):
    cli.app([*map(str, words), "--quiet"], result_action="return_value")


def refused(message, *words):
    """The command fails with this message, and no file changes, comes or goes."""
    before = tree(Path.cwd())
    with pytest.raises(OutputError, match=message):
        command(*words)
    assert tree(Path.cwd()) == before


def tree(folder):
    """Path -> (bytes, time of change) of every file and link; paths of folders."""
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns) if path.is_file() else os.path.lexists
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """A folder with a coadd of two stars and their velocities."""
    folder = tmp_path_factory.mktemp("simulated")
    simulate_files(folder, stars=STARS, seed=3)
    return folder


@pytest.fixture(scope="module")
def done(simulated, tmp_path_factory):
    """The simulated files, a run file, and its finished run with labels and draws."""
    folder = tmp_path_factory.mktemp("done")
    shutil.copytree(simulated, folder, dirs_exist_ok=True)
    (folder / "run.toml").write_text(RUN.format(catalog='catalog = "rvs-demo.fits"'))
    command("run", folder / "run.toml")
    assert np.isfinite(np.asarray(read_catalogue(folder / "out/catalogue.fits")["TEFF"])).any()
    return folder


@pytest.fixture
def finished(done, tmp_path, monkeypatch):
    """A copy of the finished run, moved with its inputs to another place, as current folder."""
    shutil.copytree(done, tmp_path / "copy", copy_function=shutil.copy2)
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def fresh(simulated, tmp_path, monkeypatch):
    """The simulated files alone, as current folder, with a run file that fits no star."""
    shutil.copytree(simulated, tmp_path / "copy")
    (tmp_path / "copy" / "run.toml").write_text(RUN.format(catalog=""))
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize("kind", ["itself", "soft link", "hard link", "input is a link"])
def test_catalogue_of_velocities_is_not_replaced_by_the_result(fresh, kind):
    """Velocities in a file catalogue.fits, and the result into the same folder."""
    velocities = fresh / "rvs-demo.fits"
    if kind == "itself":
        velocities = velocities.rename(fresh / "catalogue.fits")
    elif kind == "soft link":
        (fresh / "catalogue.fits").symlink_to(velocities)
    elif kind == "hard link":
        os.link(velocities, fresh / "catalogue.fits")
    else:
        velocities.rename(fresh / "catalogue.fits")
        velocities.symlink_to(fresh / "catalogue.fits")
    refused("same file as the input", "fit", *FIT, "--catalog", velocities.name, "--output", ".")


def test_spectra_and_redshifts_are_not_replaced_by_the_result(fresh):
    (fresh / "coadd-demo.fits").rename(fresh / "catalogue.fits")
    words = ["--emulator", "desi-physics", "--output", fresh]
    refused("same file as the input", "fit", "--spectra", "catalogue.fits", *words)
    refused("same file as the input", "fit", "--spectra", "cat*.fits", *words)
    (fresh / "catalogue.fits").rename(fresh / "coadd-demo.fits")
    (fresh / "rvs-demo.fits").rename(fresh / "catalogue.fits")
    refused("same file", "fit", *FIT, "--redshifts", "catalogue.fits", "--output", ".")


@pytest.mark.parametrize(
    "name", ["catalogue.fits", "run.toml", "pictures/fit.png", "pictures/corner.png"]
)
@pytest.mark.parametrize("link", [False, True])
def test_file_of_the_user_in_the_output_folder_is_not_replaced(fresh, name, link):
    """A link that leads nowhere is a file of the user too."""
    path = fresh / "out" / name
    path.parent.mkdir(parents=True)
    path.symlink_to(fresh / "unmounted" / "disk") if link else path.write_bytes(MINE)
    refused("was not written by this program or was changed since", "fit", *FIT, "--output", "out")
    refused("was not written", "fit", *FIT, "--output", "out", "--overwrite")


def test_hand_written_run_file_in_the_output_folder_is_not_replaced(fresh):
    text = RUN.format(catalog="").replace('"out"', '"."') + "# my notes\n"
    (fresh / "run.toml").write_text(text)
    refused("run.toml exists, and was not written", "run", "run.toml")
    command("run", "run.toml", "--output", "elsewhere")
    assert len(read_catalogue(fresh / "elsewhere" / "catalogue.fits")) == STARS


def test_resolved_run_file_repeats_its_run_until_it_is_edited(finished):
    before = (finished / "out" / "catalogue.fits").read_bytes()
    command("run", "run.toml")
    command("run", "out/run.toml")
    assert (finished / "out" / "catalogue.fits").read_bytes() == before
    with (finished / "out" / "run.toml").open("a") as stream:
        stream.write("# my notes\n")
    refused("run.toml exists, and was not written", "run", "out/run.toml")


def test_same_run_again_changes_nothing_even_where_the_folder_has_moved(finished):
    before = tree(finished / "out")
    command("run", "run.toml")
    after = tree(finished / "out")
    assert before.keys() == after.keys()
    resolved = finished / "out" / "run.toml"
    assert str(finished) in resolved.read_text()
    for path in before.keys() - {resolved}:
        assert before[path] == after[path] or before[path][0] == after[path][0]
    (part,) = find_parts(finished / "out" / "draws")
    assert before[part] == after[part]  # read, not written


@pytest.mark.parametrize(
    "words",
    [
        ["--wave", "4500", "8000"],
        ["--minsn", "1"],
        ["--spectype", "any"],
        ["--targetid", "1"],
    ],
)
def test_other_settings_do_not_replace_a_finished_catalogue(finished, words):
    refused(f"was made with other settings: input.{words[0][2:]}", "run", "run.toml", *words)


def test_changed_run_file_does_not_replace_a_finished_catalogue(finished):
    text = (finished / "run.toml").read_text()
    changes = {
        'catalog = "rvs-demo.fits"': ("", "input.catalog was .* and is not set"),
        'kind = "map"': ('kind = "exact"', "sampler.kind was 'map' and is 'exact'"),
        "schema = 1": ("schema = 1\nseed = 2", "seed was 1 and is 2"),
        "pictures": ("draws = false\npictures", "output.draws was True and is False"),
        "[output]": ('[prior.vmic]\nkind = "fixed"\nvalue = 1.5\n[output]', "prior.vmic.kind"),
        "desi-physics": ("lamost-physics", "emulator.name"),
    }
    for old, (new, message) in changes.items():
        (finished / "run.toml").write_text(text.replace(old, new))
        refused(message, "run", "run.toml")
    shutil.copy(finished / "coadd-demo.fits", finished / "b.fits")
    (finished / "run.toml").write_text(text.replace("coadd-*.fits", "b.fits"))
    refused(r"input.spectra was .*coadd-demo.fits", "run", "run.toml")
    (finished / "run.toml").write_text(text)
    (finished / "out" / "run.toml").unlink()
    refused("no run.toml with its settings is beside it", "run", "run.toml")


def test_repeating_without_velocities_loses_neither_labels_nor_draws(finished):
    """The same by the command fit, whose run file is that of the run."""
    refused("input.catalog was", "fit", *FIT, "--output", "out")
    assert len(read_draws(finished / "out" / "draws").star) == STARS


def test_velocities_that_are_gone_from_the_same_file_lose_nothing(finished):
    """The settings are the same, and the catalogue has other targets now."""
    with fits.open("rvs-demo.fits") as file:
        data = file["RVTAB"].data.copy()
    data["TARGETID"] += 1000
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(data, name="RVTAB")])
    hdus.writeto("rvs-demo.fits", overwrite=True)
    before = tree(finished / "out")
    with pytest.raises(OutputError, match=r"No spectrum was fitted now, and .* has labels of 2"):
        command("run", "run.toml")
    after = tree(finished / "out")
    assert {p: v[0] for p, v in before.items() if p.suffix in (".nc", ".fits")} == {
        p: v[0] for p, v in after.items() if p.suffix in (".nc", ".fits")
    }
    command("run", "run.toml", "--overwrite")
    assert not np.isfinite(np.asarray(read_catalogue("out/catalogue.fits")["TEFF"])).any()
    assert not (finished / "out" / "draws").exists()


def test_overwrite_replaces_what_the_program_made_and_nothing_else(finished):
    draws = finished / "out" / "draws"
    (part,) = find_parts(draws)
    shutil.copy(part, draws / "my copy.nc")
    for name in ("notes.txt", "notes.nc", "a-0123456789ab.nc"):
        (draws / name).write_bytes(MINE)
    (draws / "folder").mkdir()
    own = {path.name for path in draws.iterdir()} - {part.name}
    text = (finished / "run.toml").read_text().replace("[output]", "[output]\ndraws = false")
    (finished / "run.toml").write_text(text.replace('catalog = "rvs-demo.fits"', ""))
    command("run", "run.toml", "--overwrite")
    assert {path.name for path in draws.iterdir()} == own
    assert (draws / "notes.nc").read_bytes() == MINE
    assert not np.isfinite(np.asarray(read_catalogue("out/catalogue.fits")["TEFF"])).any()


def test_run_that_fits_nothing_leaves_the_draws_of_an_unfinished_one(finished):
    (finished / "out" / "catalogue.fits").unlink()
    (part,) = find_parts(finished / "out" / "draws")
    (finished / "run.toml").write_text(RUN.format(catalog=""))
    command("run", "run.toml")
    assert find_parts(finished / "out" / "draws") == [part]


def test_folder_of_draws_that_is_a_link_stays(fresh):
    (fresh / "disk").mkdir()
    (fresh / "out").mkdir()
    (fresh / "out" / "draws").symlink_to(fresh / "disk")
    command("run", "run.toml")
    assert (fresh / "out" / "draws").is_symlink() and (fresh / "disk").is_dir()


def test_edited_catalogue_is_not_replaced(finished):
    path = finished / "out" / "catalogue.fits"
    table = Table.read(path)
    table["NOTE"] = "mine"
    table.write(path, overwrite=True)
    refused("was changed since", "run", "run.toml")
    refused("was changed since", "run", "run.toml", "--overwrite")


def test_more_files_go_into_a_finished_catalogue(fresh):
    command("run", "run.toml")
    shutil.copy(fresh / "coadd-demo.fits", fresh / "coadd-a.fits")
    command("run", "run.toml")
    assert len(read_catalogue(fresh / "out" / "catalogue.fits")) == 2 * STARS
    (fresh / "coadd-a.fits").unlink()
    refused("input.spectra was", "run", "run.toml")
    command("run", "run.toml", "--overwrite")
    assert len(read_catalogue(fresh / "out" / "catalogue.fits")) == STARS


def test_own_files_that_are_inputs_are_not_replaced(fresh):
    """A file with the program's mark is replaced, unless it is an input."""
    (fresh / "out").mkdir()
    with fits.open("rvs-demo.fits") as file:
        write_fits(fresh / "out" / "catalogue.fits", fits.HDUList([hdu.copy() for hdu in file]))
    words = ["--catalog", "out/catalogue.fits", "--output", "out", "--overwrite"]
    refused("same file as the input", "fit", *FIT, *words)


def test_python_is_protected_as_the_command_is(finished):
    from bayes_ddp import config

    run = config.choose(config.load(finished / "run.toml"), {"minsn": 1.0})
    with pytest.raises(OutputError, match=r"input\.minsn was not set and is 1\.0"):
        pipeline.run(run)
