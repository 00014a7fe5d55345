"""Description of a file, folder or model, for ``bayes-ddp info``.

All files are read with the readers of a run, so a file that can be described can also be fitted.
The description of each kind has figures, which are plain numbers and texts, and lines of text.
"""

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bayes_ddp import config
from bayes_ddp.catalog.fits import read_catalogue
from bayes_ddp.commands.info.arrays import describe_arrays
from bayes_ddp.commands.info.models import describe_model
from bayes_ddp.commands.info.spectra import describe_spectra
from bayes_ddp.commands.info.tables import describe_csv, describe_fits_tables
from bayes_ddp.commands.terminal import plain
from bayes_ddp.emulator.card import find_model, known_models
from bayes_ddp.files.compressed import suffix, unpacked
from bayes_ddp.files.fits import FitsFile, open_fits
from bayes_ddp.files.paths import check_file
from bayes_ddp.files.toml import to_toml
from bayes_ddp.flags import FATAL, UNTRAINED, WARN
from bayes_ddp.inference.parts import FORMAT, find_parts
from bayes_ddp.labels import LABELS
from bayes_ddp.spectra.surveys import SURVEYS
from bayes_ddp.tables.values import real

__all__ = ["describe"]

Description = tuple[dict[str, Any], list[str]]
"""(figures, lines of text) of one description."""

_FORMATS = [survey for survey in SURVEYS.values() if not survey.needs_layout]
"""Surveys with a fixed file format."""

_KINDS = (
    f"spectra of {', '.join(survey.title for survey in _FORMATS)}, a redrock file or RVS "
    "catalogue of DESI, a table or arrays with wavelengths and fluxes (ECSV, FITS, npz), a table "
    "of labels (CSV, FITS), a catalogue of ours, a run file, a folder of draws or of a run's "
    "output, a model's folder or name"
)
_PROVENANCE = (
    "EMULATOR",
    "EMUSHA",
    "CALSCALE",
    "ABUNSCAL",
    "SURVEYIN",
    "SAMPLER",
    "SEED",
    "BDDPVER",
    "JAXVER",
    "NPYROVER",
)


def describe(path: str) -> tuple[dict[str, Any], str]:
    """(figures, text to print) of a file, a folder or a distributed model.

    Figures are plain numbers and texts; None if unknown. Raises ValueError with the supported
    kinds for anything else, and BadFileError for damaged files.
    """
    location = Path(path)
    if location.is_dir():
        figures, lines = _folder(location)
    elif location.exists():
        figures, lines = _file(check_file(path))
    else:
        try:
            folder = find_model(path)
        except ValueError:
            raise ValueError(
                f"There is no file or model '{path}'. Give {_KINDS}. Models: "
                f"{', '.join(sorted(known_models()))}."
            ) from None
        figures, lines = describe_model(folder)
    return plain(figures), "\n".join(lines)


def _folder(folder: Path) -> Description:
    if (folder / "card.toml").is_file():
        return describe_model(folder)
    parts = find_parts(folder)
    if parts:
        return _draws(parts)
    for name in ("catalogue.fits", "run.toml"):
        if (folder / name).is_file():
            return _file(folder / name)
    damaged = sorted(folder.glob("*.nc"))
    if damaged:
        return _draws(damaged)
    raise ValueError(
        f"{folder} holds neither card.toml, draws, catalogue.fits nor run.toml. Give {_KINDS}."
    )


def _file(path: Path) -> Description:
    if path.name == "card.toml":
        return describe_model(path.parent)
    if path.suffix == ".toml":
        return _run(path)
    if path.suffix == ".nc":
        return _draws([path])
    if suffix(path) in (".npz", ".ecsv"):
        return describe_arrays(path)
    if suffix(path) == ".csv":
        return describe_csv(path)
    with unpacked(path) as plain, plain.open("rb") as stream:
        is_fits = stream.read(9) == b"SIMPLE  ="
    if not is_fits:
        raise ValueError(f"{path} is not a kind of file that info describes. Give {_KINDS}.")
    return _fits(path)


def _fits(path: Path) -> Description:
    with open_fits(path, edited=True) as file:
        figures, lines = _content(path, file)
        verified = sum(
            bool({"CHECKSUM", "DATASUM"} & set(file.header(i))) for i in range(len(file.names))
        )
        known = {"path": str(path), "hdus": len(file.names), "checksums_verified": verified}
    return figures | known, [*lines, f"  checksums of {verified} of {known['hdus']} HDUs verified"]


def _content(path: Path, file: FitsFile) -> Description:
    """Description of a FITS file, whose kind follows from its extensions."""
    if "CATALOGUE" in file:
        return _catalogue(path)
    for survey in _FORMATS:
        if survey.recognise(file):
            return describe_spectra(survey, survey.read([path]))
    if "REDSHIFTS" in file:
        return _velocities("redrock file", file.table("REDSHIFTS"))
    if "RVTAB" in file:
        return _velocities("RVS catalogue", file.table("RVTAB"))
    found = describe_fits_tables(path, file)
    labels = found is not None and any(t["labels"] for t in found[0]["tables"].values())
    if not labels and any(survey.recognise(file) for survey in SURVEYS.values()):
        return describe_arrays(path)
    if found is not None:
        return found
    raise ValueError(
        f"{path} is a FITS file with the extensions {[n for n in file.names if n]}, which is none "
        f"of what info describes. Give {_KINDS}."
    )


def _velocities(kind: str, table: dict[str, np.ndarray]) -> Description:
    rows = len(table.get("TARGETID", ()))
    figures: dict[str, Any] = {"kind": kind, "rows": rows, "columns": list(table)}
    lines = [f"{kind}, {_count(rows, 'row', 'rows')}"]
    for name in ("SPECTYPE", "RR_SPECTYPE"):
        if name in table and rows:
            figures[name.lower()] = dict(Counter(map(str, table[name])))
            text = ", ".join(f"{n} {what}" for what, n in figures[name.lower()].items())
            lines.append(f"  {name}: {text}")
    for name, unit in (("Z", ""), ("VRAD", " km/s"), ("VRAD_ERR", " km/s")):
        values = real(table.get(name, np.zeros(0)), f"{kind}: column {name}")
        values = values[np.isfinite(values)]
        if len(values):
            figures[name.lower()] = [float(values.min()), float(values.max())]
            lines.append(f"  {name}: {values.min():.5g} to {values.max():.5g}{unit}")
    return figures, lines


def _catalogue(path: Path) -> Description:
    table = read_catalogue(path)
    warn = np.asarray(table["WARN"], np.int64)
    warnings = {str(bit.name): int(((warn & int(bit)) > 0).sum()) for bit in WARN}
    fatal = FATAL & ~WARN.NOT_STAR if table.meta.get("SPECSEL") == "any" else FATAL
    fitted = (warn & int(fatal | UNTRAINED)) == 0
    labels: dict[str, dict[str, int]] = {}
    for row in LABELS:
        if row.column in table.colnames:
            values = np.asarray(table[row.column], float)
            labels[row.name] = {"with_value": int(np.isfinite(values).sum())}
            if f"{row.column}_FLAG" in table.colnames:
                flag = np.asarray(table[f"{row.column}_FLAG"])[fitted]
                for code, what in enumerate(("detected", "upper_limit", "prior_dominated")):
                    labels[row.name][what] = int((flag == code).sum())
    figures: dict[str, Any] = {
        "kind": "catalogue",
        "rows": len(table),
        "fitted": int(fitted.sum()),
        "warnings": {name: n for name, n in warnings.items() if n},
        "labels": labels,
        "provenance": {key: table.meta[key] for key in _PROVENANCE if key in table.meta},
    }
    lines = [
        f"catalogue, {_count(len(table), 'row', 'rows')}, {figures['fitted']} with labels",
        *(f"  {n} x {name}" for name, n in figures["warnings"].items()),
        f"  {'label':8s}{'with value':>11s}{'detected':>10s}{'limit':>7s}{'prior':>7s}",
    ]
    for name, n in labels.items():
        cells = [
            f"{n.get(key, '-'):>{width}}"
            for key, width in (("detected", 10), ("upper_limit", 7), ("prior_dominated", 7))
        ]
        lines.append(f"  {name:8s}{n['with_value']:11d}{''.join(cells)}")
    lines += [f"  {key}: {value}" for key, value in figures["provenance"].items()]
    return figures, lines


def _draws(parts: list[Path]) -> Description:
    stars, fitted, names = 0, 0, []
    draws, chains = set(), set()
    for path in parts:
        try:
            with xr.open_dataset(path, engine="h5netcdf") as part:
                if part.attrs.get("format") != FORMAT:
                    raise ValueError(f"its format is not '{FORMAT}'")
                stars += part.sizes["star"]
                fitted += int(np.isfinite(part["chi2"].values).sum())
                draws.add(part.sizes["draw"])
                chains.add(int(part.attrs["chains"]))
                names = [str(name) for name in part["param"].values]
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(
                f"{path} is no part of a run's draws ({str(error).splitlines()[0]}). Run again: "
                "damaged parts are computed again."
            ) from None
    figures = {
        "kind": "draws",
        "parts": len(parts),
        "stars": stars,
        "fitted": fitted,
        "draws": sorted(draws),
        "chains": sorted(chains),
        "labels": names,
    }
    number = "/".join(map(str, sorted(draws)))
    in_chains = f" in {'/'.join(map(str, sorted(chains)))} chains" if max(chains) > 1 else ""
    return figures, [
        f"posterior draws, {_count(stars, 'star', 'stars')} in "
        f"{_count(len(parts), 'file', 'files')}, {fitted} fitted",
        f"  {number} draws per star{in_chains} of {', '.join(names)}",
        "  read with bayes_ddp.read_draws(FOLDER)",
    ]


def _run(path: Path) -> Description:
    try:
        keys = set(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid TOML: {error}.") from None
    if "input" not in keys:
        raise ValueError(f"{path} is TOML, but no run file: it has no [input]. Give {_KINDS}.")
    run = config.load(path)
    output = Path(run.output.directory)
    finished = (output / "catalogue.fits").is_file()
    missing = [name for name in run.input.spectra if not Path(name).is_file()]
    table = config.as_table(run)
    figures = {"kind": "run file", "run": table, "finished": finished, "missing": missing}
    short = {name: part for name, part in table.items() if part != {}}
    spectra = table["input"]["spectra"]
    if len(spectra) > 4:
        short["input"] = table["input"] | {"spectra": [spectra[0], "...", spectra[-1]]}
    lines = [f"run file, {_count(len(spectra), 'spectrum file', 'spectrum files')}"]
    lines += [f"  {len(missing)} do not exist, the first: {missing[0]}"] if missing else []
    catalogue = f"  catalogue: {output / 'catalogue.fits'}"
    lines.append(catalogue if finished else "  not yet run to its end")
    return figures, [*lines, "", *to_toml(short).splitlines()]


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
