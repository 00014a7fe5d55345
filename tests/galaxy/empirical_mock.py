"""Control stars and targets whose magnitudes are known functions of their labels.

The functions are quadratic with a wave, so that a polynomial alone does not describe them. Stars
have the densities of the prior of distances, companions as the mixture has them, and outliers.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord

from bayes_ddp.galaxy.bolometric import ALL_BANDS, load_bolometric_table
from bayes_ddp.galaxy.companions import shares
from bayes_ddp.galaxy.label_draws import LabelDraws, covariance_of, draws_of_moments
from bayes_ddp.galaxy.mixture import BRIGHTER, REDDER
from bayes_ddp.galaxy.observed import MODULUS, make_tables
from bayes_ddp.galaxy.photometry import Photometry
from bayes_ddp.galaxy.populations import POPULATIONS

BANDS = ("G", "BP", "RP", "J", "H", "Ks")
SCATTER = np.diag([0.12, 0.015, 0.02, 0.03, 0.03, 0.035]) ** 2
"""Intrinsic covariance of M_G and of the colours BP - G to Ks - G."""

COLOURS = np.array([0.02, -0.02, -0.04, -0.05, -0.06])
"""mag, by which a companion changes the colours."""

ERRORS = np.array([0.003, 0.006, 0.006, 0.02, 0.02, 0.02])
LABEL_SD = {"teff": 40.0, "logg": 0.05, "m_h": 0.04}


def true_outputs(core: np.ndarray) -> np.ndarray:
    """[star output], M_G and colours of single stars."""
    t, g, m = ((core - [8.6, 4.0, -0.5]) / [0.15, 0.8, 0.8]).T
    reference = 4.0 - 1.6 * t + 1.9 * g - 0.3 * m + 0.15 * np.sin(2 * t) + 0.1 * g * m
    slope = np.array([-0.35, 0.4, 0.7, 0.95, 1.0])  # of the colours, by -t
    bend = np.array([0.05, -0.04, -0.06, -0.08, -0.09])
    colours = -0.9 * slope * t[:, None] + bend * np.sin(2 * t)[:, None] + 0.1 * bend * m[:, None]
    return np.concatenate([reference[:, None], colours - 0.6 * slope], axis=1)


@dataclass(frozen=True)
class Mock:
    """labels, photometry : what is measured. core, dist, ebv, kind : truth."""

    labels: LabelDraws
    photometry: Photometry
    core: np.ndarray
    dist: np.ndarray
    ebv: np.ndarray
    kind: np.ndarray
    m_g: np.ndarray


def make_mock(
    number: int, *, seed: int = 1, fraction: float = 0.4, outliers: float = 0.03
) -> Mock:
    """Stars of the high-latitude sky out to the modulus 14."""
    rng = np.random.default_rng(seed)
    core = rng.uniform([8.42, 1.5, -2.0], [8.76, 4.8, 0.3], (number, 3))
    lon, lat = rng.uniform(0, 360, number), np.degrees(np.arcsin(rng.uniform(0.55, 1, number)))
    sky = SkyCoord(lon * u.deg, lat * u.deg, frame="galactic").icrs
    sfd = rng.uniform(0.005, 0.04, number)
    tables = make_tables(np.radians(lon), np.radians(lat), sfd)
    metals = np.stack([p.density_of_metals(core[:, 2]) for p in POPULATIONS], axis=1)
    density = np.einsum("nmp,np->nm", np.asarray(tables.volume), metals)
    density[:, (MODULUS < 4) | (MODULUS > 14)] = 0
    cumulated = np.cumsum(density, axis=1)
    cell = (rng.uniform(0, 1, (number, 1)) < cumulated / cumulated[:, -1:]).argmax(axis=1)
    modulus = MODULUS[cell] + 0.1 * rng.uniform(-0.5, 0.5, number)
    mean, sd = np.asarray(tables.dust)[np.arange(number), cell].T
    ebv = -np.ones(number)
    while (ebv < 0).any():
        ebv = np.where(ebv < 0, mean + sd * rng.standard_normal(number), ebv)
    outputs = true_outputs(core) + rng.standard_normal((number, 6)) * np.sqrt(np.diag(SCATTER))
    kind = np.where(core[:, 1] > 3.5, rng.choice(5, number, p=shares(fraction)), 0)
    m_g = outputs[:, 0].copy()
    brighter = np.concatenate([[0], BRIGHTER])
    outputs[:, 0] -= brighter[kind]
    outputs[:, 1:] += COLOURS * np.concatenate([[0], REDDER])[kind][:, None]
    odd = rng.uniform(size=number) < outliers
    outputs[odd] += rng.standard_normal((odd.sum(), 6)) * [1.0, 0.3, 0.3, 0.3, 0.3, 0.3]
    light = outputs.copy()
    light[:, 1:] += outputs[:, :1]
    table = load_bolometric_table()
    dimmed = np.asarray(jax.vmap(table.extinction)(jnp.asarray(core), jnp.asarray(ebv))[0])
    seen = np.full((number, len(ALL_BANDS)), np.nan)
    error = seen.copy()
    seen[:, :6] = light + modulus[:, None] + dimmed[:, :6] + ERRORS * rng.normal(size=light.shape)
    error[:, :6] = ERRORS
    noise = np.geomspace(0.01, 0.1, number)[rng.permutation(number)]
    dist = 10 ** (0.2 * modulus - 2)
    measured = {
        "teff": np.exp(core[:, 0]) + LABEL_SD["teff"] * rng.standard_normal(number),
        "logg": core[:, 1] + LABEL_SD["logg"] * rng.standard_normal(number),
        "m_h": core[:, 2] + LABEL_SD["m_h"] * rng.standard_normal(number),
    }
    errors = {name: np.full(number, sd) for name, sd in LABEL_SD.items()}
    return Mock(
        labels=draws_of_moments(np.arange(number), measured, covariance_of(measured, errors)),
        photometry=Photometry(
            ra=sky.ra.deg,
            dec=sky.dec.deg,
            magnitude=seen,
            error=error,
            parallax=1 / dist + noise * rng.standard_normal(number),
            parallax_error=noise,
            zero_point=np.zeros(number),
            ruwe=np.ones(number),
            ebv=sfd,
        ),
        core=core,
        dist=dist,
        ebv=ebv,
        kind=np.where(odd, -1, kind),
        m_g=m_g,
    )
