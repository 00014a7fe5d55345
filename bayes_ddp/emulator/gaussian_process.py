"""Gaussian processes over labels, many outputs with one kernel, each with its own noise.

All outputs share the kernel matrix, so that one eigendecomposition serves every noise level:
evidence, posterior mean, leave-one-out mean and variance are sums over its eigenvalues.

Source: Rasmussen & Williams (2006), Gaussian Processes for Machine Learning, Eqs. 2.25, 2.26,
2.30, 5.10-5.12.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from bayes_ddp.emulator.correction import Block

__all__ = ["Kernel", "Process", "choose_kernel", "deviation"]

_RATIOS = np.logspace(-2.5, 3.5, 25)
_USUAL_WIDTH = np.array([0.12, 1.3, 0.9])
"""Prior median of the length scales, in 5040 / K, dex and dex; a factor of 1.6 is one sigma."""
_USUAL_SLOPE, _SPREAD = 0.5, 0.5


@dataclass(frozen=True)
class Kernel:
    """Squared exponential in the core labels times 1 + slope^2 (excess . excess').

    width : [core], length scales. slope : per dex.
    """

    width: tuple[float, ...]
    slope: float

    def __call__(
        self,
        one: tuple[np.ndarray, np.ndarray],
        other: tuple[np.ndarray, np.ndarray],
    ) -> np.ndarray:
        """[star star'] of two sets of (coordinates [star core], excess [star element])."""
        left, right = one[0] / np.array(self.width), other[0] / np.array(self.width)
        square = (left**2).sum(1)[:, None] + (right**2).sum(1) - 2 * left @ right.T
        near = np.exp(-0.5 * np.maximum(square, 0))
        kernel: np.ndarray = near * (1 + self.slope**2 * (one[1] @ other[1].T))
        return kernel


class Process:
    """Gaussian processes with one kernel at some stars.

    coordinates : [star core]. excess : [star element]. noise : [star], relative noise variance.
    """

    def __init__(
        self,
        kernel: Kernel,
        coordinates: np.ndarray,
        excess: np.ndarray,
        *,
        noise: np.ndarray,
    ) -> None:
        self.kernel, self.coordinates, self.excess, self.noise = kernel, coordinates, excess, noise
        self.matrix = kernel((coordinates, excess), (coordinates, excess))
        root = np.sqrt(noise)
        value, self._vector = np.linalg.eigh(self.matrix / np.outer(root, root))
        self._value = np.maximum(value, 0.0)

    def evidence(self, target: np.ndarray) -> np.ndarray:
        """[ratio output] ln evidence at each of ``_RATIOS``, with the best amplitude."""
        square = (self._vector.T @ (target / np.sqrt(self.noise)[:, None])) ** 2
        number = len(target)
        rows = []
        for ratio in _RATIOS:
            total = self._value + ratio
            amplitude = (square / total[:, None]).mean(axis=0)
            rows.append(-0.5 * number * np.log(amplitude) - 0.5 * np.log(total).sum())
        return np.array(rows)

    def condition(self, target: np.ndarray) -> "Process":
        """The process given its values [star output], with amplitude and noise by evidence."""
        root = np.sqrt(self.noise)[:, None]
        self.target = target
        self.ratio = _RATIOS[np.argmax(self.evidence(target), axis=0)]
        turned = self._vector.T @ (target / root)
        total = self._value[:, None] + self.ratio
        self.amplitude = (turned**2 / total).mean(axis=0)
        self.weight = (self._vector @ (turned / total)) / root
        # diagonal of the inverse of kernel + noise, [star output]
        self._inverse = (self._vector**2 @ (1 / total)) / root**2
        return self

    def at_stars(self) -> np.ndarray:
        """[star output] posterior mean."""
        return self.matrix @ self.weight

    def left_out(self) -> np.ndarray:
        """[star output] posterior mean of each star from the others."""
        mean: np.ndarray = self.target - self.weight / self._inverse
        return mean

    def spread(self) -> np.ndarray:
        """[output] mean over stars of the variance of the process there, from the others."""
        own = 1 / self._inverse - self.noise[:, None] * self.ratio
        mean: np.ndarray = self.amplitude * np.maximum(own, 0.0).mean(axis=0)
        return mean

    def block(self, usual: np.ndarray) -> Block:
        """The posterior mean as part of a ``Correction``."""
        width = np.array(self.kernel.width)
        return Block(
            width=width,
            centre=self.coordinates / width,
            usual=usual,
            slope=np.array(self.kernel.slope),
            excess=self.excess,
            weight=self.weight,
            amplitude=self.amplitude,
            ratio=self.ratio,
            noise=self.noise,
        )


def choose_kernel(
    coordinates: np.ndarray,
    excess: np.ndarray,
    target: np.ndarray,
    *,
    noise: np.ndarray,
    start: Kernel | None = None,
) -> Kernel:
    """Length scales and slope with the highest evidence of all outputs [star output] together.

    start : where the search begins, by default at the usual scales.
    """
    middle = np.log([*_USUAL_WIDTH, _USUAL_SLOPE])
    first = middle if start is None else np.log([*start.width, start.slope or _USUAL_SLOPE])
    size = len(middle) if excess.shape[1] else len(_USUAL_WIDTH)

    def made(point: np.ndarray) -> Kernel:
        values = np.exp(np.concatenate([point, middle[size:]]))
        slope = float(values[-1]) if excess.shape[1] else 0.0
        return Kernel(tuple(map(float, values[: len(_USUAL_WIDTH)])), slope)

    def cost(point: np.ndarray) -> float:
        process = Process(made(point), coordinates, excess, noise=noise)
        pull = 0.5 * np.sum(((point - middle[:size]) / _SPREAD) ** 2)
        return float(pull - process.evidence(target).max(axis=0).sum())

    begin = first[:size]
    step = 0.4 if start is None else 0.15
    simplex = np.vstack([begin, begin + step * np.eye(size)])
    options = {"maxfev": 80 if start is None else 40, "xatol": 0.03, "fatol": 0.3}
    found = minimize(
        cost, begin, method="Nelder-Mead", options=options | {"initial_simplex": simplex}
    )
    return made(found.x)


def deviation(block: Block, coordinates: np.ndarray, excess: np.ndarray) -> np.ndarray:
    """[point rank] standard deviation of a block's coefficients; it grows away from its stars.

    coordinates : [point core], not scaled. excess : [point element].
    """
    kernel = Kernel(tuple(map(float, np.asarray(block.width))), float(block.slope))
    stars = np.asarray(block.centre) * np.asarray(block.width), np.asarray(block.excess)
    process = Process(kernel, *stars, noise=np.asarray(block.noise))
    cross = kernel((coordinates, excess), stars) / np.sqrt(process.noise)
    turned = (cross @ process._vector) ** 2
    own = 1 + kernel.slope**2 * (excess**2).sum(axis=1)
    explained = turned @ (1 / (process._value[:, None] + np.asarray(block.ratio)))
    variance = np.maximum(own[:, None] - explained, 0.0) * np.asarray(block.amplitude)
    deviation: np.ndarray = np.sqrt(variance)
    return deviation
