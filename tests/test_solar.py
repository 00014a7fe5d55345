"""Solar scales: abundances of other compilations under the names of our labels."""

import numpy as np
import pytest

from bayes_ddp.solar import OURS, SOLAR, labels_from_xh, scale_shift


def test_our_own_scale_changes_nothing():
    assert all(scale_shift(element, OURS) == 0 for element in SOLAR[OURS])


def test_shifts_of_lodders_to_asplund():
    """d[X/Fe], dex, worked out by hand from the two tables."""
    iron = scale_shift("fe", "Lodders+2009")
    by_hand = {"c": 0.00, "o": 0.08, "mg": -0.02, "al": 0.05, "mn": 0.11, "ni": 0.04}
    for element, expected in by_hand.items():
        assert scale_shift(element, "Lodders+2009") - iron == pytest.approx(expected, abs=1e-9)


def test_the_sun_of_one_scale_is_not_the_sun_of_the_other():
    """The same atoms: A(X) = [X/H] + A(X, Sun) stays."""
    columns = {"fe_h": np.array([-1.0]), "mg_h": np.array([-0.6]), "teff": np.array([5000.0])}
    found = labels_from_xh(columns, scale="Lodders+2009")
    assert set(found) == {"feh", "mg_fe"}
    theirs = columns["mg_h"] + SOLAR["Lodders+2009"]["mg"]
    np.testing.assert_allclose(found["mg_fe"] + found["feh"] + SOLAR[OURS]["mg"], theirs)


def test_unknown_scales_and_missing_iron_are_errors():
    with pytest.raises(ValueError, match=r"no solar scale 'Grevesse'. Known"):
        labels_from_xh({"fe_h": np.zeros(1)}, scale="Grevesse")
    with pytest.raises(ValueError, match=r"'ti' is not on|no column 'fe_x'"):
        labels_from_xh({"fe_h": np.zeros(1)}, scale=OURS, pattern="{element}_x")
