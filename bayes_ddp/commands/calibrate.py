"""The command ``calibrate``: control stars in, empirical magnitudes and band zero points out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bayes_ddp.commands.distance_inputs import read_distance_inputs
from bayes_ddp.files.outputs import check_apart, check_replaceable
from bayes_ddp.galaxy.calibrate import calibrate
from bayes_ddp.galaxy.calibration_file import check_calibration, write_calibration
from bayes_ddp.galaxy.control import CalibrationSettings

__all__ = ["CalibrationFiles", "make_calibration"]

_DRAWS = 256  # of labels with draws of a run, for their moments


@dataclass(frozen=True)
class CalibrationFiles:
    """Files of one call.

    control : table of control stars with labels. photometry : table to join; None where the
    control stars have the columns. output : .nc to write; the card goes beside it as .toml. draws,
    hdu, columns : as in ``DistanceFiles``. picture : PNG of the residuals.
    """

    control: Path
    photometry: Path | None
    output: Path
    draws: Path | None = None
    hdu: str | None = None
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    picture: Path | None = None


def make_calibration(
    files: CalibrationFiles,
    settings: CalibrationSettings,
    *,
    offsets: bool = True,
    systematics: bool = True,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[dict[str, Any], str]:
    """Learn and write a calibration; (figures, text to print).

    offsets : measure the band zero points of stellar evolution. systematics : include the errors
    in columns ``_SYS`` of the control stars.

    Raises OutputError before the work where a file would be replaced that must not be, ValueError
    where the control sample is too small.
    """
    outputs = check_calibration(files.output)
    check_apart(outputs, [p for p in (files.control, files.photometry) if p is not None])
    if files.picture:
        from bayes_ddp.commands.pictures import check_picture

        check_picture(files.picture)
        check_replaceable([files.picture])
    inputs = read_distance_inputs(
        files.control,
        files.photometry,
        draws=files.draws,
        hdu=files.hdu,
        names=files.columns,
        number=_DRAWS,
        systematics=systematics,
    )
    calibration, fit = calibrate(
        inputs.labels, inputs.photometry, settings, offsets=offsets, progress=progress
    )
    files.output.parent.mkdir(parents=True, exist_ok=True)
    written = write_calibration(files.output, calibration)
    if files.picture:
        from bayes_ddp.commands.calibration_pictures import draw_calibration

        written.append(draw_calibration(fit, files.picture))
    figures = calibration.card | {
        "joined_by": inputs.joined_by,
        "offsets": list(calibration.offsets),
        "files": [str(path) for path in written],
    }
    return figures, _text(calibration.card, inputs.joined_by, written)


def _text(card: Mapping[str, Any], joined_by: str, written: Sequence[Path]) -> str:
    """The card in words and tables."""
    mixture, ends = card["mixture"], card["range"]
    cuts = ", ".join(f"{number} {words}" for words, number in card["cuts"].items())
    spans = ", ".join(
        f"{name} {ends[key][0]:.{digits}f} to {ends[key][1]:.{digits}f}"
        for name, key, digits in (("Teff", "teff", 0), ("log g", "logg", 2), ("[M/H]", "m_h", 2))
    )
    lines = [
        f"Control stars (joined by {joined_by}): {cuts}.",
        f"Range: {spans}; valid near {ends['places']} places in it.",
        f"With a companion: {100 * mixture['fraction_with_companion']:.0f} % of dwarfs; outliers: "
        f"{100 * mixture['outliers']:.1f} %.",
        "",
        "output   stars  scatter: intrinsic  total  [mag]",
        *(
            f"{name:8s} {row['stars']:5d}  {row['intrinsic_scatter']:18.3f}  "
            f"{row['total_scatter']:5.3f}"
            for name, row in card["outputs"].items()
        ),
    ]
    zero = {n: row for n, row in card["zero_points"].items() if isinstance(row, Mapping)}
    if zero:
        lines += [
            "",
            "Zero points against stellar evolution (measured - predicted, mag):",
            "band  stars  offset   error  median",
            *(
                f"{name:4s}  {row['stars']:5d}  {row['offset']:+.3f}  {row['error']:6.3f}  "
                f"{row['median']:+.3f}"
                for name, row in zero.items()
            ),
        ]
    return "\n".join([*lines, "", *(f"File: {path}" for path in written)])
