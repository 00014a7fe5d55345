"""Fits of simulated repeats of one star: what the estimator achieves beside its bound."""

from collections.abc import Callable
from dataclasses import replace

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from bayes_ddp.emulator.physics.points import ReferencePoint
from bayes_ddp.inference.bounds.design import Design
from bayes_ddp.inference.bounds.gradients import model_rows
from bayes_ddp.inference.fit import fit
from bayes_ddp.inference.forward import native_rows
from bayes_ddp.inference.parameters import Nuisances
from bayes_ddp.inference.posterior import Posterior
from bayes_ddp.inference.prior import Fixed, Normal
from bayes_ddp.inference.samplers import Map, Nuts
from bayes_ddp.spectra.raw import RawSpectra

__all__ = ["fit_repeats", "simulate_repeats"]

_WIDE = 20.0
"""Standard deviation of the prior of a label without one, in widths of its trained range."""

_native = eqx.filter_jit(native_rows)


def simulate_repeats(design: Design, snr: float, *, number: int, seed: int) -> RawSpectra:
    """Spectra of one star that differ by noise and by the errors of velocity and LSF width.

    The star rests. Its catalogue velocity scatters by ``vrad_err``, and the widths that are stated
    for the arms by the prior of the LSF factors, where these are unknown.
    """
    low, high = design.model.reach
    one = design.instrument.cut(low, high).spectra(snr, vrad_err=design.vrad_err)
    exposure = design.exposure(snr)
    shape, rows = exposure.shape, model_rows(design.model, design.labels)
    neutral = Nuisances(jnp.zeros(()), jnp.ones(len(shape.arms)))
    flux = np.asarray(_native(shape, exposure.star, rows[:1], nuisances=neutral))[0]
    rng = np.random.default_rng(seed)
    nuisance = design.unknowns.nuisance
    spread = design.vrad_err if nuisance.velocity else 0.0
    velocity = spread * rng.standard_normal(number)
    arms = []
    for arm, (_, first, last) in zip(one.arms, shape.arms, strict=True):
        sigma = 1 / np.sqrt(arm.ivar[0].astype(float))
        noise = sigma * rng.standard_normal((number, last - first))
        width = 1 + nuisance.lsf_sd(one.survey) * rng.standard_normal((number, 1))
        arms.append(
            replace(
                arm,
                flux=(flux[first:last] + noise).astype(np.float32),
                ivar=np.repeat(arm.ivar, number, axis=0),
                fwhm=(arm.fwhm / width).astype(np.float32),
            )
        )
    return replace(
        one,
        arms=tuple(arms),
        vrad=velocity,
        vrad_err=np.full(number, design.vrad_err),
        ebv=np.zeros(number),
        warn=np.zeros(number, np.int64),
        columns={"NAME": np.array([f"repeat-{i:05d}" for i in range(number)])},
    )


def fit_repeats(
    design: Design,
    snr: float,
    *,
    number: int,
    seed: int = 1,
    sampler: Map | Nuts | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Posterior:
    """Fits of simulated repeats, with the unknowns of the design and no other prior.

    sampler : by default the best fit alone.

    Raises ValueError for a design that cannot be fitted: continuum terms, no pseudo-continuum, or
    a reference point instead of an emulator.
    """
    unknowns, model = design.unknowns, design.model
    if unknowns.continuum or not unknowns.pseudo_continuum or not unknowns.emulator_error:
        raise ValueError(
            "Repeats are fitted as a run fits stars: with the pseudo-continuum and the emulator's "
            "error, and without continuum terms. Leave these options out."
        )
    if isinstance(model, ReferencePoint):
        raise ValueError("Repeats need an emulator, which a reference point is not.")
    space, wanted = model.space, unknowns.priors or {}
    priors: dict[str, Normal | Fixed] = {}
    for name, value, span in zip(space.names, design.labels, space.span, strict=True):
        if name in unknowns.fixed:
            priors[name] = Fixed(float(value))
        else:
            priors[name] = Normal(float(value), float(wanted.get(name, _WIDE * span)))
    return fit(
        simulate_repeats(design, snr, number=number, seed=seed),
        model,
        sampler=sampler or Map(draws=2),
        priors=priors,
        nuisance=unknowns.nuisance,
        seed=seed,
        progress=progress,
    )
