"""The reference pages of ``docs/`` on labels, columns of the catalogue and warnings.

They are written from the tables that the code uses, so that both agree.
"""

from collections.abc import Iterable
from pathlib import Path

from bayes_ddp.catalog.columns import COLUMNS
from bayes_ddp.files.outputs import PAGE_LINE, check_replaceable, write_page
from bayes_ddp.flags import FATAL, UNTRAINED, WARN
from bayes_ddp.flags import describe as describe_flags
from bayes_ddp.labels import LABELS

__all__ = ["write_pages"]

_SCOPES = {
    "input": "where the survey's files give it",
    "": "always",
    "label": "for each label",
    "limit": "for each label but Teff, log g and vmic",
    "arm": "for each arm of the spectrograph",
    "sampled": "where the sampler reports it",
}


def write_pages(folder: Path) -> list[Path]:
    """Write labels.md, catalogue.md and flags.md into ``folder``; returns their paths.

    Raises OutputError if a file that is not such a page has one of these names.
    """
    pages = {"labels.md": _labels(), "catalogue.md": _catalogue(), "flags.md": _flags()}
    folder, written = Path(folder), []
    check_replaceable(folder / name for name in pages)
    for name, lines in pages.items():
        write_page(folder / name, "\n".join(lines) + "\n")
        written.append(folder / name)
    return written


def _labels() -> list[str]:
    rows = (
        (f"`{row.name}`", f"`{row.column}`", row.unit, row.description, row.ucd) for row in LABELS
    )
    return [
        "# Labels",
        "",
        PAGE_LINE,
        "",
        "What a run fits for each star, in this order. The range in which a model can be used is "
        "part of the model: `bayes-ddp info MODEL` prints it.",
        "",
        *_table(("label", "column", "unit", "what it is", "UCD"), rows),
    ]


def _catalogue() -> list[str]:
    rows = []
    for row in COLUMNS:
        name = row.name.replace("{label}", "LABEL").replace("{arm}", "ARM")
        unit = "of the label" if row.unit == "{unit}" else row.unit
        ucd = row.ucd.replace("{ucd}", "UCD of the label")
        text = row.description.replace("{text}", "the label").replace("{arm}", "ARM")
        rows.append((f"`{name}`", unit, row.dtype, ucd, text, _SCOPES[row.scope]))
    names = ", ".join(f"`{row.column}`" for row in LABELS)
    return [
        "# Catalogue",
        "",
        PAGE_LINE,
        "",
        "`catalogue.fits` is one FITS binary table, extension `CATALOGUE`, with one row per input "
        "spectrum, fitted or not, in the order of the input. In the names below "
        f"LABEL stands for {names}; ARM stands for B, R, Z (DESI) or B, R (LAMOST). A column of "
        "the input with one of these names gets the suffix `_IN`.",
        "",
        "The header has everything needed to reproduce the file: versions (`BDDPVER`, `JAXVER`, "
        "`NPYROVER`), the model and the SHA-256 of its weights (`EMULATOR`, `EMUSHA`), its scale "
        "(`CALSCALE`, `ABUNSCAL`), `SAMPLER`, `SEED` and which spectral types were fitted "
        "(`SPECSEL`). `WARNB00`, `WARNB01`, ... spell out the "
        "[warning bits](flags.md), `LABEL01`, `LABEL02`, ... the order of labels in `LABEL_MEAN`, "
        "`LABEL_COV`, `LABEL_MODE`, `PRIOR_MEAN` and `PRIOR_COV`.",
        "",
        "FITS stores ASCII. A column with other letters, such as `NAME` with α Cen, has Python's "
        "escapes (`\\u03b1 Cen`), and one of the cards `ESCAPE01`, `ESCAPE02`, ... names it; "
        "`bd.read_catalogue` and `bayes-ddp compare` undo them. Elsewhere: "
        "`text.encode().decode('unicode_escape')`.",
        "",
        "`CREATOR` and `BDDPSHA` in the primary header mark the file as it was written: a run "
        "replaces it only while it is unchanged.",
        "",
        *_table(("column", "unit", "type", "UCD", "description", "present"), rows),
    ]


def _flags() -> list[str]:
    rows = (
        (str(bit), f"`{name}`", text, "yes" if WARN[name] & (FATAL | UNTRAINED) else "")
        for name, bit, text in describe_flags()
    )
    return [
        "# Warnings",
        "",
        PAGE_LINE,
        "",
        "`WARN` is a sum of these bits; 0 means that no check failed. "
        "`bayes_ddp.flags.names(value)` gives the names. A star with one of the bits marked "
        "*no labels* has NaN in every label column; `NOT_STAR` and `BAD_RV` keep them in a "
        'run with `spectype = "any"`.',
        "",
        *_table(("bit", "name", "meaning", "no labels"), rows),
    ]


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """A Markdown table."""
    lines = [header, ("---",) * len(header), *rows]
    return [f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines]
