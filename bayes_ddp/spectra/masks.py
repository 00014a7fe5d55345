"""Wavelength masks: pixels that are fitted, their extra error, and those of the pseudo-continuum.

``BANDS`` is one table, each row in its own frame; bands of a single survey are in its record.
Telluric bands, sky lines and instrument joints are fixed in the barycentric frame for any velocity
of the star; stellar lines are Doppler-shifted with it.

The masks depend on wavelength only. Readers mark bad pixels of a spectrum with ``ivar = 0``.

Wavelengths are vacuum Å; lines were converted from air with Morton (2000). Diffuse interstellar
bands: Hobbs et al. (2008), 8623: Saydjari et al. (2023).
"""

from dataclasses import dataclass

import numpy as np

__all__ = [
    "BANDS",
    "BALMER",
    "LIGHT_SPEED",
    "MAX_VRAD",
    "Band",
    "apply_masks",
    "doppler_factor",
    "redshift_velocity",
    "rest_continuum_weight",
]

LIGHT_SPEED = 299792.458
"""Speed of light, km/s."""

MAX_VRAD = 1500.0
"""Largest accepted radial velocity, km/s; beyond it a star is not fitted (``WARN.BAD_RV``)."""

BALMER = (6564.6, 4862.7, 4341.7, 4102.9)
"""Rest wavelengths of H alpha, beta, gamma, delta, vacuum Å."""

BALMER_HALF_WIDTH = 15.0
"""Å on either side of each Balmer line that have no weight in the pseudo-continuum."""

REDDENED = 0.1
"""E(B-V), mag, above which diffuse interstellar bands are masked."""

_PAD = {"sky": 30.0, "ism": 30.0, "instrument": 0.0, "rest": 0.0}  # km/s, Earth's orbital speed


@dataclass(frozen=True)
class Band:
    """A wavelength range that is masked, down-weighted or left out of the pseudo-continuum.

    low, high : vacuum Å, in ``frame``: 'sky', 'ism' and 'instrument' bands are fixed in the
        barycentric frame, 'rest' bands are shifted with the star.
    fit : 'mask', 'keep', or a 1-sigma error in normalised flux that is added in quadrature.
    continuum : whether its pixels have no weight in the pseudo-continuum.
    only : '' for all stars, 'reddened' for stars whose E(B-V) is above 0.1 or unknown, 'physics'
        for models of physical (1-D LTE) spectra.
    pad : km/s added on both sides; by default 30 for the sky and interstellar frames.
    """

    name: str
    low: float
    high: float
    frame: str
    fit: str | float
    continuum: bool = False
    only: str = ""
    pad: float | None = None

    def edges(self) -> tuple[float, float]:
        """Low and high edge with the padding, Å."""
        pad = _PAD[self.frame] if self.pad is None else self.pad
        return self.low * (1 - pad / LIGHT_SPEED), self.high * (1 + pad / LIGHT_SPEED)


def _line(name: str, centre: float, half: float, *, frame: str, fit: str | float, **more) -> Band:
    return Band(name, centre - half, centre + half, frame, fit, **more)


_SKY = (
    Band("O2 gamma", 6276.0, 6322.0, "sky", 0.02),
    Band("O2 B", 6866.0, 6970.0, "sky", "mask", continuum=True),
    Band("H2O 7200", 7160.0, 7400.0, "sky", "mask", continuum=True),
    Band("O2 A", 7590.0, 7715.0, "sky", "mask", continuum=True),
    Band("H2O 8200", 8100.0, 8370.0, "sky", 0.02),
    Band("H2O 9000", 8925.0, 9260.0, "sky", "mask"),
    Band("H2O 9400", 9270.0, 9824.0, "sky", "mask"),
    Band("weak H2O 5900", 5880.0, 6000.0, "sky", 0.01),
    Band("weak H2O 6500", 6470.0, 6580.0, "sky", 0.01),
    *(
        _line(f"sky line {centre:.0f}", centre, 4.0, frame="sky", fit="mask", continuum=True)
        for centre in (5578.9, 6302.0, 6365.5, 5891.6, 5897.6)
    ),
)

_DIBS = (
    (4429.2, 15.0),
    (4763.8, 4.0),
    (5782.1, 4.0),
    (5798.7, 3.0),
    (6204.8, 6.0),
    (6271.6, 3.0),
    (6285.6, 5.0),
    (6381.1, 2.0),
    (6615.5, 3.0),
    (6662.6, 2.0),
    (8623.2, 4.0),
)

_INTERSTELLAR = (
    Band("Na D", 5888.0, 5901.0, "ism", "mask", continuum=True),
    # An interstellar K line of 0.1-0.3 Å is 5-15 % deep at these resolutions.
    _line("interstellar Ca II K", 3934.8, 1.2, frame="ism", fit=0.1, pad=100.0),
    _line("interstellar Ca II H", 3969.6, 1.2, frame="ism", fit=0.1, pad=100.0),
    _line("K I 7667", 7667.0, 2.0, frame="ism", fit="mask"),
    _line("K I 7701", 7701.1, 2.0, frame="ism", fit="mask"),
    *(
        _line(
            f"DIB {centre:.0f}",
            centre,
            half,
            frame="ism",
            fit="mask",
            continuum=True,
            only="reddened",
        )
        for centre, half in _DIBS
    ),
)

_CORES = (
    ("H alpha core", 6564.6, 3.0),
    ("H beta core", 4862.7, 2.5),
    ("H gamma core", 4341.7, 2.0),
    ("H delta core", 4102.9, 2.0),
    ("H epsilon core", 3971.2, 2.0),
    ("H 8 core", 3890.2, 1.5),
    ("Ca II K core", 3934.8, 1.5),  # chromosphere, and LTE
    ("Ca II H core", 3969.6, 1.5),
    ("Ca II 8500 core", 8500.35, 1.2),  # NLTE core; the wings carry Ca and logg
    ("Ca II 8544 core", 8544.44, 1.2),
    ("Ca II 8664 core", 8664.52, 1.2),
)

_NO_LABEL = (  # elements that vary between stars and are not labels
    ("Li", 6709.7, 1.5),
    ("Sr II 4079", 4078.9, 1.2),
    ("Sr II 4217", 4216.7, 1.2),
    ("Ba II 4555", 4555.3, 1.2),
    ("Ba II 4935", 4935.5, 1.2),
    ("Ba II 6143", 6143.4, 1.2),
    ("Ba II 6499", 6498.7, 1.2),
    ("Eu II 4131", 4130.8, 1.0),
)

_STELLAR = (
    *(
        _line(f"Balmer {c:.0f}", c, BALMER_HALF_WIDTH, frame="rest", fit="keep", continuum=True)
        for c in BALMER
    ),
    *(_line(name, c, half, frame="rest", fit="mask", only="physics") for name, c, half in _CORES),
    Band("Na D", 5888.0, 5901.0, "rest", "mask", continuum=True),
    Band("O I triplet", 7772.1, 7779.5, "rest", "mask", only="physics"),  # NLTE -0.1 to -0.5 dex
    *(_line(name, centre, half, frame="rest", fit=0.02) for name, centre, half in _NO_LABEL),
)

BANDS: tuple[Band, ...] = (*_SKY, *_INTERSTELLAR, *_STELLAR)
"""The bands of all surveys, in any order. In an overlap a mask takes precedence and errors add in
quadrature. The record of a survey has further bands."""


def doppler_factor(vrad: np.ndarray | float) -> np.ndarray:
    """Observed over rest wavelength, relativistic.

    vrad : any shape, km/s, positive for recession, below the speed of light.

    >>> float(np.round(doppler_factor(300.0), 6))
    1.001001
    """
    beta = np.asarray(vrad, float) / LIGHT_SPEED
    return np.sqrt((1 + beta) / (1 - beta))


def redshift_velocity(redshift: np.ndarray | float) -> np.ndarray:
    """Radial velocity, km/s, that shifts wavelengths by ``1 + redshift``; NaN at or below -1.

    >>> float(np.round(redshift_velocity(doppler_factor(300.0) - 1), 6))
    300.0
    """
    factor = np.asarray(redshift, float) + 1
    square = np.where(factor > 0, factor, np.nan) ** 2
    return LIGHT_SPEED * (square - 1) / (square + 1)


def apply_masks(
    wave: np.ndarray,
    vrad: np.ndarray,
    survey: str,
    *,
    physics: bool = True,
    ebv: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks of the fit and of the pseudo-continuum, and the extra error, for every pixel.

    Parameters
    ----------
    wave : [pixel], Å vacuum, barycentric; need not be sorted (arms overlap).
    vrad : [star], km/s. For a star at NaN or beyond ``MAX_VRAD``, which is not fitted, the stellar
        bands are not shifted.
    survey : key of ``SURVEYS``, whose record has the bands of this survey only.
    physics : whether the model is trained on physical (1-D LTE) spectra only.
    ebv : [star], mag; NaN or None means unknown, which counts as reddened.

    Returns
    -------
    good : [star pixel] bool, whether the pixel may be fitted.
    floor : [star pixel] float32, 1-sigma error in normalised flux, to be added in quadrature.
    use : [star pixel] bool, whether the pixel may contribute to the pseudo-continuum.

    Raises ValueError for an unknown survey.
    """
    from bayes_ddp.spectra.surveys import find_survey  # its records contain Bands

    wave = np.asarray(wave, float)
    vrad = np.asarray(vrad, float)
    believable = np.abs(vrad) <= MAX_VRAD  # False for NaN
    factor = doppler_factor(np.where(believable, vrad, 0.0))
    reddened = np.ones(vrad.size, bool)
    if ebv is not None:
        reddened = ~(np.asarray(ebv, float) <= REDDENED)  # NaN stays True
    shape = (vrad.size, wave.size)
    good, use = np.ones(shape, bool), np.ones(shape, bool)
    variance = np.zeros(shape, np.float32)
    for band in (*BANDS, *find_survey(survey).bands):
        if band.only == "physics" and not physics:
            continue
        low, high = band.edges()
        shift = factor if band.frame == "rest" else np.ones_like(factor)
        if not shift.size:
            break
        near = np.flatnonzero((wave >= low * shift.min()) & (wave <= high * shift.max()))
        inside = (wave[near] >= low * shift[:, None]) & (wave[near] <= high * shift[:, None])
        if band.only == "reddened":
            inside &= reddened[:, None]
        if band.fit == "mask":
            good[:, near] &= ~inside
        elif band.fit != "keep":
            variance[:, near] += inside * np.float32(float(band.fit) ** 2)
        if band.continuum:
            use[:, near] &= ~inside
    return good, np.sqrt(variance), use


def rest_continuum_weight(wave: np.ndarray) -> np.ndarray:
    """Fixed weights of the pseudo-continuum of a model at rest: 0 near the Balmer lines, else 1.

    wave : [pixel], Å vacuum, rest frame. Returns [pixel] float64.
    """
    wave = np.asarray(wave, float)
    near = [np.abs(wave - centre) <= BALMER_HALF_WIDTH for centre in BALMER]
    return 1.0 - np.any(near, axis=0)
