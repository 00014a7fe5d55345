"""The names of ``import bayes_ddp``: each is there, none pulls in more than it needs."""

import subprocess
import sys

import pytest

import bayes_ddp as bd
from bayes_ddp.plots import public


def run(code: str, root) -> None:
    """Run ``code`` in a fresh interpreter at the project's root; its failure is ours."""
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_every_public_name_imports_and_sets_no_option(root):
    """Options are compared with those of a JAX that was imported alone."""
    run(
        """
import os
import jax
before = dict(os.environ), dict(jax.config.values)
import bayes_ddp as bd
for name in bd.__all__:
    assert getattr(bd, name) is not None, name
    assert name == "__version__" or name in vars(bd), name
assert before == (dict(os.environ), dict(jax.config.values))
""",
        root,
    )


def test_package_and_its_light_names_pull_in_no_jax(root):
    """Catalogues, labels and warnings open without the two seconds that JAX takes."""
    run(
        """
import sys
import bayes_ddp as bd
assert {"jax", "numpy", "matplotlib"}.isdisjoint(sys.modules)
bd.__version__, bd.WARN, bd.LABELS, bd.LabelSpace, bd.read_catalogue, bd.read_draws, bd.compare
bd.read, bd.RawSpectra, bd.Posterior
assert "jax" not in sys.modules
""",
        root,
    )


def test_unknown_name_is_answered_with_those_that_are_known():
    with pytest.raises(
        AttributeError, match=r"no public name 'fitt'\. Public names:.* fit, "
    ) as e:
        bd.fitt  # noqa: B018
    assert all(name in str(e.value) for name in bd.__all__)
    assert not hasattr(bd, "__wrapped__")  # tools that look for it, such as inspect, go on


def test_no_public_name_is_that_of_a_module_of_the_package(root):
    """The import system would put the module in the place of the name."""
    modules = {path.stem for path in (root / "bayes_ddp").iterdir()}
    assert modules.isdisjoint(set(bd.__all__) - set(bd._MODULES))


def test_every_name_is_listed_once_and_described():
    assert dir(bd) == bd.__all__ and len(set(bd.__all__)) == len(bd.__all__)
    for name in set(bd.__all__) - {"LABELS", "__version__"}:
        assert getattr(bd, name).__doc__, name


def test_plot_is_the_module_of_figures():
    assert bd.plot is public
    assert {"corner", "fit", "recovery"} <= set(vars(bd.plot))
    assert all(callable(getattr(bd.plot, name)) for name in bd.plot.__all__)


def test_names_are_the_objects_of_their_modules():
    from bayes_ddp.inference.fit import fit
    from bayes_ddp.inference.samplers import SAMPLERS

    assert bd.fit is fit
    assert [bd.Exact, bd.Map, bd.Nuts] == list(SAMPLERS.values())
