"""Low-rank compression of spectra to a guaranteed error, to which spectra can be appended.

Directions are stored as int8 and coefficients as float16. The rounding does not limit the
accuracy: each spectrum is fitted with the stored directions, and further directions represent the
rounding errors. Directions are only appended and the coefficients of stored spectra do not change,
so that these decode to the same values, up to rounding of float32.
"""

from dataclasses import dataclass

import numpy as np

from bayes_ddp.emulator.ridge import principal_rows

__all__ = ["Code", "decode_log", "empty_code", "encode_log", "extend", "grow", "project"]

_AT_ONCE = 16


@dataclass(frozen=True)
class Code:
    """Rows as linear combinations of common directions.

    directions : [rank, pixel] int8. scale : [rank] float32, unit of each direction.
    coefficients : [row, rank] float16.
    """

    directions: np.ndarray
    scale: np.ndarray
    coefficients: np.ndarray

    @property
    def basis(self) -> np.ndarray:
        """[rank, pixel] float32, scaled directions."""
        basis: np.ndarray = self.directions.astype(np.float32) * self.scale[:, None]
        return basis

    def decode(self) -> np.ndarray:
        """[row, pixel] float32, the decoded rows."""
        rows: np.ndarray = self.coefficients.astype(np.float32) @ self.basis
        return rows


def empty_code(pixels: int) -> Code:
    """A code without rows or directions."""
    return Code(
        np.zeros((0, pixels), np.int8), np.zeros(0, np.float32), np.zeros((0, 0), np.float16)
    )


def extend(code: Code, rows: np.ndarray, target: np.ndarray) -> tuple[Code, np.ndarray]:
    """The code with ``rows`` appended, and the rms error of each of them.

    Parameters
    ----------
    code
        The coefficients of its rows are kept; those of new directions are 0.
    rows : [row, pixel]
    target : [row]
        Largest rms error allowed; directions are added until every row is below its own.
    """
    left = rows.astype(np.float32).copy()
    blocks = [project(left, code.basis)] if len(code.scale) else []
    directions, scales = [code.directions], [code.scale]
    for _ in range(rows.shape[1]):
        error = _rms(left)
        poor = error > target
        if not poor.any():
            break
        wanted = principal_rows(left[poor] / target[poor, None], min(_AT_ONCE, int(poor.sum())))
        unit = (np.abs(wanted).max(axis=1) / 127).astype(np.float32)
        stored = np.rint(wanted / unit[:, None]).astype(np.int8)
        root = np.float32(np.sqrt(rows.shape[1]))  # so that coefficients are rms amplitudes
        directions.append(stored)
        scales.append(unit * root)
        blocks.append(project(left, stored.astype(np.float32) * (unit * root)[:, None]))
    new = np.concatenate(blocks, axis=1) if blocks else np.zeros((len(rows), 0), np.float16)
    grown = Code(np.concatenate(directions), np.concatenate(scales), grow(code.coefficients, new))
    return grown, _rms(left)


def grow(held: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Coefficients of stored rows ``held`` and then ``new``; the former are padded with zeros."""
    grown = np.zeros((len(held) + len(new), new.shape[1]), np.float16)
    grown[: len(held), : held.shape[1]] = held
    grown[len(held) :] = new
    return grown


def project(left: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Coefficients [row, rank] float16 of a least-squares fit to ``left`` [row, pixel].

    The fit is subtracted from ``left`` in place.
    """
    gram = (basis @ basis.T).astype(float)
    found = np.linalg.solve(gram, (basis @ left.T).astype(float)).T.astype(np.float16)
    left -= found.astype(np.float32) @ basis
    return found


def _rms(rows: np.ndarray) -> np.ndarray:
    return np.sqrt(np.mean(rows.astype(float) ** 2, axis=1))


def encode_log(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positive values as uint16 steps in their logarithm between the extremes of each row.

    values : [..., node]. Returns the code [..., node] and the extremes [..., 2] float32.
    """
    logs = np.log(np.asarray(values, float))
    ends = np.stack([logs.min(axis=-1), logs.max(axis=-1)], axis=-1).astype(np.float32)
    span = np.maximum(ends[..., 1:] - ends[..., :1], 1e-6).astype(float)
    steps = np.rint((logs - ends[..., :1]) / span * 65535)
    return steps.clip(0, 65535).astype(np.uint16), ends


def decode_log(code: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """[..., node] float32, the input of ``encode_log`` to a relative error below 1e-4."""
    span = np.maximum(ends[..., 1:] - ends[..., :1], 1e-6).astype(float)
    values: np.ndarray = np.exp(ends[..., :1] + code * (span / 65535))
    return values.astype(np.float32)
