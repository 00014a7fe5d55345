"""Spectra of some stars of the mock are written as DESI coadd files.

A star gets a spectrum if the emulator knows its labels: within its range, and with a velocity that
leaves the arms covered. The emulator gives flux over a smooth continuum; a black body of the
star's Teff stands for that continuum, since the fit divides it out again. The spectrum is the
primary's alone, at the S/N in R that the survey's table says.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bayes_ddp.emulator.card import find_model, load_emulator, read_card
from bayes_ddp.files.errors import OutputError
from bayes_ddp.files.outputs import is_ours, write_text
from bayes_ddp.labels import LABELS
from bayes_ddp.mock.draw import Mock
from bayes_ddp.mock.fields import TARGETID
from bayes_ddp.spectra.desi.survey import count_desi
from bayes_ddp.spectra.desi.writer import write_coadd
from bayes_ddp.spectra.expose import (
    MAX_VRAD,
    Coadd,
    Fibres,
    ModelSpectra,
    Simulation,
    expose,
)

__all__ = [
    "EMULATOR",
    "PER_FILE",
    "RUN",
    "Chosen",
    "check_spectra",
    "known_labels",
    "write_spectra",
]

EMULATOR = "desi-physics"
PER_FILE = 250
"""Stars in a coadd file."""

RUN = """\
# Fits the spectra of the mock Galaxy: bayes-ddp run {folder}/run.toml
schema = 1
seed = 1

[input]
survey = "desi"
spectra = {spectra}
catalog = "mwsall-sim.fits"

[emulator]
name = "{emulator}"

[distance]
photometry = "photometry.fits"

[orbit]

[output]
directory = "output"
"""


@dataclass(frozen=True)
class Chosen:
    """Stars that get a spectrum: [star] arrays, labels [star label] in the order of LABELS."""

    targetid: np.ndarray
    labels: np.ndarray
    ra: np.ndarray
    dec: np.ndarray
    vrad: np.ndarray
    ebv: np.ndarray
    snr: np.ndarray
    vrad_seen: np.ndarray
    vrad_err: np.ndarray

    def __len__(self) -> int:
        return len(self.targetid)

    @classmethod
    def of(cls, stars: Mock, first: int, limit: int) -> "Chosen":
        """At most ``limit`` of the stars, whose first row is ``first``, that have known labels."""
        labels = np.stack([stars.truth[row.name] for row in LABELS], axis=1)
        usable = known_labels(labels) & (np.abs(stars.truth["vrad"]) < MAX_VRAD - 1)
        rows = np.flatnonzero(usable)[:limit]
        identifier = TARGETID.values(stars, first)
        columns = {name: stars.truth[name] for name in ("ra", "dec", "vrad", "ebv")}
        columns |= {
            "snr": stars.seen["sn_r"],
            "vrad_seen": stars.seen["vrad"],
            "vrad_err": stars.seen["vrad_err"],
        }
        return cls(identifier[rows], labels[rows], **{n: v[rows] for n, v in columns.items()})

    @classmethod
    def join(cls, parts: list["Chosen"]) -> "Chosen":
        """The rows of all parts, concatenated."""
        return cls(
            *(
                np.concatenate([getattr(p, name) for p in parts])
                for name in cls.__dataclass_fields__
            )
        )


def coadd_path(folder: Path, number: int) -> Path:
    """The coadd file with this number in the folder of a mock."""
    return folder / f"coadd-sim-{number:03d}.fits"


def check_spectra(folder: Path, stars: int, *, overwrite: bool) -> list[Path]:
    """The files that ``write_spectra`` writes for at most so many stars.

    Raises OutputError if the folder has spectra of more stars, unless ``overwrite``.
    """
    if not stars:
        return []
    files = [coadd_path(folder, number) for number in range(-(-stars // PER_FILE))]
    there = sorted(folder.glob("coadd-sim-*.fits"))
    held = sum(count_desi(path) for path in there if is_ours(path))
    if held > stars and not overwrite:
        raise OutputError(
            f"{folder} has spectra of {held} stars, and {stars} are asked for now. Choose another "
            "folder, or replace them with --overwrite."
        )
    return [*files, folder / "run.toml"]


def known_labels(labels: np.ndarray) -> np.ndarray:
    """[star] bool, whether ``labels`` [star label] are where the emulator was trained."""
    card = read_card(find_model(EMULATOR))
    order = [[row.name for row in LABELS].index(name) for name in card["labels"]["names"]]
    low, high = np.array(card["labels"]["low"]), np.array(card["labels"]["high"])
    inside = np.all((labels[:, order] > low) & (labels[:, order] < high), axis=1)
    density = card["density"]
    lowest = np.interp(labels[:, 0], density["lowest_logg_teff"], density["lowest_logg"])
    return inside & (labels[:, 1] > lowest)


def write_spectra(folder: Path, chosen: Chosen, seed: int, *, progress: Any) -> list[Path]:
    """Write coadd-sim-NNN.fits of all chosen stars and a run file that fits them; the paths.

    progress : called with (what, done, total).
    """
    import jax
    import jax.numpy as jnp

    emulator = load_emulator(EMULATOR)
    order = [[row.name for row in LABELS].index(name) for name in emulator.space.names]
    flux_of = jax.jit(jax.vmap(emulator))
    wave, written = np.asarray(emulator.wave, float), []
    for number, start in enumerate(range(0, len(chosen), PER_FILE)):
        rows = np.arange(start, min(start + PER_FILE, len(chosen)))
        padded = np.resize(rows, PER_FILE)  # one shape, one compilation
        flux = np.asarray(flux_of(jnp.asarray(chosen.labels[padded][:, order])))[: len(rows)]
        continuum = black_body(wave, chosen.labels[rows, 0])
        models = ModelSpectra(wave, flux.astype(float) * continuum, float(emulator.fwhm))
        path = coadd_path(folder, number)
        write_coadd(
            path, _coadd(chosen, rows, models, rng=np.random.default_rng([seed, number, 1]))
        )
        written.append(path)
        progress("spectra", int(rows[-1]) + 1, len(chosen))
    names = "[" + ", ".join(f'"{path.name}"' for path in written) + "]"
    text = RUN.format(folder=folder.name, spectra=names, emulator=EMULATOR)
    write_text(folder / "run.toml", text)
    return [*written, folder / "run.toml"]


def black_body(wave: np.ndarray, teff: np.ndarray) -> np.ndarray:
    """[star pixel], Planck's law per wavelength at ``wave`` Å, over its value at 6000 Å."""
    exponent = 1.438776877e8 / teff[:, None]  # hc/k in Å K
    return (wave / 6000.0) ** -5 * np.expm1(exponent / 6000.0) / np.expm1(exponent / wave)


def _coadd(
    chosen: Chosen, rows: np.ndarray, models: ModelSpectra, *, rng: np.random.Generator
) -> Coadd:
    fibres = Fibres(np.arange(len(rows)), chosen.vrad[rows], chosen.ebv[rows], chosen.snr[rows])
    arms = expose(models, fibres, Simulation(stars=len(rows)), rng=rng)
    return Coadd(
        arms=arms,
        source=fibres.source,
        targetid=chosen.targetid[rows],
        ra=chosen.ra[rows],
        dec=chosen.dec[rows],
        vrad=fibres.vrad,
        ebv=fibres.ebv,
        snr=fibres.snr,
        vrad_seen=chosen.vrad_seen[rows],
        vrad_err=chosen.vrad_err[rows],
    )
