"""run.toml -> frozen settings, strict, with the nearest known word where one is misspelt.

The objects built here are the objects that run: a sampler or a prior in a ``Run`` is used as it
is. Relative paths resolve from the folder of the run file.
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
    """A run file that cannot run; the message names file, table, value and next step."""


@dataclass(frozen=True, config=_STRICT)
class Input:
    """The [input] table: which spectra, and where their velocities come from.

    survey : key of ``SURVEYS``.
    spectra : names and patterns of files.
    catalog, redshifts : files that the survey's reader takes velocities from.
    columns : what the catalogue calls the columns that the reader takes from it.
    targetid : only these targets; all where empty.
    minsn : smallest signal-to-noise ratio per pixel in R, as ``spectra.select`` has it.
    spectype : "STAR" fits only what the survey does not call something else, "any" fits every
        target, at rest where its velocity is not believable.
    wave : Å vacuum, barycentric: only pixels between these two are fitted.
    skipexisting : leave a run alone whose catalogue exists already.
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
    """The [emulator] table: a shipped model's name, or the path of a model folder."""

    name: str


@dataclass(frozen=True, config=_STRICT)
class Output:
    """The [output] table."""

    directory: str = "output"
    draws: bool = True
    pictures: bool = True


@dataclass(frozen=True, config=_STRICT)
class Run:
    """One run, resolved: what ``bayes-ddp run`` and ``bayes-ddp fit`` both build."""

    input: Input
    emulator: EmulatorChoice
    prior: dict[str, Uniform | Normal | TruncatedNormal | Fixed] = Field(default_factory=dict)
    nuisance: Nuisance = Field(default_factory=Nuisance)
    sampler: Exact | Map | Nuts = Field(default_factory=Exact)
    output: Output = Field(default_factory=Output)
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    schema: Literal[1] = 1


def load(path: Path) -> Run:
    """The run of a run.toml; raises ConfigError naming file, table and the nearest known word."""
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}). Give a run file.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from None
    return parse(table, source=str(path), base=path.resolve().parent)


def parse(table: dict[str, Any], *, source: str, base: Path | None = None) -> Run:
    """The run of an already parsed table.

    source : its name in messages. base : folder that relative paths start from; by default the
    current one.
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
    return _build(Run, {"seed": table.get("seed", 1), **built}, source)


def choose(run: Run, words: dict[str, Any], *, output: Path | None = None) -> Run:
    """The run with some words of [input] replaced, as the command line does.

    words : name -> value, of targetid, minsn, spectype and skipexisting. output : another folder
    for the results, from the current one.
    """
    table = as_table(run)["input"] | words
    chosen = replace(run, input=_build(Input, table, "command line, [input]"))
    if output is None:
        return chosen
    return replace(chosen, output=replace(run.output, directory=str(Path.cwd() / output)))


def dump(run: Run) -> str:
    """The run as TOML that ``parse`` reads back to an equal run."""
    return to_toml(as_table(run))


def as_table(run: Run) -> dict[str, Any]:
    """The run as nested plain tables, as ``parse`` takes them."""
    table: dict[str, Any] = {"schema": run.schema, "seed": run.seed}
    for name in ("input", "emulator", "nuisance", "sampler", "output"):
        part = getattr(run, name)
        table[name] = _plain(part)
    table["prior"] = {
        n: {f.name: getattr(p, f.name) for f in fields(p)} for n, p in run.prior.items()
    }
    return table


def _plain(part: Any) -> dict[str, Any]:
    """The fields of a settings object that are set, tables within tables."""
    values = {f.name: getattr(part, f.name) for f in fields(part)}
    return {
        k: list(v) if isinstance(v, tuple) else _plain(v) if isinstance(v, Layout) else v
        for k, v in values.items()
        if v is not None and v not in ((), {})
    }


def _input(table: Any, where: str) -> Input:
    """[input] and, for tables, [input.table] within it."""
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
        place = ".".join(str(part) for part in first["loc"])
        text = first["msg"].removeprefix("Value error, ").removesuffix(".")
        if not place:  # about the table as a whole
            raise ConfigError(f"{where}: {text}.") from None
        named = first["type"] in ("missing", "value_error")  # the text says what was given
        value = "" if named else f", got {first.get('input')!r}"
        raise ConfigError(f"{where}: '{place}': {text}{value}.") from None


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
    asked: dict[str, Any] = {}
    for name in ("spectra", "redshifts"):
        given = asked[name] = table.get(name, ())
        given = (given,) if isinstance(given, str) else given
        found: list[str] = []
        for pattern in given:
            found.extend(expand(str(pattern), base))
        table[name] = tuple(found)
    if isinstance(table.get("catalog"), str):
        table["catalog"] = str(base / table["catalog"])
    if not table["spectra"]:
        raise ConfigError(
            f"[input] spectra names no file (given: {asked['spectra']!r}, folder {base}). Give "
            "file names or patterns that match."
        )
    return table


def _placed(table: Any, base: Path) -> Any:
    if not isinstance(table, dict):
        return table
    return {**table, "directory": str(base / str(table.get("directory", "output")))}
