"""Nulls, scales and names of columns on their way from a file into the spectra of every survey."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from bayes_ddp import cli, config
from bayes_ddp.files.errors import BadFileError
from bayes_ddp.flags import WARN
from bayes_ddp.spectra.lamost import read_lamost
from bayes_ddp.spectra.sdss import read_sdss
from bayes_ddp.spectra.table import Layout, read_tables


def test_null_flux_of_a_table_is_masked_and_scaled_flux_is_scaled(tmp_path: Path) -> None:
    """Counts as 16-bit integers in steps of 0.5 above 100, with a null and a neighbour."""
    count = np.arange(1000, dtype="i2")
    count[500] = -1
    columns = [
        fits.Column("wave", "D", array=np.linspace(4000, 4999, 1000)),
        fits.Column("flux", "I", array=count, null=-1),
        fits.Column("ivar", "E", array=np.ones(1000)),
    ]
    path = tmp_path / "star.fits"
    fits.BinTableHDU.from_columns(columns).writeto(path)
    whole = path.read_bytes()
    start, end = whole.index(b"XTENSION"), b"END" + b" " * 77
    scale = b"TSCAL2  =                  0.5".ljust(80) + b"TZERO2  =                100.0".ljust(
        80
    )
    path.write_bytes(whole[:start] + whole[start:].replace(end + b" " * 160, scale + end, 1))
    (arm,) = read_tables([path], layout=Layout(air=False, ivar="ivar", fwhm=2.5)).arms
    assert arm.ivar[0, 500] == 0 and (np.delete(arm.ivar[0], 500) == 1).all()
    np.testing.assert_array_equal(np.delete(arm.flux[0], 500), np.delete(100 + 0.5 * count, 500))


def test_null_mask_of_an_sdss_pixel_masks_it(spec: Callable[..., Path]) -> None:
    path = spec()
    plain = read_sdss([path])
    with fits.open(path) as hdus:
        hdus[1].data["and_mask"][2000] = -7
        hdus[1].columns["and_mask"].null = -7
        hdus.writeto(path, overwrite=True, checksum=True)
    with_null = read_sdss([path])
    lost = [
        (one.ivar > 0) & (two.ivar == 0)
        for one, two in zip(plain.arms, with_null.arms, strict=True)
    ]
    assert sum(part.sum() for part in lost) == 1
    assert not np.any(with_null.warn & WARN.NONFINITE_INPUT)


def test_variable_length_flux_is_refused_in_one_sentence(tmp_path: Path) -> None:
    flux = np.array([np.ones(5), np.ones(5)], dtype=object)
    columns = [
        fits.Column("wave", "5D", array=np.tile(np.arange(4000.0, 4005.0), (2, 1))),
        fits.Column("flux", "PE(5)", array=flux),
    ]
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "a.fits")
    with pytest.raises(BadFileError, match="column 'flux' has arrays of variable length"):
        read_tables([tmp_path / "a.fits"], layout=Layout(air=False, fwhm=2.5))


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_table_of_lamost_files_keeps_its_first_column(
    lamost_file: Path, tmp_path: Path, mark: bytes
) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(mark + f"filename,obsid\n{lamost_file.name},101005\nb.fits,null\n".encode())
    assert read_lamost([lamost_file], path).columns["OBSID"].tolist() == [101005]
    path.write_bytes(mark + f"File,number\n{lamost_file.name}.gz,101005\n".encode())
    raw = read_lamost([lamost_file], path, columns={"filename": "file", "obsid": "Number"})
    assert raw.columns["OBSID"].tolist() == [101005]
    with pytest.raises(BadFileError, match=r"no column 'filename'.*Its columns: file, number"):
        read_lamost([lamost_file], path)


# --- columns of a catalogue, on the command line and in run files


def run_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> config.Run:
    """The run that ``bayes-ddp fit`` would do."""
    runs: list[config.Run] = []
    monkeypatch.setattr("bayes_ddp.cli.fitting.run_settings", lambda run, **_: runs.append(run))
    (tmp_path / "coadd-a.fits").write_bytes(b"")
    fit = ["fit", "--survey", "desi", "--spectra", str(tmp_path / "coadd-a.fits"), "--emulator"]
    fit += ["desi-physics", "--output", str(tmp_path / "out"), *words]
    cli.app(fit, result_action="return_value")
    return runs[0]


def test_columns_go_from_the_command_line_into_the_run_file_and_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--catalog", "rv.fits", "--columns", "vrad=rv", "--columns", "TARGETID=id"]
    run = run_of(tmp_path, monkeypatch, *words)
    assert run.input.columns == {"VRAD": "rv", "TARGETID": "id"}
    (tmp_path / "run.toml").write_text(config.dump(run))
    assert config.load(tmp_path / "run.toml") == run


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--columns", "VRAD=rv"], "none is given: add 'catalog'"),
        (["--catalog", "rv.fits", "--columns", "VRD=rv"], r"'VRD' is none.*Did you mean 'VRAD'"),
        (["--catalog", "rv.fits", "--columns", "VRAD"], "write it as TARGETID=COLUMN"),
    ],
)
def test_columns_that_cannot_be_are_refused_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run_of(tmp_path, monkeypatch, *words)
