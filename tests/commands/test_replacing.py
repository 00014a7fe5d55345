"""What the commands beside ``run`` leave alone: files of the user, and another mock or model."""

import shutil

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from bayes_ddp import cli
from bayes_ddp.commands.demo import simulate_files
from bayes_ddp.commands.mock import simulate
from bayes_ddp.emulator.card import read_card
from bayes_ddp.emulator.error import write_mismatch
from bayes_ddp.emulator.physics.library import add_spectra
from bayes_ddp.emulator.physics.pack import StoredSpectra
from bayes_ddp.emulator.training import train_model
from bayes_ddp.files.errors import OutputError

MINE = b"the user's own\n"
NOT_OURS = "was not written by this program or was changed since"


def command(*words):
    cli.app([*map(str, words)], result_action="return_value")


def tree(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def mine(tmp_path):
    """Puts a file of the user in a place of the test's folder, and checks what is refused."""

    def put(name, action, message=NOT_OURS, content=MINE):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        before = tree(tmp_path)
        with pytest.raises(OutputError, match=message):
            action()
        assert tree(tmp_path) == before
        path.unlink()

    return put


@pytest.mark.parametrize(
    "name",
    ["mwsall-sim.fits", "photometry.fits", "truth.fits", "coadd-sim-000.fits", "run.toml"],
)
def test_mock_replaces_no_file_of_the_user(tmp_path, mine, name):
    mine(name, lambda: simulate(tmp_path, stars=5, spectra=2))
    words = ["simulate", "--stars", "5", "--spectra", "2", "--output", tmp_path, "--overwrite"]
    mine(name, lambda: command(*words))


def test_picture_of_the_user_is_noticed_before_a_mock_is_drawn(tmp_path, mine):
    mine("pictures/orbits.png", lambda: simulate(tmp_path, stars=5, check=True))


def test_another_mock_is_replaced_on_request_only(tmp_path):
    simulate(tmp_path, stars=20, seed=1, spectra=2)
    before = tree(tmp_path)
    simulate(tmp_path, stars=20, seed=1, spectra=2)
    assert tree(tmp_path) == before
    for changed, message in (
        ({"seed": 2}, "SEED is 1 there and 2 now"),
        ({"stars": 10}, "NSTARS is 20 there and 10 now"),
        ({"faint": 18.0}, "RFAINT"),
        ({"spectra": 1}, "spectra of 2 stars, and 1 are asked for"),
    ):
        with pytest.raises(OutputError, match=message):
            simulate(tmp_path, **({"stars": 20, "seed": 1, "spectra": 2} | changed))
    assert tree(tmp_path) == before
    with (tmp_path / "run.toml").open("a") as stream:
        stream.write("# my notes\n")
    with pytest.raises(OutputError, match=NOT_OURS):
        simulate(tmp_path, stars=20, seed=1, spectra=2, overwrite=True)
    (tmp_path / "run.toml").unlink()
    simulate(tmp_path, stars=20, seed=2, spectra=1, overwrite=True)
    assert fits.getheader(tmp_path / "truth.fits")["SEED"] == 2


@pytest.mark.parametrize(
    "name",
    [
        "simulated/coadd-demo.fits",
        "simulated/rvs-demo.fits",
        "simulated/truth.fits",
        "catalogue.fits",
        "run.toml",
        "pictures/recovery.png",
        "pictures/fit.png",
    ],
)
def test_demo_replaces_no_file_of_the_user(tmp_path, mine, root, name):
    command_words = ["demo", tmp_path / "d", "--stars", "1", "--quiet"]
    (tmp_path / "d").mkdir()
    shutil.copy(root / "runs/demo/run.toml", tmp_path / "d")
    mine(f"d/output/{name}", lambda: command(*command_words))


def test_files_that_the_demo_simulates_are_replaced_by_the_demo_alone(tmp_path, mine):
    simulate_files(tmp_path, stars=1, seed=1)
    simulate_files(tmp_path, stars=1, seed=2)
    mine("truth.fits", lambda: simulate_files(tmp_path, stars=1, seed=2))


def test_pictures_of_info_compare_and_mismatch_replace_no_file_of_the_user(tmp_path, mine):
    table = Table({"TARGETID": [1, 2], "TEFF": [5000.0, 5100.0]})
    table.write(tmp_path / "a.fits")
    picture = tmp_path / "a.png"
    compare = ["compare", tmp_path / "a.fits", tmp_path / "a.fits", "--output", picture]
    mine("a.png", lambda: command(*compare))
    mine("a.png", lambda: command("info", "desi-physics", "--output", picture))
    simulate_files(tmp_path, stars=1, seed=1)
    (tmp_path / "run.toml").write_text(
        'schema = 1\n[input]\nsurvey = "desi"\nspectra = "coadd-demo.fits"\n'
        '[emulator]\nname = "desi-physics"\n[output]\ndirectory = "."\n'
    )
    mine("pictures/mismatch.png", lambda: command("mismatch", tmp_path / "run.toml"))
    mismatch = ["mismatch", tmp_path / "run.toml", "--output", picture]
    mine("a.png", lambda: command(*mismatch))
    with pytest.raises(ValueError, match=r"ends in \.png"):
        command(*mismatch[:-1], tmp_path / "a.pdf")


@pytest.mark.parametrize("name", ["labels.md", "catalogue.md", "flags.md"])
def test_pages_replace_no_file_of_the_user(tmp_path, mine, name):
    mine(name, lambda: command("docs", "--output", tmp_path))


def test_training_replaces_only_a_model_of_this_program(tmp_path, mine, models):
    shutil.copy(models / "desi-physics" / "train.toml", tmp_path)
    for name in ("weights.safetensors", "card.toml"):
        mine(name, lambda: train_model(tmp_path, tmp_path / "none"))
    shutil.copy(models / "desi-physics" / "card.toml", tmp_path)
    mine("weights.safetensors", lambda: train_model(tmp_path, tmp_path / "none"))


def test_mismatch_replaces_only_one_that_the_card_knows(tmp_path, mine, models):
    for name in ("weights.safetensors", "card.toml"):
        shutil.copy(models / "desi-physics" / name, tmp_path)
    spectrum = np.full(3, 0.01)
    mine("mismatch.safetensors", lambda: write_mismatch(tmp_path, spectrum, {}))
    write_mismatch(tmp_path, spectrum, {"stars": 1})
    write_mismatch(tmp_path, spectrum, {"stars": 2})
    assert read_card(tmp_path)["mismatch"] == {"pixels": 3, "stars": 2}


@pytest.mark.parametrize("name", ["index.csv", "spectra.safetensors"])
def test_pack_of_physical_spectra_replaces_no_file_of_the_user(tmp_path, mine, name, monkeypatch):
    new = StoredSpectra.empty()
    monkeypatch.setattr(StoredSpectra, "take", lambda self, spectra: new)
    monkeypatch.setattr("bayes_ddp.emulator.physics.library.read_spectrum", lambda path: None)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "g_1.npz").touch()
    pack, held = tmp_path / "pack", tmp_path / "held"
    mine(f"pack/{name}", lambda: add_spectra([tmp_path / "new"], pack, held))
