"""The table of the catalogue is computed from posteriors, with a row for every input spectrum.

A value column is NaN if the label is not detected or the fit is not reliable; columns of the
posterior itself (``_ERR``, quantiles, ``LABEL_COV``) keep their values. A number in ``MG_FE`` can
therefore be used without further selection.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from astropy.table import Table

from bayes_ddp.catalog.columns import COLUMNS, table_column
from bayes_ddp.catalog.flags import (
    NOT_FITTED,
    OUT_OF_RANGE,
    PRIOR_DOMINATED,
    UPPER_LIMIT,
    label_flags,
)
from bayes_ddp.emulator.limits import ModelLimits, label_spread
from bayes_ddp.files.fits import safe_card
from bayes_ddp.flags import FATAL, UNTRAINED, WARN
from bayes_ddp.inference.edges import moved_by_edges
from bayes_ddp.inference.parts import Part
from bayes_ddp.inference.posterior import Posterior
from bayes_ddp.labels import label
from bayes_ddp.spectra.surveys import find_survey
from bayes_ddp.tables.columns import Column

__all__ = ["make_catalogue", "pack_covariance", "unpack_covariance"]

_NO_FLAG = ("teff", "logg", "vmic")


def pack_covariance(covariance: np.ndarray) -> np.ndarray:
    """[..., n (n + 1) / 2], lower triangles, row by row, of covariances [..., n, n].

    >>> pack_covariance(np.array([[1.0, 2.0], [2.0, 5.0]]))
    array([1., 2., 5.])
    """
    rows, columns = np.tril_indices(covariance.shape[-1])
    return covariance[..., rows, columns]


def unpack_covariance(packed: np.ndarray, number: int) -> np.ndarray:
    """[..., number, number], symmetric covariances, the inverse of ``pack_covariance``.

    Raises ValueError if the length is not that of ``number`` labels.
    """
    if packed.shape[-1] != number * (number + 1) // 2:
        raise ValueError(
            f"A packed covariance of {number} labels has {number * (number + 1) // 2} values, "
            f"this one {packed.shape[-1]}. Count the cards LABEL01, LABEL02... in the header."
        )
    rows, columns = np.tril_indices(number)
    full = np.empty((*packed.shape[:-1], number, number), packed.dtype)
    full[..., rows, columns] = full[..., columns, rows] = packed
    return full


def make_catalogue(part: Part, *, limits: ModelLimits | None = None, fatal: WARN = FATAL) -> Table:
    """The catalogue of one part: identifiers from the reader, labels, fit, warnings.

    Parameters
    ----------
    part
        Stars that were not fitted are NaN in its posterior. A star with a bit of ``fatal`` or of
        ``UNTRAINED`` has NaN in every label column.
    limits
        Trained range, error and spread of each label; None where these are not known.
    fatal
        ``FATAL``, without NOT_STAR if the run fits targets of any type.
    """
    posterior = part.posterior
    warn = np.asarray(posterior.warn, np.int64)
    untrusted = (warn & int(fatal | UNTRAINED)) != 0
    values = _values(part, untrusted, limits) | {"WARN": warn}
    table = Table(
        meta={f"LABEL{i:02d}": label(n).column for i, n in enumerate(posterior.names, 1)}
    )
    ours = list(_expand(posterior.names, posterior.arms, values))
    for column, cells in _inputs(part.columns, {column.name for column, _ in ours}):
        table[column.name] = table_column(column, cells)
    for column, content in ours:
        table[column.name] = table_column(column, content.astype(column.dtype))
    return table


def _values(part: Part, untrusted: np.ndarray, model: ModelLimits | None) -> dict[str, np.ndarray]:
    """Name of a row of ``COLUMNS`` -> [star ...], [star label] or [star arm].

    untrusted : [star] bool, stars that have no labels.
    """
    posterior = part.posterior
    p16, p50, p84, p95 = posterior.summary()
    shape = posterior.mean.shape
    error, outside, spread = np.full(shape, np.nan), np.zeros(shape, bool), np.full(shape, np.inf)
    if model is not None:
        error = model.label_error(posterior.mean)
        outside = model.outside(p50) | moved_by_edges(posterior, model)
        spread = label_spread(posterior.names, _feh(posterior))
    information, flag = label_flags(posterior, error, outside, spread=spread)
    hidden = untrusted[:, None] | np.isin(flag, (UPPER_LIMIT, PRIOR_DOMINATED, OUT_OF_RANGE))
    pixels = posterior.pixels
    values = {
        "{label}": np.where(hidden, np.nan, posterior.mean),
        "{label}_ERR": posterior.sd,
        "{label}_SYS": np.where(flag == NOT_FITTED, np.nan, error),
        "{label}_CRB": posterior.diagnostics.get("crb", np.full(posterior.mean.shape, np.nan)),
        "{label}_P16": p16,
        "{label}_P50": p50,
        "{label}_P84": p84,
        "{label}_INFO": information,
        "{label}_UL95": p95,
        "{label}_FLAG": flag,
        "LABEL_MEAN": posterior.mean,
        "LABEL_COV": pack_covariance(posterior.covariance),
        "LABEL_MODE": posterior.mode,
        "PRIOR_MEAN": posterior.prior_mean,
        "PRIOR_COV": pack_covariance(posterior.prior_covariance),
        "CHI2": posterior.chi2,
        "NPIX": pixels,
        "NPIX_OUT": posterior.rejected,
        "CHI2_RED": np.where(pixels > 0, posterior.chi2 / np.maximum(pixels, 1), np.nan),
        "SNR_{arm}": part.snr,
        "VRAD_IN": part.vrad,
        "VRAD_FIT": part.vrad + posterior.velocity[:, 0],
        "VRAD_ERR": np.hypot(posterior.velocity[:, 1], find_survey(part.survey).vrad_floor),
        "LSF_{arm}": posterior.lsf,
    }
    diagnostics = posterior.diagnostics
    if "rhat" in diagnostics and "ess" in diagnostics:  # fmax, fmin: NaN only where all are NaN
        values["RHAT_MAX"] = _worst(diagnostics["rhat"], np.fmax)
        values["ESS_MIN"] = _worst(diagnostics["ess"], np.fmin)
    if "khat" in diagnostics:
        values["PARETO_K"] = diagnostics["khat"]
    if "divergences" in diagnostics:
        values["DIVERGENCES"] = diagnostics["divergences"]
    return values


def _feh(posterior: Posterior) -> np.ndarray:
    """[star], mean [Fe/H] of a posterior; 0 without that label."""
    if "feh" not in posterior.names:
        return np.zeros(len(posterior))
    return posterior.mean[:, posterior.names.index("feh")]


def _worst(values: np.ndarray, extreme: np.ufunc) -> np.ndarray:
    """[star], extreme over the labels of [star label]; [star] is returned unchanged."""
    return values if values.ndim == 1 else extreme.reduce(values, axis=1)


def _expand(
    names: tuple[str, ...], arms: tuple[str, ...], values: dict[str, np.ndarray]
) -> Iterator[tuple[Column, np.ndarray]]:
    """Columns of ``COLUMNS`` with their values; templates are expanded per label or arm."""
    for index, name in enumerate(names):
        scopes = ("label",) if name in _NO_FLAG else ("label", "limit")
        for row in COLUMNS:
            if row.scope in scopes:
                yield row.named(name), values[row.name][:, index]
    for row in COLUMNS:
        if row.scope == "arm":
            for index, arm in enumerate(arms):
                yield row.named(arm), values[row.name][:, index]
        elif row.scope in ("", "sampled") and row.name in values:
            yield row, values[row.name]


def _inputs(
    columns: Mapping[str, np.ndarray], taken: set[str]
) -> Iterator[tuple[Column, np.ndarray]]:
    """The columns of the reader; a name that is also one of ours gets the suffix ``_IN``."""
    known = {row.name: row for row in COLUMNS if row.scope == "input"}
    for name, content in columns.items():
        text = f"{safe_card(name)[:24]} of the input, as it was given"
        row = known.get(name, Column(name, "", content.dtype.str[1:], description=text))
        yield (replace(row, name=f"{name}_IN") if name.upper() in taken else row), content
