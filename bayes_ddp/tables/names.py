"""Names of columns: what is read, what a file calls it, and what to say where one is missing."""

from collections.abc import Iterable
from pathlib import Path

from bayes_ddp.files.errors import BadFileError, did_you_mean

__all__ = ["find_name", "missing_column", "parse_columns"]


def parse_columns(pairs: Iterable[str], known: Iterable[str], *, option: str) -> dict[str, str]:
    """Name that is read -> the column that has it, of ``teff=pred_Teff`` and the like.

    known : names that are read, in any case; the keys of the result are written as there. option :
    how messages call the option.

    Raises ValueError for what is no pair, for names that are not read, and for names given twice.
    """
    names = {name.lower(): name for name in known}
    found: dict[str, str] = {}
    for pair in pairs:
        name, mark, column = (part.strip() for part in pair.partition("="))
        if not mark or not name or not column:
            raise ValueError(f"{option} {pair}: write it as {next(iter(names.values()))}=COLUMN.")
        key = names.get(name.lower())
        if key is None:
            hint = did_you_mean(name, names.values())
            raise ValueError(
                f"{option} {pair}: '{name}' is none of the names that are read.{hint} Names: "
                f"{', '.join(names.values())}."
            )
        if key in found:
            raise ValueError(f"{option}: '{key}' is given twice ({found[key]} and {column}).")
        found[key] = column
    return found


def find_name(name: str, present: Iterable[str]) -> str | None:
    """The column of this name, in the same letters if there is one, else in any case."""
    columns = list(present)
    if name in columns:
        return name
    return next((column for column in columns if column.lower() == name.lower()), None)


def missing_column(
    path: Path | str, name: str, present: Iterable[str], *, known: Iterable[str] = ()
) -> BadFileError:
    """The error for a column that is not there: the nearest name, those present, those read."""
    columns = list(present)
    hint = did_you_mean(name, columns)
    read = f" Names that are read: {', '.join(known)}." if known else ""
    return BadFileError(
        f"{path} has no column '{name}'.{hint} Its columns: {', '.join(columns) or 'none'}.{read}"
    )
