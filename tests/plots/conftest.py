"""Every figure leaves matplotlib as it found it."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest


@pytest.fixture(autouse=True)
def nothing_left_behind():
    before = dict(mpl.rcParams)
    yield
    assert not plt.get_fignums(), "a figure was left open in pyplot"
    assert dict(mpl.rcParams) == before
