"""Coverage of distances on the mock Galaxy, whose density is not the prior of the distances.

Stars of the mock survey (package ``mock``) have labels with the covariance of the survey's own
pipeline, and magnitudes and parallaxes with Gaia's errors; for half of the stars the parallaxes
are made more precise by a factor of up to 100, so that parallax over error reaches 300. Giants are
taken in full and dwarfs at random, by their measured log g. Bins are of measured values: parallax
over error, and the median distance. Extinction follows the law of the mock (Cardelli).

Columns: stars, fraction of true distances within the central 68 and 95 % with its standard error,
median of ln(median / true), median of sd(ln d). Then coverage and median error of a weighted mean
as that of Zhang et al. (2024, Eq. 5-6): ln d by labels and photometry is averaged with
-ln(parallax) by inverse variance where parallax over error exceeds 2. The last line is one JSON
object.
"""

import argparse
import json
import time
from dataclasses import replace
from itertools import pairwise

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

from bayes_ddp.galaxy.bolometric import ALL_BANDS  # noqa: E402
from bayes_ddp.galaxy.distance_settings import DistanceSettings  # noqa: E402
from bayes_ddp.galaxy.distances import distance  # noqa: E402
from bayes_ddp.galaxy.label_draws import LabelDraws, draws_of_moments  # noqa: E402
from bayes_ddp.galaxy.photometry import Photometry  # noqa: E402
from bayes_ddp.mock.draw import Mock, Settings, draw_stars  # noqa: E402

LABELS = ("feh", "alpha_fe", "teff", "logg")
PLACES = (0, 1, 3, 4)  # of LABELS in the covariance of the survey
SIGNAL = (-np.inf, 0.3, 1, 3, 10, 30, 100, np.inf)
DISTANCES = {"5 kpc": (3.5, 7.0), "20 kpc": (14.0, 28.0), "50 kpc": (35.0, 70.0)}
GIANT = 3.5  # measured log g
Figures = dict[str, float]


def chosen(mock: Mock, number: int, rng: np.random.Generator) -> np.ndarray:
    """Rows: half of ``number`` giants and half others, by measured log g."""
    giants = np.flatnonzero(mock.seen["sp_logg"] < GIANT)
    others = np.flatnonzero(mock.seen["sp_logg"] >= GIANT)
    half = number // 2
    parts = [rng.permutation(rows)[:half] for rows in (giants, others)]
    return np.sort(np.concatenate(parts))


def measured(mock: Mock, rows: np.ndarray, rng: np.random.Generator) -> Photometry:
    """Photometry of some stars; every second parallax is made more precise."""
    seen = {name: values[rows] for name, values in mock.seen.items()}
    factor = 10 ** rng.uniform(-2, 0, len(rows))
    factor[::2] = 1.0
    error = factor * seen["astrometric_error"]
    truth = mock.truth["parallax"][rows]
    noise = (seen["parallax"] - truth) / seen["astrometric_error"]
    return Photometry(
        ra=seen["ra"],
        dec=seen["dec"],
        magnitude=np.stack([seen[f"mag_{band}"] for band in ALL_BANDS], axis=1),
        error=np.stack([seen[f"err_{band}"] for band in ALL_BANDS], axis=1),
        parallax=truth + noise * error,
        parallax_error=error,
        zero_point=np.zeros(len(rows)),
        ruwe=np.ones(len(rows)),
        ebv=seen["ebv"],
    )


def labels_of(mock: Mock, rows: np.ndarray) -> LabelDraws:
    labels = {name: mock.seen[f"sp_{name}"][rows] for name in LABELS}
    covariance = mock.seen["sp_covar"][rows].reshape(-1, 5, 5)[:, PLACES][:, :, PLACES]
    return draws_of_moments(rows.astype(str), labels, covariance)


def figures(dist: np.ndarray, true: np.ndarray, use: np.ndarray) -> Figures:
    """Coverage, bias and spread of the stars in ``use``; dist : [draw star]."""
    number = int(use.sum())
    if not number:
        return {"stars": 0}
    rank = (dist[:, use] < true[use]).mean(axis=0)
    log = np.log(dist[:, use])
    found = {"stars": float(number)}
    for level in (0.68, 0.95):
        found[f"inside_{level:.2f}"] = float(np.mean(np.abs(rank - 0.5) < level / 2))
        found[f"error_{level:.2f}"] = float(np.sqrt(level * (1 - level) / number))
    found["bias"] = float(np.median(np.median(log, axis=0) - np.log(true[use])))
    found["sd"] = float(np.median(log.std(axis=0)))
    return found


def weighted_mean(alone: np.ndarray, photometry: Photometry) -> tuple[np.ndarray, np.ndarray]:
    """(ln d, its standard deviation) [star] of the weighted mean; alone : [draw star], kpc."""
    log = np.log(alone)
    spectrum, weight = log.mean(axis=0), log.var(axis=0) ** -1
    signal = photometry.parallax / photometry.parallax_error
    use = signal > 2
    of_parallax = np.where(use, signal, 0.0) ** 2
    total = weight + of_parallax
    mean = spectrum * weight - np.where(use, np.log(np.where(use, photometry.parallax, 1)), 0) * (
        of_parallax
    )
    return mean / total, total**-0.5


def figures_of_mean(
    mean: np.ndarray, sd: np.ndarray, true: np.ndarray, use: np.ndarray
) -> Figures:
    """Coverage and median error of the weighted mean for the stars in ``use``."""
    away = (mean - np.log(true))[use]
    inside = {f"mean_inside_{level:.2f}": z for level, z in ((0.68, 0.9945), (0.95, 1.96))}
    found = {name: float(np.mean(np.abs(away) < z * sd[use])) for name, z in inside.items()}
    return found | {"mean_bias": float(np.median(away))}


def row(name: str, found: Figures) -> str:
    if not found["stars"]:
        return f"{name:>16s}      0"
    parts = [
        f"{found[f'inside_{level}']:.3f} +- {found[f'error_{level}']:.3f}"
        for level in ("0.68", "0.95")
    ]
    return (
        f"{name:>16s} {found['stars']:6.0f}  {parts[0]}  {parts[1]}  "
        f"{found['bias']:+.3f}  {found['sd']:.3f}     {found['mean_inside_0.68']:.3f}  "
        f"{found['mean_inside_0.95']:.3f}  {found['mean_bias']:+.3f}"
    )


def agreement(joint: np.ndarray, other: np.ndarray, use: np.ndarray) -> Figures:
    """Median of ln(median / other) and of its size in sd(ln d), of the stars in ``use``."""
    log = np.log(joint[:, use])
    away = np.median(log, axis=0) - np.log(other[use])
    sd = log.std(axis=0)
    return {
        "stars": float(use.sum()),
        "offset": float(np.median(away)),
        "offset_in_sd": float(np.median(away / sd)),
        "scatter_in_sd": float(1.4826 * np.median(np.abs(away / sd - np.median(away / sd)))),
    }


def measure(number: int, seed: int) -> tuple[dict[str, Figures], dict[str, float]]:
    """(bin -> coverage, agreement with parallaxes and with labels alone; figures of the run)."""
    rng = np.random.default_rng(seed)
    mock = draw_stars(20 * number, Settings(seed=seed, faint=20.0))
    rows = chosen(mock, number, rng)
    labels, photometry = labels_of(mock, rows), measured(mock, rows, rng)
    settings = DistanceSettings(law="cardelli", floor=0.0, zero_point_error=0.0)
    start = time.process_time()
    joint = distance(labels, photometry, settings)
    seconds = time.process_time() - start
    alone = distance(labels, photometry, replace(settings, parallax=False))
    dist, true = joint["dist"], mock.truth["distance"][rows]
    signal = photometry.parallax / photometry.parallax_error
    middle = np.median(dist, axis=0)
    good = np.isfinite(middle)
    bins = {"all": good}
    bins |= {
        f"S/N {low:g} to {high:g}": good & (signal >= low) & (signal < high)
        for low, high in pairwise(SIGNAL)
    }
    bins |= {n: good & (middle > low) & (middle < high) for n, (low, high) in DISTANCES.items()}
    found = {name: figures(dist, true, use) for name, use in bins.items()}
    mean, sd = weighted_mean(alone["dist"], photometry)
    for name, use in bins.items():
        if use.any():
            found[name] |= figures_of_mean(mean, sd, true, use)
    share = joint.diagnostics["f_parallax"]
    safe = np.where(photometry.parallax > 0, photometry.parallax, np.nan)
    found["parallax dominates"] = agreement(dist, 1 / safe, good & (share > 0.9) & (signal > 20))
    by_labels = np.median(alone["dist"], axis=0)
    found["labels dominate"] = agreement(dist, by_labels, good & (share < 0.1))
    ess = joint.diagnostics["ess"]
    run = {"stars": len(rows), "few_proposals": float((ess < 100).mean()), "seconds": seconds}
    return found, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stars", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    found, run = measure(options.stars, options.seed)
    print(
        f"{'bin':>16s}  stars  inside 68 %       inside 95 %       "
        "bias  sd(ln d)  mean: 68 %  95 %  bias"
    )
    for name, part in found.items():
        if "offset" in part:
            print(
                f"{name}: {part['stars']:.0f} stars, median ln(joint / alone) "
                f"{part['offset']:+.4f}; {part['offset_in_sd']:+.3f} sd, "
                f"scatter {part['scatter_in_sd']:.2f} sd"
            )
        else:
            print(row(name, part))
    print(json.dumps(run | {"bins": found}))


if __name__ == "__main__":
    main()
