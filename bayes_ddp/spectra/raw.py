"""Records of spectra as read from a survey: one block per arm, flux in the survey's unit.

A masked pixel has ``ivar = 0`` and wavelengths are vacuum Å in the barycentric (observed) frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from bayes_ddp.spectra.quantities import SpectrumLike

__all__ = ["RawArm", "RawSpectra", "concatenate", "same_pixels"]

_SAME = 1e-3  # pixel
_FLOAT32 = 1.2e-7  # relative


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

    def range(self) -> str:
        """First and last wavelength as a text, such as ``3600-5800 Å``."""
        return f"{self.wave[0]:.0f}-{self.wave[-1]:.0f} Å"

    def take(self, rows: np.ndarray) -> "RawArm":
        """The arm of the stars in ``rows``, in that order."""
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
    """Spectra of one survey before normalisation.

    survey : key of ``SURVEYS``.
    vrad, vrad_err : [star], km/s, barycentric velocity and its error; NaN if unknown.
    ebv : [star], mag; NaN if unknown.
    warn : [star] int64, bits of ``WARN`` set by the reader.
    columns : name -> [star], identifiers and catalogue columns that are copied to the output. The
        names in ``key`` identify a row.
    """

    survey: str
    arms: tuple[RawArm, ...]
    vrad: np.ndarray
    vrad_err: np.ndarray
    ebv: np.ndarray
    warn: np.ndarray
    key: tuple[str, ...]
    columns: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def from_arrays(
        cls,
        wave: "ArrayLike | SpectrumLike | Sequence[SpectrumLike]",
        flux: ArrayLike | None = None,
        ivar: ArrayLike | None = None,
        **options: Any,
    ) -> "RawSpectra":
        """Spectra in memory; ``bayes_ddp.spectra.arrays.from_arrays`` describes the options."""
        from bayes_ddp.spectra.arrays import from_arrays  # it imports this record

        return from_arrays(wave, flux, ivar, **options)

    def __len__(self) -> int:
        return len(self.vrad)

    def __repr__(self) -> str:
        arms = ", ".join(f"{arm.name} {arm.range()}" for arm in self.arms)
        return (
            f"<RawSpectra of {self.survey}: {self._count()}, {self._known()} with a velocity; "
            f"arms {arms}>"
        )

    def _repr_html_(self) -> str:
        """HTML table for notebooks: survey, number of spectra, and a row per arm."""
        rows = [("survey", self.survey), ("spectra", self._count()), ("velocities", self._known())]
        rows += [
            (f"arm {arm.name}", f"{arm.range()}, {len(arm.wave)} pixels") for arm in self.arms
        ]
        cells = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>"
            for name, value in rows
        )
        return f"<table>{cells}</table>"

    def _count(self) -> str:
        return f"{len(self)} {'spectrum' if len(self) == 1 else 'spectra'}"

    def _known(self) -> int:
        """Number of spectra with a velocity."""
        return int(np.isfinite(self.vrad).sum())

    def take(self, rows: np.ndarray | Sequence[int]) -> "RawSpectra":
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
        """The same spectra with other inverse variances, [star pixel] per arm."""
        arms = zip(self.arms, ivars, strict=True)
        return replace(self, arms=tuple(replace(arm, ivar=ivar) for arm, ivar in arms))

    def identifiers(self) -> list[str]:
        """One text per star from its key columns, such as ``39633345|sv1|bright|27247``."""
        parts = [self.columns[name] for name in self.key]
        return ["|".join(str(part[i]) for part in parts) for i in range(len(self))]


def same_pixels(one: RawSpectra, other: RawSpectra) -> bool:
    """Whether two records have the same survey and the same wavelengths.

    Wavelengths may differ by a thousandth of a pixel or by rounding to float32.
    """
    if one.survey != other.survey or len(one.arms) != len(other.arms):
        return False
    return all(_same_arm(a, b) for a, b in zip(one.arms, other.arms, strict=True))


def _same_arm(one: RawArm, other: RawArm) -> bool:
    if one.name != other.name or one.wave.shape != other.wave.shape:
        return False
    if np.array_equal(one.wave, other.wave):
        return True
    step = np.gradient(one.wave) if one.wave.size > 1 else np.ones(1)
    limit = np.maximum(_SAME * step, _FLOAT32 * one.wave)
    return bool((np.abs(one.wave - other.wave) <= limit).all())


def concatenate(parts: Sequence[RawSpectra]) -> RawSpectra:
    """One record of all stars in ``parts``, which must share survey and wavelengths.

    The wavelengths of the first part are kept. Columns that a part lacks are left out. Raises
    ValueError if survey or wavelengths differ.
    """
    first = parts[0]
    for part in parts[1:]:
        if not same_pixels(part, first):
            raise ValueError(
                f"Spectra of {first.survey} and {part.survey} on different wavelengths cannot be "
                "joined: fit them separately."
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
