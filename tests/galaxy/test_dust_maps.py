"""Maps of the package ``dustmaps``, which is optional; a module of its shape stands for it."""

import sys
from types import ModuleType

import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from bayes_ddp.galaxy.dust_maps import ebv_of_map


class Latitude:
    """A map whose E(B-V) is a hundredth of the Galactic latitude; NaN in the south."""

    def __call__(self, coords: SkyCoord) -> np.ndarray:
        latitude = coords.galactic.b.deg
        return np.where(latitude > 0, latitude / 100, np.nan)


class Missing:
    def __init__(self) -> None:
        raise FileNotFoundError("no data")


@pytest.fixture
def package(monkeypatch):
    package, module = ModuleType("dustmaps"), ModuleType("dustmaps.own")
    module.LatitudeQuery, module.MissingQuery = Latitude, Missing
    module.OwnWebQuery = Latitude
    monkeypatch.setitem(sys.modules, "dustmaps", package)
    monkeypatch.setitem(sys.modules, "dustmaps.own", module)


def test_values_are_those_of_the_map_at_the_star_times_the_scale(package):
    sky = SkyCoord([10, 200, 10], [30, 60, -30], unit="deg", frame="galactic").icrs
    ra = np.append(sky.ra.deg, np.nan)
    dec = np.append(sky.dec.deg, 10.0)
    found = ebv_of_map("own.LatitudeQuery", ra, dec, scale=2.0)
    np.testing.assert_allclose(found, [0.6, 1.2, np.nan, np.nan])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("own", "give MODULE.CLASS"),
        ("own.Query()", "give MODULE.CLASS"),
        ("own.OtherQuery", "has no class OtherQuery"),
        ("own.MissingQuery", "Fetch them once"),
        ("own.OwnWebQuery", "asks a server"),
        ("absent.Query", "is not installed"),
    ],
)
def test_a_map_that_cannot_be_asked_is_one_sentence(package, name, text):
    with pytest.raises(ValueError, match=text.replace("(", r"\(")):
        ebv_of_map(name, np.zeros(1), np.zeros(1))
