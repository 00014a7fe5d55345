"""Spectra in memory: units, masks, spectrum objects, and what is refused."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import InverseVariance, StdDevUncertainty, VarianceUncertainty
from astropy.table import Column, MaskedColumn
from astropy.utils.masked import Masked

from bayes_ddp.flags import WARN
from bayes_ddp.spectra.arrays import from_arrays
from bayes_ddp.spectra.raw import RawSpectra
from bayes_ddp.spectra.table import Layout, read_tables

WAVE = np.arange(4000.0, 5000.0)
RNG = np.random.default_rng(8)
FLUX = RNG.uniform(1, 2, (3, WAVE.size))
ERROR = RNG.uniform(0.01, 0.02, FLUX.shape)
CGS = u.erg / u.s / u.cm**2 / u.AA


@dataclass
class FakeSpectrum:
    """The attributes of ``specutils.Spectrum`` that are read."""

    spectral_axis: Any
    flux: Any
    uncertainty: Any = None
    mask: Any = None


def same(one: RawSpectra, other: RawSpectra, rtol: float = 0.0) -> None:
    for a, b in zip(one.arms, other.arms, strict=True):
        for name in ("wave", "flux", "ivar", "fwhm"):
            np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=rtol)
    for name in ("vrad", "vrad_err", "ebv", "warn"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_arrays_and_a_file_of_them_give_the_same_spectra(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", wave=WAVE, flux=FLUX, sigma=ERROR, v=np.array([1.0, 9e9, np.nan]))
    layout = Layout(air=True, resolution=1800, error="sigma", vrad="v", vrad_err=2.0)
    read = read_tables([tmp_path / "a.npz"], layout=layout)
    made = from_arrays(
        WAVE, FLUX, error=ERROR, resolution=1800, vrad=[1.0, 9e9, np.nan], vrad_err=2.0, air=True
    )
    same(made, read)
    assert made.survey == read.survey == "table"
    assert made.warn.tolist() == [0, WARN.BAD_RV, WARN.BAD_RV]


def test_one_spectrum_is_a_batch_of_one() -> None:
    one = from_arrays(WAVE, FLUX[0], ERROR[0] ** -2, fwhm=2.0, names="HD 1", ebv=0.02)
    assert one.identifiers() == ["HD 1"] and one.ebv.tolist() == [0.02]
    assert one.vrad.tolist() == [0.0] and one.vrad_err.tolist() == [5.0]
    np.testing.assert_array_equal(one.arms[0].flux[0], FLUX[0].astype(np.float32))
    np.testing.assert_array_equal(one.arms[0].ivar[0], (ERROR[0] ** -2).astype(np.float32))
    assert one.arms[0].fwhm.flags.writeable
    same(one, RawSpectra.from_arrays(WAVE, FLUX[0], ERROR[0] ** -2, fwhm=2.0, ebv=0.02))


def test_stars_without_names_are_numbered() -> None:
    assert from_arrays(WAVE, FLUX[0], fwhm=2.0).identifiers() == ["star"]
    three = from_arrays(WAVE, FLUX, fwhm=2.0)
    assert three.identifiers() == ["star-00000", "star-00001", "star-00002"]
    assert from_arrays(WAVE, FLUX, fwhm=2.0, names=[7, 8, 9]).identifiers() == ["7", "8", "9"]


def test_quantities_are_converted() -> None:
    plain = from_arrays(
        WAVE, FLUX, ERROR**-2, fwhm=2.0, vrad=[1.0, 2.0, 3.0], vrad_err=0.5, ebv=[0.0, 0.1, 0.2]
    )
    units = from_arrays(
        (WAVE / 10) * u.nm,
        FLUX * CGS,
        (ERROR**-2 / CGS**2).to(1 / (u.W / u.m**3) ** 2),
        fwhm=0.2 * u.nm,
        vrad=[1e3, 2e3, 3e3] * u.m / u.s,
        vrad_err=500 * u.m / u.s,
        ebv=[0.0, 0.1, 0.2] * u.mag,
    )
    same(units, plain, rtol=1e-6)
    error = from_arrays(WAVE * u.AA, FLUX * CGS, error=(ERROR * CGS).to(u.W / u.m**3), fwhm=2.0)
    assert np.allclose(error.arms[0].ivar, plain.arms[0].ivar, rtol=1e-6)
    column = from_arrays(Column(WAVE / 10, unit="nm"), Column(FLUX[0]), fwhm=2.0)
    np.testing.assert_allclose(column.arms[0].wave, WAVE)


@pytest.mark.parametrize(
    "masked", [np.ma.array, MaskedColumn, lambda data, mask: Masked(data * CGS, mask=mask)]
)
def test_masked_pixels_have_no_weight(masked: Any) -> None:
    """Whatever value is under the mask, and without a warning about it."""
    mask = np.zeros(WAVE.size, bool)
    mask[[10, 20]] = True
    flux = FLUX[0].copy()
    flux[10] = np.nan
    for more in ({}, {"error": ERROR[0]}):
        raw = from_arrays(WAVE, masked(flux, mask=mask), fwhm=2.0, **more)
        assert np.flatnonzero(raw.arms[0].ivar[0] == 0).tolist() == [10, 20]
        assert raw.warn.tolist() == [0 if more else WARN.NO_ERRORS]
    hidden = np.ma.array(ERROR[0] ** -2, mask=mask)
    raw = from_arrays(WAVE, FLUX[0], hidden, fwhm=2.0)
    assert np.flatnonzero(raw.arms[0].ivar[0] == 0).tolist() == [10, 20]


@pytest.mark.parametrize(
    "uncertainty",
    [StdDevUncertainty(ERROR), VarianceUncertainty(ERROR**2), InverseVariance(ERROR**-2)],
)
def test_uncertainty_of_a_spectrum_object_is_known_by_its_type(uncertainty: Any) -> None:
    plain = from_arrays(WAVE, FLUX, ERROR**-2, fwhm=2.0)
    spectrum = FakeSpectrum(WAVE * u.AA, FLUX * CGS, uncertainty)
    same(from_arrays(spectrum, fwhm=2.0), plain, rtol=1e-6)
    uncertainty = type(uncertainty)(uncertainty.array, unit=CGS ** _power(uncertainty))
    same(from_arrays(FakeSpectrum(WAVE * u.AA, FLUX * CGS, uncertainty), fwhm=2.0), plain, 1e-6)


def _power(uncertainty: Any) -> int:
    return {"std": 1, "var": 2, "ivar": -2}[uncertainty.uncertainty_type]


def test_list_of_spectrum_objects_is_a_batch() -> None:
    """Each with its own mask; the second is in another unit of flux."""
    mask = np.zeros(WAVE.size, bool)
    mask[5] = True
    other = u.W / u.m**3
    spectra = [
        FakeSpectrum(WAVE / 10 * u.nm, FLUX[0] * CGS, StdDevUncertainty(ERROR[0]), mask),
        FakeSpectrum(
            WAVE * u.AA,
            (FLUX[1] * CGS).to(other),
            StdDevUncertainty((ERROR[1] * CGS).to_value(other), unit=other),
        ),
    ]
    spectra[0].spectral_axis = WAVE * u.AA
    weight = ERROR[:2] ** -2
    weight[0, 5] = 0
    raw = from_arrays(spectra, fwhm=2.0, names=["a", "b"])
    same(raw, from_arrays(WAVE, FLUX[:2], weight, fwhm=2.0), rtol=1e-6)
    assert raw.identifiers() == ["a", "b"]


def test_spectrum_object_without_uncertainty_has_no_errors() -> None:
    mask = np.zeros(WAVE.size, bool)
    mask[5] = True
    raw = from_arrays(FakeSpectrum(WAVE * u.AA, FLUX[0] * u.Jy, mask=mask), fwhm=2.0)
    assert raw.warn.tolist() == [WARN.NO_ERRORS]
    assert np.flatnonzero(raw.arms[0].ivar[0] == 0).tolist() == [5]


@pytest.mark.parametrize("scale", [1e-17, 1e-30, 1e25])
def test_flux_of_any_size_fits_into_float32(scale: float) -> None:
    one = from_arrays(WAVE, FLUX, ERROR**-2, fwhm=2.0).arms[0]
    other = from_arrays(WAVE, FLUX * scale, (ERROR * scale) ** -2.0, fwhm=2.0).arms[0]
    ratio = np.median(other.flux / one.flux)
    np.testing.assert_allclose(other.flux, one.flux * ratio, rtol=1e-6)
    np.testing.assert_allclose(other.ivar, one.ivar / ratio**2, rtol=1e-6)


def test_arrays_that_were_given_are_not_changed() -> None:
    flux, ivar = FLUX * 1e-20, ERROR**-2
    flux[0, 3] = np.nan
    before = flux.copy(), ivar.copy()
    from_arrays(WAVE, flux, ivar, fwhm=2.0, air=True)
    from_arrays(WAVE, flux, fwhm=2.0)
    np.testing.assert_array_equal(flux, before[0])
    np.testing.assert_array_equal(ivar, before[1])


def spectrum(**changed: Any) -> FakeSpectrum:
    return FakeSpectrum(**{"spectral_axis": WAVE * u.AA, "flux": FLUX[0] * CGS} | changed)


class Odd:
    """An uncertainty of no known type."""

    uncertainty_type = "percent"
    array = ERROR[0]


WRONG: list[tuple[Any, str]] = [
    (lambda: from_arrays(WAVE, FLUX), "give either 'fwhm'.*or 'resolution'"),
    (lambda: from_arrays(WAVE, FLUX, fwhm=2.0, resolution=1800), "give either 'fwhm'"),
    (lambda: from_arrays(WAVE, fwhm=2.0), "'flux' is missing"),
    (lambda: from_arrays(WAVE, FLUX, ERROR, error=ERROR, fwhm=2.0), "both given"),
    (lambda: from_arrays(WAVE, FLUX + 0j, fwhm=2.0), "'flux' has the data type complex128"),
    (lambda: from_arrays(WAVE, FLUX.astype(object), fwhm=2.0), "'flux' has the data type object"),
    (lambda: from_arrays(WAVE.astype(str), FLUX, fwhm=2.0), "'wave' has the data type <U"),
    (lambda: from_arrays(WAVE, FLUX > 1, fwhm=2.0), "'flux' has the data type bool"),
    (
        lambda: from_arrays(WAVE, [[1.0], [1.0, 2.0]], fwhm=2.0),
        "'flux' is not an array of numbers",
    ),
    (lambda: from_arrays([4000 * u.AA, 4001 * u.AA], FLUX, fwhm=2.0), "'wave' is not an array"),
    (lambda: from_arrays(WAVE[1:], FLUX, fwhm=2.0), r"'wave' has the shape \(999,\) and the flux"),
    (lambda: from_arrays(WAVE, FLUX[None], fwhm=2.0), r"the flux \(1, 3, 1000\)"),
    (lambda: from_arrays(4000.0, 1.0, fwhm=2.0), "at least 2 pixels"),
    (lambda: from_arrays(WAVE, FLUX, ERROR[:2], fwhm=2.0), r"'ivar' has the shape \(2, 1000\)"),
    (lambda: from_arrays(WAVE, FLUX, fwhm=np.ones(7)), r"'fwhm' has the shape \(7,\)"),
    (lambda: from_arrays(WAVE[::-1], FLUX, fwhm=2.0), "'wave' does not rise at pixel 1"),
    (lambda: from_arrays(np.log10(WAVE), FLUX, fwhm=2.0), "outside 1000-30000 Å"),
    (lambda: from_arrays(WAVE / 10, FLUX, fwhm=2.0), "outside 1000-30000 Å"),
    (lambda: from_arrays(WAVE * 10, FLUX, fwhm=2.0), "outside 1000-30000 Å"),
    (
        lambda: from_arrays(WAVE * u.km / u.s, FLUX, fwhm=2.0),
        "'wave' has the unit km / s.*Angstrom",
    ),
    (lambda: from_arrays(WAVE, FLUX, fwhm=0.0), "'fwhm' is not a positive number"),
    (lambda: from_arrays(WAVE, FLUX, resolution=-1.0), "'resolution' is not a positive number"),
    (
        lambda: from_arrays(WAVE, FLUX, fwhm=2.0, vrad=[1.0, 2.0]),
        "'vrad' has 2 values for 3 stars",
    ),
    (lambda: from_arrays(WAVE, FLUX, fwhm=2.0, vrad=None), "'vrad' is None"),
    (lambda: from_arrays(WAVE, FLUX, fwhm=2.0, names=["a", "b"]), "'names' has 2 values"),
    (lambda: from_arrays(WAVE, FLUX, fwhm=2.0, names="a"), "The name 'a' belongs to more"),
    (
        lambda: from_arrays(WAVE, FLUX * CGS, ERROR**-2 / CGS, fwhm=2.0),
        "'ivar' has the unit cm2 Angstrom s / erg and the flux has the unit erg",
    ),
    (
        lambda: from_arrays(WAVE, FLUX, ERROR**-2 / CGS**2, fwhm=2.0),
        "the flux has no unit, so 'ivar' must have no unit",
    ),
    (lambda: from_arrays(WAVE, FLUX * u.ABmag, fwhm=2.0), "'flux' is in mag.*a logarithm"),
    (lambda: from_arrays(WAVE, FLUX * u.ABmag, ERROR / u.Jy**2, fwhm=2.0), "'flux' is in mag"),
    (lambda: from_arrays(spectrum(), FLUX[0], fwhm=2.0), "given beside it"),
    (lambda: from_arrays(spectrum(uncertainty=Odd()), fwhm=2.0), "of type 'percent'"),
    (lambda: from_arrays(spectrum(mask=np.zeros(3, bool)), fwhm=2.0), "'mask' has the shape"),
    (
        lambda: from_arrays([spectrum(), spectrum(spectral_axis=(WAVE + 1) * u.AA)], fwhm=2.0),
        "Spectrum 1 of the list has other wavelengths",
    ),
    (
        lambda: from_arrays(
            [spectrum(), spectrum(uncertainty=StdDevUncertainty(ERROR[0]))], fwhm=2.0
        ),
        "only one has an uncertainty",
    ),
    (
        lambda: from_arrays([spectrum(), spectrum(flux=FLUX[0] * u.m)], fwhm=2.0),
        "'flux' has the unit m,",
    ),
]


@pytest.mark.parametrize(("call", "message"), WRONG, ids=[message for _, message in WRONG])
def test_what_does_not_fit_together_is_one_sentence(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
