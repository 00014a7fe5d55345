"""What commands share: options that choose spectra, progress bar, figures for JSON."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from cyclopts import Parameter

__all__ = ["Overwrite", "Selection", "layout_words", "no_star_sentence", "plain", "progress_bar"]

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
    """Options of ``run`` and ``fit`` that stand for words of [input]; None where not given."""

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
            help="What the catalogue of --catalog calls its columns: --columns VRAD=rv "
            "VRAD_ERR=e_rv TARGETID=id. May be given again.",
        ),
    ] = None
    skipexisting: Annotated[
        bool | None,
        Parameter(help="Do nothing where the output folder has a catalogue already."),
    ] = None

    def given(self) -> dict[str, Any]:
        """The words that were given, as a table for [input]."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        given = {name: value for name, value in values.items() if value is not None}
        if "columns" in given:
            pairs = [pair.partition("=") for pair in given["columns"]]
            given["columns"] = {name.strip(): column.strip() for name, _, column in pairs}
        return given


def layout_words(words: Sequence[str]) -> dict[str, Any]:
    """The table of words such as ``fwhm=2.5``, as the command line has them.

    ``air`` is "header" where it is not among them. Raises ValueError for a word without ``=``.

    >>> layout_words(["air=true", "fwhm=2.5", "error=sigma"])
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
    """What happened to ``number`` targets that are no stars, and what can be done about it."""
    if spectype == "any":
        return (
            f"{number} of the targets that are no stars were not fitted all the same: too few "
            "pixels, or no row in the catalogue."
        )
    return (
        f"{number} of the targets are no stars, says the survey, and were not fitted; --spectype "
        "any fits them all the same."
    )


def plain(value: Any) -> Any:
    """The same figures as JSON can hold them: None for NaN, plain numbers for NumPy's.

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
    """A progress bar with rate and time to go, on stderr."""
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
