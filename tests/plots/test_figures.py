"""Figures show what they were given, and leave nothing behind."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from bayes_ddp.labels import LABELS
from bayes_ddp.plots import figures as plots

NAMES = tuple(row.name for row in LABELS)


@pytest.fixture(autouse=True)
def nothing_left_behind():
    before = dict(mpl.rcParams)
    yield
    assert not plt.get_fignums(), "a figure was left open in pyplot"
    assert dict(mpl.rcParams) == before


@pytest.fixture
def fitted():
    """Two arms, 40 pixels each, with a masked run in the first whose flux is absurd."""
    wave = np.concatenate([np.linspace(4000, 4039, 40), np.linspace(6000, 6078, 40)])
    flux = 1 + 0.01 * np.random.default_rng(0).normal(size=80)
    ivar = np.full(80, 1e4)
    flux[10:20], ivar[10:20] = 99.0, 0.0
    return wave, flux, ivar, np.ones(80), (("b", 0, 40), ("r", 40, 80))


def test_masked_pixels_are_gaps_in_data_and_residuals(fitted):
    axes = plots.fit_axes(Figure(), 2)
    lines = plots.plot_fit(axes, *fitted)
    data, model, residual = lines[:3]
    for line in (data, residual):
        assert np.isnan(line.get_ydata()[10:20]).all()
        assert np.isfinite(line.get_ydata()[np.r_[0:10, 20:40]]).all()
    assert np.array_equal(np.isfinite(model.get_ydata()), np.isfinite(data.get_ydata()))
    assert axes[0].get_ylim()[1] < 2  # what is masked does not set the scale


def test_residuals_are_in_units_of_sigma(fitted):
    _, flux, _, model, arms = fitted
    lines = plots.plot_fit(plots.fit_axes(Figure(), 2), *fitted)
    expected = (flux - model)[40:] * 100
    np.testing.assert_allclose(lines[5].get_ydata(), expected, rtol=1e-9)
    assert len(lines) == 3 * len(arms)


def test_star_without_pixels_can_be_drawn(fitted):
    wave, flux, _, model, arms = fitted
    figure = Figure()
    plots.plot_fit(plots.fit_axes(figure, 2), wave, flux, np.zeros(80), model * np.nan, arms)
    figure.canvas.draw()


def test_axes_say_what_they_show(fitted):
    axes = plots.fit_axes(Figure(), 2)
    plots.plot_fit(axes, *fitted, note="39633345")
    assert axes[-1].get_xlabel() == "wavelength (vacuum) [Å]"
    assert axes[0].get_ylabel().replace("-\n", "-") == "flux / pseudo-continuum"
    assert axes[0].get_title(loc="left") == "39633345"


def test_wrong_number_of_axes_is_refused(fitted):
    with pytest.raises(ValueError, match="2 arms need 4 axes, 2 were given"):
        plots.plot_fit(plots.fit_axes(Figure(), 1), *fitted)


def test_corner_has_all_labels_that_vary_and_their_truth():
    draws = np.random.default_rng(1).normal(size=(300, 4))
    draws[:, 2] = 1.0  # held fixed
    truth = np.array([9.0, np.nan, 1.0, 0.5])
    figure = Figure(figsize=(6, 6))
    axes = plots.plot_corner(figure, draws, NAMES[:4], truth)
    figure.canvas.draw()
    assert axes.shape == (3, 3)
    titles = [ax.get_xlabel() for ax in axes[-1]]
    assert titles == [plots.title(NAMES[i]) for i in (0, 1, 3)]
    low, high = axes[0, 0].get_xlim()
    assert low < 9.0 < high
    verticals = [line.get_xdata()[0] for line in axes[0, 0].lines]
    assert 9.0 in verticals and not axes[1, 1].lines


def test_tick_labels_of_a_full_corner_do_not_overlap():
    draws = np.random.default_rng(2).normal(size=(400, len(NAMES)))
    figure = Figure(figsize=(19, 19))
    axes = plots.plot_corner(figure, draws, NAMES)
    figure.canvas.draw()
    for ax in axes[-1]:
        low, high = ax.get_window_extent().intervalx
        shown = [t for t in ax.get_xticklabels() if t.get_text()]
        assert len(shown) >= 1
        for tick in shown:
            box = tick.get_window_extent()
            assert low - 25 < box.x0 and box.x1 < high + 5  # ticks are turned by 45 degrees


def test_corner_of_one_label_is_refused():
    draws = np.zeros((50, 2))
    draws[:, 0] = np.arange(50)
    with pytest.raises(ValueError, match="needs two labels that vary"):
        plots.plot_corner(Figure(), draws, NAMES[:2])


def test_recovery_draws_fit_minus_truth_of_fitted_stars():
    rng = np.random.default_rng(3)
    truth = rng.normal(size=(10, 3))
    mean, sd = truth + 0.5, np.ones((10, 3))
    mean[4] = np.nan
    axes = Figure().subplots(2, 2).ravel()
    drawn = plots.plot_recovery(axes, truth, mean, sd, names=NAMES[:3])
    points = drawn[1].lines[0]
    np.testing.assert_allclose(points.get_ydata(), np.full(9, 0.5))
    np.testing.assert_array_equal(points.get_xdata(), np.delete(truth[:, 1], 4))
    assert [ax.get_visible() for ax in axes] == [True, True, True, False]


def difference(**options):
    """A panel of 40 stars, one of them far off; its axes and what was returned."""
    theirs = np.linspace(5000.0, 6000.0, 40)
    values = 10.0 * np.sin(np.arange(40.0))
    values[7] = 5000.0
    ax = Figure().subplots()
    colour = np.where(np.arange(40) == 3, np.nan, np.arange(40.0))
    points = plots.plot_difference(
        ax, theirs, values, name="teff", colour=colour, norm=Normalize(0, 40), **options
    )
    FigureCanvasAgg(ax.figure).draw()
    return ax, points, values


def test_difference_shows_every_star_and_puts_far_ones_on_the_edge():
    ax, points, values = difference(note="offset 1 K")
    np.testing.assert_allclose(points.get_offsets()[:, 1], np.delete(values, 7))
    drawn = np.concatenate([part.get_offsets() for part in ax.collections])
    assert len(drawn) == 40 and values[:7].max() < drawn[:, 1].max() < 500
    low, high = ax.get_ylim()
    assert low < 0 < drawn[:, 1].max() < high
    assert ax.texts[0].get_text() == "offset 1 K" and "K" in ax.get_ylabel()
    assert np.all(points.get_facecolor()[3][:3] == 0.6)  # unknown S/N is grey


def test_typical_error_is_drawn_only_where_it_fits():
    plain, *_ = difference()
    for sizes, more in (((50.0, 5.0), 1), ((50.0, 500.0), 0), ((np.nan, 5.0), 0)):
        ax, *_ = difference(typical=sizes)
        assert len(ax.containers) - len(plain.containers) == more


def test_running_median_is_drawn_as_given():
    band = np.array([[5100.0, 5500.0, 5900.0], [-9, -8, -7], [1, 2, 3], [9, 8, 7]])
    ax, *_ = difference(band=band)
    line = next(line for line in ax.lines if line.get_label() == "median")
    np.testing.assert_array_equal(line.get_ydata(), band[2])


def test_difference_of_no_stars_can_be_drawn():
    none = np.zeros(0)
    figure = Figure()
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    plots.plot_difference(ax, none, none, name="feh", colour=none, norm=Normalize(0, 1))
    figure.canvas.draw()
    assert ax.get_xlabel().startswith("other")


def test_titles_of_all_labels_are_drawn_without_latex():
    figure = Figure()
    for i, name in enumerate(NAMES):
        figure.text(0.1, i / 20, plots.title(name))
    figure.canvas.draw()
