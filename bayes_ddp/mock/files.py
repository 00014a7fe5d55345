"""The tables of the mock are written to FITS files while stars are drawn, in little memory.

Rows go to one spool a table; the files are put together at the end, with checksums of their data,
and take their names only when they are whole. The same stars give the same bytes.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from astropy.io import fits

from bayes_ddp.files.checksums import data_sum
from bayes_ddp.files.errors import OutputError
from bayes_ddp.files.fits import open_fits
from bayes_ddp.files.outputs import check_replaceable, sign_fits
from bayes_ddp.files.paths import atomic_write
from bayes_ddp.files.structure import BLOCK
from bayes_ddp.mock.columns import PHOTOMETRY, TRUTH
from bayes_ddp.mock.draw import Mock
from bayes_ddp.mock.fields import Field
from bayes_ddp.mock.survey_columns import CATALOGUE
from bayes_ddp.tables.columns import Column
from bayes_ddp.tables.fits import card_value, column_cards

__all__ = ["FILES", "TableFiles", "check_folder"]

FILES: Mapping[str, Mapping[str, tuple[Field, ...]]] = {
    "mwsall-sim.fits": CATALOGUE,
    "photometry.fits": {"PHOTOMETRY": PHOTOMETRY},
    "truth.fits": {"TRUTH": TRUTH},
}
"""File name -> extension -> columns."""

_PIECE = BLOCK * 512


def check_folder(
    folder: Path, provenance: Mapping[str, Any], *, more: Sequence[Path], overwrite: bool
) -> None:
    """Raise OutputError if a mock would replace a file that is not ours, or another mock.

    provenance : as in ``TableFiles.finish``. more : further files that will be written.
    overwrite : whether a mock with another seed or other limits may be replaced.
    """
    tables = [folder / name for name in FILES]
    check_replaceable([*tables, *more])
    for path in tables:
        if overwrite or not path.exists():
            continue
        with open_fits(path) as file:
            old = file.header()
        changes = [
            f"{key} is {old.get(key)} there and {value} now"
            for key, value in provenance.items()
            if key != "CREATOR" and old.get(key) != value
        ]
        if changes:
            raise OutputError(
                f"{path} is of another mock: {'; '.join(changes)}. Choose another folder, or "
                "replace it with --overwrite."
            )


class TableFiles:
    """Context manager that writes the three files of a mock.

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
        check_replaceable(self.folder / name for name in FILES)
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
            for extension, fields in tables.items():
                rows = np.zeros(len(stars), _dtype(fields, raw=True))
                for field in fields:
                    rows[field.column.name] = _raw(field.column, field.values(stars, self.rows))
                self._spools[extension].write(rows.tobytes())
        self.rows += len(stars)

    def finish(self, provenance: Mapping[str, Any]) -> list[Path]:
        """Write the files; ``provenance`` (keyword -> value) goes into every primary header."""
        written = []
        for name, tables in FILES.items():
            primary = fits.PrimaryHDU()
            for key, value in provenance.items():
                primary.header[key] = card_value(value)
            with atomic_write(self.folder / name) as temporary:
                with temporary.open("wb") as stream:
                    stream.write(primary.header.tostring().encode("ascii"))
                    for extension, fields in tables.items():
                        self._put(stream, extension, fields)
                sign_fits(temporary)
            written.append(self.folder / name)
        return written

    def _put(self, stream: IO[bytes], extension: str, fields: tuple[Field, ...]) -> None:
        header = fits.BinTableHDU(np.zeros(0, _dtype(fields)), name=extension).header
        header["NAXIS2"] = self.rows
        for key, text in column_cards(field.column for field in fields).items():
            header[key] = text
        spool = self._spools[extension]
        header["DATASUM"] = str(data_sum(_pieces(spool)))
        stream.write(header.tostring().encode("ascii"))
        for piece in _pieces(spool):
            stream.write(piece)
        stream.write(b"\0" * (-spool.tell() % BLOCK))


def _pieces(spool: IO[bytes]) -> Iterator[bytes]:
    spool.seek(0)
    while piece := spool.read(_PIECE):
        yield piece


def _dtype(fields: tuple[Field, ...], *, raw: bool = False) -> np.dtype:
    """NumPy type of a row; ``raw`` as in the file, else as Astropy needs it for a header."""
    kinds = []
    for column in (field.column for field in fields):
        dtype = "u1" if raw and column.dtype == "bool" else column.dtype
        kinds.append((column.name, np.dtype(dtype).newbyteorder(">")))
    return np.dtype(kinds)


def _raw(column: Column, values: np.ndarray) -> np.ndarray:
    """The values as a row stores them; FITS stores truth values as the letters T and F."""
    if column.dtype == "bool":
        return np.where(values, ord("T"), ord("F")).astype("u1")
    return values.astype(np.dtype(column.dtype).base)
