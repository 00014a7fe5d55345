"""The mock's tables as FITS files, written as stars are drawn, so that a million fit in memory.

Rows go to one spool a table; the files are put together at the end, with checksums of their data,
and take their names only when they are whole. The same stars give the same bytes.
"""

import contextlib
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from astropy.io import fits

from bayes_ddp.files.fits import read_table, safe_card
from bayes_ddp.files.paths import atomic_write
from bayes_ddp.mock.columns import CATALOGUE, PHOTOMETRY, TRUTH, Field
from bayes_ddp.mock.draw import Mock

__all__ = ["FILES", "TableFiles", "read_truth"]

FILES: Mapping[str, Mapping[str, tuple[Field, ...]]] = {
    "mwsall-sim.fits": CATALOGUE,
    "photometry.fits": {"PHOTOMETRY": PHOTOMETRY},
    "truth.fits": {"TRUTH": TRUTH},
}
"""File name -> extension -> columns."""

_BLOCK = 2880
_PIECE = _BLOCK * 512


class TableFiles:
    """The three files of a mock in the making; a context manager.

    >>> with TableFiles(Path("/no/such/folder")) as files:
    ...     pass
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: '/no/such/folder'
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.rows = folder, 0

    def __enter__(self) -> "TableFiles":
        if not self.folder.is_dir():
            raise FileNotFoundError(2, "No such file or directory", str(self.folder))
        with contextlib.ExitStack() as stack:
            self._spools: dict[str, IO[bytes]] = {
                extension: stack.enter_context(tempfile.TemporaryFile(dir=self.folder))
                for tables in FILES.values()
                for extension in tables
            }
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def add(self, stars: Mock) -> None:
        """Append rows to every table."""
        for tables in FILES.values():
            for extension, columns in tables.items():
                rows = np.zeros(len(stars), _dtype(columns, raw=True))
                for column in columns:
                    rows[column.name] = _raw(column, column.values(stars, self.rows))
                self._spools[extension].write(rows.tobytes())
        self.rows += len(stars)

    def finish(self, provenance: Mapping[str, Any]) -> list[Path]:
        """Write the files; ``provenance`` (keyword -> value) goes into every primary header."""
        written = []
        for name, tables in FILES.items():
            primary = fits.PrimaryHDU()
            for key, value in provenance.items():
                primary.header[key] = safe_card(value) if isinstance(value, str) else value
            with atomic_write(self.folder / name) as temporary, temporary.open("wb") as stream:
                stream.write(primary.header.tostring().encode("ascii"))
                for extension, columns in tables.items():
                    self._put(stream, extension, columns)
            written.append(self.folder / name)
        return written

    def _put(self, stream: IO[bytes], extension: str, columns: tuple[Field, ...]) -> None:
        header = fits.BinTableHDU(np.zeros(0, _dtype(columns)), name=extension).header
        header["NAXIS2"] = self.rows
        for number, column in enumerate(columns, 1):
            if column.unit:
                header[f"TUNIT{number}"] = column.unit
            if column.text:
                header[f"TCOMM{number}"] = safe_card(column.text)
        spool = self._spools[extension]
        header["DATASUM"] = str(_data_sum(spool))
        stream.write(header.tostring().encode("ascii"))
        spool.seek(0)
        while piece := spool.read(_PIECE):
            stream.write(piece)
        stream.write(b"\0" * (-spool.tell() % _BLOCK))


def _dtype(columns: tuple[Field, ...], *, raw: bool = False) -> np.dtype:
    """A row; ``raw`` as its bytes stand in a file, else as Astropy takes it for a header."""
    return np.dtype(
        [(c.name, "u1" if raw and c.kind == "bool" else np.dtype(c.kind).newbyteorder(">"))
         for c in columns]
    )  # fmt: skip


def _raw(column: Field, values: np.ndarray) -> np.ndarray:
    if column.kind == "bool":
        return np.where(values, ord("T"), ord("F")).astype("u1")
    return values.astype(np.dtype(column.kind).base)


def _data_sum(spool: IO[bytes]) -> int:
    """32-bit ones-complement sum of a spool's big-endian words, as FITS defines DATASUM."""
    spool.seek(0)
    total = 0
    while piece := spool.read(_PIECE):
        padded = piece + b"\0" * (-len(piece) % 4)
        total += int(np.frombuffer(padded, ">u4").sum(dtype=np.uint64))
    while total > 0xFFFFFFFF:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def read_truth(folder: Path, columns: Iterable[str] = ()) -> dict[str, np.ndarray]:
    """Name -> [star] of the truth table of a folder; BadFileError where it cannot be trusted."""
    return read_table(folder / "truth.fits", "TRUTH", tuple(columns))
