"""The command line on terminals without UTF-8, with closed streams and with pipes that end."""

import os
import subprocess
import sys

import pytest
from astropy.table import Table

from bayes_ddp import cli
from bayes_ddp.commands.streams import run_command

COMMAND = [sys.executable, "-m", "bayes_ddp"]
ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
NO_UTF8 = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Runs a command within this process: (exit status, stdout, stderr), the texts as bytes."""

    def run(*words, encoding="ascii", out=None):
        paths = (out or tmp_path / "stdout", tmp_path / "stderr")
        stdout, stderr = (open(path, "w", encoding=encoding) for path in paths)
        with monkeypatch.context() as patch, stdout, stderr:
            patch.setattr(sys, "stdout", stdout)
            patch.setattr(sys, "stderr", stderr)
            with pytest.raises(SystemExit) as end:
                run_command(lambda: cli.app([*map(str, words)]))
                raise SystemExit(0)
        content = [b"" if path is out else path.read_bytes() for path in paths]
        return (end.value.code or 0, *content)

    return run


@pytest.mark.parametrize("environment", [ASCII, NO_UTF8])
def test_model_is_described_where_the_locale_has_ascii_only(environment):
    done = subprocess.run(
        [*COMMAND, "info", "desi-physics"],
        env=os.environ | environment,
        check=False,
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert "A vacuum" in done.stdout.decode("ascii")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_letters_stay_as_they_are_where_the_terminal_has_them(command, encoding):
    status, text, _ = command("info", "desi-physics", encoding=encoding)
    assert status == 0 and "Å vacuum" in text.decode(encoding)


def test_names_stay_different_on_any_terminal(command, tmp_path):
    """Names of files and columns, in results and in errors, in text and in JSON."""
    path = tmp_path / "β" / "t.ecsv"
    path.parent.mkdir()
    Table({"αβ": [1.0], "teff": [5000.0]}).write(path)
    status, text, _ = command("info", path)
    assert status == 0 and rb"\u03b1\u03b2" in text
    assert command("info", path, "--json")[0] == 0
    status, text, error = command("info", path.with_name("none.fits"))
    assert (status, text) == (1, b"")
    assert error.startswith(b"bayes-ddp: ") and rb"\u03b2" in error
    assert len(error.splitlines()) == 1
    status, _, error = command("info", "\udcff", encoding="utf-8")  # bytes that are no UTF-8
    assert status == 1 and rb"\udcff" in error


@pytest.mark.parametrize("name", ["", "run", "fit", "compare", "simulate", "train"])
def test_help_is_printed_on_any_terminal(command, name):
    status, text, error = command(*name.split(), "--help")
    assert (status, error) == (0, b"") and b"Usage" in text


def test_reader_that_goes_away_is_no_error(command, tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    assert command("info", "held-out", out=writing) == (0, b"", b"")


def test_full_disk_behind_stdout_is_one_sentence(command):
    status, _, error = command("info", "held-out", out="/dev/full")
    assert status == 1
    assert error.startswith(b"bayes-ddp: ") and len(error.splitlines()) == 1


@pytest.mark.parametrize("closed", ["1>&-", "0<&- 1>&- 2>&-"])
def test_closed_streams_are_no_error_and_get_into_no_file(tmp_path, closed):
    """A file that is written would be opened under the number of a closed stream."""
    words = ["bash", "-c", f'"$@" {closed}', "bash", *COMMAND, "docs", "--output", str(tmp_path)]
    done = subprocess.run(words, check=False, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    pages = list(tmp_path.iterdir())
    assert len(pages) == 3 and all(page.read_text().startswith("# ") for page in pages)
