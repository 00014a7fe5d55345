"""Distances on the mock Galaxy, which has another density than the prior of the distances."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bins(root: Path) -> dict[str, Any]:
    """Figures of ``benchmarks/distance_coverage.py``."""
    ran = subprocess.run(
        [sys.executable, "benchmarks/distance_coverage.py", "--stars", "800", "--seed", "2"],
        cwd=root,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    print(ran.stdout.rpartition("\n{")[0])
    result = json.loads(ran.stdout.strip().splitlines()[-1])
    assert result["few_proposals"] < 0.01
    found: dict[str, Any] = result["bins"]
    return found


def test_true_distances_are_covered_in_every_bin_of_the_data(bins: dict[str, Any]) -> None:
    """Four standard errors, and 3 % for another density: fails by chance below once in 1000."""
    seen = 0
    for name, part in bins.items():
        if part["stars"] < 20 or "bias" not in part:
            continue
        seen += 1
        for level in (0.68, 0.95):
            inside, error = part[f"inside_{level}"], part[f"error_{level}"]
            assert abs(inside - level) < 4 * error + 0.03, (name, level)
        assert abs(part["bias"]) < 0.02 + 4 * 1.25 * part["sd"] / part["stars"] ** 0.5, name
    assert seen >= 8


def test_precise_parallaxes_decide_the_distance(bins: dict[str, Any]) -> None:
    part = bins["parallax dominates"]
    assert part["stars"] > 30
    assert abs(part["offset_in_sd"]) < 0.1
    assert part["scatter_in_sd"] < 0.35


def test_labels_and_photometry_decide_where_parallaxes_are_useless(bins: dict[str, Any]) -> None:
    part = bins["labels dominate"]
    assert part["stars"] > 100
    assert abs(part["offset_in_sd"]) < 0.1
    assert part["scatter_in_sd"] < 0.35
