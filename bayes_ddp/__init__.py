"""Posteriors of stellar labels from survey spectra.

The public names below are imported when they are first used, so that ``import bayes_ddp`` is
quick, sets no option and imports no JAX. Four lines lead from a file to a figure, after
``jax.config.update("jax_enable_x64", True)``::

    import bayes_ddp as bd
    spectra = bd.read("coadd.fits", catalog="rvs.fits")
    posterior = bd.fit(spectra, bd.load_emulator("desi-physics"))
    bd.plot.corner(posterior, 0)
"""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "CalibrationSettings": "galaxy.control",
    "DistanceSettings": "galaxy.distance_settings",
    "Exact": "inference.samplers",
    "Fixed": "inference.prior",
    "LABELS": "labels",
    "LabelSpace": "labels",
    "Map": "inference.samplers",
    "Normal": "inference.prior",
    "Nuisance": "inference.problem",
    "Nuts": "inference.samplers",
    "OrbitSettings": "galaxy.sampling",
    "Posterior": "inference.posterior",
    "RawSpectra": "spectra.raw",
    "Spectrum": "spectra.spectrum",
    "TruncatedNormal": "inference.prior",
    "Uniform": "inference.prior",
    "WARN": "flags",
    "bounds": "inference.bounds.star",
    "calibrate": "galaxy.calibrate",
    "compare": "comparison.run",
    "distance": "galaxy.distances",
    "fit": "inference.fit",
    "load_calibration": "galaxy.calibration_file",
    "load_emulator": "emulator.card",
    "orbits": "galaxy.sampling",
    "read": "spectra.read",
    "read_catalogue": "catalog.fits",
    "read_draws": "inference.parts",
    "simulate": "commands.mock",
    "spectrum_model": "inference.model",
    "weighted_mean": "galaxy.weighted_mean",
}
"""Public name -> module that holds it."""

_MODULES = {"plot": "plots.public"}
"""Public module -> module that implements it."""

__all__ = sorted([*_PUBLIC, *_MODULES, "__version__"])  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    """The public name, or the installed version (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version

        return version("bayes_ddp")
    if name in _MODULES:
        value: Any = import_module(f"bayes_ddp.{_MODULES[name]}")
    elif name in _PUBLIC:
        value = getattr(import_module(f"bayes_ddp.{_PUBLIC[name]}"), name)
    else:
        raise AttributeError(
            f"bayes_ddp has no public name '{name}'. Public names: {', '.join(__all__)}."
        )
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return __all__
