"""Columns of a FITS table from its header: their byte offsets within a row and their types.

Binary tables have TFORMn such as ``3E``, one after the other in a row; ASCII tables have TFORMn
such as ``F8.3`` at byte TBCOLn. The bytes themselves are read in ``rows``.

Source: FITS standard 4.0, sections 7.2 and 7.3.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from bayes_ddp.files.errors import BadFileError

__all__ = ["Field", "fields_of", "kind_of"]

_BINARY = re.compile(r"(\d*)([LXBIJKAEDCMPQ])(\d*)")
_ASCII = re.compile(r"([AIFED])(\d+)(?:\.(\d+))?$")
_WIDTH = dict(L=1, B=1, I=2, J=4, K=8, A=1, E=4, D=8, C=8, M=16, P=8, Q=16)
_DIMENSIONS = re.compile(r"\(\s*\d+\s*(,\s*\d+\s*)*\)$")
MAX_FIELDS = 999


@dataclass(frozen=True)
class Field:
    """One column of a table.

    code : letter of TFORMn. offset, width : bytes in a row. shape : shape of the value of one row,
        empty for a scalar; of a text column, the shape of the array of strings. letters : bytes
        per string of a text column, decimals of a number in an ASCII table.
    ascii : whether the value is stored as characters, as in an ASCII table.
    scale, zero, null : text of TSCALn, TZEROn and TNULLn in the header; None if absent.
    """

    name: str
    code: str
    offset: int
    width: int
    shape: tuple[int, ...] = ()
    letters: int = 0
    ascii: bool = False
    scale: str | None = None
    zero: str | None = None
    null: str | None = None

    @property
    def count(self) -> int:
        """Number of values in one row."""
        return prod(self.shape)


def kind_of(cards: Mapping[str, str]) -> str:
    """BINTABLE or TABLE; empty for images, including tile-compressed ones."""
    kind = cards.get("XTENSION", "").strip()
    return kind if kind in ("BINTABLE", "TABLE") and cards.get("ZIMAGE") != "T" else ""


def fields_of(where: str, cards: Mapping[str, str]) -> tuple[Field, ...]:
    """The columns of a table in their order; empty for an image.

    where : file and HDU in messages. cards : keyword -> value as text.

    A column without a name is called ``colN``. Raises BadFileError for an invalid format, and for
    columns that do not fit into rows of NAXIS1 bytes.
    """
    kind = cards.get("XTENSION", "").strip()
    if kind not in ("BINTABLE", "TABLE"):
        return ()
    try:
        count, length = int(cards.get("TFIELDS", "")), int(cards.get("NAXIS1", ""))
    except ValueError:
        raise BadFileError(
            f"{where}: TFIELDS = {cards.get('TFIELDS')!r} or NAXIS1 = {cards.get('NAXIS1')!r} is "
            "no integer. The header is damaged: fetch the file again."
        ) from None
    one = _binary if kind == "BINTABLE" else _ascii
    fields: list[Field] = []
    for number in range(1, min(max(count, 0), MAX_FIELDS) + 1):
        end = fields[-1].offset + fields[-1].width if fields else 0
        fields.append(one(where, cards, number, end=end))
    ends = [field.offset + field.width for field in fields]
    if kind == "BINTABLE":
        good = (ends[-1] if ends else 0) == length
    else:
        good = max(ends, default=0) <= length
    if not (0 <= count <= MAX_FIELDS and good):
        raise BadFileError(
            f"{where}: {count} columns with a total of {max(ends, default=0)} bytes do not fill "
            f"rows of {length} bytes. The header is damaged: fetch the file again."
        )
    return tuple(fields)


def _name(cards: Mapping[str, str], number: int) -> str:
    return cards.get(f"TTYPE{number}", "").strip() or f"col{number}"


def _binary(where: str, cards: Mapping[str, str], number: int, *, end: int) -> Field:
    form = cards.get(f"TFORM{number}", "")
    match = _BINARY.match(form)
    if not match or (match[2] == "A" and match[3] and int(match[3]) == 0):
        raise BadFileError(
            f"{where}: TFORM{number} = {cards.get(f'TFORM{number}')!r} is no column format. "
            "Fetch the file again."
        )
    repeat, code = int(match[1] or 1), match[2]
    width = -(-repeat // 8) if code == "X" else repeat * _WIDTH[code]
    shape: tuple[int, ...] = () if repeat == 1 else (repeat,)
    letters = 0
    if code in "PQ":
        shape = ()
    if code == "A":
        letters, shape = repeat, ()
    sizes = _dimensions(cards.get(f"TDIM{number}", ""))
    if sizes and prod(sizes) == repeat and code not in "PQ":  # the first varies fastest
        if code == "A":
            letters, sizes = sizes[0], sizes[1:]
        shape = sizes[::-1]
    return Field(_name(cards, number), code, end, width, shape, letters, **_scaling(cards, number))


def _dimensions(text: str) -> tuple[int, ...]:
    text = text.strip()
    if not _DIMENSIONS.match(text):
        return ()
    return tuple(int(part) for part in text.strip("()").split(","))


def _ascii(where: str, cards: Mapping[str, str], number: int, *, end: int) -> Field:
    form, start = cards.get(f"TFORM{number}", "").strip(), cards.get(f"TBCOL{number}", "")
    match = _ASCII.match(form)
    if not match or not start.isdigit() or int(start) < 1 or int(match[2]) < 1:
        raise BadFileError(
            f"{where}: TFORM{number} = {form!r} at TBCOL{number} = {start!r} is no column of an "
            "ASCII table. Fetch the file again."
        )
    width, code = int(match[2]), match[1]
    letters = width if code == "A" else int(match[3] or 0)
    return Field(
        _name(cards, number),
        code,
        int(start) - 1,
        width,
        letters=letters,
        ascii=True,
        **_scaling(cards, number),
    )


def _scaling(cards: Mapping[str, str], number: int) -> dict[str, Any]:
    keys = {"scale": "TSCAL", "zero": "TZERO", "null": "TNULL"}
    return {name: cards.get(f"{key}{number}") for name, key in keys.items()}
