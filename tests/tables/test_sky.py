"""Positions on the sky: two arcsec after proper motion."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.time import Time

from bayes_ddp.tables.sky import Positions, position_numbers, positions_of, same_position

ARCSEC = 1 / 3600


def places(ra, dec, pmra=np.nan, pmdec=np.nan, epoch=np.nan) -> Positions:
    arrays = np.broadcast_arrays(*map(np.atleast_1d, (ra, dec, pmra, pmdec, epoch)))
    return Positions(*(array.astype(float) for array in arrays))


@pytest.mark.parametrize("dec", [0.0, 60.0, -89.0, 89.99])
def test_limit_is_two_arcsec_anywhere_and_across_the_meridian(dec: float) -> None:
    east = ARCSEC / np.cos(np.radians(dec))
    one = places(359.9999, dec)
    for shift, same in ((1.9, True), (2.1, False)):
        assert same_position(one, places((359.9999 + shift * east) % 360, dec)).tolist() == [same]
        assert same_position(one, places(359.9999, dec - shift * ARCSEC)).tolist() == [same]


def test_star_is_followed_along_its_proper_motion() -> None:
    """A star of 5 arcsec per year in 10 years, against astropy."""
    pmra, pmdec = 3000.0, -4000.0
    star = SkyCoord(
        150 * u.deg,
        40 * u.deg,
        pm_ra_cosdec=pmra * u.mas / u.yr,
        pm_dec=pmdec * u.mas / u.yr,
        obstime=Time(2006.0, format="jyear"),
        distance=10 * u.pc,
    )
    later = star.apply_space_motion(Time(2016.0, format="jyear"))
    there = places(later.ra.deg, later.dec.deg, epoch=2016.0)
    assert same_position(places(150, 40, pmra, pmdec, 2006.0), there).all()
    assert same_position(there, places(150, 40, pmra, pmdec, 2006.0)).all()
    assert not same_position(places(150, 40, epoch=2006.0), there).any()
    assert not same_position(places(150, 40, -pmra, pmdec, 2006.0), there).any()
    unknown = places(later.ra.deg, later.dec.deg)  # without an epoch its way is allowed for
    assert same_position(places(150, 40, pmra, pmdec, 2006.0), unknown).all()
    assert not same_position(places(150, 41, pmra, pmdec, 2006.0), unknown).any()


def test_unknown_position_contradicts_nothing() -> None:
    assert same_position(places(np.nan, 0), places(10, 0)).all()


def test_places_of_a_target_are_counted() -> None:
    target = np.array([7, 7, 9, 7, 7, 9])
    where = places([10, 10 + ARCSEC, 20, 10.07, np.nan, 20], [0, 0, 5, 0, 0, 5])
    assert position_numbers(target, where).tolist() == [0, 0, 0, 1, -1, 0]
    many = places(np.linspace(0, 300, 200), 0)
    assert len(set(position_numbers(np.zeros(200, int), many))) == 200


def test_fillers_are_no_positions_epochs_or_motions() -> None:
    table = {
        "ra": np.array([-9999.0, 10.0]),
        "dec": np.array([5.0, 5.0]),
        "pmra": np.zeros(2),
        "pmdec": np.zeros(2),
        "ref_epoch": np.zeros(2),
    }
    found = positions_of(table, [("target_ra", "target_dec"), ("ra", "dec")], where="a")
    assert found is not None
    assert found.known.tolist() == [False, True] and np.isnan(found.epoch).all()
    assert np.isnan(found.pmra).all()
    assert positions_of({"ra": np.zeros(1)}, [("ra", "dec")], where="a") is None
