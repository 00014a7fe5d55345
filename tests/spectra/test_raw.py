"""Records of spectra are shown in a line or two, however many spectra they hold."""

import numpy as np

from bayes_ddp.spectra.raw import RawSpectra

WAVE = np.r_[np.arange(4000.0, 4500.0), np.arange(4600.0, 5000.0)]


def make(stars: int) -> RawSpectra:
    vrad = np.arange(float(stars))
    vrad[:1] = np.nan
    return RawSpectra.from_arrays(WAVE, np.ones((stars, WAVE.size)), fwhm=2.0, vrad=vrad)


def test_text_is_short_and_has_survey_number_arms_and_velocities() -> None:
    assert repr(make(3)) == (
        "<RawSpectra of table: 3 spectra, 2 with a velocity; arms A1 4000-4499 Å, A2 4600-4999 Å>"
    )
    assert "1 spectrum, 0 with" in repr(make(1))
    assert len(repr(make(2000))) < 100


def test_table_for_notebooks_has_a_row_per_arm() -> None:
    text = make(3)._repr_html_()
    assert text.count("<tr>") == 5
    assert "<th>arm A2</th><td>4600-4999 Å, 400 pixels</td>" in text
    assert "<td>3 spectra</td>" in text
