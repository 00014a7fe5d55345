"""Peak memory of runs with different numbers of stars; it must not grow with the number of files.

Two runs in processes of their own fit files of 125 simulated stars with the sampler ``map``; the
second run has four times as many files. Both work on groups of equally many stars. What grows is
the catalogue itself. The last line is one JSON object. The default ends within eight minutes;
``--full`` takes four times as many stars, and groups of the size of a usual run.

    python benchmarks/memory.py [--full]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

PER_FILE = 125
RUN = """\
import json, resource, sys, time
import jax
jax.config.update("jax_enable_x64", True)
from bayes_ddp import config
from bayes_ddp.pipeline.run import run
began = time.perf_counter()
outcome = run(config.parse(json.loads(sys.argv[1]), source="benchmark"), rows=int(sys.argv[2]))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
size = outcome.path.stat().st_size
print(json.dumps({"stars": len(outcome.table), "peak_mb": peak / 1024,
                  "catalogue_mb": size / 2**20, "seconds": time.perf_counter() - began}))
"""


def write_files(folder: Path, files: int) -> list[str]:
    """Coadds of the same spectra under other identifiers, and one velocity catalogue for all."""
    from bayes_ddp.emulator.card import find_model
    from bayes_ddp.emulator.physics.library import read_held_out
    from bayes_ddp.spectra.desi.writer import write_coadd, write_rvs_catalog
    from bayes_ddp.spectra.expose import ModelSpectra, Simulation, simulate_coadd

    held = read_held_out(find_model("held-out"))
    nodes = held.wave[:: len(held.wave) // (held.cont.shape[1] - 1)]
    flux = held.norm * np.stack([np.interp(held.wave, nodes, row) for row in held.cont])
    coadd = simulate_coadd(ModelSpectra(held.wave, flux, held.fwhm), Simulation(stars=PER_FILE), 1)
    names = []
    for number in range(files):
        one = replace(coadd, targetid=coadd.targetid + number * PER_FILE)
        names.append(str(folder / f"coadd-{number:04d}.fits"))
        write_coadd(Path(names[-1]), one)
    repeated = {name: np.tile(getattr(coadd, name), files) for name in ("vrad_seen", "vrad_err")}
    shift = np.repeat(np.arange(files) * PER_FILE, PER_FILE)
    every = replace(coadd, targetid=np.tile(coadd.targetid, files) + shift, **repeated)
    write_rvs_catalog(folder / "rvs.fits", every)
    return names


def measure(folder: Path, files: list[str], *, rows: int) -> dict[str, float]:
    """Figures of one run in a process of its own, with groups of ``rows`` stars at most."""
    table = {
        "schema": 1,
        "input": {"survey": "desi", "spectra": files, "catalog": str(folder / "rvs.fits")},
        "emulator": {"name": "desi-physics"},
        "sampler": {"kind": "map"},
        "output": {"directory": str(folder / f"out-{len(files)}"), "pictures": False},
    }
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(table), str(rows)],
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--full", action="store_true", help="1,000 and 4,000 stars")
    full = parser.parse_args().full
    small, rows = (8, 4 * PER_FILE) if full else (2, 2 * PER_FILE)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = write_files(folder, 4 * small)
        print(
            f"{PER_FILE} stars per file, {rows} per group, 7958 pixels per star, sampler map, "
            f"{os.cpu_count()} cores, {time.perf_counter() - began:.0f} s to write the files",
            flush=True,
        )
        results = []
        for count in (small, 4 * small):
            found = measure(folder, files[:count], rows=rows)
            results.append(found)
            print(
                f"{found['stars']} stars: peak {found['peak_mb']:.0f} MB, catalogue "
                f"{found['catalogue_mb']:.1f} MB, {found['seconds']:.0f} s",
                flush=True,
            )
    more = results[1]["stars"] - results[0]["stars"]
    growth = 1024 * (results[1]["peak_mb"] - results[0]["peak_mb"]) / more
    print(f"growth: {growth:.1f} kB per star")
    seconds = time.perf_counter() - began
    print(json.dumps({"runs": results, "kb_per_star": growth, "seconds": seconds}))


if __name__ == "__main__":
    main()
