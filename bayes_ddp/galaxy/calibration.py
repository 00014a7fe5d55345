"""Empirical magnitudes are learned from control stars, in the space of the parallax.

Colours are measured directly. The absolute magnitude M of the reference band predicts the
parallax 10^(0.2 (10 - m + A + M)) of a star; the residual of the measured parallax, relative to
this, is the residual of M to first order, and its error is that of the parallax at any S/N (the
astrometry-based luminosity of Arenou & Luri 1999). Parallaxes are never inverted, and negative
ones count. Gauss-Newton steps of the smooth functions alternate with expectation maximisation of
the mixture of single stars, pairs and outliers.

The noise of star i includes its magnitudes, its dust, its parallax, and its labels with
covariance C to first order, J C J^T, with J the derivative of the functions. The intrinsic scatter
is what is left. At given magnitude the density of stars shifts M by -s^2 dln(density)/d(modulus)
(Malmquist); this is included with the prior of distances. Slopes are those against the labels as
measured: where their errors are not small against their range, slopes are lower than against true
labels, which is right for stars with errors like those of the control stars.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import log_ndtr

from bayes_ddp.galaxy.bolometric import ALL_BANDS, BolometricTable, Law, load_bolometric_table
from bayes_ddp.galaxy.companions import shares
from bayes_ddp.galaxy.control import Control
from bayes_ddp.galaxy.empirical import DWARF, Empirical, turn_of
from bayes_ddp.galaxy.mixture import PER_MAG, Mixture, Parts, expect, maximise
from bayes_ddp.galaxy.observed import MODULUS, Tables, of_modulus
from bayes_ddp.galaxy.populations import POPULATIONS
from bayes_ddp.galaxy.smooth import Basis, Ridge, make_basis, ridge
from bayes_ddp.galaxy.support import support_of
from bayes_ddp.inference.problem import require_float64

__all__ = ["Fit", "fit_empirical"]

_WIDTHS = (0.7, 1.2, 2.0)
_ITERATIONS, _INNER = 16, 6  # of the functions; of the mixture for each
_FIRST_PAIRS = 5  # iteration in which the share of pairs and their colours become free
_CHOOSE = (0, 5)  # iterations in which the width is chosen
_WIDEST = 0.7  # mag, of the scatter for which the shift of the mean parallax is corrected

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Fit:
    """A fitted model and its control stars, [star], outputs as in ``Empirical``.

    residual, noise : [star output], mag, NaN where not measured; noise is a standard deviation
    with that of labels, dust and parallax. single, pair, outlier : shares of the components.
    freedom : [output], effective number of parameters.
    """

    model: Empirical
    control: Control
    mixture: Mixture
    residual: np.ndarray
    noise: np.ndarray
    single: np.ndarray
    pair: np.ndarray
    outlier: np.ndarray
    freedom: np.ndarray


@dataclass(frozen=True)
class _Residuals:
    """residual : [star output]. noise : [star output output]. known : [star output] bool."""

    residual: np.ndarray
    noise: np.ndarray
    known: np.ndarray


def fit_empirical(
    control: Control, *, law: Law = "fitzpatrick", progress: Progress | None = None
) -> Fit:
    """Fit the functions and the mixture to control stars.

    Raises RuntimeError without float64.
    """
    require_float64()
    table = load_bolometric_table(law)
    turn, columns = turn_of(control.bands), [ALL_BANDS.index(b) for b in control.bands]
    back = np.linalg.inv(turn[columns])  # magnitudes to outputs
    light = np.asarray(jax.vmap(lambda c: table.magnitudes(c, jnp.zeros(())))(control.core))
    outputs, slopes = light[:, columns] @ back.T, np.zeros((len(control), len(columns), 3))
    mixture, dwarf = Mixture.first(len(columns)), control.core[:, 1] > DWARF
    freedom = np.zeros(len(columns))
    basis, fits = None, []
    for step in range(_ITERATIONS):
        seen = _residuals(control, table, outputs, slopes=slopes, back=back, mixture=mixture)
        for _ in range(_INNER):
            parts = expect(mixture, seen.residual, seen.noise, known=seen.known, dwarf=dwarf)
            mixture = maximise(
                mixture,
                parts,
                seen.residual,
                known=seen.known,
                dwarf=dwarf,
                freedom=freedom,
                pairs_too=step >= _FIRST_PAIRS,
            )
        target, weight = _targets(outputs, seen, mixture, parts=parts)
        if basis is None or step in _CHOOSE:
            basis = _best_basis(control.core, target, weight)
        rows, turns = _rows(basis, control.core)
        fits = [ridge(basis, rows, t, weight=w) for t, w in zip(target.T, weight.T, strict=True)]
        coefficient = np.stack([fit.coefficient for fit in fits], axis=1)
        outputs, slopes = rows @ coefficient, np.einsum("ntc,to->noc", turns, coefficient)
        freedom = np.array([fit.freedom for fit in fits])
        if progress:
            progress("iterations", step + 1, _ITERATIONS)
    assert basis is not None
    seen = _residuals(control, table, outputs, slopes=slopes, back=back, mixture=mixture)
    parts = expect(mixture, seen.residual, seen.noise, known=seen.known, dwarf=dwarf)
    model = _model(basis, fits, mixture, turn=turn, control=control, inlier=parts.inlier)
    sd = np.sqrt(np.diagonal(seen.noise, axis1=1, axis2=2))
    return Fit(
        model=model,
        control=control,
        mixture=mixture,
        residual=np.where(seen.known, seen.residual, np.nan),
        noise=np.where(seen.known, sd, np.nan),
        single=parts.kinds[:, 0],
        pair=parts.kinds[:, 1:].sum(axis=1),
        outlier=1 - parts.inlier,
        freedom=freedom,
    )


def _model(
    basis: Basis,
    fits: list[Ridge],
    mixture: Mixture,
    *,
    turn: np.ndarray,
    control: Control,
    inlier: np.ndarray,
) -> Empirical:
    good = inlier > 0.5
    return Empirical(
        basis=basis,
        coefficient=jnp.asarray(np.stack([fit.coefficient for fit in fits], axis=1)),
        root=jnp.asarray(np.stack([fit.root for fit in fits])),
        scatter=jnp.asarray(mixture.scatter),
        turn=jnp.asarray(turn),
        shift=jnp.asarray(mixture.shift),
        shares=jnp.asarray(shares(mixture.fraction)),
        support=jnp.asarray(support_of(control.core[good])),
    )


def _targets(
    outputs: np.ndarray, seen: _Residuals, mixture: Mixture, *, parts: Parts
) -> tuple[np.ndarray, np.ndarray]:
    """(values of the functions that the data suggest, their inverse variances) [star output]."""
    shift = np.concatenate([np.zeros((1, outputs.shape[1])), mixture.shift])
    own = parts.inlier
    mean = (parts.kinds @ shift) / np.maximum(own, 1e-12)[:, None]
    variance = np.diagonal(mixture.scatter + seen.noise, axis1=1, axis2=2)
    weight = np.where(seen.known, own[:, None] / variance, 0.0)
    return outputs + np.where(seen.known, seen.residual - mean, 0.0), weight


def _best_basis(core: np.ndarray, target: np.ndarray, weight: np.ndarray) -> Basis:
    """The width of the lowest score, summed over outputs."""
    found = []
    for width in _WIDTHS:
        basis = make_basis(core, width=width)
        rows, _ = _rows(basis, core)
        pairs = zip(target.T, weight.T, strict=True)
        score = sum(ridge(basis, rows, t, weight=w).score * np.sum(w > 0) for t, w in pairs)
        found.append((score, width, basis))
    return min(found, key=lambda item: item[:2])[2]


def _rows(basis: Basis, core: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Basis functions [star term] and their derivatives [star term 3]."""
    return np.asarray(_terms(basis, core)), np.asarray(_slopes(basis, core))


def _residuals(
    control: Control,
    table: BolometricTable,
    outputs: np.ndarray,
    *,
    slopes: np.ndarray,
    back: np.ndarray,
    mixture: Mixture,
) -> _Residuals:
    """Measured less predicted outputs, and the covariance of their errors."""
    columns = [ALL_BANDS.index(b) for b in control.bands]
    light = control.magnitude[:, columns[0]] - outputs[:, 0]
    spread, dimmed, per_ebv = _dust(control, table, light)
    loss, k = dimmed[:, columns], per_ebv[:, columns]
    modulus = light - loss[:, 0]
    measured = np.isfinite(control.magnitude[:, columns])
    clear = np.where(measured, control.magnitude[:, columns] - loss, 0.0)
    seen = np.concatenate([np.zeros((len(control), 1)), clear[:, 1:] - clear[:, :1]], axis=1)
    noise = np.where(measured, control.variance[:, columns], 0.0)
    noise = np.einsum("ob,nb,pb->nop", back, noise, back)
    redder = k @ back.T
    noise += spread[:, None, None] ** 2 * redder[:, :, None] * redder[:, None, :]
    noise += slopes @ control.spread @ slopes.swapaxes(1, 2)
    residual = seen - outputs
    known = measured.copy()
    known[:, 0] = np.isfinite(control.parallax)
    expected = 10 ** (2 - 0.2 * modulus)
    sd = np.where(known[:, 0], control.parallax_sd, 1.0) / (PER_MAG * expected)
    relative = np.where(known[:, 0], control.parallax / expected - 1, 0.0) / PER_MAG
    total = np.minimum(mixture.scatter[0, 0] + noise[:, 0, 0], _WIDEST**2)
    mean = np.expm1(0.5 * PER_MAG**2 * total) / PER_MAG  # of a lognormal parallax
    residual[:, 0] = relative - mean + total * _climb(control.tables, modulus, control.core)
    noise[:, 0, 0] += sd**2
    return _Residuals(residual, noise, known)


def _dust(
    control: Control, table: BolometricTable, modulus: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(sd of E(B-V) [star], extinction at its mean, its derivative [star band]).

    modulus : [star], in front of which the dust is; of this little dust, roughly.
    """
    mean, sd = np.asarray(jax.vmap(of_modulus)(jnp.asarray(modulus), control.tables.dust)).T
    # moments of a Gaussian cut at 0
    hazard = np.exp(-0.5 * (mean / sd) ** 2 - log_ndtr(mean / sd)) / np.sqrt(2 * np.pi)
    ebv = mean + sd * hazard
    spread = sd * np.sqrt(np.maximum(1 - mean / sd * hazard - hazard**2, 0.01))
    dimmed, per_ebv = _extinction(table, control.core, ebv)
    return spread, np.asarray(dimmed), np.asarray(per_ebv)


@jax.jit
def _terms(basis: Basis, core: jax.Array) -> jax.Array:
    return jax.vmap(basis)(core)


@jax.jit
def _slopes(basis: Basis, core: jax.Array) -> jax.Array:
    return jax.vmap(jax.jacfwd(basis))(core)


@jax.jit
def _extinction(
    table: BolometricTable, core: jax.Array, ebv: jax.Array
) -> tuple[jax.Array, jax.Array]:
    found: tuple[jax.Array, jax.Array] = jax.vmap(table.extinction)(core, ebv)
    return found


def _climb(tables: Tables, modulus: np.ndarray, core: np.ndarray) -> np.ndarray:
    """[star], derivative of ln (stars per modulus) by the modulus, weighted by [M/H]."""
    weight = np.stack([p.density_of_metals(core[:, 2]) for p in POPULATIONS], axis=1)
    sides = []
    for step in (-0.25, 0.25):
        at = jnp.clip(jnp.asarray(modulus + step), MODULUS[0], MODULUS[-1])
        rows = np.asarray(jax.vmap(of_modulus)(at, tables.volume))
        sides.append(np.log(np.maximum((rows * weight).sum(axis=1), 1e-300)))
    result: np.ndarray = (sides[1] - sides[0]) / 0.5
    return result
