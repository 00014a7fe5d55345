"""Where in label space there are control stars."""

import numpy as np
from scipy.spatial import cKDTree

from bayes_ddp.galaxy.empirical import REACH
from bayes_ddp.galaxy.smooth import SCALE

__all__ = ["support_of"]

_NEIGHBOURS = 5
"""Control stars, the star itself included, within ``REACH`` of a place that counts."""

_MOST = 600


def support_of(core: np.ndarray) -> np.ndarray:
    """[place 3], places of (ln Teff, log g, [M/H]) that cover the control stars [star 3].

    A star with fewer than four others within ``REACH`` is no place. Places are at least half of
    ``REACH`` apart.
    """
    z = core / SCALE
    tree = cKDTree(z)
    near = tree.query_ball_point(z, REACH, return_length=True)
    dense = np.flatnonzero(near >= _NEIGHBOURS)
    free = np.zeros(len(z), bool)
    chosen: list[int] = []
    free[dense] = True
    for star in dense[np.argsort(-near[dense], kind="stable")]:
        if free[star] and len(chosen) < _MOST:
            chosen.append(star)
            free[tree.query_ball_point(z[star], REACH / 2)] = False
    result: np.ndarray = core[chosen]
    return result
