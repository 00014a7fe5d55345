"""The catalogue: a row for every star, honest NaN, and a file that says what is in it."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.io.votable.ucd import parse_ucd
from astropy.table import Table, vstack
from hypothesis import given
from hypothesis import strategies as st

from bayes_ddp.catalog.columns import COLUMNS
from bayes_ddp.catalog.fits import read_catalogue, write_catalogue
from bayes_ddp.catalog.flags import (
    DETECTED,
    NOT_FITTED,
    OUT_OF_RANGE,
    PRIOR_DOMINATED,
    UPPER_LIMIT,
    label_flags,
)
from bayes_ddp.catalog.table import make_catalogue, unpack_covariance
from bayes_ddp.emulator.limits import model_limits
from bayes_ddp.flags import FATAL, WARN, describe
from bayes_ddp.inference.checks import chi2_warning, edge_warning, velocity_warning
from bayes_ddp.inference.posterior import Posterior
from bayes_ddp.labels import LABELS, LabelSpace, label
from bayes_ddp.spectra.raw import RawArm, RawSpectra

NAMES = ("teff", "logg", "feh", "mg_fe", "c_fe")
SNR = {"b": np.full(3, 20.0), "r": np.full(3, 30.0)}
PROVENANCE = {
    "BDDPVER": "0.1.0",
    "EMUSHA": "a" * 64,
    "SEED": 7,
    "CALSCALE": "LTE-1D uncalibrated",
    "NOTE": "words that go on " * 8 + "to the end",
}


def spectra(count: int) -> RawSpectra:
    wave = np.linspace(4000, 4100, 20)
    ones = np.ones((count, len(wave)))
    return RawSpectra(
        survey="desi",
        arms=(RawArm("b", wave, ones, ones, ones), RawArm("r", wave + 200, ones, ones, ones)),
        vrad=np.linspace(-100, 100, count),
        vrad_err=np.ones(count),
        ebv=np.full(count, 0.1),
        warn=np.zeros(count, np.int64),
        key=("TARGETID",),
        columns={
            "TARGETID": 2**60 + np.arange(count),
            "SURVEY": np.full(count, "sv1"),
            "TARGET_RA": np.linspace(0, 300, count),
            "OWN": np.full(count, "Å"),
            "TEFF": np.full(count, 5000.0, np.float32),
            "GOOD": np.arange(count) % 2 == 0,
        },
    )


def posterior(count: int, *, seed: int = 1, sampled: bool = False) -> Posterior:
    """Well measured stars: the posterior is five times narrower than the prior."""
    rng = np.random.default_rng(seed)
    size = len(NAMES)
    prior_sd = np.array([400.0, 0.5, 0.5, 0.2, 0.3])
    prior_mean = np.array([5500.0, 4.0, -0.5, 0.1, 0.0])
    factor = rng.normal(size=(count, size, 3 * size))
    shape = np.einsum("sik,sjk->sij", factor, factor)
    unit = np.sqrt(np.diagonal(shape, axis1=1, axis2=2))
    scale = 0.2 * prior_sd / unit
    covariance = shape * scale[:, :, None] * scale[:, None, :]
    mean = prior_mean + 0.5 * prior_sd * rng.normal(size=(count, size)).clip(-2, 2)
    draws = np.stack(
        [rng.multivariate_normal(m, c, 400) for m, c in zip(mean, covariance, strict=True)], 1
    )
    extra = {
        "rhat": rng.uniform(1, 1.02, (count, size)),
        "ess": rng.uniform(400, 900, (count, size)),
        "khat": rng.uniform(0, 0.5, count),
    }
    return Posterior(
        names=NAMES,
        draws=draws,
        log_weight=np.zeros(draws.shape[:2]),
        mean=mean,
        covariance=covariance,
        prior_mean=np.tile(prior_mean, (count, 1)),
        prior_sd=np.tile(prior_sd, (count, 1)),
        chi2=np.full(count, 40.0),
        pixels=np.full(count, 40),
        velocity=np.stack([np.full(count, 0.5), np.full(count, 1.0)], axis=1),
        lsf=np.ones((count, 2)),
        warn=np.zeros(count, np.int64),
        diagnostics=extra | {"divergences": np.zeros(count, np.int32)} if sampled else {},
    )


def without(result: Posterior, star: int) -> Posterior:
    """The same record with one star that was not fitted."""
    changed = {}
    for name in ("mean", "covariance", "prior_mean", "prior_sd", "chi2", "velocity", "lsf"):
        changed[name] = getattr(result, name).copy()
        changed[name][star] = np.nan
    draws, pixels = result.draws.copy(), result.pixels.copy()
    draws[:, star], pixels[star] = np.nan, 0
    return replace(result, draws=draws, pixels=pixels, **changed)


def table_of(result: Posterior, warn: np.ndarray | None = None) -> Table:
    count = len(result)
    snr = {arm: values[:1].repeat(count) for arm, values in SNR.items()}
    warn = np.zeros(count, np.int64) if warn is None else warn
    return make_catalogue(spectra(count), result, snr, warn)


def one_label(mean: float, sd: float, name: str = "mg_fe", prior: float = 0.2) -> Posterior:
    """One star, one label, prior N(0, 0.2)."""
    return Posterior(
        names=(name,),
        draws=np.linspace(mean - 2 * sd, mean + 2 * sd, 50)[:, None, None],
        log_weight=np.zeros((50, 1)),
        mean=np.array([[mean]]),
        covariance=np.array([[[sd**2]]]),
        prior_mean=np.array([[0.0]]),
        prior_sd=np.array([[prior]]),
        chi2=np.array([1.0]),
        pixels=np.array([1]),
        velocity=np.zeros((1, 2)),
        lsf=np.ones((1, 2)),
        warn=np.zeros(1, np.int64),
    )


def combined(centre: float, sd: float) -> Posterior:
    """What the prior N(0, 0.2) becomes with a measurement ``centre +- sd``."""
    weight = 1 / sd**2 + 1 / 0.2**2
    return one_label(centre / sd**2 / weight, weight**-0.5)


def test_every_input_spectrum_has_one_row_in_the_order_of_the_input():
    result = without(posterior(6), 3)
    warn = np.where(np.arange(6) == 3, int(WARN.NODATA), 0)
    table = table_of(result, warn)
    assert list(table["TARGETID"]) == [2**60 + i for i in range(6)]
    assert np.isnan(table["TEFF"][3]) and np.isnan(table["TEFF_ERR"][3])
    assert table["MG_FE_FLAG"][3] == NOT_FITTED and table["NPIX"][3] == 0
    assert np.isfinite(np.delete(np.array(table["TEFF_ERR"]), 3)).all()
    assert table["WARN"][3] == WARN.NODATA


def test_identifiers_come_first_and_a_name_of_ours_is_kept_for_us():
    table = table_of(posterior(3))
    given = ["TARGETID", "SURVEY", "TARGET_RA", "OWN", "TEFF_IN", "GOOD"]
    assert table.colnames[:7] == [*given, "TEFF"]
    assert np.all(table["TEFF_IN"] == 5000) and not np.any(table["TEFF"] == 5000)


@pytest.mark.parametrize("sampled", [False, True])
def test_catalogue_survives_a_round_trip_through_fits(tmp_path, sampled):
    result = without(posterior(5, sampled=sampled), 2)
    table = table_of(result, np.full(5, int(WARN.POOR_CHI2)))
    write_catalogue(table, tmp_path / "c.fits", PROVENANCE)
    back = read_catalogue(tmp_path / "c.fits")

    assert back.colnames == table.colnames
    assert ("RHAT_MAX" in back.colnames) == sampled
    for name in table.colnames:
        ours, theirs = table[name], back[name]
        if name != "OWN":
            np.testing.assert_array_equal(ours, theirs)
            assert ours.dtype.kind == theirs.dtype.kind and theirs.dtype.isnative
        assert (ours.unit, ours.description, ours.meta) == (
            theirs.unit, theirs.description, theirs.meta
        )  # fmt: skip
    assert list(back["OWN"]) == ["?"] * 5  # FITS holds ASCII
    assert not back.has_masked_columns
    for key, value in PROVENANCE.items():
        assert back.meta[key] == value
    names = [back.meta[f"LABEL{i:02d}"] for i in range(1, len(NAMES) + 1)]
    assert names == [label(n).column for n in NAMES]


def test_header_spells_out_units_ucds_and_warning_bits(tmp_path):
    write_catalogue(table_of(posterior(2)), tmp_path / "c.fits", PROVENANCE)
    with fits.open(tmp_path / "c.fits", checksum=True) as hdus:
        header = hdus["CATALOGUE"].header
    number = next(k[5:] for k in header["TTYPE*"] if header[k] == "TEFF_ERR")
    assert header[f"TUNIT{number}"] == "K"
    assert header[f"TUCD{number}"] == "stat.stdev;phys.temperature.effective"
    assert header[f"TCOMM{number}"] == "standard deviation"
    for name, bit, text in describe():
        assert header[f"WARNB{bit:02d}"] == f"{name} {text}"
    assert "DATE" not in header and not any("HIERARCH" in str(c) for c in header.cards)


def test_rewriting_gives_identical_bytes(tmp_path):
    for name in ("a.fits", "b.fits"):
        write_catalogue(table_of(posterior(4)), tmp_path / name, PROVENANCE)
    assert (tmp_path / "a.fits").read_bytes() == (tmp_path / "b.fits").read_bytes()
    again = read_catalogue(tmp_path / "a.fits")
    write_catalogue(again, tmp_path / "b.fits", {})
    assert (tmp_path / "a.fits").read_bytes() == (tmp_path / "b.fits").read_bytes()


def test_chunks_stack_to_the_catalogue_of_all_stars():
    result = posterior(7)
    whole = table_of(result)
    parts = [table_of(result.take(np.arange(a, b))) for a, b in ((0, 3), (3, 7))]
    stacked = vstack(parts, metadata_conflicts="silent")
    assert not stacked.has_masked_columns
    np.testing.assert_array_equal(stacked["LABEL_COV"], whole["LABEL_COV"])
    assert stacked["TEFF"].meta == whole["TEFF"].meta


def test_keyword_that_fits_does_not_have_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'emulator_sha256' is no FITS keyword"):
        write_catalogue(table_of(posterior(2)), tmp_path / "c.fits", {"emulator_sha256": "a"})
    assert not list(tmp_path.iterdir())


def test_file_without_a_catalogue_is_refused(tmp_path):
    fits.BinTableHDU(np.zeros(2, [("A", "f8")]), name="OTHER").writeto(tmp_path / "c.fits")
    with pytest.raises(ValueError, match="no extension CATALOGUE"):
        read_catalogue(tmp_path / "c.fits")


def test_unlike_spectra_and_posteriors_are_refused():
    snr = {"b": np.zeros(3), "r": np.zeros(3)}
    with pytest.raises(ValueError, match="3 spectra, 4 posteriors"):
        make_catalogue(spectra(3), posterior(4), snr, np.zeros(3, np.int64))


def test_every_column_has_values_a_short_description_and_a_valid_ucd():
    table = table_of(posterior(2, sampled=True))
    made = {
        name for name in table.colnames if name not in spectra(1).columns and name != "TEFF_IN"
    }
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
        assert len(row.description) <= 68, row
        parse_ucd(row.ucd, check_controlled_vocabulary=True)


@pytest.mark.parametrize(
    ("result", "flag"),
    [
        (combined(0.0, 0.02), DETECTED),
        (combined(-0.5, 0.15), DETECTED),  # low, but its lines are seen
        (combined(-0.5, 0.3), UPPER_LIMIT),
        (combined(0.0, 2.0), PRIOR_DOMINATED),
        (combined(0.5, 0.3), PRIOR_DOMINATED),  # a lower limit has no flag of its own
        (one_label(0.0, 0.21), PRIOR_DOMINATED),  # chains can be wider than the prior
        (one_label(0.1, 0.0, prior=0.0), NOT_FITTED),
        (one_label(np.nan, np.nan), NOT_FITTED),
    ],
)
def test_flag_says_what_the_spectrum_excludes(result, flag):
    assert label_flags(result)[1][0, 0] == flag


@given(centre=st.floats(-3, 3), sd=st.floats(0.005, 3))
def test_flag_agrees_with_the_likelihood_that_made_the_posterior(centre, sd):
    """The likelihood is known here, and not taken from the posterior."""
    lines, high = 1 / (np.log(10) * sd), (0.4 - centre) / sd
    if min(abs(lines - 2), abs(abs(high) - 2), abs(sd / 0.2 - 1)) < 1e-6:
        return  # on a boundary rounding decides
    if lines > 2 and sd < 0.2:
        expected = DETECTED
    else:
        expected = UPPER_LIMIT if high > 2 and lines <= 2 else PRIOR_DOMINATED
    assert label_flags(combined(centre, sd))[1][0, 0] == expected


def test_temperature_is_detected_by_information_alone():
    low = replace(combined(-0.5, 0.15), names=("feh",))
    assert label_flags(low)[1][0, 0] == DETECTED


def test_information_is_one_minus_the_ratio_of_variances():
    result = posterior(3)
    table = table_of(result)
    for i, name in enumerate(NAMES):
        expected = 1 - (result.sd[:, i] / result.prior_sd[:, i]) ** 2
        np.testing.assert_array_equal(table[f"{label(name).column}_INFO"], expected)


def test_prior_dominated_label_has_an_error_but_no_value():
    result = posterior(3)
    covariance = result.covariance.copy()
    covariance[:, 4, :] = covariance[:, :, 4] = 0
    covariance[:, 4, 4] = 0.29**2
    mean = result.mean.copy()
    mean[:, 4] = 0.01
    table = table_of(replace(result, mean=mean, covariance=covariance))
    assert np.all(np.isnan(table["C_FE"])) and np.allclose(table["C_FE_ERR"], 0.29)
    assert np.all(table["C_FE_FLAG"] == PRIOR_DOMINATED)
    assert np.isfinite(table["C_FE_P50"]).all() and np.isfinite(table["C_FE_UL95"]).all()
    assert np.isfinite(table["TEFF"]).all()


def test_fixed_label_keeps_its_value():
    result = posterior(2)
    covariance, prior_sd = result.covariance.copy(), result.prior_sd.copy()
    covariance[:, 3, :] = covariance[:, :, 3] = 0
    prior_sd[:, 3] = 0
    table = table_of(replace(result, covariance=covariance, prior_sd=prior_sd))
    np.testing.assert_array_equal(table["MG_FE"], result.mean[:, 3])
    assert np.all(table["MG_FE_ERR"] == 0) and np.all(np.isnan(table["MG_FE_INFO"]))
    assert np.all(table["MG_FE_FLAG"] == 255)


@pytest.mark.parametrize("bit", [*(bit for bit in WARN if bit & FATAL), WARN.LABEL_EDGE])
def test_untrusted_star_has_no_values_but_keeps_its_posterior(bit):
    table = table_of(posterior(2), np.array([int(bit), 0]))
    assert np.isnan(table["TEFF"][0]) and np.isnan(table["MG_FE"][0])
    assert np.isfinite(table["TEFF_ERR"][0]) and np.isfinite(table["TEFF_P84"][0])
    assert np.isfinite(table["TEFF"][1])


def test_quantiles_are_ordered_and_agree_with_numpy():
    result = posterior(2)
    table = table_of(result)
    expected = np.quantile(result.draws[:, 0, 3], [0.16, 0.5, 0.84, 0.95], method="hazen")
    found = [table[f"MG_FE_{q}"][0] for q in ("P16", "P50", "P84", "UL95")]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_packed_covariance_unpacks_to_the_symmetric_covariance():
    result = posterior(4)
    packed = np.array(table_of(result)["LABEL_COV"])
    assert packed.shape == (4, 15) and packed.dtype == np.float64
    full = unpack_covariance(packed, 5)
    np.testing.assert_array_equal(full, np.swapaxes(full, 1, 2))
    np.testing.assert_allclose(full, result.covariance, rtol=1e-12)
    with pytest.raises(ValueError, match="4 labels has 10 values"):
        unpack_covariance(packed, 4)


def test_edge_warning_counts_weighted_draws_outside_of_the_trained_range():
    result = posterior(2)
    draws = np.zeros((100, 2, 5))
    draws[:4, 0, 0] = 99  # 4 % of the first star, 6 % of the second
    draws[:6, 1, 2] = 99
    draws[:, :, 4] = 99  # an abundance does not count
    space = LabelSpace(NAMES, (-1.0,) * 5, (1.0,) * 5)
    result = replace(result, draws=draws, log_weight=np.zeros((100, 2)))
    assert edge_warning(result, space).tolist() == [0, WARN.LABEL_EDGE]
    hot = int(WARN.LABEL_EDGE | WARN.HOT)
    weight = np.zeros((100, 2))
    weight[:4, 0], weight[:6, 1] = 1.0, -1.0
    turned = edge_warning(replace(result, log_weight=weight), space)
    assert turned.tolist() == [hot, 0] and turned.dtype == np.int64
    assert not edge_warning(without(posterior(1), 0), space).any()


def test_poor_chi2_is_more_than_three_per_pixel():
    result = replace(
        without(posterior(3), 2),
        chi2=np.array([119.0, 121.0, np.nan]),
        pixels=np.array([40, 40, 0]),
    )
    assert chi2_warning(result).tolist() == [0, WARN.POOR_CHI2, 0]


def test_error_of_the_model_can_hide_what_noise_alone_would_detect():
    sharp = combined(0.1, 0.02)
    assert label_flags(sharp, np.array([[np.nan]]))[1][0, 0] == DETECTED
    assert label_flags(sharp, np.array([[0.1]]))[1][0, 0] == DETECTED
    assert label_flags(sharp, np.array([[0.3]]))[1][0, 0] == PRIOR_DOMINATED


@given(centre=st.floats(-3, 3), sd=st.floats(0.01, 3), error=st.floats(0.01, 3))
def test_error_of_the_model_counts_as_noise_of_that_size(centre, sd, error):
    """A likelihood of width sd with a model error beside it has the flag of both together."""
    width = np.hypot(sd, error)
    lines, high = 1 / (np.log(10) * width), (0.4 - centre) / width
    if min(abs(lines - 2), abs(abs(high) - 2), abs(width / 0.2 - 1)) < 1e-6:
        return  # on a boundary rounding decides
    wanted = label_flags(combined(centre, width))[1][0, 0]
    assert label_flags(combined(centre, sd), error)[1][0, 0] == wanted


def test_what_is_detected_outside_the_trained_range_has_no_value():
    space = LabelSpace(NAMES, (4000.0, 0.5, -3.0, -0.5, -1.0), (8000.0, 5.2, 0.5, 1.0, 2.5))
    limits = model_limits(space, {})
    result = posterior(3)
    draws, mean = result.draws.copy(), result.mean.copy()
    place = NAMES.index("mg_fe")
    draws[:, 1, place] += 5.0
    mean[1, place] += 5.0
    before, after = (
        make_catalogue(spectra(3), r, SNR, np.zeros(3, np.int64), model=limits)
        for r in (result, replace(result, draws=draws, mean=mean))
    )
    assert (before["MG_FE_FLAG"] == DETECTED).all()
    assert after["MG_FE_FLAG"].tolist() == [0, OUT_OF_RANGE, 0]
    assert np.isfinite(after["MG_FE"]).tolist() == [True, False, True]
    assert np.isfinite(after["MG_FE_P50"]).all()


def test_error_of_the_model_is_that_of_the_worst_kind_a_star_is_of():
    space = LabelSpace(NAMES, (4000.0, 0.5, -3.0, -0.5, -1.0), (8000.0, 5.2, 0.5, 1.0, 2.5))
    told = {
        "labels": list(NAMES), "stars": 10, "all": [9.0] * 5,
        "feh_-1_to_0": [10.0, 0.1, 0.1, 0.1, 0.1], "feh_below_-2": [50.0, 0.5, 0.5, 0.5, 0.5],
        "teff_above_4700": [20.0, 0.05, 0.05, 0.2, 0.05],
    }  # fmt: skip
    limits = model_limits(space, {"validation": {"label_error": told}})
    labels = np.array(
        [[5000.0, 4, -0.5, 0, 0], [5000.0, 4, -2.5, 0, 0], [4200.0, 2, 0.2, 0, 0], [np.nan] * 5]
    )
    found = limits.label_error(labels)
    np.testing.assert_allclose(found[0], [20.0, 0.1, 0.1, 0.2, 0.1])
    np.testing.assert_allclose(found[1], [50.0, 0.5, 0.5, 0.5, 0.5])
    assert np.isnan(found[2:]).all()
    other = {"validation": {"label_error": told | {"labels": list(NAMES[::-1])}}}
    assert np.isnan(model_limits(space, other).label_error(labels)).all()


def test_velocity_far_from_the_catalogue_s_is_named():
    shift = np.array([[4.9, 1], [-5.1, 1], [100, 9], [np.nan, np.nan]])
    result = replace(posterior(4), velocity=shift)
    warn = velocity_warning(result, np.array([1.0, 1.0, 30.0, 1.0]))
    assert warn.tolist() == [0, WARN.RV_DISAGREES, 0, 0]
