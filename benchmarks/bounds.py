"""Bounds per second and core, against the same bound written plainly in NumPy.

- ours: ``projected_bounds`` with the shipped DESI emulator, batched, compilation apart;
- NumPy: one star at a time, 15 one-sided finite differences of the same emulator, each brought to
  the pixels by the star's own line-spread matrix and pseudo-continuum, then J W J' and its
  inverse, all in float64.

Neither has nuisances, which would cost NumPy four more differences. Both run on one thread, as
waiting threads of a BLAS count as CPU time, and are timed by the CPU time of the process, so that
other work on the machine hardly shows. ``largest_difference`` is the
relative difference of the bounds, which is that of one-sided differences. The last line is one
JSON object.

    python benchmarks/bounds.py [--stars 256]
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.sparse import csr_array

from bayes_ddp.emulator.features import CONSTANT
from bayes_ddp.inference.bounds.design import Design, Unknowns, make_design
from bayes_ddp.inference.bounds.gradients import noise_of
from bayes_ddp.inference.bounds.grid import project, projected_bounds
from bayes_ddp.inference.forward import kernel
from bayes_ddp.inference.problem import Nuisance
from bayes_ddp.labels import label
from bayes_ddp.spectra.prepare import Smoother

ONE_THREAD = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
PLAIN = 5
"""Stars that NumPy is timed with."""


def seconds(call: Callable[[], Any], *, repeats: int) -> float:
    """Shortest CPU time of a call whose result is waited for."""
    best = np.inf
    for _ in range(repeats):
        start = time.process_time()
        jax.block_until_ready(call())
        best = min(best, time.process_time() - start)
    return best


class PlainBound:
    """The bound of one star in NumPy, float64."""

    def __init__(self, design: Design, snr: float) -> None:
        emulator, exposure = design.model, design.exposure(snr)
        self.features, self.space = emulator.features, emulator.space
        self.weight = np.asarray(emulator.weight, float)
        self.mean, self.basis = np.asarray(emulator.mean, float), np.asarray(emulator.basis, float)
        shape, star = exposure.shape, exposure.star
        first, taps, *_ = kernel(shape, star, jnp.zeros(()), width=jnp.ones(len(shape.arms)))
        first, taps = np.asarray(first), np.asarray(taps, float)
        count, width = taps.shape
        columns = (first[:, None] + np.arange(width)).ravel()
        rows = np.repeat(np.arange(count), width)
        size = (count, len(self.mean))
        self.lsf = csr_array((taps.ravel(), (rows, columns)), shape=size)
        self.wave, self.arms = np.asarray(shape.wave), shape.arms
        self.use = np.asarray(star.weight, float)
        self.total = np.asarray(star.total, float)
        self.smoothers = [Smoother(self.wave[a:b]) for _, a, b in self.arms]
        self.ivar = np.asarray(star.precision, float)
        self.fitted = self.ivar > 0

    def inputs(self, labels: np.ndarray) -> np.ndarray:
        """What the emulator's features take."""
        return np.asarray(self.features.inputs(jnp.asarray(labels)))

    def flux(self, inputs: np.ndarray) -> np.ndarray:
        """Normalised flux on the pixels."""
        bias, centre = float(self.features.bias), np.asarray(self.features.centre)
        norm = 1 + 2 * (bias + inputs @ inputs)
        root = np.sqrt(norm * (1 + 2 * (bias + (centre**2).sum(axis=1))))
        values = 2 / np.pi * np.arcsin(2 * (bias + centre @ inputs) / root)
        coefficients = np.append(values, CONSTANT) @ self.weight
        native = self.lsf @ (self.mean + coefficients @ self.basis)
        sums = [
            smoother((native * self.use)[a:b])
            for smoother, (_, a, b) in zip(self.smoothers, self.arms, strict=True)
        ]
        level = np.concatenate(sums) / np.where(self.total > 0, self.total, 1.0)
        return native / np.where(self.total > 0, level, 1.0)

    def __call__(self, inputs: np.ndarray, step: np.ndarray) -> np.ndarray:
        """[label], bounds; inputs [1 + label, input], the star and its stepped neighbours."""
        here = self.flux(inputs[0])
        rows = [(self.flux(x) - here) / h for x, h in zip(inputs[1:], step, strict=True)]
        jacobian = np.array(rows)[:, self.fitted]
        information = (jacobian * self.ivar[self.fitted]) @ jacobian.T
        return np.sqrt(np.diag(np.linalg.inv(information)))


def measure(stars: int) -> dict[str, Any]:
    """The figures."""
    known = Unknowns(nuisance=Nuisance(velocity=False, lsf=0.0))
    design = make_design({"teff": 5500.0, "logg": 4.2, "feh": -0.5}, unknowns=known)
    rng = np.random.default_rng(1)
    spread = np.array([600.0, 0.5, 0.3, 0.4, *[0.15] * 11])
    labels = design.labels + spread * rng.uniform(-1, 1, (stars, 15))
    exposure = design.exposure(100.0)
    weights = np.asarray(noise_of(exposure.star).precision)
    used = np.flatnonzero(weights)
    found = project(design.model, exposure, used)
    terms = design.terms(tuple(name for name, _, _ in exposure.shape.arms))
    seen, none = jnp.asarray(weights[None, used]), jnp.zeros(15)

    def ours() -> Any:
        return projected_bounds(found, jnp.asarray(labels), seen, prior=none, terms=terms)

    values = np.asarray(ours())[:, 0]
    fast = stars / seconds(ours, repeats=3)
    plain = PlainBound(design, 100.0)
    step = np.array([label(name).step for name in design.names]) * 1e-3
    inputs = [
        [plain.inputs(star + shift) for shift in (np.zeros(15), *np.diag(step))]
        for star in labels[:PLAIN]
    ]
    stacked = np.array(inputs)
    slow = [plain(one, step) for one in stacked]
    each = seconds(lambda: [plain(one, step) for one in stacked], repeats=2) / PLAIN
    return {
        "stars": stars,
        "bounds_per_s": fast,
        "numpy_bounds_per_s": 1 / each,
        "speedup": fast * each,
        "largest_difference": float(np.max(np.abs(np.array(slow) / values[:PLAIN] - 1))),
    }


def main() -> None:
    """Measure and print."""
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":  # it is read when NumPy is imported
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ONE_THREAD)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stars", type=int, default=256)
    jax.config.update("jax_enable_x64", True)
    figures = measure(parser.parse_args().stars)
    for name, value in figures.items():
        print(f"{name:20s} {value:12.5g}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
