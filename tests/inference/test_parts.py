"""Part files: nothing is lost on the way through netCDF, and no other file is taken for one."""

import shutil
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from bayes_ddp.inference.parts import (
    Part,
    find_parts,
    open_part,
    read_draws,
    read_part,
    write_part,
)
from bayes_ddp.inference.posterior import Posterior, blank

NAMES, ARMS = ("teff", "logg", "feh"), ("B", "R", "Z")
DRAWS = 30


def posterior_of(ids: list[str], seed: int, number: int = DRAWS) -> Posterior:
    """Random numbers in every field, draws in float32 as ``fit`` gives them."""
    rng = np.random.default_rng(seed)
    diagnostics = ("khat", "rhat", "ess", "divergences", "p16", "p50", "p84", "p95")
    empty = blank(NAMES, np.array(ids), ARMS, number=number, diagnostics=diagnostics)

    def filled(values: Any) -> Any:
        if isinstance(values, dict):
            return {name: filled(each) for name, each in values.items()}
        if not isinstance(values, np.ndarray) or values.dtype.kind == "U":
            return values
        if values.dtype.kind == "i":
            return rng.integers(0, 2**31 - 1, values.shape).astype(values.dtype)
        return rng.random(values.shape)

    result = Posterior(**{f.name: filled(getattr(empty, f.name)) for f in fields(Posterior)})
    single = ("draws", "log_prior", "log_likelihood")
    changed: dict[str, Any] = {n: getattr(result, n).astype(np.float32) for n in single}
    changed["log_weight"] = np.zeros((number, len(ids)), np.float32)
    changed["nuisances"] = {n: v.astype(np.float32) for n, v in result.nuisances.items()}
    return replace(result, warn=result.warn << 25, chains=3, **changed)


def part_of(ids: list[str], seed: int = 1, **changed: Any) -> Part:
    """A part with columns of every kind that readers give."""
    rng, stars = np.random.default_rng(seed), len(ids)
    columns = {
        "TARGETID": rng.integers(0, 2**62, stars),
        "NAME": np.array([f"{name} α" for name in ids], str),
        "EMPTY": np.full(stars, ""),
        "RUN": np.arange(stars, dtype=np.int16) - 2,
        "FLAGS": np.arange(stars, dtype=np.uint8) + 200,
        "GOOD": np.arange(stars) % 2 == 0,
        "MAG": rng.random(stars).astype(np.float32),
        "FLUX": rng.random((stars, 5)),
        "MASKS": rng.random((stars, 2, 3)) < 0.5,
        "BANDS": np.array([["g", "r i"]] * stars, str).reshape(stars, 2),
        "a/b (mag)": np.where(rng.random(stars) < 0.5, np.nan, 1.0),
    }
    values: dict[str, Any] = {
        "survey": "desi",
        "key": "TARGETID",
        "columns": columns,
        "vrad": rng.random(stars),
        "vrad_err": np.full(stars, np.nan),
        "ebv": rng.random(stars),
        "snr": rng.random((stars, 3)),
        "posterior": posterior_of(ids, seed),
        "fingerprint": "abc",
        "provenance": {"EMULATOR": "desi-physics", "SEED": 4},
    }
    return Part(**values | changed)


def same(one: Any, other: Any, name: str = "") -> None:
    """Records, tables and arrays equal in every value and dtype."""
    if isinstance(one, Part | Posterior):
        for f in fields(one):
            same(getattr(one, f.name), getattr(other, f.name), f.name)
    elif isinstance(one, dict):
        assert list(one) == list(other), name
        for key in one:
            same(one[key], other[key], f"{name} {key}")
    elif isinstance(one, np.ndarray):
        assert one.dtype.kind == other.dtype.kind, name
        assert one.dtype.kind == "U" or one.dtype == other.dtype, name
        np.testing.assert_array_equal(one, other, err_msg=name)
    else:
        assert one == other, name


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "coadd-1234.nc"


def test_every_field_of_a_part_comes_back(path: Path) -> None:
    part = part_of(list("abcd"))
    write_part(path, part, draws=DRAWS)
    again = read_part(path, "abc")
    assert again is not None
    same(part, again)
    assert len(again) == 4
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("ids", [["only"], [], ["39633|sv1|bright|1", "", "ß"]])
def test_parts_of_any_number_of_stars_and_any_names_come_back(path: Path, ids: list[str]) -> None:
    part = part_of(ids)
    write_part(path, part, draws=DRAWS)
    again = read_part(path, "abc")
    assert again is not None
    same(part, again)


@pytest.mark.parametrize("dtype", [">f8", ">i4", ">f4"])
def test_columns_of_foreign_byte_order_keep_their_values(path: Path, dtype: str) -> None:
    """FITS tables are big-endian."""
    column = np.array([1, -2], dtype)
    write_part(path, part_of(["a", "b"], columns={"TARGETID": column}), draws=DRAWS)
    again = read_part(path)
    assert again is not None
    np.testing.assert_array_equal(again.columns["TARGETID"], column)
    assert again.columns["TARGETID"].dtype.newbyteorder("=") == column.dtype.newbyteorder("=")


def test_columns_may_have_the_names_of_other_variables(path: Path) -> None:
    columns = {name: np.arange(2.0) for name in ("draws", "star", "param", "vrad", "chi2")}
    part = part_of(["a", "b"], columns=columns, key="star")
    write_part(path, part, draws=DRAWS)
    again = read_part(path)
    assert again is not None
    same(part, again)


def test_part_without_provenance_or_columns_comes_back(path: Path) -> None:
    write_part(path, part_of(["a"], columns={}, provenance=None), draws=DRAWS)
    again = read_part(path)
    assert again is not None
    assert again.columns == {}
    assert not again.provenance


def test_weighted_draws_are_written_equally_weighted(path: Path) -> None:
    part = part_of(list("abc"))
    log_weight = np.random.default_rng(2).standard_normal((DRAWS, 3))
    weighted = replace(part.posterior, log_weight=log_weight)
    write_part(path, replace(part, posterior=weighted), draws=12)
    again = read_part(path)
    assert again is not None
    same(weighted.equally_weighted(12).draws, again.posterior.draws)
    assert not again.posterior.log_weight.any()
    np.testing.assert_array_equal(again.posterior.mean, part.posterior.mean)
    np.testing.assert_array_equal(again.posterior.summary(), part.posterior.summary())


def test_parts_written_twice_have_the_same_bytes(path: Path) -> None:
    write_part(path, part_of(list("ab")), draws=DRAWS)
    first = path.read_bytes()
    write_part(path, part_of(list("ab")), draws=DRAWS)
    assert path.read_bytes() == first


def test_part_with_another_fingerprint_is_not_read(path: Path) -> None:
    write_part(path, part_of(["a"]), draws=DRAWS)
    assert read_part(path, "other") is None
    assert read_part(path, "") is None
    assert read_part(path, "abc") is not None
    assert read_part(path) is not None


def test_damaged_or_missing_part_is_none_and_never_found(path: Path) -> None:
    assert read_part(path) is None
    write_part(path, part_of(list("abcd")), draws=DRAWS)
    whole = path.read_bytes()
    for size in (0, 100, len(whole) // 2, len(whole) - 50):
        path.write_bytes(whole[:size])
        assert read_part(path, "abc") is None
        assert find_parts(path.parent) == []
    path.write_bytes(b"no netCDF at all")
    assert read_part(path) is None


@pytest.mark.parametrize("signature", [b"FRHP", b"BTHD", b"GCOL", b"TREE"])
def test_part_with_a_damaged_index_is_none(path: Path, signature: bytes) -> None:
    """HDF5 reports these in different ways; the file has its full length."""
    write_part(path, part_of(list("abcd")), draws=DRAWS)
    whole = path.read_bytes()
    assert signature in whole
    path.write_bytes(whole.replace(signature, b"XXXX"))
    assert read_part(path, "abc") is None
    assert set(find_parts(path.parent)) <= {path}


def test_other_netcdf_files_are_never_parts(path: Path) -> None:
    """Not even with the same variables: a part is deleted when it is out of date."""
    write_part(path, part_of(["a"]), draws=DRAWS)
    foreign = path.with_name("mine.nc")
    xr.Dataset({"draws": ("draw", np.zeros(3))}).to_netcdf(foreign, engine="h5netcdf")
    stripped = open_part(path)
    del stripped.attrs["format"]
    stripped.to_netcdf(path.with_name("stripped.nc"), engine="h5netcdf")
    older = open_part(path).assign_attrs(format="bayes_ddp part 0")
    older.to_netcdf(path.with_name("older.nc"), engine="h5netcdf")
    shutil.copy(path, path.with_name("a part without the ending"))
    (path.parent / "folder.nc").mkdir()
    assert find_parts(path.parent) == [path]
    for name in ("mine.nc", "stripped.nc", "older.nc"):
        assert read_part(path.with_name(name)) is None


def test_parts_are_found_by_name_in_order(tmp_path: Path) -> None:
    for name in ("b.nc", "a.nc", "c.nc"):
        write_part(tmp_path / name, part_of(["x"]), draws=DRAWS)
    assert [p.name for p in find_parts(tmp_path)] == ["a.nc", "b.nc", "c.nc"]


def test_all_draws_of_a_run_are_found_by_identifier(tmp_path: Path) -> None:
    ids = [list("abcd"), ["39633|sv1|bright|1", "f", "g"]]
    parts = [part_of(names, seed) for seed, names in enumerate(ids)]
    for number, part in enumerate(parts):
        write_part(tmp_path / f"{number}.nc", part, draws=DRAWS)
    draws = read_draws(tmp_path)
    assert draws["draws"].dims == ("draw", "star", "param")
    assert list(draws["star"].values) == ids[0] + ids[1]
    names = {"draws", "log_weight", "log_prior", "log_likelihood"}
    assert set(draws.data_vars) == names | {
        "nuisance_velocity",
        *(f"nuisance_lsf_{arm}" for arm in ARMS),
    }
    found = draws["draws"].sel(star="39633|sv1|bright|1", param="feh").values
    np.testing.assert_array_equal(found, parts[1].posterior.draws[:, 0, 2])
    assert list(open_part(tmp_path / "0.nc").attrs["units"]) == ["K", "dex", "dex"]
    some = read_draws(tmp_path, [tmp_path / "1.nc"])
    assert list(some["star"].values) == ids[1]


def test_stars_that_were_not_fitted_have_no_draws(tmp_path: Path) -> None:
    parts = [part_of(list("abc"), 1), part_of(list("de"), 2)]
    parts[0].posterior.chi2[1] = np.nan
    parts[1].posterior.chi2[:] = np.nan
    for number, part in enumerate(parts):
        write_part(tmp_path / f"{number}.nc", part, draws=DRAWS)
    assert list(read_draws(tmp_path)["star"].values) == ["a", "c"]
    assert len(read_draws(tmp_path, [tmp_path / "1.nc"])["star"]) == 0


def test_run_without_draws_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="draws = false"):
        read_draws(tmp_path)
