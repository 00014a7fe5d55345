"""Strict reading of run.toml into frozen settings; errors suggest the nearest known option.

The sampler and the priors in a ``Run`` are the objects that the fit uses. Relative paths start
from the folder of the run file.
"""

import tomllib
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from bayes_ddp.files.errors import did_you_mean
from bayes_ddp.files.paths import expand
from bayes_ddp.files.toml import to_toml
from bayes_ddp.galaxy.steps import DistanceStep, OrbitStep, distance_step, orbit_step, step_table
from bayes_ddp.inference.prior import PRIORS, Fixed, Normal, TruncatedNormal, Uniform
from bayes_ddp.inference.problem import Nuisance
from bayes_ddp.inference.samplers import SAMPLERS, Exact, Map, Nuts
from bayes_ddp.labels import LABELS
from bayes_ddp.spectra.surveys import SURVEYS, catalog_columns, find_survey
from bayes_ddp.spectra.table import Layout

__all__ = ["ConfigError", "Input", "Output", "Run", "as_table", "choose", "dump", "load", "parse"]

_STRICT = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
SCHEMA = 1


class ConfigError(ValueError):
    """A run file is invalid; the message has file, table, value and next step."""


@dataclass(frozen=True, config=_STRICT)
class Input:
    """The table [input]: spectra, their selection, and the files with their velocities.

    survey : key of ``SURVEYS``.
    spectra : names and patterns of files.
    catalog, redshifts : files from which the survey's reader takes velocities.
    columns : name that the reader expects -> name in the catalogue.
    targetid : selected targets; empty for all.
    minsn : smallest signal-to-noise ratio per pixel in R (``spectra.select.red_snr``).
    spectype : "STAR" fits targets that the survey does not classify as something else; "any" fits
        every target, with a velocity of 0 if its own is not usable.
    wave : Å vacuum, barycentric; only pixels between these two are fitted.
    skipexisting : keep the catalogue if it exists, without a fit.
    """

    survey: Annotated[str, AfterValidator(lambda name: find_survey(name).name)]
    spectra: tuple[str, ...]
    catalog: str | None = None
    redshifts: tuple[str, ...] = ()
    columns: dict[str, str] = Field(default_factory=dict)
    targetid: tuple[Annotated[int, Field(ge=-(2**63), lt=2**63)], ...] = ()
    minsn: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    spectype: Literal["STAR", "any"] = "STAR"
    skipexisting: bool = False
    wave: tuple[float, float] | None = None
    table: Layout | None = None

    def __post_init__(self) -> None:
        found = catalog_columns(self.survey, self.columns, catalog=self.catalog is not None)
        object.__setattr__(self, "columns", found)


@dataclass(frozen=True, config=_STRICT)
class EmulatorChoice:
    """The table [emulator]: name of a distributed model, or path of a model folder."""

    name: str


@dataclass(frozen=True, config=_STRICT)
class Output:
    """The table [output]: folder of the results, and whether and how many draws are kept."""

    directory: str = "output"
    draws: bool = True
    pictures: bool = True


@dataclass(frozen=True, config=_STRICT)
class Run:
    """The resolved settings of one run, from a run file or the options of ``bayes-ddp fit``.

    distance, orbit : steps after the catalogue; None leaves them out.
    """

    input: Input
    emulator: EmulatorChoice
    prior: dict[str, Uniform | Normal | TruncatedNormal | Fixed] = Field(default_factory=dict)
    nuisance: Nuisance = Field(default_factory=Nuisance)
    sampler: Exact | Map | Nuts = Field(default_factory=Exact)
    output: Output = Field(default_factory=Output)
    distance: DistanceStep | None = None
    orbit: OrbitStep | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    schema: Literal[1] = 1


def load(path: Path) -> Run:
    """The run of a run.toml; raises ConfigError with file, table and the nearest known option."""
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}). Give a run file.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from None
    return parse(table, source=str(path), base=path.resolve().parent)


def parse(table: dict[str, Any], *, source: str, base: Path | None = None) -> Run:
    """The run of a parsed TOML table; raises ConfigError as ``load`` does.

    source : name of the file in messages. base : folder of relative paths; by default the current
    one.
    """
    table, base = dict(table), base or Path.cwd()
    if table.get("schema") != SCHEMA:
        raise ConfigError(
            f"{source}: schema = {table.get('schema')!r}, and this version reads schema = "
            f"{SCHEMA}. Write 'schema = {SCHEMA}' at the top."
        )
    _known(table, [f.name for f in fields(Run)], source)
    for name in ("input", "emulator"):
        if name not in table:
            raise ConfigError(f"{source}: the table [{name}] is missing; it has no default.")
    priors = _table(table.get("prior", {}), f"{source} [prior]")
    _known(priors, [row.name for row in LABELS], f"{source} [prior]")
    built = {
        "input": _input(_located(table["input"], base), f"{source} [input]"),
        "emulator": _build(EmulatorChoice, table["emulator"], f"{source} [emulator]"),
        "prior": {
            n: _kind(PRIORS, t, where=f"{source} [prior.{n}]", default=None)
            for n, t in priors.items()
        },
        "nuisance": _build(Nuisance, table.get("nuisance", {}), f"{source} [nuisance]"),
        "sampler": _kind(
            SAMPLERS, table.get("sampler", {}), where=f"{source} [sampler]", default="exact"
        ),
        "output": _build(Output, _placed(table.get("output", {}), base), f"{source} [output]"),
    }
    built |= _steps(table, source, base)
    return _build(Run, {"seed": table.get("seed", 1), **built}, source)


def _steps(table: dict[str, Any], source: str, base: Path) -> dict[str, Any]:
    """The tables [distance] and [orbit], if they are there."""
    found: dict[str, Any] = {}
    try:
        for name, build in (("distance", distance_step), ("orbit", orbit_step)):
            if name in table:
                found[name] = build(table[name], where=f"{source} [{name}]", base=base)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if "orbit" in found and "distance" not in found:
        raise ConfigError(f"{source}: [orbit] needs distances. Add the table [distance].")
    if found and not table.get("output", {}).get("draws", True):
        raise ConfigError(f"{source}: [distance] needs draws. Leave out [output] draws = false.")
    return found


def choose(run: Run, options: dict[str, Any], *, output: Path | None = None) -> Run:
    """The run with some options of [input] replaced, for the command line.

    options : name -> value, of targetid, minsn, spectype and skipexisting. output : another folder
    for the results, relative to the current one.
    """
    table = as_table(run)["input"] | options
    chosen = replace(run, input=_build(Input, table, "command line, [input]"))
    if output is None:
        return chosen
    return replace(chosen, output=replace(run.output, directory=str(Path.cwd() / output)))


def dump(run: Run) -> str:
    """The run as TOML text; ``parse`` of it gives an equal run."""
    return to_toml(as_table(run))


def as_table(run: Run) -> dict[str, Any]:
    """The run as nested dictionaries, the argument of ``parse``."""
    table: dict[str, Any] = {"schema": run.schema, "seed": run.seed}
    for name in ("input", "emulator", "nuisance", "sampler", "output"):
        part = getattr(run, name)
        table[name] = _plain(part)
    for name in ("distance", "orbit"):
        if getattr(run, name) is not None:
            table[name] = step_table(getattr(run, name))
    table["prior"] = {
        n: {f.name: getattr(p, f.name) for f in fields(p)} for n, p in run.prior.items()
    }
    return table


def _plain(part: Any) -> dict[str, Any]:
    """The fields of a settings object that are set, as nested dictionaries."""
    values = {f.name: getattr(part, f.name) for f in fields(part)}
    return {
        k: list(v) if isinstance(v, tuple) else _plain(v) if isinstance(v, Layout) else v
        for k, v in values.items()
        if v is not None and v not in ((), {})
    }


def _input(table: Any, where: str) -> Input:
    """The table [input], with [input.table] for survey 'table'."""
    if isinstance(table, dict) and "table" in table:
        layout = _build(Layout, table["table"], f"{where[:-1]}.table]")
        table = table | {"table": layout}
    built: Input = _build(Input, table, where)
    if SURVEYS[built.survey].needs_layout != (built.table is not None):
        raise ConfigError(
            f"{where}: survey = '{built.survey}' and [input.table] do not go together. Spectra in "
            "tables of your own need survey = 'table' and [input.table], which names their arrays "
            "(fit: --layout fwhm=2.5 air=true ...)."
        )
    return built


def _table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: expected a table, got {value!r}.")
    return value


def _known(table: dict[str, Any], names: list[str], where: str) -> None:
    for key in table:
        if key not in names:
            hint = did_you_mean(key, names)
            raise ConfigError(f"{where}: '{key}' is not an option.{hint} Options: {names}.")


def _build(kind: Any, table: Any, where: str) -> Any:
    _known(_table(table, where), [f.name for f in fields(kind)], where)
    try:
        return kind(**table)
    except ValidationError as error:
        first = error.errors()[0]
        option = ".".join(str(part) for part in first["loc"])
        text = first["msg"].removeprefix("Value error, ").removesuffix(".")
        if not option:  # the error concerns the whole table
            raise ConfigError(f"{where}: {text}.") from None
        named = first["type"] in ("missing", "value_error")  # the text includes the value
        value = "" if named else f", got {first.get('input')!r}"
        raise ConfigError(f"{where}: '{option}': {text}{value}.") from None


def _kind(kinds: dict[str, Any], table: Any, *, where: str, default: str | None) -> Any:
    kind = _table(table, where).get("kind", default)
    if kind not in kinds:
        hint = did_you_mean(kind, kinds)
        raise ConfigError(f"{where}: kind = {kind!r} is unknown.{hint} Kinds: {list(kinds)}.")
    return _build(kinds[kind], table, where)


def _located(table: Any, base: Path) -> Any:
    """[input] with patterns expanded and paths made absolute."""
    if not isinstance(table, dict):
        return table
    table = dict(table)
    patterns: dict[str, Any] = {}
    for name in ("spectra", "redshifts"):
        names = patterns[name] = table.get(name, ())
        names = (names,) if isinstance(names, str) else names
        found: list[str] = []
        for pattern in names:
            found.extend(expand(str(pattern), base))
        table[name] = tuple(found)
    if isinstance(table.get("catalog"), str):
        table["catalog"] = str(base / table["catalog"])
    if not table["spectra"]:
        raise ConfigError(
            f"[input] spectra names no file (given: {patterns['spectra']!r}, folder {base}). Give "
            "file names or patterns that match."
        )
    return table


def _placed(table: Any, base: Path) -> Any:
    if not isinstance(table, dict):
        return table
    return {**table, "directory": str(base / str(table.get("directory", "output")))}
