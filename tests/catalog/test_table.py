"""The catalogue: a row for every star, NaN where nothing is known, and all of the posterior."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io.votable.ucd import parse_ucd
from astropy.table import vstack

from bayes_ddp.catalog.columns import COLUMNS
from bayes_ddp.catalog.fits import read_catalogue, write_catalogue
from bayes_ddp.catalog.flags import DETECTED, NOT_FITTED, OUT_OF_RANGE, PRIOR_DOMINATED
from bayes_ddp.catalog.table import make_catalogue, pack_covariance, unpack_covariance
from bayes_ddp.emulator.limits import model_limits
from bayes_ddp.flags import FATAL, UNTRAINED, WARN
from bayes_ddp.inference.parts import read_part, write_part
from bayes_ddp.labels import LABELS, label
from bayes_ddp.spectra.surveys import SURVEYS

VECTORS = ("LABEL_MEAN", "LABEL_COV", "LABEL_MODE", "PRIOR_MEAN", "PRIOR_COV")


def test_every_input_spectrum_has_one_row_in_the_order_of_the_input(
    make_posterior, unfitted, make_part
):
    warn = np.where(np.arange(6) == 3, int(WARN.NODATA), 0)
    table = make_catalogue(make_part(unfitted(make_posterior(6), 3), warn))
    assert list(table["TARGETID"]) == [2**60 + i for i in range(6)]
    assert np.isnan(table["TEFF"][3]) and np.isnan(table["TEFF_ERR"][3])
    assert table["MG_FE_FLAG"][3] == NOT_FITTED and table["NPIX"][3] == 0
    assert np.isfinite(np.delete(np.array(table["TEFF_ERR"]), 3)).all()
    assert table["WARN"][3] == WARN.NODATA


def test_identifiers_come_first_and_a_name_of_ours_is_kept_for_us(make_posterior, make_part):
    table = make_catalogue(make_part(make_posterior(3)))
    given = ["TARGETID", "SURVEY", "TARGET_RA", "OWN", "TEFF_IN", "GOOD"]
    assert table.colnames[:7] == [*given, "TEFF"]
    assert np.all(table["TEFF_IN"] == 5000) and not np.any(table["TEFF"] == 5000)


def test_parts_stack_to_the_catalogue_of_all_stars(make_posterior, make_part):
    result = make_posterior(7)
    whole = make_catalogue(make_part(result))
    parts = [make_part(result.take(np.arange(a, b))) for a, b in ((0, 3), (3, 7))]
    stacked = vstack([make_catalogue(part) for part in parts], metadata_conflicts="silent")
    assert not stacked.has_masked_columns
    for name in VECTORS:
        np.testing.assert_array_equal(stacked[name], whole[name])
    assert stacked["TEFF"].meta == whole["TEFF"].meta


def test_part_that_went_through_a_file_gives_the_same_catalogue(
    make_posterior, unfitted, make_part, tmp_path
):
    """Draws as a file has them, float32; their quantiles are those of the file."""
    part = make_part(unfitted(make_posterior(4, sampled=True), 1))
    single = replace(part.posterior, draws=part.posterior.draws.astype(np.float32))
    part = replace(part, posterior=single)
    write_part(tmp_path / "part.nc", part, draws=400)
    ours, theirs = make_catalogue(part), make_catalogue(read_part(tmp_path / "part.nc"))
    assert ours.colnames == theirs.colnames and ours.meta == theirs.meta
    for name in ours.colnames:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def test_every_column_has_values_a_short_description_and_a_valid_ucd(make_posterior, make_part):
    part = make_part(make_posterior(2, sampled=True))
    made = set(make_catalogue(part).colnames) - set(part.columns) - {"TEFF_IN"}
    expected = {
        row.named("b" if row.scope == "arm" else "mg_fe").name
        for row in COLUMNS
        if row.scope != "input"
    }
    assert expected <= made
    rows = [row for row in COLUMNS if row.scope not in ("arm", "label", "limit")]
    rows += [row.named("b") for row in COLUMNS if row.scope == "arm"]
    for star_label in LABELS:
        rows += [row.named(star_label.name) for row in COLUMNS if row.scope in ("label", "limit")]
    for row in rows:
        assert row.description and len(row.description) <= 68, row
        parse_ucd(row.ucd, check_controlled_vocabulary=True)


def test_values_are_in_the_units_of_their_labels(make_posterior, make_part):
    part = make_part(make_posterior(2))
    table = make_catalogue(part)
    for name in part.posterior.names:
        column = label(name).column
        for ending in ("", "_ERR", "_SYS", "_P16", "_P50", "_P84"):
            assert str(table[column + ending].unit or "") == label(name).unit
    assert table["MG_FE_UL95"].unit == "dex" and table["VRAD_FIT"].unit == "km / s"
    assert all(table[name].unit is None for name in (*VECTORS, "TEFF_INFO", "CHI2"))
    np.testing.assert_array_equal(table["VRAD_FIT"], part.vrad + 0.5)


def test_information_is_one_minus_the_ratio_of_variances(make_posterior, make_part):
    result = make_posterior(3)
    table = make_catalogue(make_part(result))
    for i, name in enumerate(result.names):
        expected = 1 - (result.sd[:, i] / result.prior_sd[:, i]) ** 2
        np.testing.assert_array_equal(table[f"{label(name).column}_INFO"], expected)


# --- all of the posterior, label by label and as vectors


def test_prior_dominated_label_has_an_error_but_no_value(make_posterior, make_part):
    result = make_posterior(3)
    covariance, mean = result.covariance.copy(), result.mean.copy()
    covariance[:, 4, :] = covariance[:, :, 4] = 0
    covariance[:, 4, 4], mean[:, 4] = 0.29**2, 0.01
    table = make_catalogue(make_part(replace(result, mean=mean, covariance=covariance)))
    assert np.all(np.isnan(table["C_FE"])) and np.allclose(table["C_FE_ERR"], 0.29)
    assert np.all(table["C_FE_FLAG"] == PRIOR_DOMINATED)
    assert np.isfinite(table["C_FE_P50"]).all() and np.isfinite(table["C_FE_UL95"]).all()
    assert np.isfinite(table["TEFF"]).all()
    np.testing.assert_array_equal(table["LABEL_MEAN"], mean)
    found = unpack_covariance(np.array(table["LABEL_COV"]), 5)
    np.testing.assert_allclose(found, covariance, rtol=1e-12)


def test_label_columns_are_the_vectors_in_the_order_of_the_header(make_posterior, make_part):
    table = make_catalogue(make_part(make_posterior(3)))
    covariance = unpack_covariance(np.array(table["LABEL_COV"]), 5)
    for i in range(5):
        name = table.meta[f"LABEL{i + 1:02d}"]
        np.testing.assert_array_equal(table[name], table["LABEL_MEAN"][:, i])
        np.testing.assert_allclose(table[f"{name}_ERR"] ** 2, covariance[:, i, i], rtol=1e-12)
    assert "LABEL06" not in table.meta


def test_unfitted_star_has_no_vectors(make_posterior, unfitted, make_part):
    table = make_catalogue(make_part(unfitted(make_posterior(3), 1)))
    for name in VECTORS:
        assert np.isnan(table[name][1]).all() and np.isfinite(table[name][[0, 2]]).all()


def test_gaussian_prior_can_be_divided_out_of_the_catalogue(
    make_posterior, make_part, make_covariances, tmp_path
):
    """Precisions and weighted means of independent Gaussians add; the likelihood is known here.

    Also of stars whose labels are NaN, because they are prior-dominated or carry LABEL_EDGE.
    """
    rng, count = np.random.default_rng(4), 4
    sd = np.array([60.0, 0.1, 0.05, 0.04, 0.9])  # the spectrum says little of carbon
    likelihood = make_covariances(rng, count, sd)
    result = make_posterior(count)
    prior = make_covariances(rng, count, result.prior_sd[0])
    centre = result.prior_mean + sd * rng.normal(size=(count, 5))
    weight, prior_weight = np.linalg.inv(likelihood), np.linalg.inv(prior)
    covariance = np.linalg.inv(weight + prior_weight)
    pull = weight @ centre[..., None] + prior_weight @ result.prior_mean[..., None]
    combined = replace(
        result, mean=(covariance @ pull)[..., 0], covariance=covariance, prior_covariance=prior
    )
    warn = np.array([0, int(WARN.LABEL_EDGE), 0, 0])
    write_catalogue(make_catalogue(make_part(combined, warn)), tmp_path / "c.fits", {})
    table = read_catalogue(tmp_path / "c.fits")

    assert np.isnan(table["C_FE"]).all() and np.isnan(table["TEFF"][1])
    of_prior, of_both = (
        np.linalg.inv(unpack_covariance(np.array(table[name]), 5))
        for name in ("PRIOR_COV", "LABEL_COV")
    )
    found = np.linalg.inv(of_both - of_prior)
    pull = of_both @ table["LABEL_MEAN"][..., None] - of_prior @ table["PRIOR_MEAN"][..., None]
    unit = sd * sd[:, None]
    np.testing.assert_allclose(found / unit, likelihood / unit, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(((found @ pull)[..., 0] - centre) / sd, 0, atol=1e-8)


def test_packed_covariance_unpacks_to_the_symmetric_covariance(make_posterior, make_part):
    result = make_posterior(4)
    packed = np.array(make_catalogue(make_part(result))["LABEL_COV"])
    assert packed.shape == (4, 15) and packed.dtype == np.float64
    full = unpack_covariance(packed, 5)
    np.testing.assert_array_equal(full, np.swapaxes(full, 1, 2))
    np.testing.assert_allclose(full, result.covariance, rtol=1e-12)
    np.testing.assert_array_equal(pack_covariance(full), packed)
    with pytest.raises(ValueError, match="4 labels has 10 values"):
        unpack_covariance(packed, 4)


def test_fixed_label_keeps_its_value(make_posterior, make_part):
    result = make_posterior(2)
    covariance, prior = result.covariance.copy(), result.prior_covariance.copy()
    covariance[:, 3, :] = covariance[:, :, 3] = 0
    prior[:, 3, 3] = 0
    table = make_catalogue(
        make_part(replace(result, covariance=covariance, prior_covariance=prior))
    )
    np.testing.assert_array_equal(table["MG_FE"], result.mean[:, 3])
    assert np.all(table["MG_FE_ERR"] == 0) and np.all(np.isnan(table["MG_FE_INFO"]))
    assert np.all(table["MG_FE_FLAG"] == 255)


@pytest.mark.parametrize("bit", [bit for bit in WARN if bit & (FATAL | UNTRAINED)])
def test_untrusted_star_has_no_values_but_keeps_its_posterior(make_posterior, make_part, bit):
    table = make_catalogue(make_part(make_posterior(2), np.array([int(bit), 0])))
    assert np.isnan(table["TEFF"][0]) and np.isnan(table["MG_FE"][0])
    assert np.isfinite(table["TEFF_ERR"][0]) and np.isfinite(table["TEFF_P84"][0])
    assert np.isfinite(table["TEFF"][1])
    assert all(np.isfinite(table[name][0]).all() for name in VECTORS)


def test_bits_that_a_run_does_not_call_fatal_leave_the_labels(make_posterior, make_part):
    part = make_part(make_posterior(2), np.array([int(WARN.NOT_STAR), int(WARN.NODATA)]))
    table = make_catalogue(part, fatal=FATAL & ~WARN.NOT_STAR)
    assert np.isfinite(table["TEFF"][0]) and np.isnan(table["TEFF"][1])


def test_quantiles_are_ordered_and_agree_with_numpy(make_posterior, make_part):
    result = make_posterior(2)
    table = make_catalogue(make_part(result))
    expected = np.quantile(result.draws[:, 0, 3], [0.16, 0.5, 0.84, 0.95], method="hazen")
    found = [table[f"MG_FE_{q}"][0] for q in ("P16", "P50", "P84", "UL95")]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


# --- what the model knows of its labels


def test_what_is_detected_outside_the_trained_range_has_no_value(make_posterior, make_part, space):
    result = make_posterior(3)
    draws, mean = result.draws.copy(), result.mean.copy()
    place = result.names.index("mg_fe")
    draws[:, 1, place] += 5.0
    mean[1, place] += 5.0
    before, after = (
        make_catalogue(make_part(r), limits=model_limits(space, {}))
        for r in (result, replace(result, draws=draws, mean=mean))
    )
    assert (before["MG_FE_FLAG"] == DETECTED).all()
    assert after["MG_FE_FLAG"].tolist() == [0, OUT_OF_RANGE, 0]
    assert np.isfinite(after["MG_FE"]).tolist() == [True, False, True]
    assert np.isfinite(after["MG_FE_P50"]).all()
    np.testing.assert_array_equal(after["LABEL_MEAN"], mean)


def test_label_that_depends_on_one_outside_its_range_has_no_value(
    make_posterior, make_part, space
):
    """[C/Fe] of the best fit is beyond the range; of two stars, one has [Mg/Fe] correlated."""
    result = make_posterior(2)
    covariance, mode = result.covariance.copy(), result.mean.copy()
    sd = result.sd[0]
    covariance[:] = np.diag(sd**2)
    covariance[0, 3, 4] = covariance[0, 4, 3] = 0.9 * sd[3] * sd[4]
    mode[:, 4] = space.high[4] + 2 * sd[4]
    changed = replace(result, covariance=covariance, mode=mode)
    table = make_catalogue(make_part(changed), limits=model_limits(space, {}))
    assert table["MG_FE_FLAG"].tolist() == [OUT_OF_RANGE, DETECTED]
    assert np.isfinite(table["FEH"]).all() and np.isfinite(table["TEFF"]).all()


def test_label_without_information_among_stars_has_no_value(make_posterior, make_part, space):
    """[Mg/Fe] of stars scatters by 0.12: an error of the model of 0.15 leaves nothing."""
    error = {"labels": list(space.names), "all": [0.0, 0.0, 0.0, 0.15, 0.0]}
    for card, flag in (({}, DETECTED), ({"mismatch": {"label_error": error}}, PRIOR_DOMINATED)):
        table = make_catalogue(make_part(make_posterior(2)), limits=model_limits(space, card))
        assert table["MG_FE_FLAG"].tolist() == [flag] * 2
        assert np.isfinite(table["MG_FE"]).all() == (flag == DETECTED)
        assert np.isfinite(table["MG_FE_P50"]).all() and np.isfinite(table["FEH"]).all()


def test_errors_of_network_and_physics_are_added_in_quadrature(space):
    """Of kinds of stars without a measurement, that of all stars counts."""
    network = {"labels": list(space.names), "teff_above_4700": [30.0, 0.3, 0.3, 0.3, 0.3]}
    physics = {"labels": list(space.names), "all": [40.0] * 5, "feh_above_0": [0.4] * 5}
    card = {"validation": {"label_error": network}, "mismatch": {"label_error": physics}}
    labels = np.array([[5000.0, 4, -0.5, 0, 0], [5000.0, 4, 0.2, 0, 0], [4200.0, 2, 0.2, 0, 0]])
    found = model_limits(space, card).label_error(labels)
    np.testing.assert_allclose(found[0], np.hypot([30, 0.3, 0.3, 0.3, 0.3], 40.0))
    np.testing.assert_allclose(found[1], np.hypot([30, 0.3, 0.3, 0.3, 0.3], 0.4))
    np.testing.assert_allclose(found[2], 0.4)
    assert np.isnan(model_limits(space, card).label_error(labels * np.nan)).all()


def test_error_of_the_model_is_that_of_the_worst_kind_a_star_is_of(space):
    told = {
        "labels": list(space.names),
        "stars": 10,
        "all": [9.0] * 5,
        "feh_-1_to_0": [10.0, 0.1, 0.1, 0.1, 0.1],
        "feh_below_-2": [50.0, 0.5, 0.5, 0.5, 0.5],
        "teff_above_4700": [20.0, 0.05, 0.05, 0.2, 0.05],
    }
    limits = model_limits(space, {"validation": {"label_error": told}})
    labels = np.array(
        [[5000.0, 4, -0.5, 0, 0], [5000.0, 4, -2.5, 0, 0], [4200.0, 2, 0.2, 0, 0], [np.nan] * 5]
    )
    found = limits.label_error(labels)
    np.testing.assert_allclose(found[0], [20.0, 0.1, 0.1, 0.2, 0.1])
    np.testing.assert_allclose(found[1], [50.0, 0.5, 0.5, 0.5, 0.5])
    assert np.isnan(found[2:]).all()
    other = {"validation": {"label_error": told | {"labels": list(space.names[::-1])}}}
    assert np.isnan(model_limits(space, other).label_error(labels)).all()


@pytest.mark.parametrize("name", list(SURVEYS))
def test_calibration_of_the_survey_is_part_of_the_velocity_s_error(
    make_posterior, make_part, name
):
    """In quadrature, once, and not in the velocity itself; the posterior's error is 1 km/s."""
    part = replace(make_part(make_posterior(3)), survey=name)
    table = make_catalogue(part)
    floor = SURVEYS[name].vrad_floor
    np.testing.assert_allclose(table["VRAD_ERR"], np.hypot(1.0, floor), rtol=1e-6)
    np.testing.assert_allclose(table["VRAD_FIT"], part.vrad + 0.5, rtol=1e-6)
    assert "calibration floor" in table["VRAD_ERR"].description
