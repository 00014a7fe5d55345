"""``bayes_ddp.plot``: each figure shows the star, the labels and the draws that were asked for."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure

from bayes_ddp.emulator.card import load_emulator
from bayes_ddp.inference.posterior import Posterior, blank
from bayes_ddp.plots import public
from bayes_ddp.plots.figures import title
from bayes_ddp.spectra.desi.read import read_desi
from bayes_ddp.spectra.desi.writer import write_coadd, write_rvs_catalog
from bayes_ddp.spectra.expose import ModelSpectra, Simulation, simulate_coadd

NAMES = ("teff", "logg", "feh", "mg_fe")


def with_information(*information: float) -> Posterior:
    """One star whose labels have this information each, NaN for a label that was fixed."""
    size = len(information)
    variance = np.nan_to_num(1 - np.array(information))
    prior = np.where(np.isfinite(information), 1.0, 0.0)
    drawn = np.random.default_rng(2).normal(size=(500, 1, size)) * np.sqrt(variance)
    return replace(
        blank(NAMES[:size], np.array(["star"]), ("B",), number=500),
        draws=drawn,
        mean=np.zeros((1, size)),
        covariance=np.diag(variance)[None],
        prior_mean=np.zeros((1, size)),
        prior_covariance=np.diag(prior)[None],
    )


@pytest.mark.parametrize(
    ("information", "expected"),
    [
        ((0.9, 0.6, 0.4, 0.51), ("teff", "logg", "mg_fe")),
        ((0.1, 0.3, 0.0, 0.2), ("logg", "mg_fe")),  # at least two
        ((0.9, 0.1, 0.2, 0.0), ("teff", "feh")),
        ((0.9, np.nan, 0.8, np.nan), ("teff", "feh")),
        ((np.nan, 0.9, np.nan, np.nan), ("logg",)),  # no more vary
    ],
)
def test_labels_that_the_spectrum_measures_have_half_of_the_information(information, expected):
    assert public.measured(with_information(*information), 0) == list(expected)


def titles(figure: Figure) -> list[str]:
    """Labels of the lowest row of a corner figure."""
    axes = figure.axes
    return [ax.get_xlabel() for ax in axes[-int(len(axes) ** 0.5) :]]


def test_corner_shows_the_measured_labels_or_those_that_are_named():
    posterior = with_information(0.9, 0.8, 0.1, 0.7)
    shown = titles(public.corner(posterior, 0))
    assert shown == [title(n) for n in ("teff", "logg", "mg_fe")]
    named = titles(public.corner(posterior, 0, labels=["feh", "teff"]))
    assert named == [title("feh"), title("teff")]
    with pytest.raises(ValueError, match=r"\['age'\] are not labels of this posterior"):
        public.corner(posterior, 0, labels=["teff", "age"])


def test_truth_is_marked_at_its_label_in_any_order():
    posterior = with_information(0.9, 0.8, 0.1, 0.7)
    truth = np.array([2.0, -3.0, np.nan, 4.0])
    figure = public.corner(posterior, 0, labels=["mg_fe", "feh", "teff"], truth=truth)
    diagonal = figure.axes[::4]
    marks = [[float(line.get_xdata()[0]) for line in ax.lines] for ax in diagonal]
    assert marks == [[4.0], [], [2.0]]


def test_corner_is_that_of_the_weighted_draws_of_its_star():
    """Draws without weight lie 100 off, those of the other star 1000 off; neither is shown."""
    one = with_information(0.9, 0.8)
    weight = np.zeros((500, 2))
    draws = np.concatenate([one.draws - 1000, one.draws], axis=1)
    draws[250:, 1] += 100
    weight[250:, 1] = -np.inf
    both = replace(one.take([0, 0]), draws=draws, log_weight=weight, ids=np.array(["a", "b"]))
    figure = public.corner(both, 1)
    assert np.abs(figure.axes[0].get_xlim()).max() < 10
    assert both.draws is draws and len(both.draws) == 500


def test_corner_of_a_star_that_was_not_fitted_is_refused():
    with pytest.raises(ValueError, match="needs two labels that vary"):
        public.corner(blank(NAMES, np.array(["star"]), ("B",)), 0)


def test_recovery_has_a_panel_for_each_label():
    posterior = with_information(0.9, 0.8, 0.1, 0.7)
    figure = public.recovery(posterior, np.full((1, 4), -2.0))
    panels = [ax for ax in figure.axes if ax.get_visible()]
    assert [ax.get_xlabel() for ax in panels] == [f"true {title(n)}" for n in NAMES]
    for ax in panels:
        np.testing.assert_array_equal(ax.containers[0].lines[0].get_ydata(), [2.0])


@pytest.fixture(scope="module")
def stars(tmp_path_factory, models):
    """Two spectra of the emulator with noise, the emulator, and a posterior at the truth."""
    folder = tmp_path_factory.mktemp("stars")
    emulator = load_emulator(models / "desi-physics")
    truth = np.array(
        [[5600.0, 4.2, 1.2, -0.5] + [0.05] * 11, [4900.0, 3.0, 1.4, 0.0] + [0.0] * 11]
    )
    flux = np.asarray(jax.lax.map(emulator, jnp.asarray(truth)), float)
    simulation = Simulation(stars=2, snr_low=60, snr_high=90, ebv_max=0.0)
    models_ = ModelSpectra(np.asarray(emulator.wave, float), flux, emulator.fwhm)
    coadd = simulate_coadd(models_, simulation, 5)
    write_coadd(folder / "coadd.fits", coadd)
    write_rvs_catalog(folder / "rvs.fits", coadd)
    spectra = read_desi([folder / "coadd.fits"], folder / "rvs.fits")
    found = replace(
        blank(emulator.space.names, np.array(spectra.identifiers()), ("B", "R", "Z")),
        mean=truth[coadd.source],
        velocity=np.stack([coadd.vrad - coadd.vrad_seen, np.ones(2)], axis=1),
        lsf=np.ones((2, 3)),
    )
    return spectra, emulator, found


def curves(figure: Figure) -> list[np.ndarray]:
    """Residuals [pixel] of each arm, without the gaps."""
    lines = [ax.lines[0].get_ydata() for ax in figure.axes[1::2]]
    return [line[np.isfinite(line)] for line in lines]


def test_fit_shows_the_residuals_of_the_star_that_is_asked_for(stars):
    """Noise of unit variance, 10 % less where the emulator's own error is added to it."""
    spectra, emulator, posterior = stars
    figure = public.fit(spectra, emulator, posterior, star=1)
    assert len(figure.axes) == 6 and figure.axes[0].get_title(loc="left") == posterior.ids[1]
    for residual in curves(figure):
        assert len(residual) > 1000 and 0.6 < residual.std() < 1.1 and abs(residual.mean()) < 0.1
    alone = public.fit(spectra.take([1]), emulator, posterior.take([1]))
    for one, other in zip(curves(figure), curves(alone), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_fit_at_other_labels_leaves_larger_residuals(stars):
    spectra, emulator, posterior = stars
    mean = posterior.mean.copy()
    mean[:, 0] += 400.0
    right = curves(public.fit(spectra, emulator, posterior))
    wrong = curves(public.fit(spectra, emulator, replace(posterior, mean=mean)))
    assert wrong[0].std() > 1.25 * right[0].std()
