"""Column names: options that map them, look-up in any case, and the error for a missing one."""

from collections.abc import Iterable
from pathlib import Path

from bayes_ddp.files.errors import BadFileError, did_you_mean

__all__ = ["find_name", "missing_column", "parse_columns"]


def parse_columns(pairs: Iterable[str], known: Iterable[str], *, option: str) -> dict[str, str]:
    """Name that is read -> column of the file, from pairs such as ``teff=pred_Teff``.

    known : names that are read; case is ignored and the result has the case of ``known``. option :
    name of the option in messages.

    Raises ValueError for text that is not a pair, for unknown names, and for repeated names.
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
    """The column with exactly this name, else one that differs in case only; None without one."""
    columns = list(present)
    if name in columns:
        return name
    return next((column for column in columns if column.lower() == name.lower()), None)


def missing_column(
    path: Path | str, name: str, present: Iterable[str], *, known: Iterable[str] = ()
) -> BadFileError:
    """The error for a missing column, with the nearest name, the columns present and those read.

    known : names that are read, if the message shall list them.
    """
    columns = list(present)
    hint = did_you_mean(name, columns)
    read = f" Names that are read: {', '.join(known)}." if known else ""
    return BadFileError(
        f"{path} has no column '{name}'.{hint} Its columns: {', '.join(columns) or 'none'}.{read}"
    )
