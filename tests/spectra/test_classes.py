"""The survey's own class becomes bits of WARN."""

import numpy as np
import pytest

from bayes_ddp.flags import WARN
from bayes_ddp.spectra.classes import class_warning

CLASSES = {
    WARN.WD: ["WD", "DA", "WDmagnetic", "CalciumWD"],
    WARN.WD | WARN.CARBON: ["CarbonWD"],
    WARN.CARBON: ["Carbon_lines"],
    WARN.COOL: ["M5", "dM3", "gM0", "sdM1", "L1", "M"],
    WARN.HOT: ["B6", "O"],
    WARN(0): ["OB", "A1V", "F9", "G2", "K", "DoubleStar", "CV", "Non", ""],
}


@pytest.mark.parametrize(
    ("subclass", "bit"), [(name, bit) for bit, names in CLASSES.items() for name in names]
)
def test_class_of_the_survey_sets_its_bit(subclass, bit):
    for column in ("SUBCLASS", "SUBTYPE"):
        warn = class_warning({"TARGETID": np.arange(2), column: np.array(["F5", subclass])})
        assert warn.tolist() == [0, int(bit)]


def test_survey_without_classes_sets_nothing():
    assert class_warning({"TARGETID": np.arange(3)}).tolist() == [0, 0, 0]
    assert class_warning({}).tolist() == []
