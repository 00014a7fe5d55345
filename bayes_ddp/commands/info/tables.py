"""Description of tables of stars other than catalogues of this package."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bayes_ddp.comparison.columns import column_name
from bayes_ddp.files.fits import FitsFile
from bayes_ddp.labels import LABELS
from bayes_ddp.tables.read import read_columns

__all__ = ["describe_csv", "describe_fits_tables"]

Description = tuple[dict[str, Any], list[str]]


def describe_csv(path: Path) -> Description:
    """(figures, lines to print) of a CSV file with a header line.

    Raises BadFileError for a file that is not a table, ValueError for one without columns.
    """
    content = read_columns(path)
    if not content:
        raise ValueError(f"{path} has no columns: the first line must name them; check the file")
    figures, lines = _describe(list(content), len(next(iter(content.values()))))
    figures = {"kind": "table", "path": str(path)} | figures
    return figures, [f"{path}: table of {lines[0]}", *lines[1:]]


def describe_fits_tables(path: Path, file: FitsFile) -> Description | None:
    """(figures, lines to print) of a FITS file per extension; None if it has no table."""
    tables: dict[str, dict[str, Any]] = {}
    lines = [f"{path}: FITS file of tables"]
    for number in range(1, len(file.names)):
        names, rows = file.columns(number)
        if names:
            key = file.names[number] or str(number)
            tables[key], text = _describe(names, rows)
            lines += [f"  {key}: {text[0]}", *(f"  {line}" for line in text[1:])]
    header = file.header()
    if header.get("MOCK"):
        lines.insert(1, f"  a mock Galaxy by {header.get('CREATOR')}, seed {header.get('SEED')}")
    return ({"kind": "tables", "path": str(path), "tables": tables}, lines) if tables else None


def _describe(columns: Sequence[str], rows: int) -> Description:
    names = {name.lower(): name for name in columns}
    known = {row.name: column_name(dict.fromkeys(names, np.zeros(0)), row) for row in LABELS}
    labels = {name: names[column] for name, column in known.items() if column}
    figures = {"rows": rows, "columns": list(columns), "labels": labels}
    lines = [
        f"{rows} rows and {len(columns)} columns",
        "  labels for bayes-ddp compare: "
        + (", ".join(f"{n} ({c})" for n, c in labels.items()) or "none by their names"),
        f"  columns: {', '.join(columns)}",
    ]
    return figures, lines
