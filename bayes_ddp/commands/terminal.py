"""Parts shared by commands: options that select spectra, progress bar, figures for JSON."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from cyclopts import Parameter

__all__ = ["Overwrite", "Selection", "layout_options", "no_star_sentence", "plain", "progress_bar"]

Overwrite = Annotated[
    bool,
    Parameter(
        negative="",
        help="Replace a finished result that was made with other settings. Files that this "
        "program did not write, or that were changed since, are never replaced.",
    ),
]


@Parameter(name="*")
@dataclass(frozen=True)
class Selection:
    """Options of ``run`` and ``fit`` that replace options of [input]; None if not set."""

    targetid: Annotated[
        list[int] | None,
        Parameter(consume_multiple=True, help="DESI: fit only these targets."),
    ] = None
    minsn: Annotated[
        float | None,
        Parameter(
            help="Fit only spectra of at least this S/N per pixel in R (SN_R of the survey, "
            "else the median of the arm R)."
        ),
    ] = None
    spectype: Annotated[
        Literal["STAR", "any"] | None,
        Parameter(
            help="STAR (the default) fits stars. any fits every target, "
            "at rest if its velocity is beyond 1500 km/s; NOT_STAR, BAD_RV and, as a "
            "rule, POOR_CHI2 mark what is no star."
        ),
    ] = None
    wave: Annotated[
        tuple[float, float] | None,
        Parameter(
            help="Fit only pixels between these, Å vacuum. Models of physics alone are too "
            "weak in the blue: above 4400 helps stars below 5200 K."
        ),
    ] = None
    columns: Annotated[
        tuple[str, ...] | None,
        Parameter(
            consume_multiple=True,
            help="Names of columns in the catalogue of --catalog that differ from the expected "
            "ones: --columns VRAD=rv VRAD_ERR=e_rv TARGETID=id. May be given again.",
        ),
    ] = None
    skipexisting: Annotated[
        bool | None,
        Parameter(help="Do nothing if the output folder already has a catalogue."),
    ] = None

    def options(self) -> dict[str, Any]:
        """The options that were set, as a table for [input]."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        options = {name: value for name, value in values.items() if value is not None}
        if "columns" in options:
            pairs = [pair.partition("=") for pair in options["columns"]]
            options["columns"] = {name.strip(): column.strip() for name, _, column in pairs}
        return options


def layout_options(words: Sequence[str]) -> dict[str, Any]:
    """The table of ``KEY=VALUE`` options of the command line, such as ``fwhm=2.5``.

    ``air`` is "header" by default. Raises ValueError for an option without ``=``.

    >>> layout_options(["air=true", "fwhm=2.5", "error=sigma"])
    {'air': True, 'fwhm': 2.5, 'error': 'sigma'}
    """
    table: dict[str, Any] = {"air": "header"}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            raise ValueError(f"--layout {word!r} is not KEY=VALUE. Give such as fwhm=2.5.")
        table[key.strip()] = _word(text.strip())
    return table


def _word(text: str) -> bool | float | str:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return float(text)
    except ValueError:
        return text


def no_star_sentence(number: int, spectype: str) -> str:
    """Sentence on ``number`` targets that were not fitted as they are no stars, and the next step.

    spectype : option of the run.
    """
    if spectype == "any":
        return (
            f"{number} of the targets that are no stars were not fitted all the same: they have "
            "too few pixels, or no row in the catalogue."
        )
    return (
        f"{number} of the targets are no stars by their survey class and were not fitted; "
        "--spectype any fits them too."
    )


def plain(value: Any) -> Any:
    """The figures with types that JSON has: None for NaN, Python numbers for NumPy's.

    >>> plain({"bias": float("nan"), "stars": (3, 4)})
    {'bias': None, 'stars': [3, 4]}
    """
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def progress_bar(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Context manager of a progress bar on stderr, with rate and remaining time."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("to go"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bar:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total, rate="")
            task = bar.tasks[tasks[what]]
            speed = done / task.elapsed if task.elapsed else 0.0
            bar.update(tasks[what], completed=done, total=total, rate=f"{speed:.1f}/s")

        yield show
