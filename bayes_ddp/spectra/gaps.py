"""Short gaps in a list of wavelengths are filled with masked pixels; long ones separate arms.

Each arm has its own pseudo-continuum and LSF factor, so a segment of a few pixels must not become
an arm. A short gap occurs where rows were dropped from a table: the wavelengths are interpolated
across it and the pixels there are masked. A long gap separates the arms of a spectrograph.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import median_filter

__all__ = ["LONGEST_GAP", "SHORTEST_ARM", "Filled", "fill_gaps"]

LONGEST_GAP = 60.0
"""Å, the longest gap that is filled: three times the kernel width L of the pseudo-continuum."""

SHORTEST_ARM = 60.0
"""Å, smallest distance between the first and the last pixel of an arm."""

_ISLAND_GAP = 500.0
"""Å, the longest gap that is filled between a shorter arm and its neighbour."""

_WINDOW = 101  # pixels, of the running median of the step
_MISSING = 1.5  # a pixel is missing if two neighbours are more steps apart
_MOST_FILLED = 10  # masked pixels per pixel of the input


class Filled(NamedTuple):
    """A list of wavelengths without short gaps.

    wave : [pixel], Å. pixel : [input pixel], index in ``wave`` of each pixel of the input; -1 for
    pixels that are in no arm. arms : slices of ``wave``.
    """

    wave: np.ndarray
    pixel: np.ndarray
    arms: tuple[slice, ...]

    def spread(self, values: np.ndarray) -> np.ndarray:
        """[star pixel] from values [star, input pixel]; filled pixels are 0."""
        inside = self.pixel >= 0
        result = np.zeros((len(values), self.wave.size), values.dtype)
        result[:, self.pixel[inside]] = values[:, inside]
        return result

    def interpolated(self, values: np.ndarray) -> np.ndarray:
        """[star pixel] from values [star, input pixel]; filled pixels are interpolated."""
        if np.array_equal(self.pixel, np.arange(self.wave.size)):
            return values
        inside = self.pixel >= 0
        known = self.wave[self.pixel[inside]]
        return np.stack([np.interp(self.wave, known, row[inside]) for row in values])


def fill_gaps(wave: np.ndarray) -> Filled:
    """The wavelengths with their short gaps filled, and the arms between the long ones.

    A gap is filled if it is at most 60 Å long, or at most 500 Å long beside a segment narrower
    than 60 Å. Such a segment beyond a longer gap is left out.

    wave : [input pixel], Å, ascending.

    Raises ValueError if all segments are that narrow and far apart, and if the step is so
    irregular that more than ten pixels would be filled in per pixel of the input.
    """
    wave = np.asarray(wave, float)
    missing = _missing(wave)
    fill = (missing > 0) & (np.diff(wave) <= LONGEST_GAP)
    fill |= (missing > 0) & _beside_islands(wave, cut=(missing > 0) & ~fill)
    if missing[fill].sum() > _MOST_FILLED * wave.size:
        raise ValueError(
            f"'wave' has {wave.size} pixels, and its gaps would hold {missing[fill].sum()} more "
            "at the typical step: the step is irregular. Give pixels of a spectrograph, in order."
        )
    index = np.arange(wave.size) + np.r_[0, np.cumsum(np.where(fill, missing, 0))]
    whole = _continued(wave, index)
    ends = np.flatnonzero((missing > 0) & ~fill) + 1
    segments = [(a, b) for a, b in zip([0, *ends], [*ends, wave.size], strict=True)]
    kept = [(a, b) for a, b in segments if _is_arm(wave[a:b]) or len(segments) == 1]
    if not kept:
        raise ValueError(
            f"'wave' consists of {len(segments)} stretches narrower than {SHORTEST_ARM:g} Å and "
            f"over {_ISLAND_GAP:g} Å apart, in which no pseudo-continuum can be formed. Give "
            "longer stretches."
        )
    pixel = np.concatenate([np.arange(index[a], index[b - 1] + 1) for a, b in kept])
    moved = np.full(whole.size, -1)
    moved[pixel] = np.arange(pixel.size)
    arms = tuple(slice(int(moved[index[a]]), int(moved[index[b - 1]]) + 1) for a, b in kept)
    return Filled(whole[pixel], moved[index], arms)


def _is_arm(wave: np.ndarray) -> bool:
    return bool(wave[-1] - wave[0] >= SHORTEST_ARM)


def _missing(wave: np.ndarray) -> np.ndarray:
    """[input pixel - 1], number of pixels missing between each pixel and the next."""
    step = np.diff(wave)
    ratio = step / median_filter(step, _WINDOW, mode="reflect")
    return np.where(ratio > _MISSING, np.rint(np.minimum(ratio, 1e9)), 1).astype(int) - 1


def _beside_islands(wave: np.ndarray, *, cut: np.ndarray) -> np.ndarray:
    """[input pixel - 1] bool, the long gaps to be filled so that no segment is too narrow.

    The narrowest segment is repeatedly joined to its nearer neighbour, as long as a gap of at most
    500 Å separates them. cut : [input pixel - 1] bool, the long gaps.
    """
    ends = (np.flatnonzero(cut) + 1).tolist()
    edges, filled = [0, *ends, wave.size], np.zeros(len(cut), bool)

    def options(i: int) -> list[tuple[float, int]]:
        """(gap in Å, edge) of the gaps beside segment ``i`` that can be filled."""
        sides = [e for e in (edges[i], edges[i + 1]) if 0 < e < wave.size]
        gaps = [(float(wave[e] - wave[e - 1]), e) for e in sides]
        return [gap for gap in gaps if gap[0] <= _ISLAND_GAP]

    while True:
        narrow = [
            (float(wave[b - 1] - wave[a]), i)
            for i, (a, b) in enumerate(pairwise(edges))
            if not _is_arm(wave[a:b]) and options(i)
        ]
        if not narrow:
            return filled
        _, edge = min(options(min(narrow)[1]))
        filled[edge - 1] = True
        edges.remove(edge)


def _continued(wave: np.ndarray, index: np.ndarray) -> np.ndarray:
    """[pixel], the wavelengths interpolated to every pixel by monotonic cubics."""
    pixel = np.arange(index[-1] + 1)
    if pixel.size == wave.size:
        return wave
    whole = PchipInterpolator(index, wave)(pixel)
    whole[index] = wave
    return np.asarray(whole)
