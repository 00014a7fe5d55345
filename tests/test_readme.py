"""The README runs: its Python is executed, its commands and options exist, its links resolve."""

import re
import shlex
from pathlib import Path

import pytest

from bayes_ddp import config
from bayes_ddp.cli import app
from bayes_ddp.commands.demo import RUN, simulate_files

ROOT = Path(__file__).resolve().parent.parent
PAGES = ["README.md", "CHANGELOG.md", "docs/method.md", "docs/data.md"]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """Code blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """Every shell line of the README, also those that are indented instead of fenced."""
    lines = [line for block in blocks("shell") for line in block.splitlines()]
    lines += re.findall(r"^ {4}(make .*)$", README, re.MULTILINE)
    return [line for line in lines if line.strip()]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A folder that has what ``make demo`` leaves for the README's examples, with two stars."""
    folder = tmp_path_factory.mktemp("clone")
    simulate_files(folder / "runs" / "demo" / "output" / "simulated", stars=2, seed=1)
    return folder


def test_python_of_the_readme_runs(clone, monkeypatch, capsys):
    monkeypatch.chdir(clone)
    names = {"__name__": "readme"}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    table = names["outcome"].table
    assert len(table) == 1 and (clone / "one-star" / "catalogue.fits").is_file()
    assert names["covariance"].shape == (1, 15, 15)
    assert "LTE-1D uncalibrated" in capsys.readouterr().out


def test_run_file_of_the_readme_is_valid(clone):
    import tomllib

    (block,) = blocks("toml")
    run = config.parse(tomllib.loads(block), source="README.md", base=clone)
    assert len(run.input.spectra) == 1
    assert run.prior["vmic"].kind == "truncated_normal"


@pytest.mark.parametrize("line", [c for c in commands() if c.startswith("bayes-ddp")])
def test_command_of_the_readme_is_understood(line):
    _, _, ignored = app.parse_args(
        shlex.split(line)[1:], exit_on_error=False, print_error=False
    )  # raises for unknown commands and options
    assert not ignored


def test_targets_of_the_readme_are_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text()
    asked = {c.split()[1] for c in commands() if c.startswith("make")}
    assert {"demo", "test", "models", "physics"} <= asked
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in asked)


def test_shell_lines_are_commands_of_this_project():
    assert all(c.split()[0] in ("make", "bayes-ddp") for c in commands())


@pytest.mark.parametrize("page", PAGES)
def test_links_resolve(page):
    path = ROOT / page
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_figures_stand_in_marked_blocks():
    for name in ("demo", "lamost"):
        assert README.count(f"<!-- figures: {name} -->") == 1
    assert README.count("<!-- figures:") == README.count("<!-- /figures -->")
    outside = re.sub(r"<!-- figures.*?<!-- /figures -->", "", README, flags=re.DOTALL)
    assert "FILL-ME" not in outside and "```text" not in outside


def test_run_file_of_the_demo_is_the_one_the_package_writes():
    assert (ROOT / "runs" / "demo" / "run.toml").read_text() == RUN
