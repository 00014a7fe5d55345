"""Ages, metallicities and abundances that the components of the mock Galaxy draw.

Trends with [Fe/H] are those of the sheet in docs/mock.md; the light elements change along the
giant branch, and some metal-poor stars are carbon-rich (Placco et al. 2014). Abundances are dex.
"""

import numpy as np
from scipy.special import ndtr, ndtri

from bayes_ddp.emulator.density import density_table, usual_vmic
from bayes_ddp.galaxy.imf import KROUPA_BREAK, KROUPA_LOW, imf_fraction, imf_number
from bayes_ddp.mock.components import PRESET, Component, Knots

__all__ = [
    "KROUPA_LOW",
    "draw_age",
    "draw_alpha",
    "draw_feh",
    "draw_mass",
    "draw_others",
    "draw_vmic",
    "imf_fraction",
]

Draws = dict[str, np.ndarray]

_BREAK, _TOP = KROUPA_BREAK, np.array(120.0)
_YOUNGEST = 0.5  # Gyr
_THICK_AGE = Knots((-1.0, 0.0), (13.0, 8.0), 1.0)  # Xiang & Rix (2022)
_ALPHA = {"o_fe": 1.2, "si_fe": 0.75, "ca_fe": 0.65, "ti_fe": 0.65}  # of [Mg/Fe] (?)
_ALPHA_OFFSET, _ALPHA_SD = 0.02, 0.04
_IRON_PEAK = {
    "cr_fe": Knots((-2.0, -1.0), (-0.1, 0.0), 0.03),
    "mn_fe": Knots((-2.0, -1.0, 0.0), (-0.4, -0.3, 0.0), 0.04),
}
_CARBON = Knots((-1.0, 0.0), (0.1, 0.0), 0.07)
_BUMP_LOGG, _GIANT_LOGG = 2.3, 3.5  # (?)
_CEMP = Knots((-3.0, -3.0 + 1e-6, -2.0, -2.0 + 1e-6), (0.43, 0.20, 0.20, 0.0), 0.0)
_VMIC_SD = 0.15


def _cut_normal(
    mean: np.ndarray | float, sd: float, ends: tuple[float, float], *, random: np.ndarray
) -> np.ndarray:
    """Quantiles of Gaussians that are cut at both ``ends``; ``random`` is uniform in 0 ... 1."""
    low, high = (ndtr((end - np.asarray(mean)) / sd) for end in ends)
    values = mean + sd * ndtri(low + random * (high - low))
    return np.clip(values, *ends)


def draw_feh(component: Component, radius: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[star], [Fe/H] of stars at ``radius`` kpc."""
    mean, sd = component.feh
    shift = component.gradient * (radius - PRESET.r0)
    ends = component.feh_low, component.feh_high
    feh = _cut_normal(mean + shift, sd, ends, random=rng.random(len(radius)))
    in_tail, place = rng.random((2, len(radius)))
    tail = component.tail_end + place * (mean - 2 * sd - component.tail_end)
    return np.where(in_tail < component.tail, tail, feh)


def draw_age(component: Component, feh: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[star] Gyr, ages of stars of that [Fe/H]."""
    random = rng.random(len(feh))
    first, second = component.age
    if component.age_law == "uniform":
        return first + random * (second - first)
    mean = _THICK_AGE(feh) if component.age_law == "thick" else first
    return _cut_normal(mean, second, (_YOUNGEST, component.age_limit), random=random)


def draw_alpha(component: Component, feh: np.ndarray, rng: np.random.Generator) -> Draws:
    """Name -> [star] of Mg and the elements that follow it."""
    normal = rng.standard_normal((1 + len(_ALPHA), len(feh)))
    mg = component.mg(feh) + component.mg.sd * normal[0]
    others = {
        name: share * mg + _ALPHA_OFFSET + _ALPHA_SD * part
        for (name, share), part in zip(_ALPHA.items(), normal[1:], strict=True)
    }
    return {"mg_fe": mg} | others


def draw_others(
    component: Component, feh: np.ndarray, logg: np.ndarray, *, rng: np.random.Generator
) -> Draws:
    """Name -> [star] of C, N, Al, Cr, Mn, Ni; ``logg`` sets the mixing of giants."""
    normal = rng.standard_normal((6, len(feh)))
    depleted, enriched, cemp, excess = rng.random((4, len(feh)))
    carbon = _CARBON(feh) + _CARBON.sd * normal[0]
    carbon = np.where(logg < _BUMP_LOGG, carbon - (0.2 + 0.5 * depleted), carbon)
    carbon = np.where(cemp < _CEMP(feh), 0.7 + 1.3 * excess, carbon)
    nitrogen = 0.07 * normal[1] + np.where(logg < _GIANT_LOGG, 0.3 + 0.3 * enriched, 0.0)
    return {
        "c_fe": carbon,
        "n_fe": nitrogen,
        "al_fe": component.al(feh) + component.al.sd * normal[2],
        "cr_fe": _IRON_PEAK["cr_fe"](feh) + _IRON_PEAK["cr_fe"].sd * normal[3],
        "mn_fe": _IRON_PEAK["mn_fe"](feh) + _IRON_PEAK["mn_fe"].sd * normal[4],
        "ni_fe": component.ni + 0.03 * normal[5],
    }


def draw_vmic(teff: np.ndarray, logg: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[star] km/s, scattered by 0.15 km/s about the relation of the model spectra; at least 0.5.

    The relation is that of ``models/physics-lte``, see ``usual_vmic``.
    """
    usual = usual_vmic(teff, logg, density_table())
    return np.maximum(usual + _VMIC_SD * rng.standard_normal(len(teff)), 0.5)


def draw_mass(low: np.ndarray, high: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[star] Msun, born by Kroupa's law between ``low`` and ``high``, each [star]."""
    start, end = imf_fraction(low), imf_fraction(high)
    share = (start + rng.random(len(low)) * (end - start)) * imf_number(_TOP)
    at_break = (KROUPA_LOW**-0.3 - _BREAK**-0.3) / 0.3
    light = (KROUPA_LOW**-0.3 - 0.3 * np.minimum(share, at_break)) ** (-1 / 0.3)
    heavy = np.maximum(_BREAK**-1.3 - 1.3 / _BREAK * np.maximum(share - at_break, 0), 1e-9)
    return np.where(share < at_break, light, heavy ** (-1 / 1.3))
