"""The figure of a comparison shows every star, far ones on the edge."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from bayes_ddp.plots.difference import plot_difference


def difference(**options):
    """A panel of 40 stars, one of them far off; its axes and what was returned."""
    theirs = np.linspace(5000.0, 6000.0, 40)
    values = 10.0 * np.sin(np.arange(40.0))
    values[7] = 5000.0
    ax = Figure().subplots()
    colour = np.where(np.arange(40) == 3, np.nan, np.arange(40.0))
    points = plot_difference(
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
    plot_difference(ax, none, none, name="feh", colour=none, norm=Normalize(0, 1))
    figure.canvas.draw()
    assert ax.get_xlabel().startswith("other")
