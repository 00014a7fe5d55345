"""CSV and ECSV tables are read with any byte-order mark and common separators."""

import codecs
from pathlib import Path

from astropy.table import Table

from bayes_ddp.files.compressed import suffix, unpacked
from bayes_ddp.files.errors import BadFileError
from bayes_ddp.files.structure import MAX_BYTES

__all__ = ["read_text"]

_SEPARATORS = (",", ";", "\t", "|")


def read_text(path: Path) -> Table:
    """The table of a .csv, .txt or .ecsv file, plain or gzip-compressed.

    A byte-order mark is removed. The columns of CSV are separated by commas, or, if the header
    line has none, by semicolons, tabs or bars.

    Raises BadFileError for files that cannot be read.
    """
    ecsv = suffix(path) == ".ecsv"
    try:
        with unpacked(path) as plain:
            size = plain.stat().st_size
            if size > MAX_BYTES:
                raise BadFileError(
                    f"{path} has {size} bytes and at most {MAX_BYTES} are read as text. Save it "
                    "as FITS."
                )
            text = _decoded(path, plain.read_bytes())
        if not text.strip():
            raise BadFileError(
                f"{path} has no columns: it is empty. Give a table with a line of names."
            )
        if ecsv:
            return Table.read(text.splitlines(), format="ascii.ecsv")
        names = text.lstrip().split("\n", 1)[0]
        separator = next((mark for mark in _SEPARATORS if mark in names), ",")
        return Table.read(text.splitlines(), format="ascii.csv", delimiter=separator)
    except BadFileError:
        raise
    except Exception as error:  # the ECSV parser raises its own exception classes
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise BadFileError(
            f"{path} cannot be read as a table ({reason}). Give CSV with one header line, ECSV or "
            "FITS."
        ) from None


def _decoded(path: Path, content: bytes) -> str:
    """The text without a byte-order mark; bytes that are not UTF-8 are replaced."""
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    if b"\0" in content[:4096]:
        raise BadFileError(f"{path} is no text. Give CSV with one header line, ECSV or FITS.")
    return content.decode("utf-8-sig", "replace")
