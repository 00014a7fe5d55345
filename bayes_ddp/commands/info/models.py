"""Description of a model from its card, as figures and as lines of text."""

import textwrap
from pathlib import Path
from typing import Any

from bayes_ddp.commands.info.correction import correction_lines
from bayes_ddp.emulator.card import read_card

__all__ = ["describe_model"]


def describe_model(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """(figures, lines) of a model folder, or of a folder of physical spectra.

    The figures are the card without the names of the training spectra.
    """
    card = read_card(folder)
    network = "labels" in card and "wave" in card
    figures = {key: value for key, value in card.items() if key not in ("names", "training")}
    figures["training"] = _numbers(card.get("training", {}))
    figures |= {"kind": "model" if network else "physical spectra", "folder": str(folder)}
    figures["network"] = card.get("kind")
    lines = [f"{card.get('name', folder.name)}: {card.get('description', 'no description')}"]
    lines.append(f"  {folder}")
    wave = card.get("wave", {})
    if wave:
        frame = "".join(f" {wave[key]}" for key in ("medium", "frame") if key in wave)
        lines.append(
            f"  {wave['start']:.0f}-{wave['stop']:.0f} Å{frame}, step {wave['step']:.2f} Å, "
            f"Gaussian LSF {wave['fwhm']:.2f} Å FWHM"
        )
    counts = _numbers(card.get("training", {})) | _numbers(card.get("spectra", {}))
    counts |= {"spectra": card["number"]} if "number" in card else {}
    lines.append("  " + ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in counts.items()))
    for key in ("calscale", "abundance_scale"):
        if key in card:
            lines.append(f"  {key.replace('_', ' ')}: {card[key]}")
    if network:
        lines += ["", *_label_table(card), "", *_validation_table(card.get("validation", {}))]
        lines += ["", *_mismatch(card.get("mismatch")), *correction_lines(card)]
    if card.get("not_for"):
        lines += ["", "Not for:"]
        for text in card["not_for"]:
            lines += textwrap.wrap(text, 96, initial_indent="- ", subsequent_indent="  ")
    if "citation" in card:
        lines += ["", *textwrap.wrap(f"Cite: {card['citation']}", 98, subsequent_indent="  ")]
    return figures, lines


def _numbers(table: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if isinstance(value, int | float)}


def _region(name: str) -> str:
    """Text of a wavelength region such as ``wave_3900_4400``."""
    return name.removeprefix("wave_").replace("_", "-") + " Å"


def _label_table(card: dict[str, Any]) -> list[str]:
    labels = card["labels"]
    gradient = card.get("validation", {}).get("gradient", {})
    wrong = dict(zip(gradient.get("labels", ()), gradient.get("all", ()), strict=False))
    moved = card.get("validation", {}).get("label_error", {})
    shift = dict(zip(moved.get("labels", ()), moved.get("all", ()), strict=False))
    lines = [
        f"  {'label':8s}{'low':>8s}{'high':>8s}  {'unit':6s}{'gradient error':>15s}"
        f"{'label error':>13s}"
    ]
    for name, unit, low, high in zip(
        labels["names"], labels["units"], labels["low"], labels["high"], strict=True
    ):
        error = f"{wrong[name]:15.2f}" if name in wrong else f"{'-':>15s}"
        size = f"{shift[name]:13.3g}" if name in shift else f"{'-':>13s}"
        lines.append(f"  {name:8s}{low:8g}{high:8g}  {unit:6s}{error}{size}")
    lines.append(
        "  gradient error: relative to the physical gradient, median over "
        f"{gradient.get('reference_points', 0)} points left out"
    )
    if shift:
        lines.append(
            f"  label error: 68 % of the shifts of a label by the model's own error, of "
            f"{moved['stars']} stars left out"
        )
    return lines


def _validation_table(validation: dict[str, Any]) -> list[str]:
    """Flux error of stars outside the training set, by wavelength, [Fe/H] and Teff."""
    columns = {
        "cross-validation": validation.get("cross_validation", {}),
        "held out": validation.get("held_out", {}),
    }
    columns = {name: table for name, table in columns.items() if table}
    if not columns:
        return ["  not validated"]
    header = "".join(f"{f'{name} ({table["stars"]})':>24s}" for name, table in columns.items())
    lines = ["  flux error per star, mean / median over stars, per cent", f"  {'':22s}{header}"]
    rows = [name for name in next(iter(columns.values())) if name != "stars"]
    for name in rows:
        text = name.replace("mean_and_median_rms", "all pixels")
        text = _region(name) if name.startswith("wave_") else text.replace("_", " ")
        text = text.replace("feh", "[Fe/H]").replace("teff", "Teff")
        cells = ""
        for table in columns.values():
            pair = table.get(name)
            cells += f"{100 * pair[0]:15.2f} / {100 * pair[1]:6.2f}" if pair else f"{'-':>24s}"
        lines.append(f"  {text:22s}{cells}")
    return lines


def _mismatch(figures: dict[str, Any] | None) -> list[str]:
    if not figures:
        return ["  mismatch to real stars: not measured (bayes-ddp mismatch RUN.toml --write)"]
    lines = [
        f"  mismatch to real stars, {figures.get('stars', '?')} of {figures.get('survey', '?')}, "
        "per cent: median (and mean of data - model)"
    ]
    for name, values in figures.items():
        if name.startswith("wave_"):  # the median; a measured run has the mean too
            mean = "".join(f"{100 * value:+8.2f}" for value in values[1:])
            lines.append(f"  {_region(name):22s}{100 * values[0]:8.2f}{mean}")
    return lines
