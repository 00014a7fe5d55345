"""The mock's figures draw what they are given, and nothing where nothing is known."""

import numpy as np
from matplotlib.figure import Figure

from bayes_ddp.mock.components import COMPONENTS
from bayes_ddp.plots.galaxy import COLOURS, plot_distribution, plot_plane, plot_profile

NAMES = [part.name for part in COMPONENTS]


def test_every_component_has_a_colour_of_its_own():
    assert len(set(COLOURS)) == len(COLOURS) == len(COMPONENTS)


def test_histogram_counts_every_star_once():
    ax = Figure().subplots()
    values, group = np.array([0.1, 0.2, 1.5, 9.0]), np.array([0, 0, 1, 1])
    lines = plot_distribution(ax, values, group, names=NAMES, edges=np.arange(4.0), title="x")
    assert np.array_equal(lines[0].get_ydata()[:2], [2, 1])
    assert np.isnan(lines[0].get_ydata()[2])


def test_profile_and_plane_draw_every_group():
    ax = Figure().subplots()
    lines = plot_profile(
        ax, np.arange(3.0), {0: np.ones(3), 4: np.full(3, np.nan)}, names=NAMES, titles=("x", "y")
    )
    assert [line.get_label() for line in lines] == ["thin", "ges"]
    points = plot_plane(
        ax, np.zeros(4), np.zeros(4), group=np.array([0, 1, 1, 5]), titles=("x", "y")
    )
    assert len(points.get_offsets()) == 4 and len(np.unique(points.get_facecolors(), axis=0)) == 3
