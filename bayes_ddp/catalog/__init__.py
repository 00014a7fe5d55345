"""Posteriors of a run -> one catalogue, as a table and as a FITS file."""

from bayes_ddp.catalog.columns import COLUMNS, Column
from bayes_ddp.catalog.fits import read_catalogue, write_catalogue
from bayes_ddp.catalog.match import Content, Match, match_rows, read_columns
from bayes_ddp.catalog.model import ModelLimits, model_limits
from bayes_ddp.catalog.odd import Trained, edge_warning, odd_warning, trained_density
from bayes_ddp.catalog.table import make_catalogue, pack_covariance, unpack_covariance
from bayes_ddp.catalog.verdict import (
    DETECTED,
    NOT_FITTED,
    OUT_OF_RANGE,
    PRIOR_DOMINATED,
    UPPER_LIMIT,
    chi2_warning,
    label_flags,
    velocity_warning,
)

__all__ = [
    "COLUMNS",
    "DETECTED",
    "NOT_FITTED",
    "OUT_OF_RANGE",
    "PRIOR_DOMINATED",
    "UPPER_LIMIT",
    "Column",
    "Content",
    "Match",
    "ModelLimits",
    "Trained",
    "chi2_warning",
    "edge_warning",
    "label_flags",
    "make_catalogue",
    "match_rows",
    "model_limits",
    "odd_warning",
    "pack_covariance",
    "read_catalogue",
    "read_columns",
    "trained_density",
    "unpack_covariance",
    "velocity_warning",
    "write_catalogue",
]
