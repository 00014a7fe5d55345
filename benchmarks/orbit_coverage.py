"""Coverage of orbits on the mock Galaxy, from labels, photometry and astrometry to orbits.

Stars, labels and photometry are those of ``distance_coverage``; distances are joint posteriors,
and orbits are computed draw by draw. Bins are of measured values: the error of ln d. Columns:
stars, fraction of true values within the central 68 and 95 % with its standard error, mean of
(median - true), for r_apo of its logarithm, and the same of the point estimate, which is the orbit
at the median distance with the measured motion. The last line is one JSON object.
"""

import argparse
import json
import time
from itertools import pairwise

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

from dataclasses import replace  # noqa: E402

from distance_coverage import chosen, labels_of, measured  # noqa: E402

from bayes_ddp.galaxy.distance_settings import DistanceSettings  # noqa: E402
from bayes_ddp.galaxy.distances import distance  # noqa: E402
from bayes_ddp.galaxy.engines import make_engine  # noqa: E402
from bayes_ddp.galaxy.frames import Sky, galactocentric  # noqa: E402
from bayes_ddp.galaxy.motion import astrometry_of  # noqa: E402
from bayes_ddp.galaxy.orbit import orbit_integrals  # noqa: E402
from bayes_ddp.galaxy.preset import GALPY2014  # noqa: E402
from bayes_ddp.galaxy.records import OrbitPosterior  # noqa: E402
from bayes_ddp.galaxy.sampling import OrbitSettings, orbits  # noqa: E402
from bayes_ddp.mock.draw import Mock, Settings, draw_stars  # noqa: E402

QUANTITIES = ("ecc", "j_phi", "r_apo")
ERRORS = (0.0, 0.05, 0.1, 0.2, 0.3, np.inf)
Values = dict[str, np.ndarray]


def posterior_of(mock: Mock, rows: np.ndarray, rng: np.random.Generator) -> OrbitPosterior:
    """Orbits of some stars, and the error of ln d and the median distance as diagnostics."""
    photometry = measured(mock, rows, rng)
    settings = DistanceSettings(law="cardelli", zero_point_error=0.0, floor=0.0)
    far = distance(labels_of(mock, rows), photometry, settings)
    speed = mock.seen["vrad"][rows] + mock.seen["vrad_err"][rows] * rng.standard_normal(
        far["dist"].shape
    )
    far = replace(far, quantities=far.quantities | {"vrad": speed})
    found = orbits(far, astrometry_of(columns(mock, rows)), OrbitSettings(check=0))
    more = {
        "ln_error": np.std(np.log(far["dist"]), axis=0),
        "middle": np.median(far["dist"], axis=0),
    }
    return replace(found, diagnostics=found.diagnostics | more)


def columns(mock: Mock, rows: np.ndarray) -> Values:
    """Astrometry of the stars as Gaia's table has it; parallax and motion are not correlated."""
    seen = {name: mock.seen[name][rows] for name in ("ra", "dec", "pmra", "pmdec")}
    error = mock.seen["astrometric_error"][rows]
    unknown = dict.fromkeys(("parallax", "parallax_error"), np.full(len(rows), np.nan))
    return seen | {"pmra_error": error, "pmdec_error": error} | unknown


def orbit_at(sky: Sky) -> Values:
    """Quantities of the orbits of stars whose coordinates are exact."""
    place = galactocentric(sky, GALPY2014)
    return orbit_integrals(place, GALPY2014, make_engine())


def coverage(found: OrbitPosterior, truth: Values, point: Values, use: np.ndarray) -> dict:
    """Figures of the stars in ``use``."""
    result: dict = {"stars": int(use.sum())}
    for name in QUANTITIES:
        own = use & np.isfinite(truth[name]) & np.isfinite(point[name])
        levels = found.quantiles(name, [0.025, 0.16, 0.5, 0.84, 0.975])[:, own]
        true = truth[name][own]
        shown = np.log if name == "r_apo" else np.asarray
        result[name] = {
            "in_68": float(np.mean((true > levels[1]) & (true < levels[3]))),
            "in_95": float(np.mean((true > levels[0]) & (true < levels[4]))),
            "bias": float(np.mean(shown(levels[2]) - shown(true))),
            "point_bias": float(np.mean(shown(point[name][own]) - shown(true))),
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stars", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    start, rng = time.process_time(), np.random.default_rng(options.seed)
    mock = draw_stars(20 * options.stars, Settings(seed=options.seed, faint=20.0))
    rows = chosen(mock, options.stars, rng)
    found = posterior_of(mock, rows, rng)
    t, s = (
        {n: v[rows] for n, v in part.items() if v.ndim == 1} for part in (mock.truth, mock.seen)
    )
    exact = orbit_at(Sky(s["ra"], s["dec"], t["distance"], t["pmra"], t["pmdec"], t["vrad"]))
    point = orbit_at(
        Sky(s["ra"], s["dec"], found.diagnostics["middle"], s["pmra"], s["pmdec"], s["vrad"])
    )
    bound = np.nan_to_num(found.diagnostics["p_unbound"], nan=1.0) < 0.02
    error = found.diagnostics["ln_error"]
    result = {"all": coverage(found, exact, point, bound)}
    for low, high in pairwise(ERRORS):
        use = bound & (error > low) & (error <= high)
        if use.sum() >= 30:
            result[f"sd(ln d) {low:g} to {high:g}"] = coverage(found, exact, point, use)
    print(
        f"{'':24s}{'stars':>6s}  {'quantity':9s}{'68 %':>7s}{'95 %':>7s}{'bias':>9s}{'point':>9s}"
    )
    for name, row in result.items():
        wide = np.sqrt(0.68 * 0.32 / row["stars"])
        for quantity in QUANTITIES:
            one = row[quantity]
            print(
                f"{name:24s}{row['stars']:6d}  {quantity:9s}{one['in_68']:7.3f}"
                f"{one['in_95']:7.3f}{one['bias']:9.3f}{one['point_bias']:9.3f}"
                f"   (68 %: ± {wide:.3f})"
            )
    print(json.dumps(result | {"cpu_s": time.process_time() - start, "draws": 256}))


if __name__ == "__main__":
    main()
