"""Plants one fault at a time in a copy of the project and runs the tests that must notice it.

    python tests/mutants.py [NAME...] [--list]

The list is mutants.toml: the name of the fault, the file, a text that stands once in it, what
replaces the text, and the tests of which one must fail. A fault that no test notices survives, and
the exit status is 1. First every named test runs on the unchanged copy, where it must pass. Names
choose faults by a part of their name.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FAILED = 1  # pytest's exit status: tests ran, and some failed
LONGEST = 900.0  # seconds; a fault may turn a loop into an endless one


@dataclass(frozen=True)
class Mutant:
    """One fault: ``text`` in ``file`` becomes ``replacement``; one of ``tests`` must fail."""

    name: str
    file: str
    text: str
    replacement: str
    tests: tuple[str, ...]


def read_mutants(path: Path = ROOT / "tests" / "mutants.toml") -> list[Mutant]:
    """Every fault of the list; raises ValueError for one that cannot be planted."""
    with open(path, "rb") as stream:
        rows = tomllib.load(stream)["mutant"]
    mutants = [Mutant(**{**row, "tests": tuple(row["tests"])}) for row in rows]
    for mutant in mutants:
        count = (ROOT / mutant.file).read_text().count(mutant.text)
        if count != 1:
            raise ValueError(f"{mutant.name}: its text stands {count} times in {mutant.file}.")
        if mutant.text == mutant.replacement or not mutant.tests:
            raise ValueError(f"{mutant.name}: it changes nothing, or no test is named.")
    return mutants


def copy_project(folder: Path) -> None:
    """What git tracks and what it does not ignore, as it is in the working tree."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def run_tests(folder: Path, tests: tuple[str, ...]) -> tuple[int, str]:
    """Exit status and output of pytest on the copy; -1 where it took too long."""
    environment = os.environ | {
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "BAYES_DDP_DATA": os.environ.get("BAYES_DDP_DATA") or str(ROOT.parent / "shared/data"),
    }
    words = ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    options = {"cwd": folder, "env": environment, "capture_output": True, "text": True}
    try:
        done = subprocess.run([sys.executable, *words], timeout=LONGEST, check=False, **options)
    except subprocess.TimeoutExpired:
        return -1, f"The tests took longer than {LONGEST:.0f} s."
    return done.returncode, done.stdout + done.stderr


def survivors(mutants: list[Mutant], folder: Path) -> list[str]:
    """Names of the faults that no test noticed; prints a line for each fault and what it broke."""
    living = []
    for number, mutant in enumerate(mutants, 1):
        path, began = folder / mutant.file, time.perf_counter()
        original = path.read_text()
        path.write_text(original.replace(mutant.text, mutant.replacement))
        status, output = run_tests(folder, mutant.tests)
        path.write_text(original)
        seconds = time.perf_counter() - began
        word = "noticed" if status == FAILED else "SURVIVES"
        print(f"{number:3d}/{len(mutants)} {word:8s} {seconds:5.0f} s  {mutant.name}", flush=True)
        if status == FAILED:
            print(f"        {_failure(output)}", flush=True)
            continue
        living.append(mutant.name)
        print(output[-2000:] if status else "", flush=True)
    return living


def _failure(output: str) -> str:
    """The line of pytest's summary that names the test and says how it failed."""
    lines = [line for line in output.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return lines[0][:160] if lines else "no line of a summary"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", help="parts of the names of the faults to plant")
    parser.add_argument("--list", action="store_true", help="print the faults and stop")
    options = parser.parse_args()
    mutants = [
        m for m in read_mutants() if not options.names or any(n in m.name for n in options.names)
    ]
    if options.list or not mutants:
        print("\n".join(f"{m.file}: {m.name}" for m in mutants) or "No fault has such a name.")
        return 0 if mutants else 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_project(folder)
        every = tuple(dict.fromkeys(test for m in mutants for test in m.tests))
        print(f"{len(mutants)} faults; {len(every)} tests on the unchanged copy first", flush=True)
        status, output = run_tests(folder, every)
        if status:
            print(f"{output}\nThese tests must pass before faults are planted.")
            return 2
        living = survivors(mutants, folder)
    print(f"{len(mutants) - len(living)} of {len(mutants)} faults noticed; {len(living)} survive.")
    return 1 if living else 0


if __name__ == "__main__":
    sys.exit(main())
