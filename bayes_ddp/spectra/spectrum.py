"""The two records of spectra: as a survey gives them, and as the likelihood takes them.

``RawSpectra`` is what a reader makes: NumPy only, one block per arm, flux in the survey's unit.
``Spectrum`` is what ``prepare`` makes of it: the same native pixels, divided by their
pseudo-continuum, with all that is needed to bring a model to them. In both a masked pixel has
``ivar = 0`` and wavelengths are vacuum Å in the barycentric (observed) frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float

__all__ = ["RawArm", "RawSpectra", "Spectrum", "concatenate"]


@dataclass(frozen=True)
class RawArm:
    """One arm of a spectrograph for all stars of a batch.

    wave : [pixel], Å vacuum, barycentric, ascending; the same for every star.
    flux, ivar : [star pixel], the survey's flux unit and its inverse square.
    fwhm : [star pixel], Å, Gaussian width of the LSF.
    resolution : [star diagonal pixel] resolution matrices in DESI band storage, or None.
    """

    name: str
    wave: np.ndarray
    flux: np.ndarray
    ivar: np.ndarray
    fwhm: np.ndarray
    resolution: np.ndarray | None = None

    def __post_init__(self) -> None:
        shape = (len(self.flux), len(self.wave))
        for name in ("flux", "ivar", "fwhm"):
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"Arm {self.name}: {name} has shape {getattr(self, name).shape}, but flux and "
                    f"wave make it {shape}."
                )

    def take(self, rows: np.ndarray) -> "RawArm":
        """The same arm for the stars in ``rows``."""
        matrix = None if self.resolution is None else self.resolution[rows]
        return replace(
            self,
            flux=self.flux[rows],
            ivar=self.ivar[rows],
            fwhm=self.fwhm[rows],
            resolution=matrix,
        )


@dataclass(frozen=True)
class RawSpectra:
    """Spectra as one survey gives them.

    survey : key of ``SURVEYS``.
    vrad, vrad_err : [star], km/s; NaN where unknown.
    ebv : [star], mag; NaN where unknown.
    warn : [star] int64, bits of ``WARN`` set by the reader.
    columns : name -> [star], identifiers and catalogue columns that go into the output as they
        are. The names in ``key`` identify a row.
    """

    survey: str
    arms: tuple[RawArm, ...]
    vrad: np.ndarray
    vrad_err: np.ndarray
    ebv: np.ndarray
    warn: np.ndarray
    key: tuple[str, ...]
    columns: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.vrad)

    def take(self, rows: np.ndarray) -> "RawSpectra":
        """The stars in ``rows``, in that order."""
        rows = np.asarray(rows)
        return replace(
            self,
            arms=tuple(arm.take(rows) for arm in self.arms),
            vrad=self.vrad[rows],
            vrad_err=self.vrad_err[rows],
            ebv=self.ebv[rows],
            warn=self.warn[rows],
            columns={name: values[rows] for name, values in self.columns.items()},
        )

    def with_ivar(self, ivars: Sequence[np.ndarray]) -> "RawSpectra":
        """The same spectra with other inverse variances, an array for each arm."""
        arms = zip(self.arms, ivars, strict=True)
        return replace(self, arms=tuple(replace(arm, ivar=ivar) for arm, ivar in arms))

    def identifiers(self) -> list[str]:
        """One string per star made of its key columns, e.g. ``39633345|sv1|bright|27247``."""
        parts = [self.columns[name] for name in self.key]
        return ["|".join(str(part[i]) for part in parts) for i in range(len(self))]


def concatenate(parts: Sequence[RawSpectra]) -> RawSpectra:
    """One record of all stars in ``parts``, which must share survey and wavelengths.

    Columns that some parts lack are left out. Raises ValueError for unlike parts.
    """
    first = parts[0]
    for part in parts[1:]:
        same = part.survey == first.survey and len(part.arms) == len(first.arms)
        if not same or any(
            not np.array_equal(a.wave, b.wave) for a, b in zip(part.arms, first.arms, strict=True)
        ):
            raise ValueError(
                f"Spectra of {first.survey} and {part.survey} on different wavelengths cannot be "
                "joined: run them apart."
            )
    shared = [name for name in first.columns if all(name in part.columns for part in parts)]
    arms = []
    for group in zip(*(part.arms for part in parts), strict=True):
        matrices = [arm.resolution for arm in group]
        known = [matrix for matrix in matrices if matrix is not None]
        arms.append(
            replace(
                group[0],
                flux=np.concatenate([arm.flux for arm in group]),
                ivar=np.concatenate([arm.ivar for arm in group]),
                fwhm=np.concatenate([arm.fwhm for arm in group]),
                resolution=np.concatenate(known) if len(known) == len(matrices) else None,
            )
        )
    return replace(
        first,
        arms=tuple(arms),
        vrad=np.concatenate([part.vrad for part in parts]),
        vrad_err=np.concatenate([part.vrad_err for part in parts]),
        ebv=np.concatenate([part.ebv for part in parts]),
        warn=np.concatenate([part.warn for part in parts]),
        columns={n: np.concatenate([part.columns[n] for part in parts]) for n in shared},
    )


class Spectrum(eqx.Module):
    """Spectra of one survey, normalised, on their native pixels; arms stand one after another.

    wave : [pixel] float64, Å vacuum, barycentric.
    flux, ivar : [star pixel] float32, flux over pseudo-continuum, and 1 / its variance.
    weight : [star pixel] float32, 0 or 1: which pixels form the pseudo-continuum (Eq. 1).
    fwhm : [star pixel] float32, Å, Gaussian LSF of the data.
    continuum : [star pixel] float32, pseudo-continuum in the survey's flux unit.
    vrad, vrad_err : [star] float64, km/s: where the model is shifted to, and the width of the
        prior of what remains.
    arms : (name, first pixel, past the last pixel) of each arm.
    """

    wave: Float[Array | np.ndarray, " pixel"]
    flux: Float[Array | np.ndarray, "star pixel"]
    ivar: Float[Array | np.ndarray, "star pixel"]
    weight: Float[Array | np.ndarray, "star pixel"]
    fwhm: Float[Array | np.ndarray, "star pixel"]
    continuum: Float[Array | np.ndarray, "star pixel"]
    vrad: Float[Array | np.ndarray, " star"]
    vrad_err: Float[Array | np.ndarray, " star"]
    arms: tuple[tuple[str, int, int], ...] = eqx.field(static=True)
    survey: str = eqx.field(static=True)

    def __len__(self) -> int:
        return self.flux.shape[0]

    def take(self, rows: np.ndarray) -> "Spectrum":
        """The stars in ``rows``, in that order."""
        return eqx.tree_at(
            lambda s: (s.flux, s.ivar, s.weight, s.fwhm, s.continuum, s.vrad, s.vrad_err),
            self,
            replace_fn=lambda array: array[rows],
        )

    def on_device(self) -> "Spectrum":
        """The same record with its arrays as JAX arrays."""
        return jax.tree.map(jax.numpy.asarray, self)
