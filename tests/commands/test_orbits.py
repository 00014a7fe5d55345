"""``bayes-ddp orbits``: tables in, a table of orbits with draws and pictures out."""

import json

import numpy as np
import pytest
from astropy.table import Table

from bayes_ddp import cli
from bayes_ddp.catalog.fits import read_catalogue
from bayes_ddp.files.errors import OutputError
from bayes_ddp.flags import WARN
from bayes_ddp.galaxy.draws import read_orbit_draws
from bayes_ddp.galaxy.engines import make_engine
from bayes_ddp.galaxy.frames import Sky, galactocentric
from bayes_ddp.galaxy.orbit import orbit_integrals
from bayes_ddp.galaxy.preset import GALPY2014

STARS = 6
UNKNOWN_MOTION, NEGATIVE, FAST = 3, 4, 5
FIRST = 4_000_000_000_000_000_000  # Gaia's identifiers have 19 digits


@pytest.fixture(scope="module")
def sky():
    rng = np.random.default_rng(5)
    pm = rng.normal(0, 3, (2, STARS))
    pm[0, FAST] = 200.0  # 3,800 km/s at 4 kpc
    return Sky(
        ra=rng.uniform(0, 360, STARS),
        dec=rng.uniform(-60, 60, STARS),
        distance=np.full(STARS, 4.0),
        pmra=pm[0],
        pmdec=pm[1],
        vrad=rng.normal(0, 80, STARS),
    )


@pytest.fixture(scope="module")
def files(sky, tmp_path_factory):
    """A catalogue with exact distances, and astrometry of the same stars in another order."""
    folder = tmp_path_factory.mktemp("orbits")
    ids = FIRST + np.arange(STARS)
    distance = sky.distance.copy()
    distance[NEGATIVE] = -1.0
    Table(
        {
            "SOURCE_ID": ids,
            "DIST": distance,
            "DIST_ERR": np.full(STARS, 1e-6),
            "VRAD": sky.vrad,
            "VRAD_ERR": np.full(STARS, 1e-6),
            "FEH": np.linspace(-2, 0, STARS),
        }
    ).write(folder / "stars.fits")
    pmra = sky.pmra.copy()
    pmra[UNKNOWN_MOTION] = np.nan
    Table(
        {
            "source_id": ids,
            "ra": sky.ra,
            "dec": sky.dec,
            "parallax": np.full(STARS, np.nan),
            "parallax_error": np.full(STARS, np.nan),
            "pmra": pmra,
            "pmdec": sky.pmdec,
            "pmra_error": np.full(STARS, 1e-6),
            "pmdec_error": np.full(STARS, 1e-6),
        }
    )[::-1].write(folder / "gaia.fits")
    return folder


def call(files, *words):
    cli.app(
        ["orbits", str(files / "stars.fits"), "--quiet", *map(str, words)],
        result_action="return_value",
    )


@pytest.fixture(scope="module")
def made(files):
    output = files / "orbits.fits"
    words = ["--check", "4", "--box", "halo", "ecc=0:1", "feh=:-1"]
    words += ["--pictures", files / "pictures"]
    call(files, "--astrometry", files / "gaia.fits", "--output", output, *words)
    return read_catalogue(output), output


def test_a_star_keeps_its_orbit_from_file_to_file(made, sky):
    table, _ = made
    truth = orbit_integrals(galactocentric(sky, GALPY2014), GALPY2014, make_engine())
    for name in ("ecc", "r_apo", "j_phi", "j_r"):
        found = np.asarray(table[f"{name.upper()}_P50"])[:3]
        np.testing.assert_allclose(found, truth[name][:3], rtol=1e-4, atol=1e-4)
    assert np.asarray(table["SOURCE_ID"]).tolist() == list(range(FIRST, FIRST + STARS))


def test_odd_stars_have_bits_and_no_numbers(made):
    table, _ = made
    warn = np.asarray(table["WARN"])
    for star in (UNKNOWN_MOTION, NEGATIVE):
        assert warn[star] & int(WARN.NO_ORBIT)
        assert np.isnan(table["ECC_P50"][star]) and np.isnan(table["P_UNBOUND"][star])
    assert warn[FAST] & int(WARN.UNBOUND) and table["P_UNBOUND"][FAST] == 1
    assert np.isnan(table["ECC_P50"][FAST]) and np.isfinite(table["J_PHI_P50"][FAST])
    assert not warn[:3].any()


def test_selections_are_masses_between_0_and_1(made):
    table, _ = made
    halo = np.asarray(table["P_HALO"])[:3]
    np.testing.assert_array_equal(halo > 0.5, np.asarray(np.linspace(-2, 0, STARS)[:3] < -1))
    assert ((table["P_GES"][:3] >= 0) & (table["P_GES"][:3] <= 1)).all()


def test_header_and_draws_say_how_the_orbits_were_made(made):
    table, output = made
    assert table.meta["PRESET"] == "galpy2014" and table.meta["NCHECK"] == 4
    assert table.meta["ECCDMED"] < 0.05
    draws = read_orbit_draws(output.with_suffix(".nc"))
    assert len(draws) == STARS and {"ecc", "j_r", "r_apo", "unbound"} <= set(draws.names)
    assert table["R_APO_P50"].unit == "kpc" and table["J_PHI_P50"].description
    assert {p.name for p in (output.parent / "pictures").iterdir()} == {"orbits.png", "orbit.png"}


def test_json_has_the_figures(files, capsys):
    words = ["--output", files / "more.fits", "--check", "0", "--json"]
    call(files, "--astrometry", files / "gaia.fits", *words)
    figures = json.loads(capsys.readouterr().out)
    assert figures["stars"] == STARS and figures["with_orbit"] == STARS - 2
    assert figures["unbound"] == 1 and figures["joined_by"]


@pytest.mark.parametrize(
    ("words", "error", "text"),
    [
        (["--output", "o.csv"], OutputError, "End the name in .fits"),
        (["--output", "o.fits", "--select", "nowhere"], ValueError, "nowhere"),
        (["--output", "o.fits", "--select", "ges_sgra"], ValueError, "galpy2014"),
        (["--output", "o.fits", "--box", "halo", "ecc=1"], ValueError, "COLUMN=LOW:HIGH"),
        (["--output", "o.fits"], ValueError, "no column ra, dec, pmra"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(files, tmp_path, words, error, text):
    words = [str(tmp_path / w) if w.startswith("o.") else w for w in words]
    with pytest.raises(error, match=text):
        call(files, *words)


def test_inputs_are_never_replaced(files):
    with pytest.raises(OutputError):
        call(files, "--astrometry", files / "gaia.fits", "--output", files / "gaia.fits")
