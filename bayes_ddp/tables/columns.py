"""The record of a table's column: name, unit, type, UCD and description.

The catalogue, the mock and orbit tables are each defined by a tuple of these records. The values
of a column are set by the module of its table.
"""

from dataclasses import KW_ONLY, dataclass, replace

from bayes_ddp.labels import label

__all__ = ["Column"]


@dataclass(frozen=True)
class Column:
    """One column of a table, or a template for one column per label or arm.

    unit : string that Astropy parses; empty for a column without a unit.
    dtype : NumPy type string, such as ``f8``, ``S4``, or ``25f8`` for an array in each row.
    description : at most 68 characters, so that it fits on one FITS card.
    scope : ``label`` and ``limit`` for a template with one column per label, ``arm`` for one per
        arm; further values are defined by the table (see ``catalog.columns``); empty for a single
        column.
    """

    name: str
    unit: str = ""
    dtype: str = "f8"
    _: KW_ONLY
    ucd: str = ""
    description: str = ""
    scope: str = ""

    def named(self, name: str) -> "Column":
        """The column of one label or arm, with the fields in braces filled in.

        ``{arm}`` is the arm; ``{label}``, ``{unit}``, ``{ucd}`` and ``{text}`` are the label's
        column, unit, UCD and description.

        >>> Column("{label}_ERR", "{unit}", description="standard deviation").named("teff").name
        'TEFF_ERR'
        """
        if self.scope == "arm":
            texts = {"arm": name.upper()}
        else:
            row = label(name)
            texts = {"label": row.column, "unit": row.unit, "ucd": row.ucd}
            texts["text"] = row.description
        fields = ("name", "unit", "ucd", "description")
        return replace(self, **{field: getattr(self, field).format(**texts) for field in fields})
