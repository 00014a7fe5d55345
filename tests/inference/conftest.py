"""A small survey for every test of this folder: two short arms, the shipped emulator cut to them.

Problem and batch size are shared by the whole session, so that each function is compiled once.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import make_interp_spline
from scipy.signal import resample

from bayes_ddp.emulator.card import load_emulator, read_card
from bayes_ddp.emulator.network import BasisNetwork
from bayes_ddp.inference.forward import StarData, gather, kernel, render
from bayes_ddp.inference.laplace import summarise
from bayes_ddp.inference.optimise import Fit, fit_stars
from bayes_ddp.inference.parameters import Nuisances
from bayes_ddp.inference.posterior import Posterior
from bayes_ddp.inference.prior import LabelPrior
from bayes_ddp.inference.problem import Problem, load_stars, make_problem
from bayes_ddp.inference.samplers import SAMPLERS, Exact, Map, Nuts
from bayes_ddp.spectra.desi.read import DESI_WAVE
from bayes_ddp.spectra.masks import apply_masks
from bayes_ddp.spectra.raw import RawArm, RawSpectra
from bayes_ddp.spectra.spectrum import Spectrum

BATCH = 64
LIGHT = 299792.458
ARMS = {"B": (4800.0, 5400.0, 1.65), "R": (6000.0, 6700.0, 1.53)}
RANK = 40


def cut(emulator: BasisNetwork, low: float, high: float, rank: int) -> BasisNetwork:
    """The emulator on fewer wavelengths and fewer basis spectra."""
    keep = (emulator.wave >= low) & (emulator.wave <= high)
    return eqx.tree_at(
        lambda e: (e.weight, e.mean, e.basis, e.error, e.wave),
        emulator,
        (
            emulator.weight[:, :rank],
            emulator.mean[keep],
            emulator.basis[:rank, keep],
            emulator.error[keep],
            emulator.wave[keep],
        ),
    )


def pixels_of(arms: dict[str, tuple[float, float, float]], count: int, **changed: Any) -> Spectrum:
    """``count`` stars of flux 1, S/N 100 and no velocity on arms (first Å, last Å, FWHM Å)."""
    waves = [np.arange(low, high, 0.8) for low, high, _ in arms.values()]
    fwhm = [np.full(w.size, a[2]) for w, a in zip(waves, arms.values(), strict=True)]
    ends = np.cumsum([0, *map(len, waves)])
    one = np.ones((count, ends[-1]), np.float32)
    fields = {
        "wave": np.concatenate(waves),
        "flux": one,
        "ivar": 1e4 * one,
        "weight": one,
        "fwhm": np.concatenate(fwhm).astype(np.float32) * one,
        "continuum": one,
        "vrad": np.zeros(count),
        "vrad_err": np.ones(count),
        "arms": tuple(
            (n, int(a), int(b)) for n, a, b in zip(arms, ends[:-1], ends[1:], strict=True)
        ),
        "survey": "desi",
    }
    return Spectrum(**fields | changed)


@eqx.filter_jit
def _render(problem: Problem, stars: StarData, labels: Any, nuisances: Nuisances) -> Any:
    def one(star: StarData, x: Any, nuisances: Nuisances) -> Any:
        return render(problem.shape, star, problem.emulator.flux_and_gradient(x), nuisances)

    return jax.vmap(one)(stars, labels, nuisances)


@eqx.filter_jit
def _native(problem: Problem, stars: StarData, labels: Any) -> Any:
    """[star pixel], models on the pixels of the data before they are normalised."""

    def one(star: StarData, x: Any) -> Any:
        width = jnp.ones(len(problem.shape.arms))
        first, weights, *_ = kernel(problem.shape, star, jnp.zeros(()), width=width)
        return gather(problem.emulator(x)[None], first, weights)[0]

    return jax.vmap(one)(stars, labels)


@eqx.filter_jit
def _moments(prior: LabelPrior, labels: Any) -> Any:
    return jax.vmap(prior.moments)(labels)


@dataclass(frozen=True)
class Survey:
    """The small survey: what is fitted, and how its spectra are made."""

    emulator: BasisNetwork
    prior: LabelPrior
    problem: Problem

    def truths(self, key: int, count: int = BATCH) -> np.ndarray:
        """[star label], drawn from the prior."""
        return self.prior.draws(jax.random.key(key), count)

    def typical(self, teff: Any, logg: Any, feh: Any) -> np.ndarray:
        """[star label], the other labels where the prior puts them: its gradient is next to 0."""
        space = self.prior.space
        labels = np.tile(space.middle, (len(teff), 1))
        for name, values in (("teff", teff), ("logg", logg), ("feh", feh)):
            labels[:, space.index(name)] = values
        mean = np.array(_moments(self.prior, jnp.asarray(labels))[0])
        for name in ("teff", "logg", "feh"):
            mean[:, space.index(name)] = labels[:, space.index(name)]
        return mean

    def render(
        self, truth: np.ndarray, stars: StarData, *, velocity: Any = 0.0, width: Any = 1.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """``render`` of a batch: [star pixel], [star derivative pixel].

        velocity : [star] km/s beyond vrad. width : [star arm].
        """
        count, arms = len(truth), len(self.problem.shape.arms)
        velocity = jnp.broadcast_to(jnp.asarray(velocity, float), count)
        width = jnp.broadcast_to(jnp.asarray(width, float), (count, arms))
        nuisances = Nuisances(velocity, width)
        flux, slope = _render(self.problem, stars, jnp.asarray(truth), nuisances)
        return np.asarray(flux), np.asarray(slope)

    def paint(
        self,
        truth: np.ndarray,
        spectrum: Spectrum,
        noise: int | None = None,
        *,
        velocity: Any = 0.0,
        width: Any = 1.0,
    ) -> Spectrum:
        """``spectrum`` with the model's flux at ``truth`` [star label], noise of key ``noise``.

        The noise is what the likelihood says, photons and emulator error together.
        """
        stars = load_stars(self.problem, spectrum)
        flux, _ = self.render(truth, stars, velocity=velocity, width=width)
        if noise is not None:
            sigma = 1 / np.sqrt(np.where(stars.precision > 0, stars.precision, np.inf))
            flux = flux + sigma * np.random.default_rng(noise).standard_normal(flux.shape)
        return eqx.tree_at(lambda s: s.flux, spectrum, flux.astype(np.float32))

    def raw(self, truth: np.ndarray, snr: Any, noise: int) -> RawSpectra:
        """Spectra as a reader gives them: noise of key ``noise``, a slope, the TARGETID 0, 1...

        snr : number or [arm], per pixel of a flux of 1.
        """
        pixels = pixels_of(ARMS, len(truth))
        sizes = [last - first for _, first, last in pixels.arms]
        sigma = np.repeat(1 / np.broadcast_to(np.asarray(snr, float), len(sizes)), sizes)
        native = _native(self.problem, load_stars(self.problem, pixels), jnp.asarray(truth))
        random = np.random.default_rng(noise).standard_normal(native.shape)
        slope = np.linspace(0.8, 1.3, pixels.wave.size) * 17.0
        flux = ((np.asarray(native) + sigma * random) * slope).astype(np.float32)
        ivar = np.broadcast_to((sigma * slope) ** -2, flux.shape).astype(np.float32)
        return RawSpectra(
            survey="desi",
            arms=tuple(
                RawArm(name, pixels.wave[a:b], flux[:, a:b], ivar[:, a:b], pixels.fwhm[:, a:b])
                for name, a, b in pixels.arms
            ),
            vrad=np.zeros(len(truth)),
            vrad_err=np.ones(len(truth)),
            ebv=np.zeros(len(truth)),
            warn=np.zeros(len(truth), np.int64),
            key=("TARGETID",),
            columns={"TARGETID": np.arange(len(truth))},
        )

    def fit(self, spectrum: Spectrum, draws: int = 256) -> tuple[Fit, Posterior]:
        """Best fits of a batch and their Laplace posterior, each star with a key of its own."""
        fit = fit_stars(self.problem, load_stars(self.problem, spectrum))
        keys = jax.random.split(jax.random.key(7), len(spectrum))
        return fit, summarise(self.problem, fit, keys, number=draws)


@pytest.fixture(scope="session")
def blank_spectrum() -> Callable[..., Spectrum]:
    """Makes stars of flux 1 on the small geometry: (count, fields of Spectrum to change)."""

    def make(count: int = BATCH, **changed: Any) -> Spectrum:
        return pixels_of(ARMS, count, **changed)

    return make


@pytest.fixture(scope="session")
def desi_card(models: Path) -> dict[str, Any]:
    """The card of the shipped DESI emulator."""
    return read_card(models / "desi-physics")


@pytest.fixture(scope="session")
def survey(models: Path, desi_card: dict[str, Any]) -> Survey:
    """The small survey with its default prior."""
    full = load_emulator(models / "desi-physics")
    assert isinstance(full, BasisNetwork)
    emulator = cut(full, 4760.0, 6740.0, RANK)
    prior = LabelPrior(emulator.space, desi_card["density"])
    # the widths as ``problem_of`` rounds them: ``fit`` then shares the compiled code
    problem = make_problem(pixels_of(ARMS, 1), emulator, prior, fwhm=(1.5, 1.75))
    return Survey(emulator, prior, problem)


@pytest.fixture(scope="session")
def typical(survey: Survey) -> np.ndarray:
    """[star label] of dwarfs and giants at usual abundances, where the prior hardly pulls."""
    rng = np.random.default_rng(3)
    teff = rng.uniform(4800, 6500, BATCH)
    giant = teff < 5200
    logg = np.where(giant, rng.uniform(2.2, 3.0, BATCH), rng.uniform(3.8, 4.6, BATCH))
    return survey.typical(teff, logg, rng.uniform(-0.7, 0.2, BATCH))


@pytest.fixture(scope="session")
def noisy(survey: Survey) -> Spectrum:
    """Stars drawn from the prior, the metal-poor ones moved to [Fe/H] = -1; S/N 100."""
    truth, feh = survey.truths(1), survey.prior.space.index("feh")
    truth[:, feh] = np.maximum(truth[:, feh], -1.0)
    return survey.paint(truth, pixels_of(ARMS, BATCH), 1)


@pytest.fixture(scope="session")
def fitted(survey: Survey, noisy: Spectrum) -> tuple[Fit, Posterior]:
    """Best fits of ``noisy`` and their Laplace posterior."""
    return survey.fit(noisy)


@dataclass(frozen=True)
class Oracle:
    """The forward model once more: float64 NumPy, nothing approximated, nothing shared.

    The model between its pixels by Fourier interpolation, direct quadrature of the remaining
    Gaussian at every pixel of the data, the pseudo-continuum by the n-squared formula.
    """

    emulator: BasisNetwork
    reach: float = 7.0
    step: float = 0.1

    def rest(self, labels: np.ndarray) -> np.ndarray:
        """[model pixel], the emulator in float64."""
        e = self.emulator
        coefficients = np.asarray(e.coefficients(jnp.asarray(labels, jnp.float64)))
        return np.asarray(e.mean, float) + coefficients @ np.asarray(e.basis, float)

    def __call__(
        self, labels: np.ndarray, star: Spectrum, *, velocity: float = 0.0, width: Any = (1.0, 1.0)
    ) -> np.ndarray:
        """[pixel], normalised flux of the one star in ``star``."""
        return self.normalise(self.native(self.rest(labels), star, velocity, width), star)

    def between(self, rest: np.ndarray) -> Any:
        """Flux at any wavelength: eightfold in Fourier space, then a quintic spline."""
        wave, fine = np.asarray(self.emulator.wave), 8
        taper = np.minimum(1.0, np.minimum(wave - wave[0], wave[-1] - wave) / 15.0)
        dense = resample((rest - 1) * np.sin(0.5 * np.pi * taper) ** 2, fine * wave.size)
        places = wave[0] + (wave[1] - wave[0]) / fine * np.arange(dense.size)
        return make_interp_spline(places, 1 + dense, k=5)

    def native(self, rest: np.ndarray, star: Spectrum, velocity: float, width: Any) -> np.ndarray:
        """[pixel], the model seen by the spectrograph, before it is normalised."""
        spline = self.between(rest)
        beta = (float(star.vrad[0]) + velocity) / LIGHT
        factor = np.sqrt((1 + beta) / (1 - beta))
        node = np.arange(-self.reach, self.reach + 1e-9, self.step)
        gauss = np.exp(-0.5 * node**2)
        gauss /= gauss.sum()
        flux = []
        for (_, a, b), stretch in zip(star.arms, width, strict=True):
            fwhm = stretch * np.asarray(star.fwhm, float)[0, a:b] / factor
            sigma = np.sqrt(fwhm**2 - self.emulator.fwhm**2) / np.sqrt(8 * np.log(2))
            flux.append(spline((star.wave[a:b] / factor)[:, None] + sigma[:, None] * node) @ gauss)
        return np.concatenate(flux)

    def normalise(self, flux: np.ndarray, star: Spectrum) -> np.ndarray:
        """[pixel], flux over its pseudo-continuum."""
        parts = []
        for _, a, b in star.arms:
            wave = np.asarray(star.wave[a:b])
            kernel = np.exp(-0.5 * ((wave[:, None] - wave) / 20.0) ** 2)
            kernel = kernel * np.asarray(star.weight, float)[0, a:b]
            parts.append(flux[a:b] / (kernel @ flux[a:b] / kernel.sum(axis=1)))
        return np.concatenate(parts)


@pytest.fixture(scope="session")
def oracle(survey: Survey) -> Oracle:
    """The small survey's forward model in float64."""
    return Oracle(survey.emulator)


DESI_FWHM = {"B": 1.65, "R": 1.53, "Z": 1.80}


def desi_spectrum(count: int, snr: Any = 100.0, vrad: Any = 0.0) -> Spectrum:
    """``count`` stars of flux 1 on all of DESI's pixels, with the masks and floors of a real run.

    snr, vrad : number or [star].
    """
    vrad = np.broadcast_to(np.asarray(vrad, float), count)
    wave = np.concatenate([DESI_WAVE[arm] for arm in DESI_FWHM])
    sizes = [DESI_WAVE[arm].size for arm in DESI_FWHM]
    ends = np.cumsum([0, *sizes])
    good, floor, use = apply_masks(wave, vrad, "desi", physics=True, ebv=np.zeros(count))
    for a, b in itertools.pairwise(ends):
        good[:, a : a + 5] = good[:, b - 5 : b] = False
    noise = 1 / np.broadcast_to(np.asarray(snr, float), count)
    ivar = np.where(good, 1 / (noise[:, None] ** 2 + floor.astype(float) ** 2), 0)
    one = np.ones((count, wave.size), np.float32)
    return Spectrum(
        wave=wave,
        flux=one,
        ivar=ivar.astype(np.float32),
        weight=use.astype(np.float32),
        fwhm=np.repeat(list(DESI_FWHM.values()), sizes).astype(np.float32) * one,
        continuum=one,
        vrad=vrad.copy(),
        vrad_err=np.ones(count),
        survey="desi",
        arms=tuple(
            (n, int(a), int(b)) for n, a, b in zip(DESI_FWHM, ends[:-1], ends[1:], strict=True)
        ),
    )


@pytest.fixture(scope="session")
def desi_pixels() -> Callable[..., Spectrum]:
    """Makes stars of flux 1 on all of DESI's pixels: (count, snr, vrad)."""
    return desi_spectrum


@pytest.fixture(scope="session")
def desi_survey(models: Path, desi_card: dict[str, Any]) -> Survey:
    """The shipped emulator and its default prior on all of DESI's pixels; for slow tests."""
    emulator = load_emulator(models / "desi-physics")
    assert isinstance(emulator, BasisNetwork)
    prior = LabelPrior(emulator.space, desi_card["density"])
    return Survey(emulator, prior, make_problem(desi_spectrum(1), emulator, prior))


NUTS = Nuts(num_warmup=200, num_samples=1000, chains=4)


@pytest.fixture(scope="session")
def three_stars(survey: Survey, blank_spectrum: Callable[..., Spectrum]) -> StarData:
    """A giant and a dwarf at S/N 200 per pixel, and between them a star without pixels."""
    truth = survey.typical([4700.0, 5000.0, 5200.0], [2.4, 2.8, 4.5], [-0.3, -0.3, 0.1])
    pixels = blank_spectrum(3)
    ivar = np.full(pixels.ivar.shape, 4e4, np.float32)
    spectrum = survey.paint(truth, eqx.tree_at(lambda s: s.ivar, pixels, ivar), 5)
    ivar[1] = 0
    return load_stars(survey.problem, eqx.tree_at(lambda s: s.ivar, spectrum, ivar))


@pytest.fixture(scope="session")
def last_star(three_stars: StarData) -> StarData:
    """The same three, but the first has no pixels either: a third of the work."""
    empty = three_stars.precision.at[0].set(0.0)
    return eqx.tree_at(lambda stars: stars.precision, three_stars, empty)


@pytest.fixture(scope="session")
def runs(survey: Survey, three_stars: StarData, last_star: StarData) -> Callable[..., Posterior]:
    """Runs of a sampler: of ``three_stars``, or of ``last_star`` where ``last`` is given."""
    settings = {"exact": Exact(), "map": Map(draws=100), "nuts": NUTS}
    assert set(settings) == set(SAMPLERS), "a new sampler needs quick settings here"

    @cache
    def run(kind: str, key: int = 1, *, last: bool = False) -> Posterior:
        keys = jax.random.split(jax.random.key(key), 3)
        return settings[kind](survey.problem, last_star if last else three_stars, keys)

    return run
