"""Posteriors of stellar labels from survey spectra.

The public names below are imported when they are first used, so that ``import bayes_ddp`` is
quick, sets no option and pulls in no JAX.
"""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "LABELS": "labels",
    "LabelSpace": "labels",
    "Posterior": "inference.posterior",
    "RawSpectra": "spectra.spectrum",
    "Spectrum": "spectra.spectrum",
    "WARN": "flags",
    "load_emulator": "emulator.card",
    "spectrum_model": "inference.model",
}
"""Public name -> module that holds it."""

__all__ = sorted([*_PUBLIC, "__version__"])  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    """The public name, or the installed version (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version

        return version("bayes_ddp")
    if name not in _PUBLIC:
        raise AttributeError(
            f"bayes_ddp has no public name '{name}'. Public names: {', '.join(_PUBLIC)}."
        )
    value = getattr(import_module(f"bayes_ddp.{_PUBLIC[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return __all__
