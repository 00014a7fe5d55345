"""Warnings about a posterior that the catalogue carries: range, chi2, velocity."""

from dataclasses import replace

import numpy as np

from bayes_ddp.emulator.limits import model_limits
from bayes_ddp.flags import WARN
from bayes_ddp.inference.checks import chi2_warning, edge_warning, velocity_warning
from bayes_ddp.labels import LabelSpace


def test_edge_warning_counts_weighted_draws_outside_of_the_trained_range(make_posterior, unfitted):
    result = make_posterior(2)
    draws = np.zeros((100, 2, 5))
    draws[:4, 0, 0] = 99  # 4 % of the first star, 6 % of the second
    draws[:6, 1, 2] = 99
    draws[:, :, 4] = 99  # an abundance does not count
    limits = model_limits(LabelSpace(result.names, (-1.0,) * 5, (1.0,) * 5), {})
    result = replace(result, mode=np.zeros((2, 5)), draws=draws, log_weight=np.zeros((100, 2)))
    assert edge_warning(result, limits).tolist() == [0, WARN.LABEL_EDGE]
    hot = int(WARN.LABEL_EDGE | WARN.HOT)
    weight = np.zeros((100, 2))
    weight[:4, 0], weight[:6, 1] = 1.0, -1.0
    turned = edge_warning(replace(result, log_weight=weight), limits)
    assert turned.tolist() == [hot, 0] and turned.dtype == np.int64
    assert not edge_warning(unfitted(make_posterior(1), 0), limits).any()


def test_poor_chi2_is_more_than_three_per_pixel(make_posterior, unfitted):
    result = replace(
        unfitted(make_posterior(3), 2),
        chi2=np.array([119.0, 121.0, np.nan]),
        pixels=np.array([40, 40, 0]),
    )
    assert chi2_warning(result).tolist() == [0, WARN.POOR_CHI2, 0]


def test_velocity_far_from_the_catalogue_s_is_named(make_posterior):
    shift = np.array([[4.9, 1], [-5.1, 1], [100, 9], [np.nan, np.nan]])
    result = replace(make_posterior(4), velocity=shift)
    warn = velocity_warning(result, np.array([1.0, 1.0, 30.0, 1.0]))
    assert warn.tolist() == [0, WARN.RV_DISAGREES, 0, 0]
