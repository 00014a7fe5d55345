"""Files of draws: what is written is read, and files of others stay."""

from pathlib import Path

import numpy as np
import pytest

from bayes_ddp.files.errors import BadFileError, OutputError
from bayes_ddp.files.outputs import is_ours
from bayes_ddp.galaxy.draws import read_distance_draws, read_orbit_draws, write_draws
from bayes_ddp.galaxy.records import DistancePosterior, OrbitPosterior


def distances(stars: int = 3) -> DistancePosterior:
    rng = np.random.default_rng(1)
    return DistancePosterior(
        ids=np.array([f"star {i}" for i in range(stars)], str),
        log_weight=rng.normal(size=(5, stars)),
        quantities={"dist": rng.uniform(1, 9, (5, stars)), "ebv": rng.uniform(0, 1, (5, stars))},
        warn=np.arange(stars) << 40,
        labels=rng.normal(size=(5, stars, 2)),
        label_names=("teff", "logg"),
        diagnostics={"ess": rng.uniform(1, 5, stars)},
    )


@pytest.mark.parametrize("stars", [3, 0])
def test_distance_draws_survive_a_round_trip(tmp_path: Path, stars: int) -> None:
    path, record = tmp_path / "new" / "distance.nc", distances(stars)
    write_draws(path, record, {"SEED": 1})
    found = read_distance_draws(path)
    assert found.ids.tolist() == record.ids.tolist() and found.names == record.names
    assert found.warn.tolist() == record.warn.tolist()
    assert found.label_names == record.label_names
    np.testing.assert_array_equal(found.log_weight, record.log_weight)
    np.testing.assert_array_equal(found.diagnostics["ess"], record.diagnostics["ess"])
    np.testing.assert_allclose(found["dist"], record["dist"], rtol=1e-7)
    np.testing.assert_allclose(found.labels, record.labels, rtol=1e-7)


def test_orbit_draws_survive_a_round_trip(tmp_path: Path) -> None:
    first, path = distances(), tmp_path / "orbit.nc"
    record = OrbitPosterior(first.ids, first.log_weight, {"ecc": first["dist"]}, first.warn)
    write_draws(path, record)
    np.testing.assert_allclose(read_orbit_draws(path)["ecc"], record["ecc"], rtol=1e-7)
    with pytest.raises(BadFileError, match="orbit draws"):
        read_distance_draws(path)


def test_draws_are_replaced_only_where_nobody_changed_them(tmp_path: Path) -> None:
    path = tmp_path / "distance.nc"
    write_draws(path, distances())
    assert is_ours(path)
    write_draws(path, distances())
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(OutputError, match=r"distance\.nc exists"):
        write_draws(path, distances())


def test_other_files_are_no_draws(tmp_path: Path) -> None:
    path = tmp_path / "other.nc"
    path.write_bytes(b"no netCDF")
    with pytest.raises(BadFileError, match="cannot be read as netCDF"):
        read_distance_draws(path)
    assert not is_ours(path)
