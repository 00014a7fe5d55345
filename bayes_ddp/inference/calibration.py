"""Calibration of posteriors against known labels: bias, normalised scatter and coverage."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

__all__ = ["Recovery", "recovery"]


@dataclass(frozen=True)
class Recovery:
    """Recovery of one label over many stars.

    bias, scatter : mean and standard deviation of estimate minus truth, in the label's unit.
    z_bias, z_scatter : mean and standard deviation of (estimate - truth) / error. z_total :
    z_scatter with the model's error added in quadrature, NaN if that is not known. in_68, in_95 :
    number of true values inside the central interval of the draws. stars : number of stars.
    """

    name: str
    stars: int
    bias: float
    scatter: float
    z_bias: float
    z_scatter: float
    in_68: int
    in_95: int
    z_total: float = np.nan

    def row(self) -> dict[str, float | int | str]:
        """The figures as a plain dict."""
        return asdict(self)


def recovery(
    names: Sequence[str],
    truth: np.ndarray,
    mean: np.ndarray,
    *,
    sd: np.ndarray,
    quantile: np.ndarray,
    model_error: np.ndarray | None = None,
) -> list[Recovery]:
    """One ``Recovery`` per label.

    Parameters
    ----------
    names
        Labels.
    truth, mean, sd : [star label], units of ``LABELS``
        Stars with NaN in mean or sd of a label are left out of that label.
    quantile : [4 star label], at 2.5, 16, 84 and 97.5 %
    model_error : [star label], error of the model, added in quadrature to sd in ``z_total``.
    """
    rows = []
    for i, name in enumerate(names):
        known = np.isfinite(mean[:, i]) & (sd[:, i] > 0)
        gap = (mean - truth)[known, i]
        z = gap / sd[known, i]
        value = truth[known, i]
        beside = np.nan if model_error is None else model_error[known, i]
        outer_low, low, high, outer_high = quantile[:, known, i]
        several = len(gap) > 1
        rows.append(
            Recovery(
                name=name,
                stars=int(known.sum()),
                bias=float(gap.mean()) if len(gap) else np.nan,
                scatter=float(gap.std(ddof=1)) if several else np.nan,
                z_bias=float(z.mean()) if len(gap) else np.nan,
                z_scatter=float(z.std(ddof=1)) if several else np.nan,
                in_68=int(((value > low) & (value < high)).sum()),
                in_95=int(((value > outer_low) & (value < outer_high)).sum()),
                z_total=float((gap / np.hypot(sd[known, i], beside)).std(ddof=1))
                if several
                else np.nan,
            )
        )
    return rows
