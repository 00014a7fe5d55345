"""The command ``simulate``: a mock Galaxy is drawn, written, checked and plotted."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bayes_ddp.commands.mock_pictures import PICTURES, draw_check
from bayes_ddp.mock.check import check as check_stars
from bayes_ddp.mock.check import format_check
from bayes_ddp.mock.components import PRESET
from bayes_ddp.mock.draw import Mock, Settings, iter_chunks, join
from bayes_ddp.mock.files import TableFiles, check_folder
from bayes_ddp.mock.spectra import Chosen, check_spectra, write_spectra
from bayes_ddp.pipeline.run import Progress

__all__ = ["CHECKED", "MOST_STARS", "Request", "make_mock", "simulate"]

CHECKED = 100_000
"""Number of stars that ``--check`` keeps in memory: the first ones, which are a fair sample."""

MOST_STARS = 5_000_000
"""With more, the truth would have over the 4 GiB that are read at once (files/structure.py)."""


@dataclass(frozen=True)
class Request:
    """Options of a mock: number of stars, number of spectra, and whether to check it."""

    stars: int
    spectra: int = 0
    check: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.stars <= MOST_STARS:
            raise ValueError(
                f"--stars {self.stars}: from 1 to {MOST_STARS:,} in one folder. Take several "
                "seeds for more."
            )
        if not 0 <= self.spectra <= self.stars:
            raise ValueError(
                f"--spectra {self.spectra}: at least 0 and at most the {self.stars} stars drawn."
            )


def simulate(
    output: str | Path,
    *,
    stars: int,
    spectra: int = 0,
    seed: int = 1,
    faint: float = 19.0,
    check: bool = False,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Draw a mock Milky Way as DESI, Gaia and 2MASS would see it, with the truth of every star.

    Parameters
    ----------
    output
        Folder for mwsall-sim.fits, photometry.fits and truth.fits (docs/mock.md).
    stars
        Number of stars that the survey targets.
    spectra
        How many of them get spectra: coadd files, and a run file that fits them.
    seed
        Of everything; the same seed gives the same files.
    faint
        Limit of the survey in r, mag.
    check
        Compare the stars with published figures, and draw that.
    overwrite
        Replace another mock in the folder.

    Returns the figures that ``bayes-ddp simulate --json`` prints.
    """
    request, settings = Request(stars, spectra, check), Settings(seed, faint=faint)
    figures, _ = make_mock(
        Path(output), request, settings, progress=lambda *_: None, overwrite=overwrite
    )
    return figures


def make_mock(
    folder: Path,
    request: Request,
    settings: Settings,
    *,
    progress: Progress,
    overwrite: bool = False,
) -> tuple[dict[str, Any], str]:
    """(figures, text to print); writes the tables, spectra and pictures into ``folder``.

    overwrite : replace another mock. Raises OutputError for what must not be replaced.
    """
    more = check_spectra(folder, request.spectra, overwrite=overwrite)
    if request.check:
        more += [folder / "pictures" / f"{name}.png" for name in PICTURES]
    provenance = _provenance(request, settings)
    check_folder(folder, provenance, more=more, overwrite=overwrite)
    folder.mkdir(parents=True, exist_ok=True)
    began, done = time.perf_counter(), 0
    kept: list[Mock] = []
    parts: list[Chosen] = []
    with TableFiles(folder) as files:
        for stars in iter_chunks(request.stars, settings):
            if request.check and done < CHECKED:
                kept.append(stars)
            wanted = request.spectra - sum(len(part) for part in parts)
            if wanted > 0:
                parts.append(Chosen.of(stars, done, wanted))
            files.add(stars)
            done += len(stars)
            progress("stars", done, request.stars)
        written = files.finish(provenance)
    seconds = time.perf_counter() - began
    chosen = Chosen.join(parts) if parts else None
    if chosen is not None and len(chosen):
        written += write_spectra(folder, chosen, settings.seed, progress=progress)
    figures: dict[str, Any] = {
        "stars": done,
        "seconds": seconds,
        "rate": done / seconds,
        "spectra": len(chosen) if chosen is not None else 0,
    }
    lines = [f"{done} stars in {seconds:.1f} s ({done / seconds:.0f} a second)."]
    if request.check:
        sample = join(kept)
        figures["check"] = check_stars(sample)
        lines += format_check(figures["check"])
        written += draw_check(sample, folder / "pictures")
    figures["files"] = [str(path) for path in written]
    if figures["spectra"]:
        lines.append(
            f"{figures['spectra']} spectra. Fit them with: bayes-ddp run {folder / 'run.toml'}"
        )
    if figures["spectra"] < request.spectra:
        lines.append(
            f"{request.spectra - figures['spectra']} spectra fewer than asked for: the model does "
            "not know the labels of the other stars. Draw more stars."
        )
    return figures, "\n".join([*lines, *(f"File: {path}" for path in written)])


def _provenance(request: Request, settings: Settings) -> dict[str, Any]:
    from bayes_ddp import __version__

    return {
        "CREATOR": f"bayes_ddp {__version__}",
        "MOCK": True,
        "SEED": settings.seed,
        "RBRIGHT": settings.bright,
        "RFAINT": settings.faint,
        "NSTARS": request.stars,
        "PRESET": PRESET.name,
    }
