"""Every benchmark runs to its JSON line, and what it measures agrees with its slow reference."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_fit_benchmark_agrees_with_scipy_and_ends_in_one_json_object(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/fit_speed.py", "--stars", "2", "--peers", "1"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    # both stop within 1e-2 sigma of the best fit, where float32's noise in the cost begins
    assert result["scipy"]["gap_largest"] < 0.05
    assert result["scipy"]["gap_median"] < 0.01
    for kind in ("exact", "nuts"):  # null only where the time ran short
        assert result[kind] is None or result[kind]["seconds_per_1000_effective"] > 0
