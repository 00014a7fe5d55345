"""Cramér-Rao bounds of one star or of many: the public function and its result.

The information is that of the pixels, with the nuisances of a fit and their priors. A label has a
prior only where one is asked for. What goes in is part of the result.

Source: Zhang et al. (DD-Payne on DESI EDR), section 4.2 and Fig. 9; Sandford et al. (2020).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from astropy.table import Column, Table
from jaxtyping import Array

from bayes_ddp.emulator.physics.points import ReferencePoint
from bayes_ddp.inference.bounds.design import Design, Unknowns, make_design
from bayes_ddp.inference.bounds.exposure import VRAD_ERR, Exposure, Model
from bayes_ddp.inference.bounds.fisher import free_groups, precision, sandwich
from bayes_ddp.inference.bounds.gradients import Matrices, Terms, matrices, model_rows
from bayes_ddp.labels import label
from bayes_ddp.spectra.instruments import Instrument

__all__ = ["Bounds", "bounds", "bounds_at", "bounds_on"]

_RESOLVED = 10.0
"""Least information on a label, in units of what rounding of a physical spectrum feigns."""


@dataclass(frozen=True, eq=False)
class Bounds:
    """How precise the labels of one star can be.

    names : labels that are unknown, in order; all arrays are in this order. values : [label], the
        star's labels. snr : of the median pixel; NaN for a real spectrum.
    marginal : [label], the bound with all labels and nuisances unknown. conditional : with all
        other labels known. covariance : [label label], of the marginal bounds.
    sandwich : [label label], covariance of the estimator that is used, whose weights ignore that
        self-normalised pixels have correlated noise. repeats : [label label], the part of it that
        differs between spectra of one star: noise, velocity and LSF without the model's error.
    unconstrained : groups of labels that the spectrum does not tell apart; NaN above.
    nuisances : (name, prior) of what else is unknown or enters the variance.
    priors : label -> standard deviation of the Gaussian priors that were asked for.
    source, instrument : where gradient spectra and pixels come from.
    """

    names: tuple[str, ...]
    values: np.ndarray
    snr: float
    marginal: np.ndarray
    conditional: np.ndarray
    covariance: np.ndarray
    sandwich: np.ndarray
    repeats: np.ndarray
    unconstrained: tuple[tuple[str, ...], ...]
    nuisances: tuple[tuple[str, str], ...]
    priors: Mapping[str, float]
    source: str
    instrument: str

    def __repr__(self) -> str:
        return (
            f"<Bounds of {len(self.names)} labels: {self.instrument}, S/N {self.snr:g}, "
            f"{self.source}>"
        )

    @property
    def sandwich_sd(self) -> np.ndarray:
        """[label], standard deviation of the estimator that is used."""
        return np.sqrt(np.diagonal(self.sandwich))

    @property
    def repeats_sd(self) -> np.ndarray:
        """[label], scatter of that estimator between spectra of one star."""
        return np.sqrt(np.diagonal(self.repeats))

    @property
    def correlation(self) -> np.ndarray:
        """[label label], of the marginal bounds."""
        return self.covariance / np.outer(self.marginal, self.marginal)

    def as_dict(self, which: str = "marginal") -> dict[str, float]:
        """Label -> bound; ``which`` is marginal, conditional, sandwich_sd or repeats_sd."""
        return dict(zip(self.names, map(float, getattr(self, which)), strict=True))

    def to_table(self) -> Table:
        """A row per label: value, bounds, ratio and the covariance with every label."""
        table = Table({"LABEL": list(self.names), "UNIT": [label(n).unit for n in self.names]})
        columns = (
            ("VALUE", self.values, "label of the star"),
            ("BOUND", self.marginal, "Cramér-Rao bound, other labels and nuisances unknown"),
            ("CONDITIONAL", self.conditional, "bound where all other labels are known"),
            ("RATIO", self.marginal / self.conditional, "BOUND / CONDITIONAL"),
            ("SANDWICH", self.sandwich_sd, "standard deviation of the estimator that is used"),
            ("REPEATS", self.repeats_sd, "scatter of that estimator between spectra of one star"),
            ("COVARIANCE", self.covariance, "of the bounds, labels as in LABEL"),
        )
        for name, values, text in columns:
            table[name] = Column(values, description=text)
        return table


def bounds(
    labels: Mapping[str, float],
    *,
    snr: float = 100.0,
    instrument: str | Path | Instrument = "desi",
    emulator: str | Path | Model | None = None,
    unknowns: Unknowns | None = None,
    vrad_err: float = VRAD_ERR,
) -> Bounds:
    """Cramér-Rao bounds of a star's labels.

    Parameters
    ----------
    labels
        Label -> value; Teff, log g and [Fe/H] are needed. vmic is the usual one and [X/Fe] solar
        where they are not given.
    snr
        Per pixel, of the instrument's median pixel, relative to the pseudo-continuum.
    instrument
        Name of a shipped instrument, TOML file, or ``Instrument``.
    emulator
        Whose gradient spectra are used: name, folder or model, or ``physics-lte`` or ``fine-lte``
        for the finite differences of physical spectra at the nearest reference point. By default
        the first of desi-physics and these that is sharp enough.
    unknowns
        What is unknown beside the labels; by default what a fit has.
    vrad_err
        km/s, error of the catalogue velocity.

    Raises RuntimeError without float64, ValueError where labels, instrument and emulator do not
    fit together.
    """
    design = make_design(
        labels, instrument=instrument, emulator=emulator, unknowns=unknowns, vrad_err=vrad_err
    )
    return bounds_at(design, snr)


def bounds_at(design: Design, snr: float) -> Bounds:
    """Bounds of a design at one S/N; raises ValueError for one that is not positive."""
    if not (np.isfinite(snr) and snr > 0):
        raise ValueError(f"S/N = {snr}: give a number above 0.")
    return bounds_on(design, design.exposure(snr), snr=snr)


def bounds_on(design: Design, exposure: Exposure, *, snr: float = np.nan) -> Bounds:
    """Bounds on the pixels of one star, ideal or real."""
    arms = tuple(name for name, _, _ in exposure.shape.arms)
    terms = design.terms(arms)
    found = matrices(exposure, model_rows(design.model, design.labels), terms=terms)
    size, prior = terms.labels, jnp.asarray(design.label_precision())
    full = _solve(found, prior, labels=size)
    unresolved = _unresolved(design, exposure, terms, information=np.asarray(found.information))
    hide = np.isin(design.free, unresolved)
    marginal, conditional, covariance, robust, repeats, free = (np.array(x) for x in full)
    for values in (marginal, conditional, covariance, robust, repeats):
        values[hide] = np.nan
        if values.ndim == 2:
            values[:, hide] = np.nan
    groups = free_groups(free, design.free)
    more = tuple((n,) for n in unresolved if (n,) not in groups)
    return Bounds(
        names=design.free,
        values=design.labels[[design.names.index(n) for n in design.free]],
        snr=snr,
        marginal=marginal,
        conditional=conditional,
        covariance=covariance,
        sandwich=robust,
        repeats=repeats,
        unconstrained=(*groups, *more),
        nuisances=(*terms.nuisances, *_variance_terms(design)),
        priors=dict(design.unknowns.priors or {}),
        source=design.source,
        instrument=design.instrument.title,
    )


@eqx.filter_jit
def _solve(found: Matrices, prior: Array, *, labels: int) -> tuple[Array, ...]:
    added = jnp.zeros(len(found.information)).at[:labels].set(prior)
    curvature = found.information + jnp.diag(added)
    own = precision(curvature, labels=labels)
    robust, repeats = (
        sandwich(curvature, spread + jnp.diag(added), labels=labels)
        for spread in (found.spread, found.repeats)
    )
    return own.marginal, own.conditional, own.covariance, robust, repeats, own.free


def _variance_terms(design: Design) -> tuple[tuple[str, str], ...]:
    """(name, prior) of what is part of the variance of the pixels."""
    rows: list[tuple[str, str]] = []
    if np.any(design.error > 0):
        rms = float(np.sqrt(np.mean(np.asarray(design.error, float) ** 2)))
        rows.append(("emulator error", f"in the variance, rms {rms:.4f} of the flux"))
    return tuple(rows)


def _unresolved(
    design: Design, exposure: Exposure, terms: Terms, *, information: np.ndarray
) -> tuple[str, ...]:
    """Labels on which a physical spectrum contains no more than its own rounding.

    Rounding of the stored spectra adds to the information; white noise of ``rounding`` per model
    pixel is averaged by the LSF over as many pixels as it spans.
    """
    if not isinstance(design.model, ReferencePoint):
        return ()
    model = design.model
    step = float(model.wave[1] - model.wave[0])
    width = np.sqrt(
        np.maximum(np.asarray(exposure.star.fwhm, float) ** 2 - model.fwhm**2, step**2)
    )
    spans = np.maximum(np.sqrt(4 * np.pi) * width / np.sqrt(8 * np.log(2)) / step, 1.0)
    weight = float(np.sum(np.asarray(exposure.star.precision, float) / spans))
    feigned = np.asarray(model.rounding) ** 2 * weight
    own = np.diagonal(information)[: terms.labels]
    places = [model.space.index(n) for n in design.free]
    return tuple(
        name
        for name, have, noise in zip(design.free, own, feigned[places], strict=True)
        if have < _RESOLVED * noise
    )
