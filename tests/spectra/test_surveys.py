"""Every survey's record holds what the package looks up, and its functions agree on a file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from bayes_ddp import config
from bayes_ddp.commands.info import describe
from bayes_ddp.files.errors import BadFileError
from bayes_ddp.files.fits import open_fits
from bayes_ddp.inference.problem import Nuisance
from bayes_ddp.spectra.masks import BANDS, Band, apply_masks
from bayes_ddp.spectra.prepare import prepare
from bayes_ddp.spectra.raw import RawSpectra
from bayes_ddp.spectra.read import read
from bayes_ddp.spectra.survey import Survey
from bayes_ddp.spectra.surveys import SURVEYS, find_survey, recognise
from bayes_ddp.spectra.table import Layout, count_tables

LAYOUT = Layout(air=False, fwhm=2.5, error="sigma")
each_survey = pytest.mark.parametrize("survey", SURVEYS.values(), ids=list(SURVEYS))


def options(survey: Survey) -> dict[str, Layout]:
    return {"layout": LAYOUT} if survey.needs_layout else {}


@each_survey
def test_record_has_its_fields(survey: Survey) -> None:
    assert SURVEYS[survey.name] is find_survey(survey.name) is survey
    assert survey.title and survey.file_kind
    assert 0 < survey.lsf_sd <= 0.3
    assert survey.edge_pixels >= 0
    assert all(isinstance(band, Band) and band.low < band.high for band in survey.bands)
    assert not set(survey.bands) & set(BANDS)


@each_survey
def test_file_is_recognised_counted_and_read(
    survey: Survey, survey_files: dict[str, Path]
) -> None:
    path = survey_files[survey.name]
    assert recognise(path) is survey
    raw = survey.read([path], catalog=None, redshifts=[], **options(survey))
    assert isinstance(raw, RawSpectra) and raw.survey == survey.name
    assert survey.count(path, **options(survey)) == survey.count(path) == len(raw) > 0
    assert len(set(raw.identifiers())) == len(raw)
    assert set(raw.key) <= set(raw.columns) and raw.warn.dtype == np.int64
    for arm in raw.arms:
        assert np.all(np.diff(arm.wave) > 0)
        assert np.isfinite(arm.flux).all() and (arm.ivar >= 0).all() and (arm.fwhm > 0).all()


@each_survey
def test_file_of_one_format_is_of_no_other(survey: Survey, survey_files: dict[str, Path]) -> None:
    """Tables come last: every file with a column of fluxes is one."""
    for name, path in survey_files.items():
        if path.suffix == ".fits" and not survey.needs_layout:
            with open_fits(path) as file:
                assert survey.recognise(file) == (name == survey.name)


@each_survey
def test_ends_of_arms_are_not_fitted(survey: Survey, survey_files: dict[str, Path]) -> None:
    path = survey_files[survey.name]
    raw = survey.read([path], **options(survey))
    raw = replace(raw, vrad=np.zeros(len(raw)))
    spectrum, _ = prepare(raw)
    edge = survey.edge_pixels
    for _, first, last in spectrum.arms:
        assert not spectrum.ivar[:, first : first + edge].any()
        assert not spectrum.ivar[:, last - edge : last].any()


def test_records_hold_the_measured_numbers() -> None:
    found = {name: (survey.lsf_sd, survey.edge_pixels) for name, survey in SURVEYS.items()}
    assert found == {"desi": (0.03, 5), "lamost": (0.1, 0), "sdss": (0.05, 0), "table": (0.05, 0)}
    assert [Nuisance().lsf_sd(name) for name in SURVEYS] == [0.03, 0.1, 0.05, 0.05]
    floors = {name: survey.vrad_floor for name, survey in SURVEYS.items()}
    assert floors == {"desi": 1.0, "lamost": 3.4, "sdss": 4.0, "table": 0.0}


@pytest.mark.parametrize("survey", ["desi", "lamost"])
def test_bands_of_a_survey_are_masked_in_that_survey_alone(survey: str) -> None:
    wave = np.array([band.high - 1 for band in SURVEYS[survey].bands])
    good, _, use = apply_masks(wave, np.zeros(1), survey, ebv=np.zeros(1))
    assert wave.size and not good.any() and not use.any()
    for other in ("sdss", "table"):
        assert apply_masks(wave, np.zeros(1), other, ebv=np.zeros(1))[2].all()


def test_real_files_are_recognised(data: Path) -> None:
    folder = data / "desi_format"
    coadds = sorted(folder.glob("coadd-*.fits"))
    assert len(coadds) == 2 and all(recognise(path).name == "desi" for path in coadds)
    assert [SURVEYS["desi"].count(path) for path in coadds] == [1, 1]
    stars = sorted((data / "lamost_dr1").glob("spec-*.fits"))
    assert {recognise(path).name for path in stars[:20]} == {"lamost"}
    miles = data / "miles" / "spectra.npz"
    layout = Layout(air=True, fwhm=2.5, wave="wave_air", name="miles_id")
    assert recognise(miles).name == "table" and count_tables(miles, layout=layout) == 491


def test_file_of_no_format_is_explained(data: Path, tmp_path: Path) -> None:
    for path in (data / "desi_format").glob("redrock-*.fits"):
        with pytest.raises(ValueError, match=r"redrock.*none of the surveys \['desi'") as error:
            recognise(path)
        assert "\n" not in str(error.value)
    (tmp_path / "text.fits").write_text("text")
    with pytest.raises(BadFileError, match="no FITS file"):
        recognise(tmp_path / "text.fits")
    with pytest.raises(BadFileError, match="cannot be opened"):
        recognise(tmp_path / "nothing.fits")


def test_unknown_survey_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match=r"'lamots' is not a survey. Did you mean 'lamost'\?"):
        find_survey("lamots")
    with pytest.raises(ValueError, match="is not a survey"):
        apply_masks(np.arange(4000.0, 4010.0), np.zeros(1), "apogee")


@pytest.mark.parametrize("kind", ["npz", "fits", "row.fits", "ecsv", "npz of one"])
def test_spectra_of_a_table_are_counted(kind: str, tmp_path: Path) -> None:
    wave, flux = np.arange(4000.0, 4100.0), np.ones((3, 100))
    path = tmp_path / f"a.{kind.split(maxsplit=1)[0].removeprefix('row.')}"
    layout = Layout(air=False, fwhm=2.5, wave="LAM", flux="Counts")
    match kind:
        case "npz":
            np.savez(path, lam=wave, counts=flux)
        case "npz of one":
            np.savez(path, lam=wave, counts=flux[0])
        case "fits":
            Table({"lam": wave, "COUNTS": flux[0]}).write(path)
        case "row.fits":
            Table({"lam": np.tile(wave, (3, 1)), "COUNTS": flux}).write(path)
        case "ecsv":
            Table({"lam": np.tile(wave, (3, 1)), "counts": flux}).write(path)
    count = count_tables(path, layout=layout)
    assert count == len(SURVEYS["table"].read([path], layout=layout))
    assert count == (3 if kind in ("npz", "row.fits", "ecsv") else 1)
    with pytest.raises(BadFileError):
        count_tables(path)


@pytest.mark.parametrize("name", ["desi", "lamost", "sdss"])
def test_missing_file_cannot_be_counted(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadFileError):
        SURVEYS[name].count(tmp_path / "nothing.fits")


def test_coadd_without_fibermap_cannot_be_counted(tmp_path: Path) -> None:
    fits.writeto(tmp_path / "x.fits", np.zeros(3))
    with pytest.raises(BadFileError, match="no HDU FIBERMAP"):
        SURVEYS["desi"].count(tmp_path / "x.fits")


def test_new_survey_is_one_record(
    monkeypatch: pytest.MonkeyPatch, lamost_file: Path, tmp_path: Path
) -> None:
    """Reading, masks, edges, prior, run file and info follow from the record."""
    band = Band("gap", 4000.0, 4010.0, "instrument", "mask")
    toy = replace(
        SURVEYS["lamost"],
        name="toy",
        title="Toy",
        lsf_sd=0.2,
        edge_pixels=7,
        bands=(band,),
        read=lambda paths, **options: replace(SURVEYS["lamost"].read(paths), survey="toy"),
        recognise=lambda file: file.header().get("TOY", False),
    )
    monkeypatch.setitem(SURVEYS, "toy", toy)
    raw = read(lamost_file, survey="toy")
    assert raw.survey == "toy" and Nuisance().lsf_sd("toy") == 0.2
    spectrum, _ = prepare(raw)
    masked = ~(spectrum.ivar > 0).any(axis=0)
    assert masked[:7].all() and masked[(spectrum.wave > 4000) & (spectrum.wave < 4010)].all()
    table = {"schema": 1, "input": {"survey": "toy", "spectra": ["a"]}, "emulator": {"name": "x"}}
    assert config.parse(table, source="run.toml", base=tmp_path).input.survey == "toy"
    with pytest.raises(config.ConfigError, match=r"'toi' is not a survey\. Did you mean 'toy'"):
        table["input"] = {"survey": "toi", "spectra": ["a"]}
        config.parse(table, source="run.toml", base=tmp_path)
    figures, _ = describe(str(lamost_file))
    assert figures["kind"] == "LAMOST spectrum"
