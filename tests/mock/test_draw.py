"""The stars that the mock survey targets: a fair sample, within limits, with all of its truth."""

import numpy as np
import pytest
from scipy.stats import kurtosis

from bayes_ddp.emulator.limits import METALLICITIES, SPREAD, label_spread
from bayes_ddp.galaxy.frames import Sky, from_galactic, galactic_to_icrs, galactocentric
from bayes_ddp.galaxy.light import BANDS, apparent_magnitudes, combine, components_of_light
from bayes_ddp.labels import LABELS
from bayes_ddp.mock import draw as drawing
from bayes_ddp.mock.check import check, format_check, profile
from bayes_ddp.mock.components import COMPONENTS, PRESET
from bayes_ddp.mock.draw import Settings, draw_chunk, draw_stars, iter_chunks
from bayes_ddp.mock.elements import draw_mass
from bayes_ddp.mock.sightlines import DEC_LOW, LAT_LOW, draw_candidates
from bayes_ddp.mock.survey import LIMITS_2MASS, TARGET

SETTINGS = Settings(3)


@pytest.fixture(scope="module")
def stars():
    return draw_stars(4000, SETTINGS)


def test_targets_are_within_the_survey(stars):
    seen, truth = stars.seen, stars.truth
    clear = {b: seen[f"mag_{b}"] - a * seen["ebv"] for b, a in (("g", 3.214), ("r", 2.165))}
    assert clear["r"].min() > 16 and clear["r"].max() < 19
    assert np.abs(np.degrees(truth["lat"])).min() > LAT_LOW and seen["dec"].min() > DEC_LOW
    blue = (seen["target"] & int(TARGET.MAIN_BLUE)) > 0
    assert np.array_equal(blue, clear["g"] - clear["r"] < 0.7)
    red = (seen["target"] & int(TARGET.MAIN_RED)) > 0
    assert np.hypot(seen["pmra"], seen["pmdec"])[red].max() < 7
    assert np.all((seen["target"] & 7) > 0)


def test_truth_has_every_label_of_every_star(stars):
    for row in LABELS:
        assert np.isfinite(stars.truth[row.name]).all(), row.name
    assert stars.truth["age"].max() <= 13.8
    assert stars.truth["mass"].max() < 5 and stars.truth["logg"].max() < 5.6  # nobody is dead


def test_spread_that_flags_compare_errors_with_is_that_of_these_stars(stars):
    """Sd of all stars or of those with a similar [Fe/H], whichever is larger: to five of its
    errors, and 8 % for two digits."""
    kind = np.digitize(stars.truth["feh"], METALLICITIES[1:-1])
    for name, expected in SPREAD.items():
        for place, spread in enumerate(expected):
            both = [(stars.truth[name][rows]) for rows in (kind >= 0, kind == place)]
            values = max(both, key=np.std)
            error = np.sqrt((kurtosis(values, fisher=False) - 1) / (4 * len(values)))
            assert abs(values.std() / spread - 1) < 5 * error + 0.08, (name, place)
    at = np.array([-2.5, -0.5])
    assert label_spread(("teff", "c_fe"), at).tolist() == [[np.inf, 0.6], [np.inf, 0.13]]


def test_magnitudes_follow_from_the_truth(stars):
    again = apparent_magnitudes(stars.truth)
    for band in BANDS:
        assert np.allclose(again[band], stars.truth[f"mag_{band}"], rtol=0, atol=1e-9), band


def test_companions_add_at_most_their_own_light(stars):
    first = {b: stars.truth[f"m1_{b}"] for b in BANDS}
    second = {b: stars.truth[f"m2_{b}"] for b in BANDS}
    gain = first["r"] - combine(first, second)["r"]
    assert gain.min() > -1e-12 and gain.max() < 0.7526
    assert np.abs(gain[stars.truth["mass_ratio"] == 0]).max() < 1e-12


def test_motion_on_the_sky_is_the_motion_in_the_galaxy(stars):
    t = stars.truth
    sky = Sky(t["ra"], t["dec"], t["distance"], t["pmra"], t["pmdec"], t["vrad"])
    star = galactocentric(sky, PRESET)
    assert np.allclose(np.stack(star[:3], 1), t["position"])
    assert np.allclose(np.stack(star[3:], 1), t["velocity"])
    assert np.allclose(t["J_PHI"], star.R * star.v_phi)
    known = np.isfinite(t["ECC"])
    assert known.mean() > 0.995
    assert np.all(t["R_PERI"][known] <= np.hypot(star.R, star.z)[known] * 1.03)


def test_measurements_scatter_by_their_errors(stars):
    """Means and standard deviations of thousands of stars: five standard errors, 18 in all."""
    seen, truth = stars.seen, stars.truth
    pulls = {n: (seen[n] - truth[n]) / seen["astrometric_error"] for n in ("parallax", "pmra")}
    pulls["vrad"] = (seen["vrad"] - truth["vrad"]) / seen["vrad_err"]
    for band in ("G", "BP", "RP", "g", "z"):
        pulls[band] = (seen[f"mag_{band}"] - truth[f"mag_{band}"]) / seen[f"err_{band}"]
    for name, pull in pulls.items():
        # The cut in parallax of red targets takes a few stars out of the upper wing.
        assert abs(pull.std() - 1) < 5 / np.sqrt(2 * len(pull)) + 0.02, name
        assert abs(pull.mean()) < 5 / np.sqrt(len(pull)) + 0.02, name


def test_2mass_ends_at_its_depth(stars):
    for band, limit in LIMITS_2MASS.items():
        values = stars.seen[f"mag_{band}"]
        assert np.nanmax(values) < limit
        faint = stars.truth[f"mag_{band}"] > limit + 0.7
        assert np.isnan(values[faint]).all() and np.isfinite(values).any()
        assert np.array_equal(np.isnan(values), np.isnan(stars.seen[f"err_{band}"]))


def test_same_seed_draws_the_same_stars_and_more_begin_with_fewer(stars):
    again = draw_stars(1000, SETTINGS)
    for name, values in again.truth.items():
        assert np.array_equal(values, stars.truth[name][:1000], equal_nan=True), name
    assert not np.array_equal(
        draw_chunk(0, Settings(4)).truth["ra"][:100], stars.truth["ra"][:100]
    )


def test_shares_are_those_that_the_paper_tells():
    """A survey to r = 20, as the paper's: wide limits, for a Galaxy that nobody fitted."""
    shares = check(draw_stars(6000, Settings(5, faint=20.0)))["shares"]
    assert 0.2 < shares["feh_below_-1"]["mock"] < 0.4
    assert 0.03 < shares["beyond_10_kpc"]["mock"] < 0.12
    assert shares["giants"]["mock"] < 0.08


def test_check_knows_the_components_and_says_so(stars):
    figures = check(stars)
    thin, ges = figures["components"]["thin"], figures["components"]["ges"]
    assert thin["v_phi"] > 190 and abs(ges["v_phi"]) < 30
    assert thin["eccentricity"] < 0.25 < 0.7 < ges["eccentricity"]
    assert figures["largest_magnitude_difference"] < 1e-9 and figures["overshoot"] <= 1
    assert any("[Fe/H] below -1" in line for line in format_check(figures))


def test_profile_of_too_few_stars_is_unknown():
    x = np.r_[np.full(50, 0.5), np.full(5, 1.5)]
    _, mean, spread = profile(x, np.ones(55), np.array([0.0, 1.0, 2.0]))
    assert mean[0] == 1 and spread[0] == 0 and np.isnan(mean[1])


def test_sample_is_a_fair_one():
    """Against stars strewn over all of the volume and all masses, weighted: five sigma.

    The independent side knows neither cells nor windows of mass; it has few stars where the
    survey sees few, so the shares of components and the mean distances are compared.
    """
    rng, n = np.random.default_rng(17), 150_000
    modulus = rng.uniform(3.0, 19.0, n)
    distance = 10 ** (0.2 * modulus - 2)
    lon = rng.uniform(0, 2 * np.pi, n)
    lat = rng.choice([-1, 1], n) * np.arcsin(rng.uniform(np.sin(np.radians(LAT_LOW)), 1, n))
    R, _, z = from_galactic(lon, lat, distance, preset=PRESET)
    south = galactic_to_icrs(lon, lat)[1] < np.radians(DEC_LOW)
    total = np.zeros((3, 3))
    drawn = [draw_candidates(drawing._cells(SETTINGS.limits), 60_000, rng) for _ in range(2)]
    ours = [drawing._shining(places, SETTINGS.limits, rng) for places in drawn]
    counts = []
    for k, i in enumerate((0, 1, 4)):
        born = drawing._born(COMPONENTS[i], R, rng)
        mass = draw_mass(np.full(n, 0.1), np.full(n, 8.0), rng)
        pair = rng.random(n) < drawing.BINARY_FRACTION
        born |= {"mass_ini": mass, "mass_ratio": np.where(pair, rng.uniform(0.1, 1, n), 0.0)}
        r = combine(*components_of_light(born)[1:])["r"] + modulus
        weight = COMPONENTS[i].density(R, z) * distance**3 * ((r > 16) & (r < 19) & ~south)
        total[k] = weight.sum(), (weight**2).sum(), (weight * np.log(distance)).sum()
        own = []
        for part in ours:
            r = combine(*({b: part[f"m{j}_{b}"] for b in BANDS} for j in (1, 2)))["r"]
            r = r + 5 * np.log10(part["distance"]) + 10
            own.append(np.log(part["distance"][(part["component"] == i) & (r > 16) & (r < 19)]))
        counts.append(np.concatenate(own))
    number = np.array([len(part) for part in counts])
    share, expected = number / number.sum(), total[:, 0] / total[:, 0].sum()
    error = share * np.sqrt(1 / number + total[:, 1] / total[:, 0] ** 2)
    assert np.all(np.abs(share - expected) < 5 * error)
    for k in range(3):
        effective = total[k, 0] ** 2 / total[k, 1]
        spread = counts[k].std() * np.sqrt(1 / effective + 1 / number[k])
        assert abs(counts[k].mean() - total[k, 2] / total[k, 0]) < 5 * spread


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"bright": 20.0}, "must be in order"), ({"seed": -1}, "seed -1 is negative")],
)
def test_impossible_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Settings(**{"seed": 1} | wrong)
    with pytest.raises(ValueError, match="at least one"):
        next(iter_chunks(0, SETTINGS))
