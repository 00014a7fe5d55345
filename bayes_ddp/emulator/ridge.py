"""Linear algebra of training: a weighted low-rank basis, and ridge regression on features."""

import numpy as np
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular

__all__ = ["principal_rows", "ridge_solve"]


def principal_rows(rows: np.ndarray, rank: int) -> np.ndarray:
    """The leading right singular vectors of ``rows``.

    Parameters
    ----------
    rows : [row, pixel]
        They are not centred here.
    rank
        Number of vectors; at most the number of rows or pixels.

    Returns
    -------
    [rank, pixel] float64, orthonormal
        Exact for small matrices, else by randomised subspace iteration (Halko et al. 2011).
    """
    rank = min(rank, *rows.shape)
    if min(rows.shape) <= rank + 400:
        gram = rows @ rows.T if rows.shape[0] <= rows.shape[1] else rows.T @ rows
        value, vector = np.linalg.eigh(gram.astype(float))
        vector = vector[:, np.argsort(value)[::-1][:rank]]
        found = (rows.T @ vector).T if rows.shape[0] <= rows.shape[1] else vector.T
        return np.linalg.qr(found.T.astype(float))[0].T
    trial = np.random.default_rng(0).standard_normal((len(rows), rank + 30))
    for _ in range(4):
        trial = np.linalg.qr(rows @ (rows.T @ trial.astype(rows.dtype)))[0]
    small = trial.T.astype(rows.dtype) @ rows
    _, _, directions = np.linalg.svd(small.astype(float), full_matrices=False)
    return directions[:rank]


def ridge_solve(
    design: np.ndarray, target: np.ndarray, prior: np.ndarray, *, ridge: float
) -> np.ndarray:
    """Weights W that minimise ``|design W - target|² + ridge tr(Wᵀ prior W)``.

    Parameters
    ----------
    design : [row, feature], target : [row, output]
        Rows divided by their errors.
    prior : [feature, feature]
        Positive definite up to rounding; the kernel matrix of the centres.

    Returns
    -------
    [feature, output]
        Solved in the dual form if there are not more rows than features.
    """
    jitter = 1e-11 * np.trace(prior) / len(prior)
    root = cholesky(prior + jitter * np.eye(len(prior)), lower=True)
    white = solve_triangular(root, design.T, lower=True).T
    if white.shape[0] <= white.shape[1]:
        inner = white @ white.T + ridge * np.eye(white.shape[0])
        found = white.T @ cho_solve(cho_factor(inner), target)
    else:
        inner = white.T @ white + ridge * np.eye(white.shape[1])
        found = cho_solve(cho_factor(inner), white.T @ target)
    weight: np.ndarray = solve_triangular(root.T, found, lower=False)
    return weight
