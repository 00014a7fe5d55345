"""Figures of a mock for comparison with the paper's statements on DESI stars and with the inputs.

The paper (Zhang et al., DD-Payne on DESI EDR) counts stars with S/N > 10 in the blue arm: about
30 % have [Fe/H] < -1, 5.9 % are beyond 10 kpc and 0.55 % beyond 35 kpc (11,216 and 1,043 of
190,000), less than 5 % are on the giant branch. Those stars are of the survey validation, whose
limit is r = 20; the main survey ends at 19.
"""

from typing import Any

import numpy as np

from bayes_ddp.galaxy.light import BANDS, apparent_magnitudes
from bayes_ddp.mock.components import COMPONENTS
from bayes_ddp.mock.draw import Mock
from bayes_ddp.mock.survey import TARGET

__all__ = ["MIN_SNR", "check", "format_check", "profile", "recomputed_difference"]

MIN_SNR = 10.0
"""Smallest S/N per pixel in the blue arm of the stars that the paper counts."""

_PAPER: dict[str, float] = {
    "feh_below_-1": 0.30,
    "beyond_10_kpc": 0.059,
    "beyond_35_kpc": 1043 / 190_000,
    "giants": 0.05,
}
_GIANT_LOGG = 3.5
_FEWEST = 40  # stars in a bin of a profile


def check(stars: Mock) -> dict[str, Any]:
    """Figures of a mock, as nested tables.

    Shares are of stars with S/N > 10 in B, but ``components`` and ``targets``, which are of all.
    """
    truth, seen = stars.truth, stars.seen
    bright = seen["sn_b"] > MIN_SNR
    counted = {
        "feh_below_-1": truth["feh"] < -1,
        "beyond_10_kpc": truth["distance"] > 10,
        "beyond_35_kpc": truth["distance"] > 35,
        "giants": truth["logg"] < _GIANT_LOGG,
    }
    counts = max(int(bright.sum()), 1)
    return {
        "stars": len(stars),
        "with_snr": int(bright.sum()),
        "shares": {
            name: {
                "mock": float(np.mean(what[bright])),
                "paper": _PAPER[name],
                "error": float(np.sqrt(np.mean(what[bright]) / counts)),
            }
            for name, what in counted.items()
        },
        "median_snr": {arm: float(np.median(seen[f"sn_{arm.lower()}"])) for arm in "BRZ"},
        "targets": {
            str(bit.name): float(np.mean((seen["target"] & int(bit)) > 0)) for bit in TARGET
        },
        "without_2mass": float(np.mean(~np.isfinite(seen["mag_J"]))),
        "binaries": float(np.mean(truth["mass_ratio"] > 0)),
        "components": {
            part.name: _component(truth, truth["component"] == i)
            for i, part in enumerate(COMPONENTS)
        },
        "bound_without_orbit": int(np.sum((truth["ENERGY"] < 0) & ~np.isfinite(truth["J_R"]))),
        "unbound": int(np.sum(truth["ENERGY"] >= 0)),
        "overshoot": stars.overshoot,
        "largest_magnitude_difference": recomputed_difference(stars),
    }


def recomputed_difference(stars: Mock) -> float:
    """mag, largest difference between a magnitude and its value recomputed from the truth."""
    again = apparent_magnitudes(stars.truth)
    return float(max(np.abs(again[band] - stars.truth[f"mag_{band}"]).max() for band in BANDS))


def _component(truth: dict[str, np.ndarray], own: np.ndarray) -> dict[str, Any]:
    if not own.any():
        return {"share": 0.0}
    R = truth["position"][own, 0]
    near = (R > 7) & (R < 9)
    speed = truth["velocity"][own][near if near.sum() > 1 else slice(None)]
    return {
        "share": float(np.mean(own)),
        "distance": float(np.median(truth["distance"][own])),
        "feh": float(np.median(truth["feh"][own])),
        "age": float(np.median(truth["age"][own])),
        "v_phi": float(speed[:, 1].mean()),
        "sigma": [float(s) for s in speed.std(axis=0)],
        "eccentricity": float(np.nanmedian(truth["ECC"][own])),
    }


def profile(
    x: np.ndarray, values: np.ndarray, edges: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(centre, mean, standard deviation) [bin] of values; NaN below 40 stars."""
    which = np.digitize(x, edges) - 1
    mean, spread = np.full(len(edges) - 1, np.nan), np.full(len(edges) - 1, np.nan)
    for i in range(len(edges) - 1):
        part = values[which == i]
        if len(part) >= _FEWEST:
            mean[i], spread[i] = part.mean(), part.std()
    return 0.5 * (edges[1:] + edges[:-1]), mean, spread


_WORDS = {
    "feh_below_-1": "[Fe/H] below -1",
    "beyond_10_kpc": "beyond 10 kpc",
    "beyond_35_kpc": "beyond 35 kpc",
    "giants": "giants (log g < 3.5)",
}


def format_check(figures: dict[str, Any]) -> list[str]:
    """The figures as lines of text."""
    lines = [
        f"{figures['stars']} stars checked, {figures['with_snr']} with S/N > 10 in B. Of these:",
        f"  {'':24s} {'mock':>14s} {'paper':>9s}",
    ]
    for name, row in figures["shares"].items():
        mark = "< " if name == "giants" else ""
        lines.append(
            f"  {_WORDS[name]:24s} {100 * row['mock']:6.2f} ± {100 * row['error']:.2f} % "
            f"{mark + format(100 * row['paper'], '.1f'):>7s} %"
        )
    lines.append(
        f"  {'component':10s} {'share':>7s} {'dist':>6s} {'[Fe/H]':>7s} {'age':>5s} {'v_phi':>6s} "
        f"{'sigma R, phi, z near the Sun':>29s} {'ecc':>5s}"
    )
    for name, row in figures["components"].items():
        if row["share"] == 0:
            continue
        sigma = " ".join(f"{value:8.0f}" for value in row["sigma"])
        lines.append(
            f"  {name:10s} {100 * row['share']:5.1f} % {row['distance']:6.2f} {row['feh']:7.2f} "
            f"{row['age']:5.1f} {row['v_phi']:6.0f} {sigma:>29s} {row['eccentricity']:5.2f}"
        )
    snr = ", ".join(f"{arm} {value:.1f}" for arm, value in figures["median_snr"].items())
    part = ", ".join(f"{name} {100 * value:.1f} %" for name, value in figures["targets"].items())
    lines += [
        f"  median S/N per pixel: {snr}; targets: {part}",
        f"  without 2MASS: {100 * figures['without_2mass']:.0f} %; binaries: "
        f"{100 * figures['binaries']:.0f} %; bound stars without an orbit: "
        f"{figures['bound_without_orbit']}",
        "  magnitudes recomputed from the truth differ by at most "
        f"{figures['largest_magnitude_difference']:.1e} mag",
    ]
    return lines
