"""A calibration on disk: arrays as netCDF, and a card as TOML beside it, with the same name.

Writing is atomic, and a file that this program did not write is never replaced.
"""

import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayes_ddp.files.errors import BadFileError, OutputError
from bayes_ddp.files.outputs import check_replaceable, write_signed, write_text
from bayes_ddp.files.paths import check_file
from bayes_ddp.files.toml import to_toml
from bayes_ddp.galaxy.bolometric import ALL_BANDS
from bayes_ddp.galaxy.empirical import Calibration, Empirical
from bayes_ddp.galaxy.smooth import Basis

__all__ = ["check_calibration", "load_calibration", "write_calibration"]

_FORMAT = "bayes_ddp calibration 1"
_FIELDS = ("coefficient", "root", "scatter", "turn", "shift", "shares", "support")


def check_calibration(path: Path) -> list[Path]:
    """The files of a calibration; raises OutputError unless they may be written."""
    if path.suffix.lower() != ".nc":
        raise OutputError(f"{path}: calibrations are netCDF. End the name in .nc.")
    files = [path, path.with_suffix(".toml")]
    check_replaceable(files)
    return files


def write_calibration(path: Path, calibration: Calibration) -> list[Path]:
    """Write ``path`` (.nc) and its card; the files written. Raises as ``check_calibration``."""
    files, model = check_calibration(path), calibration.model
    arrays = {name: np.asarray(getattr(model, name)) for name in _FIELDS}
    arrays |= {f"basis_{n}": np.asarray(getattr(model.basis, n)) for n in Basis.__annotations__}
    arrays["offsets"] = np.array(calibration.offsets)
    data = {
        name: (tuple(f"{name}_{i}" for i in range(values.ndim)), values)
        for name, values in arrays.items()
    }
    attrs = {
        "format": _FORMAT,
        "law": calibration.law,
        "bands": " ".join(ALL_BANDS),
        "card": json.dumps(calibration.card),
    }
    with write_signed(path) as temporary:
        xr.Dataset(data, attrs=attrs).to_netcdf(temporary, engine="h5netcdf")
    write_text(files[1], to_toml(calibration.card))
    return files


def load_calibration(path: Path | str) -> Calibration:
    """The calibration that ``bayes-ddp calibrate`` wrote; BadFileError for any other file."""
    check_file(Path(path))
    try:
        data = xr.load_dataset(path, engine="h5netcdf")
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise BadFileError(f"{path} cannot be read as netCDF ({reason}). Make it anew.") from None
    if data.attrs.get("format") != _FORMAT or data.attrs.get("bands") != " ".join(ALL_BANDS):
        raise BadFileError(
            f"{path} holds no calibration. Give the .nc file that `bayes-ddp calibrate` wrote."
        )

    def array(name: str) -> Any:
        return jnp.asarray(data[name].values)

    basis = Basis(**{name: array(f"basis_{name}") for name in Basis.__annotations__})
    return Calibration(
        model=Empirical(basis=basis, **{name: array(name) for name in _FIELDS}),
        law=data.attrs["law"],
        offsets=tuple(data["offsets"].values.tolist()),
        card=json.loads(data.attrs["card"]),
    )
