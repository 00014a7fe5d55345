"""A measured mismatch, from the folder of a model to the noise of a star's pixels."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np
import pytest

from bayes_ddp.emulator.card import load_emulator, write_model
from bayes_ddp.emulator.error import write_mismatch
from bayes_ddp.inference.fit import problem_of
from bayes_ddp.inference.problem import Nuisance, load_stars
from bayes_ddp.spectra.raw import RawArm, RawSpectra
from bayes_ddp.spectra.spectrum import Spectrum


@pytest.fixture
def raw(blank_spectrum: Callable[..., Spectrum]) -> RawSpectra:
    """One star of the small survey as a reader gives it."""
    one = blank_spectrum(1)
    arms = (
        RawArm(name, one.wave[a:b], one.flux[:, a:b], one.ivar[:, a:b], one.fwhm[:, a:b])
        for name, a, b in one.arms
    )
    return RawSpectra(
        survey=one.survey,
        arms=tuple(arms),
        vrad=one.vrad,
        vrad_err=one.vrad_err,
        ebv=np.zeros(1),
        warn=np.zeros(1, np.int64),
        key=("TARGETID",),
        columns={"TARGETID": np.zeros(1, np.int64)},
    )


def test_mismatch_of_the_model_is_part_of_the_noise_where_the_run_asks_for_it(
    survey: Any,
    desi_card: dict[str, Any],
    raw: RawSpectra,
    blank_spectrum: Callable[..., Spectrum],
    tmp_path: Path,
) -> None:
    """A model without an error of its own: the variance is that of S/N 100 and the mismatch's."""
    exact = eqx.tree_at(lambda e: e.error, survey.emulator, np.zeros_like(survey.emulator.error))
    write_model(tmp_path, exact, desi_card)
    wave = np.asarray(exact.wave)
    mismatch = np.linspace(0.005, 0.03, len(wave))
    write_mismatch(tmp_path, mismatch, {})
    problem = problem_of(raw, load_emulator(tmp_path), nuisance=Nuisance(mismatch=True))
    spectrum = blank_spectrum(1)
    variance = 1 / np.asarray(load_stars(problem, spectrum).precision[0], float)
    expected = 1e-4 + np.interp(spectrum.wave, wave, mismatch) ** 2
    np.testing.assert_allclose(variance, expected, rtol=1e-3)
