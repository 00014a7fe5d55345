"""The wheel works where the clone is not: its data travel with it, its command fits a star.

The environment of these tests lends its dependencies to an otherwise empty one through a path
file. Path files inside a lent folder are not followed, so the clone's editable install stays out.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import fitsio
import numpy as np
import pytest

from bayes_ddp.commands.demo import RUN


def run(*command: str | Path, cwd: Path) -> str:
    """Standard output of a command that must succeed, started outside the clone's environment."""
    inherited = ("HOME", "LANG", "PATH", "TMPDIR", "BAYES_DDP_CACHE")
    clean = {name: os.environ[name] for name in inherited if name in os.environ}
    clean["MPLCONFIGDIR"] = str(cwd)
    done = subprocess.run(
        [str(part) for part in command],
        check=False,
        cwd=cwd,
        env=clean,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def installed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment that holds the wheel and borrows its dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=root)
    (wheel,) = folder.glob("bayes_ddp-*.whl")

    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    binaries = folder / "venv" / "bin"
    install = "install --quiet --no-deps --no-index --disable-pip-version-check".split()
    run(sys.executable, "-m", "pip", "--python", binaries / "python", *install, wheel, cwd=folder)
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(run(binaries / "python", "-c", where, cwd=folder).strip())
    lent = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "lent.pth").write_text("\n".join(sorted(lent)) + "\n")
    return binaries


def test_wheel_imports_from_its_own_place(installed, tmp_path):
    where = "import bayes_ddp; print(bayes_ddp.__file__, bayes_ddp.__version__)"
    path, version = run(installed / "python", "-c", where, cwd=tmp_path).split()
    assert Path(path).is_relative_to(installed.parent)
    assert version == "0.1.0"


def test_wheel_carries_every_model(installed, models, tmp_path):
    listing = (
        "from importlib.resources import files; folder = files('bayes_ddp') / 'models'; "
        "print(*(path.relative_to(folder).as_posix() for path in folder.rglob('*')))"
    )
    carried = run(installed / "python", "-c", listing, cwd=tmp_path).split()
    shipped = [path.relative_to(models).as_posix() for path in models.rglob("*")]
    assert sorted(carried) == sorted(name for name in shipped if ".tmp" not in name)


def test_installed_package_loads_a_model_by_name(installed, tmp_path):
    load = "import bayes_ddp; print(*bayes_ddp.load_emulator('desi-physics').space.names)"
    names = run(installed / "python", "-c", load, cwd=tmp_path).split()
    assert names[0] == "teff" and len(names) == 15


def test_installed_command_describes_a_model_by_name(installed, tmp_path):
    assert "fit" in run(installed / "bayes-ddp", "--help", cwd=tmp_path)
    assert "teff" in run(installed / "bayes-ddp", "info", "desi-physics", cwd=tmp_path)


def test_installed_command_fits_stars(installed, tmp_path):
    (tmp_path / "here").mkdir()
    quick = RUN.replace('kind = "exact"', 'kind = "map"')
    (tmp_path / "here" / "run.toml").write_text(quick)
    run(installed / "bayes-ddp", "demo", "here", "--stars", "4", "--quiet", cwd=tmp_path)
    stars = fitsio.read(str(tmp_path / "here" / "output" / "catalogue.fits"), ext=1)
    sure = stars[stars["WARN"] == 0]
    assert len(stars) == 4
    assert len(sure) > 0
    assert np.all((sure["TEFF"] > 3_500) & (sure["TEFF"] < 8_500))
    assert np.all((sure["TEFF_ERR"] > 0) & (sure["TEFF_ERR"] < 500))
