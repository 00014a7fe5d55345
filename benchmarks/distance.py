"""Stars per second of joint distance draws, against SciPy's quadrature draw by draw.

The last line is one JSON object. ``scipy_stars_per_s`` is the same integral over distance modulus
and E(B-V) by nested ``scipy.integrate.quad``, for 256 draws of single stars; it is timed on
``--draws`` integrals. ``brutus_stars_per_s`` is always null: astro-brutus needs grids of stellar
models that it downloads (several GB), and this benchmark runs without a network.
"""

import argparse
import json
import time

import jax
import numpy as np
from scipy.integrate import dblquad
from scipy.special import ndtr

jax.config.update("jax_enable_x64", True)

from bayes_ddp.galaxy.distance import load_model, sample_distances  # noqa: E402
from bayes_ddp.galaxy.observed import MODULUS, Observed, make_tables  # noqa: E402

DRAWS = 256
SIGMA = np.array([0.02, 0.03, 0.03, 0.03, 0.03, 0.03, np.inf, np.inf, np.inf])
COVARIANCE = np.diag([0.012, 0.12, 0.06]) ** 2


def make_stars(number: int) -> tuple[Observed, np.ndarray, np.ndarray]:
    """Solar-type stars at 0.6 to 6 kpc; also their magnitudes and extinction per E(B-V)."""
    rng, model = np.random.default_rng(1), load_model()
    core = np.array([8.66, 4.3, -0.2])
    light = np.asarray(model.table.magnitudes(core, -0.05))
    slope = np.asarray(model.table.extinction(core, 0.0)[1])
    modulus, error = rng.uniform(9, 14, number), np.exp(rng.uniform(-4, -1, number))
    noise = np.where(np.isfinite(SIGMA), SIGMA, 0) * rng.normal(size=(number, len(SIGMA)))
    tables = make_tables(
        rng.uniform(0, 6, number), rng.uniform(0.5, 1.5, number), np.full(number, 0.03)
    )
    stars = Observed(
        core=core + rng.multivariate_normal(np.zeros(3), COVARIANCE, number),
        precision=np.repeat(np.linalg.inv(COVARIANCE)[None], number, axis=0),
        magnitude=light + modulus[:, None] + 0.03 * slope + noise,
        ivar=np.repeat(SIGMA[None] ** -2.0, number, axis=0),
        parallax=10 ** (2 - 0.2 * modulus) + error * rng.standard_normal(number),
        parallax_ivar=error**-2,
        tables=tables,
    )
    return stars, light, slope


def scipy_integral(star: Observed, light: np.ndarray, slope: np.ndarray) -> float:
    """The integral of one draw by adaptive quadrature."""
    volume = np.asarray(star.tables.volume).sum(axis=1)
    dust = np.asarray(star.tables.dust)
    away = np.asarray(star.magnitude) - light
    ivar, parallax = np.asarray(star.ivar), float(star.parallax)
    centre = float(ivar @ (away - 0.03 * slope) / ivar.sum())

    def density(e: float, mu: float) -> float:
        mean, sd = np.interp(mu, MODULUS, dust[:, 0]), np.interp(mu, MODULUS, dust[:, 1])
        chi2 = ivar @ (away - mu - slope * e) ** 2 + ((e - mean) / sd) ** 2
        chi2 += float(star.parallax_ivar) * (parallax - 10 ** (2 - 0.2 * mu)) ** 2
        return np.exp(-0.5 * chi2) / sd / ndtr(mean / sd) * np.interp(mu, MODULUS, volume)

    ends = centre - 0.3, centre + 0.3
    return dblquad(density, *ends, 0, 0.3, epsabs=0, epsrel=1e-4)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stars", type=int, default=256)
    parser.add_argument("--draws", type=int, default=8, help="integrals timed with SciPy")
    options = parser.parse_args()
    stars, light, slope = make_stars(options.stars)
    model, ids = load_model(), np.arange(options.stars)
    sample_distances(ids, stars, model, draws=DRAWS)  # compiles
    start = time.process_time()
    found = sample_distances(ids, stars, model, draws=DRAWS)
    ours = options.stars / (time.process_time() - start)
    start = time.process_time()
    for i in range(options.draws):
        scipy_integral(jax.tree.map(lambda x, i=i: np.asarray(x)[i], stars), light, slope)
    scipy = 1 / ((time.process_time() - start) / options.draws * DRAWS)
    result = {
        "stars_per_s": ours,
        "median_ess": float(np.median(found.diagnostics["ess"])),
        "scipy_stars_per_s": scipy,
        "speedup_scipy": ours / scipy,
        "brutus_stars_per_s": None,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
