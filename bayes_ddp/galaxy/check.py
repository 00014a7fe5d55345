"""How far orbits by an approximation are from integrated ones, on a few orbits of a catalogue."""

from dataclasses import dataclass

import numpy as np

from bayes_ddp.galaxy.engines import FastStaeckel, make_engine
from bayes_ddp.galaxy.frames import Cylindrical
from bayes_ddp.galaxy.orbit import orbit_integrals
from bayes_ddp.galaxy.potential import NamedPotential
from bayes_ddp.galaxy.preset import Preset
from bayes_ddp.galaxy.reference import GalpyIntegration

__all__ = ["Accuracy", "measure_accuracy"]

_FARTHEST = 150.0  # kpc; orbits beyond make too few turns in 10 Gyr


@dataclass(frozen=True)
class Accuracy:
    """Median and 95 % quantile of the difference from integration over 10 Gyr.

    number : of orbits. ecc : absolute. r_peri, r_apo, z_max : kpc over apocentre.
    """

    number: int
    ecc: tuple[float, float]
    r_peri: tuple[float, float]
    r_apo: tuple[float, float]
    z_max: tuple[float, float]

    def cards(self) -> dict[str, int | float]:
        """FITS keywords with values for the header of a catalogue."""
        cards: dict[str, int | float] = {"NCHECK": self.number}
        for name, key in (("ecc", "ECC"), ("r_peri", "PERI"), ("r_apo", "APO"), ("z_max", "ZMAX")):
            if self.number:
                median, high = getattr(self, name)
                cards |= {f"{key}DMED": float(f"{median:.3g}"), f"{key}D95": float(f"{high:.3g}")}
        return cards

    def sentence(self) -> str:
        """What the numbers say."""
        if not self.number:
            return "No orbit was integrated, because none is bound within 150 kpc."
        return (
            f"Against {self.number} integrated orbits: |Δe| median {self.ecc[0]:.2g}, 95 % "
            f"{self.ecc[1]:.2g}; apocentre {100 * self.r_apo[0]:.2g} % and "
            f"{100 * self.r_apo[1]:.2g} %."
        )


def measure_accuracy(star: Cylindrical, preset: Preset, named: NamedPotential) -> Accuracy:
    """Differences between the Staeckel engine and integration of stars [orbit], kpc and km/s."""
    fast = make_engine(named.name, "staeckel")
    assert isinstance(fast, FastStaeckel)
    ours = orbit_integrals(star, preset, fast, scale=named.scale)
    near = ours["r_apo"] < _FARTHEST
    star = Cylindrical(*(part[near] for part in star))
    theirs = orbit_integrals(star, preset, GalpyIntegration(named.of_galpy()), scale=named.scale)
    found = {}
    for name in ("ecc", "r_peri", "r_apo", "z_max"):
        offset = np.abs(ours[name][near] - theirs[name])
        offset = offset if name == "ecc" else offset / theirs["r_apo"]
        known = offset[np.isfinite(offset)]
        found[name] = tuple(np.quantile(known, [0.5, 0.95])) if len(known) else (np.nan, np.nan)
    return Accuracy(number=int(np.isfinite(theirs["ecc"]).sum()), **found)
