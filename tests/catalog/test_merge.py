"""From posteriors to the file: what Astropy reads back is what the fit found, column by column."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from bayes_ddp.catalog.fits import write_catalogue
from bayes_ddp.emulator.limits import model_limits
from bayes_ddp.inference.parts import Part, write_part
from bayes_ddp.inference.posterior import Posterior
from bayes_ddp.labels import LabelSpace
from bayes_ddp.pipeline.merge import merge
from bayes_ddp.spectra.surveys import find_survey

STARS, CUT = 5, 2
ERROR = np.array([30.0, 0.04, 0.03, 0.02, 0.05])
"""Of the model, in the order of the labels."""


@pytest.fixture(scope="module")
def posterior(make_posterior: Callable[..., Posterior]) -> Posterior:
    """Stars of which no two numbers are the same."""
    plain, rng = make_posterior(STARS), np.random.default_rng(7)
    return replace(
        plain,
        velocity=rng.uniform(1, 5, (STARS, 2)),
        lsf=rng.uniform(0.9, 1.1, (STARS, 2)),
        chi2=rng.uniform(30, 50, STARS),
        pixels=40 + np.arange(STARS),
    )


@pytest.fixture(scope="module")
def part(posterior: Posterior, make_part: Callable[..., Part]) -> Part:
    plain, snr = make_part(posterior), np.random.default_rng(8).uniform(10, 90, (STARS, 2))
    columns = plain.columns | {"SPECID": np.array([f"star {i}" for i in range(STARS)])}
    return replace(plain, snr=snr, key="SPECID", columns=columns)


@pytest.fixture(scope="module")
def table(
    part: Part, space: LabelSpace, tmp_path_factory: pytest.TempPathFactory
) -> fits.FITS_rec:
    """The catalogue of two parts as Astropy reads it, not our reader."""
    folder, paths = tmp_path_factory.mktemp("parts"), []
    for rows in (np.arange(CUT), np.arange(CUT, STARS)):
        paths.append(folder / f"part-{rows[0]}.nc")
        write_part(paths[-1], _rows(part, rows), draws=100)
    told = {"labels": list(space.names), "teff_above_4700": ERROR.tolist()}
    limits = model_limits(space, {"validation": {"label_error": told}})
    catalogue, cards = merge(paths, limits=limits)
    write_catalogue(catalogue, folder / "catalogue.fits", cards)
    return fits.getdata(folder / "catalogue.fits", 1)


def _rows(part: Part, rows: np.ndarray) -> Part:
    names = ("vrad", "vrad_err", "ebv", "snr")
    taken = {name: getattr(part, name)[rows] for name in names}
    columns = {name: values[rows] for name, values in part.columns.items()}
    return replace(part, columns=columns, posterior=part.posterior.take(rows), **taken)


def test_rows_are_those_of_the_parts_in_order(table: fits.FITS_rec, part: Part) -> None:
    for name in ("SPECID", "TARGETID", "TARGET_RA"):
        np.testing.assert_array_equal(table[name], part.columns[name])
    np.testing.assert_array_equal(table["VRAD_IN"], part.vrad)


def test_fitted_velocity_is_that_of_the_input_and_what_the_fit_adds(
    table: fits.FITS_rec, part: Part, posterior: Posterior
) -> None:
    np.testing.assert_allclose(table["VRAD_FIT"] - part.vrad, posterior.velocity[:, 0], rtol=1e-9)
    floor = find_survey(part.survey).vrad_floor
    np.testing.assert_allclose(table["VRAD_ERR"], np.hypot(posterior.velocity[:, 1], floor))


def test_each_arm_has_its_own_lsf_factor_and_signal_to_noise(
    table: fits.FITS_rec, part: Part, posterior: Posterior
) -> None:
    for i, arm in enumerate(posterior.arms):
        np.testing.assert_allclose(table[f"LSF_{arm.upper()}"], posterior.lsf[:, i])
        np.testing.assert_allclose(table[f"SNR_{arm.upper()}"], part.snr[:, i])


def test_chi2_is_per_pixel_of_the_fit(table: fits.FITS_rec, posterior: Posterior) -> None:
    np.testing.assert_array_equal(table["NPIX"], posterior.pixels)
    np.testing.assert_allclose(table["CHI2_RED"], posterior.chi2 / posterior.pixels)


@pytest.mark.parametrize(
    ("column", "field"), [("LABEL_COV", "covariance"), ("PRIOR_COV", "prior_covariance")]
)
def test_covariances_are_packed_row_by_row_up_to_the_diagonal(
    table: fits.FITS_rec, posterior: Posterior, column: str, field: str
) -> None:
    full, at = getattr(posterior, field), 0
    for i in range(5):
        for j in range(i + 1):
            np.testing.assert_allclose(table[column][:, at], full[:, i, j], err_msg=f"{i} {j}")
            at += 1
    assert table[column].shape == (STARS, at)


def test_errors_of_the_model_are_those_of_its_card(
    table: fits.FITS_rec, posterior: Posterior
) -> None:
    """Of the labels that the card tells for stars of this kind."""
    kind = posterior.mean[:, 0] >= 4700
    assert kind.any()
    for name, error in zip(posterior.names, ERROR, strict=True):
        found = table[f"{name.upper()}_SYS"]
        np.testing.assert_allclose(found[kind], error, rtol=1e-6)
        assert np.isnan(found[~kind]).all()
