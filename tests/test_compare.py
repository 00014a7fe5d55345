"""Two tables compared: the right rows, the right cuts, and statistics that a fault cannot pull."""

import json

import numpy as np
import pytest
from astropy.table import Table

from bayes_ddp import catalog
from bayes_ddp.compare import compare

ROWS = 400


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
    catalog.write_catalogue(table, path, {})
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
    result = compare(ours, tmp_path / "other.csv", snr_min=None)
    teff, feh = row(result, "teff"), row(result, "feh")
    assert (teff.number, teff.other_err, result.matched_by) == (ROWS, 40.0, "OBSID")
    assert abs(teff.offset - 40) < 4 * 1.25 * 50 / ROWS**0.5
    assert abs(teff.scatter / 50 - 1) < 4 * 1.17 / ROWS**0.5
    assert abs(teff.z_scatter - 1) < 4 * 1.17 / ROWS**0.5
    assert abs(feh.z_scatter - 1) < 4 * 1.17 / ROWS**0.5  # a table without errors is exact
    assert np.isnan(feh.other_err)


def test_a_few_wild_stars_do_not_move_the_figures(ours, tmp_path):
    other = theirs()
    other.write(tmp_path / "other.csv")
    other["teff"][:12] += 1000.0
    other.write(tmp_path / "wild.csv")
    clean, wild = (
        row(compare(ours, tmp_path / name, snr_min=None), "teff")
        for name in ("other.csv", "wild.csv")
    )
    assert abs(clean.offset - wild.offset) < 5 and abs(clean.scatter / wild.scatter - 1) < 0.1


def test_a_catalogue_agrees_with_itself(ours):
    result = compare(ours, ours, snr_min=None)
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
    first = compare(ours, tmp_path / "a.csv", snr_min=None)
    assert compare(ours, tmp_path / f"b.{suffix}", snr_min=None).rows == first.rows


def test_rows_of_one_target_are_told_apart_by_survey(tmp_path):
    write_ours(tmp_path / "c.fits", TARGETID=2**60 + np.arange(ROWS) // 2)
    other = theirs(
        targetid=2**60 + np.arange(ROWS) // 2, survey=np.where(np.arange(ROWS) % 2, "sv1", "sv2")
    )
    other["teff"] = np.arange(ROWS) + 4500.0
    other.write(tmp_path / "o.csv")
    result = compare(tmp_path / "c.fits", tmp_path / "o.csv", snr_min=None)
    np.testing.assert_array_equal(result.pairs["teff"].theirs, np.arange(ROWS) + 4500.0)


def test_file_name_matches_where_the_observation_is_unknown(tmp_path):
    write_ours(tmp_path / "c.fits", OBSID=np.full(ROWS, -1))
    other = theirs(filename=[f"somewhere/spec-{i:04d}.fits.gz" for i in range(ROWS)])
    other[:50].write(tmp_path / "o.csv")
    result = compare(tmp_path / "c.fits", tmp_path / "o.csv", snr_min=None)
    assert (result.matched_by, result.matched) == ("SRCFILE", 50)


def test_limits_act_on_the_other_table_and_are_named(ours, tmp_path):
    other = theirs(snrg=np.arange(ROWS) / 10)
    other["teff"][:300] = 8000.0
    other.write(tmp_path / "o.csv")
    result = compare(ours, tmp_path / "o.csv")
    assert (result.matched, result.selected) == (ROWS, 100)
    assert result.selection == "their snrg > 20, their teff > 4000 K, their teff < 7500 K"
    assert compare(ours, tmp_path / "o.csv", snr_min=35, teff_max=None).selected == 49


def test_missing_signal_to_noise_is_ours_or_is_told(ours, tmp_path):
    theirs().write(tmp_path / "o.csv")
    assert "no S/N column" in compare(ours, tmp_path / "o.csv").selection
    write_ours(tmp_path / "c.fits", SNR_B=np.arange(ROWS) / 10)
    result = compare(tmp_path / "c.fits", tmp_path / "o.csv")
    assert result.selected == 199 and result.selection.startswith("our snr_b > 20")


def test_unknown_values_are_left_out(tmp_path):
    ours = write_ours(tmp_path / "c.fits")["TEFF"].copy()
    ours[:10] = np.nan
    write_ours(tmp_path / "c.fits", TEFF=ours)
    other = theirs()
    other["feh"][:30] = -9999.0
    other = Table(other, masked=True)
    other["teff_err"].mask[20:40] = True
    other.write(tmp_path / "o.csv")
    limits = {"snr_min": None, "teff_min": None, "teff_max": None}
    result = compare(tmp_path / "c.fits", tmp_path / "o.csv", **limits)
    assert row(result, "teff").number == ROWS - 10 and row(result, "feh").number == ROWS - 30
    assert np.isfinite(row(result, "teff").z_scatter) and result.selection == "all"


def test_result_prints_aligned_and_goes_into_json(ours, tmp_path):
    other = theirs()
    other["feh"] = np.nan
    other.write(tmp_path / "o.csv")
    result = compare(ours, tmp_path / "o.csv")
    told = json.loads(json.dumps(result.rows_as_dict(), allow_nan=False))
    assert told["labels"]["teff"]["number"] == ROWS
    assert told["labels"]["feh"]["offset"] is None
    lines = result.format_table().splitlines()
    assert lines[1].split()[:4] == ["label", "number", "offset", "scatter"]
    assert len({line.index("  " + unit) for line, unit in zip(lines[2:], "Kd", strict=True)}) == 1


def test_tables_without_common_stars_or_labels_are_refused(ours, tmp_path):
    theirs(obsid=np.arange(ROWS) + 10_000).write(tmp_path / "o.csv")
    with pytest.raises(ValueError, match="tried OBSID"):
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
    catalog.write_catalogue(table, tmp_path / "c.fits", {})
    result = compare(tmp_path / "c.fits", folder / "labels.csv")
    assert (result.matched_by, result.matched, result.selected) == ("SRCFILE", 131, 56)
