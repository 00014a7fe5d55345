"""The templates that a fit starts from: in the right valley, whatever velocity, noise or gaps."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import numpy as np

from bayes_ddp.inference.problem import load_stars
from bayes_ddp.inference.templates import best_template
from bayes_ddp.spectra.masks import rest_continuum_weight
from bayes_ddp.spectra.spectrum import Spectrum

Blank = Callable[..., Spectrum]


def starts(survey: Any, spectrum: Spectrum) -> dict[str, np.ndarray]:
    """Label -> [star] of the best template."""
    problem = survey.problem
    found = np.asarray(
        best_template(problem.shape, load_stars(problem, spectrum), problem.templates)
    )
    return {n: found[:, i] for i, n in enumerate(problem.prior.space.names)}


def stars(survey: Any) -> np.ndarray:
    rng = np.random.default_rng(9)
    teff, feh = rng.uniform(4500, 6800, 64), rng.uniform(-1.5, 0.2, 64)
    logg = np.where(teff < 5200, rng.uniform(2, 3, 64), rng.uniform(3.8, 4.6, 64))
    return survey.typical(teff, logg, feh)


def balmer_excluded(spectrum: Spectrum) -> Spectrum:
    """The same pixels, with the weights of the pseudo-continuum that ``prepare`` gives at rest."""
    weight = rest_continuum_weight(np.asarray(spectrum.wave)).astype(np.float32)
    weight = np.broadcast_to(weight, spectrum.weight.shape)
    return eqx.tree_at(lambda s: s.weight, spectrum, weight)


def test_start_is_near_the_star(survey: Any, blank_spectrum: Blank) -> None:
    """Noise-free, 1,300 Å: within 700 K, 0.7 dex in [Fe/H], 1.5 dex in log g.

    (Fits of the same stars all end at the truth: see test_optimise.)
    """
    truth = stars(survey)
    found = starts(survey, survey.paint(truth, balmer_excluded(blank_spectrum())))
    assert np.abs(found["teff"] - truth[:, 0]).max() < 700
    assert np.abs(found["feh"] - truth[:, 3]).max() < 0.7
    assert np.abs(found["logg"] - truth[:, 1]).max() < 1.5


def test_start_does_not_depend_on_velocity_or_a_few_bad_pixels(
    survey: Any, blank_spectrum: Blank
) -> None:
    truth = stars(survey)
    still = starts(survey, survey.paint(truth, blank_spectrum()))
    moving = survey.paint(truth, blank_spectrum(vrad=np.linspace(-500, 500, 64)), 3)
    bad = np.random.default_rng(1).random(moving.flux.shape) < 0.02
    moving = eqx.tree_at(
        lambda s: (s.flux, s.ivar),
        moving,
        (np.where(bad, 50, moving.flux), np.where(bad, 0, moving.ivar)),
    )
    found = starts(survey, moving)
    assert (np.abs(found["teff"] - still["teff"]) < 400).mean() > 0.9


def test_templates_lie_inside_the_trained_region(survey: Any) -> None:
    labels, space = np.asarray(survey.problem.templates.labels), survey.prior.space
    assert len(labels) >= 200
    assert (labels > space.low).all()
    assert (labels < space.high).all()
    assert np.ptp(labels[:, 0]) > 0.8 * space.span[0]
    assert np.ptp(labels[:, 3]) > 0.8 * space.span[3]
