"""Draws of the core, distance and extinction of many stars, in batches."""

import hashlib
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from bayes_ddp.galaxy.bolometric import ALL_BANDS, Law, load_bolometric_table
from bayes_ddp.galaxy.companions import load_companions, shares
from bayes_ddp.galaxy.core import CORE
from bayes_ddp.galaxy.library import load_library
from bayes_ddp.galaxy.members import Model
from bayes_ddp.galaxy.observed import Observed
from bayes_ddp.galaxy.records import DistancePosterior
from bayes_ddp.galaxy.rounds import sample_rounds
from bayes_ddp.galaxy.sample import Sampled

__all__ = ["load_model", "record_of", "sample_distances", "star_keys"]


@cache
def load_model(law: Law = "fitzpatrick", pairs: float = 0.45) -> Model:
    """The joint prior and the light of stars; pairs : fraction of stars with a companion."""
    return Model(
        load_library(), load_bolometric_table(law), load_companions(), jnp.asarray(shares(pairs))
    )


def sample_distances(
    ids: np.ndarray, stars: Observed, model: Model, *, draws: int = 256, seed: int = 1
) -> DistancePosterior:
    """Equally weighted joint draws of labels, distance and extinction, [draw star].

    stars : finite, with a leading star axis.

    The draws of a star depend on its data, its identifier and the seed. Diagnostics: ``ess``
    of the proposals, ``p_binary``, ``log_evidence``, and ``chi2`` of the magnitudes (the mean).

    Raises RuntimeError without float64.
    """
    if not jax.config.read("jax_enable_x64"):
        raise RuntimeError(
            "Distances need float64: call jax.config.update('jax_enable_x64', True) first."
        )
    return record_of(ids, sample_rounds(stars, model, star_keys(ids, seed), draws=draws))


def record_of(ids: np.ndarray, found: Sampled) -> DistancePosterior:
    """The record of draws [star draw]; diagnostics as in ``sample_distances``."""
    core = np.swapaxes(found.core, 0, 1)
    quantities = {
        "dist": 10 ** (0.2 * found.modulus.T - 2),
        "ebv": found.ebv.T,
        "vrad": np.full(core.shape[:2], np.nan),
        "m_g": found.magnitude[..., ALL_BANDS.index("G")].T,
        "m_ks": found.magnitude[..., ALL_BANDS.index("Ks")].T,
        "mass": 10**found.log_mass.T,
        "age": found.age.T,
        "mass_ratio": found.ratio.T,
    }
    return DistancePosterior(
        ids=np.asarray(ids, str),
        log_weight=np.zeros(core.shape[:2]),
        quantities=quantities,
        warn=np.zeros(len(ids), np.int64),
        labels=np.stack([np.exp(core[..., 0]), core[..., 1], core[..., 2]], axis=-1),
        label_names=CORE,
        diagnostics={
            "ess": found.ess,
            "p_binary": found.pair,
            "log_evidence": found.log_evidence,
            "chi2": found.chi2.mean(axis=1),
        },
    )


def star_keys(ids: np.ndarray, seed: int) -> jax.Array:
    """[star] keys: the seed's, folded with two words of the SHA-256 of each identifier."""
    digests = [hashlib.sha256(str(name).encode()).digest()[:8] for name in ids]
    words = jnp.asarray(np.frombuffer(b"".join(digests), "<u4").reshape(-1, 2))

    def fold(pair: jax.Array) -> jax.Array:
        return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), pair[0]), pair[1])

    keys: jax.Array = jax.vmap(fold)(words)
    return keys
