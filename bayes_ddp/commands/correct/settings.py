"""The file that describes a correction: base model, labelled spectra, label tables."""

import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from bayes_ddp.comparison.options import Choice
from bayes_ddp.config import ConfigError
from bayes_ddp.files.errors import did_you_mean
from bayes_ddp.files.paths import expand

__all__ = ["Settings", "Source", "is_correction", "load_settings"]

_STRICT = ConfigDict(extra="forbid")
Range = tuple[float, float]


@dataclass(frozen=True, config=_STRICT)
class Source:
    """One table [[correct.source]]: spectra, and a table with their stars' labels.

    spectra : files or patterns. survey, catalog, redshifts, layout : as in [input] of a run file.
    labels : CSV, ECSV or FITS table. columns, xh, scale, assume : as in ``bayes-ddp compare``;
    ``assume`` has the errors of labels whose errors the table lacks. vrad_err : km/s, prior sd of
    an unknown shift of the spectra; by default that of the reader.
    wave : Å vacuum, at rest, where the correction is learned. teff, logg, feh : ranges of the
    labels of the stars that take part. rank : number of directions. ebv : mag, in place of an
    unknown one. validate : whether the stars are fitted in the cross-validation.
    """

    spectra: tuple[str, ...]
    labels: str
    wave: Range
    name: str = "labelled stars"
    survey: str | None = None
    catalog: str | None = None
    redshifts: tuple[str, ...] = ()
    layout: dict[str, Any] | None = None
    columns: tuple[str, ...] = ()
    xh: str | None = None
    scale: str = "Asplund+2009"
    assume: dict[str, float] = Field(default_factory=dict)
    teff: Range = (4000.0, 7000.0)
    logg: Range = (0.3, 5.3)
    feh: Range = (-3.0, 0.6)
    rank: Annotated[int, Field(ge=1, le=60)] = 24
    ebv: Annotated[float, Field(ge=0)] | None = None
    validate: bool = True

    def __post_init__(self) -> None:
        for name in ("wave", "teff", "logg", "feh"):
            low, high = getattr(self, name)
            if not low < high:
                raise ValueError(f"'{name}' = [{low:g}, {high:g}] must rise")
        self.choice()

    def choice(self) -> Choice:
        """How the table of labels is read."""
        assumed = tuple(f"{name}={error!r}" for name, error in self.assume.items())
        return Choice(columns=self.columns, xh=self.xh, scale=self.scale, assume=assumed)  # type: ignore[arg-type]


@dataclass(frozen=True, config=_STRICT)
class Settings:
    """The table [correct].

    base : model that is corrected. description, calscale, citation, not_for : for the card.
    calscale says on which scale the labels are. folds : of the cross-validation; 0 leaves it out.
    """

    base: str
    source: tuple[Source, ...]
    description: str = "A model of computed spectra, corrected on labelled stars"
    calscale: str = "corrected on labelled stars"
    citation: str = ""
    not_for: tuple[str, ...] = ()
    folds: Annotated[int, Field(ge=0, le=100)] = 10


def is_correction(path: Path) -> bool:
    """Whether a train.toml describes a correction."""
    return "correct" in _read(path)


def load_settings(path: Path, *, data: Path | None = None) -> Settings:
    """The settings of a file, paths made absolute.

    data : folder from which relative paths of spectra and labels start; by default that of the
    file.

    Raises ConfigError for a file that cannot be read, and for unknown or unsuitable entries.
    """
    base = (data or path.parent).resolve()
    table = _read(path).get("correct")
    if not isinstance(table, dict):
        raise ConfigError(
            f"{path}: the table [correct] is missing. It names the base model, and a "
            "[[correct.source]] for each set of labelled spectra (docs/training.md)."
        )
    sources = table.get("source", ())
    if not isinstance(sources, list) or not sources:
        raise ConfigError(f"{path}: give at least one [[correct.source]].")
    built = tuple(
        _build(Source, _located(entry, base, path), f"{path} [[correct.source]] {number + 1}")
        for number, entry in enumerate(sources)
    )
    settings: Settings = _build(Settings, {**table, "source": built}, f"{path} [correct]")
    return settings


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from None


def _located(entry: Any, base: Path, path: Path) -> Any:
    """A source with patterns expanded and paths made absolute."""
    if not isinstance(entry, dict):
        return entry
    entry = dict(entry)
    for name in ("spectra", "redshifts"):
        given = entry.get(name, [])
        given = [given] if isinstance(given, str) else given
        found = [file for pattern in given for file in expand(str(pattern), base)]
        if given and not found:
            raise ConfigError(
                f"{path}: {name} = {given} names no file in {base}. Give the folder that holds "
                "them with --data."
            )
        if found:
            entry[name] = found
    for name in ("labels", "catalog"):
        if isinstance(entry.get(name), str):
            entry[name] = str(base / entry[name])
    return entry


def _build(kind: Any, table: Any, where: str) -> Any:
    names = [field.name for field in fields(kind)]
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: expected a table, got {table!r}.")
    for key in table:
        if key not in names:
            raise ConfigError(
                f"{where}: '{key}' is not an option.{did_you_mean(key, names)} Options: {names}."
            )
    try:
        return kind(**table)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        text = first["msg"].removeprefix("Value error, ").removesuffix(".")
        raise ConfigError(f"{where}: {f"'{place}': " if place else ''}{text}.") from None
