"""Times of the batched best fit compared with the machine's limit and SciPy, and times of NUTS.

Everything is measured in one run on one machine, so only the ratios carry over:

- floor: the float32 matrix-product rate of this machine, times the operations that one evaluation
  of flux, gradient spectra and normal matrix needs by its shapes, times the evaluations made;
- peer: ``scipy.optimize.least_squares`` star by star on the same model with the same analytic
  Jacobian, run to tight tolerance. It is also the slow reference that the batched result is
  compared with, in units of each parameter's own error;
- exact: the same for importance draws and the chains that stand in for them;
- NUTS: seconds for a thousand effective draws of the worst label, compilation apart.

Priors are normal here, because least squares knows no others. The last line is one JSON object.
Other work on the machine shows in every number; ends within four minutes, leaving parts out
(null in the JSON) where time runs short.

    python benchmarks/fit_speed.py [--stars 16]
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import least_squares

from bayes_ddp.commands.demo import simulate_files
from bayes_ddp.emulator.card import load_emulator
from bayes_ddp.inference.diagnostics import chain_diagnostics
from bayes_ddp.inference.exact import one_fit, sample_star
from bayes_ddp.inference.forward import StarData, render
from bayes_ddp.inference.hmc import CHAINS
from bayes_ddp.inference.nuts import Nuts
from bayes_ddp.inference.optimise import Fit, fit_stars
from bayes_ddp.inference.prior import LabelPrior, Normal
from bayes_ddp.inference.problem import Problem, load_stars, make_problem
from bayes_ddp.inference.templates import best_template
from bayes_ddp.spectra.desi.read import read_desi
from bayes_ddp.spectra.prepare import prepare

BEGAN = time.perf_counter()
LIMIT = 225.0  # seconds


def left() -> float:
    """Seconds until this benchmark has to end."""
    return LIMIT - (time.perf_counter() - BEGAN)


def seconds(call: Callable[[], Any], *, repeats: int = 1) -> float:
    """Shortest wall time of a call whose result is waited for."""
    best = np.inf
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(call())
        best = min(best, time.perf_counter() - start)
    return best


def load(count: int) -> tuple[Problem, StarData]:
    """The demo's simulated stars and a problem whose priors are all normal."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        simulate_files(place, stars=count, seed=1)
        raw = read_desi([place / "coadd-demo.fits"], place / "rvs-demo.fits")
    spectrum, _ = prepare(raw)
    emulator = load_emulator("desi-physics")
    assert emulator.card is not None
    space = emulator.space
    chosen = {
        name: Normal(float(middle), float(span) / np.sqrt(12))
        for name, middle, span in zip(space.names, space.middle, space.span, strict=True)
    }
    problem = make_problem(
        spectrum, emulator, LabelPrior(space, dict(emulator.card.density), dict(chosen))
    )
    return problem, load_stars(problem, spectrum)


def operations(problem: Problem) -> dict[str, float]:
    """Floating-point operations of one star's evaluation, part by part, from array shapes."""
    shape = problem.shape
    rows, pixels = 1 + problem.prior.space.size, shape.wave.size
    size = problem.parameters.size
    filled = rows + 1 + len(shape.arms)  # with the derivatives by velocity and LSF
    nodes = sum(s.kernel.shape[0] ** 2 for s in shape.smoothers)
    return {
        "emulator": 2.0 * rows * len(problem.emulator.basis) * shape.model_pixels,
        "line spread": 2.0 * (rows + 2) * shape.taps * pixels,
        "continuum": 2.0 * filled * (8 * pixels + nodes),
        "normal matrix": 2.0 * size * (size + 1) * pixels,
    }


def gemm_rate() -> float:
    """Float32 matrix-product operations per second, the best of a few large products."""
    a, b = (jax.random.normal(jax.random.key(i), (2048, 2048), jnp.float32) for i in (0, 1))
    product = jax.jit(jnp.matmul)
    jax.block_until_ready(product(a, b))
    return 2.0 * 2048**3 / seconds(lambda: product(a, b), repeats=8)


def make_peer(problem: Problem, stars: StarData) -> Callable[[int], tuple[np.ndarray, int]]:
    """A function: star -> (best parameters, evaluations) by SciPy, from the same start."""
    prior, parameters = problem.prior, problem.parameters
    choices = [prior.chosen[name] for name in prior.free]
    mean = np.array([c.mean for c in choices])
    sd = np.array([c.sd for c in choices])
    start = np.asarray(best_template(problem.shape, stars, problem.templates))
    chosen = np.array(parameters.derivative_rows())

    @jax.jit
    def evaluate(star: StarData, q: jax.Array) -> tuple[jax.Array, jax.Array]:
        free, nuisances = parameters.split(q)
        rows = problem.emulator.flux_and_gradient(prior.constrain(free))
        flux, by_row = render(problem.shape, star, rows, nuisances)
        root = jnp.sqrt(star.precision)
        return root * (flux - star.flux), (root * by_row[chosen]).T

    def fit(index: int) -> tuple[np.ndarray, int]:
        star = jax.tree.map(lambda x: x[index], stars)
        tight = np.sqrt(np.asarray(parameters.nuisance_precision(star)))
        centre, scale = np.append(mean, 0 * tight), np.append(1 / sd, tight)
        last: dict[str, Any] = {}

        def at(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            if "q" not in last or not np.array_equal(last["q"], q):
                last["q"] = q.copy()
                last["both"] = tuple(np.asarray(x, float) for x in evaluate(star, jnp.asarray(q)))
            return last["both"]

        result = least_squares(
            lambda q: np.append(at(q)[0], (q - centre) * scale),
            np.append(start[index], 0 * tight),
            jac=lambda q: np.vstack([at(q)[1], np.diag(scale)]),
            x_scale=1 / scale,
            method="trf",
            ftol=1e-10,
            xtol=1e-10,
            gtol=1e-10,
            max_nfev=200,
        )
        return result.x, int(result.nfev)

    return fit


def run_peer(problem: Problem, stars: StarData, fit: Fit, *, number: int) -> dict[str, Any]:
    """Seconds per star by SciPy, and how far the batched fit is from it, in sigma."""
    peer = make_peer(problem, stars)
    peer(0)  # compilation
    times, gaps, calls = [], [], []
    for index in range(number):
        if left() < 60 and times:
            break
        start = time.perf_counter()
        best, count = peer(index)
        times.append(time.perf_counter() - start)
        sigma = np.sqrt(np.diagonal(np.asarray(fit.covariance[index])))
        gaps.append(np.abs(np.asarray(fit.q[index]) - best) / sigma)
        calls.append(count)
    return {
        "stars": len(times),
        "seconds": float(np.mean(times)),
        "evaluations": float(np.mean(calls)),
        "gap_median": float(np.median(gaps)),
        "gap_largest": float(np.max(gaps)),
    }


def run_exact(problem: Problem, stars: StarData, fit: Fit) -> dict[str, float]:
    """Seconds per star of exact draws after its best fit, compilation apart, and what they give.

    Draws of chains count by the bulk ESS of the worst label, weighted draws by that of weights.
    """
    times, ess, chains = [], [], []
    for index in range(len(fit.q)):
        star = jax.tree.map(lambda x, at=index: x[at], stars)
        start = time.perf_counter()
        drawn, described = sample_star(
            problem, star, fit=one_fit(fit, index), key=jax.random.key(index)
        )
        labels = np.asarray(jax.block_until_ready(described.labels))
        times.append(time.perf_counter() - start)
        if drawn.chains:
            ess.append(float(np.nanmin(chain_diagnostics(labels, CHAINS)[1])))
        else:
            ess.append(float(1 / np.sum(drawn.weight**2)))
        chains.append(drawn.chains)
    used = np.array(chains)
    first = [
        int(np.flatnonzero(used == kind)[0]) for kind in (False, True) if (used == kind).any()
    ]
    warm = np.setdiff1d(np.arange(len(times)), first)  # the first of each kind compiles
    took, size = np.array(times)[warm], np.array(ess)[warm]
    return {
        "stars": len(warm),
        "seconds": float(took.mean()),
        "share_of_chains": float(used.mean()),
        "ess_median": float(np.median(size)),
        "seconds_per_1000_effective": float(np.mean(1000 * took / size)),
    }


def run_nuts(problem: Problem, stars: StarData) -> dict[str, float]:
    """Seconds and smallest effective sample size of one star by NUTS, best fit included.

    The first star compiles; where time is left a second one is measured without that.
    """
    settings = Nuts()

    def sample(index: int) -> tuple[float, float]:
        one = jax.tree.map(lambda x: x[index : index + 1], stars)
        start = time.perf_counter()
        result = settings(problem, one, jax.random.split(jax.random.key(index), 1))
        return time.perf_counter() - start, float(np.nanmin(result.diagnostics["ess"]))

    took, ess = sample(0)
    compiled = len(stars.flux) > 1 and left() > 1.2 * took
    if compiled:
        took, ess = sample(1)
    return {
        "draws": settings.chains * settings.num_samples,
        "seconds": took,
        "ess_min": ess,
        "seconds_per_1000_effective": 1000 * took / ess,
        "without_compilation": compiled,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--stars", type=int, default=16, help="stars in the batch")
    parser.add_argument("--peers", type=int, default=4, help="stars that SciPy fits")
    asked = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    problem, stars = load(asked.stars)
    print(
        f"n = {asked.stars} stars, {problem.shape.wave.size} data pixels, "
        f"{problem.shape.model_pixels} model pixels, rank {len(problem.emulator.basis)}, "
        f"{problem.parameters.size} parameters, pixels {stars.flux.dtype}, labels float64, "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    fit = fit_stars(problem, stars)
    steps = float(np.mean(fit.steps))
    batch = seconds(lambda: fit_stars(problem, stars), repeats=2 if left() > 120 else 1)
    rate, parts = gemm_rate(), operations(problem)
    floor = sum(parts.values()) * (steps + 1) / rate  # one more for the start
    share = ", ".join(f"{n} {100 * v / sum(parts.values()):.0f} %" for n, v in parts.items())
    print(
        f"batched: {1e3 * batch / asked.stars:.1f} ms per star, {steps:.1f} steps each, "
        f"{int(fit.converged.sum())} converged, {int(fit.positive.sum())} with a covariance\n"
        f"floor: {1e3 * floor:.2f} ms per star at {rate / 1e9:.1f} Gflop/s ({share}); "
        f"batched is {batch / asked.stars / floor:.1f} times the floor",
        flush=True,
    )
    peer = run_peer(problem, stars, fit, number=min(asked.peers, asked.stars))
    print(
        f"SciPy: {1e3 * peer['seconds']:.1f} ms per star ({peer['stars']} stars, "
        f"{peer['evaluations']:.0f} evaluations), {peer['seconds'] / batch * asked.stars:.1f} "
        f"times the batched; batched - SciPy: median {peer['gap_median']:.4f} sigma, largest "
        f"{peer['gap_largest']:.4f}",
        flush=True,
    )
    exact = run_exact(problem, stars, fit) if left() > 60 else None
    if exact:
        print(
            f"exact: {1e3 * exact['seconds']:.0f} ms per star beside its best fit, "
            f"{100 * exact['share_of_chains']:.0f} % by chains, ESS {exact['ess_median']:.0f}: "
            f"{exact['seconds_per_1000_effective']:.2f} s per 1000 effective",
            flush=True,
        )
    nuts = run_nuts(problem, stars) if left() > 45 else None
    if nuts:
        print(
            f"NUTS: {nuts['seconds']:.1f} s for {nuts['draws']} draws, least ESS "
            f"{nuts['ess_min']:.0f}: {nuts['seconds_per_1000_effective']:.1f} s per 1000 "
            f"effective, compilation {'apart' if nuts['without_compilation'] else 'included'}"
        )
    print(
        json.dumps(
            {
                "stars": asked.stars,
                "pixels": problem.shape.wave.size,
                "steps": steps,
                "rank": len(problem.emulator.basis),
                "dtype": str(stars.flux.dtype),
                "cores": os.cpu_count(),
                "batched_seconds_per_star": batch / asked.stars,
                "gemm_flops": rate,
                "operations_per_evaluation": sum(parts.values()),
                "batched_over_floor": batch / asked.stars / floor,
                "scipy_over_batched": peer["seconds"] * asked.stars / batch,
                "scipy": peer,
                "exact": exact,
                "nuts": nuts,
                "seconds": time.perf_counter() - BEGAN,
            }
        )
    )


if __name__ == "__main__":
    main()
