"""The survey's own class becomes bits of WARN."""

import numpy as np
import pytest

from bayes_ddp.flags import WARN
from bayes_ddp.spectra.classes import class_warning


@pytest.mark.parametrize(
    ("subclass", "bit"),
    [
        ("WD", WARN.WD), ("DA", WARN.WD), ("WDmagnetic", WARN.WD), ("CalciumWD", WARN.WD),
        ("CarbonWD", WARN.WD | WARN.CARBON), ("Carbon_lines", WARN.CARBON), ("M5", WARN.COOL),
        ("dM3", WARN.COOL), ("gM0", WARN.COOL), ("sdM1", WARN.COOL), ("L1", WARN.COOL),
        ("B6", WARN.HOT), ("O", WARN.HOT), ("M", WARN.COOL), ("OB", 0), ("A1V", 0), ("F9", 0),
        ("G2", 0), ("K", 0), ("DoubleStar", 0), ("CV", 0), ("Non", 0), ("", 0),
    ],
)  # fmt: skip
def test_class_of_the_survey_sets_its_bit(subclass, bit):
    for column in ("SUBCLASS", "SUBTYPE"):
        warn = class_warning({"TARGETID": np.arange(2), column: np.array(["F5", subclass])})
        assert warn.tolist() == [0, int(bit)]


def test_survey_without_classes_sets_nothing():
    assert class_warning({"TARGETID": np.arange(3)}).tolist() == [0, 0, 0]
    assert class_warning({}).tolist() == []
