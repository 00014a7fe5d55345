"""The tables [distance] and [orbit] of a run file: what a run computes after its catalogue."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from bayes_ddp.files.errors import did_you_mean
from bayes_ddp.galaxy.bolometric import ALL_BANDS
from bayes_ddp.galaxy.distance_settings import DistanceSettings
from bayes_ddp.galaxy.sampling import OrbitSettings

__all__ = ["DistanceStep", "OrbitStep", "distance_step", "orbit_step", "step_table"]


@dataclass(frozen=True)
class DistanceStep:
    """The table [distance]: distances of the stars of the run.

    photometry : table to join; by default the columns of the input. hdu : its extension. column :
    band or quantity -> (column, column of its error), for other names. systematics : include the
    errors ``_SYS`` of the catalogue. calibration : file of ``bayes-ddp calibrate`` with empirical
    magnitudes; offsets_of : such a file whose band zero points stellar evolution gets. dust_map,
    dust_scale : arguments of ``ebv_of_map``, instead of a column of E(B-V). settings : further
    keys of the table.
    """

    photometry: str | None = None
    hdu: str | None = None
    column: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    systematics: bool = True
    calibration: str | None = None
    offsets_of: str | None = None
    dust_map: str | None = None
    dust_scale: float = 1.0
    settings: DistanceSettings = field(default_factory=DistanceSettings)


@dataclass(frozen=True)
class OrbitStep:
    """The table [orbit]: orbits of the stars of the run, which need [distance].

    astrometry : table to join; by default that of [distance]. hdu : its extension. select :
    selections by name. box : name -> column -> (low, high), further selections. settings :
    further keys of the table.
    """

    astrometry: str | None = None
    hdu: str | None = None
    select: tuple[str, ...] = ()
    box: Mapping[str, Mapping[str, tuple[float, float]]] = field(default_factory=dict)
    settings: OrbitSettings = field(default_factory=OrbitSettings)


def distance_step(table: Any, *, where: str, base: Path) -> DistanceStep:
    """The step of a parsed table; raises ValueError with ``where``, key, value and next step."""
    own, rest = _divided(table, DistanceStep, DistanceSettings, where=where)
    columns = own.pop("column", {})
    if not isinstance(columns, dict):
        raise ValueError(f"{where}: 'column' is a table such as {{G = ['MY_G', 'MY_G_ERR']}}.")
    pairs = {k: (v,) if isinstance(v, str) else tuple(v) for k, v in columns.items()}
    unknown = [name for name in pairs if name not in (*ALL_BANDS, *_QUANTITIES)]
    if unknown:
        raise ValueError(f"{where}: 'column': {unknown} are none of {(*ALL_BANDS, *_QUANTITIES)}.")
    scale = own.get("dust_scale", 1.0)
    if not isinstance(scale, int | float) or not scale > 0:
        raise ValueError(f"{where}: 'dust_scale' = {scale!r}; give a factor such as 1.0.")
    own |= {name: str(base / own[name]) for name in _FILES if name in own}
    if "calibration" in own and "offsets_of" in own:
        raise ValueError(
            f"{where}: 'calibration' and 'offsets_of' exclude each other: empirical magnitudes "
            "include the zero points. Leave one of them out."
        )
    return DistanceStep(column=pairs, settings=_settings(DistanceSettings, rest, where), **own)


_FILES = ("photometry", "calibration", "offsets_of")
_QUANTITIES = ("parallax", "zero_point", "ruwe", "ebv")


def orbit_step(table: Any, *, where: str, base: Path) -> OrbitStep:
    """The step of a parsed table; raises ValueError with ``where``, key, value and next step."""
    own, rest = _divided(table, OrbitStep, OrbitSettings, where=where)
    boxes: dict[str, dict[str, Any]] = {}
    for name, limits in own.pop("box", {}).items():
        ends = limits.items() if isinstance(limits, dict) else ()
        boxes[name] = {str(k).lower(): tuple(map(float, v)) for k, v in ends}
        if not boxes[name] or any(len(v) != 2 or not v[0] < v[1] for v in boxes[name].values()):
            raise ValueError(f"{where}: [orbit.box.{name}] has lines such as ecc = [0.7, inf].")
    if "astrometry" in own:
        own["astrometry"] = str(base / own["astrometry"])
    if "select" in own:
        own["select"] = tuple(own["select"])
    return OrbitStep(box=boxes, settings=_settings(OrbitSettings, rest, where), **own)


def step_table(step: DistanceStep | OrbitStep) -> dict[str, Any]:
    """The table that gives an equal step."""
    found: dict[str, Any] = {}
    for item in fields(step):
        value = getattr(step, item.name)
        if is_dataclass(value):
            found |= {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
        else:
            found[item.name] = _plain(value)
    return {key: value for key, value in found.items() if value is not None and value != {}}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return value


def _divided(
    table: Any, step: type, settings: type, *, where: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(keys of the step, keys of its settings)."""
    if not isinstance(table, dict):
        raise ValueError(f"{where}: expected a table, got {table!r}.")
    own = [f.name for f in fields(step) if f.name != "settings"]
    rest = [f.name for f in fields(settings)]
    for key, value in table.items():
        if key not in own and key not in rest:
            hint = did_you_mean(key, [*own, *rest])
            raise ValueError(f"{where}: '{key}' is not an option.{hint} Options: {[*own, *rest]}.")
        if key in (*_FILES, "astrometry", "hdu", "dust_map") and not isinstance(value, str):
            raise ValueError(f"{where}: '{key}' is a name, got {value!r}.")
    return {k: v for k, v in table.items() if k in own}, {
        k: v for k, v in table.items() if k in rest
    }


def _settings(kind: Any, table: dict[str, Any], where: str) -> Any:
    """The settings with keys checked against the types of their defaults."""
    default, chosen = kind(), {}
    for key, value in table.items():
        usual = getattr(default, key)
        chosen[key] = tuple(value) if isinstance(value, list) else value
        number = isinstance(value, int | float) and not isinstance(value, bool)
        real = isinstance(usual, float) or usual is None
        if not (number if real else type(chosen[key]) is type(usual)):
            raise ValueError(f"{where}: '{key}' = {value!r}; give such as {usual!r}.")
    try:
        return kind(**chosen)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
