"""Structure: imports point left, one module sets options, files and functions are short.

Exceptions are named, with their reason; a test fails where one is no longer needed.
"""

import ast
import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parent.parent
PACKAGE = _ROOT / "bayes_ddp"

LAYERS = (
    "labels flags solar files tables spectra emulator inference galaxy mock catalog comparison "
    "population plots config pipeline report commands cli"
).split()
FILE_LINES = 300
FUNCTION_LINES = 60
POSITIONAL = 3

LONG_FILES: dict[str, int] = {}
"""File -> lines that it may have."""

LONG_FUNCTIONS = {
    # more than half is the description of the arguments, which are the public interface
    "cli/distance.py:distance",
    "cli/calibrate.py:calibrate",
    "cli/fitting.py:fit",
    "cli/orbits.py:orbits",
    "cli/precision.py:bounds",
    "inference/fit.py:fit",
    "spectra/arrays.py:from_arrays",
}
MANY_POSITIONAL = {
    # the equation's order: geometry, star, then what is varied; called so inside jit and vmap
    "inference/forward.py:render",
    "inference/problem.py:model_flux",
    "inference/model.py:one_star_model",
}

WITHOUT_JAX = (
    "labels",
    "flags",
    "solar",
    "files",
    "tables",
    "catalog",
    "comparison",
    "spectra.raw",
    "spectra.survey",
    "spectra.desi",
    "spectra.lamost",
    "spectra.sdss",
    "spectra.table",
    "spectra.arrays",
    "spectra.quantities",
    "spectra.read",
    "inference.parts",
    "inference.posterior",
)
"""What has to open a table or read a spectrum without the two seconds that JAX takes."""

MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
each_module = pytest.mark.parametrize("module", MODULES)


def tree_of(module: str) -> ast.Module:
    return ast.parse((PACKAGE / module).read_text())


def layer_of(module: str) -> str:
    """``spectra/desi.py`` and ``bayes_ddp.spectra.desi.read`` are both in ``spectra``."""
    return module.removeprefix("bayes_ddp.").removesuffix(".py").replace("/", ".").split(".")[0]


def imports(tree: ast.AST) -> set[str]:
    """Every module named in an import statement, at any depth, relative ones refused."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import on line {node.lineno}"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def ours(tree: ast.AST) -> set[str]:
    """Layers of this package that the tree imports from."""
    names = {name for name in imports(tree) if name.split(".")[0] == "bayes_ddp"}
    return {layer_of(name) for name in names} & set(LAYERS)


def dotted(node: ast.AST) -> str:
    """``jax.config.update`` for the nodes that spell it; empty for anything else."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def settings(tree: ast.AST) -> list[str]:
    """Lines where options of JAX or NumPyro, or the environment, are changed."""
    setters = {
        "jax.config.update",
        "os.putenv",
        "os.environ.update",
        "os.environ.setdefault",
        "os.environ.pop",
        "numpyro.enable_x64",
        "numpyro.set_platform",
        "numpyro.set_host_device_count",
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and dotted(node.func) in setters:
            found.append(f"{dotted(node.func)} on line {node.lineno}")
        if isinstance(node, ast.Subscript) and dotted(node.value) == "os.environ":
            if not isinstance(node.ctx, ast.Load):
                found.append(f"os.environ on line {node.lineno}")
    return found


@each_module
def test_module_imports_only_from_layers_to_its_left(module):
    layer = layer_of(module)
    if module == "__init__.py":
        assert not ours(tree_of(module)), "the package itself imports lazily"
        return
    known = [*LAYERS, "__main__"]
    assert layer in known, f"{module} is in no layer; the layers are {LAYERS}"
    right = [name for name in ours(tree_of(module)) if known.index(name) > known.index(layer)]
    assert not right, f"{module} imports from {right}, which stand to its right"


@each_module
def test_only_the_command_line_sets_options(module):
    if layer_of(module) != "cli":
        assert not settings(tree_of(module))


@each_module
def test_file_is_short(module):
    lines = len((PACKAGE / module).read_text().splitlines())
    limit = LONG_FILES.get(module, FILE_LINES)
    assert lines <= limit, f"{module} has {lines} lines: look whether it holds two subjects"
    assert module not in LONG_FILES or lines > FILE_LINES, f"{module} is no exception any more"


Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST) -> list[Function]:
    """Every function, at any depth."""
    return [node for node in ast.walk(tree) if isinstance(node, Function)]


def positional(function: Function) -> list[str]:
    """Parameters that can be given by position, beyond ``self`` or ``cls``."""
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    return names[1:] if names[:1] in (["self"], ["cls"]) else names


def lines_of(function: Function) -> int:
    return (function.end_lineno or 0) - function.lineno + 1


@each_module
def test_functions_are_short_and_take_few_positional_parameters(module):
    long, many = set(), set()
    for function in functions(tree_of(module)):
        name = f"{module}:{function.name}"
        if lines_of(function) > FUNCTION_LINES:
            long.add(name)
        if len(positional(function)) > POSITIONAL:
            many.add(name)
    here = f"{module}:"
    assert long == {n for n in LONG_FUNCTIONS if n.startswith(here)}, "split them, or shorten them"
    assert many == {n for n in MANY_POSITIONAL if n.startswith(here)}, "make them keyword-only"


SOURCES = sorted(
    path
    for folder in ("bayes_ddp", "tests", "benchmarks")
    for path in _ROOT.joinpath(folder).rglob("*.py")
)


def format_pragmas(source: str) -> list[int]:
    """Lines with a comment that takes code out of the formatter's hands."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = [token for token in tokens if token.type == tokenize.COMMENT]
    return [c.start[0] for c in comments if re.search(r"\b(fmt|yapf)\s*:", c.string)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(_ROOT).as_posix())
def test_formatter_formats_every_line(path):
    assert not format_pragmas(path.read_text()), "shorten it, or make it a table"


def test_format_pragmas_are_found_in_comments_alone():
    wrong = (
        "a = 1  # fmt: skip\n# fmt: off\nb = '# fmt: on'\n#fmt:on\n# yapf: disable\nc = 2  # fmt\n"
    )
    assert format_pragmas(wrong) == [1, 2, 4, 5]


def test_exceptions_are_few_and_of_this_package():
    named = LONG_FUNCTIONS | MANY_POSITIONAL
    assert len(named) <= 10
    assert {name.split(":")[0] for name in named} | set(LONG_FILES) <= set(MODULES)


def test_the_walk_sees_what_it_forbids():
    wrong = ast.parse(
        "import jax, os\n"
        "def late():\n"
        "    from bayes_ddp import cli\n"
        "    import bayes_ddp.pipeline.run as p\n"
        "jax.config.update('jax_enable_x64', True)\n"
        "os.environ['A'] = 'b'\n"
        "print(os.environ['A'])\n"
    )
    assert ours(wrong) == {"cli", "pipeline"}
    assert settings(wrong) == ["jax.config.update on line 5", "os.environ on line 6"]


def test_parameters_and_lines_are_counted_as_a_reader_would():
    tree = ast.parse(
        "class A:\n"
        "    def f(self, a, /, b, c=1, *more, d, e=2, **rest):\n"
        "        def g(x):\n"
        "            pass\n"
        "def h(*, a, b, c, d):\n"
        "    pass\n"
    )
    found = {f.name: (positional(f), lines_of(f)) for f in functions(tree)}
    assert found == {"f": (["a", "b", "c"], 3), "g": (["x"], 2), "h": ([], 2)}


def run(code: str) -> None:
    """Run ``code`` in a fresh interpreter at the project's root; its failure is ours."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["bayes_ddp", "bayes_ddp.cli"])
def test_import_is_light(module):
    run(f"""
import sys
import {module}
heavy = {{"jax", "numpyro", "arviz", "galpy", "matplotlib"}} & set(sys.modules)
sys.exit(f"{module} imports {{heavy}}" if heavy else 0)
""")


def test_tables_and_readers_import_no_jax():
    names = [f"bayes_ddp.{module[:-3].replace('/', '.')}" for module in MODULES]
    light = [n for n in names if n.removeprefix("bayes_ddp.").startswith(WITHOUT_JAX)]
    assert len(light) > 30
    run(f"""
import importlib
import sys
for name in {light}:
    importlib.import_module(name.removesuffix(".__init__"))
    sys.exit(f"{{name}} imports JAX") if "jax" in sys.modules else None
""")


def test_import_leaves_options_and_environment_alone():
    names = [f"bayes_ddp.{module[:-3].replace('/', '.')}" for module in MODULES]
    names = [name for name in names if not name.endswith(("__init__", "__main__"))]
    run(f"""
import importlib
import os
import jax
before = dict(os.environ), dict(jax.config.values)
for name in {names}:
    importlib.import_module(name)
assert before == (dict(os.environ), dict(jax.config.values))
""")
