"""Two tables compared: the right rows, the right cuts, and statistics that a fault cannot pull."""

import json
from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table

from bayes_ddp.catalog.fits import write_catalogue
from bayes_ddp.comparison.options import Choice
from bayes_ddp.comparison.run import bin_rows, compare, compare_label
from bayes_ddp.comparison.statistics import median_error, noise_free_slope, running, slope
from bayes_ddp.comparison.tables import Pairs
from bayes_ddp.files.errors import BadFileError
from bayes_ddp.tables.match import match_rows

ROWS = 400
ALL = Choice(snr=-1)


def write_ours(path, **columns):
    """A small catalogue of ours: Teff 5000 K and [Fe/H] -0.5 measured with known errors."""
    rng = np.random.default_rng(3)
    table = Table()
    table["TARGETID"] = 2**60 + np.arange(ROWS)
    table["SURVEY"] = np.where(np.arange(ROWS) % 2, "sv1", "sv2")
    table["OBSID"] = np.arange(ROWS) + 100
    table["SRCFILE"] = [f"spec-{i:04d}.fits" for i in range(ROWS)]
    table["TEFF"] = 5000 + 30 * rng.normal(size=ROWS)
    table["TEFF_ERR"] = np.full(ROWS, 30.0)
    table["FEH"] = -0.5 + 0.05 * rng.normal(size=ROWS)
    table["FEH_ERR"] = np.full(ROWS, 0.05)
    for name, values in columns.items():
        table[name] = values
    write_catalogue(table, path, {})
    return table


def theirs(**columns):
    """Labels of the same stars by another survey, 40 K cooler and with errors of 40 K."""
    rng = np.random.default_rng(4)
    table = Table()
    table["obsid"] = np.arange(ROWS) + 100
    table["teff"] = 4960 + 40 * rng.normal(size=ROWS)
    table["teff_err"] = np.full(ROWS, 40.0)
    table["feh"] = np.full(ROWS, -0.5)
    for name, values in columns.items():
        table[name] = values
    return table


def row(result, name):
    return next(row for row in result.rows if row.label == name)


@pytest.fixture
def ours(tmp_path):
    write_ours(tmp_path / "catalogue.fits")
    return tmp_path / "catalogue.fits"


def test_offset_scatter_and_z_scatter_are_those_that_were_put_in(ours, tmp_path):
    """Chance of failure below 1e-4: four standard errors, fixed seeds.

    A median of n has standard error 1.25 sd / sqrt(n), a scatter from the MAD 1.17 sd / sqrt(n).
    """
    theirs().write(tmp_path / "other.csv")
    result = compare(ours, tmp_path / "other.csv", ALL)
    teff, feh = row(result, "teff"), row(result, "feh")
    assert (teff.number, teff.other_err, result.matched_by) == (ROWS, 40.0, "OBSID")
    assert abs(teff.offset - 40) < 4 * 1.25 * 50 / ROWS**0.5
    assert abs(teff.scatter / 50 - 1) < 4 * 1.17 / ROWS**0.5
    assert abs(teff.z_scatter - 1) < 4 * 1.17 / ROWS**0.5
    assert abs(feh.z_scatter - 1) < 4 * 1.17 / ROWS**0.5  # a table without errors is exact
    assert np.isnan(feh.other_err)


def test_the_models_own_error_counts_where_asked_for(tmp_path):
    """Differences of 50 K, of which the errors of 30 and 40 K know: with 50 K more, 1/sqrt(2)."""
    model = {"TEFF_SYS": np.full(ROWS, 50.0), "FEH_SYS": np.full(ROWS, 0.05)}
    write_ours(tmp_path / "ours.fits", **model)
    theirs().write(tmp_path / "other.csv")
    result = compare(tmp_path / "ours.fits", tmp_path / "other.csv", replace(ALL, sys=True))
    assert "with _SYS" in result.selection
    for name in ("teff", "feh"):
        assert abs(row(result, name).z_scatter * 2**0.5 - 1) < 4 * 1.17 / ROWS**0.5
    write_ours(tmp_path / "old.fits")
    with pytest.raises(ValueError, match="needs the column TEFF_SYS"):
        compare(tmp_path / "old.fits", tmp_path / "other.csv", replace(ALL, sys=True))


def test_a_few_wild_stars_do_not_move_the_figures(ours, tmp_path):
    other = theirs()
    other.write(tmp_path / "other.csv")
    other["teff"][:12] += 1000.0
    other.write(tmp_path / "wild.csv")
    clean, wild = (
        row(compare(ours, tmp_path / name, ALL), "teff") for name in ("other.csv", "wild.csv")
    )
    assert abs(clean.offset - wild.offset) < 5 and abs(clean.scatter / wild.scatter - 1) < 0.1


def test_a_catalogue_agrees_with_itself(ours):
    result = compare(ours, ours, ALL)
    assert result.matched_by == "TARGETID+SURVEY" and result.matched == ROWS
    assert row(result, "teff").offset == 0 and row(result, "teff").scatter == 0


@pytest.mark.parametrize("suffix", ["csv", "ecsv", "fits"])
def test_order_of_rows_case_of_names_and_format_do_not_matter(ours, tmp_path, suffix):
    other = theirs()
    other.write(tmp_path / "a.csv")
    turned = other[::-1]
    for name in turned.colnames:
        turned.rename_column(name, name.upper())
    turned.write(tmp_path / f"b.{suffix}")
    first = compare(ours, tmp_path / "a.csv", ALL)
    assert repr(compare(ours, tmp_path / f"b.{suffix}", ALL).rows) == repr(first.rows)


def test_rows_of_one_target_are_told_apart_by_survey(tmp_path):
    write_ours(tmp_path / "c.fits", TARGETID=2**60 + np.arange(ROWS) // 2)
    other = theirs(
        targetid=2**60 + np.arange(ROWS) // 2, survey=np.where(np.arange(ROWS) % 2, "sv1", "sv2")
    )
    other["teff"] = np.arange(ROWS) + 4500.0
    other.write(tmp_path / "o.csv")
    result = compare(tmp_path / "c.fits", tmp_path / "o.csv", ALL)
    np.testing.assert_array_equal(result.pairs["teff"].theirs, np.arange(ROWS) + 4500.0)


def test_file_name_matches_where_the_observation_is_unknown(tmp_path):
    write_ours(tmp_path / "c.fits", OBSID=np.full(ROWS, -1))
    other = theirs(filename=[f"somewhere/spec-{i:04d}.fits.gz" for i in range(ROWS)])
    other[:50].write(tmp_path / "o.csv")
    result = compare(tmp_path / "c.fits", tmp_path / "o.csv", ALL)
    assert (result.matched_by, result.matched) == ("SRCFILE", 50)


def test_limits_act_on_the_other_table_and_are_named(ours, tmp_path):
    other = theirs(snrg=np.arange(ROWS) / 10)
    other["teff"][:300] = 8000.0
    other.write(tmp_path / "o.csv")
    result = compare(ours, tmp_path / "o.csv")
    assert (result.matched, result.selected) == (ROWS, 100)
    assert result.selection == "their snrg > 20, their teff > 4000 K, their teff < 7500 K"
    wide = Choice(snr=35, teff=(4000, np.inf))
    assert compare(ours, tmp_path / "o.csv", wide).selected == 49


def test_missing_signal_to_noise_is_ours_or_is_told(ours, tmp_path):
    theirs().write(tmp_path / "o.csv")
    assert "no S/N column" in compare(ours, tmp_path / "o.csv").selection
    write_ours(tmp_path / "c.fits", SNR_B=np.arange(ROWS) / 10)
    result = compare(tmp_path / "c.fits", tmp_path / "o.csv")
    assert result.selected == 199 and result.selection.startswith("our snr_b > 20")


def test_column_of_several_values_in_a_row_is_no_label(ours, tmp_path):
    other = theirs()
    other["teff"] = np.repeat(np.asarray(other["teff"])[:, None], 3, axis=1)
    other.write(tmp_path / "o.fits")
    with pytest.raises(BadFileError, match=r"o.fits: column teff has 3 values in each row"):
        compare(ours, tmp_path / "o.fits", Choice())


def test_unknown_values_are_left_out(tmp_path):
    ours = write_ours(tmp_path / "c.fits")["TEFF"].copy()
    ours[:10] = np.nan
    write_ours(tmp_path / "c.fits", TEFF=ours)
    other = theirs()
    other["feh"][:30] = -9999.0
    other = Table(other, masked=True)
    other["teff_err"].mask[20:40] = True
    other.write(tmp_path / "o.csv")
    result = compare(tmp_path / "c.fits", tmp_path / "o.csv", Choice(teff=(0, np.inf)))
    assert row(result, "teff").number == ROWS - 10 and row(result, "feh").number == ROWS - 30
    assert np.isfinite(row(result, "teff").z_scatter)


def test_result_prints_aligned_and_goes_into_json(ours, tmp_path):
    other = theirs()
    other["feh"] = np.nan
    other.write(tmp_path / "o.csv")
    result = compare(ours, tmp_path / "o.csv")
    told = json.loads(json.dumps(result.rows_as_dict(), allow_nan=False))
    assert told["labels"]["teff"]["number"] == ROWS
    assert told["labels"]["feh"]["offset"] is None
    lines = result.format_table().splitlines()
    assert lines[1].split()[:4] == ["label", "number", "offset", "±"]
    assert len({line.index("  " + unit) for line, unit in zip(lines[2:4], "Kd", strict=True)}) == 1


def test_tables_without_common_stars_or_labels_are_refused(ours, tmp_path):
    theirs(obsid=np.arange(ROWS) + 10_000).write(tmp_path / "o.csv")
    with pytest.raises(ValueError, match=r"tried OBSID.*--radius"):
        compare(ours, tmp_path / "o.csv")
    theirs()["obsid", "teff"].write(tmp_path / "p.csv")
    stars = theirs()["obsid", "teff_err"]
    stars.write(tmp_path / "q.csv")
    with pytest.raises(ValueError, match="shares no label"):
        compare(ours, tmp_path / "q.csv")
    Table({"a": [1.0]}).write(tmp_path / "r.csv")
    with pytest.raises(ValueError, match="no identifier column"):
        compare(ours, tmp_path / "r.csv")


def test_lamost_labels_match_131_spectra_of_which_56_are_selected(data, tmp_path):
    """Counted in the survey's own files: 131 of 176 have labels, 56 are bright and cool enough."""
    folder = data / "lamost_dr1"
    names = sorted(path.name for path in folder.glob("spec-*.fits"))
    table = Table({"OBSID": np.full(len(names), -1), "SRCFILE": names})
    table["TEFF"], table["TEFF_ERR"] = 5500.0, 100.0
    write_catalogue(table, tmp_path / "c.fits", {})
    result = compare(tmp_path / "c.fits", folder / "labels.csv")
    assert (result.matched_by, result.matched, result.selected) == ("SRCFILE", 131, 56)


# --- statistics on synthetic pairs with known truth


def pairs(ours, ours_err, theirs, theirs_err, **keys):
    count = len(ours)
    known = {name: np.broadcast_to(value, count) for name, value in keys.items()}
    errors = (np.broadcast_to(value, count).astype(float) for value in (ours_err, theirs_err))
    first, second = errors
    return Pairs(ours, first, theirs, second, known)


def metallicities(*, count=4000, scale=1.0, ours_err=0.05, theirs_err=0.2, seed=1):
    """Two independent measurements of [Fe/H]; ours has 0.1 dex more and another scale."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(-1.2, 0.2, count)
    ours = 0.1 + scale * truth + ours_err * rng.normal(size=count)
    theirs = truth + theirs_err * rng.normal(size=count)
    return pairs(ours, ours_err, theirs, theirs_err, feh=theirs)


@pytest.mark.parametrize("scale", [1.0, 0.8])
def test_slope_without_their_noise_is_the_true_one_and_the_plain_slope_is_not(scale):
    """Chance of failure below 1e-3: four of the stated errors, two fixed samples."""
    row = compare_label("feh", metallicities(scale=scale))
    variance = 1.4**2 / 12
    assert abs(row.reliability - variance / (variance + 0.04)) < 0.02
    assert abs(row.slope - scale) < 4 * row.slope_err
    plain = scale * row.reliability - 1  # of the difference
    assert abs(row.trend - plain) < 4 * row.trend_err
    assert abs(1 + row.trend - scale) > 10 * row.trend_err


def test_stated_errors_are_the_scatter_over_repeated_samples():
    """300 samples of 400 stars: the scatter of a scatter is 4 %; chance of failure below 1e-3."""
    rows = [compare_label("feh", metallicities(count=400, seed=s)) for s in range(300)]
    for value, error in (("trend", "trend_err"), ("slope", "slope_err"), ("offset", "offset_err")):
        found = np.nanstd([getattr(row, value) for row in rows])
        stated = np.nanmean([getattr(row, error) for row in rows])
        assert abs(found / stated - 1) < 0.15, value
    assert sum(np.isnan(row.slope) for row in rows) <= 4  # refused by a chance low z-scatter


def test_trend_that_was_put_in_is_found_and_taken_out():
    """Chance of failure below 1e-4: four standard errors, fixed seed."""
    rng = np.random.default_rng(5)
    theirs = rng.uniform(4500, 6500, 2000)
    ours = theirs + 40 - 0.1 * (theirs - 5500) + 30 * rng.normal(size=2000)
    ours[:60] += 2000.0
    row = compare_label("teff", pairs(ours, 30.0, theirs, np.nan))
    assert abs(row.trend + 0.1) < 4 * row.trend_err < 0.01
    assert abs(row.scatter_less_trend / 30 - 1) < 0.08 < row.scatter / 30 - 1
    assert np.isnan(row.slope) and np.isnan(row.reliability)


def test_slope_is_not_known_where_their_errors_are_common_or_swallow_the_label():
    rng = np.random.default_rng(6)
    theirs = rng.normal(size=500)
    same = pairs(theirs + 0.01 * rng.normal(size=500), 0.5, theirs, 0.5)
    row = compare_label("feh", same)  # one spectrum twice: differences far below the errors
    assert np.isnan(row.slope) and row.z_scatter < 0.1 and 0.6 < row.reliability < 0.9
    assert np.isnan(noise_free_slope(theirs, np.full(500, 1.0), theirs)[0].value)
    assert np.isnan(slope(theirs[:9], theirs[:9]).value) and np.isnan(
        slope(np.ones(50), theirs[:50]).value
    )


@pytest.mark.parametrize(("common", "expected"), [(0.0, 1.0), (0.05, 0.5**0.5)])
def test_repeats_have_z_scatter_one_and_less_where_errors_are_common(common, expected):
    """Each star twice, S/N unlike; errors hold noise and the model's error, which both share.

    Chance of failure below 1e-4: four standard errors of a scatter from the MAD, fixed seed.
    """
    rng, count = np.random.default_rng(7), 4000
    truth, model = rng.normal(-0.5, 0.4, count), common * rng.normal(size=count)
    noise = (0.05, 0.05) if common else (0.03, 0.09)
    first, second = (truth + model + s * rng.normal(size=count) for s in noise)
    errors = [np.hypot(s, common) for s in noise]
    row = compare_label("feh", pairs(first, errors[0], second, errors[1]))
    assert abs(row.z_scatter / expected - 1) < 4 * 1.17 / count**0.5
    assert abs(row.offset) < 4 * row.offset_err


def test_running_median_follows_a_step_and_is_none_for_few():
    x = np.linspace(0, 1, 300)
    centre, p16, median, p84 = running(x, np.where(x > 0.5, 1.0, 0.0))
    assert np.all(np.diff(centre) > 0) and median[0] == 0 and median[-1] == 1
    assert np.all(p16 <= median) and np.all(median <= p84)
    assert running(x[:29], x[:29]) is None
    assert np.isnan(median_error(np.zeros(0)))


# --- bins


def test_bins_add_up_to_the_total_whatever_their_edges():
    pair = metallicities(count=700)
    snr = np.geomspace(3, 300, 700)
    snr[::50] = np.nan
    pair.keys["snr"] = snr
    for edges in ({"feh": (-0.5,)}, {"snr": (10, 20), "feh": (-1, -0.5, 0.0)}):
        rows = bin_rows(pair, edges)
        assert sum(row.number for row in rows) == 700 and min(row.number for row in rows) > 0
    unknown = [row for row in rows if np.isnan(row.bin["snr"][0])]
    assert sum(row.number for row in unknown) == 14


def test_bin_holds_the_figures_of_its_stars_alone():
    pair = metallicities(count=500)
    inside = (pair.theirs >= -0.5) & (pair.theirs < 0)
    (row,) = (r for r in bin_rows(pair, {"feh": (-0.5, 0.0)}) if r.bin["feh"] == (-0.5, 0.0))
    alone = compare_label("feh", pair.take(inside))
    assert (row.number, row.offset, row.scatter) == (alone.number, alone.offset, alone.scatter)
    assert (row.z_scatter, row.offset_err) == (alone.z_scatter, alone.offset_err)


def test_nested_bins_are_printed_and_too_few_stars_give_no_figure(ours, tmp_path):
    other = theirs(snrg=np.full(ROWS, 30.0))
    other["snrg"][:2] = 500.0
    other.write(tmp_path / "o.csv")
    choice = Choice(by="teff,snr", edges=("snr=20,50,100", "teff=4000,5000"))
    result = compare(ours, tmp_path / "o.csv", choice)
    told = json.loads(json.dumps(result.rows_as_dict(), allow_nan=False))
    bins = told["labels"]["teff"]["bins"]
    assert sum(part["number"] for part in bins) == ROWS and told["by"]["snr"] == "their snrg"
    few = [part for part in bins if part["bin"]["snr"] == [100.0, None]]
    assert few and all(part["number"] < 3 and part["offset"] is None for part in few)
    text = result.format_table()
    assert "teff [K] by their teff and their snrg" in text
    line = next(line for line in text.splitlines() if ">= 100" in line)
    assert line.split()[-4:] == ["-"] * 4
    assert repr(compare(ours, tmp_path / "o.csv").rows) == repr(result.rows)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"by": "colour"}, "is none of"),
        ({"by": "teff,snr,feh"}, "one key or two"),
        ({"by": "teff,teff"}, "one key or two"),
        ({"by": "teff", "edges": ("teff=6000,5000",)}, "rising"),
        ({"by": "teff", "edges": ("teff=a",)}, "teff=4000,5000,6000"),
        ({"edges": ("snr=10,20",)}, "Name it there"),
        ({"radius": 0.0}, "--radius 0"),
    ],
)
def test_choice_that_means_nothing_is_refused(options, word):
    with pytest.raises(ValueError, match=word):
        Choice(**options)


def test_key_that_no_table_has_is_refused(ours, tmp_path):
    theirs().write(tmp_path / "o.csv")
    with pytest.raises(ValueError, match="neither table has a column"):
        compare(ours, tmp_path / "o.csv", Choice(by="logg"))


# --- which rows belong together


def sky(ra, dec):
    return {"ra": np.asarray(ra, float), "dec": np.asarray(dec, float)}


def test_match_on_the_sky_is_one_to_one_and_leaves_unknown_positions_out():
    arcsec = 1 / 3600
    ours = sky([10, 10 + arcsec, np.nan, 50, 359.9999, 400], [0, 0, 0, 80, 10, 0])
    theirs = sky([np.nan, 10 + 0.8 * arcsec, 50 + 3 * arcsec, 0.0001, 120], [0, 0, 80, 10, np.nan])
    match = match_rows(ours, theirs)
    assert (match.ours.tolist(), match.theirs.tolist()) == ([1, 3, 4], [1, 2, 3])
    assert match.ambiguous == 1 and match.by == "position within 1.5 arcsec"
    assert len(match_rows(ours, theirs, radius=0.1).ours) == 0
    none = match_rows(sky([np.nan], [np.nan]), theirs)
    assert len(none.ours) == 0 and "position" in none.by


def test_match_on_the_sky_agrees_with_all_distances():
    """Every pair against the haversine formula, in a field with doubles within the radius."""
    rng = np.random.default_rng(8)
    ra, dec = rng.uniform(0, 0.02, (2, 300))
    order = rng.permutation(300)[:200]
    shift = rng.normal(scale=0.5 / 3600, size=(2, 200))
    match = match_rows(sky(ra, dec), sky(ra[order] + shift[0], dec[order] + shift[1]))
    a, d = np.radians([ra, dec])
    b, e = np.radians([ra[order] + shift[0], dec[order] + shift[1]])
    half = np.sin((d[:, None] - e) / 2) ** 2
    half += np.cos(d[:, None]) * np.cos(e) * np.sin((a[:, None] - b) / 2) ** 2
    apart = np.degrees(2 * np.arcsin(np.sqrt(half))) * 3600
    assert len(set(match.theirs)) == len(match.theirs) == len(set(match.ours))
    nearest = apart.argmin(axis=1)
    for i in range(300):
        rivals = np.flatnonzero(nearest == nearest[i])
        best = apart[i].min() <= 1.5 and rivals[apart[rivals, nearest[i]].argmin()] == i
        assert (i in match.ours) == best
    np.testing.assert_array_equal(match.theirs, nearest[match.ours])


def test_files_are_matched_on_the_sky_where_no_identifier_is_shared_or_on_request(tmp_path):
    ra = np.linspace(10, 20, ROWS)
    write_ours(tmp_path / "c.fits", TARGET_RA=ra, TARGET_DEC=np.zeros(ROWS))
    other = theirs(RA=ra[::-1].copy(), DEC=np.full(ROWS, 1e-4))
    other["OBSID"] = other["obsid"][::-1]
    other.remove_column("obsid")
    other["teff"] = np.arange(ROWS) + 4500.0
    other.write(tmp_path / "o.csv")
    by_id = compare(tmp_path / "c.fits", tmp_path / "o.csv", ALL)
    by_sky = compare(tmp_path / "c.fits", tmp_path / "o.csv", Choice(match="sky"))
    assert repr(by_id.rows) == repr(by_sky.rows) and by_id.matched_by == "OBSID"
    other.remove_column("OBSID")
    other.write(tmp_path / "p.csv")
    assert repr(compare(tmp_path / "c.fits", tmp_path / "p.csv").rows) == repr(by_sky.rows)
    with pytest.raises(ValueError, match="no identifier column"):
        compare(tmp_path / "c.fits", tmp_path / "p.csv", Choice(match="id"))
    with pytest.raises(ValueError, match="columns RA and DEC"):
        write_ours(tmp_path / "bare.fits")
        compare(tmp_path / "bare.fits", tmp_path / "p.csv", Choice(match="sky"))


def test_gaia_numbers_match_to_the_last_digit_and_gaps_match_nothing(tmp_path):
    source = 4_000_000_000_000_000_001 + np.arange(ROWS)
    source[:5] = 0
    write_ours(tmp_path / "c.fits", SOURCE_ID=source)
    other = Table(theirs()["teff", "feh"], masked=True)
    other["source_id"] = np.ma.array(source, mask=np.arange(ROWS) >= 390)
    other["teff"] = np.arange(ROWS) + 4500.0
    other.write(tmp_path / "o.csv")
    result = compare(tmp_path / "c.fits", tmp_path / "o.csv")
    assert (result.matched_by, result.matched) == ("SOURCE_ID", ROWS - 15)
    np.testing.assert_array_equal(result.pairs["teff"].theirs, np.arange(5, 390) + 4500.0)


def test_target_alone_matches_only_where_its_survey_and_pixel_do_not():
    ours = {
        "targetid": np.array([5, 5, 6]),
        "healpix": np.array([-1, -1, -1]),
        "tileid": np.array([1, 2, 1]),
    }
    itself = match_rows(ours, ours)
    assert itself.by == "TARGETID+HEALPIX+TILEID" and itself.theirs.tolist() == [0, 1, 2]
    coadds = {"targetid": np.array([6, 5, 6]), "healpix": np.array([70, 70, 71])}
    match = match_rows(ours, coadds)
    assert (match.by, match.theirs.tolist()) == ("TARGETID", [1, 1, 0])
    assert match.ambiguous == 1  # 6 stands there twice


def test_spectra_are_told_apart_before_stars_and_a_shared_file_names_none():
    ours = {
        "specid": np.array(["a", "b", "c"]),
        "obsid": np.array([7, -1, 9]),
        "source_id": np.full(3, 2**60),
        "srcfile": np.array(["f.fits"] * 3),
    }
    itself = match_rows(ours, ours)
    assert itself.by == "SPECID" and itself.theirs.tolist() == [0, 1, 2]
    files = {name: ours[name] for name in ("srcfile", "source_id")}
    assert match_rows(files, files).by == "SOURCE_ID"
    assert match_rows({"name": np.array(["12"])}, {"miles_id": np.array([12])}).by == "NAME"


# --- DESI's own catalogue


def write_mws(path, ours):
    """A file in the layout of mwsall-pix, rows reversed, with the errors in COVAR alone."""
    from astropy.io import fits

    back, count = np.arange(ROWS)[::-1], ROWS
    covariance = np.zeros((count, 25))
    covariance[:, ::6] = [0.1**2, 0.05**2, 0.2**2, 50.0**2, -1.0]
    survey = np.array(ours["SURVEY"])[back]
    rv = Table({"TARGETID": np.array(ours["TARGETID"])[back], "SURVEY": survey})
    rv["TEFF"], rv["SN_B"], rv["RVS_WARN"] = 9999.0, 30.0, np.arange(count) % 2
    rv["SUCCESS"] = True
    sp = Table({"TARGETID": np.array(ours["TARGETID"])[back], "SUCCESS": np.ones(count, int)})
    sp["TEFF"] = np.array(ours["TEFF"])[back] - 25
    sp["LOGG"], sp["FEH"], sp["COVAR"] = 4.0, -0.5, covariance
    sp["SUCCESS"][:100] = 0
    tables = [fits.table_to_hdu(t) for t in (rv, sp, Table({"SOURCE_ID": np.arange(count)}))]
    for hdu, name in zip(tables, ("RVTAB", "SPTAB", "GAIA"), strict=True):
        hdu.name = name
    fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(path)


def test_desi_catalogue_gives_labels_of_sptab_and_identifiers_and_flags_of_rvtab(tmp_path):
    table = write_ours(tmp_path / "c.fits")
    write_mws(tmp_path / "mwsall-pix.fits", table)
    result = compare(tmp_path / "c.fits", tmp_path / "mwsall-pix.fits")
    assert result.matched_by == "TARGETID+SURVEY" and result.matched == ROWS
    assert result.selection.startswith("their success, their rvs_warn = 0, their sn_b > 20")
    teff, feh = row(result, "teff"), row(result, "feh")
    assert (teff.number, teff.offset, teff.other_err) == (150, pytest.approx(25), 50.0)
    assert feh.other_err == pytest.approx(0.1)
    with pytest.raises(ValueError, match="no identifier column"):
        compare(tmp_path / "c.fits", tmp_path / "mwsall-pix.fits", Choice(hdu="GAIA"))
    wide = Choice(hdu="RVTAB", teff=(4000, 1e5))
    assert compare(tmp_path / "c.fits", tmp_path / "mwsall-pix.fits", wide).selected == 200


def test_clean_takes_rows_without_warning_only(tmp_path):
    write_ours(tmp_path / "c.fits", WARN=np.arange(ROWS) % 4)
    theirs().write(tmp_path / "o.csv")
    result = compare(tmp_path / "c.fits", tmp_path / "o.csv", Choice(clean=True))
    assert result.selected == ROWS / 4 and "our warn = 0" in result.selection


def test_command_prints_the_table_or_one_object_and_draws(ours, tmp_path, capsys):
    from bayes_ddp.cli import app

    theirs(snrg=np.full(ROWS, 40.0)).write(tmp_path / "o.csv")
    line = ["compare", str(ours), str(tmp_path / "o.csv"), "--by", "teff,snr"]
    line += ["--edges", "teff=4000,5000", "snr=20,50"]
    app(line, result_action="return_value")
    assert "teff [K] by their teff and their snrg" in capsys.readouterr().out
    picture = tmp_path / "new" / "figure.png"
    app([*line, "--json", "--output", str(picture)], result_action="return_value")
    assert set(json.loads(capsys.readouterr().out)["labels"]) == {"teff", "feh"}
    assert picture.read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(ValueError, match=r"ends in \.png"):
        app([*line, "--output", str(tmp_path / "a.pdf")], result_action="return_value")


def test_labels_are_made_of_xh_on_another_scale_with_assumed_errors(tmp_path):
    """[Mg/H] = [Fe/H] = 0 of Lodders: -0.06 and -0.04 on ours; [Mg/Fe] of one source only."""
    rng = np.random.default_rng(3)
    feh, mg = rng.normal(-0.4, 0.3, 40), rng.normal(0.1, 0.2, 40)
    ours = Table({"NAME": np.arange(40).astype(str), "FEH": feh - 0.04, "MG_FE": mg - 0.02})
    ours["FEH_ERR"], ours["MG_FE_ERR"] = 0.01, 0.01
    ours.write(tmp_path / "ours.fits")
    theirs = Table({"name": np.arange(40).astype(str), "fe_h_hyp": feh, "mg_h_hyp": mg + feh})
    theirs["feh"] = 9.9  # another source's, replaced
    theirs.write(tmp_path / "theirs.csv")
    told = Choice(xh="{element}_H_hyp", scale="Lodders+2009", assume=("mg_fe=0.05", "feh = 0.1"))
    rows = compare(tmp_path / "ours.fits", tmp_path / "theirs.csv", told).rows
    assert [row.label for row in rows] == ["feh", "mg_fe"]
    for row, error in zip(rows, (0.1, 0.05), strict=True):
        assert abs(row.offset) < 1e-6 and row.number == 40
        assert row.other_err == pytest.approx(error)
    assert rows[1].reliability == pytest.approx(1 - 0.05**2 / np.var(mg), rel=0.1)


@pytest.mark.parametrize("text", ["mg_fe", "mgfe=0.1", "teff=-3", "teff=x"])
def test_assumed_error_that_means_nothing_is_refused(text):
    with pytest.raises(ValueError, match="--assume"):
        Choice(assume=(text,))
