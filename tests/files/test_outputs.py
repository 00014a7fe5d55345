"""A file is ours as it was written, and not after any change; no other file is."""

import io
import os

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from matplotlib.figure import Figure
from matplotlib.image import imread

from bayes_ddp.files.checksums import verify_checksums
from bayes_ddp.files.errors import BadFileError, OutputError
from bayes_ddp.files.outputs import (
    PAGE_LINE,
    check_apart,
    check_replaceable,
    is_ours,
    write_fits,
    write_page,
    write_png,
    write_text,
)


def png():
    data = io.BytesIO()
    Figure(figsize=(1, 1)).savefig(data, format="png")
    return data.getvalue()


def hdus():
    table = fits.BinTableHDU(Table({"A": np.arange(4.0), "B": list("wxyz")}), name="CATALOGUE")
    table.add_checksum()
    return fits.HDUList([fits.PrimaryHDU(), table])


@pytest.fixture
def written(tmp_path):
    """One file of each kind."""
    write_fits(tmp_path / "a.fits", hdus())
    write_text(tmp_path / "a.toml", 'name = "Å"\n')
    write_png(tmp_path / "a.png", png())
    write_page(tmp_path / "a.md", f"# A\n\n{PAGE_LINE}\n")
    return sorted(tmp_path.iterdir())


def test_what_was_written_is_ours_and_may_be_written_again(written):
    assert len(written) == 4 and all(map(is_ours, written))
    before = [path.read_bytes() for path in written]
    write_fits(written[0], hdus())
    write_text(written[3], 'name = "Å"\n')
    write_png(written[2], png())
    assert [path.read_bytes() for path in written][2:] == before[2:]
    assert fits.getheader(written[0])["CREATOR"].startswith("bayes_ddp ")
    assert verify_checksums(written[0]) == 1
    assert imread(written[2]).shape[2] == 4  # a PNG as before


@pytest.mark.parametrize("kind", ["fits", "toml", "png"])
def test_every_change_makes_it_the_user_s(written, tmp_path, kind):
    """Bytes at random beyond the mark's own block, lines added, the end cut off."""
    path = tmp_path / f"a.{kind}"
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    first = {"fits": 2880, "toml": 0, "png": 0}[kind]
    for place in rng.integers(first, len(whole), 60):
        changed = bytearray(whole)
        changed[place] ^= int(rng.integers(1, 256))
        path.write_bytes(changed)
        assert not is_ours(path), place
    for changed in (whole + b"x", whole[:-1], b"", b"\n" + whole):
        path.write_bytes(changed)
        assert not is_ours(path)
        with pytest.raises(OutputError, match="was not written by this program or was changed"):
            check_replaceable([path])
    path.write_bytes(whole)
    check_replaceable([path])


def test_catalogue_that_the_user_edited_is_no_longer_ours(tmp_path):
    path = tmp_path / "a.fits"

    def again():
        path.unlink(missing_ok=True)
        write_fits(path, hdus())

    again()
    table = Table.read(path)
    table["NOTE"] = "mine"
    table.write(path, overwrite=True)
    assert not is_ours(path)
    again()
    with fits.open(path, mode="update", checksum=True) as file:  # sorted, checksums anew
        file[1].data = file[1].data[::-1].copy()
    verify_checksums(path)
    assert not is_ours(path)
    again()
    fits.setval(path, "REMARK", value="mine", ext=1)
    assert not is_ours(path)


def test_files_of_others_are_not_ours(tmp_path):
    for name, data in (("a.png", png()), ("a.toml", b"a = 1\n"), ("a.md", b"# A\n"), ("b", b"")):
        (tmp_path / name).write_bytes(data)
    hdus().writeto(tmp_path / "a.fits")
    (tmp_path / "folder.fits").mkdir()
    (tmp_path / "broken.fits").write_bytes(b"SIMPLE  = no")
    (tmp_path / "weights.safetensors").write_bytes(b"")
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere")
    for path in tmp_path.iterdir():
        assert not is_ours(path), path
        with pytest.raises(OutputError, match="Move it, or choose another output"):
            check_replaceable([path])
    check_replaceable([tmp_path / "new.fits", tmp_path / "link" / "new.png"])
    for name in ("a\nb.toml", "\udcff.toml"):
        with pytest.raises(BadFileError, match="refused as a file name"):
            check_replaceable([tmp_path / name])


def test_write_protected_file_is_left_alone(written):
    written[0].chmod(0o444)
    with pytest.raises(OutputError, match="write-protected"):
        check_replaceable(written)


def test_files_of_a_model_are_ours_as_their_card_says(models, tmp_path):
    for folder in models.iterdir():
        for path in folder.iterdir():
            assert is_ours(path) or path.name == "train.toml", path
    for name in ("card.toml", "spectra.safetensors"):
        (tmp_path / name).write_bytes((models / "held-out" / name).read_bytes())
    assert is_ours(tmp_path / "card.toml")
    (tmp_path / "spectra.safetensors").write_bytes(b"mine")
    assert not is_ours(tmp_path / "card.toml") and not is_ours(tmp_path / "spectra.safetensors")


def test_input_is_known_by_any_name_or_link(tmp_path, monkeypatch):
    folder, other = tmp_path / "a", tmp_path / "b"
    folder.mkdir(), other.mkdir()
    catalogue = folder / "catalogue.fits"
    catalogue.touch()
    (other / "soft.fits").symlink_to(catalogue)
    os.link(catalogue, other / "hard.fits")
    (tmp_path / "folder").symlink_to(folder)
    monkeypatch.chdir(other)
    same = ["../a/catalogue.fits", "soft.fits", other / "hard.fits", "../folder/catalogue.fits"]
    for name in same:
        with pytest.raises(OutputError, match="is the same file as the input"):
            check_apart([folder / "catalogue.fits"], ["none.fits", name])
    (other / "copy.fits").touch()
    check_apart([catalogue, folder / "run.toml"], ["none.fits", "copy.fits", "../a"])
