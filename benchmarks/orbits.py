"""Orbits per second of the Staeckel engine in JAX, against galpy's in C and against integration.

All engines get the same bound orbits in MWPotential2014 and give actions, eccentricity,
pericentre, apocentre and greatest height:

- ours: ``FastStaeckel`` with one thread, float64, compilation apart;
- galpy: ``actionAngleStaeckel`` (C) with the focal length of each orbit, actions and
  ``EccZmaxRperiRap``;
- integration: galpy's dop853_c over 10 Gyr, which is the reference for the accuracy.

Times are CPU times of the process, so that the figures are per core if
galpy has one thread: waiting threads count. ``agreement`` is the median
difference in eccentricity from galpy at equal focal length; ``median_abs_de`` and ``p95_abs_de``
are those of our approximation from integration. The last line is one JSON object.

    OMP_NUM_THREADS=1 python benchmarks/orbits.py [--orbits 65536]
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from bayes_ddp.galaxy.engines import FastStaeckel, make_engine
from bayes_ddp.galaxy.frames import Cylindrical
from bayes_ddp.galaxy.potential import load_potential
from bayes_ddp.galaxy.reference import GalpyIntegration, load_galpy

GALPY, INTEGRATED = 4096, 256
"""Orbits that the slower engines are timed with."""


def halo_orbits(number: int, seed: int = 1) -> Cylindrical:
    """Bound orbits at 0.2 to 4 R0, isotropic, up to 90 % of the escape speed; natural units."""
    rng = np.random.default_rng(seed)
    r, cosine = 10 ** rng.uniform(-0.7, 0.6, number), rng.uniform(-1, 1, number)
    R, z = r * np.sqrt(1 - cosine**2), r * cosine
    potential = load_potential().fast
    assert potential is not None
    escape = np.sqrt(-2 * np.asarray(potential.value(R * R, z * z)))
    speed = 0.9 * escape * np.sqrt(rng.uniform(0, 1, number))
    up, around = rng.uniform(-1, 1, number), rng.uniform(0, 2 * np.pi, number)
    flat = speed * np.sqrt(1 - up**2)
    return Cylindrical(R, 0 * R, z, flat * np.cos(around), flat * np.sin(around), speed * up)


def first(phase: Cylindrical, number: int) -> Cylindrical:
    """The first orbits."""
    return Cylindrical(*(part[:number] for part in phase))


def timed(call: Callable[[], Any], repeats: int = 3) -> tuple[float, Any]:
    """(shortest CPU time of a call, its result)."""
    best, result = np.inf, None
    for _ in range(repeats):
        start = time.process_time()
        result = call()
        best = min(best, time.process_time() - start)
    return best, result


def galpy_staeckel(phase: Cylindrical, focal: np.ndarray) -> np.ndarray:
    """[orbit], eccentricity by galpy, after actions and turning points."""
    galpy = load_galpy()
    finder = galpy.action_angle.actionAngleStaeckel(
        pot=galpy.potential.MWPotential2014, delta=0.45, c=True
    )
    words = (phase.R, phase.v_R, phase.v_phi, phase.z, phase.v_z)
    with np.errstate(all="ignore"):
        finder(*words, delta=np.sqrt(focal))
        ecc: np.ndarray = finder.EccZmaxRperiRap(*words, delta=np.sqrt(focal))[0]
    return ecc


def main(count: int) -> dict[str, float | int]:
    """Time all engines and print what they ran on."""
    potential = load_potential().fast
    assert potential is not None
    fast = FastStaeckel(potential, threads=1)
    integration = make_engine(kind="integrate")
    assert isinstance(integration, GalpyIntegration)
    phase = halo_orbits(count)
    fast.solve(phase)  # compiles
    ours, found = timed(lambda: fast.solve(phase))

    some = first(phase, GALPY)
    focal = np.maximum(np.asarray(potential.focal(some.R**2, some.z**2)), 1e-6)
    theirs, ecc = timed(lambda: galpy_staeckel(some, focal))
    same = fast.solve(some, focal).ecc
    known = np.isfinite(ecc)

    few = first(phase, INTEGRATED)
    slow, exact = timed(lambda: integration.solve(few), repeats=1)
    offset = np.abs(found.ecc[:INTEGRATED] - exact.ecc)
    offset = offset[np.isfinite(offset)]

    rate = count / ours
    figures: dict[str, float | int] = {
        "orbits": count,
        "jax_orbits_per_s": rate,
        "galpy_staeckel_per_s": GALPY / theirs,
        "galpy_integrate_per_s": INTEGRATED / slow,
        "speedup_staeckel": rate * theirs / GALPY,
        "agreement": float(np.median(np.abs(same - ecc)[known])),
        "median_abs_de": float(np.median(offset)),
        "p95_abs_de": float(np.quantile(offset, 0.95)),
    }
    print(f"float64, MWPotential2014, {os.cpu_count()} cores of which one is counted")
    for name, value in figures.items():
        print(f"{name:24s} {value:12.5g}")
    return figures


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orbits", type=int, default=65536)
    print(json.dumps(main(parser.parse_args().orbits)))
