"""Figures show what they were given, and leave nothing behind."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from bayes_ddp.labels import LABELS
from bayes_ddp.plots import figures as plots

NAMES = tuple(row.name for row in LABELS)


@pytest.fixture
def fitted():
    """Wavelengths, flux and the rest of two arms of 40 pixels, some masked with absurd flux."""
    wave = np.concatenate([np.linspace(4000, 4039, 40), np.linspace(6000, 6078, 40)])
    flux = 1 + 0.01 * np.random.default_rng(0).normal(size=80)
    ivar = np.full(80, 1e4)
    flux[10:20], ivar[10:20] = 99.0, 0.0
    arms = (("b", 0, 40), ("r", 40, 80))
    return wave, flux, {"ivar": ivar, "model": np.ones(80), "arms": arms}


def test_masked_pixels_are_gaps_in_data_and_residuals(fitted):
    wave, flux, rest = fitted
    axes = plots.fit_axes(Figure(), 2)
    lines = plots.plot_fit(axes, wave, flux, **rest)
    data, model, residual = lines[:3]
    for line in (data, residual):
        assert np.isnan(line.get_ydata()[10:20]).all()
        assert np.isfinite(line.get_ydata()[np.r_[0:10, 20:40]]).all()
    assert np.array_equal(np.isfinite(model.get_ydata()), np.isfinite(data.get_ydata()))
    assert axes[0].get_ylim()[1] < 2  # what is masked does not set the scale


def test_residuals_are_in_units_of_sigma(fitted):
    wave, flux, rest = fitted
    lines = plots.plot_fit(plots.fit_axes(Figure(), 2), wave, flux, **rest)
    expected = (flux - rest["model"])[40:] * 100
    np.testing.assert_allclose(lines[5].get_ydata(), expected, rtol=1e-9)
    assert len(lines) == 3 * len(rest["arms"])


def test_star_without_pixels_can_be_drawn(fitted):
    wave, flux, rest = fitted
    nothing = rest | {"ivar": np.zeros(80), "model": np.full(80, np.nan)}
    figure = Figure()
    plots.plot_fit(plots.fit_axes(figure, 2), wave, flux, **nothing)
    figure.canvas.draw()


@pytest.mark.parametrize("note", ["a$b$c", "\\frac{$", "x_{$\\", "100 %", "α\nβ"])
def test_any_name_of_a_star_can_be_drawn(fitted, note):
    wave, flux, rest = fitted
    figure = Figure()
    axes = plots.fit_axes(figure, 2)
    plots.plot_fit(axes, wave, flux, **rest, note=note)
    figure.canvas.draw()
    assert axes[0].get_title(loc="left") == note


def test_axes_say_what_they_show(fitted):
    wave, flux, rest = fitted
    axes = plots.fit_axes(Figure(), 2)
    plots.plot_fit(axes, wave, flux, **rest, note="39633345")
    assert axes[-1].get_xlabel() == "wavelength (vacuum) [Å]"
    assert axes[0].get_ylabel().replace("-\n", "-") == "flux / pseudo-continuum"
    assert axes[0].get_title(loc="left") == "39633345"


def test_wrong_number_of_axes_is_refused(fitted):
    wave, flux, rest = fitted
    with pytest.raises(ValueError, match="2 arms need 4 axes, 2 were given"):
        plots.plot_fit(plots.fit_axes(Figure(), 1), wave, flux, **rest)


def test_corner_has_all_labels_that_vary_and_their_truth():
    draws = np.random.default_rng(1).normal(size=(300, 4))
    draws[:, 2] = 1.0  # held fixed
    truth = np.array([9.0, np.nan, 1.0, 0.5])
    figure = Figure(figsize=(6, 6))
    axes = plots.plot_corner(figure, draws, NAMES[:4], truth=truth)
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
    drawn = plots.plot_recovery(axes, truth, mean, sd=sd, names=NAMES[:3])
    points = drawn[1].lines[0]
    np.testing.assert_allclose(points.get_ydata(), np.full(9, 0.5))
    np.testing.assert_array_equal(points.get_xdata(), np.delete(truth[:, 1], 4))
    assert [ax.get_visible() for ax in axes] == [True, True, True, False]


def test_values_that_a_catalogue_does_not_have_are_open_points():
    truth = np.arange(6.0).reshape(3, 2)
    published = np.array([[True, False], [True, True], [False, True]])
    axes = Figure().subplots(1, 2).ravel()
    drawn = plots.plot_recovery(
        axes, truth, truth + 1, sd=truth, published=published, names=NAMES[:2]
    )
    for i, ax in enumerate(axes):
        pale, full = ax.lines[0], drawn[i].lines[0]
        assert pale.get_markerfacecolor() == "none"
        np.testing.assert_array_equal(pale.get_xdata(), truth[~published[:, i], i])
        np.testing.assert_array_equal(full.get_xdata(), truth[published[:, i], i])


def test_recovery_needs_as_many_axes_as_labels():
    some = np.zeros((2, 3))
    with pytest.raises(ValueError, match="3 labels need as many axes, 2 were given"):
        plots.plot_recovery(Figure().subplots(1, 2), some, some, sd=some, names=NAMES[:3])


def test_titles_of_all_labels_are_drawn_without_latex():
    figure = Figure()
    for i, name in enumerate(NAMES):
        figure.text(0.1, i / 20, plots.title(name))
    figure.canvas.draw()
