"""The choice of spectra by target and by signal-to-noise ratio."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bayes_ddp.spectra.desi.read import read_desi
from bayes_ddp.spectra.expose import Coadd
from bayes_ddp.spectra.lamost import read_lamost
from bayes_ddp.spectra.raw import RawSpectra
from bayes_ddp.spectra.select import arm_snr, between, check_selected, red_snr, select


@pytest.fixture(scope="module")
def raw(coadd_files: tuple[Path, Path]) -> RawSpectra:
    return read_desi([coadd_files[0]], coadd_files[1])


def test_measured_ratio_is_the_one_that_was_simulated(raw: RawSpectra, coadd: Coadd) -> None:
    np.testing.assert_allclose(red_snr(raw), coadd.snr, rtol=0.05)


def test_ratio_of_the_survey_goes_before_the_measured_one(raw: RawSpectra) -> None:
    told = np.where(np.arange(8) == 3, 7.0, np.nan)
    snr = red_snr(replace(raw, columns=raw.columns | {"SN_R": told}))
    assert snr[3] == 7.0
    np.testing.assert_array_equal(np.delete(snr, 3), np.delete(arm_snr(raw)["R"], 3))


def test_survey_without_an_arm_r_is_judged_by_its_reddest(raw: RawSpectra) -> None:
    other = replace(raw, arms=(raw.arms[0], raw.arms[2]))
    np.testing.assert_array_equal(red_snr(other), arm_snr(raw)["Z"])


def test_only_spectra_above_the_limit_stay_in_their_order(raw: RawSpectra) -> None:
    limit = np.median(red_snr(raw))
    left, counts = select(raw, minsn=limit)
    kept = [n for n, s in zip(raw.identifiers(), red_snr(raw), strict=True) if s >= limit]
    assert left.identifiers() == kept
    assert counts[:3] == (8, 8, 4) and counts.best == pytest.approx(red_snr(raw).max())
    assert len(left) == 4 and len(select(raw, minsn=0.0)[0]) == 8


def test_spectrum_without_a_pixel_is_below_any_limit(raw: RawSpectra) -> None:
    arms = tuple(replace(arm, ivar=np.zeros_like(arm.ivar)) for arm in raw.arms)
    dark = replace(raw, arms=arms)
    assert len(select(dark)[0]) == 8
    counts = [select(dark, minsn=0.0)[1]]
    with pytest.raises(ValueError, match=r"reaches S/N 0 .*best of 8 is unknown"):
        check_selected(counts, minsn=0.0)


def test_nothing_left_is_one_sentence(raw: RawSpectra) -> None:
    """The counts of all tasks of a run decide: one task without a star is no error."""
    some, none = select(raw, minsn=0.0)[1], select(raw, minsn=1e6)[1]
    check_selected([some, none], minsn=1e6)
    with pytest.raises(ValueError, match=r"minsn: no spectrum reaches S/N 1e\+06 per pixel in R"):
        check_selected([none], minsn=1e6)
    asked = (1, 2, 3, 4)
    counts = [select(raw, targetid=asked)[1]] * 2
    with pytest.raises(
        ValueError, match=r"none of \[1, 2, 3\] and 1 more is among the 16 spectra"
    ):
        check_selected(counts, targetid=asked)


def test_targets_are_chosen_with_all_their_bits(raw: RawSpectra) -> None:
    targets = raw.columns["TARGETID"]
    left, _ = select(raw, targetid=[int(targets[6]), int(targets[1]), 5])
    assert left.columns["TARGETID"].tolist() == targets[[1, 6]].tolist()


def test_lamost_is_judged_by_its_header_and_has_no_targetid(data: Path) -> None:
    stars = read_lamost(sorted((data / "lamost_dr1").glob("spec-*.fits"))[:20])
    limit = float(np.nanmedian(stars.columns["SN_R"]))
    assert 0 < len(select(stars, minsn=limit)[0]) < 20
    with pytest.raises(ValueError, match="spectra of lamost have no TARGETID"):
        select(stars, targetid=[1])


def test_only_pixels_between_two_wavelengths_are_kept(raw: RawSpectra) -> None:
    cut = between(raw, (4400.0, 7000.0))
    for arm, before in zip(cut.arms, raw.arms, strict=True):
        inside = (arm.wave >= 4400) & (arm.wave <= 7000)
        np.testing.assert_array_equal(arm.ivar[:, inside], before.ivar[:, inside])
        assert not arm.ivar[:, ~inside].any() and arm.ivar.dtype == before.ivar.dtype
    for nowhere in ((100.0, 200.0), (7000.0, 4400.0)):
        with pytest.raises(ValueError, match=r"\[input\] wave: no pixel lies between"):
            between(raw, nowhere)
