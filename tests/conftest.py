"""What every test shares: float64, the real data, the shipped models, a count of compilations."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from pathlib import Path

import jax
import pytest
from jaxtyping import install_import_hook

# Under the hook, beartype compares arguments and results with their annotations; inside jit it
# does so while JAX traces, and what is compiled stays the same. The hook acts on modules that are
# imported after it. What these import in turn is compiled from source, so libraries come first.
CHECKED = (
    "bayes_ddp.emulator",
    "bayes_ddp.galaxy.bolometric",
    "bayes_ddp.galaxy.companions",
    "bayes_ddp.galaxy.empirical",
    "bayes_ddp.galaxy.integral",
    "bayes_ddp.galaxy.label_density",
    "bayes_ddp.galaxy.library",
    "bayes_ddp.galaxy.members",
    "bayes_ddp.galaxy.observed",
    "bayes_ddp.galaxy.proposal",
    "bayes_ddp.galaxy.sample",
    "bayes_ddp.galaxy.sample_empirical",
    "bayes_ddp.galaxy.smooth",
    "bayes_ddp.inference",
    "bayes_ddp.spectra.spectrum",
)
for library in ("arviz_stats.base", "blackjax", "equinox", "numpyro", "scipy.ndimage"):
    import_module(library)
install_import_hook(CHECKED, "beartype.beartype")

jax.config.update("jax_enable_x64", True)  # label-space algebra; the command line does the same
if "BAYES_DDP_CACHE" in os.environ:  # what the commands compile, the tests need not, and back
    jax.config.update("jax_compilation_cache_dir", os.environ["BAYES_DDP_CACHE"])
    # also what compiles in milliseconds: every process needs thousands of such functions
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)

ROOT = Path(__file__).resolve().parent.parent

LONGEST = (
    "pipeline/test_run.py",
    "inference/test_optimise.py",
    "inference/test_samplers.py",
    "test_end_to_end.py",
    "inference/test_fit.py",
    "inference/test_prior.py",
    "test_readme.py",
    "test_wheel.py",
    "inference/test_model.py",
    "inference/test_laplace.py",
    "inference/test_importance.py",
    "inference/test_odd_stars.py",
    "commands/test_mismatch.py",
    "commands/test_pictures.py",
)
"""Files that run first, so that none of them is left to one process at the end.

The first two have different problems; the others use again what these two compile.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; with pytest-xdist this needs ``--no-loadscope-reorder``."""
    order = {ROOT / "tests" / name: i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path, len(order)))


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real measurements; skips where it is absent, fails where it is required."""
    folder = Path(os.environ.get("BAYES_DDP_DATA") or ROOT.parent / "shared" / "data").resolve()
    if folder.is_dir():
        return folder
    reason = (
        f"The real data are not at {folder}; set BAYES_DDP_DATA to the folder that holds them."
    )
    if os.environ.get("BAYES_DDP_REQUIRE_DATA"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def models() -> Path:
    """The emulators that this clone ships."""
    return ROOT / "models"


@pytest.fixture
def compilations() -> Callable[[], AbstractContextManager[list[str]]]:
    """A context manager that lists what XLA compiles inside it.

    One entry per compiled function, its name where JAX tells it::

        with compilations() as compiled:
            fit(chunk)
        assert len(compiled) == 1
    """
    return _compilations


@contextmanager
def _compilations() -> Iterator[list[str]]:
    compiled: list[str] = []

    def listen(event: str, duration: float, **metadata: str | int) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(str(metadata.get("fun_name", "")))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield compiled
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
