"""Magnitudes and dust against the Sun and against real stars of one cluster."""

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from bayes_ddp.galaxy.extinction import dust, extinction
from bayes_ddp.galaxy.isochrones import load_isochrones
from bayes_ddp.galaxy.magnitudes import absolute_magnitudes, sdss_from_gaia

GAIA = tuple(f"gaia_dr2_source.phot_{b}_mean_mag" for b in ("g", "bp", "rp"))

SUN = {"G": 4.67, "J": 3.67, "H": 3.32, "Ks": 3.27, "g": 5.11, "r": 4.65, "z": 4.50}
"""Casagrande & VandenBerg (2018) for G, Willmer (2018) for the others (SDSS, AB)."""


def test_sun_has_solar_magnitudes() -> None:
    """0.03 in Gaia and 2MASS, 0.1 in the bands that come from a colour."""
    found = absolute_magnitudes(
        np.array([5772.0]), np.array([4.438]), np.zeros(1), log_lum=np.zeros(1)
    )
    for band, value in SUN.items():
        assert found[band][0] == pytest.approx(value, abs=0.1 if band in "grz" else 0.03), band
    assert found["BP"][0] - found["RP"][0] == pytest.approx(0.82, abs=0.04)


def test_stars_off_the_tables_have_no_magnitude() -> None:
    teff, logg = np.array([2500.0, 5000.0, 20000.0]), np.array([4.0, 4.0, 4.0])
    found = absolute_magnitudes(teff, logg, np.zeros(3), log_lum=np.zeros(3))
    assert all(np.isfinite(found[band]).tolist() == [False, True, False] for band in "GgJ")


def test_extinction_follows_the_law_inside_the_table() -> None:
    """A_X / A_V of Cardelli et al. for the Sun; more dust, a little less per dust in G."""
    teff, logg = np.full(3, 5772.0), np.full(3, 4.438)
    ebv = np.array([0.0, 0.01, 1.0])
    found = extinction(
        ("G", "BP", "RP", "J", "H", "Ks", "g"), teff, logg, feh=np.zeros(3), ebv=ebv
    )
    ratio = {"G": 0.876, "BP": 1.074, "RP": 0.647, "J": 0.290, "H": 0.183, "Ks": 0.118}
    for band, value in ratio.items():
        assert found[band][0] == 0
        assert found[band][1] / 0.02742 == pytest.approx(value, abs=0.005), band
    assert found["G"][2] / 2.742 < 0.865
    assert found["g"].tolist() == pytest.approx([0, 0.03214, 3.214])


def test_dust_grows_with_distance_and_towards_the_plane() -> None:
    distance = np.geomspace(0.01, 50, 60)
    for lon, lat in ((0.0, 1.2), (2.0, -0.5), (3.1, 0.36)):
        column = dust(lon, lat, distance)
        assert (np.diff(column) >= 0).all() and column[0] < 0.003
    pole = dust(0.0, np.pi / 2, 50.0)
    assert 0.015 < pole < 0.05
    assert dust(3.1, np.radians(20), 50.0) > 2 * pole
    fine = np.trapezoid(
        0.26 * np.exp(-np.abs(0.0208 + np.linspace(0, 3, 200_001)) / 0.1),
        np.linspace(0, 3, 200_001),
    )
    assert dust(0.0, np.pi / 2, 3.0) == pytest.approx(fine, rel=2e-3)


def test_main_sequence_of_m67_lies_on_its_isochrone(data: Path) -> None:
    """Real members: 4 Gyr, solar, DM 9.65, E(B-V) 0.04; 0.06 mag in BP - RP at given G.

    The isochrone is too blue by 0.025 at G = 14 and by more for fainter stars (0.09 at 16.2).

    Binaries lie to the red, so the blue quarter of the members is compared, not the median.
    """
    table = Table.read(data / "m67" / "NGC_2682.fits")
    g, bp, rp = (np.ma.filled(table[c].astype(float), np.nan) for c in GAIA)
    member = np.ma.filled(table["HDBscan_MemProb"].astype(float), 0.0) > 0.8
    track = load_isochrones().along(0.0, 9.6)
    single = track.eep < 420
    solar = np.zeros(len(track.teff))
    light = absolute_magnitudes(track.teff, track.logg, solar, log_lum=track.log_lum)
    loss = extinction(("G", "BP", "RP"), track.teff, track.logg, feh=solar, ebv=solar + 0.04)
    apparent = {b: (light[b] + loss[b] + 9.65)[single] for b in ("G", "BP", "RP")}
    order = np.argsort(apparent["G"])
    gaps = []
    for low in np.arange(14.0, 16.0, 0.5):
        inside = member & (g > low) & (g < low + 0.5)
        colour = np.interp(
            g[inside], apparent["G"][order], (apparent["BP"] - apparent["RP"])[order]
        )
        assert inside.sum() >= 10
        gaps.append(np.nanpercentile(bp[inside] - rp[inside] - colour, 25))
    assert np.abs(gaps).max() < 0.06, gaps


def test_legacy_bands_of_real_stars_follow_from_gaia(data: Path) -> None:
    """SDSS magnitudes of 500 stars in the field of M67 against the polynomials: offset 0.05."""
    table = Table.read(data / "m67" / "NGC_2682.fits")
    g, bp, rp = (np.ma.filled(table[c].astype(float), np.nan) for c in GAIA)
    from_gaia = sdss_from_gaia(g, bp - rp)
    for band in "grz":
        seen = np.ma.filled(table[f"SDSS_{band}"].astype(float), np.nan)
        good = np.isfinite(seen) & (g > 15) & (g < 18) & (bp - rp > 0.5) & (bp - rp < 2)
        gap = (from_gaia[band] - seen)[good]
        assert good.sum() > 300
        assert abs(np.median(gap)) < 0.05, (band, np.median(gap))
        assert 1.4826 * np.median(np.abs(gap - np.median(gap))) < 0.08, band
