"""README and docs hold: Python of the README is executed, commands exist, links resolve."""

import re
import shlex
from pathlib import Path

import pytest

from bayes_ddp import config
from bayes_ddp.cli import app
from bayes_ddp.commands.demo import RUN, simulate_files

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    "README.md",
    "CHANGELOG.md",
    "docs/architecture.md",
    "docs/data.md",
    "docs/method.md",
    "docs/mock.md",
    "docs/results.md",
    "docs/tables.md",
]
README = (ROOT / "README.md").read_text()
FIGURES = {"README.md": "demo", "docs/results.md": "lamost"}
"""Page -> name of the marked block in which its measured figures stand."""


def blocks(language: str, text: str = README) -> list[str]:
    """Code blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """Every shell line of README and docs, also those that are indented instead of fenced."""
    lines = []
    for text in [(ROOT / page).read_text() for page in PAGES]:
        lines += [line for block in blocks("shell", text) for line in block.splitlines()]
        lines += re.findall(r"^ {4}((?:make|bayes-ddp) .*)$", text, re.MULTILINE)
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
    assert len(names["table"]) == 1 and (clone / "one-star" / "catalogue.fits").is_file()
    assert names["likelihood_precision"].shape == (1, 15, 15)
    assert names["posterior"].names[:2] == ("teff", "logg") and names["figure"].axes
    assert "RawSpectra of table" in capsys.readouterr().out


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


@pytest.mark.parametrize("page", FIGURES)
def test_figures_stand_in_marked_blocks(page):
    text = (ROOT / page).read_text()
    assert text.count(f"<!-- figures: {FIGURES[page]} -->") == 1
    assert text.count("<!-- figures:") == text.count("<!-- /figures -->") == 1
    outside = re.sub(r"<!-- figures.*?<!-- /figures -->", "", text, flags=re.DOTALL)
    assert "FILL-ME" not in outside and "```text" not in outside


def test_readme_is_short():
    assert len(README.splitlines()) < 250


def test_run_file_of_the_demo_is_the_one_the_package_writes():
    assert (ROOT / "runs" / "demo" / "run.toml").read_text() == RUN
