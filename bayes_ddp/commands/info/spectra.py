"""Description of the spectra in a file of a survey, as figures and as lines of text."""

from typing import Any

import numpy as np

from bayes_ddp.spectra.raw import RawSpectra
from bayes_ddp.spectra.select import arm_snr
from bayes_ddp.spectra.survey import Survey

__all__ = ["describe_spectra"]


def describe_spectra(survey: Survey, raw: RawSpectra) -> tuple[dict[str, Any], list[str]]:
    """(figures, lines to print) of spectra from their reader.

    Velocities are included if the file has them.
    """
    columns = raw.columns
    kind = f"{survey.title} {'exposures' if 'EXPID' in columns else survey.file_kind}"
    figures: dict[str, Any] = {"kind": kind, "spectra": len(raw)}
    for name in ("SURVEY", "PROGRAM", "HEALPIX", "TILEID", "SPECTYPE", "SUBCLASS"):
        values = sorted({str(v) for v in columns.get(name, ()) if str(v) not in ("", "-1")})
        if values:
            figures[name.lower()] = values[0] if len(values) == 1 else values
    for name in ("TARGETID", "SPECID"):
        if name in columns:
            figures[name.lower()] = [v.item() for v in columns[name][:100]]
    velocity = raw.vrad[np.isfinite(raw.vrad)]
    if len(velocity):
        figures["vrad"] = [float(velocity.min()), float(velocity.max())]
    figures["arms"] = {
        arm.name: {
            "pixels": len(arm.wave),
            "wave": [float(arm.wave[0]), float(arm.wave[-1])],
            "fwhm": float(np.median(arm.fwhm)),
            "usable": float((arm.ivar > 0).mean()) if len(raw) else None,
            "snr": _median(snr),
        }
        for arm, snr in zip(raw.arms, arm_snr(raw).values(), strict=True)
    }
    lines = [f"{kind}, {len(raw)} {'spectrum' if len(raw) == 1 else 'spectra'}"]
    for name, value in figures.items():
        if name not in ("kind", "spectra", "arms", "vrad"):
            text = ", ".join(map(str, value[:8])) if isinstance(value, list) else str(value)
            more = " ..." if isinstance(value, list) and len(value) > 8 else ""
            lines.append(f"  {name}: {text}{more}")
    if len(velocity):
        low, high = figures["vrad"]
        lines.append(f"  vrad: {low:.1f} km/s" + (f" to {high:.1f} km/s" if high > low else ""))
    for name, arm in figures["arms"].items():
        snr = "none usable" if arm["snr"] is None else f"median S/N {arm['snr']:.1f}"
        lines.append(
            f"  arm {name}: {arm['wave'][0]:.0f}-{arm['wave'][1]:.0f} Å vacuum, {arm['pixels']} "
            f"pixels, {100 * (arm['usable'] or 0):.1f} % usable, FWHM {arm['fwhm']:.2f} Å, {snr}"
        )
    return figures, lines


def _median(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else None
