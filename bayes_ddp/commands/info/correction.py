"""What ``info`` prints of a correction learned from labelled real stars."""

from typing import Any

from bayes_ddp.labels import LABELS, label

__all__ = ["correction_lines"]


def correction_lines(card: dict[str, Any]) -> list[str]:
    """Stars, ranges and cross-validation of the correction of a model's card; none without one."""
    table = card.get("correction")
    if not table:
        return []
    lines = ["", f"  corrected from {card.get('base', 'its base')} on labelled stars:"]
    for name, source in table["sources"].items():
        low, high = source["wave"]
        ends = ", ".join(
            f"{label(n).column} {ends[0]:g} to {ends[1]:g}" for n, ends in source["range"].items()
        )
        lines += [
            f"  {name}: {source['stars']} stars, {low:.0f}-{high:.0f} Å",
            f"    90 % of them have {ends}",
            "    abundances: " + (", ".join(source["abundances"]) or "none"),
        ]
    for name, figures in table.get("validation", {}).items():
        lines += ["", *_validation(name, figures)]
    return lines


def _validation(name: str, figures: dict[str, Any]) -> list[str]:
    """Offset and scatter of every label, of the base and of the corrected model.

    A row of the card has number, offset, scatter and slope of the base, and the same after it.
    """
    lines = [
        f"  {name}, fitted less tabulated, of stars left out of the correction:",
        f"  {'label':8s}{'stars':>7s}{'base: offset':>16s}{'scatter':>10s}"
        f"{'corrected: offset':>20s}{'scatter':>10s}",
    ]
    for row in (row for row in LABELS if row.name in figures):
        values = figures[row.name]
        digits = 1 if row.unit == "K" else 3
        cells = zip((values[1], values[2], values[5], values[6]), (16, 10, 20, 10), strict=True)
        numbers = "".join(f"{value:{width}.{digits}f}" for value, width in cells)
        lines.append(f"  {row.name:8s}{int(values[4]):7d}{numbers}")
    return lines
