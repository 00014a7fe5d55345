"""The list of planted faults: each can still be planted, and the tests it names exist."""

import ast
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def mutants(root: Path) -> ModuleType:
    """The module tests/mutants.py, which is a script and not part of the package."""
    spec = importlib.util.spec_from_file_location("mutants", root / "tests" / "mutants.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_fault_of_the_list_can_be_planted(mutants: ModuleType, root: Path) -> None:
    found = mutants.read_mutants()
    assert len(found) >= 45
    assert len({m.name for m in found}) == len(found)
    for test in {test for m in found for test in m.tests}:
        path, _, name = test.partition("::")
        functions = {
            node.name
            for node in ast.walk(ast.parse((root / path).read_text()))
            if isinstance(node, ast.FunctionDef)
        }
        assert not name or name.split("[")[0] in functions, test


def test_fault_that_no_longer_fits_the_code_is_refused(
    mutants: ModuleType, tmp_path: Path
) -> None:
    rows = tmp_path / "mutants.toml"
    rows.write_text(
        '[[mutant]]\nname = "old"\nfile = "bayes_ddp/flags.py"\ntext = "no such text"\n'
        'replacement = ""\ntests = ["tests/test_layers.py"]\n'
    )
    with pytest.raises(ValueError, match="stands 0 times"):
        mutants.read_mutants(rows)
