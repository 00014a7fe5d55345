"""``train`` on a folder of one's own, and a fit with what it wrote."""

import json
from pathlib import Path

import pytest

from bayes_ddp import cli
from bayes_ddp.catalog.fits import read_catalogue

TRAIN = """\
[train]
kind = "PixelNetwork"
wave = [4900.0, 5600.0, 1.0]
fwhm = 2.0
epochs = 3
batch = 256
folds = 2
gradient_error = 0.1
"""


@pytest.mark.slow
def test_the_paper_s_network_is_trained_and_fits_a_real_star(
    models: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three epochs teach little; what is tested is that every step takes this network."""
    folder = tmp_path / "models" / "paper"
    folder.mkdir(parents=True)
    (folder / "train.toml").write_text(TRAIN)
    (tmp_path / "models" / "physics-lte").symlink_to(models / "physics-lte")
    words = ["train", "paper", "--models", str(folder.parent), "--json"]
    cli.app(words, result_action="return_value")
    figures = json.loads(capsys.readouterr().out)["paper"]
    assert figures["training"]["epochs"] == 3
    assert figures["validation"]["held_out"]["stars"] > 100
    file = data / "lamost_dr1" / "spec-55862-B6212_sp06-003.fits"
    words = ["fit", "--survey", "lamost", "--spectra", str(file), "--emulator", str(folder)]
    words += ["--output", str(tmp_path / "out"), "--quiet", "--sampler", "map"]
    cli.app(words, result_action="return_value")
    assert len(read_catalogue(tmp_path / "out" / "catalogue.fits")) == 1
